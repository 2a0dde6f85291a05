//! Progress as events, one JSON object on a line, for programs that watch a run.
//!
//! | event | fields besides `v`, `event` and `time` |
//! |:--|:--|
//! | `run_started` | `pipeline`, `id`, `folder`, `steps` (how many) |
//! | `step_started` | `step`, `number`, `reason` |
//! | `progress` | `step`, `done`, `total`, `note`; at most twice a second |
//! | `step_finished` | `step`, `number`, `status` (`hit`, `ran`, `failed`, `skipped`), `reason`, `seconds` (absent unless it ran), `note` |
//! | `note`, `warning`, `error` | `message`; of a diagnostic of a pipeline also `code`, `file`, `line`, `column`, `help` |
//! | `run_finished` | `status`, `seconds`, `ran`, `hits`, `failed`, `skipped`, `report` |
//!
//! `run_finished` is the last event of a run that began. Readers pass over events and fields that they do not know.

use crate::ui::{
    logging::event,
    progress::{Level, Progress, StepFinished, message},
};
use serde_json::json;
use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

/// Writes an event for each report of progress.
#[derive(Default)]
pub struct Json {
    running: Mutex<HashMap<usize, RunningStep>>,
}

struct RunningStep {
    name: String,
    reason: String,
    said: Option<Instant>,
}

const BETWEEN: Duration = Duration::from_millis(500);

impl Json {
    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<usize, RunningStep>> {
        self.running.lock().expect("no thread panics while it holds the steps")
    }
}

impl Progress for Json {
    fn start(&self, number: usize, name: &str, reason: &str) {
        let (name, reason) = (name.to_owned(), reason.to_owned());
        event("step_started", json!({ "step": name, "number": number, "reason": reason }));
        self.running().insert(number, RunningStep { name, reason, said: None });
    }

    fn at(&self, number: usize, done: u64, total: u64, note: &str) {
        let mut running = self.running();
        let Some(running) = running.get_mut(&number) else { return };
        if running.said.is_some_and(|said| said.elapsed() < BETWEEN) && done < total {
            return;
        }
        running.said = Some(Instant::now());
        let step = &running.name;
        event("progress", json!({ "step": step, "done": done, "total": total, "note": note }));
    }

    fn step_finished(&self, finished: &StepFinished<'_>) {
        let StepFinished { number, name, status, elapsed, note } = finished;
        let ran = self.running().remove(number);
        let reason = match ran {
            Some(running) => running.reason,
            None if *status == "hit" => "its result is there".to_owned(),
            None => note.clone(),
        };
        let mut fields = json!({ "step": name, "number": number, "status": status,
            "reason": reason, "note": note });
        if let Some(elapsed) = elapsed {
            fields["seconds"] = elapsed.as_secs_f64().into();
        }
        event("step_finished", fields);
    }

    fn message(&self, level: Level, text: &str) {
        message(level, text);
    }
}
