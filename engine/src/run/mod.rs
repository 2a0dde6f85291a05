//! Executes a plan: every step is a cache hit, runs, fails, or is skipped.
//!
//! - [`study`]: a study from its first batch of steps to its last one.
//! - [`schedule`]: the order of the steps. [`transition`]: the effects of a step's end.
//!   [`outcome`]: the result of the run. [`record`]: what is written down of it.
//! - [`workers`]: the threads, which take steps from the schedule. [`work`]: the work of one step.
//!   An [`executor`] runs it in a thread, in another process ([`children`]) or elsewhere.
//! - [`resources`], [`gpus`]: the resources that steps take.
//! - [`artifacts`], [`host`], [`log`], [`meter`]: what a running step is given and what it leaves
//!   behind.
//! - [`peers`]: the steps that other processes run. [`cluster`]: workers on a cluster.
//! - [`programs`]: programs of the user, with all [`processes`] that they start and their
//!   [`program_output`].

mod artifacts;
mod children;
pub mod cluster;
mod environments;
pub mod executor;
pub mod gpus;
mod host;
mod log;
mod meter;
mod outcome;
pub mod peers;
mod processes;
mod program_output;
pub mod programs;
pub mod recompute;
pub mod record;
pub mod resources;
pub mod rows;
mod schedule;
pub mod search;
mod state;
pub mod study;
mod transition;
pub mod work;
pub mod workers;

use crate::{model::StepError, plan::Plan, spec::Results};
use cache::{Record, record::RunStatus};
use cluster::driver::{self, Cluster};
use executor::{EXECUTORS, Executor};
use ops::Cancel;
use peers::Peers;
use schedule::Schedule;
use std::time::Instant;
use work::{Host, RunContext};

/// A run, apart from what its steps do.
pub struct RunInfo {
    /// The id of the run.
    pub id: String,
    /// The start of the run, as its record says it.
    pub started: String,
    /// The start of the run.
    pub clock: Instant,
    /// Runs the steps.
    pub executor: &'static dyn Executor,
    /// The cluster that runs them instead, if there is one.
    pub cluster: Option<Cluster>,
}

impl RunInfo {
    /// A run that starts now.
    pub fn starting(id: String) -> Self {
        let started = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Self { id, started, clock: Instant::now(), executor: EXECUTORS[0], cluster: None }
    }
}

/// The result of a run.
pub struct Outcome {
    /// The record of the run.
    pub record: Record,
    /// The errors of steps, in the order of the pipeline.
    pub errors: Vec<StepError>,
    /// The reason why the run could not go on, if it is no step's error.
    pub stopped_by: Option<String>,
    /// A note on how a run goes on that this process has left.
    pub note: Option<String>,
}

impl Outcome {
    fn stopped_by(self, reason: String) -> Self {
        let record = Record { status: RunStatus::Failed, ..self.record };
        Self { record, stopped_by: Some(reason), ..self }
    }

    fn with_note(self, note: String) -> Self {
        Self { note: Some(note), ..self }
    }
}

/// Executes a plan to its end. Failures of steps are part of the outcome.
pub fn execute(plan: &Plan<'_>, run: &RunInfo, cancel: &dyn Cancel) -> Outcome {
    execute_with_peers(plan, run, cancel, None)
}

/// Executes a plan where the run says: here, or on a cluster, whose workers need the results of a search so far.
pub fn execute_where(
    plan: &Plan<'_>,
    run: &RunInfo,
    cancel: &dyn Cancel,
    results: &Results,
) -> Outcome {
    match &run.cluster {
        Some(cluster) => driver::execute(plan, run, cancel, cluster, results),
        None => execute(plan, run, cancel),
    }
}

/// Executes a plan in this process, which may be one of several at it.
fn execute_with_peers(
    plan: &Plan<'_>,
    run: &RunInfo,
    cancel: &dyn Cancel,
    peers: Option<&dyn Peers>,
) -> Outcome {
    let files = plan.files.iter().flatten();
    let paths = files.map(|file| (file.digest, file.path.clone())).collect();
    let host = Host {
        note: plan.pipeline.note.as_deref(),
        waits: peers.is_none(),
        ..Host::new(plan.store, paths, cancel, &plan.history)
    };
    let context = RunContext { plan, executor: run.executor, host, peers };
    workers::run(Schedule::new(&context)).into_outcome(plan, run)
}
