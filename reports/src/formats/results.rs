//! All numbers of the table with full precision, as CSV and as Parquet.

use crate::{
    escape::has_hidden_effect,
    scores::{self, ScoredRow, Seed},
};
use cache::{Column, Record};
use serde_json::Value;
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

/// The columns that every table of numbers has.
const COLUMNS: [&str; 9] =
    ["row", "step", "metric", "value", "published", "without_clusters", "note", "point", "seed"];

/// The parameters that vary, each with the name of its column: its own, unless another column has it.
pub(super) fn axes(rows: &[ScoredRow]) -> Vec<(&str, String)> {
    let mut axes: Vec<(&str, String)> = Vec::new();
    for (axis, _) in rows.iter().flat_map(|row| &row.point) {
        if !axes.iter().any(|(known, _)| known == axis) {
            let is_taken = COLUMNS.contains(&axis.as_str());
            axes.push((axis, if is_taken { format!("point.{axis}") } else { axis.clone() }));
        }
    }
    axes
}

/// The value of a parameter in a row, if it varies there.
pub(super) fn value<'r>(row: &'r ScoredRow, axis: &str) -> Option<&'r Value> {
    row.point.iter().find(|(name, _)| name == axis).map(|(_, value)| value)
}

/// Writes every number as CSV with the columns
/// `row,step,metric,value,published,without_clusters,note,point,seed`, and one for each parameter that varies.
pub fn csv(record: &Record, rows: &[ScoredRow]) -> String {
    let axes = axes(rows);
    let mut out = COLUMNS.join(",");
    for (_, column) in &axes {
        out.push(',');
        quote(&mut out, column);
        out.pop();
    }
    out.push('\n');
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
            if record.sweep.is_some() {
                let _ = write!(out, "{}", line.seed);
            }
            for (axis, _) in &axes {
                out.push(',');
                match value(row, axis) {
                    None => {}
                    Some(value @ Value::Number(_)) => out.push_str(&scores::shown(value)),
                    Some(value) => {
                        quote(&mut out, &scores::shown(value));
                        out.pop();
                    }
                }
            }
            out.push('\n');
        }
    }
    out
}

/// Quotes a text so that every program reads it as text: what a spreadsheet would take for a
/// formula gets an apostrophe before it, and invisible characters are replaced.
pub(super) fn quote(out: &mut String, text: &str) {
    out.push('"');
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        out.push('\'');
    }
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\"\""),
            '\t' | '\n' | '\r' => out.push(' '),
            _ if has_hidden_effect(letter) => out.push('\u{fffd}'),
            _ => out.push(letter),
        }
    }
    out.push_str("\",");
}

pub(super) fn number(out: &mut String, value: Option<&f64>) {
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
    let table = axes(rows).into_iter().fold(table, |table, (axis, column)| {
        let values = lines.iter().map(|(_, line)| value(line.row, axis));
        table.with(&column, parameter(&values.collect::<Vec<_>>()))
    });
    let artifact = cache::Artifact::table(cache::Kind::Scores, table);
    let table = artifact.as_table().expect("made of a table");
    let mut bytes = Vec::new();
    cache::parquet::write(&mut bytes, &artifact, table)?;
    Ok(bytes)
}

/// The values of a parameter as numbers, if they are nothing else, or as text.
pub(super) fn parameter(values: &[Option<&Value>]) -> Column {
    let ints = values.iter().map(|value| value.and_then(Value::as_i64));
    if let Some(ints) = ints.collect::<Option<Vec<_>>>() {
        return Column::Int(ints);
    }
    let are_numbers = values.iter().all(|value| value.is_none_or(Value::is_number));
    let texts = values.iter().map(|value| value.map_or_else(String::new, scores::shown));
    match are_numbers {
        true => {
            let number = |value: &Option<&Value>| value.and_then(Value::as_f64).unwrap_or(f64::NAN);
            Column::Real(values.iter().map(number).collect())
        }
        false => Column::Text(texts.collect()),
    }
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
    use super::{Column, Value, parameter, quote};

    #[test]
    fn a_parameter_is_a_number_where_all_its_values_are() {
        let [one, half, list] = [Value::from(1), Value::from(0.5), Value::from(vec![4])];
        assert_eq!(parameter(&[Some(&one), Some(&one)]), Column::Int(vec![1, 1]));
        assert_eq!(parameter(&[Some(&one), Some(&half)]), Column::Real(vec![1.0, 0.5]));
        let mixed = parameter(&[Some(&list), None]);
        assert_eq!(mixed, Column::Text(vec!["[4]".to_owned(), String::new()]));
        let Column::Real(values) = parameter(&[Some(&one), None]) else { panic!("numbers") };
        assert!(values[0] == 1.0 && values[1].is_nan());
    }

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
