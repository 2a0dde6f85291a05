//! What these very numbers can and cannot tell.

use crate::{
    document::{Block, Text},
    scores::ScoredRow,
    table::METRICS,
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
    let spaces: BTreeSet<_> = rows.iter().map(|row| &row.spaces).collect();
    if spaces.len() > 1 {
        caveats.push(
            "Silhouette, CH and DB are measured in each row's own space. Between rows of different embeddings they \
             do not compare: a space with fewer effective dimensions scores better without any better groups."
                .to_owned(),
        );
    }
    // Of models, the section on latent spaces says it.
    for row in rows.iter().filter(|row| row.latent.is_empty()) {
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
    let random = record.steps.iter().any(|step| step.seed.is_some());
    if random && record.sweep.as_ref().is_none_or(|sweep| sweep.seeds.len() < 2) {
        caveats.push(
            "One seed is one draw: differences between rows may be smaller than those between seeds.".to_owned(),
        );
    }
    caveats.extend(selection(record, rows));
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

/// That a point chosen by the labels is reported by the same labels.
fn selection(record: &Record, rows: &[ScoredRow]) -> Option<String> {
    let objective = record.sweep.as_ref().and_then(|sweep| sweep.objective.as_deref());
    let labelled = |row: &&ScoredRow| {
        !row.point.is_empty()
            && METRICS.iter().any(|it| it.by_labels && row.value(it.name).is_some())
    };
    let points = rows.iter().filter(labelled).count();
    let by = match objective {
        Some(metric) => metric.to_owned(),
        None if points > 1 => "its agreement with the labels".to_owned(),
        None => return None,
    };
    let labels = objective
        .is_none_or(|metric| METRICS.iter().any(|it| it.by_labels && metric.ends_with(it.name)));
    labels.then(|| {
        format!(
            "Whoever picks the best of {points} points by {by} has used the labels, and the same clips then judge the \
             choice: the score of the picked point is too high. Pick on one part of the clips and report on another, \
             or pick without labels."
        )
    })
}
