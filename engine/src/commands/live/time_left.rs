//! The time that a run still takes, from what its steps took before and from what it did so far.

use crate::ui::console::live::RunProgress;
use cache::Record;
use std::collections::HashMap;

/// The time left.
#[derive(Debug, PartialEq)]
pub struct TimeLeft {
    /// The seconds that the steps take of which something is known.
    pub seconds: f64,
    /// The number of steps of which nothing is known.
    pub unknown: usize,
}

/// The time left of a run that has taken so many seconds. A step is expected to take what such a step took in an
/// earlier run, or else what the steps of its op took in this one; a step that runs, what its progress says. Steps go
/// on as many at a time as they did so far.
pub fn time_left(
    record: &Record,
    expected: &[Option<f64>],
    progress: &RunProgress,
    seconds: f64,
) -> TimeLeft {
    let ops: HashMap<&str, &str> =
        record.steps.iter().map(|step| (step.name.as_str(), step.op.as_str())).collect();
    let (mut taken, mut busy) = (HashMap::<&str, (f64, f64)>::new(), 0.0);
    for bar in &progress.bars {
        busy += bar.to - bar.from;
        if let Some(op) = ops.get(bar.name.as_str()).filter(|_| bar.status == "ran") {
            let (sum, count) = taken.entry(op).or_default();
            (*sum, *count) = (*sum + bar.to - bar.from, *count + 1.0);
        }
    }
    let running: HashMap<&str, _> =
        progress.running.values().map(|running| (running.name.as_str(), running)).collect();
    let (mut work, mut longest, mut unknown) = (0.0, 0.0_f64, 0);
    for (step, expected) in record.steps.iter().zip(expected) {
        let name = step.name.as_str();
        if progress.finished.contains_key(name) {
            continue;
        }
        let before = expected.or_else(|| taken.get(step.op.as_str()).map(|(sum, n)| sum / n));
        let left = match running.get(name) {
            None => before,
            Some(running) => {
                let spent = (seconds - running.since).max(0.0);
                busy += spent;
                let share = running.done as f64 / running.total.max(1) as f64;
                match share > 0.0 {
                    true => Some(spent * (1.0 - share).max(0.0) / share),
                    // A step that outlasts what was expected tells nothing about its end.
                    false => before.map(|all| all - spent).filter(|left| *left > 0.0),
                }
            }
        };
        match left {
            Some(left) => (work, longest) = (work + left, longest.max(left)),
            None => unknown += 1,
        }
    }
    let at_a_time = (busy / seconds.max(1e-3)).max(1.0);
    TimeLeft { seconds: longest.max(work / at_a_time), unknown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::console::live::{Bar, Running};
    use cache::record::StepStatus;
    use serde_json::json;

    fn record(steps: &[(&str, &str)]) -> Record {
        let step = |(name, op): &(&str, &str)| {
            json!({ "name": name, "op": op, "params": {}, "inputs": {}, "key": null,
                "status": StepStatus::Skipped, "reason": "", "outputs": {}, "shapes": {}, "seconds": 0.0 })
        };
        let steps: Vec<_> = steps.iter().map(step).collect();
        serde_json::from_value(json!({ "version": 1, "engine": "", "pipeline": "", "id": "", "started": "",
            "seconds": 0.0, "status": "done", "command": [], "warnings": [], "table": [], "figures": [], "steps": steps,
            "environment": { "platform": "", "processor": "", "threads": 1 } }))
        .expect("a record")
    }

    fn progress(bars: &[(&str, f64, f64)], running: &[(&str, f64, u64, u64)]) -> RunProgress {
        let mut progress = RunProgress::default();
        for (name, from, to) in bars {
            progress.finished.insert((*name).to_owned(), None);
            progress.bars.push_back(Bar::new(name, *from, *to));
        }
        for (number, (name, since, done, total)) in (0..).zip(running) {
            let mut running = Running::of(name, *since);
            (running.done, running.total) = (*done, *total);
            progress.running.insert(number, running);
        }
        progress
    }

    #[test]
    fn what_is_known_of_a_step_decides_what_it_still_takes() {
        let steps = [("a", "mel"), ("b", "mel"), ("c", "vae"), ("d", "pca")];
        let record = record(&steps);
        // The second takes what the first took; of the last two nothing is known.
        let now = progress(&[("a", 0.0, 4.0)], &[]);
        let nothing = [None; 4];
        assert_eq!(time_left(&record, &nothing, &now, 4.0), TimeLeft { seconds: 4.0, unknown: 2 });
        // Earlier runs are better witnesses.
        let earlier = [None, Some(1.0), Some(10.0), Some(0.5)];
        assert_eq!(time_left(&record, &earlier, &now, 4.0), TimeLeft { seconds: 11.5, unknown: 0 });
        // A quarter is done after two seconds: six are left, whatever was expected.
        let now = progress(&[("a", 0.0, 4.0)], &[("c", 2.0, 1, 4)]);
        let found = time_left(&record, &[Some(0.0), Some(0.0), Some(100.0), Some(0.0)], &now, 4.0);
        assert_eq!(found, TimeLeft { seconds: 6.0, unknown: 0 });
        let now = progress(&[("a", 0.0, 4.0)], &[("b", 0.0, 0, 0)]);
        let found = time_left(&record, &[Some(0.0), Some(3.0), Some(0.0), Some(0.0)], &now, 4.0);
        assert_eq!(found, TimeLeft { seconds: 0.0, unknown: 1 });
    }

    #[test]
    fn steps_go_on_as_many_at_a_time_as_before() {
        let record = record(&[("a", "x"), ("b", "x"), ("c", "x"), ("d", "x")]);
        let now = progress(&[("a", 0.0, 5.0), ("b", 0.0, 5.0)], &[]);
        assert_eq!(
            time_left(&record, &[None; 4], &now, 5.0),
            TimeLeft { seconds: 5.0, unknown: 0 }
        );
    }
}
