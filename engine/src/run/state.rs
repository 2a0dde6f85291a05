//! The state of each step of a run, and the one function that changes it.

use super::{resources::ResourceGrant, schedule::Job};
use crate::model::{Input, Pipeline, Step};
use cache::{
    Digest,
    record::{StepRecord, StepStatus},
    store::{Finished, Object, Times},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    ops::Index,
    sync::Arc,
    time::Instant,
};

/// The state of a step during a run.
pub enum StepState {
    /// The step reads these steps, which are not settled.
    Waiting(BTreeSet<usize>),
    /// All inputs of the step are settled, and the step was not looked up yet.
    Ready,
    /// The step must run, and waits for resources.
    Queued {
        /// The work of the step.
        job: Box<Job>,
        /// The priority in milliseconds; the step with the highest runs first.
        priority: u64,
    },
    /// The step must run, and is left to other processes.
    Elsewhere(Box<Job>),
    /// A worker runs the step.
    Running(Running),
    /// The result of the step is in the store.
    Done {
        /// The key, the outputs and the times.
        finished: Arc<Finished>,
        /// The status: a hit, or run just now.
        status: StepStatus,
        /// The reason for the status.
        reason: String,
    },
    /// The step has no result because it failed.
    Failed(StepEnd),
    /// The step has no result, although nothing is wrong with it.
    Skipped(StepEnd),
}

/// A step that runs.
pub struct Running {
    /// The digest of the step's key.
    pub key: Digest,
    /// The resources that the step holds.
    pub lease: ResourceGrant,
    /// The start of the step.
    pub since: Instant,
    /// True if the inputs have changed since the step started.
    pub outdated: bool,
}

/// The end of a step without a result.
pub struct StepEnd {
    /// The digest of the key, if it was known.
    pub key: Option<Digest>,
    /// The reason for the end.
    pub reason: String,
    /// The seconds that the step ran before it ended.
    pub seconds: f64,
}

/// The states of all steps, and the order in which ready and queued steps are taken.
pub struct States {
    all: Vec<StepState>,
    /// Ready steps, in the order of the pipeline.
    ready: BTreeSet<usize>,
    /// Queued steps, the highest priority first.
    queued: BTreeSet<(Reverse<u64>, usize)>,
    running: BTreeSet<usize>,
    elsewhere: BTreeSet<usize>,
}

impl States {
    /// The initial states.
    pub fn new(states: impl Iterator<Item = StepState>) -> Self {
        let (ready, queued, running) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut new = Self { all: Vec::new(), ready, queued, running, elsewhere: BTreeSet::new() };
        for (step, state) in states.enumerate() {
            new.all.push(StepState::Waiting(BTreeSet::new()));
            new.set(step, state);
        }
        new
    }

    /// Changes the state of a step; this is the only place that does. Returns the former state.
    pub fn set(&mut self, step: usize, state: StepState) -> StepState {
        match &self.all[step] {
            StepState::Ready => _ = self.ready.remove(&step),
            StepState::Queued { priority, .. } => {
                _ = self.queued.remove(&(Reverse(*priority), step))
            }
            StepState::Running(_) => _ = self.running.remove(&step),
            StepState::Elsewhere(_) => _ = self.elsewhere.remove(&step),
            _ => {}
        }
        match &state {
            StepState::Ready => _ = self.ready.insert(step),
            StepState::Queued { priority, .. } => {
                _ = self.queued.insert((Reverse(*priority), step))
            }
            StepState::Running(_) => _ = self.running.insert(step),
            StepState::Elsewhere(_) => _ = self.elsewhere.insert(step),
            _ => {}
        }
        std::mem::replace(&mut self.all[step], state)
    }

    /// Notes for a step that its input `source` is settled, and whether the bytes of `source` have
    /// changed. Returns true if the step has a result of the former bytes.
    pub fn note_settled(&mut self, step: usize, source: usize, changed: bool) -> bool {
        match &mut self.all[step] {
            StepState::Waiting(on) => {
                on.remove(&source);
                if on.is_empty() {
                    self.set(step, StepState::Ready);
                }
            }
            // The job may have other inputs now.
            StepState::Queued { .. } | StepState::Elsewhere(_) => {
                self.set(step, StepState::Ready);
            }
            StepState::Running(running) => running.outdated |= changed,
            StepState::Done { .. } => return changed,
            StepState::Ready | StepState::Failed(_) | StepState::Skipped(_) => {}
        }
        false
    }

    /// The first ready step; it was not looked up yet.
    pub fn first_ready(&self) -> Option<usize> {
        self.ready.first().copied()
    }

    /// Steps that wait for resources, the highest priority first.
    pub fn queued(&self) -> impl Iterator<Item = (usize, &Job)> {
        self.queued.iter().filter_map(|(_, step)| match &self.all[*step] {
            StepState::Queued { job, .. } => Some((*step, &**job)),
            _ => None,
        })
    }

    /// Steps that are left to other processes.
    pub fn elsewhere(&self) -> impl Iterator<Item = usize> {
        self.elsewhere.iter().copied()
    }

    /// Steps that run.
    pub fn running(&self) -> impl ExactSizeIterator<Item = &Running> {
        self.running.iter().map(|step| match &self.all[*step] {
            StepState::Running(running) => running,
            _ => panic!("BUG: a step that does not run is among those that do"),
        })
    }

    /// All states, in the order of the pipeline.
    pub fn into_all(self) -> Vec<StepState> {
        self.all
    }
}

impl Index<usize> for States {
    type Output = StepState;

    fn index(&self, step: usize) -> &StepState {
        &self.all[step]
    }
}

impl StepState {
    /// The state of a result that was there already.
    pub fn hit(finished: Arc<Finished>, reason: &str) -> Self {
        let reason = reason.to_owned();
        Self::Done { finished, status: StepStatus::Hit, reason }
    }

    /// The state of a result that was made just now.
    pub fn ran(finished: Finished, reason: String) -> Self {
        Self::Done { finished: Arc::new(finished), status: StepStatus::Ran, reason }
    }

    /// The state of a step without a result with which nothing is wrong.
    pub fn skipped(reason: String) -> Self {
        Self::Skipped(StepEnd { key: None, reason, seconds: 0.0 })
    }

    /// True if the result of the step is in the store.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. })
    }

    /// True if the step has its result or will have none.
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed(_) | Self::Skipped(_))
    }

    /// The outputs of the step.
    pub fn outputs(&self) -> Option<&BTreeMap<String, Object>> {
        match self {
            Self::Done { finished, .. } => Some(&finished.outputs),
            _ => None,
        }
    }

    /// The output of the step at a port.
    pub fn output(&self, port: &str) -> Option<&Object> {
        self.outputs()?.get(port)
    }

    /// The record of the step.
    pub fn record(&self, pipeline: &Pipeline, step: &Step) -> StepRecord {
        let none = |seconds| Times { seconds, ..Times::default() };
        let (status, key, reason, finished, times) = match self {
            Self::Done { finished, status, reason } => {
                (*status, Some(finished.key), &**reason, Some(finished), finished.times.clone())
            }
            Self::Failed(end) => {
                (StepStatus::Failed, end.key, &*end.reason, None, none(end.seconds))
            }
            Self::Skipped(end) => {
                (StepStatus::Skipped, end.key, &*end.reason, None, none(end.seconds))
            }
            _ => (StepStatus::Skipped, None, "the step was not reached", None, none(0.0)),
        };
        let outputs = || finished.into_iter().flat_map(|finished| &finished.outputs);
        let warnings = finished.into_iter().flat_map(|finished| finished.all_warnings().cloned());
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
            class: step.op.class().map(str::to_owned),
            seed: step.entry.seeded.then_some(step.seed),
            key,
            error: (status == StepStatus::Failed).then(|| reason.to_owned()),
            status,
            reason: reason.to_owned(),
            warnings: warnings.collect(),
            shapes: outputs().map(shape).collect(),
            outputs: outputs().map(|(port, object)| (port.clone(), object.digest)).collect(),
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
