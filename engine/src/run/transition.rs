//! The effects of a step's end: it has its result, has failed, or has lost its result.

use super::{
    schedule::Schedule,
    state::{StepEnd, StepState},
};
use crate::{model::StepError, ui::events::DETAIL};
use cache::Digest;
use ops::ErrorKind;
use tracing::{error, info};

impl Schedule<'_> {
    /// Runs a step again whose result was lost; `reader` waits for it.
    pub fn rebuild(&mut self, step: usize, port: &str, damage: &str, reader: usize) {
        let state = &self.states[step];
        let (is_done, is_settled) = (state.is_done(), state.is_settled());
        // If the step will have no result, the reader is looked up once more and is then skipped.
        if is_done || !is_settled {
            self.states.set(reader, StepState::Waiting([step].into()));
        }
        if !is_done {
            return;
        }
        if !self.rebuilt.insert(step) {
            let message = format!("`{port}` was made again and is damaged once more: {damage}");
            let help = "check the disk of the store (`--store`)";
            let error = StepError::new(step, ErrorKind::Failure, message).help(help);
            return self.fail(step, None, error, 0.0);
        }
        let name = &self.context.plan.pipeline.steps[step].name;
        info!("{name}.{port}: {damage}; running `{name}` again");
        self.reset(step);
    }

    /// Makes a settled step ready again, so that it is looked up once more.
    fn reset(&mut self, step: usize) {
        if let StepState::Done { finished, .. } = self.states.set(step, StepState::Ready) {
            self.before.insert(step, finished.outputs.clone());
        }
    }

    pub fn fail(&mut self, step: usize, key: Option<Digest>, error: StepError, seconds: f64) {
        let cancelled = error.failure.kind == ErrorKind::Cancelled;
        let ended = StepEnd { key, reason: error.failure.message.clone(), seconds };
        self.stopped |= !cancelled && !self.context.plan.options.keep_going;
        let state = if cancelled { StepState::Skipped(ended) } else { StepState::Failed(ended) };
        self.transition(step, state);
        if !error.failure.log.is_empty() && self.reports_to_user() {
            let name = &self.context.plan.pipeline.steps[step].name;
            let step = name.as_str();
            error!(target: DETAIL, step, "{name}: the end of its log");
            error.failure.log.iter().for_each(|line| error!(target: DETAIL, step, "  {line}"));
        }
        self.errors.push(error);
    }

    /// Gives a step its final state and notifies its readers; this is the only place that does.
    pub fn transition(&mut self, step: usize, state: StepState) {
        self.report(step, &state);
        self.states.set(step, state);
        let before = self.before.remove(&step);
        let changed = before.is_some_and(|before| self.states[step].outputs() != Some(&before));
        for reader in self.readers(step) {
            if self.states.note_settled(reader, step, changed) {
                self.reset(reader);
            }
        }
        self.drop_read_artifacts(step);
    }

    /// Drops artifacts that no step will read any more.
    fn drop_read_artifacts(&mut self, step: usize) {
        let sources = self.context.plan.pipeline.graph.sources(step);
        for source in sources.chain([step]) {
            if let StepState::Done { finished, .. } = &self.states[source]
                && self.readers(source).all(|reader| self.states[reader].is_settled())
            {
                let objects = finished.outputs.values();
                objects.for_each(|object| self.context.host.artifacts.forget(&object.digest));
            }
        }
    }
}
