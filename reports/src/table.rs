//! The table of scores, and every number of it as CSV.

use crate::{
    compare::{self, Verdict},
    count,
    document::{Block, Cell, Column, Row, Table, Text},
    grid,
    scores::{self, ScoredRow},
    stats::{self, Test},
};
use cache::Record;
use std::{collections::BTreeMap, fmt::Write};

/// A metric that is shown as a column.
pub struct Metric {
    /// Its name in scores.
    pub name: &'static str,
    /// Its name for readers.
    pub title: &'static str,
    /// Whether more is better.
    pub more_is_better: bool,
    /// Whether it judges by labels rather than by the groups' own geometry.
    pub by_labels: bool,
    /// Decimals that are shown.
    pub decimals: usize,
}

/// The columns, in the paper's order: intrinsic metrics, then agreement with the labels.
pub const METRICS: &[Metric] = &[
    geometric("silhouette", "Silhouette", true, 3),
    geometric("calinski_harabasz", "CH", true, 0),
    geometric("davies_bouldin", "DB", false, 2),
    by_labels("ari", "ARI"),
    by_labels("nmi", "NMI"),
    by_labels("purity", "Purity"),
];

const fn geometric(
    name: &'static str,
    title: &'static str,
    more_is_better: bool,
    decimals: usize,
) -> Metric {
    Metric { name, title, more_is_better, by_labels: false, decimals }
}

const fn by_labels(name: &'static str, title: &'static str) -> Metric {
    Metric { name, title, more_is_better: true, by_labels: true, decimals: 3 }
}

impl Metric {
    /// A value, or that there is none.
    pub fn value(&self, value: Option<f64>) -> String {
        value.map_or_else(|| "–".to_owned(), |value| format!("{value:.*}", self.decimals))
    }

    /// Mean and, of several seeds, half the width of the 95 % interval.
    pub fn estimate(&self, row: &ScoredRow) -> String {
        let width = stats::estimate(&row.draws(self.name)).and_then(|it| it.half_width);
        let mean = self.value(row.value(self.name));
        width.map_or_else(|| mean.clone(), |width| format!("{mean} ± {width:.*}", self.decimals))
    }
}

/// The table; published values stand in a row of their own below ours.
pub fn blocks(record: &Record, rows: &[ScoredRow], verdicts: &[Verdict]) -> Vec<Block> {
    if rows.is_empty() {
        let text = Text::from("The pipeline names no rows for a table (")
            .code("report: { table: … }")
            .plain(").");
        return vec![Block::Paragraph(text)];
    }
    let mut blocks = vec![Block::Heading("Results".to_owned())];
    let shown = shown(rows);
    blocks.extend(grid::blocks(record, rows, verdicts));
    if !shown.is_empty() {
        blocks.push(Block::Table(table(rows, &shown, verdicts)));
        blocks.push(Block::Paragraph(legend(rows, verdicts, test(record))));
    }
    let mut notes = notes(rows, &shown);
    notes.extend(verdicts.iter().filter_map(|verdict| unresolved(rows, verdict)));
    if !notes.is_empty() {
        blocks.push(Block::List(notes));
    }
    blocks
}

/// The best rows, by the test that the pipeline asks for.
pub fn verdicts(record: &Record, rows: &[ScoredRow]) -> Vec<Verdict> {
    compare::verdicts(rows, &shown(rows), test(record))
}

fn test(record: &Record) -> Test {
    match &record.sweep {
        Some(sweep) if sweep.wilcoxon => Test::Wilcoxon,
        _ => Test::T,
    }
}

/// The metrics that some row has.
fn shown(rows: &[ScoredRow]) -> Vec<&'static Metric> {
    let has =
        |row: &ScoredRow, name: &str| row.values.contains_key(name) || row.paper.contains_key(name);
    METRICS.iter().filter(|metric| rows.iter().any(|row| has(row, metric.name))).collect()
}

fn table(rows: &[ScoredRow], shown: &[&'static Metric], verdicts: &[Verdict]) -> Table {
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
            let text = metric.estimate(row);
            Cell {
                text: if is_best(verdicts, metric, index) {
                    Text::new().strong(text)
                } else {
                    text.into()
                },
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

/// Whether a row is best by a metric, and told from all others.
pub fn is_best(verdicts: &[Verdict], metric: &Metric, row: usize) -> bool {
    verdicts.iter().any(|verdict| {
        verdict.metric == metric.name && verdict.best == row && verdict.rival.is_none()
    })
}

fn legend(rows: &[ScoredRow], verdicts: &[Verdict], test: Test) -> Text {
    let mut text = Text::from(
        "CH: Calinski–Harabasz; DB: Davies–Bouldin. Silhouette, CH and DB judge the groups by their own geometry, \
         ARI, NMI and purity by the labels. ↑ more is better, ↓ less is better.",
    );
    let most = rows.iter().map(|row| row.seeds.len()).max().unwrap_or(0);
    if most > 1 {
        text = text.plain(format!(
            " Mean over n = {most} seeds ± half the 95 % interval of Student's t; without ±, no seed changes the value."
        ));
    }
    if let Some(verdict) = verdicts.first() {
        let test = match test {
            Test::T => "paired t-tests",
            Test::Wilcoxon => "Wilcoxon's signed ranks",
        };
        text = text.plain(" ").strong("Bold").plain(format!(
            ": better than every other row by {test} over common seeds, Holm-corrected for all {} of this table, at \
             5 %.",
            count(verdict.comparisons, "comparison")
        ));
    }
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
        notes.extend(absent(row));
        for metric in shown {
            if let Some(note) = row.notes.get(metric.name) {
                notes.push(format!("{}, {}: {note}.", row.title, metric.title).into());
            }
        }
    }
    notes
}

/// Which seeds of a row have no numbers.
fn absent(row: &ScoredRow) -> Option<Text> {
    let why = row.missing.values().next()?;
    if row.missing.len() == row.seeds.len() {
        return Some(format!("{} has no numbers: {why}.", row.title).into());
    }
    let seeds: Vec<String> = row.missing.keys().map(u64::to_string).collect();
    let (left, all) = (row.seeds.len() - row.missing.len(), row.seeds.len());
    Some(
        format!(
            "{}: n = {left} of {all} seeds; without numbers: seed {} ({why}).",
            row.title,
            seeds.join(", ")
        )
        .into(),
    )
}

/// What is to be said where the best row is not told from another.
fn unresolved(rows: &[ScoredRow], verdict: &Verdict) -> Option<Text> {
    let rival = verdict.rival.as_ref()?;
    let metric = METRICS.iter().find(|metric| metric.name == verdict.metric)?;
    let would = match rival.needed {
        Some(needed) => format!("about {needed} seeds would (with a power of 80 %)"),
        None => "no number of seeds that anybody could run would".to_owned(),
    };
    Some(
        format!(
            "{}: {} is ahead, but {} do not tell it from {} (corrected p = {:.2}){}; {would}.",
            metric.title,
            rows[verdict.best].title,
            count(rival.seeds, "seed"),
            rows[rival.row].title,
            rival.p,
            match rival.others {
                0 => String::new(),
                others => format!(" nor from {}", count(others, "other row")),
            }
        )
        .into(),
    )
}

/// A row of values to hold beside those of the row above.
fn beside(title: &str, values: &BTreeMap<String, f64>, shown: &[&Metric]) -> Option<Row> {
    let cells = shown.iter().map(|metric| {
        let value = values.get(metric.name).copied().filter(|value| !value.is_nan());
        let text = value.map(|value| metric.value(Some(value)));
        Cell { text: text.map(Text::from).unwrap_or_default(), value, id: None }
    });
    let cells = std::iter::once(title.into()).chain(cells).collect();
    (!values.is_empty()).then_some(Row { cells, is_beside: true })
}

/// A number of the table with all that belongs to it.
struct Line<'a> {
    row: &'a ScoredRow,
    step: &'a str,
    metric: &'a str,
    value: Option<f64>,
    seed: u64,
}

/// Every number of a row: one line a metric and seed.
fn lines(row: &ScoredRow) -> impl Iterator<Item = Line<'_>> {
    row.values.keys().flat_map(move |metric| {
        let there = row.seeds.iter().enumerate().filter(|(_, it)| !row.missing.contains_key(it));
        there.map(move |(at, &seed)| Line {
            row,
            step: row.steps.get(at).or(row.steps.first()).map_or("", String::as_str),
            metric,
            value: row.draws.get(metric).and_then(|draws| draws.get(&seed)).copied(),
            seed,
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

/// Every number with full precision:
/// `row,step,metric,value,published,without_clusters,note,point,seed`.
pub fn csv(record: &Record, rows: &[ScoredRow]) -> String {
    let mut out = "row,step,metric,value,published,without_clusters,note,point,seed\n".to_owned();
    for row in rows {
        let point = point(row);
        for line in lines(row) {
            quote(&mut out, &row.name);
            quote(&mut out, line.step);
            let _ = write!(out, "{},", line.metric);
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

fn quote(out: &mut String, text: &str) {
    out.push('"');
    if text.contains('"') {
        out.push_str(&text.replace('"', "\"\""))
    } else {
        out.push_str(text)
    }
    out.push_str("\",");
}

fn number(out: &mut String, value: Option<&f64>) {
    if let Some(value) = value {
        let _ = write!(out, "{value}");
    }
    out.push(',');
}

/// The same numbers as columns.
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
        .with_ints("seed", lines.iter().map(|(_, line)| line.seed as i64).collect());
    let artifact = cache::Artifact::table(cache::Kind::Scores, table);
    let table = artifact.as_table().expect("made of a table");
    let mut bytes = Vec::new();
    cache::parquet::write(&mut bytes, &artifact, table)?;
    Ok(bytes)
}
