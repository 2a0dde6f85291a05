//! The log of a running step, kept in the store under the step's key. The output of its programs
//! goes into the same file.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// The number of lines that are shown when the step fails.
const TAIL: usize = 12;
/// The time between two progress notes.
const BETWEEN_NOTES: Duration = Duration::from_secs(10);

/// The log of one step. The file is created with the first line.
pub struct Log {
    path: PathBuf,
    started: Instant,
    state: Mutex<LogState>,
}

#[derive(Default)]
struct LogState {
    file: Option<File>,
    tail: VecDeque<String>,
    note: String,
    noted: Option<Instant>,
}

impl Log {
    /// A log in this file; an earlier log in it is removed.
    pub fn new(path: PathBuf) -> Self {
        // As a rule, there was no earlier log.
        let _ = fs::remove_file(&path);
        Self { path, started: Instant::now(), state: Mutex::default() }
    }

    /// The path of the log file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line.
    pub fn line(&self, line: &str) {
        self.add(&mut self.state(), line);
    }

    /// Receives the step's progress and writes it down at intervals.
    pub fn at(&self, done: u64, total: u64, note: &str) {
        let mut state = self.state();
        state.note = format!("{done} of {total}  {note}").trim_end().to_owned();
        let noted = *state.noted.get_or_insert(self.started);
        if noted.elapsed() >= BETWEEN_NOTES {
            self.write_note(&mut state);
        }
    }

    /// Writes the progress down at once, because a part of the work was saved.
    pub fn mark(&self) {
        self.write_note(&mut self.state());
    }

    /// The last lines of the log.
    pub fn tail(&self) -> Vec<String> {
        self.state().tail.iter().cloned().collect()
    }

    fn write_note(&self, state: &mut LogState) {
        state.noted = Some(Instant::now());
        let note = std::mem::take(&mut state.note);
        if !note.is_empty() {
            self.add(state, &note);
        }
    }

    fn add(&self, state: &mut LogState, line: &str) {
        if state.tail.len() == TAIL {
            state.tail.pop_front();
        }
        state.tail.push_back(line.to_owned());
        if state.file.is_none() {
            // A log that cannot be written is no reason to fail the step.
            state.file = OpenOptions::new().create(true).append(true).open(&self.path).ok();
        }
        if let Some(file) = &mut state.file {
            let _ = writeln!(file, "{:9.3} s  {line}", self.started.elapsed().as_secs_f64());
        }
    }

    fn state(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().expect("no thread panics while it writes a log")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_says_nothing_leaves_no_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = Log::new(folder.path().join("step.log"));
        log.at(1, 2, "loss 0.4");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
        log.mark();
        (0..20).for_each(|line| log.line(&format!("line {line}")));
        let text = fs::read_to_string(log.path()).expect("a log");
        assert!(text.lines().next().is_some_and(|line| line.ends_with("s  1 of 2  loss 0.4")));
        assert_eq!(text.lines().count(), 21);
        let tail = log.tail();
        assert_eq!((tail.len(), tail.last().map(String::as_str)), (TAIL, Some("line 19")));
    }
}
