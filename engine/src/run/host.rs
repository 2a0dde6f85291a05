//! The host interface of an op: the paths of files, earlier checkpoints, and progress messages.

use super::log::Log;
use crate::ui::events;
use cache::{
    Digest, Tensors,
    store::{Times, checkpoint::CheckpointFolder},
};
use ops::{Cancel, Checkpoints, ErrorKind, Locate, OpError};
use std::{collections::HashMap, path::PathBuf, sync::Mutex, time::Instant};
use tracing::warn;

/// The host of a step, which gives it its files and its checkpoints.
pub struct StepHost<'a> {
    paths: &'a HashMap<Digest, PathBuf>,
    log: &'a Log,
    /// The saved states of the step's work.
    pub checkpoints: CheckpointFolder,
    started: Instant,
    saved: Mutex<Vec<f64>>,
}

impl<'a> StepHost<'a> {
    /// Starts the clock of the step. `paths` gives the path of a file by its content.
    pub fn new(
        paths: &'a HashMap<Digest, PathBuf>,
        checkpoints: CheckpointFolder,
        log: &'a Log,
    ) -> Self {
        Self { paths, log, checkpoints, started: Instant::now(), saved: Mutex::default() }
    }

    /// The seconds that the op has taken, and the seconds between the states that it saved.
    pub fn times(&self) -> Times {
        let saved = self.saved.lock().expect("no thread panics while it holds the times");
        let before = std::iter::once(&0.0).chain(saved.iter());
        Times {
            op_seconds: self.started.elapsed().as_secs_f64(),
            laps: saved.iter().zip(before).map(|(at, before)| at - before).collect(),
            ..Times::default()
        }
    }
}

impl Locate for StepHost<'_> {
    fn path_of(&self, content: &Digest) -> Option<PathBuf> {
        self.paths.get(content).cloned()
    }
}

impl Checkpoints for StepHost<'_> {
    fn load(&self, at_most: u64) -> Option<(u64, Tensors)> {
        self.checkpoints.load(at_most)
    }
    fn save(&self, at: u64, state: &Tensors) -> Result<(), OpError> {
        let seconds = self.started.elapsed().as_secs_f64();
        self.saved.lock().expect("no thread panics while it holds the times").push(seconds);
        self.log.mark();
        self.checkpoints.save(at, state).map_err(|error| OpError::failure(error.to_string()))
    }
}

/// The progress of a step, as its op sees it.
pub struct ProgressRelay<'a> {
    /// The number of the step in the plan, from 1.
    pub number: usize,
    /// The name of the step.
    pub step: &'a str,
    /// Receives the step's messages.
    pub log: &'a Log,
    /// The warnings of the op so far.
    pub warnings: Mutex<Vec<String>>,
}

impl ProgressRelay<'_> {
    /// The warnings in a fixed order: threads of an op may warn in any.
    pub fn into_warnings(self) -> Vec<String> {
        let mut warnings = self.warnings.into_inner().expect(NO_PANIC);
        warnings.sort_unstable();
        warnings
    }
}

const NO_PANIC: &str = "no thread panics while it holds the warnings";

impl ops::Warnings for ProgressRelay<'_> {
    fn warn(&self, message: &str) {
        self.log.line(&format!("warning: {message}"));
        warn!("step `{}`: {message}", self.step);
        self.warnings.lock().expect(NO_PANIC).push(message.to_owned());
    }
}

impl ops::Progress for ProgressRelay<'_> {
    fn at(&self, done: u64, total: u64, note: &str) {
        self.log.at(done, total, note);
        events::step_at(self.number, done, total, note);
    }
}

/// Stops a step when the run is stopped or when the step's own time is up.
pub struct Deadline<'a> {
    run: &'a dyn Cancel,
    timeout: Option<f64>,
    started: Instant,
}

impl<'a> Deadline<'a> {
    /// A deadline `timeout` seconds from now.
    pub fn new(run: &'a dyn Cancel, timeout: Option<f64>) -> Self {
        Self { run, timeout, started: Instant::now() }
    }

    /// Tells a step that ran out of time from a step that the user stopped. What else fails after
    /// that, such as a file that was not read to its end, fails because of it.
    pub fn explain(&self, error: OpError) -> OpError {
        if error.kind != ErrorKind::Cancelled && !self.is_cancelled() {
            return error;
        }
        match self.timeout {
            Some(seconds) if !self.run.is_cancelled() => {
                OpError::failure(format!("it ran longer than its timeout of {seconds} s"))
                    .help("raise `timeout`, or make the step smaller")
            }
            _ => OpError::cancelled(),
        }
    }
}

impl Cancel for Deadline<'_> {
    fn is_cancelled(&self) -> bool {
        let late = |seconds: f64| self.started.elapsed().as_secs_f64() > seconds;
        self.run.is_cancelled() || self.timeout.is_some_and(late)
    }
}
