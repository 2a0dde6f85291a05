//! More memory or time for steps whose workers had too little: they run again in workers with more, and not in
//! the same ones again.

use super::{
    driver::Driver,
    events::{Event, MoreTime},
    sizes::{WorkerSize, usable},
};
use crate::{
    model::{StepFailure, WorkerKind},
    ui::size::bytes,
};
use ops::ErrorKind;
use tracing::info;

/// Returns half as much again, for a step that was not done with what it had.
fn increased(of: u64) -> u64 {
    of.saturating_add(of / 2)
}

/// Returns the part of a worker's time that must be left when a step begins: the worker needs some to begin.
fn least_left(time: u64) -> u64 {
    time * 6 / 10
}

impl Driver<'_> {
    /// Gives more to the steps that ended for want of memory or time since this was last asked.
    pub(super) fn raise_limits(&self) {
        let state = self.state();
        let starved: Vec<_> = state
            .out_of_memory
            .iter()
            .filter(|(step, had)| state.min_memory.get(step).is_none_or(|needs| needs <= had))
            .map(|(step, had)| (*step, *had))
            .collect();
        let ran_out: Vec<_> = state
            .timed_out
            .iter()
            .filter(|(step, (times, _))| {
                state.min_time.get(step).is_none_or(|more| more.after < *times)
            })
            .map(|(step, ran_out)| (*step, *ran_out))
            .collect();
        drop(state);
        let has_failed = |step: usize| self.state().failure(step).is_some();
        for (step, had) in starved.into_iter().filter(|(step, _)| !self.is_made(*step)) {
            if !has_failed(step) {
                self.give_memory(step, had);
            }
        }
        for (step, (after, had)) in ran_out.into_iter().filter(|(step, _)| !self.is_made(*step)) {
            if !has_failed(step) {
                self.give_time(step, had, after);
            }
        }
    }

    /// Asks for a worker with more memory than a step had.
    fn give_memory(&self, step: usize, had: u64) {
        let (kind, name) = (self.kind_of(step), &self.plan.pipeline.steps[step].name);
        if kind.max_memory.is_some_and(|most| had >= most) {
            let message = format!(
                "it needs more than {} of memory, which is the most that a worker `{}` has",
                bytes(had),
                kind.name
            );
            let help = "raise `max_memory` of the profile, or give the step less to do";
            return self.fail(step, message, help);
        }
        let memory = kind.max_memory.map_or(increased(had), |most| increased(had).min(most));
        info!("{name}: it died with {} of memory; once more with {}", bytes(had), bytes(memory));
        self.send(Event::MemoryRaised { step, memory });
    }

    /// Asks for a worker with more time than a step had, which ran out of it for the `after`th time.
    fn give_time(&self, step: usize, had: u64, after: u32) {
        let (kind, own) = (self.kind_of(step), &self.plan.pipeline.steps[step]);
        let (name, duration) = (&own.name, |seconds: u64| reports::duration(seconds as f64));
        let before = self.state().min_time.get(&step).copied();
        let MoreTime { times, time, .. } = before.unwrap_or_else(|| {
            let time = self.sizes.get(&kind.name).map_or(0, |size| size.time);
            MoreTime { time, ..MoreTime::default() }
        });
        let ask = |time: u64, times: u32| {
            let more =
                MoreTime { after, times, time, left: least_left(usable(time, self.profile)) };
            self.send(Event::TimeRaised { step, more });
        };
        // It may have begun late in the time of its worker.
        if before.is_none() && had < least_left(usable(time, self.profile)) {
            info!(
                "{name}: it was stopped after {}, since the time of its worker was up; once more in a worker with {}",
                duration(had),
                duration(time)
            );
            return ask(time, times);
        }
        let may = times < own.retries || kind.max_time.is_some_and(|most| time < most);
        if !may {
            let message = format!(
                "it was not done within {}, the time of a worker `{}`",
                duration(time),
                kind.name
            );
            let help = "raise `time` or `max_time` of the profile, or let it ask for half as much again with `retries: 2`";
            return self.fail(step, message, help);
        }
        let longer =
            kind.max_time.map_or(increased(time), |most| increased(time).min(most.max(time)));
        let longer = longer.div_ceil(60) * 60;
        info!(
            "{name}: it was not done within {}; once more with {}",
            duration(time),
            duration(longer)
        );
        ask(longer, times + 1);
    }

    /// Lets a step fail for all, so that the rest of the plan goes on as the options say.
    fn fail(&self, step: usize, message: String, help: &str) {
        let failure = StepFailure {
            kind: ErrorKind::Failure,
            param: None,
            message,
            help: Some(help.to_owned()),
            log: Vec::new(),
            of_node: false,
        };
        self.send(Event::Failed { step, host: String::new(), failure });
    }

    fn kind_of(&self, step: usize) -> &WorkerKind {
        self.kind_named(self.frozen.kinds[step].as_deref().unwrap_or_default())
    }

    /// The kind of that name in the profile of now.
    pub(super) fn kind_named(&self, name: &str) -> &WorkerKind {
        let found = self.profile.kinds.iter().find(|kind| kind.name == name);
        found.unwrap_or(&self.profile.kinds[0])
    }

    /// The resources that a worker must have for a step.
    pub(super) fn size_for(&self, step: usize) -> Option<WorkerSize> {
        let kind = self.frozen.kinds[step].as_ref()?;
        let state = self.state();
        let size = self.sizes.get(kind)?;
        let memory = state.min_memory.get(&step).copied().unwrap_or(0).max(size.memory);
        let time = state.min_time.get(&step).map_or(0, |more| more.time).max(size.time);
        Some(WorkerSize { kind: kind.clone(), memory, time })
    }
}
