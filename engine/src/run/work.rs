//! Runs one step: a function of a request and a store. It does not depend on other steps, so another
//! thread or another process can call it.

use super::{
    artifacts::Artifacts,
    executor::Executor,
    host::{Deadline, ProgressRelay, StepHost},
    log::Log,
    meter::Meter,
    peers::Peers,
    programs::{LOG_FOLLOWS, Programs},
    rows::{self, PriorRuns},
};
use crate::{
    model::{StepFailure, StepRequest, StepResult},
    plan::{Plan, history::LazyHistory, keys},
    ui::events,
};
use cache::{
    Artifact, Digest, Store, StoreError, panics,
    store::{Attempt, Finished, LOGS, Object, Owner, Times},
};
use ops::{Cancel, Ctx, Determinism, Device, ErrorKind, OpError};
use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use tracing::{debug_span, info, info_span, warn};

/// The parts of a run that all its steps share.
pub struct RunContext<'a> {
    /// The plan of the run.
    pub plan: &'a Plan<'a>,
    /// Runs the steps.
    pub executor: &'a dyn Executor,
    /// The services for the steps.
    pub host: Host<'a>,
    /// The other processes at the plan, if there are some.
    pub peers: Option<&'a dyn Peers>,
}

/// The services that a process gives to the steps that it runs.
pub struct Host<'a> {
    /// The store.
    pub store: &'a Store,
    /// The path of each file, by its content.
    pub paths: HashMap<Digest, PathBuf>,
    /// The artifacts in memory.
    pub artifacts: Artifacts<'a>,
    /// Tells if the run was stopped.
    pub cancel: &'a dyn Cancel,
    /// Measures the cost of the steps.
    pub meter: Meter,
    /// The finished steps of earlier runs, read when they are first needed.
    pub history: &'a LazyHistory<'a>,
    /// A note on the device, given once before the first step whose bytes depend on it.
    pub note: Option<&'a str>,
    /// True once the note was given.
    pub has_noted: AtomicBool,
    /// True to wait for a step that another process runs.
    pub waits: bool,
}

impl<'a> Host<'a> {
    /// A host without a note on the device.
    pub fn new(
        store: &'a Store,
        paths: HashMap<Digest, PathBuf>,
        cancel: &'a dyn Cancel,
        history: &'a LazyHistory<'a>,
    ) -> Self {
        let (artifacts, meter) = (Artifacts::new(store), Meter::default());
        let (note, has_noted) = (None, AtomicBool::new(false));
        let waits = true;
        Self { store, paths, artifacts, cancel, meter, history, note, has_noted, waits }
    }
}

/// Runs a step, unless another process runs it first.
pub fn run(request: &StepRequest, host: &Host<'_>) -> StepResult {
    // A panic is a bug; it fails the step, and the rest of the run is kept.
    let made = panics::catch(|| claim_and_run(request, host)).unwrap_or_else(|panic| {
        let bug = OpError::failure(format!("the op panicked: {panic}"))
            .help("this is a bug in the engine; the rest of the run is kept");
        Err(bug.into())
    });
    match made {
        Ok((finished, reason)) => StepResult::Done { finished, reason },
        Err(NoResult::Lost(input, damage)) => {
            StepResult::Lost { input, damage: damage.to_string() }
        }
        Err(NoResult::Failed(failure)) => StepResult::Failed(failure),
        Err(NoResult::Elsewhere) => StepResult::Elsewhere,
    }
}

/// The reason why a step has no result.
enum NoResult {
    Lost(usize, StoreError),
    Failed(StepFailure),
    Elsewhere,
}

impl From<OpError> for NoResult {
    fn from(error: OpError) -> Self {
        Self::Failed(StepFailure::from(error))
    }
}

impl From<StoreError> for NoResult {
    fn from(error: StoreError) -> Self {
        Self::Failed(StepFailure::of_store(&error))
    }
}

fn claim_and_run(
    request: &StepRequest,
    host: &Host<'_>,
) -> Result<(Finished, Option<String>), NoResult> {
    let (store, name) = (host.store, &request.name);
    let digest = request.key.digest();
    let waiting = |owner: Option<Owner>| {
        let owner = owner.map_or("another run".to_owned(), |owner| owner.to_string());
        info!("{name}: {owner} is running this step; waiting for it");
    };
    let op = &request.op;
    let _step =
        info_span!("step", %name, %op, key = %digest.short(), reason = %request.reason).entered();
    let claim = debug_span!("claim").in_scope(|| match host.waits {
        true => store.claim(&digest, waiting, || host.cancel.is_cancelled()),
        false => store.try_claim(&digest).map(Attempt::mine),
    })?;
    let claim = match claim {
        Some(claim) => claim,
        None if host.waits => return Err(OpError::cancelled().into()),
        None => return Err(NoResult::Elsewhere),
    };
    store.refresh()?;
    if !request.again
        && let Some(finished) = store.finished(&digest)
    {
        return Ok((finished, None));
    }
    for (port, damage) in store.damaged_outputs(&digest).into_iter().filter(|_| !request.again) {
        info!("{name}.{port}: {damage}; running `{name}` again");
    }
    events::step_started(request.number, name, &request.reason);
    let (started, metered) = (Instant::now(), host.meter.start(request.number));
    let result = run_op(request, host);
    if result.is_err() && !request.files.is_empty() {
        // A file may hold other bytes than its version said: the next run reads all of them anew.
        store.files().forget(&request.files);
        // Without this the next run fails in the same way, and nothing else is lost.
        let _ = store.save_files();
    }
    let OpResult { outputs, mut times, warnings } = result?;
    times.seconds = started.elapsed().as_secs_f64();
    let usage = metered.stop();
    (times.cpu_seconds, times.peak_bytes) = (usage.cpu_seconds, usage.peak_bytes);
    times.gpu_seconds = times.seconds * gpus_held(request) as f64;
    let rows = outputs.values().find_map(|object| object.shape.rows).unwrap_or(0);
    let spared = rows::describe_reuse(times.rows_reused, rows);
    let reason = match spared {
        None => request.reason.clone(),
        Some(spared) => format!("{}; {spared}", request.reason),
    };
    let cache_key = request.key.clone();
    let finished = Finished { key: digest, cache_key, outputs, times, warnings };
    // Without the note a later plan cannot say which files are new, and nothing else is lost.
    if !request.files.is_empty()
        && let Err(error) = store.note_files(&request.files)
    {
        warn!("{error}");
    }
    if store.is_shared() && !request.again {
        // A process that stood still may have been taken for dead, and another was first.
        store.refresh()?;
        if let Some(first) = store.contains(&digest).then(|| store.finished(&digest)).flatten() {
            return Ok((first, None));
        }
    }
    debug_span!("commit").in_scope(|| store.commit(finished.clone()))?;
    claim.finish();
    Ok((finished, Some(reason)))
}

/// The number of GPUs that a step occupies: those of its lease, or the one that its op works on.
fn gpus_held(request: &StepRequest) -> usize {
    request.gpus.len().max(usize::from(matches!(request.device, Device::Cuda(_))))
}

/// The result of an op, as the store keeps it.
struct OpResult {
    outputs: BTreeMap<String, Object>,
    times: Times,
    warnings: Vec<String>,
}

fn run_op(request: &StepRequest, host: &Host<'_>) -> Result<OpResult, NoResult> {
    let (entry, op) = request.op()?;
    let reading = debug_span!("read_inputs").entered();
    let read = request.inputs.iter().enumerate().map(|(at, (_, digest))| {
        host.artifacts.get(digest).map_err(|error| match error {
            StoreError::Missing(_) | StoreError::Damaged { .. } => NoResult::Lost(at, error),
            other => other.into(),
        })
    });
    let artifacts: Vec<Arc<Artifact>> = read.collect::<Result<_, _>>()?;
    drop(reading);
    let inputs = request.inputs(op.as_ref(), &artifacts)?;
    let logs = host.store.in_folder(LOGS)?;
    let log = Log::new(logs.join(format!("{}.log", request.key.digest())));
    let common = keys::without(&request.key, entry.progressive).digest();
    let step_host = StepHost::new(&host.paths, host.store.checkpoints(&common), &log);
    let relay = ProgressRelay {
        number: request.number,
        step: &request.name,
        log: &log,
        warnings: Mutex::default(),
    };
    // A forced step is computed without the results of earlier runs.
    let history = (!request.again).then_some(&**host.history);
    let before = PriorRuns::new(&request.key, history, host.store);
    let programs = Programs::new(log.path().to_owned(), request.gpus.clone());
    if let Some(note) = host.note
        && entry.determinism == Determinism::Tolerant
        && !host.has_noted.swap(true, Ordering::Relaxed)
    {
        info!("{note}");
    }
    let device = request.device.on(&request.gpus);
    if let Some(slow) = op.slow(&request.shapes(op.as_ref(), &artifacts)) {
        warn!("{}: {slow}", request.name);
    }
    let mut tries_left = request.retries;
    let (made, rows_reused) = loop {
        let deadline = Deadline::new(host.cancel, request.timeout);
        let cx = Ctx {
            seed: request.seed,
            progress: &relay,
            cancel: &deadline,
            files: &step_host,
            checkpoints: &step_host,
            earlier: &before,
            programs: &programs,
            warnings: &relay,
            device: &device,
            ops: ops::OPS,
        };
        let span = info_span!("op", name = %entry.name);
        let made = span.in_scope(|| rows::run(entry, op.as_ref(), &inputs, &before, &cx));
        match made.map_err(|error| deadline.explain(error)) {
            Ok(made) => break made,
            Err(error) if error.kind == ErrorKind::Failure && tries_left > 0 => {
                tries_left -= 1;
                // The output of the program is in the log already.
                let headline = error.message.lines().next().unwrap_or_default();
                let headline = headline.strip_suffix(LOG_FOLLOWS).unwrap_or(headline);
                log.line(&format!("failed: {headline}; trying again"));
                info!("{}: {headline}; trying again", request.name);
            }
            Err(error) => {
                let mut failure = StepFailure::from(error);
                failure.log = log.tail();
                if failure.kind == ErrorKind::Failure {
                    failure.log.extend(programs.cut_short());
                    failure.of_node = programs.ran_out_of_space();
                }
                return Err(NoResult::Failed(failure));
            }
        }
    };
    let times = Times { rows_reused, ..step_host.times() };
    let (mut outputs, mut of_outputs) = (BTreeMap::new(), BTreeMap::new());
    let _keeping = debug_span!("keep_outputs").entered();
    for (port, artifact) in made.into_vec() {
        let object = host.store.put(&artifact)?;
        if let Some(warning) = artifact.meta.get("warning").and_then(|it| it.as_str()) {
            warn!("{}.{port}: {warning}", request.name);
            of_outputs.insert(port, warning.to_owned());
        }
        host.artifacts.keep(object.digest, artifact);
        outputs.insert(port.to_owned(), object);
    }
    step_host.checkpoints.finish()?;
    let warnings = relay.into_warnings().into_iter().chain(of_outputs.into_values()).collect();
    Ok(OpResult { outputs, times, warnings })
}
