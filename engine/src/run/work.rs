//! Runs one step: a function of plan, step and store. It does not depend on other steps, so another
//! thread or another process can call it.

use super::{
    Files, StepError,
    artifacts::Artifacts,
    host::{Deadline, Outside, ProgressRelay},
    log::Log,
    meter::Meter,
};
use crate::{
    pipeline::Pipeline,
    plan::{history::LazyHistory, keys},
    run::{
        programs::{LOG_FOLLOWS, Programs},
        rows::{self, PriorRuns},
    },
    ui::progress::Progress,
};
use cache::{
    CacheKey, Digest, Store, StoreError, panics,
    store::{Finished, LOGS, Object, Owner, Times},
};
use ops::{Cancel, Ctx, Device, ErrorKind, Inputs, OpError};
use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Instant,
};
use tracing::{debug_span, info_span};

/// The parts of a run that all its steps share.
pub struct RunContext<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// The source files of every step.
    pub files: &'a Files,
    /// The path of each file, by its content.
    pub paths: HashMap<Digest, PathBuf>,
    /// The store.
    pub store: &'a Store,
    /// The artifacts in memory.
    pub artifacts: Artifacts<'a>,
    /// Receives the progress.
    pub progress: &'a dyn Progress,
    /// Tells if the run was stopped.
    pub cancel: &'a dyn Cancel,
    /// Measures the cost of the steps.
    pub meter: Meter,
    /// The finished steps of earlier runs, read when they are first needed.
    pub history: LazyHistory<'a>,
}

/// A step that is to run.
#[derive(Clone)]
pub struct Job {
    /// The step, as an index into the pipeline.
    pub step: usize,
    /// The cache key of the step.
    pub key: CacheKey,
    /// The digest of the key.
    pub digest: Digest,
    /// The digests of the inputs, in their order.
    pub inputs: Vec<Digest>,
    /// True if the step runs although its result may be in the store.
    pub again: bool,
    /// The reason why the step runs.
    pub reason: String,
    /// The numbers of the step's GPUs.
    pub gpus: Vec<usize>,
}

/// The completion of a step that has its result.
pub struct StepCompletion {
    /// The key, the outputs and the times of the step.
    pub finished: Finished,
    /// The reason why the step ran, and the rows it reused; none if another run made the result
    /// meanwhile.
    pub reason: Option<String>,
}

/// The reason why a step has no result.
pub enum StepFailure {
    /// The store has lost or damaged one of the inputs, given by its index.
    Lost(usize, StoreError),
    /// The step failed.
    Failed(StepError),
}

/// Runs a step, unless another process runs it first.
pub fn run(job: &Job, context: &RunContext<'_>) -> Result<StepCompletion, StepFailure> {
    // A panic is a bug; it fails the step, and the rest of the run is kept.
    panics::caught(|| claim_and_run(job, context)).unwrap_or_else(|panic| {
        let bug = OpError::failure(format!("the op panicked: {panic}"))
            .help("this is a bug in the engine; the rest of the run is kept");
        Err(StepFailure::Failed(StepError::of_op(job.step, bug)))
    })
}

fn claim_and_run(job: &Job, context: &RunContext<'_>) -> Result<StepCompletion, StepFailure> {
    let (store, name) = (context.store, &context.pipeline.steps[job.step].name);
    let fail = |error: StoreError| StepFailure::Failed(StepError::of_store(job.step, &error));
    let digest = job.digest;
    let waiting = |owner: Option<Owner>| {
        let owner = owner.map_or("another run".to_owned(), |owner| owner.to_string());
        context.progress.say(&format!("{name}: {owner} is running this step; waiting for it"));
    };
    let cancelled = || StepFailure::Failed(StepError::of_op(job.step, OpError::cancelled()));
    let op = context.pipeline.steps[job.step].entry.name;
    let _step =
        info_span!("step", %name, %op, key = %digest.short(), reason = %job.reason).entered();
    let claim = debug_span!("claim")
        .in_scope(|| store.claim(&digest, waiting, || context.cancel.is_cancelled()))
        .map_err(fail)?;
    let _claim = claim.ok_or_else(cancelled)?;
    store.refresh().map_err(fail)?;
    if !job.again
        && let Some(finished) = store.finished(&digest)
    {
        return Ok(StepCompletion { finished, reason: None });
    }
    for (port, damage) in store.lost(&digest).into_iter().filter(|_| !job.again) {
        context.progress.say(&format!("{name}.{port}: {damage}; running `{name}` again"));
    }
    context.progress.start(job.step + 1, name, &job.reason);
    let (started, metered) = (Instant::now(), context.meter.start(job.step));
    let result = run_op(job, context);
    if result.is_err() && !context.files[job.step].is_empty() {
        // A file may hold other bytes than its version said: the next run reads all of them anew.
        store.files().forget(&context.files[job.step]);
        // Without this the next run fails in the same way, and nothing else is lost.
        let _ = store.save_files();
    }
    let OpResult { outputs, mut times, warnings } = result?;
    times.seconds = started.elapsed().as_secs_f64();
    let usage = metered.stop();
    (times.cpu_seconds, times.peak_bytes) = (usage.cpu_seconds, usage.peak_bytes);
    times.gpu_seconds = times.seconds * gpus_held(job, context) as f64;
    let rows = outputs.values().find_map(|object| object.shape.rows).unwrap_or(0);
    let spared = rows::told(times.rows_reused, rows);
    let reason = match spared {
        None => job.reason.clone(),
        Some(spared) => format!("{}; {spared}", job.reason),
    };
    let finished = Finished { key: digest, cache_key: job.key.clone(), outputs, times, warnings };
    // Without the note a later plan cannot say which files are new, and nothing else is lost.
    let files = &context.files[job.step];
    if !files.is_empty()
        && let Err(fault) = store.note_files(files)
    {
        context.progress.say(&format!("warning: {fault}"));
    }
    debug_span!("commit").in_scope(|| store.commit(finished.clone())).map_err(fail)?;
    Ok(StepCompletion { finished, reason: Some(reason) })
}

/// The number of GPUs that a step occupies: those of its lease, or the one that its op works on.
fn gpus_held(job: &Job, context: &RunContext<'_>) -> usize {
    let on_gpu = matches!(context.pipeline.steps[job.step].place, Device::Cuda(_));
    job.gpus.len().max(usize::from(on_gpu))
}

/// What an op made, as the store keeps it.
struct OpResult {
    outputs: BTreeMap<String, Object>,
    times: Times,
    warnings: Vec<String>,
}

fn run_op(job: &Job, context: &RunContext<'_>) -> Result<OpResult, StepFailure> {
    let step = &context.pipeline.steps[job.step];
    let fail = |error: &StoreError| StepFailure::Failed(StepError::of_store(job.step, error));
    let mut artifacts = Vec::new();
    let reading = debug_span!("read_inputs").entered();
    for (at, (input, digest)) in step.inputs.iter().zip(&job.inputs).enumerate() {
        let artifact = context.artifacts.get(digest).map_err(|error| match error {
            StoreError::Missing(_) | StoreError::Damaged { .. } => StepFailure::Lost(at, error),
            other => fail(&other),
        })?;
        artifacts.push((input.port, artifact));
    }
    drop(reading);
    let inputs = artifacts
        .iter()
        .fold(Inputs::new().with_files(&context.files[job.step]), |inputs, (port, artifact)| {
            inputs.with(port, Arc::as_ref(artifact))
        });
    let logs = context.store.in_folder(LOGS).map_err(|error| fail(&error))?;
    let log = Log::new(logs.join(format!("{}.log", job.digest)));
    let common = keys::without(&job.key, step.entry.progressive).digest();
    let outside = Outside::new(&context.paths, context.store.checkpoints(&common), &log);
    let relay = ProgressRelay {
        progress: context.progress,
        number: job.step + 1,
        step: &step.name,
        log: &log,
        warnings: Mutex::default(),
    };
    // A forced step is computed without the results of earlier runs.
    let history = (!job.again).then_some(&*context.history);
    let before = PriorRuns::new(&job.key, history, context.store);
    let programs = Programs::new(log.path().to_owned(), job.gpus.clone());
    context.pipeline.note.say(step.entry.determinism, context.progress);
    let device = step.place.on(&job.gpus);
    let mut tries_left = step.retries;
    let (made, rows_reused) = loop {
        let deadline = Deadline::new(context.cancel, step.timeout);
        let cx = Ctx {
            seed: step.seed,
            progress: &relay,
            cancel: &deadline,
            files: &outside,
            checkpoints: &outside,
            earlier: &before,
            programs: &programs,
            warnings: &relay,
            device: &device,
        };
        let op = info_span!("op", name = %step.entry.name);
        let made = op.in_scope(|| rows::run(step, &inputs, &before, &cx));
        match made.map_err(|error| deadline.explain(error)) {
            Ok(made) => break made,
            Err(error) if error.fault == ErrorKind::Failure && tries_left > 0 => {
                tries_left -= 1;
                // The output of the program is in the log already.
                let headline = error.message.lines().next().unwrap_or_default();
                let headline = headline.strip_suffix(LOG_FOLLOWS).unwrap_or(headline);
                log.line(&format!("failed: {headline}; trying again"));
                context.progress.say(&format!("{}: {headline}; trying again", step.name));
            }
            Err(error) => {
                let mut error = StepError::of_op(job.step, error);
                error.log = log.tail();
                if error.fault == ErrorKind::Failure {
                    error.log.extend(programs.cut_short());
                }
                return Err(StepFailure::Failed(error));
            }
        }
    };
    let times = Times { rows_reused, ..outside.times() };
    let mut outputs = BTreeMap::new();
    let _keeping = debug_span!("keep_outputs").entered();
    for (port, artifact) in made.into_vec() {
        let object = context.store.put(&artifact).map_err(|error| fail(&error))?;
        if let Some(warning) = &object.warning {
            context.progress.say(&format!("warning: {}.{port}: {warning}", step.name));
        }
        context.artifacts.keep(object.digest, artifact);
        outputs.insert(port.to_owned(), object);
    }
    outside.checkpoints.finish().map_err(|error| fail(&error))?;
    Ok(OpResult { outputs, times, warnings: relay.into_warnings() })
}
