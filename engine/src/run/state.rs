//! Where each step of a run stands, and the one function that moves it on.

use super::{resources::Lease, work::Job};
use crate::pipeline::{Input, Pipeline, Step};
use cache::{
    Digest,
    record::{StepRecord, StepStatus},
    store::{Finished, Object, Times},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    ops::Index,
    time::Instant,
};

/// Where a step stands.
pub enum StepState {
    /// It reads these steps, which are not settled.
    Waiting(BTreeSet<usize>),
    /// All that it reads is settled, and nobody has looked at it.
    Ready,
    /// It must run, and waits for resources.
    Queued {
        /// All that running it takes.
        job: Box<Job>,
        /// The most urgent runs first.
        urgency: u64,
    },
    /// A thread is at it.
    Running(Running),
    /// Its result is in the store.
    Done {
        /// Key, outputs and times.
        finished: Box<Finished>,
        /// A hit, or run just now.
        status: StepStatus,
        /// Why.
        reason: String,
    },
    /// It has no result because something is wrong with it.
    Failed(Ended),
    /// It has no result, although nothing is wrong with it.
    Skipped(Ended),
}

/// A step that runs.
pub struct Running {
    /// The digest of its key.
    pub key: Digest,
    /// What it has been given.
    pub lease: Lease,
    /// Since when.
    pub since: Instant,
    /// Whether its inputs have changed since it started.
    pub outdated: bool,
}

/// A step that ended without a result.
pub struct Ended {
    /// The digest of its key, if it was known.
    pub key: Option<Digest>,
    /// Why.
    pub reason: String,
    /// How long it ran before.
    pub seconds: f64,
}

/// The states of all steps, and the order in which those are taken up that are next.
pub struct States {
    all: Vec<StepState>,
    /// In the order of the pipeline.
    ready: BTreeSet<usize>,
    /// The most urgent first.
    queued: BTreeSet<(Reverse<u64>, usize)>,
    running: BTreeSet<usize>,
}

impl States {
    /// These states.
    pub fn new(states: impl Iterator<Item = StepState>) -> Self {
        let (ready, queued, running) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut new = Self { all: Vec::new(), ready, queued, running };
        for (step, state) in states.enumerate() {
            new.all.push(StepState::Waiting(BTreeSet::new()));
            new.set(step, state);
        }
        new
    }

    /// Moves a step on: the one place where a state changes. Gives the former one.
    pub fn set(&mut self, step: usize, state: StepState) -> StepState {
        match &self.all[step] {
            StepState::Ready => _ = self.ready.remove(&step),
            StepState::Queued { urgency, .. } => _ = self.queued.remove(&(Reverse(*urgency), step)),
            StepState::Running(_) => _ = self.running.remove(&step),
            _ => {}
        }
        match &state {
            StepState::Ready => _ = self.ready.insert(step),
            StepState::Queued { urgency, .. } => _ = self.queued.insert((Reverse(*urgency), step)),
            StepState::Running(_) => _ = self.running.insert(step),
            _ => {}
        }
        std::mem::replace(&mut self.all[step], state)
    }

    /// Tells a step that one that it reads is settled, and whether that gave other bytes than before.
    /// Gives whether the step has a result of the former bytes.
    pub fn hear_of(&mut self, step: usize, source: usize, changed: bool) -> bool {
        match &mut self.all[step] {
            StepState::Waiting(on) => {
                on.remove(&source);
                if on.is_empty() {
                    self.set(step, StepState::Ready);
                }
            }
            // What it was to run with may be another.
            StepState::Queued { .. } => _ = self.set(step, StepState::Ready),
            StepState::Running(running) => running.outdated |= changed,
            StepState::Done { .. } => return changed,
            StepState::Ready | StepState::Failed(_) | StepState::Skipped(_) => {}
        }
        false
    }

    /// The first step that nobody has looked at.
    pub fn first_ready(&self) -> Option<usize> {
        self.ready.first().copied()
    }

    /// Steps that wait for resources, the most urgent first.
    pub fn queued(&self) -> impl Iterator<Item = (usize, &Job)> {
        self.queued.iter().filter_map(|(_, step)| match &self.all[*step] {
            StepState::Queued { job, .. } => Some((*step, &**job)),
            _ => None,
        })
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
    /// A result that was there already.
    pub fn hit(finished: Finished, reason: &str) -> Self {
        let (finished, reason) = (Box::new(finished), reason.to_owned());
        Self::Done { finished, status: StepStatus::Hit, reason }
    }

    /// A result that was made just now.
    pub fn ran(finished: Finished, reason: String) -> Self {
        Self::Done { finished: Box::new(finished), status: StepStatus::Ran, reason }
    }

    /// No result, although nothing is wrong with the step itself.
    pub fn skipped(reason: String) -> Self {
        Self::Skipped(Ended { key: None, reason, seconds: 0.0 })
    }

    /// Whether its result is in the store.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. })
    }

    /// Whether it has its result or will have none.
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed(_) | Self::Skipped(_))
    }

    /// What it made.
    pub fn outputs(&self) -> Option<&BTreeMap<String, Object>> {
        match self {
            Self::Done { finished, .. } => Some(&finished.outputs),
            _ => None,
        }
    }

    /// What it made at a port.
    pub fn output(&self, port: &str) -> Option<&Object> {
        self.outputs()?.get(port)
    }

    /// What the record keeps.
    pub fn record(self, pipeline: &Pipeline, step: &Step) -> StepRecord {
        let none = |seconds| (BTreeMap::new(), Times { seconds, ..Times::default() }, Vec::new());
        let ended = |status, Ended { key, reason, seconds }| (status, key, reason, none(seconds));
        let (status, key, reason, (outputs, times, warnings)) = match self {
            Self::Done { finished, status, reason } => {
                let Finished { key, outputs, times, warnings, .. } = *finished;
                (status, Some(key), reason, (outputs, times, warnings))
            }
            Self::Failed(end) => ended(StepStatus::Failed, end),
            Self::Skipped(end) => ended(StepStatus::Skipped, end),
            _ => (StepStatus::Skipped, None, "the run stopped before".to_owned(), none(0.0)),
        };
        let of_outputs: Vec<String> =
            outputs.values().filter_map(|object| object.warning.clone()).collect();
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
            warnings: warnings.into_iter().chain(of_outputs).collect(),
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
