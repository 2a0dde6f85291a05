//! Shows the progress of a run: bars with the time left on a terminal, plain lines without one.

use crate::ui::{logging, progress_json, visible::visible};
use cache::Shape;
use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use serde_json::json;
use std::{
    collections::HashMap,
    io::{IsTerminal, Write},
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// The end of a step, as it is shown.
pub struct StepFinished<'a> {
    /// The number of the step in the plan, from 1.
    pub number: usize,
    /// The name of the step.
    pub name: &'a str,
    /// The status: `hit`, `ran`, `failed` or `skipped`.
    pub status: &'a str,
    /// The duration, if the step ran.
    pub elapsed: Option<Duration>,
    /// The shape of the result, or the reason for the status.
    pub note: String,
}

/// Receives the progress of a run.
pub trait Progress: Sync {
    /// Reports that a step starts.
    fn start(&self, number: usize, name: &str, reason: &str);
    /// Reports that the step of this number is at `done` of `total`.
    fn at(&self, number: usize, done: u64, total: u64, note: &str);
    /// Reports that a step is finished.
    fn step_finished(&self, finished: &StepFinished<'_>);
    /// Prints a message.
    fn message(&self, level: Level, text: &str);

    /// Prints a line.
    fn say(&self, line: &str) {
        self.message(Level::Note, line);
    }

    /// Prints a warning.
    fn warn(&self, text: &str) {
        self.message(Level::Warning, text);
    }
}

/// The level of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A reason why something failed.
    Error,
    /// A doubt about something that goes on.
    Warning,
    /// Anything else.
    Note,
}

impl Level {
    /// The name of its events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// The progress for standard error: bars on a terminal, plain lines without one, events or silence
/// if asked for.
pub fn for_stderr(steps: usize, quiet: bool) -> Box<dyn Progress> {
    if quiet {
        Box::new(Quiet)
    } else if logging::is_json() {
        Box::new(progress_json::Json::default())
    } else if std::io::stderr().is_terminal() {
        Box::new(Bars::new(steps))
    } else {
        Box::new(Plain { steps, running: Mutex::default(), hits: Mutex::default() })
    }
}

/// Writes a message to standard error, as a sentence or as an event; if that is closed, nothing happens.
pub fn message(level: Level, text: &str) {
    if logging::is_json() {
        return logging::event(level.name(), json!({ "message": text }));
    }
    match level {
        Level::Note => say_drawn(&visible(text)),
        Level::Error | Level::Warning => say_drawn(&visible(&format!("{}: {text}", level.name()))),
    }
}

/// Writes a line to standard error.
pub fn say(line: &str) {
    message(Level::Note, line);
}

/// Writes a warning to standard error.
pub fn warn(text: &str) {
    message(Level::Warning, text);
}

/// Writes text that may hold control sequences to standard error; its parts were made visible
/// before.
pub fn say_drawn(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

struct Quiet;

impl Progress for Quiet {
    fn start(&self, _number: usize, _name: &str, _reason: &str) {}
    fn at(&self, _number: usize, _done: u64, _total: u64, _note: &str) {}
    fn step_finished(&self, _finished: &StepFinished<'_>) {}
    fn message(&self, level: Level, text: &str) {
        message(level, text);
    }
}

/// Progress in lines: one for each step, and one every few seconds during a long step.
struct Plain {
    steps: usize,
    running: Mutex<HashMap<usize, RunningStep>>,
    /// The lines of hits, which come by the thousand: they wait for the next line of another kind.
    hits: Mutex<String>,
}

struct RunningStep {
    label: String,
    since: Instant,
    said: u64,
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.say_hits();
    }
}

const SECONDS_BETWEEN_LINES: u64 = 10;

impl Plain {
    fn say_hits(&self) {
        let mut hits = self.hits.lock().expect("no thread panics while it adds a line");
        let hits = std::mem::take(&mut *hits);
        if !hits.is_empty() {
            say(hits.trim_end());
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<usize, RunningStep>> {
        self.running.lock().expect("no thread panics while it holds the labels")
    }
}

impl Progress for Plain {
    fn start(&self, number: usize, name: &str, _reason: &str) {
        self.say_hits();
        let label = format!("[{number}/{}] {name}", self.steps);
        self.running().insert(number, RunningStep { label, since: Instant::now(), said: 0 });
    }

    fn at(&self, number: usize, done: u64, total: u64, note: &str) {
        let mut running = self.running();
        let Some(RunningStep { label, since, said }) = running.get_mut(&number) else { return };
        let due = since.elapsed().as_secs() / SECONDS_BETWEEN_LINES;
        if due > std::mem::replace(said, due) {
            let left = left(since.elapsed(), done, total);
            let note = if note.is_empty() { String::new() } else { format!(", {note}") };
            let rate = done as f64 / since.elapsed().as_secs_f64();
            say(&format!("{label}: {done} of {total}, {rate:.0}/s, {left} left{note}"));
        }
    }

    fn step_finished(&self, finished: &StepFinished<'_>) {
        self.running().remove(&finished.number);
        let line = line(finished, self.steps);
        if finished.status == "hit" {
            let mut hits = self.hits.lock().expect("no thread panics while it adds a line");
            hits.push_str(&line);
            hits.push('\n');
        } else {
            self.say(&line);
        }
    }

    fn message(&self, level: Level, text: &str) {
        self.say_hits();
        message(level, text);
    }
}

/// Progress in bars: one for each running step, below the lines of finished steps.
struct Bars {
    steps: usize,
    all: MultiProgress,
    running: Mutex<HashMap<usize, ProgressBar>>,
}

impl Bars {
    fn new(steps: usize) -> Self {
        Self { steps, all: MultiProgress::new(), running: Mutex::default() }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<usize, ProgressBar>> {
        self.running.lock().expect("no thread panics while it holds the bars")
    }
}

/// The template for a step that has not reported its length yet.
const STARTED: &str = "{prefix}  {elapsed} elapsed  {wide_msg}";
/// The template for a step that reports its progress.
const RUNNING: &str = "{prefix} {bar:24.cyan/dim} {pos}/{len}, {rate}, {eta} left  {wide_msg}";

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("the template is well formed");
    // The rate of the library has four decimals, which are too many.
    let rate = |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        let _ = write!(text, "{:.0}/s", state.per_sec());
    };
    style.progress_chars("━━╌").with_key("rate", rate)
}

impl Progress for Bars {
    fn start(&self, number: usize, name: &str, reason: &str) {
        let bar = self.all.add(ProgressBar::new(0).with_style(style(STARTED)));
        bar.set_prefix(visible(&format!("[{number}/{}] {name}", self.steps)).into_owned());
        bar.set_message(visible(reason).into_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        self.running().insert(number, bar);
    }

    fn at(&self, number: usize, done: u64, total: u64, note: &str) {
        let running = self.running();
        let Some(bar) = running.get(&number) else { return };
        if bar.length() != Some(total) {
            bar.set_length(total);
            bar.set_style(style(RUNNING));
        }
        bar.set_position(done);
        if !note.is_empty() {
            bar.set_message(visible(note).into_owned());
        }
    }

    fn step_finished(&self, finished: &StepFinished<'_>) {
        if let Some(bar) = self.running().remove(&finished.number) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
        self.say(&line(finished, self.steps));
    }

    fn message(&self, level: Level, text: &str) {
        self.all.suspend(|| message(level, text));
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        let _ = self.all.clear();
    }
}

fn line(finished: &StepFinished<'_>, steps: usize) -> String {
    let width = steps.to_string().len();
    let elapsed =
        finished.elapsed.map(|it| reports::duration(it.as_secs_f64())).unwrap_or_default();
    let StepFinished { number, name, status, note, .. } = finished;
    format!("[{number:>width$}/{steps}] {name:<18} {status:<7} {elapsed:>8}  {note}")
        .trim_end()
        .to_owned()
}

fn left(elapsed: Duration, done: u64, total: u64) -> String {
    if done == 0 {
        return "unknown time".to_owned();
    }
    reports::duration(elapsed.as_secs_f64() * total.saturating_sub(done) as f64 / done as f64)
}

/// The shapes of a step's outputs, for its line.
pub fn shapes<'a>(shapes: impl IntoIterator<Item = &'a Shape>) -> String {
    let first = shapes.into_iter().next();
    first.map(Shape::to_string).unwrap_or_default()
}
