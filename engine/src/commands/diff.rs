//! `engine diff`: what two runs have different, in what went in and in what came out.

use super::runs::status;
use crate::{
    cli::{BAD_INPUT, OutArg, Stop, StoreArg, print},
    plan::reasons::shown,
    record::{
        results::{self, Line},
        runs::{self, Found},
    },
    say::{
        fault::quote,
        fold::{self, paragraph},
        grid::Grid,
    },
};
use cache::{Record, record::StepRecord};
use clap::Args;
use reports::{
    Metric,
    stats::{Estimate, estimate},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What `diff` reads.
#[derive(Args)]
pub struct DiffArgs {
    /// The one run: a folder, an id, a study's name or `latest`.
    #[arg(value_name = "RUN")]
    pub a: String,
    /// The other.
    #[arg(value_name = "RUN")]
    pub b: String,
    /// Where runs are.
    #[command(flatten)]
    pub out: OutArg,
    /// The store.
    #[command(flatten)]
    pub store: StoreArg,
    /// Write Markdown.
    #[arg(long, conflicts_with = "json")]
    pub md: bool,
    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

/// A difference of what went in: where, before, after.
struct Change {
    place: String,
    a: String,
    b: String,
}

/// A cell of both tables.
struct Cell {
    row: String,
    metric: &'static Metric,
    a: Option<Estimate>,
    b: Option<Estimate>,
    /// Of the second to the first; over seeds that both have, of the pairs.
    difference: Option<Estimate>,
}

/// Compares two runs.
///
/// # Errors
/// With the exit code, if one of them is not there.
pub fn diff(args: &DiffArgs) -> Result<(), Stop> {
    let find =
        |run: &str| runs::find(&args.out.out, run).map_err(|fault| Stop::saying(BAD_INPUT, fault));
    let (a, b) = (find(&args.a)?, find(&args.b)?);
    let store = args.store.look()?;
    let changes = changes(&a.record, &b.record);
    let cells = cells(&results::lines(&a.record, &store), &results::lines(&b.record, &store));
    print(&match (args.json, args.md) {
        (true, _) => in_json(&a, &b, &changes, &cells),
        (_, true) => in_markdown(&a, &b, &changes, &cells),
        _ => in_text(&a, &b, &changes, &cells, fold::width()),
    });
    Ok(())
}

/// What differs in steps, in the order of the second run, then what only the first has.
fn changes(a: &Record, b: &Record) -> Vec<Change> {
    let mut changes = Vec::new();
    let is = |step: &StepRecord| step.op.clone();
    for new in &b.steps {
        match a.step(&new.name) {
            None => changes.push(change(&new.name, "–", &is(new))),
            Some(old) => changes.extend(step_changes(old, new, a, b)),
        }
    }
    let gone = a.steps.iter().filter(|step| b.step(&step.name).is_none());
    changes.extend(gone.map(|step| change(&step.name, &is(step), "–")));
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
    // With the same parameters and inputs, another key means other files or another op version.
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

/// The digest of `step.port` in a run.
fn content<'r>(record: &'r Record, output: &str) -> Option<&'r cache::Digest> {
    let (step, port) = output.rsplit_once('.')?;
    record.step(step)?.outputs.get(port)
}

/// Cell by cell: rows of the first table, then those that only the second has.
fn cells(a: &[Line], b: &[Line]) -> Vec<Cell> {
    let metrics = results::columns(a.iter().chain(b).collect::<Vec<_>>());
    let find = |lines: &'_ [Line], title: &str| lines.iter().position(|line| line.title == title);
    let only_b = b.iter().filter(|line| find(a, &line.title).is_none());
    let mut cells = Vec::new();
    for line in a.iter().chain(only_b) {
        let (old, new) =
            (find(a, &line.title).map(|at| &a[at]), find(b, &line.title).map(|at| &b[at]));
        for metric in &metrics {
            let value = |line: Option<&Line>| line.and_then(|line| line.estimate(metric.name));
            let (a, b) = (value(old), value(new));
            if a.is_some() || b.is_some() {
                let difference = old.zip(new).and_then(|(a, b)| difference(a, b, metric.name));
                cells.push(Cell { row: line.title.clone(), metric, a, b, difference });
            }
        }
    }
    cells
}

/// Over seeds that both have, the mean of the differences of pairs; else that of the means.
fn difference(a: &Line, b: &Line, metric: &str) -> Option<Estimate> {
    let (a_values, b_values) = (a.values(metric), b.values(metric));
    let pairs: Vec<f64> = a_values
        .iter()
        .filter_map(|(seed, before)| {
            let (_, after) = b_values.iter().find(|(other, _)| other == seed)?;
            Some(after - before)
        })
        .collect();
    if pairs.len() > 1 || (a_values.len() == 1 && pairs.len() == 1) {
        return estimate(&pairs);
    }
    let (a, b) = (a.estimate(metric)?, b.estimate(metric)?);
    estimate(&[b.mean - a.mean])
}

fn signed(cell: &Cell) -> String {
    match cell.difference {
        None => String::new(),
        Some(difference)
            if difference.mean == 0.0 && difference.half_width.is_none_or(|it| it == 0.0) =>
        {
            "same".to_owned()
        }
        Some(difference) => {
            let text = results::cell(Some(difference), cell.metric);
            if difference.mean >= 0.0 { format!("+{text}") } else { text.replacen('-', "−", 1) }
        }
    }
}

fn grids(changes: &[Change], cells: &[Cell], repeat: bool) -> (Grid, Grid) {
    let mut inputs = Grid::new(["parameter", "a", "b"], 3);
    for change in changes {
        inputs.rows.push(vec![change.place.clone(), change.a.clone(), change.b.clone()]);
    }
    let mut results = Grid::new(["row", "metric", "a", "b", "b − a"], 2);
    let mut last = "";
    for cell in cells {
        let row = if cell.row == last && !repeat { String::new() } else { cell.row.clone() };
        last = &cell.row;
        results.rows.push(vec![
            row,
            cell.metric.title.to_owned(),
            results::cell(cell.a, cell.metric),
            results::cell(cell.b, cell.metric),
            signed(cell),
        ]);
    }
    (inputs, results)
}

const SAME_INPUTS: &str = "What went in is the same in both.";
const NO_CELLS: &str = "Neither run has numbers in its table.";
const INTERVALS: &str =
    "± half the 95 % interval of the mean over seeds; b − a over the seeds that both have.";

fn name(found: &Found) -> String {
    format!("{}/{}", found.record.pipeline, found.record.id)
}

fn in_text(a: &Found, b: &Found, changes: &[Change], cells: &[Cell], width: usize) -> String {
    let mut out = String::new();
    for (letter, found) in [("a", a), ("b", b)] {
        let line = format!("{} ({})", name(found), status(found.record.status));
        out.push_str(&paragraph(&format!("{letter}  "), &line, width));
    }
    let (inputs, results) = grids(changes, cells, false);
    out.push('\n');
    out.push_str(&match changes {
        [] => paragraph("", SAME_INPUTS, width),
        _ => inputs.fitted(width),
    });
    out.push('\n');
    out.push_str(&match cells {
        [] => paragraph("", NO_CELLS, width),
        _ => results.fitted(width),
    });
    if has_intervals(cells) {
        out.push_str(&paragraph("", INTERVALS, width));
    }
    out
}

fn has_intervals(cells: &[Cell]) -> bool {
    cells.iter().any(|cell| [cell.a, cell.b].iter().flatten().any(|it| it.half_width.is_some()))
}

fn in_markdown(a: &Found, b: &Found, changes: &[Change], cells: &[Cell]) -> String {
    let code = |found: &Found| quote(&name(found));
    let (inputs, results) = grids(changes, cells, true);
    let mut out = format!("a: {}, b: {}\n\n", code(a), code(b));
    out.push_str(&if changes.is_empty() { format!("{SAME_INPUTS}\n") } else { inputs.markdown() });
    out.push('\n');
    out.push_str(&if cells.is_empty() { format!("{NO_CELLS}\n") } else { results.markdown() });
    if has_intervals(cells) {
        out.push_str(&format!("\n{INTERVALS}\n"));
    }
    out
}

fn in_json(a: &Found, b: &Found, changes: &[Change], cells: &[Cell]) -> String {
    let side = |estimate: Option<Estimate>| {
        estimate.map(|it| json!({ "mean": it.mean, "half_interval": it.half_width, "seeds": it.n }))
    };
    let changes: Vec<Value> = changes
        .iter()
        .map(|change| json!({ "place": change.place, "a": change.a, "b": change.b }))
        .collect();
    let cells: Vec<Value> = cells
        .iter()
        .map(|cell| {
            json!({ "row": cell.row, "metric": cell.metric.name, "a": side(cell.a),
                "b": side(cell.b), "difference": side(cell.difference) })
        })
        .collect();
    let run = |found: &Found| found.record.id.clone();
    format!("{:#}\n", json!({ "a": run(a), "b": run(b), "parameters": changes, "cells": cells }))
}
