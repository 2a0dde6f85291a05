//! Says how far a run is: a bar with the time left on a terminal, plain lines without one.

use cache::Shape;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use std::{
    io::{IsTerminal, Write},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// What is said of a step when it is settled.
pub struct Settled<'a> {
    /// Its place in the plan, from 1.
    pub number: usize,
    /// Its name.
    pub name: &'a str,
    /// `hit`, `ran`, `failed`, `skipped`.
    pub status: &'a str,
    /// How long it took, if it ran.
    pub elapsed: Option<Duration>,
    /// What it made, or why it is as it is.
    pub note: String,
}

/// Hears how a run goes.
pub trait Progress: Sync {
    /// A step starts.
    fn start(&self, number: usize, name: &str, reason: &str);
    /// A step is at `done` of `total`.
    fn at(&self, done: u64, total: u64, note: &str);
    /// A step is settled.
    fn settle(&self, settled: &Settled<'_>);
    /// Something worth a line of its own.
    fn say(&self, line: &str);
}

/// The progress that fits standard error: plain without a terminal, silent if asked.
pub fn for_stderr(steps: usize, quiet: bool) -> Box<dyn Progress> {
    if quiet {
        Box::new(Quiet)
    } else if std::io::stderr().is_terminal() {
        Box::new(Bar::new(steps))
    } else {
        let (started, hits) = (Mutex::default(), Mutex::default());
        Box::new(Plain { steps, started, said: AtomicU64::new(0), hits })
    }
}

/// Writes a line to standard error; where that is closed, nobody listens.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

struct Quiet;

impl Progress for Quiet {
    fn start(&self, _number: usize, _name: &str, _reason: &str) {}
    fn at(&self, _done: u64, _total: u64, _note: &str) {}
    fn settle(&self, _settled: &Settled<'_>) {}
    fn say(&self, line: &str) {
        say(line);
    }
}

/// Lines only: one for each step, and one every few seconds within a long one.
struct Plain {
    steps: usize,
    started: Mutex<Option<(Instant, String)>>,
    said: AtomicU64,
    /// Lines of hits, which come by the thousand: they wait for the next line of another kind.
    hits: Mutex<String>,
}

impl Plain {
    fn say_hits(&self) {
        let hits =
            std::mem::take(&mut *self.hits.lock().expect("no thread panics while it adds a line"));
        if !hits.is_empty() {
            say(hits.trim_end());
        }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.say_hits();
    }
}

const SECONDS_BETWEEN_LINES: u64 = 10;

impl Progress for Plain {
    fn start(&self, number: usize, name: &str, _reason: &str) {
        self.say_hits();
        let label = format!("[{number}/{}] {name}", self.steps);
        *self.started.lock().expect("no thread panics while it holds the label") =
            Some((Instant::now(), label));
        self.said.store(0, Ordering::Relaxed);
    }

    fn at(&self, done: u64, total: u64, note: &str) {
        let started = self.started.lock().expect("no thread panics while it holds the label");
        let Some((start, label)) = started.as_ref() else { return };
        let due = start.elapsed().as_secs() / SECONDS_BETWEEN_LINES;
        if due > self.said.swap(due, Ordering::Relaxed) {
            let left = left(start.elapsed(), done, total);
            let note = if note.is_empty() { String::new() } else { format!(", {note}") };
            let rate = done as f64 / start.elapsed().as_secs_f64();
            say(&format!("{label}: {done} of {total}, {rate:.0}/s, {left} left{note}"));
        }
    }

    fn settle(&self, settled: &Settled<'_>) {
        let line = line(settled, self.steps);
        if settled.status == "hit" {
            let mut hits = self.hits.lock().expect("no thread panics while it adds a line");
            hits.push_str(&line);
            hits.push('\n');
        } else {
            self.say(&line);
        }
    }

    fn say(&self, line: &str) {
        self.say_hits();
        say(line);
    }
}

/// A bar for the step that runs, below the lines of those that are settled.
struct Bar {
    steps: usize,
    bar: ProgressBar,
}

impl Bar {
    fn new(steps: usize) -> Self {
        let bar = ProgressBar::new(0).with_style(style(""));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { steps, bar }
    }
}

/// The line of a step that has not said yet how long it is.
const STARTED: &str = "{prefix}  {elapsed} gone  {wide_msg}";
/// The line of a step that says how far it is. Before and after a step, nothing is drawn.
const RUNNING: &str = "{prefix} {bar:24.cyan/dim} {pos}/{len}, {rate}, {eta} left  {wide_msg}";

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("the template is well formed");
    // The library's own rate shows four decimals.
    let rate = |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        let _ = write!(text, "{:.0}/s", state.per_sec());
    };
    style.progress_chars("━━╌").with_key("rate", rate)
}

impl Progress for Bar {
    fn start(&self, number: usize, name: &str, reason: &str) {
        self.bar.reset();
        self.bar.set_length(0);
        self.bar.set_prefix(format!("[{number}/{}] {name}", self.steps));
        self.bar.set_message(reason.to_owned());
        self.bar.set_style(style(STARTED));
    }

    fn at(&self, done: u64, total: u64, note: &str) {
        if self.bar.length() != Some(total) {
            self.bar.set_length(total);
            self.bar.set_style(style(RUNNING));
        }
        self.bar.set_position(done);
        if !note.is_empty() {
            self.bar.set_message(note.to_owned());
        }
    }

    fn settle(&self, settled: &Settled<'_>) {
        self.bar.suspend(|| say(&line(settled, self.steps)));
        self.bar.set_style(style(""));
    }

    fn say(&self, line: &str) {
        self.bar.suspend(|| say(line));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn line(settled: &Settled<'_>, steps: usize) -> String {
    let width = steps.to_string().len();
    let elapsed = settled.elapsed.map(|it| reports::span(it.as_secs_f64())).unwrap_or_default();
    let Settled { number, name, status, note, .. } = settled;
    format!("[{number:>width$}/{steps}] {name:<18} {status:<7} {elapsed:>8}  {note}")
        .trim_end()
        .to_owned()
}

fn left(elapsed: Duration, done: u64, total: u64) -> String {
    if done == 0 {
        return "unknown time".to_owned();
    }
    reports::span(elapsed.as_secs_f64() * total.saturating_sub(done) as f64 / done as f64)
}

/// The shapes of what a step made, for its line.
pub fn shapes<'a>(shapes: impl IntoIterator<Item = &'a Shape>) -> String {
    let first = shapes.into_iter().next();
    first.map(Shape::to_string).unwrap_or_default()
}
