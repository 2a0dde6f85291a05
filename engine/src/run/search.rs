//! The scores that the points of a sweep reached, by which a search chooses the next points.

use crate::{model::Pipeline, spec::Results};
use cache::{
    Kind, Record, Store,
    metric::Score,
    record::{StepRecord, StepStatus},
};
use std::collections::HashMap;

/// The objective at each point: the mean over the seeds that have a score, none where no seed has
/// one.
pub fn results(pipeline: &Pipeline, record: &Record, store: &Store) -> Results {
    let mut results = Results::default();
    let Some(search) = &pipeline.variants.search else { return results };
    for (labels, steps) in &search.points {
        let of_step = |step: &usize| score(&record.steps[*step], &search.metric, store);
        let scores: Vec<Score> = steps.iter().filter_map(of_step).collect();
        let mean = scores.iter().map(|score| score.value).sum::<f64>() / scores.len() as f64;
        let direction = scores.iter().find_map(|score| score.metric.direction);
        results.direction = results.direction.or(direction);
        results.points.insert(labels.clone(), (!scores.is_empty()).then_some(mean));
    }
    results
}

/// The score of a step; none where the step failed or the score is not defined.
fn score(step: &StepRecord, metric: &str, store: &Store) -> Option<Score> {
    let (port, _) = step.shapes.iter().find(|(_, shape)| shape.kind == Kind::Scores)?;
    // An artifact that cannot be read is reported when the report reads it.
    let artifact = store.get(step.outputs.get(port)?).ok()?;
    let scores = cache::metric::scores(artifact.as_table()?, ops::known_metric).ok()?;
    scores.into_iter().find(|it| it.metric.name == metric).filter(|it| it.value.is_finite())
}

/// The steps that ran in the batches of a search, so that the last batch does not report them as
/// hits.
#[derive(Default)]
pub struct Batches {
    ran: HashMap<String, StepRecord>,
}

impl Batches {
    /// True if a step ran in an earlier batch.
    pub fn has_run(&self, step: &str) -> bool {
        self.ran.contains_key(step)
    }

    /// Notes the steps that ran in a batch.
    pub fn note(&mut self, record: &Record) {
        for step in record.steps.iter().filter(|step| step.status == StepStatus::Ran) {
            self.ran.entry(step.name.clone()).or_insert_with(|| step.clone());
        }
    }

    /// Marks hits of the last batch as run if an earlier batch ran them.
    pub fn restore(mut self, record: &mut Record) {
        for step in record.steps.iter_mut().filter(|step| step.status == StepStatus::Hit) {
            if let Some(ran) = self.ran.remove(&step.name) {
                *step = ran;
            }
        }
    }
}
