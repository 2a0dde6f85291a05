//! Steps of a plan that other processes run: they take each from the same store, and no process tells another what to do.

use super::{schedule::Schedule, state::StepState};
use crate::model::{StepError, StepFailure};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The other processes that run steps of the same plan, as this one sees them.
pub trait Peers: Sync {
    /// Reads the new events of the others.
    fn refresh(&self);

    /// Notes the steps that have no result yet.
    fn note_missing(&self, _steps: &[usize]) {}

    /// True if this process may run a step, which is likely to take so many seconds.
    fn may_run(&self, step: usize, seconds: Option<f64>) -> bool;

    /// The failure of a step in a process, and whether that holds for all.
    fn failure(&self, step: usize) -> Option<StepFailure>;

    /// True if a process has made the step in the course of this plan.
    fn has_made(&self, step: usize) -> bool;

    /// True if a process has begun the step in the course of this plan.
    fn has_begun(&self, step: usize) -> bool;

    /// Tells the others that a step has failed here. True if it may succeed in another process.
    fn report_failure(&self, step: usize, failure: &StepFailure) -> bool;

    /// True if this process has nothing more to do, after so long without a step.
    fn is_over(&self, idle: Duration) -> bool;

    /// True if this process only follows what the others do.
    fn only_follows(&self) -> bool;

    /// A number that differs between processes, so that they begin with different steps.
    fn order_offset(&self) -> u64;
}

/// The shortest and the longest time between two polls of the results of the others.
const MIN_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// The times at which a process last polled the others.
pub struct PollTimes {
    pause: Duration,
    polled: Option<Instant>,
    /// The time at which this process last read the events of the others.
    refreshed: Option<Instant>,
    /// The time since which this process runs no step.
    idle: Instant,
}

impl Default for PollTimes {
    fn default() -> Self {
        Self { pause: MIN_PAUSE, polled: None, refreshed: None, idle: Instant::now() }
    }
}

impl Schedule<'_> {
    /// True if this process tells the user how the run ends. One of several that run steps does not.
    pub(super) fn reports_to_user(&self) -> bool {
        self.context.peers.is_none_or(|peers| peers.only_follows())
    }

    /// The time after which the others may have made something; none if nobody is waited for.
    pub(super) fn next_poll(&self) -> Option<Duration> {
        let stops = self.stopped || self.context.host.cancel.is_cancelled();
        let waits =
            !stops && self.context.peers.is_some() && self.states.elsewhere().next().is_some();
        waits.then_some(self.polling.pause)
    }

    /// Settles the steps that other processes have made, and queues those that nobody runs.
    pub(super) fn poll_peers(&mut self) {
        let Some(peers) = self.context.peers else { return };
        if self.polling.polled.is_some_and(|polled| polled.elapsed() < self.polling.pause) {
            return;
        }
        let (plan, missing) = (self.context.plan, self.states.elsewhere().collect::<Vec<_>>());
        // A journal that cannot be read now is read at the next poll.
        let _ = plan.store.refresh();
        peers.note_missing(&missing);
        peers.refresh();
        let mut has_changes = false;
        for step in missing {
            // What an earlier one in this list brought about may have changed it.
            let StepState::Elsewhere(job) = &self.states[step] else { continue };
            let (digest, again) = (job.digest, job.request.again);
            let is_made = plan.store.contains(&digest) && (!again || peers.has_made(step));
            let found = is_made.then(|| plan.store.finished(&digest)).flatten();
            has_changes = true;
            if let Some(finished) = found {
                let state = match self.was_followed(step) {
                    true => StepState::ran(finished, self.reason(step, &job.request.key)),
                    false => StepState::hit(Arc::new(finished), "another run made it"),
                };
                self.transition(step, state);
            } else if let Some(failure) = peers.failure(step) {
                self.fail(step, Some(digest), StepError { step, failure }, 0.0);
            } else if self.may_run(step) && !plan.store.is_held(&digest) {
                self.requeue(step);
            } else {
                has_changes = false;
            }
        }
        if self.states.running().len() > 0 {
            self.polling.idle = Instant::now();
        }
        self.stopped |= peers.is_over(self.polling.idle.elapsed());
        self.polling.polled = Some(Instant::now());
        self.polling.pause =
            if has_changes { MIN_PAUSE } else { (self.polling.pause * 3 / 2).min(MAX_PAUSE) };
    }

    /// True if a finished step was run by those whom this process follows. What came from a remote, nobody has begun.
    pub(super) fn was_followed(&self, step: usize) -> bool {
        let has_begun =
            |peers: &dyn Peers| !self.context.plan.store.has_remote() || peers.has_begun(step);
        self.context.peers.is_some_and(|peers| peers.only_follows() && has_begun(peers))
    }

    /// True if this process may still run a step that it has queued. It may have waited for long: others may have failed
    /// at it, or it needs more than this process has left by now. If so, it is left to others.
    pub(super) fn may_still_run(&mut self, step: usize) -> bool {
        let Some(peers) = self.context.peers else { return true };
        if self.polling.refreshed.is_none_or(|refreshed| refreshed.elapsed() >= MIN_PAUSE) {
            peers.refresh();
            self.polling.refreshed = Some(Instant::now());
        }
        let may_run = self.may_run(step);
        if !may_run && let StepState::Queued { job, .. } = self.states.set(step, StepState::Ready) {
            self.states.set(step, StepState::Elsewhere(job));
        }
        may_run
    }

    /// True if this process may run a step.
    pub(super) fn may_run(&self, step: usize) -> bool {
        let seconds = self.context.plan.steps()[step].cost.seconds;
        self.context.peers.is_none_or(|peers| peers.may_run(step, seconds))
    }

    /// Queues a step that is left to others so far.
    fn requeue(&mut self, step: usize) {
        if let StepState::Elsewhere(job) = self.states.set(step, StepState::Ready) {
            let priority = self.priority_of(step);
            self.states.set(step, StepState::Queued { job, priority });
        }
    }
}
