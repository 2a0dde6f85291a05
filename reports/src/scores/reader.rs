//! Reads a row of the table: the scores of its steps, one for each seed or one for all.

use super::{MetricLookup, ScoredRow, Seed, output, sets::Clips, short, shown, steps::Steps};
use cache::{
    Digest, Kind, Record, Store, StoreError,
    metric::{self, Metric, Score},
    record::{Row, StepRecord},
};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// The sources from which rows are read.
pub struct Reader<'r> {
    pub record: &'r Record,
    pub steps: &'r Steps<'r>,
    pub store: &'r Store,
    pub known: MetricLookup,
}

/// The scores of a step, with the clips that were scored.
type Found = (Vec<Score>, Clips);

impl Reader<'_> {
    /// Reads a row, with the error of the store if something of it is missing.
    pub fn row(&self, rows: &[&Row]) -> (ScoredRow, Option<StoreError>) {
        let first = rows[0];
        let point: Vec<_> = first
            .point
            .iter()
            .map(|(axis, value)| format!("{} = {}", short(self.record, axis), shown(value)))
            .collect();
        let is_multiverse = self.record.sweep.as_ref().is_some_and(|it| !it.shown.is_empty());
        let title = match &point[..] {
            _ if is_multiverse => first.title.clone(),
            [] => first.title.clone(),
            point => format!("{} ({})", first.title, point.join(", ")),
        };
        let mut read = ScoredRow {
            title,
            name: first.title.clone(),
            point: first.point.clone(),
            paper: first.paper.clone(),
            published: first.published.clone(),
            ..ScoredRow::default()
        };
        let (mut lost, mut loaded) = (None, HashMap::new());
        let (mut references, mut companions) = (Draws::new(), Draws::new());
        for row in rows {
            let step = self.steps.get(&row.scores);
            let input = |port: &str| step.and_then(|step| step.inputs.get(port));
            if let Some(labels) = input("clusters").and_then(|source| self.output(source)) {
                read.labels.insert(row.seed, *labels);
            }
            if let Some(space) = input("features").filter(|space| !read.spaces.contains(space)) {
                read.spaces.push(space.clone());
            }
            read.truth = read.truth.or_else(|| input("truth").cloned());
            // A step that all seeds share is read once.
            let is_new = !loaded.contains_key(&row.scores);
            let found =
                loaded.entry(row.scores.clone()).or_insert_with(|| self.scores(&row.scores));
            let missing = match found {
                Ok((scores, clips)) => {
                    read.clips.insert(row.seed, clips.clone());
                    read.add(row.seed, scores.clone());
                    None
                }
                Err((why, error)) => {
                    lost = lost.or(error.take());
                    Some(why.clone())
                }
            };
            for (column, step) in &row.others {
                let Some((_, name)) = column.rsplit_once('.') else { continue };
                let Ok((scores, _)) = self.scores(step) else { continue };
                let score = scores.into_iter().find(|score| score.metric.name == name);
                read.add(
                    row.seed,
                    score
                        .into_iter()
                        .map(|score| Score {
                            metric: Metric { name: column.clone().into(), ..score.metric },
                            ..score
                        })
                        .collect(),
                );
            }
            read.seeds.push(Seed {
                seed: row.seed,
                step: row.scores.clone(),
                others: row.others.clone(),
                missing,
            });
            if is_new {
                self.gather(&mut references, row.reference.as_deref(), &mut lost);
                self.gather(&mut companions, row.companion.as_deref(), &mut lost);
            }
        }
        let metrics: Vec<String> = read.draws.keys().cloned().collect();
        for metric in metrics {
            let mean = read.estimate(&metric).map_or(f64::NAN, |it| it.mean);
            read.values.insert(metric, mean);
        }
        let means = |draws: Draws| {
            let mean = |it: &[f64]| it.iter().sum::<f64>() / it.len() as f64;
            draws.into_iter().map(|(metric, it)| (metric, mean(&it))).collect()
        };
        (read.reference, read.companion) = (means(references), means(companions));
        (read, lost)
    }

    /// The scores of a step, or the reason why there are none.
    fn scores(&self, name: &str) -> Result<Found, (String, Option<StoreError>)> {
        let step =
            self.steps.get(name).ok_or_else(|| ("there is no such step".to_owned(), None))?;
        let digest = output(step, Kind::Scores).ok_or_else(|| (step.reason.clone(), None))?;
        let artifact = self.store.get(digest).map_err(|error| (error.to_string(), Some(error)))?;
        let scores = artifact.as_table().map(|table| metric::scores(table, self.known));
        let scores = scores.unwrap_or_else(|| Err("is no table".to_owned()));
        let scores = scores.map_err(|error| (format!("the artifact {error}"), None))?;
        let text = |name: &str| artifact.meta.get(name).and_then(Value::as_str).map(str::to_owned);
        let count = scores.iter().find(|score| score.metric.name == "n_clips");
        let clips = Clips {
            name: text(metric::CLIPS),
            count: count.map(|score| score.value as usize).or_else(|| self.clips_read(step)),
            classes: text(metric::TRUTH).or_else(|| {
                step.inputs.get("truth").and_then(|it| self.output(it)).map(Digest::to_string)
            }),
        };
        Ok((scores, clips))
    }

    /// The smallest number of clips among the inputs of a step.
    fn clips_read(&self, step: &StepRecord) -> Option<usize> {
        let rows = step.inputs.values().filter_map(|source| {
            let (step, port) = source.rsplit_once('.')?;
            let shape = self.steps.get(step)?.shapes.get(port)?;
            let of_clips = [Kind::Matrix, Kind::Spectrogram, Kind::Labels, Kind::Clips];
            shape.rows.filter(|_| of_clips.contains(&shape.kind))
        });
        rows.min()
    }

    /// Adds the defined values of a step, if there is one.
    fn gather(&self, draws: &mut Draws, step: Option<&str>, lost: &mut Option<StoreError>) {
        match step.map(|step| self.scores(step)) {
            Some(Ok((scores, _))) => {
                for score in scores.into_iter().filter(|score| !score.value.is_nan()) {
                    draws.entry(score.metric.name.into_owned()).or_default().push(score.value);
                }
            }
            Some(Err((_, Some(error)))) => *lost = lost.take().or(Some(error)),
            _ => {}
        }
    }

    /// The digest of the output `step.port`.
    fn output(&self, source: &str) -> Option<&Digest> {
        let (step, port) = source.rsplit_once('.')?;
        self.steps.get(step)?.outputs.get(port)
    }
}

impl ScoredRow {
    /// Adds the scores of a seed.
    fn add(&mut self, seed: u64, scores: Vec<Score>) {
        for Score { metric, value, note } in scores {
            let name = metric.name.to_string();
            self.values.entry(name.clone()).or_insert(f64::NAN);
            if !note.is_empty() {
                self.notes.insert(name.clone(), note);
            }
            if !value.is_nan() {
                self.draws.entry(name).or_default().insert(seed, value);
            }
            if !self.metrics.iter().any(|other| other.name == metric.name) {
                self.metrics.push(metric);
            }
        }
    }
}

/// Values by metric, one for each seed.
type Draws = BTreeMap<String, Vec<f64>>;
