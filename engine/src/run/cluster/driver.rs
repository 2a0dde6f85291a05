//! The process that the user started: it asks for workers, follows their events, and writes the report. It runs no
//! step. If it dies, the workers go on, and the same command finds them.

use super::{
    events::{ClusterState, Event, send},
    frozen::{FrozenPlan, PlanFolder, Work},
    jobs::{Jobs, PollInterval},
    scripts::{ScriptTemplate, job_name},
    sizes::{WorkerSize, assign, expected_seconds, short, sizes, to_run},
    slurm::{self, JobState},
};
use crate::{
    model::{Profile, StepFailure},
    plan::Plan,
    run::{self, Outcome, RunInfo, execute_with_peers, peers::Peers},
    spec::Results,
    ui::events,
};
use cache::Store;
use ops::Cancel;
use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tracing::{Level, event_enabled, info, warn};

/// A run on a cluster.
pub struct Cluster {
    /// The profile.
    pub profile: Profile,
    /// The options `--set` of the command.
    pub set: Vec<String>,
    /// The remote of the store, from which workers take what the store does not have.
    pub remote: Option<String>,
    /// True to submit the workers and leave.
    pub detach: bool,
    /// True to cancel all jobs if the run is interrupted, without a question.
    pub cancel_on_interrupt: bool,
}

const NO_PANIC: &str = "no thread panics while it holds the state of the cluster";
/// The process that follows the workers of one plan.
pub(super) struct Driver<'a> {
    pub(super) name: String,
    pub(super) folder: PlanFolder<'a>,
    pub(super) profile: &'a Profile,
    pub(super) plan: &'a Plan<'a>,
    pub(super) frozen: FrozenPlan,
    pub(super) template: ScriptTemplate<'a>,
    process: String,
    /// The resources of the workers of each kind.
    pub(super) sizes: BTreeMap<String, WorkerSize>,
    state: Mutex<ClusterState>,
    missing: Mutex<Vec<usize>>,
    /// The hosts that workers have left alone, and why.
    excluded: Mutex<BTreeMap<String, String>>,
    error: Mutex<Option<String>>,
    has_left: AtomicBool,
    /// True once the run has ended.
    ended: AtomicBool,
    /// True if Slurm did not answer when it was last asked.
    is_slurm_silent: AtomicBool,
    detach: bool,
}

/// The workers that are wanted of each size: steps, and seconds if all are known.
type Wanted = BTreeMap<WorkerSize, (usize, Option<f64>)>;

/// Executes a plan on a cluster; here, if that is quicker.
pub fn execute(
    plan: &Plan<'_>,
    run: &RunInfo,
    cancel: &dyn Cancel,
    cluster: &Cluster,
    results: &Results,
) -> Outcome {
    if to_run(plan).is_empty() {
        return run::execute(plan, run, cancel);
    }
    if let Some(seconds) = short(plan, &cluster.profile) {
        let time = reports::duration(seconds);
        info!("what must run is likely to take {time}, so it runs here");
        return run::execute(plan, run, cancel);
    }
    match Driver::new(plan, cluster, results) {
        Ok(driver) => driver.follow(run, cancel, cluster),
        Err(error) => run::execute(plan, run, &Stopped).stopped_by(error),
    }
}

/// A run that is stopped before it begins.
struct Stopped;

impl Cancel for Stopped {
    fn is_cancelled(&self) -> bool {
        true
    }
}

impl<'a> Driver<'a> {
    fn new(plan: &'a Plan<'a>, cluster: &'a Cluster, results: &Results) -> Result<Self, String> {
        let work = Work::of(plan, &cluster.set, results, &cluster.profile);
        let digest = work.digest();
        let of_store = |error: cache::StoreError| error.to_string();
        let assigned = assign(plan, &cluster.profile).map_err(|errors| {
            errors.first().map_or_else(String::new, |error| error.failure.message.clone())
        })?;
        let folder = PlanFolder::make(plan.store, &digest).map_err(of_store)?;
        let frozen = FrozenPlan {
            work,
            name: plan.pipeline.name.clone(),
            kinds: assigned.0,
            seconds: assigned.1,
            idle: cluster.profile.idle_timeout,
            beat_ms: (cluster.profile.heartbeat * 1e3) as u64,
        };
        let frozen = folder.freeze(frozen).map_err(of_store)?;
        folder.resume();
        plan.store.share();
        let process = plan.store.name().map_err(of_store)?;
        let assigned = (frozen.kinds.clone(), frozen.seconds.clone());
        let sizes = sizes(plan, &assigned, &cluster.profile);
        let template = ScriptTemplate::new(plan, cluster, &folder).map_err(of_store)?;
        let mut state = ClusterState::of_others(&process);
        // Events from before this process began have been shown by another.
        state.refresh(&folder, |_, _| {});
        let failures = state.failures.iter().map(|(step, failures)| (*step, failures.len()));
        let failures: Vec<_> = failures.collect();
        let driver = Self {
            template,
            name: job_name(&folder),
            folder,
            profile: &cluster.profile,
            plan,
            frozen,
            process,
            sizes,
            state: Mutex::new(state),
            missing: Mutex::default(),
            excluded: Mutex::default(),
            error: Mutex::default(),
            has_left: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            is_slurm_silent: AtomicBool::new(false),
            detach: cluster.detach,
        };
        for (step, failures) in failures {
            driver.send(Event::FailuresCleared { step, failures });
        }
        Ok(driver)
    }

    /// Follows the workers to the end of the plan.
    fn follow(&self, run: &RunInfo, cancel: &dyn Cancel, cluster: &Cluster) -> Outcome {
        let outcome = thread::scope(|scope| {
            scope.spawn(|| self.watch_jobs());
            let outcome = execute_with_peers(self.plan, run, cancel, Some(self));
            self.ended.store(true, Ordering::Relaxed);
            outcome
        });
        let error = self.error.lock().expect(NO_PANIC).take();
        let interrupted = cancel.is_cancelled();
        if self.has_left.load(Ordering::Relaxed) {
            let note = "the workers go on; the same command follows them and writes the report";
            return outcome.with_note(note.to_owned());
        }
        if interrupted && !cluster.cancel_on_interrupt && !is_to_cancel() {
            let note =
                "the workers go on; the same command follows them, and `engine cancel` ends them";
            return outcome.with_note(note.to_owned());
        }
        // Workers leave by themselves; those that wait in the queue do not, but have nothing to do when they start.
        let _ = self.folder.stop();
        if self.is_slurm_silent.load(Ordering::Relaxed) && !interrupted && error.is_none() {
            return outcome;
        }
        let cancelled = slurm::cancel(&self.name);
        if let Some(refusal) = cancelled.err().filter(|_| interrupted || error.is_some()) {
            warn!("{}", refusal.message);
        }
        match error {
            Some(error) => outcome.stopped_by(error),
            None => outcome,
        }
    }

    /// True once the run has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn watch_jobs(&self) {
        let (mut jobs, mut interval) = (Jobs::default(), PollInterval::new());
        while !self.has_ended() {
            thread::sleep(Duration::from_millis(20));
            if !interval.is_due() || self.missing.lock().expect(NO_PANIC).is_empty() {
                continue;
            }
            let began = Instant::now();
            match jobs.poll(self) {
                Ok(has_submitted) => {
                    interval.after(began.elapsed(), has_submitted);
                    if self.detach && has_submitted {
                        self.has_left.store(true, Ordering::Relaxed);
                        return;
                    }
                }
                Err(error) => {
                    *self.error.lock().expect(NO_PANIC) = Some(error);
                    return;
                }
            }
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, ClusterState> {
        self.state.lock().expect(NO_PANIC)
    }

    pub(super) fn send(&self, event: Event) {
        send(&self.folder, &self.process, &event);
        self.state().apply(&self.process, event);
    }

    /// Reads the new events of the workers, and shows them.
    pub(super) fn read_events(&self) {
        let steps = &self.plan.pipeline.steps;
        self.state().refresh(&self.folder, |_, event| match event {
            Event::Started { step, reason } if *step < steps.len() => {
                events::step_started(step + 1, &steps[*step].name, reason);
            }
            Event::Progress { step, done, total, note } => {
                events::step_at(step + 1, *done, *total, note)
            }
            Event::HostExcluded { host, reason } => self.warn_excluded(host, reason),
            // The worker's own last words, which do not name its host.
            Event::Message { text, .. } if self.is_refusal(text) => {}
            Event::Message { warning: true, text } => warn!("{text}"),
            Event::Message { warning: false, text } => info!("{text}"),
            _ => {}
        });
    }

    /// Says once of each node that no more is submitted to it.
    pub(super) fn warn_excluded(&self, node: &str, reason: &str) {
        let mut known = self.excluded.lock().expect(NO_PANIC);
        if known.insert(node.to_owned(), reason.to_owned()).is_none() {
            warn!("node {node} is left alone: {reason}");
        }
    }

    fn is_refusal(&self, text: &str) -> bool {
        self.excluded.lock().expect(NO_PANIC).values().any(|reason| reason == text)
    }

    /// Records whether Slurm answers.
    pub(super) fn set_slurm_answers(&self, answers: bool) {
        self.is_slurm_silent.store(!answers, Ordering::Relaxed);
    }

    /// True if the worker of a running job was ended by something else, whatever Slurm knows of its node.
    pub(super) fn is_lost(&self, id: &str, job: &JobState) -> bool {
        let Some(process) = self.state().jobs.get(id).cloned() else { return false };
        if job.state != "RUNNING" || !self.folder.store.has_ended(&process) {
            return false;
        }
        // One that has just done the last step says so before it ends.
        self.read_events();
        !self.state().exited.contains(&process)
    }

    /// True if nobody can go on with a step that was stopped.
    pub(super) fn starts_over(&self, step: usize) -> bool {
        self.plan.pipeline.steps[step].entry.progressive.is_empty()
    }

    pub(super) fn is_made(&self, step: usize) -> bool {
        !self.missing.lock().expect(NO_PANIC).contains(&step)
    }

    /// The workers that are wanted now.
    pub(super) fn wanted(&self) -> Wanted {
        let missing = self.missing.lock().expect(NO_PANIC).clone();
        let mut wanted = Wanted::new();
        for step in missing {
            let Some(size) = self.size_for(step) else { continue };
            let count = wanted.entry(size).or_insert((0, Some(0.0)));
            count.0 += 1;
            count.1 = count.1.zip(expected_seconds(self.plan, step)).map(|(a, b)| a + b);
        }
        wanted
    }
}

impl Peers for Driver<'_> {
    fn refresh(&self) {
        self.read_events();
    }

    fn note_missing(&self, steps: &[usize]) {
        steps.clone_into(&mut self.missing.lock().expect(NO_PANIC));
    }

    fn may_run(&self, _step: usize, _seconds: Option<f64>) -> bool {
        false
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

    fn report_failure(&self, _step: usize, _failure: &StepFailure) -> bool {
        false
    }

    fn is_over(&self, _idle: Duration) -> bool {
        self.error.lock().expect(NO_PANIC).is_some() || self.has_left.load(Ordering::Relaxed)
    }

    fn only_follows(&self) -> bool {
        true
    }

    fn order_offset(&self) -> u64 {
        0
    }
}

/// Asks at the terminal what becomes of the workers of an interrupted run: they go on unless the answer is `c`. They go
/// on too where nobody can be asked, and if a second Ctrl-C ends this process meanwhile.
fn is_to_cancel() -> bool {
    if !io::stdin().is_terminal() || !event_enabled!(Level::INFO) {
        return false;
    }
    info!("press Enter to leave the workers at their work, or type `c` and Enter to cancel them");
    let mut answer = String::new();
    // What cannot be read is no answer.
    let _ = io::stdin().read_line(&mut answer);
    answer.trim().eq_ignore_ascii_case("c")
}

/// The plans in a store that are not finished; those of one study, if it is named.
pub fn unfinished<'s>(store: &'s Store, study: Option<&str>) -> Vec<(PlanFolder<'s>, FrozenPlan)> {
    let folders = store
        .folders_in(super::WORK)
        .into_iter()
        .map(|name| PlanFolder { store, name: format!("{}/{name}", super::WORK) });
    let plans = folders.filter(|folder| !folder.is_stopped());
    let plans = plans.filter_map(|folder| Some((folder.clone(), folder.frozen()?)));
    plans.filter(|(_, frozen)| study.is_none_or(|study| study == frozen.name)).collect()
}
