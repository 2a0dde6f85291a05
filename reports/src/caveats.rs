//! What these very numbers can and cannot tell.

use crate::{
    document::{Block, Text},
    scores::ScoredRow,
};
use cache::Record;
use std::collections::BTreeSet;

/// The number of clips in the published study.
const PUBLISHED_CLIPS: f64 = 6705.0;

/// The caveats that apply.
pub fn blocks(record: &Record, rows: &[ScoredRow]) -> Vec<Block> {
    let caveats: Vec<Text> = caveats(record, rows).into_iter().map(Text::from).collect();
    if caveats.is_empty() {
        return Vec::new();
    }
    vec![Block::Heading("How to read these numbers".to_owned()), Block::List(caveats)]
}

fn caveats(record: &Record, rows: &[ScoredRow]) -> Vec<String> {
    let warnings = record.warnings.iter().cloned();
    if rows.iter().all(|row| row.values.is_empty()) {
        return warnings.collect();
    }
    let mut caveats = Vec::new();
    let spaces: BTreeSet<_> = rows.iter().filter_map(|row| row.space.as_ref()).collect();
    if spaces.len() > 1 {
        caveats.push(
            "Silhouette, CH and DB are measured in each row's own space. Between rows of different embeddings they \
             do not compare: a space with fewer effective dimensions scores better without any better groups."
                .to_owned(),
        );
    }
    // Of models, the section on latent spaces says it.
    for row in rows.iter().filter(|row| row.latent.is_none()) {
        if let Some(dimension) =
            row.value("effective_dimension").filter(|dimension| *dimension < 2.0)
        {
            caveats.push(format!(
                "{}: the cloud has effective dimension {dimension:.2}. The groups cut a line into pieces, which \
                 intrinsic metrics reward.",
                row.title
            ));
        }
    }
    let seeds: BTreeSet<_> = record.steps.iter().filter_map(|step| step.seed).collect();
    if seeds.len() == 1 {
        caveats.push(
            "One seed is one draw: differences between rows may be smaller than those between seeds.".to_owned(),
        );
    }
    let compared = rows.iter().any(|row| !row.paper.is_empty());
    let clips = rows.iter().find_map(|row| row.value("n_clips"));
    if let Some(clips) = clips.filter(|clips| compared && *clips != PUBLISHED_CLIPS) {
        caveats.push(format!(
            "The published values are of {PUBLISHED_CLIPS} clips of IRMAS; these are of {clips} clips, so the two \
             lines are not a comparison."
        ));
    }
    caveats.extend(warnings);
    caveats
}
