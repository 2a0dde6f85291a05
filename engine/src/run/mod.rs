//! Executes a pipeline: every step is a hit, runs, fails, or is skipped.
//!
//! - [`schedule`]: which step is next. [`transition`]: what follows when it ends. [`outcome`]: what became of all.
//! - [`workers`]: the threads, which take steps from the schedule. [`work`]: one step.
//! - [`resources`], [`memory`], [`gpus`], [`expected`]: what steps take, and how long they are likely to take.
//! - [`artifacts`], [`host`], [`log`], [`meter`]: what a running step is given and what it leaves.
//! - [`programs`]: programs of the user's, with all [`processes`] that they start and what is [`printed`].

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

/// What to do besides the plain run.
#[derive(Default)]
pub struct Options {
    /// Steps to run although their results are there.
    pub force: BTreeSet<usize>,
    /// Only these steps and what they need; all if empty.
    pub only: BTreeSet<usize>,
    /// Whether what does not depend on a failed step goes on.
    pub keep_going: bool,
    /// What there is to run on; all of the machine if not said.
    pub limits: Option<Limits>,
}

/// Why a step has no result.
#[derive(Debug)]
pub struct StepError {
    /// The step, as an index into the pipeline.
    pub step: usize,
    /// The parameter it is about, if it is about one.
    pub param: Option<&'static str>,
    /// Whose fault it was.
    pub fault: ErrorKind,
    /// A lower-case sentence without a full stop.
    pub message: String,
    /// What the user can do.
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

/// What became of all steps.
pub struct Outcome {
    /// One a step, in the order of the pipeline.
    pub steps: Vec<StepRecord>,
    /// Why steps failed, in the order of the pipeline.
    pub errors: Vec<StepError>,
    /// Whether the run was stopped.
    pub interrupted: bool,
}

/// The files of every step's sources; scanned before anything runs.
pub type Files = Vec<Vec<FileEntry>>;

/// Finds and hashes the files of all sources.
///
/// # Errors
/// Everything that cannot be read, of all steps at once.
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

/// Steps of which few have sources: not worth a thread each.
const SCANNED_BY_ONE_THREAD: usize = 64;

/// Which steps are wanted: those named and all that they need; every step if none is named.
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

/// The key of a step once the content of its inputs is known.
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

/// Runs a pipeline to its end. Fails of steps are part of the outcome.
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
