//! The latent spaces of models: their information and their effective dimension.

use crate::{
    document::{Block, Cell, Column, Row, Table, Text},
    figures,
    quantities::listed,
    scores::{
        ScoredRow,
        latent_space::{LatentSpace, mean},
    },
};

/// The meaning of an effective dimension below 2 for the clusters.
pub(super) const SEGMENTS: &str = "Clusters may then be segments of a line, which internal metrics reward even where no gap \
     separates them.";

/// The number of active units and of all units: `7 of 8`, or `6.7 of 8` on average.
pub fn in_use(space: &LatentSpace) -> String {
    let decimals = usize::from(space.active.fract() != 0.0);
    format!("{:.decimals$} of {}", space.active, space.units)
}

/// A row for each latent space, and a warning for each that has collapsed.
pub fn blocks(rows: &[ScoredRow]) -> Vec<Block> {
    let spaces = spaces(rows);
    if spaces.is_empty() {
        return Vec::new();
    }
    let table = Table {
        columns: vec![
            Column::text("Step"),
            Column::number("Active units"),
            Column::number("Effective dimension"),
            Column::number("KL (nats per clip)"),
        ],
        rows: spaces.iter().map(|(space, _)| row(space)).collect(),
    };
    let mut legend = "Active unit: one with a KL above 0.01 nats or, in a model without a KL, one whose mean varies at least \
                      a hundredth as much as the most variable one. Effective dimension: (Σλ)² / Σλ² over the eigenvalues of the covariance of the latent means. \
                      KL: an upper bound on what the latent code tells about a clip."
        .to_owned();
    if rows.iter().any(|row| row.latent.len() > 1) {
        legend.push_str(" The values are means over the seeds.");
    }
    let mut blocks = vec![
        Block::Heading("Latent spaces".to_owned()),
        Block::Table(table),
        Block::Paragraph(Text::from(legend)),
    ];
    let mut collapsed: Vec<Text> =
        spaces.iter().filter_map(|(space, groups)| collapse(space, *groups)).collect();
    collapsed.extend(flat(&spaces));
    if collapsed.len() > 3 {
        blocks.push(Block::List(collapsed));
    } else {
        blocks.extend(collapsed.into_iter().map(Block::Paragraph));
    }
    blocks
}

/// Every distinct latent space of the rows, with the largest number of clusters made from it.
fn spaces(rows: &[ScoredRow]) -> Vec<(LatentSpace, usize)> {
    let mut spaces: Vec<(LatentSpace, usize)> = Vec::new();
    for row in rows {
        let Some(space) = mean(&row.latent) else { continue };
        let groups = row.value("n_clusters").unwrap_or(0.0) as usize;
        match spaces.iter_mut().find(|(known, _)| known.step == space.step) {
            Some((_, most)) => *most = groups.max(*most),
            None => spaces.push((space, groups)),
        }
    }
    spaces
}

fn row(space: &LatentSpace) -> Row {
    let kl = space
        .total_kl
        .map_or_else(|| Cell::from("–"), |kl| Cell::from(format!("{kl:.2}")).valued(kl));
    Row::new(vec![
        figures::step(&space.step).into(),
        Cell::from(in_use(space)).valued(space.active),
        Cell::from(format!("{:.2}", space.effective_dimension)).valued(space.effective_dimension),
        kl,
    ])
}

/// The warning for a latent space that cannot hold that many clusters.
fn collapse(space: &LatentSpace, groups: usize) -> Option<Text> {
    let needed = (groups.max(1) as f64).ln();
    let kl = space.total_kl.filter(|kl| *kl < needed)?;
    let name = figures::step(&space.step);
    Some(Text::new().strong(format!("The posterior of {name} has collapsed.")).plain(format!(
        " Its latent code carries at most {kl:.2} nats per clip; {groups} clusters take up to ln {groups} = {needed:.2} nats \
         to distinguish."
    )))
}

/// The warning for all latent spaces with an effective dimension below 2. The largest share of the variance is at
/// least one over that dimension, so it is more than a half.
fn flat(spaces: &[(LatentSpace, usize)]) -> Option<Text> {
    let flat = spaces.iter().map(|(space, _)| space).filter(|it| it.effective_dimension < 2.0);
    let named =
        flat.map(|it| format!("{} ({:.2})", figures::step(&it.step), it.effective_dimension));
    let named: Vec<String> = named.collect();
    let names: Vec<&str> = named.iter().map(String::as_str).collect();
    (!names.is_empty()).then(|| {
        Text::new().strong("More than half of the variance lies along one direction").plain(
            format!(" where the effective dimension is below 2: {}. {SEGMENTS}", listed(&names)),
        )
    })
}
