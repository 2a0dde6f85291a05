//! `engine diff`: the differences of two runs, in their inputs and in their results.

use super::{
    changes::{Change, changes},
    runs::status,
};
use crate::{
    cli::{BAD_INPUT, CommandError, OutArg, StoreArg, print},
    record::{
        self,
        runs::{self, FoundRun},
    },
    ui::{
        diagnostic::quote,
        fold::{self, paragraph},
        grid::Grid,
    },
};
use cache::metric::Metric;
use clap::Args;
use reports::{ScoreTable, ScoredRow, estimate, incomparable, shown_estimate, stats::Estimate};
use serde_json::{Value, json};

/// The arguments of `diff`.
#[derive(Args)]
pub struct DiffArgs {
    /// The one run: a folder, an id, a study's name or `latest`.
    #[arg(value_name = "RUN")]
    pub a: String,
    /// The other.
    #[arg(value_name = "RUN")]
    pub b: String,
    /// The folder of the runs.
    #[command(flatten)]
    pub out: OutArg,
    /// The store.
    #[command(flatten)]
    pub store: StoreArg,
    /// Also list what is the same in both, and the steps of points that only one sweep has.
    #[arg(long)]
    pub all: bool,
    /// Write Markdown.
    #[arg(long, conflicts_with = "json")]
    pub md: bool,
    /// Write JSON.
    #[arg(long)]
    pub json: bool,
}

/// A cell that both tables have.
struct CellChange {
    row: String,
    metric: Metric,
    a: Option<Estimate>,
    b: Option<Estimate>,
    /// The difference of the second value from the first; over seeds that both runs have, of the
    /// pairs.
    difference: Option<Estimate>,
    /// The reason why the values do not compare, if there is one.
    incomparable: Option<String>,
}

/// Compares two runs and prints their differences.
///
/// # Errors
/// Returns the exit code if one of the runs does not exist.
pub fn diff(args: &DiffArgs) -> Result<(), CommandError> {
    let find = |run: &str| {
        runs::find(&args.out.out, run).map_err(|error| CommandError::new(BAD_INPUT, error))
    };
    let (a, b) = (find(&args.a)?, find(&args.b)?);
    let store = args.store.open_of(&a.folder)?;
    let changes = changes(&a.record, &b.record, args.all);
    let cells = cells(&record::table(&a.record, &store), &record::table(&b.record, &store));
    if args.json {
        print(&in_json(&a, &b, &changes, &cells));
        return Ok(());
    }
    let (before, mut cells) = (cells.len(), cells);
    cells.retain(|cell| args.all || cell.incomparable.is_some() || signed(cell) != SAME);
    let same = before - cells.len();
    print(&match args.md {
        true => in_markdown(&a, &b, &changes, &cells, same),
        false => in_text(&a, &b, &changes, &cells, same, fold::width()),
    });
    Ok(())
}

/// The cells of both tables, in the order of the first, then the rows that only the second has.
/// Rows of the same title are matched in their order.
fn cells(a: &ScoreTable, b: &ScoreTable) -> Vec<CellChange> {
    let mut metrics: Vec<&Metric> = a.columns.iter().collect();
    metrics.extend(b.columns.iter().filter(|it| !a.columns.iter().any(|a| a.name == it.name)));
    let (a, b) = (numbered(&a.rows), numbered(&b.rows));
    let find = |rows: &[(usize, &ScoredRow)], row: &(usize, &ScoredRow)| {
        rows.iter().position(|it| it.0 == row.0 && it.1.title == row.1.title)
    };
    let both = a.iter().map(|row| (Some(row.1), find(&b, row).map(|at| b[at].1)));
    let only_b = b.iter().filter(|row| find(&a, row).is_none()).map(|row| (None, Some(row.1)));
    let mut cells = Vec::new();
    for (old, new) in both.chain(only_b) {
        let Some(title) = old.or(new).map(|row| &row.title) else { continue };
        let incomparable = old.zip(new).and_then(|(a, b)| incomparable(a, b));
        for metric in &metrics {
            let value = |row: Option<&ScoredRow>| row.and_then(|row| row.estimate(&metric.name));
            let (a, b) = (value(old), value(new));
            if a.is_some() || b.is_some() {
                let difference = old.zip(new).and_then(|(a, b)| difference(a, b, &metric.name));
                let metric = (*metric).clone();
                let (row, incomparable) = (title.clone(), incomparable.clone());
                cells.push(CellChange { row, metric, a, b, difference, incomparable });
            }
        }
    }
    cells
}

/// The rows, each with the number of earlier rows of the same title.
fn numbered(rows: &[ScoredRow]) -> Vec<(usize, &ScoredRow)> {
    let before = |at: usize| rows[..at].iter().filter(|row| row.title == rows[at].title).count();
    rows.iter().enumerate().map(|(at, row)| (before(at), row)).collect()
}

/// The mean of the differences of pairs over the seeds that both rows have; without such seeds, the
/// difference of the means.
fn difference(a: &ScoredRow, b: &ScoredRow, metric: &str) -> Option<Estimate> {
    let (before, after) = (a.draws.get(metric)?, b.draws.get(metric)?);
    let pairs = before.iter().filter_map(|(seed, before)| Some(after.get(seed)? - before));
    let pairs: Vec<f64> = pairs.collect();
    if pairs.len() > 1 || (before.len() == 1 && pairs.len() == 1) {
        return estimate(&pairs);
    }
    estimate(&[b.estimate(metric)?.mean - a.estimate(metric)?.mean])
}

fn signed(cell: &CellChange) -> String {
    match cell.difference {
        None => String::new(),
        Some(difference)
            if difference.mean == 0.0 && difference.half_width.is_none_or(|it| it == 0.0) =>
        {
            SAME.to_owned()
        }
        Some(difference) => {
            let text = shown_estimate(Some(difference), &cell.metric);
            if difference.mean >= 0.0 { format!("+{text}") } else { text.replacen('-', "−", 1) }
        }
    }
}

fn grids(changes: &[Change], cells: &[CellChange], repeat: bool) -> (Grid, Grid) {
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
            cell.metric.title.to_string(),
            shown_estimate(cell.a, &cell.metric),
            shown_estimate(cell.b, &cell.metric),
            signed(cell),
        ]);
    }
    (inputs, results)
}

/// The text in place of a difference that there is not.
const SAME: &str = "same";

/// A sentence on the cells that are left out because they are the same.
fn left_out(same: usize, shown: usize) -> Option<String> {
    match (same, shown) {
        (0, _) => None,
        (_, 0) => Some(format!("All numbers are the same in both ({same}; `--all` lists them).")),
        (1, _) => Some("1 more is the same in both (`--all` lists it).".to_owned()),
        _ => Some(format!("{same} more are the same in both (`--all` lists them).")),
    }
}

const SAME_INPUTS: &str = "What went in is the same in both.";
const NO_CELLS: &str = "Neither run has numbers in its table.";
const INTERVALS: &str =
    "± half the 95 % interval of the mean over seeds; b − a over the seeds that both have.";

/// A sentence on each row whose numbers do not compare.
fn incomparable_rows(cells: &[CellChange]) -> Vec<String> {
    let mut sentences: Vec<String> = Vec::new();
    for cell in cells {
        let Some(why) = &cell.incomparable else { continue };
        let sentence = format!("The numbers of {} do not compare: they are {why}.", cell.row);
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
    sentences
}

fn name(found: &FoundRun) -> String {
    format!("{}/{}", found.record.pipeline, found.record.id)
}

fn in_text(
    a: &FoundRun,
    b: &FoundRun,
    changes: &[Change],
    cells: &[CellChange],
    same: usize,
    width: usize,
) -> String {
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
        [] if same > 0 => String::new(),
        [] => paragraph("", NO_CELLS, width),
        _ => results.fitted(width),
    });
    left_out(same, cells.len()).iter().for_each(|said| out.push_str(&paragraph("", said, width)));
    if has_intervals(cells) {
        out.push_str(&paragraph("", INTERVALS, width));
    }
    incomparable_rows(cells)
        .iter()
        .for_each(|sentence| out.push_str(&paragraph("", sentence, width)));
    out
}

fn has_intervals(cells: &[CellChange]) -> bool {
    cells.iter().any(|cell| [cell.a, cell.b].iter().flatten().any(|it| it.half_width.is_some()))
}

fn in_markdown(
    a: &FoundRun,
    b: &FoundRun,
    changes: &[Change],
    cells: &[CellChange],
    same: usize,
) -> String {
    let code = |found: &FoundRun| quote(&name(found));
    let (inputs, results) = grids(changes, cells, true);
    let mut out = format!("a: {}, b: {}\n\n", code(a), code(b));
    out.push_str(&if changes.is_empty() { format!("{SAME_INPUTS}\n") } else { inputs.markdown() });
    out.push('\n');
    out.push_str(&match cells {
        [] if same > 0 => String::new(),
        [] => format!("{NO_CELLS}\n"),
        _ => results.markdown(),
    });
    left_out(same, cells.len()).iter().for_each(|said| out.push_str(&format!("\n{said}\n")));
    if has_intervals(cells) {
        out.push_str(&format!("\n{INTERVALS}\n"));
    }
    incomparable_rows(cells)
        .iter()
        .for_each(|sentence| out.push_str(&format!("\n{}\n", reports::escape_markdown(sentence))));
    out
}

fn in_json(a: &FoundRun, b: &FoundRun, changes: &[Change], cells: &[CellChange]) -> String {
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
                "b": side(cell.b), "difference": side(cell.difference), "incomparable": cell.incomparable })
        })
        .collect();
    let run = |found: &FoundRun| found.record.id.clone();
    format!("{:#}\n", json!({ "a": run(a), "b": run(b), "parameters": changes, "cells": cells }))
}
