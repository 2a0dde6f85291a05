//! What is known of a step during a run, and what the record keeps of it.

use crate::pipeline::{Input, Pipeline, Step};
use cache::{
    Digest,
    record::{StepRecord, StepStatus},
    store::{Finished, Object, Times},
};
use std::collections::BTreeMap;

/// What is known of a step.
pub enum State {
    /// Not yet settled.
    Waiting,
    /// Its result is in the store.
    There {
        /// Key, outputs and times.
        finished: Box<Finished>,
        /// A hit, or run just now.
        status: StepStatus,
        /// Why.
        reason: String,
    },
    /// It has none and will have none.
    Without {
        /// Failed or skipped.
        status: StepStatus,
        /// The digest of its key, if it was known.
        key: Option<Digest>,
        /// Why.
        reason: String,
        /// How long it ran before.
        seconds: f64,
    },
}

impl State {
    /// A result that was there already.
    pub fn hit(finished: Finished, reason: &str) -> Self {
        let (finished, reason) = (Box::new(finished), reason.to_owned());
        Self::There { finished, status: StepStatus::Hit, reason }
    }

    /// A result that was made just now.
    pub fn ran(finished: Finished, reason: String) -> Self {
        Self::There { finished: Box::new(finished), status: StepStatus::Ran, reason }
    }

    /// No result, although nothing is wrong with the step itself.
    pub fn skipped(reason: String) -> Self {
        Self::Without { status: StepStatus::Skipped, key: None, reason, seconds: 0.0 }
    }

    /// Whether its result is in the store.
    pub fn is_there(&self) -> bool {
        matches!(self, Self::There { .. })
    }

    /// What it made.
    pub fn outputs(&self) -> Option<&BTreeMap<String, Object>> {
        match self {
            Self::There { finished, .. } => Some(&finished.outputs),
            _ => None,
        }
    }

    /// What it made at a port.
    pub fn output(&self, port: &str) -> Option<&Object> {
        self.outputs()?.get(port)
    }

    /// What the record keeps.
    pub fn record(self, pipeline: &Pipeline, step: &Step) -> StepRecord {
        let none = |seconds| (BTreeMap::new(), Times { seconds, ..Times::default() });
        let (status, key, reason, (outputs, times)) = match self {
            Self::There { finished, status, reason } => {
                (status, Some(finished.key), reason, (finished.outputs, finished.times))
            }
            Self::Without { status, key, reason, seconds } => (status, key, reason, none(seconds)),
            Self::Waiting => {
                (StepStatus::Skipped, None, "the run stopped before".to_owned(), none(0.0))
            }
        };
        let source =
            |input: &Input| format!("{}.{}", pipeline.steps[input.step].name, input.output);
        let shape = |(port, object): (&String, &Object)| (port.clone(), object.shape.clone());
        StepRecord {
            name: step.name.clone(),
            op: step.entry.name.to_owned(),
            params: step.op.params(),
            inputs: step
                .inputs
                .iter()
                .map(|input| (input.port.to_owned(), source(input)))
                .collect(),
            seed: step.entry.seeded.then_some(step.seed),
            key,
            error: (status == StepStatus::Failed).then(|| reason.clone()),
            status,
            reason,
            warnings: outputs.values().filter_map(|object| object.warning.clone()).collect(),
            shapes: outputs.iter().map(shape).collect(),
            outputs: outputs.into_iter().map(|(port, object)| (port, object.digest)).collect(),
            seconds: times.seconds,
            op_seconds: times.op_seconds,
            cpu_seconds: times.cpu_seconds,
            gpu_seconds: times.gpu_seconds,
            peak_bytes: times.peak_bytes,
            laps: times.laps,
            rows_reused: times.rows_reused,
        }
    }
}
