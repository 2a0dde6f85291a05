//! Scores of steps that resample recordings themselves, such as probes of a representation.

use crate::{
    document::{Block, Cell, Column, Row, Table, Text},
    figures,
    quantities::count,
    resampled::Resampled,
    scores,
    sections::recordings::{HALF, draws, shown},
};
use cache::{
    Kind, Record, Store, StoreError,
    metric::{self, Metric, Score},
};
use std::collections::BTreeMap;

/// The level of intervals.
const LEVEL: f64 = 0.95;

/// The end of the name of a metric with folds that do not know recordings.
const RANDOM: &str = "_random";

/// The least excess of random folds that is mentioned.
const LEAK: f64 = 0.05;

/// A step with its scores in each variant, and their draws.
#[derive(Default)]
struct Probe {
    scores: BTreeMap<String, Vec<f64>>,
    metrics: Vec<Metric>,
    draws: BTreeMap<String, Vec<Resampled>>,
    sizes: Option<(u64, u64)>,
}

/// The section on probes; empty if there are none.
///
/// # Errors
/// When an artifact is missing from the store or damaged.
pub fn blocks(record: &Record, store: &Store) -> Result<Vec<Block>, StoreError> {
    let mut probes: Vec<(&str, Probe)> = Vec::new();
    for step in &record.steps {
        let outputs = (scores::output(step, Kind::Scores), scores::output(step, Kind::Resamples));
        let (Some(scores), Some(resamples)) = outputs else { continue };
        let base = cache::record::without_variant(&step.name);
        let at = probes.iter().position(|(name, _)| *name == base).unwrap_or(probes.len());
        if at == probes.len() {
            probes.push((base, Probe::default()));
        }
        let probe = &mut probes[at].1;
        let artifact = store.get(scores)?;
        let scores = artifact.as_table().and_then(|table| metric::scores(table, |_| None).ok());
        for Score { metric, value, .. } in scores.unwrap_or_default() {
            probe.scores.entry(metric.name.to_string()).or_default().push(value);
            if !probe.metrics.iter().any(|own| own.name == metric.name) {
                probe.metrics.push(metric);
            }
        }
        let artifact = store.get(resamples)?;
        for (name, it) in draws(&artifact) {
            probe.draws.entry(name).or_default().push(it);
        }
        let number = |name: &str| artifact.meta.get(name).and_then(|it| it.as_u64());
        probe.sizes = probe.sizes.or(number("clips").zip(number("recordings")));
    }
    Ok(section(&probes))
}

impl Probe {
    fn mean(&self, metric: &str) -> Option<f64> {
        let values = self.scores.get(metric)?;
        Some(values.iter().sum::<f64>() / values.len() as f64).filter(|mean| !mean.is_nan())
    }

    fn draws(&self, metric: &str) -> Option<Resampled> {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        Resampled::combine(&self.draws.get(metric)?.iter().collect::<Vec<_>>(), mean)
    }
}

fn section(probes: &[(&str, Probe)]) -> Vec<Block> {
    let Some((_, first)) = probes.first() else { return Vec::new() };
    let random = |metric: &Metric| format!("{}{RANDOM}", metric.name);
    let has_random = |metric: &Metric| first.metrics.iter().any(|it| *it.name == random(metric));
    let own: Vec<&Metric> = first.metrics.iter().filter(|metric| has_random(metric)).collect();
    let mut made = Table { columns: vec![Column::text("")], rows: Vec::new() };
    made.columns.extend(own.iter().map(|metric| Column::number(metric.heading())));
    let (mut some_half, mut leaks) = (false, Vec::new());
    for (name, probe) in probes {
        let name = figures::step(name);
        let mut cells: Vec<Cell> = vec![name.clone().into()];
        let mut beside: Vec<Cell> = vec!["with random folds".into()];
        for metric in &own {
            let (value, loose) = (probe.mean(&metric.name), probe.mean(&random(metric)));
            let text = match probe.draws(&metric.name) {
                Some(it) => shown(metric, &it, LEVEL, &mut some_half).0,
                None => metric.value(value),
            };
            cells.push(Cell { text: text.into(), value, id: None });
            beside.push(Cell { text: metric.value(loose).into(), value: loose, id: None });
        }
        made.rows.push(Row::new(cells));
        made.rows.push(Row { cells: beside, is_beside: true });
        let most = own.iter().filter_map(|metric| {
            let (value, loose) = (probe.mean(&metric.name)?, probe.mean(&random(metric))?);
            Some((metric, value, loose)).filter(|_| loose - value >= LEAK)
        });
        if let Some((metric, value, loose)) =
            most.max_by(|a, b| (a.2 - a.1).total_cmp(&(b.2 - b.1)))
        {
            // There are hardly more classes than recordings, so a guess is right at least this often.
            let chance = probe.sizes.map_or(0.0, |(_, recordings)| 1.0 / recordings.max(1) as f64);
            let why = match value < chance {
                true => {
                    "which is below chance: the classes hardly occur in more than one recording, so that these folds \
                     ask for classes of which the classifier has heard nothing. Neither number is about the features."
                }
                false => "the rest is recognised recordings.",
            };
            leaks.push(Text::from(format!(
                "{name}: {} would be {} with random folds, and is {} with folds of recordings{}{why}",
                metric.title,
                metric.value(Some(loose)),
                metric.value(Some(value)),
                if value < chance { ", " } else { ": " }
            )));
        }
    }
    let sizes = first.sizes.map_or_else(String::new, |(clips, recordings)| {
        format!(
            "{} of {}. ",
            count(clips as usize, "clip"),
            count(recordings as usize, "recording")
        )
    });
    let majority = first.mean("majority_accuracy").map_or_else(String::new, |share| {
        format!(" Calling every clip by the commonest class has an accuracy of {share:.3}.")
    });
    let mut text = format!(
        "{sizes}How well supervised classifiers (probes) read the classes from the features: where they do and clusters do \
         not follow the classes, the features hold the classes, but the clips differ more in something else.{majority} All \
         clips of a recording are in one fold; with random folds the classifier has heard other clips of the recordings \
         it is asked about. In brackets: the 95 % interval over recordings (BCa), the predictions as they are."
    );
    if some_half {
        text.push_str(HALF);
    }
    let heading = Block::Heading("What the features tell".to_owned());
    let mut blocks = vec![heading, Block::Table(made), Block::Paragraph(text.into())];
    if !leaks.is_empty() {
        blocks.push(Block::List(leaks));
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_that_ask_for_classes_nobody_has_heard_are_no_evidence() {
        let text = |grouped: f64| {
            let names = ["knn_accuracy", "knn_accuracy_random"];
            let scores = names.iter().zip([grouped, 0.8]);
            let probe = Probe {
                scores: scores.map(|(name, value)| ((*name).to_owned(), vec![value])).collect(),
                metrics: names.map(|name| Metric::new(name, "Accuracy")).to_vec(),
                draws: BTreeMap::new(),
                sizes: Some((300, 7)),
            };
            format!("{:?}", section(&[("probe", probe)]))
        };
        assert!(text(0.4).contains("the rest is recognised recordings"), "{}", text(0.4));
        assert!(text(0.02).contains("below chance"), "{}", text(0.02));
        assert!(!text(0.02).contains("recognised recordings"), "{}", text(0.02));
    }
}
