//! The evidence behind the table: intervals over recordings, and columns that explain the clusters as the
//! class does.

use crate::{
    document::{Block, Cell, Column, Row, Table, Text},
    quantities::{count, listed},
    resampled::Resampled,
    scores::{self, ScoreTable, ScoredRow, sets},
    sections::confounds,
};
use cache::{Artifact, Digest, Kind, Record, Store, StoreError, metric::Metric};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The level of intervals.
const LEVEL: f64 = 0.95;

/// The resampling of the recordings of a row.
struct Resampling {
    clips: usize,
    recordings: usize,
    /// The name of the set of recordings.
    drawn_from: String,
    /// The reason why there are no draws.
    note: Option<String>,
    /// The draws of each metric, averaged over the seeds.
    metrics: BTreeMap<String, Resampled>,
}

/// The verdict of the recordings on the best row.
pub(crate) struct Verdict {
    /// The row.
    pub best: usize,
    /// The end of a sentence about it: the rows from which it can be distinguished.
    pub text: String,
}

/// The section on what the rows of the table rest on, and what it says of the best; empty if no step resampled
/// recordings.
///
/// # Errors
/// When an artifact is missing from the store or damaged.
pub(crate) fn blocks(
    record: &Record,
    table: &ScoreTable,
    store: &Store,
) -> Result<(Vec<Block>, Option<Verdict>), StoreError> {
    let steps = steps(record);
    if steps.is_empty() {
        return Ok((Vec::new(), None));
    }
    let mut resamplings = Vec::new();
    let mut confounding = Vec::new();
    for row in &table.rows {
        let (resampling, confounds) = read(row, &steps, store)?;
        resamplings.push(resampling);
        confounding.push(confounds);
    }
    let (mut blocks, is_half_known) = intervals(table, &resamplings);
    let (differences, verdict) = differences(table, &resamplings, is_half_known).unzip();
    blocks.extend(differences.into_iter().flatten());
    blocks.extend(confounds::blocks(&table.rows, &confounding));
    if !blocks.is_empty() {
        blocks.insert(0, Block::Heading("What this table rests on".to_owned()));
    }
    Ok((blocks, verdict))
}

/// The draws of a row.
pub(crate) struct Drawn {
    /// The name of the set of recordings.
    pub drawn_from: String,
    /// The draws of each metric, averaged over the seeds.
    pub metrics: BTreeMap<String, Resampled>,
}

/// The draws of each row of the table, if its recordings were resampled.
///
/// # Errors
/// When an artifact is missing from the store or damaged.
pub(crate) fn draws_of_rows(
    record: &Record,
    table: &ScoreTable,
    store: &Store,
) -> Result<Vec<Option<Drawn>>, StoreError> {
    let steps = steps(record);
    let of_row = |row| {
        let (resampling, _) = read(row, &steps, store)?;
        Ok(resampling.map(|Resampling { drawn_from, metrics, .. }| Drawn { drawn_from, metrics }))
    };
    table.rows.iter().map(of_row).collect()
}

/// The outputs of the steps that resampled recordings, by the clusters that they read.
fn steps(record: &Record) -> HashMap<&Digest, Vec<(&Digest, Option<&Digest>)>> {
    let output = |source: &String| {
        let (step, port) = source.rsplit_once('.')?;
        record.step(step)?.outputs.get(port)
    };
    let mut found: HashMap<&Digest, Vec<_>> = HashMap::new();
    for step in &record.steps {
        let Some(resamples) = scores::output(step, Kind::Resamples) else { continue };
        let Some(clusters) = step.inputs.get("clusters").and_then(output) else { continue };
        found.entry(clusters).or_default().push((resamples, scores::output(step, Kind::Confounds)));
    }
    found
}

/// Reads the resamples and the confounds of a row over all of its seeds.
fn read(
    row: &ScoredRow,
    steps: &HashMap<&Digest, Vec<(&Digest, Option<&Digest>)>>,
    store: &Store,
) -> Result<(Option<Resampling>, Vec<Artifact>), StoreError> {
    let (mut resampling, mut confounds) = (None::<Resampling>, Vec::new());
    let mut draws: BTreeMap<String, Vec<Resampled>> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for (seed, labels) in &row.labels {
        for (resamples, beside) in steps.get(labels).into_iter().flatten() {
            // Seeds that share their clusters count once.
            if known.contains(resamples) {
                continue;
            }
            let artifact = store.get(resamples)?;
            let metrics = self::draws(&artifact);
            // Steps that compare with other classes, or treat noise in another way, say nothing of
            // this row.
            let value = |name: &str| row.draws.get(name)?.get(seed).copied();
            let fits = |(name, it): (&String, &Resampled)| {
                value(name).is_some_and(|value| (value - it.value).abs() < 1e-6)
            };
            if !metrics.is_empty() && !metrics.iter().all(fits) {
                continue;
            }
            known.insert(*resamples);
            for (name, it) in metrics {
                draws.entry(name).or_default().push(it);
            }
            resampling.get_or_insert_with(|| facts(&artifact));
            if let Some(beside) = beside {
                confounds.push(store.get(beside)?);
            }
            break;
        }
    }
    if let Some(resampling) = &mut resampling {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        for (name, all) in draws {
            let mean = Resampled::combine(&all.iter().collect::<Vec<_>>(), mean);
            resampling.metrics.extend(mean.map(|it| (name, it)));
        }
    }
    Ok((resampling, confounds))
}

fn facts(artifact: &Artifact) -> Resampling {
    let number = |name: &str| artifact.meta.get(name).and_then(|it| it.as_u64()).unwrap_or(0);
    let text = |name: &str| artifact.meta.get(name).and_then(|it| it.as_str()).map(str::to_owned);
    Resampling {
        clips: number("clips") as usize,
        recordings: number("recordings") as usize,
        drawn_from: text("drawn_from").unwrap_or_default(),
        note: text("note"),
        metrics: BTreeMap::new(),
    }
}

/// The draws of each metric of an artifact; none if nothing was drawn.
pub fn draws(artifact: &Artifact) -> BTreeMap<String, Resampled> {
    let table = artifact.as_table();
    let Some((table, parts)) = table.and_then(|it| Some((it, it.text("part")?))) else {
        return BTreeMap::new();
    };
    let mut metrics = BTreeMap::new();
    for (name, column) in table.columns() {
        let cache::Column::Real(values) = column else { continue };
        let of = |part: &str| -> Vec<f64> {
            let rows = parts.iter().zip(values).filter(|(own, _)| *own == part);
            rows.map(|(_, value)| *value).collect()
        };
        let Some(value) = of("value").first().copied() else { continue };
        let [bootstrap, half_sample, jackknife] = ["resample", "half_sample", "jackknife"].map(of);
        metrics.insert(name.to_owned(), Resampled { value, bootstrap, half_sample, jackknife });
    }
    metrics
}

/// The metrics of the table that were resampled.
fn resampled<'t>(table: &'t ScoreTable, resamplings: &[Option<Resampling>]) -> Vec<&'t Metric> {
    let has = |metric: &&Metric| {
        let name = metric.name.as_ref();
        resamplings.iter().flatten().any(|resampling| resampling.metrics.contains_key(name))
    };
    table.columns.iter().filter(has).collect()
}

/// A value with its interval, and whether that excludes 0.
pub fn shown(metric: &Metric, it: &Resampled, level: f64, some_half: &mut bool) -> (String, bool) {
    let value = metric.value(Some(it.value));
    let Some(((low, high), is_half)) = it.trusted_interval(level) else { return (value, false) };
    *some_half |= is_half;
    let mark = if is_half { "†" } else { "" };
    let ends = [low, high].map(|end| metric.value(Some(end)));
    (format!("{value} [{}, {}]{mark}", ends[0], ends[1]), low > 0.0 || high < 0.0)
}

/// The explanation of the mark of half-samples.
pub const HALF: &str = " †: from half of the recordings, drawn without replacement. Copies of a clip always agree with each \
                    other, and here this biases the bootstrap beyond what BCa can correct.";

/// The table of intervals, what it is of, and the reasons why there is none; true if it explains the mark of
/// half-samples.
fn intervals(table: &ScoreTable, resamplings: &[Option<Resampling>]) -> (Vec<Block>, bool) {
    let metrics = resampled(table, resamplings);
    let mut made = Table { columns: vec![Column::text("")], rows: Vec::new() };
    made.columns.extend(metrics.iter().map(|metric| Column::number(metric.heading())));
    let mut some_half = false;
    for (row, resampling) in table.rows.iter().zip(resamplings) {
        let Some(resampling) =
            resampling.as_ref().filter(|resampling| !resampling.metrics.is_empty())
        else {
            continue;
        };
        let of = |metric: &Metric| resampling.metrics.get(&*metric.name);
        let mut cells: Vec<Cell> = vec![row.title.clone().into()];
        cells.extend(metrics.iter().map(|metric| {
            let Some(it) = of(metric) else { return Cell::from("–") };
            Cell::from(shown(metric, it, LEVEL, &mut some_half).0).valued(it.value)
        }));
        made.rows.push(Row::new(cells));
    }
    let mut blocks = Vec::new();
    let sizes: BTreeSet<_> = resamplings
        .iter()
        .flatten()
        .filter(|resampling| !resampling.metrics.is_empty())
        .map(|resampling| (resampling.clips, resampling.recordings))
        .collect();
    if !made.rows.is_empty() {
        let sizes: Vec<String> = sizes.iter().map(|it| of_recordings(*it)).collect();
        blocks.push(Block::Table(made));
        blocks.push(Block::Paragraph(
            format!(
                "{}. In brackets: the 95 % interval over recordings (BCa), of which all clips are drawn or left out \
                 together; the clusters stay as they are. It says how much the numbers would vary with other recordings of \
                 the same kind: clips of one recording are alike, and do not count as independent.{}",
                sizes.join("; "),
                if some_half { HALF } else { "" }
            )
            .into(),
        ));
    }
    // Without an interval the reason is given.
    let reasons: BTreeSet<String> = resamplings
        .iter()
        .flatten()
        .filter_map(|resampling| {
            let note = resampling.note.as_deref()?;
            Some(match resampling.recordings {
                0 => format!(
                    "{}: {note}, so there is no interval: clips of one recording are not independent. A column \
                     `group` of the labels tells which recording a clip is from.",
                    count(resampling.clips, "clip")
                ),
                n => format!(
                    "{}: no interval is honest for {note}.",
                    of_recordings((resampling.clips, n))
                ),
            })
        })
        .collect();
    blocks.extend(reasons.into_iter().map(|reason| Block::Paragraph(reason.into())));
    (blocks, some_half)
}

fn of_recordings((clips, recordings): (usize, usize)) -> String {
    format!("{} of {}", count(clips, "clip"), count(recordings, "recording"))
}

/// The best row by the headline metric against each other one that shares its recordings.
fn differences(
    table: &ScoreTable,
    resamplings: &[Option<Resampling>],
    is_half_known: bool,
) -> Option<([Block; 2], Verdict)> {
    let metrics: Vec<&Metric> = resampled(table, resamplings);
    let metrics: Vec<&Metric> = metrics.into_iter().filter(|it| it.direction.is_some()).collect();
    let (best, headline) = table.best()?;
    let best = table.rows.iter().position(|row| std::ptr::eq(row, best))?;
    let own = resamplings[best].as_ref()?;
    let sets = sets::of(&table.rows, true);
    let others: Vec<(usize, &Resampling)> = sets
        .iter()
        .filter(|set| set.contains(&best))
        .flatten()
        .filter(|at| **at != best)
        .filter_map(|at| Some((*at, resamplings[*at].as_ref()?)))
        .filter(|(_, resampling)| {
            resampling.drawn_from == own.drawn_from && !resampling.metrics.is_empty()
        })
        .collect();
    if others.is_empty() || metrics.is_empty() {
        return None;
    }
    // Bonferroni: all intervals of a column hold together.
    let level = 1.0 - (1.0 - LEVEL) / others.len() as f64;
    let first = Column::text(format!("{} minus", table.rows[best].title));
    let heads = metrics.iter().map(|metric| Column::number(metric.heading()));
    let columns: Vec<Column> = std::iter::once(first).chain(heads).collect();
    let mut made = Table { columns, rows: Vec::new() };
    let (mut indistinct, mut some_half, mut some_bold) = (Vec::new(), false, false);
    for (at, resampling) in others {
        let mut cells: Vec<Cell> = vec![table.rows[at].title.clone().into()];
        for metric in &metrics {
            let pair = own.metrics.get(&*metric.name).zip(resampling.metrics.get(&*metric.name));
            let difference =
                pair.and_then(|(a, b)| Resampled::combine(&[a, b], |values| values[0] - values[1]));
            let Some(difference) = difference else {
                cells.push("–".into());
                continue;
            };
            let (text, is_told) = shown(metric, &difference, level, &mut some_half);
            some_bold |= is_told;
            let text = if is_told { Text::new().strong(text) } else { text.into() };
            cells.push(Cell::from(text).valued(difference.value));
            if metric.name == headline.name && !is_told {
                indistinct.push(table.rows[at].title.as_str());
            }
        }
        made.rows.push(Row::new(cells));
    }
    let rows = made.rows.len();
    let mut paragraph = Text::new().plain(
        "Differences over the same draws of recordings, with 95 % intervals that hold for all rows of a column \
         together (Bonferroni). ",
    );
    if some_bold {
        paragraph = paragraph.strong("Bold").plain(": the interval excludes 0. ");
    }
    paragraph = paragraph.plain(match indistinct.len() {
        0 => format!(
            "By {}, {} differs from every other row.",
            headline.title, table.rows[best].title
        ),
        n if n == rows => format!(
            "By {}, {} cannot be distinguished from any other row.",
            headline.title, table.rows[best].title
        ),
        _ => format!(
            "By {}, {} cannot be distinguished from {}.",
            headline.title,
            table.rows[best].title,
            listed(&indistinct)
        ),
    });
    // The table of intervals above has explained the mark, if it has one.
    if some_half && !is_half_known {
        paragraph = paragraph.plain(HALF);
    }
    let verdict = match indistinct.len() {
        0 => "differs from every other row".to_owned(),
        n if n == rows => "cannot be distinguished from any other row".to_owned(),
        1..=3 => format!("cannot be distinguished from {}", indistinct.join(" or ")),
        n => format!("cannot be distinguished from {n} of {rows} other rows"),
    };
    Some(([Block::Table(made), Block::Paragraph(paragraph)], Verdict { best, text: verdict }))
}
