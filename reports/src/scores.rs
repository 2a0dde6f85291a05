//! The scores behind the rows of the table: those of one title and one point, over all seeds.

use crate::{
    latent::{self, LatentSpace},
    steps::Steps,
};
use cache::{
    Digest, Kind, Record, Store, StoreError,
    record::{Row, StepRecord},
};
use rayon::prelude::*;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// A row of the table with its numbers.
#[derive(Clone, Debug, Default)]
pub struct ScoredRow {
    /// Its title, and where in the sweep it is.
    pub title: String,
    /// Its title alone.
    pub name: String,
    /// The point of the sweep: what varies, and its values.
    pub point: Vec<(String, Value)>,
    /// The steps that made the numbers, one a seed or one for all.
    pub steps: Vec<String>,
    /// Where the numbers live: what the scoring steps read as features.
    pub spaces: Vec<String>,
    /// Mean over the seeds by metric; NaN where it is not defined.
    pub values: BTreeMap<String, f64>,
    /// Value by metric and seed, where it is defined.
    pub draws: BTreeMap<String, BTreeMap<u64, f64>>,
    /// Why a value is not defined, by metric.
    pub notes: BTreeMap<String, String>,
    /// What a cloud without clusters scores, by metric; the mean over the seeds.
    pub reference: BTreeMap<String, f64>,
    /// What chance and other choices give, by metric; the mean over the seeds.
    pub companion: BTreeMap<String, f64>,
    /// The latent spaces that were clustered, if models made them.
    pub latent: Vec<LatentSpace>,
    /// Published values by metric.
    pub paper: BTreeMap<String, f64>,
    /// The seeds that were to be run.
    pub seeds: Vec<u64>,
    /// The seeds without numbers, and why there are none.
    pub missing: BTreeMap<u64, String>,
    /// The labels that the scoring steps judged, by seed.
    pub labels: BTreeMap<u64, Digest>,
}

impl ScoredRow {
    /// The value of a metric, if it is there and defined.
    pub fn value(&self, metric: &str) -> Option<f64> {
        self.values.get(metric).copied().filter(|value| !value.is_nan())
    }

    /// The values of a metric over the seeds; one where no seed changes it.
    pub fn draws(&self, metric: &str) -> Vec<f64> {
        let draws = self.draws.get(metric).into_iter().flat_map(BTreeMap::values).copied();
        draws.take(if self.is_fixed() { 1 } else { usize::MAX }).collect()
    }

    /// Whether it is the same step for every seed.
    pub fn is_fixed(&self) -> bool {
        self.steps.len() == 1
    }
}

/// Reads the scores of every row; those of one title and one point are one.
pub fn rows(record: &Record, store: &Store) -> Result<Vec<ScoredRow>, StoreError> {
    let mut cells: Vec<Vec<&Row>> = Vec::new();
    let mut known: HashMap<(&str, String, usize), usize> = HashMap::new();
    let mut given: HashMap<(&str, String, u64), usize> = HashMap::new();
    for row in &record.table {
        let point: Vec<String> =
            row.point.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
        let (title, point) = (row.title.as_str(), point.join(" "));
        // Two rows of one seed are two rows, however alike their titles are.
        let times = given.entry((title, point.clone(), row.seed)).or_default();
        let cell = *known.entry((title, point, *times)).or_insert(cells.len());
        *times += 1;
        if cell == cells.len() {
            cells.push(Vec::new());
        }
        cells[cell].push(row);
    }
    let steps = Steps::of(record);
    // Many rows cut one space: each share of them reads it once.
    let share = cells.len().div_ceil(rayon::current_num_threads()).max(1);
    let shares = cells.par_chunks(share).map(|cells| {
        let mut spaces = HashMap::new();
        cells.iter().map(|rows| read(rows, record, &steps, &mut spaces, store)).collect()
    });
    let shares: Vec<Result<Vec<ScoredRow>, StoreError>> = shares.collect();
    Ok(shares.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
}

fn read(
    rows: &[&Row],
    record: &Record,
    steps: &Steps<'_>,
    spaces: &mut HashMap<String, Option<LatentSpace>>,
    store: &Store,
) -> Result<ScoredRow, StoreError> {
    let first = rows[0];
    let point: Vec<_> = first
        .point
        .iter()
        .map(|(axis, value)| format!("{} = {}", short(record, axis), shown(value)))
        .collect();
    let mut read = ScoredRow {
        title: match &point[..] {
            [] => first.title.clone(),
            point => format!("{} ({})", first.title, point.join(", ")),
        },
        name: first.title.clone(),
        point: first.point.clone(),
        paper: first.paper.clone(),
        seeds: rows.iter().map(|row| row.seed).collect(),
        ..ScoredRow::default()
    };
    let (mut references, mut companions) = (Draws::new(), Draws::new());
    for row in rows {
        let step = steps.get(&row.scores);
        let known = read.steps.contains(&row.scores);
        if !known {
            read.steps.push(row.scores.clone());
        }
        let input = |port: &str| step.and_then(|step| step.inputs.get(port));
        if let Some(labels) = input("clusters").and_then(|source| output_named(steps, source)) {
            read.labels.insert(row.seed, *labels);
        }
        if let Some(space) = input("features").filter(|space| !read.spaces.contains(space)) {
            read.spaces.push(space.clone());
            if !spaces.contains_key(space) {
                spaces.insert(space.clone(), latent::read(space, steps, store)?);
            }
            read.latent.extend(spaces[space].clone());
        }
        let Some((values, notes)) = values(step, store)? else {
            let why = step.map_or("there is no such step", |step| step.reason.as_str());
            read.missing.insert(row.seed, why.to_owned());
            continue;
        };
        for (metric, value) in values {
            read.values.entry(metric.clone()).or_insert(f64::NAN);
            if !value.is_nan() {
                read.draws.entry(metric).or_default().insert(row.seed, value);
            }
        }
        read.notes.extend(notes);
        if !known {
            gather(&mut references, row.reference.as_deref(), steps, store)?;
            gather(&mut companions, row.companion.as_deref(), steps, store)?;
        }
    }
    for (metric, draws) in &read.draws {
        let draws: Vec<f64> = draws.values().copied().collect();
        read.values.insert(metric.clone(), mean(&draws));
    }
    let means = |draws: Draws| draws.into_iter().map(|(metric, it)| (metric, mean(&it))).collect();
    (read.reference, read.companion) = (means(references), means(companions));
    Ok(read)
}

/// Values by metric, one a seed.
type Draws = BTreeMap<String, Vec<f64>>;

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Adds the defined values of a step, if there is one.
fn gather(
    draws: &mut Draws,
    step: Option<&str>,
    steps: &Steps<'_>,
    store: &Store,
) -> Result<(), StoreError> {
    let found = values(step.and_then(|name| steps.get(name)), store)?.map(|(values, _)| values);
    for (metric, value) in found.into_iter().flatten().filter(|(_, value)| !value.is_nan()) {
        draws.entry(metric).or_default().push(value);
    }
    Ok(())
}

/// The last part of a parameter's name, where that is clear: `beta` of `vae.beta`.
pub fn short<'a>(record: &Record, axis: &'a str) -> &'a str {
    let last = |axis: &'a str| axis.rsplit('.').next().unwrap_or(axis);
    let axes = record.sweep.iter().flat_map(|sweep| &sweep.axes);
    let alike = axes.filter(|other| other.rsplit('.').next() == Some(last(axis))).count();
    if alike > 1 { axis } else { last(axis) }
}

/// A value of a parameter as a reader writes it.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(String::new, |number| number.to_string())
        }
        other => other.to_string(),
    }
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

/// The first output of a kind.
pub fn output(step: &StepRecord, kind: Kind) -> Option<&Digest> {
    let port = step.shapes.iter().find(|(_, shape)| shape.kind == kind)?.0;
    step.outputs.get(port)
}

/// The output that `step.port` names.
fn output_named<'r>(steps: &Steps<'r>, source: &str) -> Option<&'r Digest> {
    let (step, port) = source.rsplit_once('.')?;
    steps.get(step)?.outputs.get(port)
}
