//! Steps of a plan that other processes run: they take each from the same store, and no process tells another what to do.

use super::{schedule::Schedule, state::StepState};
use crate::model::StepFailure;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// What a process knows of the others that run steps of its plan.
pub trait Others: Sync {
    /// Reads what the others have said.
    fn refresh(&self);

    /// Takes note of the steps that have no result yet.
    fn misses(&self, _steps: &[usize]) {}

    /// True if this process may run a step, which is likely to take so many seconds.
    fn takes(&self, step: usize, seconds: Option<f64>) -> bool;

    /// The failure of a step in a process, and whether that holds for all.
    fn failure(&self, step: usize) -> Option<StepFailure>;

    /// True if a process has made the step in the course of this plan.
    fn has_made(&self, step: usize) -> bool;

    /// True if a process has begun the step in the course of this plan.
    fn has_begun(&self, step: usize) -> bool;

    /// Tells the others that a step has failed here. True if it may succeed in another process.
    fn is_left_to_others(&self, step: usize, failure: &StepFailure) -> bool;

    /// True if this process has nothing more to do, after so long without a step.
    fn is_over(&self, idle: Duration) -> bool;

    /// True if this process only follows what the others do.
    fn only_follows(&self) -> bool;

    /// A number by which processes begin with different steps.
    fn shift(&self) -> u64;
}

/// The shortest and the longest time between two looks at what the others have made.
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(2);

/// When a process last looked at what the others have made.
pub struct Lookout {
    pause: Duration,
    looked: Option<Instant>,
    /// When this process last read what the others had said.
    heard: Option<Instant>,
    /// The time since which this process runs no step.
    idle: Instant,
}

impl Default for Lookout {
    fn default() -> Self {
        Self { pause: SHORTEST, looked: None, heard: None, idle: Instant::now() }
    }
}

impl Schedule<'_> {
    /// True if this process tells the user how the run ends. One of several that run steps does not.
    pub(super) fn speaks(&self) -> bool {
        self.context.others.is_none_or(|others| others.only_follows())
    }

    /// The time after which the others may have made something; none if nobody is waited for.
    pub(super) fn next_look(&self) -> Option<Duration> {
        let stops = self.stopped || self.context.host.cancel.is_cancelled();
        let waits =
            !stops && self.context.others.is_some() && self.states.elsewhere().next().is_some();
        waits.then_some(self.lookout.pause)
    }

    /// Settles the steps that other processes have made, and queues those that nobody runs.
    pub(super) fn look_elsewhere(&mut self) {
        let Some(others) = self.context.others else { return };
        if self.lookout.looked.is_some_and(|looked| looked.elapsed() < self.lookout.pause) {
            return;
        }
        let (plan, missing) = (self.context.plan, self.states.elsewhere().collect::<Vec<_>>());
        // A journal that cannot be read now is read at the next look.
        let _ = plan.store.refresh();
        others.misses(&missing);
        others.refresh();
        let mut has_news = false;
        for step in missing {
            // What an earlier one in this list brought about may have changed it.
            let StepState::Elsewhere(job) = &self.states[step] else { continue };
            let (digest, again) = (job.digest, job.request.again);
            let is_made = plan.store.contains(&digest) && (!again || others.has_made(step));
            let found = is_made.then(|| plan.store.finished(&digest)).flatten();
            has_news = true;
            if let Some(finished) = found {
                let state = match self.was_followed(step) {
                    true => StepState::ran(finished, self.reason(step, &job.request.key)),
                    false => StepState::hit(Arc::new(finished), "another run made it"),
                };
                self.transition(step, state);
            } else if let Some(failure) = others.failure(step) {
                self.fail(step, Some(digest), failure.into_error(step), 0.0);
            } else if self.takes(step) && !plan.store.is_held(&digest) {
                self.bring_back(step);
            } else {
                has_news = false;
            }
        }
        if self.states.running().len() > 0 {
            self.lookout.idle = Instant::now();
        }
        self.stopped |= others.is_over(self.lookout.idle.elapsed());
        self.lookout.looked = Some(Instant::now());
        self.lookout.pause =
            if has_news { SHORTEST } else { (self.lookout.pause * 3 / 2).min(LONGEST) };
    }

    /// True if a finished step was run by those whom this process follows. What came from a remote, nobody has begun.
    pub(super) fn was_followed(&self, step: usize) -> bool {
        let has_begun =
            |others: &dyn Others| !self.context.plan.store.has_remote() || others.has_begun(step);
        self.context.others.is_some_and(|others| others.only_follows() && has_begun(others))
    }

    /// True if this process may still run a step that it has queued. It may have waited for long: others may have failed
    /// at it, or it needs more than this process has left by now. If so, it is left to others.
    pub(super) fn still_takes(&mut self, step: usize) -> bool {
        let Some(others) = self.context.others else { return true };
        if self.lookout.heard.is_none_or(|heard| heard.elapsed() >= SHORTEST) {
            others.refresh();
            self.lookout.heard = Some(Instant::now());
        }
        let takes = self.takes(step);
        if !takes && let StepState::Queued { job, .. } = self.states.set(step, StepState::Ready) {
            self.states.set(step, StepState::Elsewhere(job));
        }
        takes
    }

    /// True if this process may run a step.
    pub(super) fn takes(&self, step: usize) -> bool {
        let seconds = self.context.plan.steps()[step].cost.seconds;
        self.context.others.is_none_or(|others| others.takes(step, seconds))
    }

    /// Queues a step that is left to others so far.
    fn bring_back(&mut self, step: usize) {
        if let StepState::Elsewhere(job) = self.states.set(step, StepState::Ready) {
            let urgency = self.urgency_of(step);
            self.states.set(step, StepState::Queued { job, urgency });
        }
    }
}
