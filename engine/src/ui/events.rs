//! The events of a run, as `tracing` carries them. What listens decides how they are shown:
//! [`console`](super::console) on standard error, [`trace`](super::trace) in a timeline or a log.
//!
//! A message is an event of `error!`, `warn!`, `info!` or `debug!` in any crate of the engine.

use std::time::Duration;
use tracing::info;

/// The target of events about the progress of steps.
pub const PROGRESS: &str = "engine::progress";
/// The target of events about the start and the end of a run, for programs that watch it.
pub const RUN: &str = "engine::run";
/// The target of messages for people alone; programs find the same in other events.
pub const TEXT: &str = "engine::text";
/// The target of lines that go on after an error or a warning, and that its word does not begin.
pub const DETAIL: &str = "engine::detail";
/// The target of diagnostics of a pipeline, with their places as fields.
pub const DIAGNOSTIC: &str = "engine::diagnostic";

/// The steps whose progress is shown, until this is dropped.
pub struct Steps(());

impl Steps {
    /// Begins to show the progress of so many steps.
    pub fn begin(total: usize) -> Self {
        info!(target: PROGRESS, event = "steps", total);
        Self(())
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        info!(target: PROGRESS, event = "end");
    }
}

/// The end of a step, as it is shown.
pub struct StepFinished<'a> {
    /// The number of the step in the plan, from 1.
    pub number: usize,
    /// The name of the step.
    pub name: &'a str,
    /// The status: `hit`, `ran`, `failed` or `skipped`.
    pub status: &'a str,
    /// The duration, if the step ran.
    pub elapsed: Option<Duration>,
    /// The shape of the result, or the reason for the status.
    pub note: String,
    /// The key of the result, if there is one.
    pub key: Option<String>,
    /// The error, if the step failed.
    pub error: Option<&'a str>,
}

/// Reports that a step starts, and why. Steps are numbered from 1 in the order of the plan.
pub fn step_started(number: usize, step: &str, reason: &str) {
    info!(target: PROGRESS, event = "step_started", number, step, reason);
}

/// Reports that the step of this number is at `done` of `total`.
pub fn step_at(number: usize, done: u64, total: u64, note: &str) {
    info!(target: PROGRESS, event = "progress", number, done, total, note);
}

/// Reports that a step is finished.
pub fn step_finished(finished: &StepFinished<'_>) {
    let StepFinished { number, name, status, elapsed, note, key, error } = finished;
    let (step, seconds) = (*name, elapsed.map(|it| it.as_secs_f64()));
    let (event, key) = ("step_finished", key.as_deref());
    info!(target: PROGRESS, event, number, step, status, seconds, key, error, note);
}
