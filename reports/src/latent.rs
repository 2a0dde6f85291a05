//! The latent spaces of models: how much they carry, and in how many directions.

use crate::{
    document::{Block, Cell, Column, Row, Table, Text},
    scores::{LatentSpace, ScoredRow},
};

/// A row for each latent space, and a warning for each that has collapsed.
pub fn blocks(rows: &[ScoredRow]) -> Vec<Block> {
    let spaces = spaces(rows);
    if spaces.is_empty() {
        return Vec::new();
    }
    let table = Table {
        columns: vec![
            Column::text("Step"),
            Column::number("Units in use"),
            Column::number("Effective dimension"),
            Column::number("KL, nats a clip"),
        ],
        rows: spaces.iter().map(|(space, _)| row(space)).collect(),
    };
    let mut blocks = vec![
        Block::Heading("Latent spaces".to_owned()),
        Block::Table(table),
        Block::Paragraph(Text::from(
            "Effective dimension: (Σλ)² / Σλ² over the eigenvalues of the covariance of the latent means. KL: all that \
             the latent of a clip can say of it.",
        )),
    ];
    let collapsed = spaces.iter().filter_map(|(space, groups)| collapse(space, *groups));
    blocks.extend(collapsed.map(Block::Paragraph));
    blocks
}

/// Every latent space of the rows once, with the largest number of groups it was cut into.
fn spaces(rows: &[ScoredRow]) -> Vec<(&LatentSpace, usize)> {
    let mut spaces: Vec<(&LatentSpace, usize)> = Vec::new();
    for row in rows {
        let Some(space) = &row.latent else { continue };
        let groups = row.value("n_clusters").unwrap_or(0.0) as usize;
        match spaces.iter_mut().find(|(known, _)| known.step == space.step) {
            Some((_, most)) => *most = groups.max(*most),
            None => spaces.push((space, groups)),
        }
    }
    spaces
}

fn row(space: &LatentSpace) -> Row {
    let (active, units) = space.active;
    let kl = space
        .total_kl
        .map_or_else(|| Cell::from("–"), |kl| Cell::from(format!("{kl:.2}")).valued(kl));
    Row::new(vec![
        Text::new().code(&space.step).into(),
        Cell::from(format!("{active} of {units}")).valued(active as f64),
        Cell::from(format!("{:.2}", space.effective_dimension)).valued(space.effective_dimension),
        kl,
    ])
}

/// What is wrong with a latent space that cannot hold that many groups.
fn collapse(space: &LatentSpace, groups: usize) -> Option<Text> {
    let needed = (groups.max(1) as f64).ln();
    let starved = space.total_kl.filter(|kl| *kl < needed);
    let flat = space.effective_dimension < 2.0;
    let mut text = match (starved, flat) {
        (None, false) => return None,
        (Some(_), _) => {
            Text::new().strong("The posterior of ").code(&space.step).strong(" has collapsed.")
        }
        (None, true) => Text::new().code(&space.step).strong(" holds little more than a line."),
    };
    if let Some(kl) = starved {
        text = text.plain(format!(
            " A clip's latent carries {kl:.2} nats; to tell {groups} groups apart takes up to ln {groups} = {needed:.2}."
        ));
    }
    if flat {
        text = text.plain(format!(" Its effective dimension is {:.2}.", space.effective_dimension));
    }
    Some(text.plain(
        " The clusters cut this line into pieces, which Silhouette, CH and DB reward although there is nothing between \
         the pieces.",
    ))
}
