//! The scores behind the rows of the table.

use cache::{
    Digest, Kind, Record, Store, StoreError,
    record::{Row, StepRecord},
};
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
    /// What a cloud without clusters scores, by metric.
    pub reference: BTreeMap<String, f64>,
    /// The latent space that was clustered, if a model made it.
    pub latent: Option<LatentSpace>,
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

/// What is known of the space that a row's numbers live in, if a model made it.
#[derive(Clone, Debug)]
pub struct LatentSpace {
    /// The step that made it.
    pub step: String,
    /// Units in use, of how many.
    pub active: (usize, usize),
    /// The participation ratio of the covariance of the latent means.
    pub effective_dimension: f64,
    /// All that the latent can carry, in nats a clip; only for variational models.
    pub total_kl: Option<f64>,
}

/// Reads the scores of every row.
pub fn rows(record: &Record, store: &Store) -> Result<Vec<ScoredRow>, StoreError> {
    record.table.iter().map(|row| read(row, record, store)).collect()
}

fn read(row: &Row, record: &Record, store: &Store) -> Result<ScoredRow, StoreError> {
    let step = record.step(&row.scores);
    let space = step.and_then(|step| step.inputs.get("features").cloned());
    let scores = values(step, store)?;
    let reference = row.reference.as_ref().and_then(|name| record.step(name));
    Ok(ScoredRow {
        title: row.title.clone(),
        step: row.scores.clone(),
        latent: latent(space.as_deref(), record, store)?,
        space,
        missing: scores.is_none().then(|| {
            step.map_or_else(|| "there is no such step".to_owned(), |step| step.reason.clone())
        }),
        reference: values(reference, store)?.map(|(values, _)| values).unwrap_or_default(),
        paper: row.paper.clone(),
        values: scores.iter().flat_map(|(values, _)| values.clone()).collect(),
        notes: scores.into_iter().flat_map(|(_, notes)| notes).collect(),
    })
}

/// Values and notes by metric.
pub type Values = (BTreeMap<String, f64>, BTreeMap<String, String>);

/// Values and notes by metric, if the step has them.
pub fn values(step: Option<&StepRecord>, store: &Store) -> Result<Option<Values>, StoreError> {
    let Some(digest) = step.and_then(|step| output(step, Kind::Scores)) else { return Ok(None) };
    let artifact = store.get(digest)?;
    let table = artifact.as_table();
    let column = |name| table.and_then(|table| table.text(name)).unwrap_or_default();
    let values = table.and_then(|table| table.reals("value")).unwrap_or_default();
    let metrics = column("metric").iter();
    let noted = metrics.clone().zip(column("note")).filter(|(_, note)| !note.is_empty());
    Ok(Some((
        metrics.clone().cloned().zip(values.iter().copied()).collect(),
        noted.map(|(metric, note)| (metric.clone(), note.clone())).collect(),
    )))
}

/// The latent space of that output, if its step also made diagnostics of one.
fn latent(
    space: Option<&str>,
    record: &Record,
    store: &Store,
) -> Result<Option<LatentSpace>, StoreError> {
    let step = space.and_then(|space| record.step(space.rsplit_once('.')?.0));
    let Some((step, digest)) = step.and_then(|step| Some((step, output(step, Kind::Diagnostics)?)))
    else {
        return Ok(None);
    };
    let artifact = store.get(digest)?;
    let number = |name| artifact.meta.get(name).and_then(serde_json::Value::as_f64);
    let units = artifact.as_table().map_or(0, cache::Table::rows);
    let active = number("active_units");
    Ok(active.zip(number("effective_dimension")).map(|(active, effective_dimension)| LatentSpace {
        step: step.name.clone(),
        active: (active as usize, units),
        effective_dimension,
        total_kl: number("total_kl"),
    }))
}

/// The first output of a kind.
fn output(step: &StepRecord, kind: Kind) -> Option<&Digest> {
    let port = step.shapes.iter().find(|(_, shape)| shape.kind == kind)?.0;
    step.outputs.get(port)
}
