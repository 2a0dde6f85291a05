//! The table of scores: its rows, those of one title and one point over all seeds, and its columns.
//!
//! There is one. The report in all its forms, `results.csv`, and the commands that speak of rows and
//! cells read it from here, so that row 3 is row 3 and a number is a number wherever it stands.

use crate::{
    latent::{self, LatentSpace},
    read::Reader,
    sets::Clips,
    stats::{self, Estimate},
    steps::Steps,
};
use cache::{
    Digest, Kind, Record, Store, StoreError,
    metric::Metric,
    record::{Published, Row, StepRecord},
};
use rayon::prelude::*;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// What is known of metrics whose scores do not say it themselves.
pub type Known = fn(&str) -> Option<Metric>;

/// The table.
#[derive(Default)]
pub struct ScoreTable {
    /// Its rows.
    pub rows: Vec<ScoredRow>,
    /// Its columns.
    pub columns: Vec<Metric>,
    /// What the store has lost of it.
    pub(crate) lost: Option<StoreError>,
}

/// A row of the table with its numbers.
#[derive(Clone, Debug, Default)]
pub struct ScoredRow {
    /// Its title, and where in the sweep it is.
    pub title: String,
    /// Its title alone.
    pub name: String,
    /// The point of the sweep: what varies, and its values.
    pub point: Vec<(String, Value)>,
    /// The seeds that were to be run.
    pub seeds: Vec<Seed>,
    /// Where the numbers live: what the scoring steps read as features.
    pub spaces: Vec<String>,
    /// What the scoring steps read as classes.
    pub truth: Option<String>,
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
    /// Where they are from.
    pub published: Published,
    /// The labels that the scoring steps judged, by seed.
    pub labels: BTreeMap<u64, Digest>,
    /// The clips that were scored, and their classes, by seed.
    pub clips: BTreeMap<u64, Clips>,
    /// What its metrics are, in the order of its scores.
    pub(crate) metrics: Vec<Metric>,
}

/// A repetition of a row.
#[derive(Clone, Debug, Default)]
pub struct Seed {
    /// The seed.
    pub seed: u64,
    /// The step that made the numbers.
    pub step: String,
    /// The steps that made those of other columns, by column.
    pub others: BTreeMap<String, String>,
    /// Why there are none.
    pub missing: Option<String>,
}

impl ScoredRow {
    /// The value of a metric, if it is there and defined.
    pub fn value(&self, metric: &str) -> Option<f64> {
        self.values.get(metric).copied().filter(|value| !value.is_nan())
    }

    /// A value that is larger the better, by which the row is ranked.
    pub fn rank(&self, metric: &Metric) -> Option<f64> {
        metric.rank(self.value(&metric.name)?)
    }

    /// Whether it is the same step for every seed.
    pub fn is_fixed(&self) -> bool {
        self.seeds.iter().all(|seed| seed.step == self.seeds[0].step)
    }

    /// What all seeds say of a metric; no interval where no seed changes it.
    pub fn estimate(&self, metric: &str) -> Option<Estimate> {
        let draws: Vec<f64> = self.draws.get(metric)?.values().copied().collect();
        estimate(if self.is_fixed() { &draws[..1] } else { &draws })
    }

    /// The estimate as a table shows it.
    pub fn shown(&self, metric: &Metric) -> String {
        shown_estimate(self.estimate(&metric.name), metric)
    }

    /// How many seeds have numbers.
    pub fn scored(&self) -> usize {
        self.seeds.iter().filter(|seed| seed.missing.is_none()).count()
    }
}

/// Mean and 95 % interval of values over seeds; no interval where all of them are the same.
pub fn estimate(draws: &[f64]) -> Option<Estimate> {
    match draws {
        [first, ..] if draws.iter().all(|draw| draw == first) => {
            Some(Estimate { mean: *first, half_width: None, n: draws.len() })
        }
        _ => stats::estimate(draws),
    }
}

/// Mean and, of several seeds, half the width of the 95 % interval.
pub fn shown_estimate(estimate: Option<Estimate>, metric: &Metric) -> String {
    let mean = metric.value(estimate.map(|it| it.mean));
    let Some(half) = estimate.and_then(|it| it.half_width) else { return mean };
    let width = metric.value(Some(half));
    // A width that is rounded to nothing is not nothing.
    let is_small = half > 0.0 && width.chars().all(|letter| "0.".contains(letter));
    match metric.value(Some(0.1_f64.powi(metric.decimals as i32))) {
        least if is_small => format!("{mean} ± <{least}"),
        _ => format!("{mean} ± {width}"),
    }
}

impl ScoreTable {
    /// Reads the table of a run. What the store has lost is missing with the reason.
    pub fn read(record: &Record, store: &Store, known: Known) -> Self {
        Self::read_with(record, store, known, false)
    }

    /// The same, with every rung of a search by halving or only the last one of each point.
    pub(crate) fn read_with(
        record: &Record,
        store: &Store,
        known: Known,
        every_rung: bool,
    ) -> Self {
        let steps = Steps::of(record);
        let cells = cells(record, every_rung);
        let read = |rows: &Vec<&Row>| Reader { record, steps: &steps, store, known }.row(rows);
        let mut table = Self::default();
        for (row, lost) in cells.par_iter().map(read).collect::<Vec<_>>() {
            table.lost = table.lost.or(lost);
            table.rows.push(row);
        }
        table.columns = columns(record, &table.rows, known);
        table
    }

    /// The metric that the report speaks of first: agreement with the labels, where there are any.
    pub fn headline(&self) -> Option<&Metric> {
        let has = |metric: &&Metric| self.rows.iter().any(|row| row.rank(metric).is_some());
        let mut ranked = self.columns.iter().filter(has);
        ranked.clone().find(|metric| metric.uses_labels).or_else(|| ranked.next())
    }

    /// The row that is best by the metric that the report speaks of first, among the largest set of
    /// rows that compare.
    pub fn best(&self) -> Option<(&ScoredRow, &Metric)> {
        let metric = self.headline()?;
        let sets = crate::sets::of(&self.rows, metric.uses_labels);
        let scored = |set: &Vec<usize>| {
            set.iter().filter(|at| self.rows[**at].rank(metric).is_some()).count()
        };
        // Of equals the first.
        let set = sets.iter().rev().max_by_key(|set| scored(set))?;
        let ranked =
            set.iter().filter_map(|at| Some((&self.rows[*at], self.rows[*at].rank(metric)?)));
        let ranked: Vec<_> = ranked.collect();
        let best = ranked.iter().rev().max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some((best.0, metric))
    }

    /// The title of a metric, whether it is a column or not.
    pub fn title_of<'t>(&'t self, name: &'t str) -> &'t str {
        let metrics = self.rows.iter().flat_map(|row| &row.metrics).chain(&self.columns);
        metrics.into_iter().find(|metric| metric.name == name).map_or(name, |it| &it.title)
    }

    /// Reads the latent spaces that were clustered.
    pub(crate) fn with_latent(
        mut self,
        record: &Record,
        store: &Store,
    ) -> Result<Self, StoreError> {
        let (steps, mut known) = (Steps::of(record), HashMap::new());
        for row in &mut self.rows {
            for space in &row.spaces {
                if !known.contains_key(space) {
                    known.insert(space.clone(), latent::read(space, &steps, store)?);
                }
                row.latent.extend(known[space].clone());
            }
        }
        Ok(self)
    }
}

/// The rows of a record that are one row of the table. Under halving those of the last rung of each
/// point, whatever it came to.
fn cells(record: &Record, every_rung: bool) -> Vec<Vec<&Row>> {
    let resource = record.sweep.as_ref().filter(|_| !every_rung);
    let resource = resource.and_then(|sweep| sweep.resource.as_deref());
    let place = |row: &Row, all: bool| {
        let axes = row.point.iter().filter(|(axis, _)| all || Some(axis.as_str()) != resource);
        axes.map(|(axis, value)| format!("{axis}={value}")).collect::<Vec<_>>().join(" ")
    };
    let rung = |row: &Row| {
        let axis = row.point.iter().find(|(axis, _)| Some(axis.as_str()) == resource);
        axis.and_then(|(_, value)| value.as_f64()).unwrap_or(0.0)
    };
    let mut last: HashMap<(&str, String), f64> = HashMap::new();
    for row in &record.table {
        let most = last.entry((&row.title, place(row, false))).or_insert(f64::NEG_INFINITY);
        *most = most.max(rung(row));
    }
    let mut cells: Vec<Vec<&Row>> = Vec::new();
    let mut known: HashMap<(&str, String, usize), usize> = HashMap::new();
    let mut given: HashMap<(&str, String, u64), usize> = HashMap::new();
    for row in &record.table {
        let title = row.title.as_str();
        if rung(row) < last[&(title, place(row, false))] {
            continue;
        }
        let point = place(row, true);
        // Two rows of one seed are two rows, however alike their titles are.
        let times = given.entry((title, point.clone(), row.seed)).or_default();
        let cell = *known.entry((title, point, *times)).or_insert(cells.len());
        *times += 1;
        if cell == cells.len() {
            cells.push(Vec::new());
        }
        cells[cell].push(row);
    }
    cells
}

/// The columns that the pipeline asks for; else those that the scores show, that have a published
/// value, or that a search went by.
fn columns(record: &Record, rows: &[ScoredRow], known: Known) -> Vec<Metric> {
    let mut metrics: Vec<&Metric> = Vec::new();
    for metric in rows.iter().flat_map(|row| &row.metrics) {
        if !metrics.iter().any(|other| other.name == metric.name) {
            metrics.push(metric);
        }
    }
    let find = |name: &str| metrics.iter().find(|it| it.name == name).map(|it| (*it).clone());
    let named =
        |name: &str| find(name).or_else(|| known(name)).unwrap_or_else(|| Metric::named(name));
    let mut columns: Vec<Metric> = if record.columns.is_empty() {
        let objective = record.sweep.as_ref().and_then(|sweep| sweep.objective.as_deref());
        let objective = objective.and_then(|objective| objective.rsplit('.').next());
        let published = |name: &str| rows.iter().any(|row| row.paper.contains_key(name));
        let is_column = |metric: &&&Metric| {
            metric.is_shown || published(&metric.name) || Some(&*metric.name) == objective
        };
        let mut columns: Vec<Metric> =
            metrics.iter().filter(is_column).map(|it| (*it).clone()).collect();
        // A row without numbers still has published ones.
        for name in rows.iter().flat_map(|row| row.paper.keys()) {
            if !columns.iter().any(|column| column.name == *name) {
                columns.push(named(name));
            }
        }
        columns
    } else {
        record.columns.iter().map(|name| named(name)).collect()
    };
    // Metrics of two steps may have one title.
    let titles: Vec<_> = columns.iter().map(|it| it.title.clone()).collect();
    for column in &mut columns {
        if titles.iter().filter(|title| **title == column.title).count() > 1 {
            column.title = column.name.clone();
        }
    }
    columns
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

/// The first output of a kind.
pub fn output(step: &StepRecord, kind: Kind) -> Option<&Digest> {
    let port = step.shapes.iter().find(|(_, shape)| shape.kind == kind)?.0;
    step.outputs.get(port)
}
