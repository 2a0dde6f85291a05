//! The differences between the inputs of two runs: parameters, inputs, seeds, and the values of a sweep.

use crate::plan::reasons::shown;
use cache::{Digest, Record, record::StepRecord};
use serde_json::Value;
use std::collections::BTreeSet;

/// A difference of inputs: the place, the value before, the value after.
pub struct Change {
    /// The parameter, input or step.
    pub place: String,
    /// The value of the first run, or a dash.
    pub a: String,
    /// The value of the second run, or a dash.
    pub b: String,
}

/// The differences of steps, in the order of the second run, then the steps that only the first run
/// has. Of a sweep that is only wider or narrower, the further variants are left out unless `all` is true.
pub fn changes(a: &Record, b: &Record, all: bool) -> Vec<Change> {
    let mut changes = sweep_changes(a, b);
    let is = |step: &StepRecord| step.op.clone();
    // A wider sweep has more variants of the same steps.
    let base = |step: &StepRecord| cache::record::without_variant(&step.name).to_owned();
    let known = |record: &Record| record.steps.iter().map(base).collect::<BTreeSet<_>>();
    let (of_a, of_b) = (known(a), known(b));
    let is_wider = !changes.is_empty() && !all;
    let is_variant = |step: &StepRecord| {
        is_wider
            && step.name.contains('{')
            && of_a.contains(&base(step))
            && of_b.contains(&base(step))
    };
    for new in b.steps.iter().filter(|new| a.step(&new.name).is_some() || !is_variant(new)) {
        match a.step(&new.name) {
            None => changes.push(change(&new.name, "–", &is(new))),
            Some(old) => changes.extend(step_changes(old, new, a, b)),
        }
    }
    let gone = a.steps.iter().filter(|step| b.step(&step.name).is_none() && !is_variant(step));
    changes.extend(gone.map(|step| change(&step.name, &is(step), "–")));
    changes
}

/// The parameters of sweeps whose values differ, and the seeds.
fn sweep_changes(a: &Record, b: &Record) -> Vec<Change> {
    let mut axes: Vec<&String> = Vec::new();
    for (axis, _) in [a, b].iter().flat_map(|run| &run.table).flat_map(|row| &row.point) {
        if !axes.contains(&axis) {
            axes.push(axis);
        }
    }
    let listed = |values: Vec<String>| match values.is_empty() {
        true => "–".to_owned(),
        false => format!("[{}]", values.join(", ")),
    };
    let values = |record: &Record, axis: &str| {
        let mut values: Vec<String> = Vec::new();
        let points = record.table.iter().flat_map(|row| &row.point);
        for value in points.filter(|(name, _)| name == axis).map(|(_, value)| shown(value)) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        listed(values)
    };
    let seeds = |record: &Record| {
        let seeds = record.sweep.iter().flat_map(|sweep| &sweep.seeds);
        listed(seeds.map(ToString::to_string).collect())
    };
    let mut changes: Vec<Change> =
        axes.iter().map(|axis| change(axis, &values(a, axis), &values(b, axis))).collect();
    changes.push(change("seeds", &seeds(a), &seeds(b)));
    changes.retain(|change| change.a != change.b);
    changes
}

fn change(place: &str, a: &str, b: &str) -> Change {
    Change { place: place.to_owned(), a: a.to_owned(), b: b.to_owned() }
}

fn step_changes(old: &StepRecord, new: &StepRecord, a: &Record, b: &Record) -> Vec<Change> {
    let place = |name: &str| format!("{}.{name}", new.name);
    if old.op != new.op {
        return vec![change(&place("op"), &old.op, &new.op)];
    }
    let mut changes = Vec::new();
    let (before, after) = (old.params.as_object(), new.params.as_object());
    let names: BTreeSet<&String> =
        before.into_iter().chain(after).flat_map(|params| params.keys()).collect();
    for name in names {
        let value = |params: Option<&serde_json::Map<String, Value>>| {
            params.and_then(|params| params.get(name)).map_or("–".to_owned(), shown)
        };
        let (before, after) = (value(before), value(after));
        if before != after {
            changes.push(change(&place(name), &before, &after));
        }
    }
    let ports: BTreeSet<&String> = old.inputs.keys().chain(new.inputs.keys()).collect();
    for port in ports {
        let read = |step: &StepRecord| step.inputs.get(port).map_or("–".to_owned(), String::clone);
        if read(old) != read(new) {
            changes.push(change(&place(port), &read(old), &read(new)));
        }
    }
    if old.seed != new.seed {
        let seed = |step: &StepRecord| step.seed.map_or("–".to_owned(), |seed| seed.to_string());
        changes.push(change(&place("seed"), &seed(old), &seed(new)));
    }
    // With the same parameters and inputs, another key means other files or another version of the
    // op.
    let same_inputs = old.inputs.values().all(|output| content(a, output) == content(b, output));
    if changes.is_empty()
        && same_inputs
        && old.key.is_some()
        && new.key.is_some()
        && old.key != new.key
    {
        let what = if old.inputs.is_empty() { "files" } else { "op version or device" };
        changes.push(change(&place(what), "one", "another"));
    }
    changes
}

/// The digest of an output `step.port` in a run.
fn content<'r>(record: &'r Record, output: &str) -> Option<&'r Digest> {
    let (step, port) = output.rsplit_once('.')?;
    record.step(step)?.outputs.get(port)
}
