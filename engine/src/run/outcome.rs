//! The messages about finished steps, and the outcome of the run.

use super::{Outcome, rows, schedule::Schedule, state::StepState};
use crate::ui::progress::{StepFinished, shapes};
use cache::record::StepStatus;
use std::time::Duration;

/// The most steps for which a stopped run prints one line each, of those that it did not reach.
const MOST_TOLD: usize = 20;

impl Schedule<'_> {
    /// Reports that a step has reached its final state.
    pub fn tell(&self, step: usize, state: &StepState) {
        let plan = &self.context.pipeline.steps[step];
        let (status, elapsed, note) = match state {
            StepState::Done { finished, status: StepStatus::Ran, .. } => {
                let first = plan.op.outputs().first();
                let object = first.and_then(|port| finished.outputs.get(port.name));
                let shape = shapes(object.map(|object| &object.shape));
                let rows = object.and_then(|object| object.shape.rows).unwrap_or(0);
                let spared = rows::told(finished.times.rows_reused, rows);
                let note = spared.map_or(shape.clone(), |spared| format!("{shape}; {spared}"));
                ("ran", Some(finished.times.seconds), note)
            }
            StepState::Done { .. } => ("hit", None, String::new()),
            StepState::Failed(ended) => ("failed", Some(ended.seconds), String::new()),
            StepState::Skipped(ended) => ("skipped", None, ended.reason.clone()),
            _ => return,
        };
        self.context.progress.step_finished(&StepFinished {
            number: step + 1,
            name: &plan.name,
            status,
            elapsed: elapsed.map(Duration::from_secs_f64),
            note,
        });
    }

    /// The outcome of the run, once no step runs any more.
    pub fn outcome(mut self) -> Outcome {
        self.errors.sort_by_key(|error| error.step);
        let unsettled = (0..self.wanted.len()).filter(|step| !self.states[*step].is_settled());
        let unsettled: Vec<usize> = unsettled.collect();
        if unsettled.len() > MOST_TOLD {
            let text = format!("{} steps were skipped: the run was interrupted", unsettled.len());
            self.context.progress.say(&text);
        }
        for step in &unsettled {
            let state = StepState::skipped("the run was interrupted".to_owned());
            if unsettled.len() <= MOST_TOLD {
                self.tell(*step, &state);
            }
            self.states.set(*step, state);
        }
        let steps = self.context.pipeline.steps.iter().zip(self.states.into_all());
        Outcome {
            steps: steps.map(|(step, state)| state.record(self.context.pipeline, step)).collect(),
            errors: self.errors,
            interrupted: self.context.cancel.is_cancelled(),
        }
    }
}
