//! The table of scores, and every number of it as CSV.

use crate::{
    document::{Block, Cell, Column, Row, Table, Text},
    scores::ScoredRow,
};
use std::{collections::BTreeMap, fmt::Write};

/// A metric that is shown as a column.
pub struct Metric {
    /// Its name in scores.
    pub name: &'static str,
    /// Its name for readers.
    pub title: &'static str,
    /// Whether more is better.
    pub more_is_better: bool,
    /// Decimals that are shown.
    pub decimals: usize,
}

/// The columns, in the paper's order: intrinsic metrics, then agreement with the labels.
pub const METRICS: &[Metric] = &[
    Metric { name: "silhouette", title: "Silhouette", more_is_better: true, decimals: 3 },
    Metric { name: "calinski_harabasz", title: "CH", more_is_better: true, decimals: 0 },
    Metric { name: "davies_bouldin", title: "DB", more_is_better: false, decimals: 2 },
    Metric { name: "ari", title: "ARI", more_is_better: true, decimals: 3 },
    Metric { name: "nmi", title: "NMI", more_is_better: true, decimals: 3 },
    Metric { name: "purity", title: "Purity", more_is_better: true, decimals: 3 },
];

/// The table; published values stand in a row of their own below ours.
pub fn blocks(rows: &[ScoredRow]) -> Vec<Block> {
    if rows.is_empty() {
        let text = Text::from("The pipeline names no rows for a table (")
            .code("report: { table: … }")
            .plain(").");
        return vec![Block::Paragraph(text)];
    }
    let mut blocks = vec![Block::Heading("Results".to_owned())];
    let shown = shown(rows);
    if !shown.is_empty() {
        blocks.push(Block::Table(table(rows, &shown)));
        blocks.push(Block::Paragraph(legend(rows)));
    }
    let notes = notes(rows, &shown);
    if !notes.is_empty() {
        blocks.push(Block::List(notes));
    }
    blocks
}

/// The metrics that some row has.
fn shown(rows: &[ScoredRow]) -> Vec<&'static Metric> {
    let has =
        |row: &ScoredRow, name: &str| row.values.contains_key(name) || row.paper.contains_key(name);
    METRICS.iter().filter(|metric| rows.iter().any(|row| has(row, metric.name))).collect()
}

fn table(rows: &[ScoredRow], shown: &[&Metric]) -> Table {
    let heads = shown.iter().map(|metric| {
        let arrow = if metric.more_is_better { "↑" } else { "↓" };
        Column::number(format!("{} {arrow}", metric.title))
    });
    let mut table = Table {
        columns: std::iter::once(Column::text("")).chain(heads).collect(),
        rows: Vec::new(),
    };
    for (index, row) in rows.iter().enumerate() {
        let cells = shown.iter().map(|metric| {
            let value = row.value(metric.name);
            Cell {
                text: cell(value, metric).into(),
                value,
                id: Some(format!("r{}.{}", index + 1, metric.name)),
            }
        });
        table.rows.push(Row::new(std::iter::once(row.title.clone().into()).chain(cells).collect()));
        table.rows.extend(beside("as published", &row.paper, shown));
        table.rows.extend(beside("a cloud without clusters", &row.reference, shown));
    }
    table
}

fn legend(rows: &[ScoredRow]) -> Text {
    let text = Text::from(
        "CH: Calinski–Harabasz; DB: Davies–Bouldin. Silhouette, CH and DB judge the groups by their own geometry, \
         ARI, NMI and purity by the labels. ↑ more is better, ↓ less is better.",
    );
    if rows.iter().all(|row| row.reference.is_empty()) {
        return text;
    }
    text.plain(" ").emphasis("A cloud without clusters").plain(
        " is a Gaussian of as many clips and the same covariance, cut by the same method: only what lies beyond it \
         speaks of clusters.",
    )
}

/// Why numbers are not there.
fn notes(rows: &[ScoredRow], shown: &[&Metric]) -> Vec<Text> {
    let mut notes = Vec::new();
    for row in rows {
        if let Some(missing) = &row.missing {
            notes.push(format!("{} has no numbers: {missing}.", row.title).into());
        }
        for metric in shown {
            if let Some(note) = row.notes.get(metric.name) {
                notes.push(format!("{}, {}: {note}.", row.title, metric.title).into());
            }
        }
    }
    notes
}

/// A row of values to hold beside those of the row above.
fn beside(title: &str, values: &BTreeMap<String, f64>, shown: &[&Metric]) -> Option<Row> {
    let cells = shown.iter().map(|metric| {
        let value = values.get(metric.name).copied().filter(|value| !value.is_nan());
        let text = value.map(|value| cell(Some(value), metric));
        Cell { text: text.map(Text::from).unwrap_or_default(), value, id: None }
    });
    let cells = std::iter::once(title.into()).chain(cells).collect();
    (!values.is_empty()).then_some(Row { cells, is_beside: true })
}

fn cell(value: Option<f64>, metric: &Metric) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.*}", metric.decimals))
}

/// Every number with full precision: `row,step,metric,value,published,without_clusters,note`.
pub fn csv(rows: &[ScoredRow]) -> String {
    let quote = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut out = "row,step,metric,value,published,without_clusters,note\n".to_owned();
    for row in rows {
        for (metric, value) in &row.values {
            let value = if value.is_nan() { String::new() } else { value.to_string() };
            let published = row.paper.get(metric).map_or(String::new(), f64::to_string);
            let note = row.notes.get(metric).map_or("", String::as_str);
            let _ = writeln!(
                out,
                "{},{},{metric},{value},{published},{}",
                quote(&row.title),
                quote(&row.step),
                quote(note)
            );
        }
    }
    out
}
