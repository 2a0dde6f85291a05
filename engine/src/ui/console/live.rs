//! The progress of a run, for the page that shows it while it goes on.

use super::{Fields, Kind, View};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};
use tracing::Level;

/// The most finished steps that the page shows, the last ones: a search may have thousands.
const MAX_BARS: usize = 2000;
/// The most steps whose curves the page shows, the last ones.
const MAX_CURVES: usize = 12;
/// The most failures that the page shows, the first ones.
const MAX_FAILURES: usize = 50;
/// The number of points of a curve: what is reported between two of them is averaged.
const POINTS: u64 = 200;

/// The progress of a run and its start, for the listener of its events and the writer of the page.
pub struct LiveProgress {
    began: Instant,
    progress: Mutex<RunProgress>,
}

impl Default for LiveProgress {
    fn default() -> Self {
        Self { began: Instant::now(), progress: Mutex::default() }
    }
}

/// The progress of a run, as its events give it.
#[derive(Default)]
pub struct RunProgress {
    /// The status of the run, once it has ended.
    pub status: Option<String>,
    /// The finished steps by name, with the keys of their results.
    pub finished: HashMap<String, Option<String>>,
    /// The steps that run, by their number in the plan.
    pub running: BTreeMap<u64, Running>,
    /// The steps that ran or failed, in the order of their ends.
    pub bars: VecDeque<Bar>,
    counts: BTreeMap<String, usize>,
    failures: Vec<Failure>,
    curves: VecDeque<Curves>,
    warnings: Vec<String>,
}

/// A step that runs.
pub struct Running {
    /// The name of the step.
    pub name: String,
    /// The seconds from the start of the run to that of the step.
    pub since: f64,
    /// The finished part of its work.
    pub done: u64,
    /// All of its work; 0 as long as it is not known.
    pub total: u64,
    reason: String,
    note: String,
}

/// A step that ran or failed: its name and status, and the seconds from the start of the run to its start and end.
pub struct Bar {
    /// The name of the step.
    pub name: String,
    /// The start.
    pub from: f64,
    /// The end.
    pub to: f64,
    /// The status: `ran` or `failed`.
    pub status: String,
}

struct Failure {
    step: String,
    error: String,
    log: Vec<String>,
}

/// The numbers in the notes of a step over the course of its work.
struct Curves {
    step: String,
    /// The unit of the work, and the number of units: 30 epochs.
    unit: Option<Unit>,
    /// By the name of the number: the sum and the count of all that was reported at each point.
    lines: BTreeMap<String, BTreeMap<u64, (f64, u32)>>,
}

impl Running {
    /// A step that starts at these seconds of the run.
    pub fn of(name: &str, since: f64) -> Self {
        let name = name.to_owned();
        Self { name, since, done: 0, total: 0, reason: String::new(), note: String::new() }
    }
}

impl Bar {
    /// A step that ran.
    #[cfg(test)]
    pub fn new(name: &str, from: f64, to: f64) -> Self {
        Self { name: name.to_owned(), from, to, status: "ran".to_owned() }
    }
}

impl LiveProgress {
    /// The progress.
    pub fn lock(&self) -> MutexGuard<'_, RunProgress> {
        self.progress.lock().expect("no thread panics while it changes the progress")
    }

    /// The seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}

impl View for Arc<LiveProgress> {
    fn steps(&self, _total: usize) {}

    fn started(&self, step: &Fields) {
        let reason = step.text("reason").to_owned();
        let running = Running { reason, ..Running::of(step.text("step"), self.seconds()) };
        self.lock().running.insert(step.number("number"), running);
    }

    fn at(&self, step: &Fields) {
        let mut progress = self.lock();
        let RunProgress { running, curves, .. } = &mut *progress;
        let Some(running) = running.get_mut(&step.number("number")) else { return };
        (running.done, running.total) = (step.number("done"), step.number("total"));
        running.note = step.text("note").to_owned();
        let (unit, numbers) = numbers(&running.note);
        if numbers.is_empty() {
            return;
        }
        if !curves.iter().any(|of| of.step == running.name) {
            if curves.len() == MAX_CURVES {
                curves.pop_front();
            }
            curves.push_back(Curves { step: running.name.clone(), unit, lines: BTreeMap::new() });
        }
        let of = curves.iter_mut().find(|of| of.step == running.name).expect("it was added");
        let point = (running.done * POINTS).div_ceil(running.total.max(1));
        for (number, value) in numbers {
            let (sum, count) =
                of.lines.entry(number.to_owned()).or_default().entry(point).or_default();
            (*sum, *count) = (*sum + value, *count + 1);
        }
    }

    fn finished(&self, step: &Fields) {
        let now = self.seconds();
        let mut progress = self.lock();
        let (name, status) = (step.text("step").to_owned(), step.text("status").to_owned());
        let key = Some(step.text("key").to_owned()).filter(|key| !key.is_empty());
        let ran = progress.running.remove(&step.number("number"));
        // A result that was lost is made again: the step counts once.
        if progress.finished.insert(name.clone(), key).is_none() {
            *progress.counts.entry(status.clone()).or_default() += 1;
        }
        if status == "failed" && progress.failures.len() < MAX_FAILURES {
            let error = step.text("error").to_owned();
            progress.failures.push(Failure { step: name.clone(), error, log: Vec::new() });
        }
        if let Some(seconds) = step.elapsed() {
            let from = ran.map_or(now - seconds, |ran| ran.since);
            if progress.bars.len() == MAX_BARS {
                progress.bars.pop_front();
            }
            progress.bars.push_back(Bar { name, from, to: now, status });
        }
    }

    fn end(&self) {}

    fn message(&self, level: Level, kind: Kind, fields: &Fields) {
        let mut progress = self.lock();
        let message = fields.text("message");
        match kind {
            Kind::Run if fields.text("event") == "run_finished" => {
                progress.status = Some(fields.text("status").to_owned());
            }
            Kind::Detail => {
                let step = fields.text("step");
                let of = progress.failures.iter_mut().rev().find(|of| of.step == step);
                if let (Some(of), Some(line)) = (of, message.strip_prefix("  ")) {
                    of.log.push(line.to_owned());
                }
            }
            Kind::Sentence if level == Level::WARN && progress.warnings.len() < MAX_FAILURES => {
                progress.warnings.push(message.to_owned());
            }
            _ => {}
        }
    }
}

/// A unit of work, and the number of units.
type Unit = (String, u64);

/// The unit of work that a note names first, with how many there are, and its numbers by name:
/// `epoch 3/30, batch 1/5, loss 0.4` is at 3 of 30 epochs with a loss of 0.4.
fn numbers(note: &str) -> (Option<Unit>, Vec<(&str, f64)>) {
    let (mut unit, mut numbers) = (None, Vec::new());
    for (name, value) in note.split(", ").filter_map(|part| part.rsplit_once(' ')) {
        match (value.split_once('/').and_then(|(_, all)| all.parse().ok()), value.parse::<f64>()) {
            (Some(all), _) => unit = unit.or_else(|| Some((name.to_owned(), all))),
            (None, Ok(number)) if number.is_finite() => numbers.push((name, number)),
            _ => {}
        }
    }
    (unit, numbers)
}

impl RunProgress {
    /// All that the page shows of it; times are seconds from the start of the run.
    pub fn in_json(&self) -> Value {
        let round = |seconds: f64| (seconds * 100.0).round() / 100.0;
        let bar = |bar: &Bar| json!([bar.name, round(bar.from), round(bar.to), bar.status]);
        let running = |it: &Running| {
            json!({ "step": it.name, "since": round(it.since), "done": it.done, "total": it.total,
                "note": it.note, "reason": it.reason })
        };
        let failure = |it: &Failure| json!({ "step": it.step, "error": it.error, "log": it.log });
        json!({
            "counts": self.counts,
            "bars": self.bars.iter().map(bar).collect::<Vec<_>>(),
            "running": self.running.values().map(running).collect::<Vec<_>>(),
            "failures": self.failures.iter().map(failure).collect::<Vec<_>>(),
            "curves": self.curves.iter().map(Curves::in_json).collect::<Vec<_>>(),
            "warnings": self.warnings,
        })
    }
}

impl Curves {
    fn in_json(&self) -> Value {
        let (unit, all) = match &self.unit {
            Some((unit, all)) => (unit.as_str(), *all as f64),
            None => ("share of the work", 1.0),
        };
        let point = |(at, (sum, count)): (&u64, &(f64, u32))| {
            let x = *at as f64 / POINTS as f64 * all;
            json!([(x * 1e3).round() / 1e3, sum / f64::from(*count)])
        };
        let lines = self.lines.iter().map(|(name, line)| {
            (name.clone(), Value::from(line.iter().map(point).collect::<Vec<_>>()))
        });
        json!({ "step": self.step, "unit": unit, "all": all,
            "lines": lines.collect::<serde_json::Map<_, _>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;

    fn fields(value: Value) -> Fields {
        let Value::Object(map) = value else { panic!("an object") };
        Fields(map.into_iter().collect::<Map<_, _>>())
    }

    #[test]
    fn a_note_gives_its_unit_and_its_numbers() {
        let (unit, found) = numbers("epoch 3/30, batch 1/5, loss 0.25, kl 2");
        assert_eq!(unit, Some(("epoch".to_owned(), 30)));
        assert_eq!(found, [("loss", 0.25), ("kl", 2.0)]);
        for note in ["", "clip", "loss NaN", "reading a/b.wav", ", ,"] {
            assert_eq!(numbers(note).1, [], "{note:?}");
        }
    }

    #[test]
    fn progress_follows_from_events() {
        let live = Arc::new(LiveProgress::default());
        for (number, name) in [(2, "vae"), (1, "bad")] {
            let step = json!({ "step": name, "number": number, "reason": "never run" });
            live.started(&fields(step));
        }
        for done in 1..=400 {
            let note = format!("epoch {}/4, loss {done}", (done - 1) / 100 + 1);
            live.at(&fields(json!({ "number": 2, "done": done, "total": 400, "note": note })));
        }
        let progress = live.lock().in_json();
        assert_eq!(progress["running"][0]["step"], "bad");
        assert_eq!(progress["running"][1]["note"], "epoch 4/4, loss 400");
        let loss = progress["curves"][0]["lines"]["loss"].as_array().expect("a line");
        assert_eq!(
            (loss.len(), &loss[0], &loss[199]),
            (200, &json!([0.02, 1.5]), &json!([4.0, 399.5]))
        );
        live.finished(&fields(
            json!({ "step": "vae", "number": 2, "status": "ran", "seconds": 0.5, "key": "k" }),
        ));
        live.finished(&fields(json!({ "step": "bad", "number": 1, "status": "failed", "seconds": 0.5, "error": "no" })));
        live.finished(&fields(json!({ "step": "mel", "status": "hit" })));
        live.message(
            Level::ERROR,
            Kind::Detail,
            &fields(json!({ "step": "bad", "message": "  last words" })),
        );
        live.message(
            Level::INFO,
            Kind::Run,
            &fields(json!({ "event": "run_finished", "status": "failed" })),
        );
        let progress = live.lock();
        assert_eq!(progress.status.as_deref(), Some("failed"));
        assert_eq!(progress.finished["vae"].as_deref(), Some("k"));
        let json = progress.in_json();
        assert_eq!(json["counts"], json!({ "failed": 1, "hit": 1, "ran": 1 }));
        assert_eq!(json["bars"].as_array().map(Vec::len), Some(2), "a hit takes no time");
        assert_eq!(
            json["failures"][0],
            json!({ "step": "bad", "error": "no", "log": ["last words"] })
        );
        assert_eq!(json["running"], json!([]));
    }
}
