//! A worker: a process that runs steps of a frozen plan, as many as fit into it, until nothing is left for it.

use super::{
    events::{Event, Told, tell},
    frozen::{Folder, Frozen, place},
};
use crate::{
    devices::Machine,
    model::{Limits, StepFailure},
    plan::{Plan, build},
    run::{Run, RunInfo, execute_as, others::Others},
    spec,
    ui::progress::{Level, Progress, StepFinished},
};
use cache::Store;
use ops::Cancel;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// What a worker is given.
pub struct Task {
    /// The kind of the worker.
    pub kind: String,
    /// The seconds after which it leaves.
    pub until: f64,
    /// The job that it belongs to.
    pub job: Option<String>,
    /// What its node has for it.
    pub limits: Limits,
}

/// What a worker says last.
pub const NOTHING_LEFT: &str = "nothing is left for this worker";
/// The time between two reports of how far a step is.
const BETWEEN_REPORTS: Duration = Duration::from_secs(1);
/// As many refusals in a row, and the worker leaves its node alone.
const MOST_REFUSALS: usize = 3;
const NO_PANIC: &str = "no thread panics while it holds what others have told";

struct Worker<'a> {
    folder: Folder<'a>,
    frozen: &'a Frozen,
    task: &'a Task,
    name: String,
    host: String,
    began: Instant,
    cancel: &'a dyn Cancel,
    plan: &'a Plan<'a>,
    told: Mutex<Told>,
    /// The steps that this node could not run.
    refused: Mutex<BTreeSet<usize>>,
    refusals: AtomicUsize,
    /// When each step last reported how far it is.
    reported: Mutex<BTreeMap<usize, Instant>>,
}

/// Runs steps of a plan.
///
/// # Errors
/// A sentence, if this node cannot run any.
pub fn work(
    store: &Store,
    folder: &Folder<'_>,
    task: &Task,
    cancel: &dyn Cancel,
) -> Result<(), String> {
    let began = Instant::now();
    let frozen = folder
        .frozen()
        .ok_or_else(|| format!("there is no plan in `{}`", folder.path("").display()))?;
    store.share();
    let name = store.name().map_err(|fault| fault.to_string())?;
    let host =
        fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    tell(folder, &name, &Event::Joined { host: host.clone(), job: task.job.clone() });
    let refuse = |reason: String| {
        tell(folder, &name, &Event::Refused { host: host.clone(), reason: reason.clone() });
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
    let sets = sets.map_err(|fault| refuse(format!("a `--set` of the plan: {fault}")))?;
    let loaded = spec::load_searched(&work.path, work.text.clone(), &sets, &work.results());
    let (mut pipeline, _) =
        loaded.map_err(|faults| refuse(format!("the plan's pipeline: {faults}")))?;
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
    let worker = Worker {
        folder: folder.clone(),
        frozen: &frozen,
        task,
        name: name.clone(),
        host: host.clone(),
        began,
        cancel,
        plan: &plan,
        told: Mutex::default(),
        refused: Mutex::default(),
        refusals: AtomicUsize::new(0),
        reported: Mutex::default(),
    };
    let run = Run { info: &RunInfo::starting(String::new()), progress: &worker, cancel: &worker };
    execute_as(&plan, &run, Some(&worker));
    match worker.refusals.load(Ordering::Relaxed) >= MOST_REFUSALS {
        true => Err(refuse(format!("{MOST_REFUSALS} steps in a row failed because of this node"))),
        false => Ok(()),
    }
}

impl Worker<'_> {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().expect(NO_PANIC)
    }

    fn tell(&self, event: &Event) {
        tell(&self.folder, &self.name, event);
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

impl Others for Worker<'_> {
    fn refresh(&self, _missing: &[usize]) {
        self.told().refresh(&self.folder, |_, _| {});
    }

    fn takes(&self, step: usize, seconds: Option<f64>) -> bool {
        let is_of_kind = self.frozen.kinds[step].as_deref() == Some(&*self.task.kind);
        let entry = self.plan.pipeline.steps[step].entry;
        // A step that saves its state can be continued by another worker.
        let is_in_time = !entry.progressive.is_empty() || seconds.unwrap_or(0.0) < self.left();
        let memory = self.told().outgrown.get(&step).copied().unwrap_or(0);
        let refused = self.refused.lock().expect(NO_PANIC).contains(&step);
        is_of_kind && is_in_time && !refused && memory <= self.task.limits.most_memory
    }

    fn failure(&self, step: usize) -> Option<StepFailure> {
        self.told().failure(step).cloned()
    }

    fn has_made(&self, step: usize) -> bool {
        self.told().made.contains(&step)
    }

    fn is_left_to_others(&self, step: usize, failure: &StepFailure) -> bool {
        self.tell(&Event::Failed { step, host: self.host.clone(), failure: failure.clone() });
        if failure.of_node {
            self.refused.lock().expect(NO_PANIC).insert(step);
            self.refusals.fetch_add(1, Ordering::Relaxed);
        }
        failure.of_node
    }

    fn is_over(&self, idle: Duration) -> bool {
        idle.as_secs_f64() >= self.frozen.idle
            || self.refusals.load(Ordering::Relaxed) >= MOST_REFUSALS
            || self.folder.is_stopped()
    }

    fn only_follows(&self) -> bool {
        false
    }

    fn shift(&self) -> u64 {
        let digits = cache::Digest::of(self.name.as_bytes()).to_string();
        u64::from_str_radix(&digits[..15], 16).unwrap_or_default()
    }
}

impl Progress for Worker<'_> {
    fn start(&self, number: usize, _name: &str, reason: &str) {
        self.tell(&Event::Started { step: number - 1, reason: reason.to_owned() });
    }

    fn at(&self, number: usize, done: u64, total: u64, note: &str) {
        let mut reported = self.reported.lock().expect(NO_PANIC);
        if reported.get(&number).is_some_and(|last| last.elapsed() < BETWEEN_REPORTS) {
            return;
        }
        reported.insert(number, Instant::now());
        self.tell(&Event::At { step: number - 1, done, total, note: note.to_owned() });
    }

    fn step_finished(&self, finished: &StepFinished<'_>) {
        let step = finished.number - 1;
        match finished.status {
            "ran" => {
                self.refusals.store(0, Ordering::Relaxed);
                self.tell(&Event::Made { step });
            }
            "skipped" if self.reported.lock().expect(NO_PANIC).contains_key(&finished.number) => {
                self.tell(&Event::Left { step });
            }
            _ => {}
        }
    }

    fn message(&self, level: Level, text: &str) {
        self.tell(&Event::Said { warning: level != Level::Note, text: text.to_owned() });
    }
}
