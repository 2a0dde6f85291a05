//! The table of scores in the report.

use crate::{
    document::{Block, Cell, Column, Row, Table, Text},
    quantities::{count, listed},
    scores::{ScoreTable, ScoredRow, sets},
    sections::{
        compare::{self, PairedComparison, is_best},
        grid,
    },
    stats::Test,
};
use cache::{Record, metric::Metric};
use std::collections::BTreeMap;

/// The section of the table; published values are in a row of their own below the run's.
pub fn blocks(record: &Record, table: &ScoreTable, outcomes: &[PairedComparison]) -> Vec<Block> {
    let ScoreTable { rows, columns, .. } = table;
    if rows.is_empty() {
        let text = Text::from("The pipeline names no rows for a table (")
            .code("report: { table: … }")
            .plain(").");
        return vec![Block::Paragraph(text)];
    }
    let mut blocks = vec![Block::Heading("Results".to_owned())];
    blocks.extend(grid::blocks(record, table, outcomes));
    if !columns.is_empty() {
        blocks.push(Block::Table(full_table(table, outcomes)));
        blocks.push(Block::Paragraph(legend(record, table, outcomes)));
    }
    let mut notes = notes(rows, columns);
    notes.extend(outcomes.iter().filter_map(|outcome| unresolved(table, outcome)));
    if !notes.is_empty() {
        blocks.push(Block::List(notes));
    }
    blocks
}

/// The best rows, by the test of the pipeline.
pub fn outcomes(record: &Record, table: &ScoreTable) -> Vec<PairedComparison> {
    compare::outcomes(&table.rows, &table.columns, test(record))
}

fn test(record: &Record) -> Test {
    match &record.sweep {
        Some(sweep) if sweep.wilcoxon => Test::Wilcoxon,
        _ => Test::T,
    }
}

/// The columns that tell the clips and classes of rows if these differ: a title, and a text for
/// each row.
pub fn context_columns(rows: &[ScoredRow]) -> Vec<(&'static str, Vec<String>)> {
    let unknown = || "–".to_owned();
    let mut context_columns = Vec::new();
    if let Some(clips) = sets::numbers_of_clips(rows) {
        let clips = clips.iter().map(|n| n.map_or_else(unknown, |n| n.to_string()));
        context_columns.push(("Clips", clips.collect()));
    }
    if let Some(classes) = sets::names_of_classes(rows) {
        let classes = classes.iter().map(|it| it.map_or_else(unknown, str::to_owned));
        context_columns.push(("Classes", classes.collect()));
    }
    context_columns
}

/// The table for readers.
pub fn full_table(table: &ScoreTable, outcomes: &[PairedComparison]) -> Table {
    let ScoreTable { rows, columns, .. } = table;
    let context_columns = context_columns(rows);
    let mut made = Table { columns: vec![Column::text("")], rows: Vec::new() };
    made.columns.extend(columns.iter().map(|metric| Column::number(metric.heading())));
    made.columns.extend(context_columns.iter().map(|(title, _)| Column::text(*title)));
    for (index, row) in rows.iter().enumerate() {
        let mut cells: Vec<Cell> = vec![row.title.clone().into()];
        cells.extend(columns.iter().map(|metric| {
            let text = match table.only_recordings {
                true => metric.value(row.value(&metric.name)),
                false => row.shown(metric),
            };
            let text = match is_best(outcomes, metric, index) {
                true => Text::new().strong(text),
                false => text.into(),
            };
            let id = Some(format!("r{}.{}", index + 1, metric.name));
            Cell { text, value: row.value(&metric.name), id }
        }));
        cells.extend(context_columns.iter().map(|(_, words)| Cell::from(words[index].clone())));
        made.rows.push(Row::new(cells));
        for (title, values) in
            [("as published", &row.paper), ("Gaussian null reference", &row.reference)]
        {
            made.rows.extend(sub_row(title, values, columns, context_columns.len()));
        }
    }
    made
}

fn legend(record: &Record, table: &ScoreTable, outcomes: &[PairedComparison]) -> Text {
    let ScoreTable { rows, columns, .. } = table;
    let (test, mut text) = (test(record), String::new());
    let abbreviated = [("CH", "Calinski–Harabasz"), ("DB", "Davies–Bouldin")].into_iter();
    let abbreviated = abbreviated.filter(|(short, _)| columns.iter().any(|it| it.title == *short));
    let abbreviated: Vec<_> = abbreviated.map(|(short, long)| format!("{short}: {long}")).collect();
    if !abbreviated.is_empty() {
        text = format!("{}. ", abbreviated.join("; "));
    }
    // A metric of an external program has no direction unless the program gives one.
    let titles = |uses_labels: bool| -> Vec<&str> {
        let judge = columns.iter().filter(|it| it.direction.is_some());
        let judge = judge.filter(|it| it.uses_labels == uses_labels && !of_another_step(it));
        judge.map(|it| &*it.title).collect()
    };
    let (geometric, by_labels) = (titles(false), titles(true));
    text.push_str(&match (&geometric[..], &by_labels[..]) {
        ([], []) => String::new(),
        (own, []) => format!("Internal (label-free) metrics: {}. ", listed(own)),
        ([], labels) => format!("External metrics (against the labels): {}. ", listed(labels)),
        (own, labels) => format!(
            "Internal (label-free) metrics: {}; external metrics (against the labels): {}. ",
            listed(own),
            listed(labels)
        ),
    });
    let others: Vec<&str> =
        columns.iter().filter(|it| of_another_step(it)).map(|it| &*it.title).collect();
    if !others.is_empty() {
        text.push_str(&format!(
            "From steps of their own, and the same for all rows that share one: {}. ",
            listed(&others)
        ));
    }
    if columns.iter().any(|it| it.direction.is_some()) {
        text.push_str("↑ higher is better, ↓ lower is better.");
    }
    let mut text = Text::from(text.trim_end());
    let most = rows.iter().map(|row| row.seeds.len()).max().unwrap_or(0);
    if most > 1 && table.only_recordings {
        text = text.plain(format!(" Mean over n = {most} seeds."));
    } else if most > 1 {
        text = text.plain(format!(
            " Mean over n = {most} seeds ± half-width of the 95 % t confidence interval; a value without ± does not \
             depend on the seed."
        ));
    }
    if let Some(outcome) = outcomes.first() {
        let test = match test {
            Test::T => "paired t-tests",
            Test::Wilcoxon => "Wilcoxon's signed ranks",
        };
        let by = format!(
            "significantly better than every other comparable row ({test} over common seeds, Holm-corrected for all {} of \
             this table, 5 % level)",
            count(outcome.comparisons, "comparison")
        );
        let bold = |metric: &Metric| (0..rows.len()).any(|row| is_best(outcomes, metric, row));
        text = match columns.iter().any(bold) {
            true => text.plain(" ").strong("Bold").plain(format!(": {by}.")),
            false => text.plain(format!(" No row is {by}, so none is bold.")),
        };
    }
    if rows.iter().all(|row| row.reference.is_empty()) {
        return text;
    }
    text.plain(" ").emphasis("Gaussian null reference").plain(
        ": a Gaussian distribution with as many clips and the same covariance, clustered by the same method; only \
         scores above it are evidence of cluster structure.",
    )
}

/// True for a column of another step than that which scored the clusters: `apart.mig`.
fn of_another_step(metric: &Metric) -> bool {
    metric.name.contains('.')
}

/// The notes on missing and undefined values.
fn notes(rows: &[ScoredRow], shown: &[Metric]) -> Vec<Text> {
    let mut notes: Vec<Text> = rows.iter().filter_map(absent).collect();
    // What is noted of many rows is said once.
    let mut alike: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for row in rows {
        for metric in shown {
            // What became of noise is among the remarks on how to read the numbers.
            let Some(note) = row.notes.get(&*metric.name).filter(|_| metric.name != "n_noise")
            else {
                continue;
            };
            let same = alike.iter_mut().find(|it| it.0 == &*metric.title && it.1 == note);
            match same {
                Some((.., titles)) => titles.push(&row.title),
                None => alike.push((&metric.title, note, vec![&row.title])),
            }
        }
    }
    notes.extend(alike.into_iter().map(|(metric, note, titles)| match &titles[..] {
        [title] => format!("{title}, {metric}: {note}.").into(),
        [first @ .., last] => {
            format!("{metric} of {} and {last}: {note}.", first.join(", ")).into()
        }
        [] => unreachable!("a note is of a row"),
    }));
    notes
}

/// The note on seeds of a row without scores.
fn absent(row: &ScoredRow) -> Option<Text> {
    let missing = row.seeds.iter().filter_map(|seed| Some((seed.seed, seed.missing.as_ref()?)));
    let missing: Vec<_> = missing.collect();
    let (_, why) = missing.first()?;
    let (left, all) = (row.scored(), row.seeds.len());
    if left == 0 {
        return Some(format!("{} has no scores: {why}.", row.title).into());
    }
    let seeds: Vec<String> = missing.iter().map(|(seed, _)| seed.to_string()).collect();
    Some(
        format!(
            "{}: n = {left} of {all} seeds; without scores: seed {} ({why}).",
            row.title,
            seeds.join(", ")
        )
        .into(),
    )
}

/// The note on a best row that does not differ significantly from another.
fn unresolved(table: &ScoreTable, outcome: &PairedComparison) -> Option<Text> {
    let rival = outcome.rival.as_ref()?;
    let metric = table.columns.iter().find(|metric| *metric.name == outcome.metric)?;
    let titles = [outcome.best, rival.row].map(|at| &table.rows[at].title);
    let (seeds, others) = (count(rival.seeds, "seed"), count(rival.others, "other row"));
    if rival.is_equal {
        let others = match rival.others {
            0 => String::new(),
            _ => format!("; they cannot be distinguished from {others} either"),
        };
        let text = format!(
            "{}: {} and {} are equal on average over {seeds}{others}.",
            metric.title, titles[0], titles[1]
        );
        return Some(text.into());
    }
    let would = match rival.needed {
        Some(needed) => format!("about {needed} seeds would suffice (with a power of 80 %)"),
        None => "no feasible number of seeds would suffice".to_owned(),
    };
    Some(
        format!(
            "{}: {} is ahead, but with {seeds} it cannot be distinguished from {} (corrected p = {:.2}){}; {would}.",
            metric.title,
            titles[0],
            titles[1],
            rival.p,
            match rival.others {
                0 => String::new(),
                _ => format!(" or from {others}"),
            }
        )
        .into(),
    )
}

/// A row of values that belongs to the row above.
fn sub_row(
    title: &str,
    values: &BTreeMap<String, f64>,
    shown: &[Metric],
    context_columns: usize,
) -> Option<Row> {
    let cells = shown.iter().map(|metric| {
        let value = values.get(&*metric.name).copied().filter(|value| !value.is_nan());
        let text = value.map(|value| metric.value(Some(value)));
        Cell { text: text.map(Text::from).unwrap_or_default(), value, id: None }
    });
    let empty = std::iter::repeat_n(Cell::default(), context_columns);
    let cells = std::iter::once(title.into()).chain(cells).chain(empty).collect();
    (!values.is_empty()).then_some(Row { cells, is_beside: true })
}
