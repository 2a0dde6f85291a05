//! The numbers of a run's table, for the terminal: cells, and what several seeds say together.

use cache::{
    Kind, Record, Store,
    record::{Row, StepRecord},
};
use reports::{
    METRICS, Metric,
    stats::{Estimate, estimate},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// A line of the table: a title, perhaps at a point of a sweep.
pub struct Line {
    /// The title, with the point if there is one.
    pub title: String,
    /// One entry for each seed, in the order of the record.
    pub seeds: Vec<Scored>,
}

/// What one seed gave.
pub struct Scored {
    /// The seed.
    pub seed: u64,
    /// The step that made the numbers.
    pub step: String,
    /// Value by metric, those that are defined.
    pub values: BTreeMap<String, f64>,
    /// Why there are none.
    pub missing: Option<String>,
}

impl Line {
    /// The values of a metric, with the seeds that gave them.
    pub fn values(&self, metric: &str) -> Vec<(u64, f64)> {
        let value = |scored: &Scored| Some((scored.seed, *scored.values.get(metric)?));
        self.seeds.iter().filter_map(value).collect()
    }

    /// What all seeds say of a metric.
    pub fn estimate(&self, metric: &str) -> Option<Estimate> {
        estimate(&self.values(metric).iter().map(|(_, value)| *value).collect::<Vec<_>>())
    }
}

/// The lines of a run's table. What the store has lost is missing with the reason.
pub fn lines(record: &Record, store: &Store) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for row in &record.table {
        let (title, scored) = (title(row), scored(row, record, store));
        match lines.iter_mut().find(|line| line.title == title) {
            Some(line) if !line.seeds.iter().any(|it| it.seed == scored.seed) => {
                line.seeds.push(scored);
            }
            _ => lines.push(Line { title, seeds: vec![scored] }),
        }
    }
    lines
}

fn title(row: &Row) -> String {
    let value = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let point: Vec<_> =
        row.point.iter().map(|(name, it)| format!("{name} = {}", value(it))).collect();
    if point.is_empty() {
        row.title.clone()
    } else {
        format!("{}, {}", row.title, point.join(", "))
    }
}

fn scored(row: &Row, record: &Record, store: &Store) -> Scored {
    let mut scored =
        Scored { seed: row.seed, step: row.scores.clone(), values: BTreeMap::new(), missing: None };
    match record.step(&row.scores).ok_or_else(|| "there is no such step".to_owned()) {
        Ok(step) => match values(step, store) {
            Ok(values) => scored.values = values,
            Err(missing) => scored.missing = Some(missing),
        },
        Err(missing) => scored.missing = Some(missing),
    }
    scored
}

fn values(step: &StepRecord, store: &Store) -> Result<BTreeMap<String, f64>, String> {
    let port = step.shapes.iter().find(|(_, shape)| shape.kind == Kind::Scores);
    let digest = port.and_then(|(port, _)| step.outputs.get(port));
    let digest = digest.ok_or_else(|| step.reason.clone())?;
    let artifact = store.get(digest).map_err(|fault| fault.to_string())?;
    let table = artifact.as_table();
    let metrics = table.and_then(|table| table.text("metric")).unwrap_or_default();
    let values = table.and_then(|table| table.reals("value")).unwrap_or_default();
    let pairs = metrics.iter().cloned().zip(values.iter().copied());
    Ok(pairs.filter(|(_, value)| !value.is_nan()).collect())
}

/// The columns of the report's table that any of these lines has.
pub fn columns<'l>(lines: impl IntoIterator<Item = &'l Line> + Clone) -> Vec<&'static Metric> {
    let has = |metric: &&Metric| {
        let mut seeds = lines.clone().into_iter().flat_map(|line| &line.seeds);
        seeds.any(|scored| scored.values.contains_key(metric.name))
    };
    METRICS.iter().filter(has).collect()
}

/// The line that agrees best with the labels, or, where there are none, whose groups lie farthest
/// apart; with the metric's name for readers.
pub fn best(lines: &[Line]) -> Option<(&Line, &'static Metric, Estimate)> {
    ["ari", "silhouette"].into_iter().find_map(|name| {
        let metric = METRICS.iter().find(|metric| metric.name == name)?;
        let estimated = lines.iter().filter_map(|line| Some((line, metric, line.estimate(name)?)));
        estimated.max_by(|a, b| a.2.mean.total_cmp(&b.2.mean))
    })
}

/// A number with as many decimals as the report shows.
pub fn cell(estimate: Option<Estimate>, metric: &Metric) -> String {
    let Some(Estimate { mean, half_width, .. }) = estimate else { return "–".to_owned() };
    let decimals = metric.decimals;
    match half_width {
        Some(half) => format!("{mean:.decimals$} ± {half:.decimals$}"),
        None => format!("{mean:.decimals$}"),
    }
}
