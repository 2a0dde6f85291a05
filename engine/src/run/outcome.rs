//! The messages about finished steps, and the outcome of the run.

use super::{rows, schedule::Schedule, state::StepState};
use crate::{
    model::StepError,
    ui::events::{self, StepFinished},
};
use cache::record::{StepRecord, StepStatus};
use std::time::Duration;
use tracing::info;

/// The steps of a run that has ended.
pub struct ScheduleResult {
    /// The records of the steps, in the order of the pipeline.
    pub steps: Vec<StepRecord>,
    /// The errors of steps, in the order of the pipeline.
    pub errors: Vec<StepError>,
    /// True if the run was stopped.
    pub interrupted: bool,
}

/// The most steps for which a stopped run prints one line each, of those that it did not reach.
const MAX_LISTED: usize = 20;

impl Schedule<'_> {
    /// Reports that a step has reached its final state.
    pub fn report(&self, step: usize, state: &StepState) {
        let plan = &self.context.plan.pipeline.steps[step];
        let (status, elapsed, note) = match state {
            StepState::Done { finished, status: StepStatus::Ran, .. } => {
                let first = plan.outputs.first();
                let object = first.and_then(|port| finished.outputs.get(port.name));
                let shape = object.map(|object| object.shape.to_string()).unwrap_or_default();
                let rows = object.and_then(|object| object.shape.rows).unwrap_or(0);
                let spared = rows::describe_reuse(finished.times.rows_reused, rows);
                let note = spared.map_or(shape.clone(), |spared| format!("{shape}; {spared}"));
                ("ran", Some(finished.times.seconds), note)
            }
            StepState::Done { .. } => ("hit", None, String::new()),
            StepState::Failed(ended) => ("failed", Some(ended.seconds), String::new()),
            StepState::Skipped(ended) => ("skipped", None, ended.reason.clone()),
            _ => return,
        };
        events::step_finished(&StepFinished {
            number: step + 1,
            name: &plan.name,
            status,
            elapsed: elapsed.map(Duration::from_secs_f64),
            note,
            key: match state {
                StepState::Done { finished, .. } => Some(finished.key.to_string()),
                _ => None,
            },
            error: match state {
                StepState::Failed(ended) => Some(&ended.reason),
                _ => None,
            },
        });
    }

    /// Returns the result of the run, once no step runs any more.
    pub fn into_result(mut self) -> ScheduleResult {
        self.errors.sort_by_key(|error| error.step);
        let unsettled =
            (0..self.context.plan.wanted.len()).filter(|step| !self.states[*step].is_settled());
        let unsettled: Vec<usize> = unsettled.collect();
        let interrupted = self.context.host.cancel.is_cancelled();
        let why = match interrupted {
            true => "the run was interrupted",
            false => "the run stopped after a failure",
        };
        if unsettled.len() > MAX_LISTED && self.reports_to_user() {
            info!("{} steps were skipped: {why}", unsettled.len());
        }
        for step in &unsettled {
            let state = StepState::skipped(why.to_owned());
            if unsettled.len() <= MAX_LISTED && self.reports_to_user() {
                self.report(*step, &state);
            }
            self.states.set(*step, state);
        }
        let pipeline = self.context.plan.pipeline;
        let steps = pipeline.steps.iter().zip(self.states.into_all());
        ScheduleResult {
            steps: steps.map(|(step, state)| state.record(pipeline, step)).collect(),
            errors: self.errors,
            interrupted,
        }
    }
}
