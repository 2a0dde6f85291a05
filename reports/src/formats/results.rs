//! All numbers of the table with full precision, as CSV and as Parquet.

use crate::{
    escape::acts_unseen,
    scores::{self, ScoredRow, Seed},
};
use cache::{Column, Record};
use std::fmt::Write;

/// A number of the table with its row, metric and seed.
struct Line<'a> {
    row: &'a ScoredRow,
    step: &'a str,
    metric: &'a str,
    value: Option<f64>,
    seed: u64,
}

/// The numbers of a row: one line for each metric and seed.
fn lines(row: &ScoredRow) -> impl Iterator<Item = Line<'_>> {
    row.values.keys().flat_map(move |metric| {
        let has = move |it: &&Seed| it.missing.is_none() || it.others.contains_key(metric);
        row.seeds.iter().filter(has).map(move |Seed { seed, step, others, .. }| Line {
            row,
            step: others.get(metric).unwrap_or(step),
            metric,
            value: row.draws.get(metric).and_then(|draws| draws.get(seed)).copied(),
            seed: *seed,
        })
    })
}

impl Line<'_> {
    fn note(&self) -> &str {
        self.row.notes.get(self.metric).map_or("", String::as_str)
    }
}

fn point(row: &ScoredRow) -> String {
    let values = row.point.iter();
    let values = values.map(|(axis, value)| format!("{axis}={}", scores::shown(value)));
    values.collect::<Vec<_>>().join(" ")
}

/// Writes every number as CSV with the columns
/// `row,step,metric,value,published,without_clusters,note,point,seed`.
pub fn csv(record: &Record, rows: &[ScoredRow]) -> String {
    let mut out = "row,step,metric,value,published,without_clusters,note,point,seed\n".to_owned();
    for row in rows {
        let point = point(row);
        for line in lines(row) {
            quote(&mut out, &row.name);
            quote(&mut out, line.step);
            // Names of metrics are plain words, except those of external programs.
            match line.metric.chars().all(|it| it.is_ascii_alphanumeric() || "_.=".contains(it)) {
                true if !line.metric.starts_with('=') => {
                    let _ = write!(out, "{},", line.metric);
                }
                _ => quote(&mut out, line.metric),
            }
            number(&mut out, line.value.as_ref().filter(|value| !value.is_nan()));
            number(&mut out, row.paper.get(line.metric));
            number(&mut out, row.reference.get(line.metric));
            quote(&mut out, line.note());
            quote(&mut out, &point);
            // Without variants the seed is that of the steps.
            let _ = match &record.sweep {
                Some(_) => writeln!(out, "{}", line.seed),
                None => writeln!(out),
            };
        }
    }
    out
}

/// Quotes a text so that every program reads it as text: what a spreadsheet would take for a
/// formula gets an apostrophe before it, and invisible characters are replaced.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        out.push('\'');
    }
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\"\""),
            '\t' | '\n' | '\r' => out.push(' '),
            _ if acts_unseen(letter) => out.push('\u{fffd}'),
            _ => out.push(letter),
        }
    }
    out.push_str("\",");
}

fn number(out: &mut String, value: Option<&f64>) {
    if let Some(value) = value {
        let _ = write!(out, "{value}");
    }
    out.push(',');
}

/// Writes the same numbers as Parquet.
///
/// # Errors
/// When they cannot be written as Parquet.
pub fn parquet(rows: &[ScoredRow]) -> Result<Vec<u8>, String> {
    let lines: Vec<(String, Line<'_>)> = rows
        .iter()
        .flat_map(|row| {
            let point = point(row);
            lines(row).map(move |line| (point.clone(), line))
        })
        .collect();
    let text = |of: for<'a> fn(&'a Line<'a>) -> &'a str| {
        lines.iter().map(|(_, line)| of(line).to_owned()).collect::<Vec<String>>()
    };
    let reals = |of: fn(&Line<'_>) -> Option<f64>| {
        lines.iter().map(|(_, line)| of(line).unwrap_or(f64::NAN)).collect()
    };
    let table = cache::Table::new()
        .with_text("row", text(|line| &line.row.name))
        .with_text("step", text(|line| line.step))
        .with_text("metric", text(|line| line.metric))
        .with_reals("value", reals(|line| line.value))
        .with_reals("published", reals(|line| line.row.paper.get(line.metric).copied()))
        .with_reals("without_clusters", reals(|line| line.row.reference.get(line.metric).copied()))
        .with_text("note", text(|line| line.note()))
        .with_text("point", lines.iter().map(|(point, _)| point.clone()))
        .with("seed", seeds(lines.iter().map(|(_, line)| line.seed)));
    let artifact = cache::Artifact::table(cache::Kind::Scores, table);
    let table = artifact.as_table().expect("made of a table");
    let mut bytes = Vec::new();
    cache::parquet::write(&mut bytes, &artifact, table)?;
    Ok(bytes)
}

/// Seeds as whole numbers, or as text if one exceeds the range of the column.
fn seeds(seeds: impl Iterator<Item = u64> + Clone) -> Column {
    match seeds.clone().map(i64::try_from).collect::<Result<Vec<_>, _>>() {
        Ok(seeds) => Column::Int(seeds),
        Err(_) => Column::Text(seeds.map(|seed| seed.to_string()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn no_text_is_a_formula_or_moves_a_cursor() {
        let quoted = |text: &str| {
            let mut out = String::new();
            quote(&mut out, text);
            out
        };
        assert_eq!(quoted("PCA + \"K\""), "\"PCA + \"\"K\"\"\",");
        for formula in ["=1+1", "+1", "-1", "@sum", "\tx"] {
            assert!(quoted(formula).starts_with("\"'"), "{formula}");
        }
        assert_eq!(quoted("a\u{1b}[2J\nb\u{202e}"), "\"a\u{fffd}[2J b\u{fffd}\",");
    }
}
