//! The numbers of a run's table, for the terminal: cells, and what several seeds say together.

use cache::{
    Kind, Record, Store,
    record::{Row, StepRecord},
};
use reports::{METRICS, Metric};
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

/// Mean and half the width of its 95 % interval, of how many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Half the width of the interval; none for a single value.
    pub half: Option<f64>,
    /// How many values.
    pub n: usize,
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
    let Some(Estimate { mean, half, .. }) = estimate else { return "–".to_owned() };
    let decimals = metric.decimals;
    match half {
        Some(half) => format!("{mean:.decimals$} ± {half:.decimals$}"),
        None => format!("{mean:.decimals$}"),
    }
}

/// Mean and 95 % interval by Student's distribution.
pub fn estimate(values: &[f64]) -> Option<Estimate> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let half = (n > 1).then(|| {
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        student(n - 1) * (squares / (n - 1) as f64 / n as f64).sqrt()
    });
    Some(Estimate { mean, half, n })
}

/// The 97.5 % quantile of Student's distribution: from the tables up to 30 degrees of freedom, then
/// by the expansion of Cornish and Fisher, which is right to four decimals there.
fn student(freedom: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
        2.052, 2.048, 2.045, 2.042,
    ];
    const NORMAL: f64 = 1.959_964;
    match TABLE.get(freedom - 1) {
        Some(quantile) => *quantile,
        None => {
            let (z, n) = (NORMAL, freedom as f64);
            let second = 5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z;
            z + (z.powi(3) + z) / (4.0 * n) + second / (96.0 * n * n)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{estimate, student};

    #[test]
    fn an_interval_is_that_of_a_t_test() {
        // scipy.stats.t.interval(0.95, 4, loc=mean, scale=sem) of these five.
        let found = estimate(&[0.30, 0.34, 0.29, 0.41, 0.36]).expect("values");
        assert!((found.mean - 0.34).abs() < 1e-12);
        assert!((found.half.expect("several values") - 0.059_797).abs() < 1e-4, "{found:?}");
        assert_eq!(estimate(&[1.0]).expect("a value").half, None);
        assert_eq!(estimate(&[]), None);
        // scipy.stats.t.ppf(0.975, [40, 100]).
        assert!((student(40) - 2.02108).abs() < 1e-4 && (student(100) - 1.98397).abs() < 1e-4);
    }
}
