//! The scores behind the rows of the table.

use cache::{Kind, Record, Store, StoreError};
use std::collections::BTreeMap;

/// A row of the table with its numbers.
#[derive(Clone, Debug)]
pub struct ScoredRow {
    /// Its title.
    pub title: String,
    /// The step that made the numbers.
    pub step: String,
    /// Where the numbers live: what the scoring step read as features.
    pub space: Option<String>,
    /// Value by metric; NaN where it is not defined.
    pub values: BTreeMap<String, f64>,
    /// Why a value is not defined, by metric.
    pub notes: BTreeMap<String, String>,
    /// Published values by metric.
    pub paper: BTreeMap<String, f64>,
    /// Why there are no numbers.
    pub missing: Option<String>,
}

impl ScoredRow {
    /// The value of a metric, if it is there and defined.
    pub fn value(&self, metric: &str) -> Option<f64> {
        self.values.get(metric).copied().filter(|value| !value.is_nan())
    }
}

/// Reads the scores of every row.
pub fn rows(record: &Record, store: &Store) -> Result<Vec<ScoredRow>, StoreError> {
    record
        .table
        .iter()
        .map(|row| {
            let step = record.step(&row.scores);
            let mut scored = ScoredRow {
                title: row.title.clone(),
                step: row.scores.clone(),
                space: step.and_then(|step| step.inputs.get("features").cloned()),
                values: BTreeMap::new(),
                notes: BTreeMap::new(),
                paper: row.paper.clone(),
                missing: None,
            };
            let output = step.and_then(|step| {
                let of_scores = |port: &&String| {
                    step.shapes.get(*port).is_some_and(|shape| shape.kind == Kind::Scores)
                };
                step.outputs.keys().find(of_scores).and_then(|port| step.outputs.get(port))
            });
            let Some(digest) = output else {
                scored.missing = Some(
                    step.map_or_else(|| "no such step".to_owned(), |step| step.reason.clone()),
                );
                return Ok(scored);
            };
            let artifact = store.get(digest)?;
            let table = artifact.as_table();
            let column = |name| table.and_then(|table| table.text(name)).unwrap_or_default();
            let values = table.and_then(|table| table.reals("value")).unwrap_or_default();
            for (index, metric) in column("metric").iter().enumerate() {
                scored.values.insert(metric.clone(), values[index]);
                let note = column("note").get(index).filter(|note| !note.is_empty());
                if let Some(note) = note {
                    scored.notes.insert(metric.clone(), note.clone());
                }
            }
            Ok(scored)
        })
        .collect()
}
