//! The table of scores: its columns, and its rows, each with one title and one point over all
//! seeds.
//!
//! There is only one such table. All formats of the report, `results.csv`, and the commands that
//! refer to rows and cells read it from here, so that row numbers and values agree.

pub mod latent_space;
mod reader;
pub mod selection;
pub mod sets;
pub mod steps;

use crate::stats::{self, Estimate};
use cache::{
    Digest, Kind, Record, Store, StoreError,
    metric::Metric,
    record::{Published, Row, StepRecord, Sweep},
};
use latent_space::LatentSpace;
use rayon::prelude::*;
use reader::Reader;
use serde_json::Value;
use sets::Clips;
use std::collections::{BTreeMap, HashMap};
use steps::Steps;

/// Looks up metrics whose scores do not describe them.
pub type MetricLookup = fn(&str) -> Option<Metric>;

/// The table of scores.
#[derive(Default)]
pub struct ScoreTable {
    /// Its rows.
    pub rows: Vec<ScoredRow>,
    /// Its columns.
    pub columns: Vec<Metric>,
    /// True if the report shows no intervals over seeds.
    pub(crate) only_recordings: bool,
    /// The error of the store if a part of the table is missing.
    pub(crate) lost: Option<StoreError>,
}

/// Rows by the title that they share without their points, in the order of the table.
pub fn by_name<'r>(
    rows: impl IntoIterator<Item = &'r ScoredRow>,
) -> Vec<(&'r str, Vec<&'r ScoredRow>)> {
    let mut found: Vec<(&str, Vec<&ScoredRow>)> = Vec::new();
    for row in rows {
        match found.iter_mut().find(|(name, _)| *name == row.name) {
            Some((_, own)) => own.push(row),
            None => found.push((&row.name, vec![row])),
        }
    }
    found
}

/// A row of the table with its numbers.
#[derive(Clone, Debug, Default)]
pub struct ScoredRow {
    /// The title with the point of the sweep.
    pub title: String,
    /// The title alone.
    pub name: String,
    /// The point of the sweep: parameters and their values.
    pub point: Vec<(String, Value)>,
    /// The seeds of the row, with and without numbers.
    pub seeds: Vec<Seed>,
    /// The outputs that the scoring steps read as features.
    pub spaces: Vec<String>,
    /// The output that the scoring steps read as classes.
    pub truth: Option<String>,
    /// The mean over the seeds by metric; NaN where it is undefined.
    pub values: BTreeMap<String, f64>,
    /// The values by metric and seed, where they are defined.
    pub draws: BTreeMap<String, BTreeMap<u64, f64>>,
    /// The reasons for undefined values, by metric.
    pub notes: BTreeMap<String, String>,
    /// The scores of the Gaussian null reference, by metric; the mean over the seeds.
    pub reference: BTreeMap<String, f64>,
    /// The scores of chance and of other choices, by metric; the mean over the seeds.
    pub companion: BTreeMap<String, f64>,
    /// The latent spaces that were clustered, if models made them.
    pub latent: Vec<LatentSpace>,
    /// Published values by metric.
    pub paper: BTreeMap<String, f64>,
    /// The source of the published values.
    pub published: Published,
    /// The labels that the scoring steps evaluated, by seed.
    pub labels: BTreeMap<u64, Digest>,
    /// The clips that were scored, with their classes, by seed.
    pub clips: BTreeMap<u64, Clips>,
    /// The descriptions of its metrics, in the order of its scores.
    pub(crate) metrics: Vec<Metric>,
}

/// A repetition of a row.
#[derive(Clone, Debug, Default)]
pub struct Seed {
    /// The seed.
    pub seed: u64,
    /// The step that made the scores.
    pub step: String,
    /// The steps of the scores in other columns, by column.
    pub others: BTreeMap<String, String>,
    /// The reason why there are no scores.
    pub missing: Option<String>,
}

impl ScoredRow {
    /// The value of a metric, if it is defined.
    pub fn value(&self, metric: &str) -> Option<f64> {
        self.values.get(metric).copied().filter(|value| !value.is_nan())
    }

    /// A value for which larger is better, by which the row is ranked.
    pub fn rank(&self, metric: &Metric) -> Option<f64> {
        metric.rank(self.value(&metric.name)?)
    }

    /// True if every seed has the same step.
    pub fn is_fixed(&self) -> bool {
        self.seeds.iter().all(|seed| seed.step == self.seeds[0].step)
    }

    /// The estimate of a metric over all seeds, without an interval if no seed changes it.
    pub fn estimate(&self, metric: &str) -> Option<Estimate> {
        let draws: Vec<f64> = self.draws.get(metric)?.values().copied().collect();
        estimate(if self.is_fixed() { &draws[..1] } else { &draws })
    }

    /// The estimate as a table shows it.
    pub fn shown(&self, metric: &Metric) -> String {
        shown_estimate(self.estimate(&metric.name), metric)
    }

    /// The number of seeds with scores.
    pub fn scored(&self) -> usize {
        self.seeds.iter().filter(|seed| seed.missing.is_none()).count()
    }
}

/// The mean and 95 % interval of values over seeds, without an interval if all are equal.
pub fn estimate(draws: &[f64]) -> Option<Estimate> {
    match draws {
        [first, ..] if draws.iter().all(|draw| draw == first) => {
            Some(Estimate { mean: *first, half_width: None, n: draws.len() })
        }
        _ => stats::estimate(draws),
    }
}

/// Formats the mean and, for several seeds, half the width of the 95 % interval.
pub fn shown_estimate(estimate: Option<Estimate>, metric: &Metric) -> String {
    let mean = metric.value(estimate.map(|it| it.mean));
    let Some(half) = estimate.and_then(|it| it.half_width) else { return mean };
    let width = metric.value(Some(half));
    // A positive width must not be shown as zero.
    let is_small = half > 0.0 && width.chars().all(|letter| "0.".contains(letter));
    match metric.value(Some(0.1_f64.powi(metric.decimals as i32))) {
        least if is_small => format!("{mean} ± <{least}"),
        _ => format!("{mean} ± {width}"),
    }
}

impl ScoreTable {
    /// Reads the table of a run. A part that is missing from the store is noted with the reason.
    pub fn read(record: &Record, store: &Store, known: MetricLookup) -> Self {
        Self::read_with(record, store, known, false)
    }

    /// Reads the table with every rung of a successive halving and every specification of a
    /// multiverse, or only the last rung of each point and the specification that is shown.
    pub(crate) fn read_with(
        record: &Record,
        store: &Store,
        known: MetricLookup,
        every: bool,
    ) -> Self {
        let steps = Steps::of(record);
        let cells = cells(record, every);
        let read = |rows: &Vec<&Row>| Reader { record, steps: &steps, store, known }.row(rows);
        let mut table = Self { only_recordings: record.only_recordings, ..Self::default() };
        for (row, lost) in cells.par_iter().map(read).collect::<Vec<_>>() {
            table.lost = table.lost.or(lost);
            table.rows.push(row);
        }
        table.columns = columns(record, &table.rows, known);
        table
    }

    /// The headline metric: agreement with the labels, if there are any.
    pub fn headline(&self) -> Option<&Metric> {
        let has = |metric: &&Metric| self.rows.iter().any(|row| row.rank(metric).is_some());
        let mut ranked = self.columns.iter().filter(has);
        ranked.clone().find(|metric| metric.uses_labels).or_else(|| ranked.next())
    }

    /// The best row by the headline metric, among the largest set of rows that can be compared.
    pub fn best(&self) -> Option<(&ScoredRow, &Metric)> {
        let metric = self.headline()?;
        let sets = sets::of(&self.rows, metric.uses_labels);
        let scored = |set: &Vec<usize>| {
            set.iter().filter(|at| self.rows[**at].rank(metric).is_some()).count()
        };
        // The first of equal sets.
        let set = sets.iter().rev().max_by_key(|set| scored(set))?;
        let ranked =
            set.iter().filter_map(|at| Some((&self.rows[*at], self.rows[*at].rank(metric)?)));
        let ranked: Vec<_> = ranked.collect();
        let best = ranked.iter().rev().max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some((best.0, metric))
    }

    /// The title of a metric, also of one without a column.
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
                    known.insert(space.clone(), latent_space::read(space, &steps, store)?);
                }
                row.latent.extend(known[space].clone());
            }
        }
        Ok(self)
    }
}

/// The rows of a record that form each row of the table. For a successive halving only the last
/// rung of each point counts, and of a multiverse only what it shows, unless `every` is set.
fn cells(record: &Record, every: bool) -> Vec<Vec<&Row>> {
    let sweep = record.sweep.as_ref().filter(|_| !every);
    let resource = sweep;
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
        let is_hidden = sweep.is_some_and(|sweep| !is_shown(sweep, &row.point));
        if is_hidden || rung(row) < last[&(title, place(row, false))] {
            continue;
        }
        let point = place(row, true);
        // Two rows with the same title, point and seed are two rows of the table.
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

/// True if the table shows a point: all of them, except for a multiverse.
pub(crate) fn is_shown(sweep: &Sweep, point: &[(String, Value)]) -> bool {
    sweep.shown.is_empty() || point.iter().all(|axis| sweep.shown.contains(axis))
}

/// The columns that the pipeline asks for; by default those that are shown, those with a published
/// value, and the objective of a search.
fn columns(record: &Record, rows: &[ScoredRow], known: MetricLookup) -> Vec<Metric> {
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
        // A row without scores may still have published values.
        for name in rows.iter().flat_map(|row| row.paper.keys()) {
            if !columns.iter().any(|column| column.name == *name) {
                columns.push(named(name));
            }
        }
        columns
    } else {
        record.columns.iter().map(|name| named(name)).collect()
    };
    // Metrics of two steps may have the same title.
    let titles: Vec<_> = columns.iter().map(|it| it.title.clone()).collect();
    for column in &mut columns {
        if titles.iter().filter(|title| **title == column.title).count() > 1 {
            column.title = column.name.clone();
        }
    }
    columns
}

/// The last part of a parameter's name if it is unambiguous: `beta` for `vae.beta`.
pub fn short<'a>(record: &Record, axis: &'a str) -> &'a str {
    let last = |axis: &'a str| axis.rsplit('.').next().unwrap_or(axis);
    let axes = record.sweep.iter().flat_map(|sweep| &sweep.axes);
    let alike = axes.filter(|other| other.rsplit('.').next() == Some(last(axis))).count();
    if alike > 1 { axis } else { last(axis) }
}

/// Formats the value of a parameter.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(String::new, |number| number.to_string())
        }
        other => other.to_string(),
    }
}

/// The digest of the first output of a kind.
pub fn output(step: &StepRecord, kind: Kind) -> Option<&Digest> {
    let port = step.shapes.iter().find(|(_, shape)| shape.kind == kind)?.0;
    step.outputs.get(port)
}
