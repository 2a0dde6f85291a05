//! Progress as events, one JSON object on a line, for programs that watch a run.
//!
//! | event | fields besides `v`, `event` and `time` |
//! |:--|:--|
//! | `run_started` | `pipeline`, `id`, `folder`, `steps` (how many) |
//! | `step_started` | `step`, `number`, `reason` |
//! | `progress` | `step`, `number`, `done`, `total`, `note`; at most twice a second |
//! | `step_finished` | `step`, `number`, `status` (`hit`, `ran`, `failed`, `skipped`), `reason`, `seconds` (absent unless it ran), `key` (of its result), `error` (if it failed), `note` |
//! | `note`, `warning`, `error` | `message`; of a line of a log also `step`; of a diagnostic of a pipeline also `code`, `file`, `line`, `column`, `help` |
//! | `run_finished` | `status`, `seconds`, `ran`, `hits`, `failed`, `skipped`, `report` |
//!
//! `run_finished` is the last event of a run that began. Readers pass over events and fields that they do not know.

use super::{Fields, Kind, View, visible, word};
use serde_json::{Map, Value};
use std::{
    collections::HashMap,
    io::Write,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};
use tracing::Level;

/// The version of the event format. It changes when a field changes its meaning or is removed.
pub const EVENTS_VERSION: u32 = 1;

/// The least time between two reports of a step's progress.
const BETWEEN: Duration = Duration::from_millis(500);

/// Writes each event as a line of JSON.
#[derive(Default)]
pub struct Json {
    running: Mutex<HashMap<u64, RunningStep>>,
}

struct RunningStep {
    name: String,
    reason: String,
    shown: Option<Instant>,
}

impl Json {
    fn running(&self) -> MutexGuard<'_, HashMap<u64, RunningStep>> {
        self.running.lock().expect("no thread panics while it holds the steps")
    }
}

impl View for Json {
    fn steps(&self, _total: usize) {}

    fn started(&self, step: &Fields) {
        write("step_started", step, &[]);
        let (name, reason) = (step.text("step").to_owned(), step.text("reason").to_owned());
        self.running().insert(step.number("number"), RunningStep { name, reason, shown: None });
    }

    fn at(&self, step: &Fields) {
        let mut running = self.running();
        let Some(running) = running.get_mut(&step.number("number")) else { return };
        let is_early = running.shown.is_some_and(|shown| shown.elapsed() < BETWEEN);
        if is_early && step.number("done") < step.number("total") {
            return;
        }
        running.shown = Some(Instant::now());
        write("progress", step, &[("step", &running.name)]);
    }

    fn finished(&self, step: &Fields) {
        let ran = self.running().remove(&step.number("number"));
        let reason = match &ran {
            Some(running) => &running.reason,
            None if step.text("status") == "hit" => "its result is there",
            None => step.text("note"),
        };
        write("step_finished", step, &[("reason", reason)]);
    }

    fn end(&self) {}

    fn message(&self, level: Level, kind: Kind, fields: &Fields) {
        match kind {
            Kind::Text => {}
            Kind::Run => write(fields.text("event"), fields, &[]),
            Kind::Detail => write("note", fields, &[]),
            Kind::Sentence | Kind::Diagnostic => write(word(level), fields, &[]),
        }
    }
}

/// Writes an event: `v` and `event`, `time` in UTC, then the fields and further ones.
fn write(name: &str, fields: &Fields, further: &[(&str, &str)]) {
    let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let mut event = Map::new();
    event.insert("v".to_owned(), EVENTS_VERSION.into());
    event.insert("event".to_owned(), name.into());
    event.insert("time".to_owned(), time.into());
    for (field, value) in &fields.0 {
        // Drawings and the words before sentences are for people.
        if !["event", "drawn", "note_word"].contains(&field.as_str()) {
            event.insert(field.clone(), value.clone());
        }
    }
    event.extend(further.iter().map(|(field, value)| ((*field).to_owned(), Value::from(*value))));
    // Each line is one write: several threads write, and several processes may share the stream.
    let line = format!("{}\n", visible(&Value::Object(event).to_string()));
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}
