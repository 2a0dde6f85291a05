//! Progress in bars: one for each running step, below the lines of finished steps.

use super::{Fields, Kind, View, line, sentence, visible, write_line};
use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tracing::Level;

/// Shows progress in bars.
#[derive(Default)]
pub struct Bars {
    steps: AtomicUsize,
    all: MultiProgress,
    running: Mutex<HashMap<u64, ProgressBar>>,
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

impl Bars {
    fn running(&self) -> MutexGuard<'_, HashMap<u64, ProgressBar>> {
        self.running.lock().expect("no thread panics while it holds the bars")
    }

    fn steps(&self) -> usize {
        self.steps.load(Ordering::Relaxed)
    }
}

impl View for Bars {
    fn steps(&self, total: usize) {
        self.steps.store(total, Ordering::Relaxed);
    }

    fn started(&self, step: &Fields) {
        let bar = self.all.add(ProgressBar::new(0).with_style(style(STARTED)));
        let (number, name) = (step.number("number"), step.text("step"));
        bar.set_prefix(visible(&format!("[{number}/{}] {name}", self.steps())).into_owned());
        bar.set_message(visible(step.text("reason")).into_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        self.running().insert(number, bar);
    }

    fn at(&self, step: &Fields) {
        let running = self.running();
        let Some(bar) = running.get(&step.number("number")) else { return };
        let total = step.number("total");
        if bar.length() != Some(total) {
            bar.set_length(total);
            bar.set_style(style(RUNNING));
        }
        bar.set_position(step.number("done"));
        let note = step.text("note");
        if !note.is_empty() {
            bar.set_message(visible(note).into_owned());
        }
    }

    fn finished(&self, step: &Fields) {
        if let Some(bar) = self.running().remove(&step.number("number")) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
        self.all.suspend(|| write_line(&line(step, self.steps())));
    }

    fn end(&self) {
        self.running().clear();
        let _ = self.all.clear();
    }

    fn message(&self, level: Level, kind: Kind, fields: &Fields) {
        if let Some(sentence) = sentence(level, kind, fields) {
            self.all.suspend(|| write_line(&sentence));
        }
    }
}
