//! Caveats: the limits of what the numbers of this run show.

use crate::{
    document::{Block, Text},
    quantities::listed,
    scores::{ScoreTable, ScoredRow, sets},
    sections::{latent::SEGMENTS, published},
};
use cache::Record;
use std::collections::BTreeSet;

/// The caveats that apply; `lengths` are the remarks on the lengths of clips.
pub fn blocks(record: &Record, table: &ScoreTable, lengths: Vec<String>) -> Vec<Block> {
    let caveats = caveats(record, table, lengths);
    let caveats: Vec<Text> = caveats.iter().map(|it| Text::new().marked(it)).collect();
    if caveats.is_empty() {
        return Vec::new();
    }
    vec![Block::Heading("How to read these numbers".to_owned()), Block::List(caveats)]
}

fn caveats(record: &Record, table: &ScoreTable, lengths: Vec<String>) -> Vec<String> {
    let rows = &table.rows;
    let warnings = record.warnings.iter().map(|warning| sentence(warning, rows));
    if rows.iter().all(|row| row.values.is_empty()) {
        return warnings.collect();
    }
    let mut caveats: Vec<String> =
        sets::remarks(rows).iter().map(|it| sentence(it, rows)).collect();
    let geometric = table.columns.iter().filter(|it| it.direction.is_some() && !it.uses_labels);
    let geometric: Vec<&str> = geometric.map(|metric| &*metric.title).collect();
    let spaces: BTreeSet<_> = rows.iter().map(|row| &row.spaces).collect();
    if spaces.len() > 1 && !geometric.is_empty() {
        let (is, they_are) = match geometric.len() {
            1 => ("is", "It is"),
            _ => ("are", "They are"),
        };
        caveats.push(format!(
            "{} {is} measured in each row's own space. {they_are} not comparable between rows of different embeddings: a \
             space with fewer effective dimensions tends to score better without better clusters.",
            listed(&geometric)
        ));
    }
    // For models, the section on latent spaces covers this.
    for row in rows.iter().filter(|row| row.latent.is_empty()) {
        if let Some(dimension) =
            row.value("effective_dimension").filter(|dimension| *dimension < 2.0)
        {
            caveats.push(format!(
                "{}: the space has an effective dimension of {dimension:.2}, so more than half of its variance lies along \
                 one direction. {SEGMENTS}",
                row.title
            ));
        }
    }
    let random = record.steps.iter().any(|step| step.seed.is_some());
    if random && record.sweep.as_ref().is_none_or(|sweep| sweep.seeds.len() < 2) {
        caveats.push(match rows.len() {
            1 => "The numbers come from one initialisation (one seed): another seed may give other numbers.".to_owned(),
            _ => "The numbers come from one initialisation (one seed): differences between rows may be smaller than those \
                  between seeds."
                .to_owned(),
        });
    }
    caveats.extend(few_clips(table));
    caveats.extend(selection(record, table));
    caveats.extend(published::remarks(table));
    caveats.extend(lengths);
    caveats.extend(warnings);
    caveats
}

/// A remark as a sentence. The name of a row stays as it is.
fn sentence(remark: &str, rows: &[ScoredRow]) -> String {
    if rows.iter().any(|row| remark.starts_with(&format!("{}: ", row.title))) {
        return format!("{}.", remark.trim_end_matches('.'));
    }
    let mut letters = remark.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

/// The caveat that so few clips give a high agreement by chance, if that is not negligible.
fn few_clips(table: &ScoreTable) -> Option<String> {
    let metric = table.headline().filter(|metric| metric.uses_labels && metric.chance.is_some())?;
    let deviation = |row: &ScoredRow| row.value(&format!("{}_deviation", metric.name));
    let widest = table.rows.iter().filter_map(|row| Some((row, deviation(row)?)));
    let (row, deviation) = widest.max_by(|a, b| a.1.total_cmp(&b.1))?;
    let [clips, classes] = ["n_clips", "n_classes"].map(|it| row.value(it).unwrap_or(0.0));
    let (chance, width) = (metric.chance.unwrap_or(0.0), 2.0 * deviation);
    (width >= 0.02).then(|| {
        format!(
            "{clips} clips of {classes} classes are few: about 95 % of random clusterings with the same cluster sizes have \
             an {} within {chance} ± {width:.2}, so a value within this range is no evidence.",
            metric.title
        )
    })
}

/// The caveat that a point chosen by the labels is scored by the same labels.
fn selection(record: &Record, table: &ScoreTable) -> Option<String> {
    if record.sweep.as_ref().is_some_and(|sweep| !sweep.shown.is_empty()) {
        return None;
    }
    let objective = record.sweep.as_ref().and_then(|sweep| sweep.objective.as_deref());
    let by_labels = |row: &ScoredRow| {
        let mut metrics = table.columns.iter().filter(|metric| metric.uses_labels);
        metrics.any(|metric| row.value(&metric.name).is_some())
    };
    // Several rows may show the same point.
    let points: BTreeSet<String> = table
        .rows
        .iter()
        .filter(|row| !row.point.is_empty() && by_labels(row))
        .map(|row| format!("{:?}", row.point))
        .collect();
    let name = objective.map(|it| it.rsplit('.').next().unwrap_or(it));
    let uses_labels = match name {
        Some(name) => table.columns.iter().any(|it| it.uses_labels && it.name == name),
        None => points.len() > 1,
    };
    let by = objective.unwrap_or("its agreement with the labels");
    uses_labels.then(|| {
        format!(
            "The best of {} points by {by} is selected with the labels. Selecting by label agreement and reporting on \
             the same clips is optimistically biased: select on one part of the clips and report on another, or select \
             without labels.",
            points.len()
        )
    })
}
