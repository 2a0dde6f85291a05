//! Progress in plain lines: one for each step, and one every few seconds during a long step.

use super::{Fields, Kind, View, left, line, sentence, visible, write_line};
use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};
use tracing::Level;

const SECONDS_BETWEEN_LINES: u64 = 10;

/// Shows progress in plain lines.
#[derive(Default)]
pub struct Lines {
    steps: AtomicUsize,
    running: Mutex<HashMap<u64, RunningStep>>,
    /// The lines of hits, which come by the thousand: they wait for the next line of another kind.
    hits: Mutex<String>,
}

struct RunningStep {
    label: String,
    since: Instant,
    shown: u64,
}

impl Lines {
    fn print_hits(&self) {
        let mut hits = self.hits.lock().expect("no thread panics while it adds a line");
        let hits = std::mem::take(&mut *hits);
        if !hits.is_empty() {
            write_line(hits.trim_end());
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<u64, RunningStep>> {
        self.running.lock().expect("no thread panics while it holds the labels")
    }

    fn steps(&self) -> usize {
        self.steps.load(Ordering::Relaxed)
    }
}

impl View for Lines {
    fn steps(&self, total: usize) {
        self.steps.store(total, Ordering::Relaxed);
    }

    fn started(&self, step: &Fields) {
        self.print_hits();
        let number = step.number("number");
        let label = format!("[{number}/{}] {}", self.steps(), step.text("step"));
        self.running().insert(number, RunningStep { label, since: Instant::now(), shown: 0 });
    }

    fn at(&self, step: &Fields) {
        let mut running = self.running();
        let Some(RunningStep { label, since, shown }) = running.get_mut(&step.number("number"))
        else {
            return;
        };
        let due = since.elapsed().as_secs() / SECONDS_BETWEEN_LINES;
        if due > std::mem::replace(shown, due) {
            let (done, total) = (step.number("done"), step.number("total"));
            let left = left(since.elapsed(), done, total);
            let note = match step.text("note") {
                "" => String::new(),
                note => format!(", {note}"),
            };
            let rate = done as f64 / since.elapsed().as_secs_f64();
            let line = format!("{label}: {done} of {total}, {rate:.0}/s, {left} left{note}");
            write_line(&visible(&line));
        }
    }

    fn finished(&self, step: &Fields) {
        self.running().remove(&step.number("number"));
        let line = line(step, self.steps());
        if step.text("status") == "hit" {
            let mut hits = self.hits.lock().expect("no thread panics while it adds a line");
            hits.push_str(&line);
            hits.push('\n');
        } else {
            self.print_hits();
            write_line(&line);
        }
    }

    fn end(&self) {
        self.print_hits();
    }

    fn message(&self, level: Level, kind: Kind, fields: &Fields) {
        let Some(sentence) = sentence(level, kind, fields) else { return };
        self.print_hits();
        write_line(&sentence);
    }
}
