//! What is said on standard error: how much of it, and in which form. Set once, by the command line.

use crate::ui::visible::visible;
use serde_json::{Map, Value, json};
use std::{
    io::Write,
    sync::atomic::{AtomicBool, Ordering},
};

/// Version of the form of events: it changes when a field changes its meaning or goes away.
pub const EVENTS_VERSION: u32 = 1;

static JSON: AtomicBool = AtomicBool::new(false);
static QUIET: AtomicBool = AtomicBool::new(false);
static VERBOSE: AtomicBool = AtomicBool::new(false);

/// Sets form and amount, before anything is said.
pub fn set(json: bool, quiet: bool, verbose: bool) {
    JSON.store(json, Ordering::Relaxed);
    QUIET.store(quiet, Ordering::Relaxed);
    VERBOSE.store(verbose, Ordering::Relaxed);
}

/// Whether events are written instead of sentences.
pub fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// Whether only failures are told.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Whether keys, objects and times are told too.
pub fn is_verbose() -> bool {
    VERBOSE.load(Ordering::Relaxed)
}

/// Writes an event, one JSON object on a line: `v` and `event`, `time` in UTC, then its fields.
/// Nothing is written where sentences are.
pub fn event(name: &str, fields: Value) {
    if !is_json() || (is_quiet() && !["error", "warning"].contains(&name)) {
        return;
    }
    let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let mut event = Map::new();
    event.insert("v".to_owned(), EVENTS_VERSION.into());
    event.insert("event".to_owned(), name.into());
    event.insert("time".to_owned(), time.into());
    if let Value::Object(fields) = fields {
        event.extend(fields);
    }
    // One write a line: several threads speak, and several processes may share the stream.
    let line = format!("{}\n", visible(&Value::Object(event).to_string()));
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// A sentence as an event: `error`, `warning`, or `note` for any other.
pub fn line_as_event(line: &str) {
    let kinds = [("error", "error: "), ("warning", "warning: ")];
    let found = kinds.iter().find_map(|(name, head)| Some((*name, line.strip_prefix(head)?)));
    let (name, message) = found.unwrap_or(("note", line));
    event(name, json!({ "message": message }));
}
