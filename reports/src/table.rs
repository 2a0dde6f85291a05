//! The table of scores, as Markdown and as CSV.

use crate::{escape, scores::ScoredRow};
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

/// Writes the table; published values stand in a line of their own below ours.
pub fn write(text: &mut String, rows: &[ScoredRow]) {
    if rows.is_empty() {
        text.push_str("The pipeline names no rows for a table (`report: { table: … }`).\n\n");
        return;
    }
    let shown: Vec<&Metric> = METRICS
        .iter()
        .filter(|metric| {
            rows.iter().any(|row| {
                row.values.contains_key(metric.name) || row.paper.contains_key(metric.name)
            })
        })
        .collect();
    text.push_str("## Results\n\n");
    if !shown.is_empty() {
        write_rows(text, rows, &shown);
    }
    write_notes(text, rows, &shown);
}

fn write_rows(text: &mut String, rows: &[ScoredRow], shown: &[&Metric]) {
    text.push_str("| |");
    for metric in shown {
        let _ =
            write!(text, " {} {} |", metric.title, if metric.more_is_better { "↑" } else { "↓" });
    }
    text.push_str("\n|:--|");
    text.push_str(&"--:|".repeat(shown.len()));
    text.push('\n');
    for row in rows {
        let _ = write!(text, "| {} |", escape::markdown(&row.title));
        for metric in shown {
            let _ = write!(text, " {} |", cell(row.value(metric.name), metric));
        }
        text.push('\n');
        write_beside(text, "as published", &row.paper, shown);
        write_beside(text, "a cloud without clusters", &row.reference, shown);
    }
    text.push_str(
        "\nCH: Calinski–Harabasz; DB: Davies–Bouldin. Silhouette, CH and DB judge the groups by their own geometry, \
         ARI, NMI and purity by the labels. ↑ more is better, ↓ less is better.",
    );
    if rows.iter().any(|row| !row.reference.is_empty()) {
        text.push_str(
            " *A cloud without clusters* is a Gaussian of as many clips and the same covariance, cut by the same \
             method: only what lies beyond it speaks of clusters.",
        );
    }
    text.push_str("\n\n");
}

/// Why numbers are not there.
fn write_notes(text: &mut String, rows: &[ScoredRow], shown: &[&Metric]) {
    for row in rows {
        if let Some(missing) = &row.missing {
            let _ = writeln!(
                text,
                "- {} has no numbers: {}.",
                escape::markdown(&row.title),
                escape::markdown(missing)
            );
        }
        for metric in shown {
            if let Some(note) = row.notes.get(metric.name) {
                let _ = writeln!(
                    text,
                    "- {}, {}: {}.",
                    escape::markdown(&row.title),
                    metric.title,
                    escape::markdown(note)
                );
            }
        }
    }
    if !text.ends_with("\n\n") {
        text.push('\n');
    }
}

/// Writes a line of values to hold beside those of the row above.
fn write_beside(text: &mut String, title: &str, values: &BTreeMap<String, f64>, shown: &[&Metric]) {
    if values.is_empty() {
        return;
    }
    let _ = write!(text, "| *{title}* |");
    for metric in shown {
        let value = values.get(metric.name).filter(|value| !value.is_nan());
        let cell = value.map_or(String::new(), |value| format!("*{}*", cell(Some(*value), metric)));
        let _ = write!(text, " {cell} |");
    }
    text.push('\n');
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
