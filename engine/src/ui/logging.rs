//! The form and the amount of messages on standard error. The command line sets both once.

use crate::ui::visible::visible;
use serde_json::{Map, Value};
use std::{
    io::Write,
    sync::atomic::{AtomicBool, Ordering},
};

/// The version of the event format. It changes when a field changes its meaning or is removed.
pub const EVENTS_VERSION: u32 = 1;

static JSON: AtomicBool = AtomicBool::new(false);
static QUIET: AtomicBool = AtomicBool::new(false);
static VERBOSE: AtomicBool = AtomicBool::new(false);

/// Sets the form and the amount of messages, before any are printed.
pub fn set(json: bool, quiet: bool, verbose: bool) {
    JSON.store(json, Ordering::Relaxed);
    QUIET.store(quiet, Ordering::Relaxed);
    VERBOSE.store(verbose, Ordering::Relaxed);
}

/// True if events are written instead of sentences.
pub fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// True if only failures are printed.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// True if keys, objects and times are printed too.
pub fn is_verbose() -> bool {
    VERBOSE.load(Ordering::Relaxed)
}

/// Writes an event, one JSON object on a line: `v` and `event`, `time` in UTC, then the fields.
/// Nothing is written if sentences are in use.
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
    // Each line is one write: several threads write, and several processes may share the stream.
    let line = format!("{}\n", visible(&Value::Object(event).to_string()));
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}
