//! A sweep over two parameters as a grid with a cell for each point.

use crate::{
    document::{Block, Cell, Column, Row, Table, Text},
    scores::{self, ScoreTable, ScoredRow, latent_space},
    sections::{
        compare::{PairedComparison, is_best},
        latent,
    },
};
use cache::{Record, metric::Metric};
use serde_json::Value;

/// A grid for each title whose rows vary in exactly two parameters.
pub fn blocks(record: &Record, table: &ScoreTable, outcomes: &[PairedComparison]) -> Vec<Block> {
    let mut titles: Vec<&str> = Vec::new();
    for row in table.rows.iter().filter(|row| row.point.len() == 2) {
        if !titles.contains(&row.name.as_str()) {
            titles.push(&row.name);
        }
    }
    titles.into_iter().flat_map(|title| grid(record, title, table, outcomes)).collect()
}

fn grid(
    record: &Record,
    title: &str,
    table: &ScoreTable,
    outcomes: &[PairedComparison],
) -> Vec<Block> {
    let points: Vec<(usize, &ScoredRow)> = table
        .rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.name == title && row.point.len() == 2)
        .collect();
    let (down, across) = (values(&points, 0), values(&points, 1));
    let has = |metric: &&Metric| points.iter().any(|(_, row)| row.value(&metric.name).is_some());
    // The objective of the search, else the headline metric, if the rows have it.
    let objective = record.sweep.as_ref().and_then(|sweep| sweep.objective.as_deref());
    let is_asked =
        |metric: &&Metric| objective.is_some_and(|it| it.rsplit('.').next() == Some(&*metric.name));
    let metric = table.columns.iter().filter(has).find(is_asked);
    let metric = metric.or_else(|| table.headline().filter(has));
    let Some(metric) = metric.or_else(|| table.columns.iter().find(has)) else {
        return Vec::new();
    };
    if down.len() < 2 || across.len() < 2 {
        return Vec::new();
    }
    let axes = [0, 1].map(|at| scores::short(record, &points[0].1.point[at].0));
    let heads = across
        .iter()
        .map(|value| Column::number(format!("{} = {}", axes[1], scores::shown(value))));
    let lines = down.iter().map(|down| {
        let cells = across.iter().map(|across| {
            let at = |(_, row): &&(usize, &ScoredRow)| {
                row.point[0].1 == *down && row.point[1].1 == *across
            };
            points.iter().find(at).map_or_else(Cell::default, |(index, row)| {
                cell(row, metric, is_best(outcomes, metric, *index))
            })
        });
        let head = format!("{} = {}", axes[0], scores::shown(down));
        Row::new(std::iter::once(head.into()).chain(cells).collect())
    });
    let table = Table {
        columns: std::iter::once(Column::text("")).chain(heads).collect(),
        rows: lines.collect(),
    };
    let seeds = points.iter().map(|(_, row)| row.seeds.len()).max().unwrap_or(0);
    let mut caption = format!(": {}", metric.title);
    if seeds > 1 {
        caption.push_str(&format!(
            " (mean ± half-width of the 95 % t confidence interval over n = {seeds} seeds)"
        ));
    } else {
        caption.push_str(" (one seed)");
    }
    if points.iter().any(|(_, row)| !row.latent.is_empty()) {
        caption.push_str(", with the active latent units below");
    }
    caption.push('.');
    vec![Block::Paragraph(Text::new().strong(title).plain(caption)), Block::Table(table)]
}

/// The values of one of the two parameters, in the order of the sweep.
fn values(points: &[(usize, &ScoredRow)], axis: usize) -> Vec<Value> {
    let mut values: Vec<Value> = Vec::new();
    for (_, row) in points {
        if !values.contains(&row.point[axis].1) {
            values.push(row.point[axis].1.clone());
        }
    }
    values
}

fn cell(row: &ScoredRow, metric: &Metric, is_best: bool) -> Cell {
    let mut estimate = row.shown(metric);
    if row.scored() < row.seeds.len() {
        estimate.push_str(&format!(" (n = {})", row.scored()));
    }
    let text = if is_best { Text::new().strong(estimate) } else { estimate.into() };
    let text = match latent_space::mean(&row.latent) {
        Some(space) => text.lines_below(&latent::in_use(&space)),
        None => text,
    };
    Cell { text, value: row.value(&metric.name), id: None }
}
