//! The latent spaces of models: how much they carry, and in how many directions.

use crate::{
    escape,
    scores::{LatentSpace, ScoredRow},
};
use std::fmt::Write;

/// Writes a line for each latent space, and a warning for each that has collapsed.
pub fn write(text: &mut String, rows: &[ScoredRow]) {
    let mut spaces: Vec<(&LatentSpace, usize)> = Vec::new();
    for row in rows {
        let groups = row.value("n_clusters").unwrap_or(0.0) as usize;
        match (
            &row.latent,
            spaces
                .iter_mut()
                .find(|(space, _)| row.latent.as_ref().is_some_and(|own| own.step == space.step)),
        ) {
            (Some(_), Some((_, most))) => *most = groups.max(*most),
            (Some(space), None) => spaces.push((space, groups)),
            (None, _) => {}
        }
    }
    if spaces.is_empty() {
        return;
    }
    text.push_str(
        "## Latent spaces\n\n| Step | Units in use | Effective dimension | KL, nats a clip |\n|:--|--:|--:|--:|\n",
    );
    for (space, _) in &spaces {
        let (active, units) = space.active;
        let kl = space.total_kl.map_or_else(|| "–".to_owned(), |kl| format!("{kl:.2}"));
        let _ = writeln!(
            text,
            "| {} | {active} of {units} | {:.2} | {kl} |",
            escape::code(&space.step),
            space.effective_dimension
        );
    }
    text.push_str(
        "\nEffective dimension: (Σλ)² / Σλ² over the eigenvalues of the covariance of the latent means. KL: all that the \
         latent of a clip can say of it.\n\n",
    );
    for (space, groups) in &spaces {
        if let Some(warning) = collapse(space, *groups) {
            let _ = write!(text, "{warning}\n\n");
        }
    }
}

/// What is wrong with a latent space that cannot hold that many groups.
fn collapse(space: &LatentSpace, groups: usize) -> Option<String> {
    let needed = (groups.max(1) as f64).ln();
    let starved = space.total_kl.filter(|kl| *kl < needed);
    let flat = space.effective_dimension < 2.0;
    let step = escape::code(&space.step);
    let mut text = match (starved, flat) {
        (None, false) => return None,
        (Some(_), _) => format!("**The posterior of {step} has collapsed.**"),
        (None, true) => format!("**{step} holds little more than a line.**"),
    };
    if let Some(kl) = starved {
        let _ = write!(
            text,
            " A clip's latent carries {kl:.2} nats; to tell {groups} groups apart takes up to ln {groups} = {needed:.2}."
        );
    }
    if flat {
        let _ = write!(text, " Its effective dimension is {:.2}.", space.effective_dimension);
    }
    text.push_str(
        " The clusters cut this line into pieces, which Silhouette, CH and DB reward although there is nothing between \
         the pieces.",
    );
    Some(text)
}
