//! Executes a pipeline: every step is a cache hit, runs, fails, or is skipped.
//!
//! - [`schedule`]: the order of the steps. [`transition`]: the effects of a step's end.
//!   [`outcome`]: the result of the run.
//! - [`workers`]: the threads, which take steps from the schedule. [`work`]: the work of one step.
//! - [`resources`], [`memory`], [`gpus`], [`expected`]: the resources that steps take, and the time
//!   they are expected to take.
//! - [`artifacts`], [`host`], [`log`], [`meter`]: what a running step is given and what it leaves
//!   behind.
//! - [`programs`]: programs of the user, with all [`processes`] that they start and all that is
//!   [`printed`].

mod artifacts;
pub mod expected;
pub mod gpus;
mod host;
mod log;
pub mod memory;
mod meter;
mod outcome;
mod printed;
mod processes;
pub mod programs;
pub mod recompute;
pub mod resources;
pub mod rows;
pub mod scan;
mod schedule;
pub mod search;
mod state;
mod transition;
mod work;
pub mod workers;

use crate::{
    pipeline::{Pipeline, Step},
    plan::{
        history::LazyHistory,
        keys::{self, FILES},
    },
    ui::progress::Progress,
};
use artifacts::Artifacts;
use cache::{CacheKey, Digest, FileEntry, Store, StoreError, record::StepRecord};
use meter::Meter;
use ops::{Cancel, ErrorKind, OpError};
use rayon::prelude::*;
use resources::Limits;
use schedule::Schedule;
use std::collections::{BTreeMap, BTreeSet};
use work::RunContext;

/// The options of a run.
#[derive(Default)]
pub struct Options {
    /// Steps to run although their results are in the store.
    pub force: BTreeSet<usize>,
    /// Only these steps and the steps they need; all steps if empty.
    pub only: BTreeSet<usize>,
    /// True if steps that do not depend on a failed step still run.
    pub keep_going: bool,
    /// The resources of the run; all of the machine if none.
    pub limits: Option<Limits>,
}

/// The error of a step.
#[derive(Debug)]
pub struct StepError {
    /// The step, as an index into the pipeline.
    pub step: usize,
    /// The parameter that the error is about, if there is one.
    pub param: Option<&'static str>,
    /// The kind of the error.
    pub fault: ErrorKind,
    /// The message: a lower-case sentence without a full stop.
    pub message: String,
    /// The advice to the user.
    pub help: Option<String>,
    /// The last lines of the step's log.
    pub log: Vec<String>,
}

impl StepError {
    fn new(step: usize, fault: ErrorKind, message: String) -> Self {
        Self { step, param: None, fault, message, help: None, log: Vec::new() }
    }

    fn of_op(step: usize, error: OpError) -> Self {
        let OpError { fault, param, message, help } = error;
        Self { param, help, ..Self::new(step, fault, message) }
    }

    fn of_store(step: usize, error: &StoreError) -> Self {
        let help = matches!(error, StoreError::Io { .. })
            .then(|| "check free space and permissions of the store (`--store`); what was finished is kept".to_owned());
        Self { help, ..Self::new(step, ErrorKind::Failure, error.to_string()) }
    }
}

/// The result of a run.
pub struct Outcome {
    /// The records of the steps, in the order of the pipeline.
    pub steps: Vec<StepRecord>,
    /// The errors of steps, in the order of the pipeline.
    pub errors: Vec<StepError>,
    /// True if the run was stopped.
    pub interrupted: bool,
}

/// The source files of every step, scanned before anything runs.
pub type Files = Vec<Vec<FileEntry>>;

/// Finds and hashes the files of all sources.
///
/// # Errors
/// Returns an error for everything that cannot be read, of all steps at once.
pub fn scan_sources(
    pipeline: &Pipeline,
    only: &[bool],
    store: &Store,
) -> Result<Files, Vec<StepError>> {
    let beside = |source: &_| scan::beside(&pipeline.source.path, source).unwrap_or_default();
    let scanned: Vec<_> = pipeline
        .steps
        .par_iter()
        .enumerate()
        .with_min_len(SCANNED_BY_ONE_THREAD)
        .map(|(index, step)| {
            let (mut found, mut errors) = (Vec::new(), Vec::new());
            let sources = if only[index] { step.op.sources() } else { Vec::new() };
            for source in sources {
                match scan::scan(&source, store.files()) {
                    Ok(entries) => found.extend(entries),
                    Err(faults) => errors.extend(faults.into_iter().map(|fault| StepError {
                        param: Some(source.param),
                        help: fault.help.map(|help| help + &beside(&source)),
                        ..StepError::new(index, ErrorKind::Input, fault.message)
                    })),
                }
            }
            (found, errors)
        })
        .collect();
    let (files, errors): (Files, Vec<_>) = scanned.into_iter().unzip();
    let errors: Vec<_> = errors.into_iter().flatten().collect();
    if errors.is_empty() { Ok(files) } else { Err(errors) }
}

/// The number of steps that one thread scans: few of them have sources, so a thread for each is not
/// worth its cost.
const SCANNED_BY_ONE_THREAD: usize = 64;

/// Marks the wanted steps: the named steps and all that they need, or every step if none is named.
pub fn wanted(pipeline: &Pipeline, only: &BTreeSet<usize>) -> Vec<bool> {
    let mut wanted: Vec<bool> =
        (0..pipeline.steps.len()).map(|index| only.is_empty() || only.contains(&index)).collect();
    for index in (0..pipeline.steps.len()).rev() {
        if wanted[index] {
            pipeline.steps[index].inputs.iter().for_each(|input| wanted[input.step] = true);
        }
    }
    wanted
}

/// The cache key of a step; none if the content of an input is not known.
pub fn key_of(
    step: &Step,
    files: &[FileEntry],
    output: impl Fn(usize, &str) -> Option<Digest>,
) -> Option<CacheKey> {
    let mut inputs = BTreeMap::new();
    for input in &step.inputs {
        inputs.insert(input.port.to_owned(), output(input.step, input.output)?);
    }
    if !step.op.sources().is_empty() {
        inputs.insert(FILES.to_owned(), scan::digest(files));
    }
    Some(keys::key_of(step, inputs, step.place.name()))
}

/// Runs a pipeline to its end. Failures of steps are part of the outcome.
pub fn execute(
    pipeline: &Pipeline,
    files: &Files,
    store: &Store,
    options: &Options,
    progress: &dyn Progress,
    cancel: &dyn Cancel,
) -> Outcome {
    let context = RunContext {
        pipeline,
        files,
        paths: files.iter().flatten().map(|file| (file.digest, file.path.clone())).collect(),
        store,
        artifacts: Artifacts::new(store),
        progress,
        cancel,
        meter: Meter::default(),
        history: LazyHistory::of(store),
    };
    workers::run(Schedule::new(&context, options))
}
