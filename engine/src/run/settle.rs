//! What follows when a step has its result, has none, or has lost it.

use super::{StepError, schedule::Schedule, state::State};
use cache::{Digest, record::StepStatus};
use ops::Fault;
use std::collections::BTreeSet;

impl Schedule<'_> {
    /// Runs a step again whose result was lost; `reader` waits for it.
    pub fn rebuild(&mut self, step: usize, port: &str, damage: &str, reader: usize) {
        match self.states[step] {
            State::Without { .. } => _ = self.fresh.insert(reader),
            _ => _ = self.pending[reader].insert(step),
        }
        if !self.states[step].is_there() {
            return;
        }
        if !self.rebuilt.insert(step) {
            let message = format!("`{port}` was made again and is damaged once more: {damage}");
            let help = "check the disk of the store (`--store`)".to_owned();
            let error =
                StepError { help: Some(help), ..StepError::new(step, Fault::Failure, message) };
            return self.fail(step, None, error, 0.0);
        }
        let name = &self.shared.pipeline.steps[step].name;
        self.shared.progress.say(&format!("{name}.{port}: {damage}; running `{name}` again"));
        self.send_back(step);
    }

    /// A settled step is looked at once more.
    fn send_back(&mut self, step: usize) {
        if let State::There { finished, .. } =
            std::mem::replace(&mut self.states[step], State::Waiting)
        {
            self.before.insert(step, finished.outputs);
        }
        self.fresh.insert(step);
    }

    pub fn fail(&mut self, step: usize, key: Option<Digest>, error: StepError, seconds: f64) {
        let cancelled = error.fault == Fault::Cancelled;
        let status = if cancelled { StepStatus::Skipped } else { StepStatus::Failed };
        let reason = error.message.clone();
        self.stopped |= !cancelled && !self.options.keep_going;
        self.settle(step, State::Without { status, key, reason, seconds });
        if !error.log.is_empty() {
            let name = &self.shared.pipeline.steps[step].name;
            self.shared.progress.say(&format!("{name}: the end of its log"));
            error.log.iter().for_each(|line| self.shared.progress.say(&format!("  {line}")));
        }
        self.errors.push(error);
    }

    /// The one place where a step gets its result, and where its readers learn of it.
    pub fn settle(&mut self, step: usize, state: State) {
        self.tell(step, &state);
        self.states[step] = state;
        let before = self.before.remove(&step);
        let changed = before.is_some_and(|before| self.states[step].outputs() != Some(&before));
        for reader in self.readers[step].clone() {
            self.pending[reader].remove(&step);
            match self.states[reader] {
                // What it reads has come out otherwise than before.
                State::Waiting if self.running.contains_key(&reader) && changed => {
                    self.outdated.insert(reader);
                }
                State::Waiting if self.running.contains_key(&reader) => {}
                State::Waiting if self.pending[reader].is_empty() => {
                    self.unqueue(reader);
                    self.fresh.insert(reader);
                }
                State::There { .. } if changed => self.send_back(reader),
                _ => {}
            }
        }
        self.forget_what_is_read(step);
    }

    fn unqueue(&mut self, step: usize) {
        if self.jobs.remove(&step).is_some() {
            self.queue.retain(|place| place.1 != step);
        }
    }

    /// Drops artifacts that no step will read any more.
    fn forget_what_is_read(&mut self, step: usize) {
        let inputs = self.shared.pipeline.steps[step].inputs.iter().map(|input| input.step);
        let mut maybe: BTreeSet<usize> = inputs.collect();
        maybe.insert(step);
        for source in maybe {
            let settled = |reader: &usize| !matches!(self.states[*reader], State::Waiting);
            if let State::There { finished, .. } = &self.states[source]
                && self.readers[source].iter().all(settled)
            {
                let objects = finished.outputs.values();
                objects.for_each(|object| self.shared.artifacts.forget(&object.digest));
            }
        }
    }
}
