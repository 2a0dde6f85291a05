//! A worker: a process that runs steps of a frozen plan, as many as fit into it, until nothing is left for it.

use super::{
    events::{ClusterState, Event, send},
    frozen::{FrozenPlan, PlanFolder, place},
    oom,
};
use crate::{
    devices::Machine,
    model::{Limits, SourceText, StepFailure},
    plan::{Plan, build},
    run::{RunInfo, execute_with_peers, peers::Peers},
    spec,
    ui::{
        console::relay::{RunEvent, relay_to},
        events,
    },
};
use cache::{Store, blobs::Blobs, store::remote::Fetch};
use ops::{Cancel, ErrorKind};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// The task of a worker.
pub struct Task {
    /// The kind of the worker.
    pub kind: String,
    /// The seconds after which it leaves.
    pub until: f64,
    /// The job that it belongs to.
    pub job: Option<String>,
    /// The resources that its node has for it.
    pub limits: Limits,
    /// The remote, which may have results that the store does not have.
    pub remote: Option<Box<dyn Blobs>>,
}

/// The exit code of a worker that does not see the store of its driver.
pub const STORE_NOT_SEEN: u8 = 74;

/// The last message of a worker.
pub const NOTHING_LEFT: &str = "nothing is left for this worker";
/// The last message of a worker that was stopped.
pub const STOPPED: &str = "stopped before the end; another worker goes on";
/// The time between two reports of how far a step is.
const BETWEEN_REPORTS: Duration = Duration::from_secs(1);
/// As many refusals, and the worker leaves its node alone.
const MAX_REFUSALS: usize = 3;
const NO_PANIC: &str = "no thread panics while it holds the state of the cluster";

struct Worker<'a> {
    folder: PlanFolder<'a>,
    frozen: &'a FrozenPlan,
    task: &'a Task,
    name: String,
    host: String,
    began: Instant,
    cancel: &'a dyn Cancel,
    state: Mutex<ClusterState>,
    /// The steps that this node could not run.
    refused: Mutex<BTreeSet<usize>>,
    refusals: AtomicUsize,
    /// The number of processes that the kernel has killed here for want of memory.
    kills: AtomicU64,
}

/// Runs steps of a plan. False if it was stopped before the end.
///
/// # Errors
/// A sentence, if this node cannot run any.
pub fn work(
    store: &Arc<Store>,
    folder: &PlanFolder<'_>,
    task: &mut Task,
    cancel: &dyn Cancel,
) -> Result<bool, String> {
    let began = Instant::now();
    let frozen = folder
        .frozen()
        .ok_or_else(|| format!("there is no plan in `{}`", folder.path("").display()))?;
    store.share();
    let name = store.name().map_err(|error| error.to_string())?;
    let host =
        fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    send(folder, &name, &Event::Joined { host: host.clone(), job: task.job.clone() });
    let refuse = |reason: String| {
        send(folder, &name, &Event::HostExcluded { host: host.clone(), reason: reason.clone() });
        reason
    };
    let work = &frozen.work;
    if work.engine != env!("CARGO_PKG_VERSION") {
        let (plan, own) = (&work.engine, env!("CARGO_PKG_VERSION"));
        return Err(refuse(format!("the plan is of engine {plan}, and this is {own}")));
    }
    let absent = work.files.iter().flatten().find(|file| !file.path.exists());
    if let Some(file) = absent {
        return Err(refuse(format!("this node does not see `{}`", file.path.display())));
    }
    let sets: Result<Vec<_>, _> = work.set.iter().map(|set| set.parse()).collect();
    let sets = sets.map_err(|error| refuse(format!("a `--set` of the plan: {error}")))?;
    let (path, text, included) = (work.path.clone(), work.text.clone(), work.included.clone());
    let source = SourceText { path, text, included };
    let loaded = spec::load_kept(&source, &sets, &work.results());
    let (mut pipeline, _) =
        loaded.map_err(|diagnostics| refuse(format!("the plan's pipeline: {diagnostics}")))?;
    let machine = Machine::detect();
    let cuda = || machine.cuda(0).unwrap_or_else(|_| Machine::of_workers());
    place(&mut pipeline, &work.on_gpu, cuda);
    let needs_gpu = frozen.kinds.iter().zip(&work.on_gpu);
    let needs_gpu =
        needs_gpu.filter(|(kind, _)| kind.as_deref() == Some(&*task.kind)).any(|(_, on)| *on);
    if let (true, Err(missing)) = (needs_gpu, machine.cuda(0)) {
        return Err(refuse(missing.what));
    }
    let mut options = work.options();
    options.limits = Some(task.limits.clone());
    let plan = build(&pipeline, &work.files, store, &options);
    // The driver has looked for all that it knew of; what comes of a new result is asked for when its turn comes.
    if let Some(remote) = task.remote.take() {
        store.use_remote(remote, Fetch::All);
    }
    let worker = Worker {
        folder: folder.clone(),
        frozen: &frozen,
        task,
        name: name.clone(),
        host: host.clone(),
        began,
        cancel,
        state: Mutex::default(),
        refused: Mutex::default(),
        refusals: AtomicUsize::new(0),
        kills: AtomicU64::new(oom::kills().unwrap_or(0)),
    };
    let _shown = events::Steps::begin(pipeline.steps.len());
    send_shown(store, folder, &name, Times::of(&plan, task, began));
    execute_with_peers(&plan, &RunInfo::starting(String::new()), &worker, Some(&worker));
    match worker.refusals.load(Ordering::Relaxed) >= MAX_REFUSALS {
        true => Err(refuse(format!("{MAX_REFUSALS} steps failed because of this node"))),
        false => {
            worker.send(&Event::Exited);
            Ok(!worker.is_cancelled())
        }
    }
}

/// The times of a worker.
struct Times {
    /// The earliest time at which it is asked to leave.
    notice: Instant,
    /// True for steps that nobody can go on with.
    anew: Vec<bool>,
}

impl Times {
    fn of(plan: &Plan<'_>, task: &Task, began: Instant) -> Self {
        // The signal of the scheduler may come a minute early.
        const EARLY: f64 = 60.0;
        let notice = began + Duration::from_secs_f64((task.until - EARLY).max(0.0));
        let anew = plan.pipeline.steps.iter().map(|step| step.entry.progressive.is_empty());
        Self { notice, anew: anew.collect() }
    }
}

/// Sends to the others what this process shows.
fn send_shown(store: &Arc<Store>, folder: &PlanFolder<'_>, process: &str, times: Times) {
    let (store, name, process) = (Arc::clone(store), folder.name.clone(), process.to_owned());
    // When each step that runs began, and when it last reported how far it is.
    let running: Mutex<BTreeMap<usize, (Instant, Option<Instant>)>> = Mutex::default();
    relay_to(Box::new(move |shown| {
        let mut running = running.lock().expect(NO_PANIC);
        let event = match shown {
            RunEvent::Started { step, reason } => {
                running.insert(step, (Instant::now(), None));
                Event::Started { step, reason }
            }
            RunEvent::Progress { step, done, total, note } => {
                let Some((_, last)) = running.get_mut(&step) else { return };
                if last.is_some_and(|last| last.elapsed() < BETWEEN_REPORTS) {
                    return;
                }
                *last = Some(Instant::now());
                Event::Progress { step, done, total, note }
            }
            RunEvent::Finished { step, status } => match (running.remove(&step), &*status) {
                (_, "ran") => Event::Completed { step },
                (Some((began, _)), "skipped")
                    if times.anew[step] && Instant::now() >= times.notice =>
                {
                    // Whoever has a second more would do it in no time.
                    Event::TimedOut { step, seconds: began.elapsed().as_secs().max(1) }
                }
                (Some(_), "skipped" | "hit") => Event::Released { step },
                _ => return,
            },
            RunEvent::Message { warning, text } => Event::Message { warning, text },
        };
        send(&PlanFolder { store: &store, name: name.clone() }, &process, &event);
    }));
}

impl Worker<'_> {
    fn state(&self) -> MutexGuard<'_, ClusterState> {
        self.state.lock().expect(NO_PANIC)
    }

    fn send(&self, event: &Event) {
        send(&self.folder, &self.name, event);
    }

    fn left(&self) -> f64 {
        self.task.until - self.began.elapsed().as_secs_f64()
    }
}

impl Cancel for Worker<'_> {
    fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled() || self.left() <= 0.0
    }
}

impl Peers for Worker<'_> {
    fn refresh(&self) {
        self.state().refresh(&self.folder, |_, _| {});
    }

    fn may_run(&self, step: usize, _seconds: Option<f64>) -> bool {
        let is_of_kind = self.frozen.kinds[step].as_deref() == Some(&*self.task.kind);
        // The plan says it for all, so that no step is too long for each of them.
        let needs = self.frozen.seconds.get(step).copied().flatten().unwrap_or(0);
        let state = self.state();
        if state.failure(step).is_some() {
            return false;
        }
        let memory = state.min_memory.get(&step).copied().unwrap_or(0);
        let left = state.min_time.get(&step).map_or(0, |more| more.left);
        drop(state);
        let is_in_time = self.left() >= needs.max(left) as f64;
        let refused = self.refused.lock().expect(NO_PANIC).contains(&step);
        is_of_kind && is_in_time && !refused && memory <= self.task.limits.max_memory
    }

    fn failure(&self, step: usize) -> Option<StepFailure> {
        self.state().failure(step).cloned()
    }

    fn has_made(&self, step: usize) -> bool {
        self.state().made.contains(&step)
    }

    fn has_begun(&self, step: usize) -> bool {
        self.state().begun.contains(&step)
    }

    fn report_failure(&self, step: usize, failure: &StepFailure) -> bool {
        let kills = oom::kills().unwrap_or(0);
        let was_starved = kills > self.kills.swap(kills, Ordering::Relaxed);
        if was_starved && failure.kind == ErrorKind::Failure {
            // A program of the step was ended, and this process was not.
            self.refused.lock().expect(NO_PANIC).insert(step);
            self.send(&Event::OutOfMemory { step, memory: self.task.limits.max_memory });
            return true;
        }
        self.send(&Event::Failed { step, host: self.host.clone(), failure: failure.clone() });
        if failure.of_node {
            self.refused.lock().expect(NO_PANIC).insert(step);
            self.refusals.fetch_add(1, Ordering::Relaxed);
        }
        failure.of_node
    }

    fn is_over(&self, idle: Duration) -> bool {
        idle.as_secs_f64() >= self.frozen.idle
            || self.refusals.load(Ordering::Relaxed) >= MAX_REFUSALS
            || self.folder.is_stopped()
    }

    fn only_follows(&self) -> bool {
        false
    }

    fn order_offset(&self) -> u64 {
        let digits = cache::Digest::of(self.name.as_bytes()).to_string();
        u64::from_str_radix(&digits[..15], 16).unwrap_or_default()
    }
}
