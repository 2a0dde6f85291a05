//! The question and the summary of the results.

use crate::{
    document::{Block, Text},
    quantities::count,
    scores::{ScoreTable, ScoredRow, sets},
    sections::{compare::PairedComparison, published, recordings::Verdict},
};
use cache::{Record, metric::Metric};

/// The question, if the author gave one, and the answer.
pub fn blocks(
    record: &Record,
    table: &ScoreTable,
    outcomes: &[PairedComparison],
    verdict: Option<&Verdict>,
) -> Vec<Block> {
    let question = record.question.iter().map(|text| Text::new().strong(text.trim()));
    let mut blocks: Vec<Block> = question.map(Block::Paragraph).collect();
    blocks.extend(answers(table, outcomes, verdict));
    blocks.extend(published::pattern(table).into_iter().map(Block::Paragraph));
    blocks
}

/// The number of sets above which rows that stand alone are described together.
const MANY_SETS: usize = 3;

/// An answer for each set of rows that compare.
fn answers(
    table: &ScoreTable,
    outcomes: &[PairedComparison],
    verdict: Option<&Verdict>,
) -> Vec<Block> {
    let Some(metric) = table.headline() else { return Vec::new() };
    let mut sets = sets::of(&table.rows, metric.uses_labels);
    sets.retain(|set| set.iter().any(|at| table.rows[*at].rank(metric).is_some()));
    if sets.len() > MANY_SETS
        && sets.iter().all(|set| set.len() == 1)
        && let Some(chance) = metric.chance.filter(|_| metric.uses_labels)
    {
        let rows: Vec<&ScoredRow> = sets.iter().flatten().map(|at| &table.rows[*at]).collect();
        return joint_answer(&table.rows, &rows, metric, chance);
    }
    let several = sets.len() > 1;
    let paragraphs =
        sets.iter().filter_map(|set| answer(table, set, metric, several, outcomes, verdict));
    paragraphs.map(Block::Paragraph).collect()
}

/// One answer for rows of which no two compare, such as those of folds: what they reach, and what that says of each.
fn joint_answer(
    all: &[ScoredRow],
    rows: &[&ScoredRow],
    metric: &Metric,
    chance: f64,
) -> Vec<Block> {
    let range = |of: &dyn Fn(&ScoredRow) -> Option<f64>, shown: &dyn Fn(f64) -> String| {
        let values: Vec<f64> = rows.iter().filter_map(|row| of(row)).collect();
        let least = values.iter().copied().reduce(f64::min)?;
        let most = values.iter().copied().reduce(f64::max)?;
        let [least, most] = [least, most].map(shown);
        Some(if least == most { least } else { format!("{least} to {most}") })
    };
    let shown = |value: f64| metric.value(Some(value));
    let own = range(&|row| row.value(&metric.name), &shown).unwrap_or_default();
    let truth =
        sets::classes(all, rows[0]).filter(|_| rows.iter().all(|row| row.truth == rows[0].truth));
    let text = match truth {
        Some(truth) => Text::from("Against ").code(truth),
        None => Text::from("Against their labels"),
    };
    let is_mean = |row: &&ScoredRow| {
        row.draws.get(&*metric.name).is_some_and(|draws| draws.len() > 1) && !row.is_fixed()
    };
    let means = if rows.iter().any(is_mean) { " (means of seeds)" } else { "" };
    let mut text = text.plain(format!(
        ", {} that do not compare with each other, since their clips or classes differ: {} {own}{means}, where {chance} \
         is the chance level and 1 is perfect agreement.",
        count(rows.len(), "row"),
        metric.title
    ));
    let purity = range(&|row| row.value("purity"), &|value| format!("{value:.3}"));
    let majority = range(&|row| row.value("purity_majority"), &|value| format!("{value:.3}"));
    if let (Some(purity), Some(majority)) = (purity, majority) {
        text = text.plain(format!(
            " Their clusters have a purity of {purity}; the majority-class baseline has {majority}."
        ));
    }
    let mut verdicts: Vec<(&str, Vec<&ScoredRow>)> = Vec::new();
    for row in rows {
        let Some(value) = row.value(&metric.name) else { continue };
        let verdict = verdict_in_words(row, metric, value, chance);
        match verdicts.iter_mut().find(|(own, _)| *own == verdict) {
            Some((_, rows)) => rows.push(row),
            None => verdicts.push((verdict, vec![row])),
        }
    }
    let points = verdicts.into_iter().map(|(verdict, rows)| {
        let mut text = Text::new();
        for (at, row) in rows.iter().enumerate() {
            let clips = row.clips.values().find_map(|clips| clips.count);
            let clips = clips.map_or_else(String::new, |n| format!(", {}", count(n, "clip")));
            let value = metric.value(row.value(&metric.name));
            let end = if at + 1 == rows.len() { ": " } else { "; " };
            text = text.strong(&row.title).plain(format!(" ({value}{clips}){end}"));
        }
        let mut letters = verdict.chars();
        let first = letters.next().map(|it| it.to_lowercase().to_string()).unwrap_or_default();
        text.plain(format!("{first}{}", letters.as_str()))
    });
    vec![Block::Paragraph(text), Block::List(points.collect())]
}

/// The best rows of a set, the first of them first. Rows with the same displayed value are equal.
fn best<'t>(table: &'t ScoreTable, set: &[usize], metric: &Metric) -> Vec<(usize, &'t ScoredRow)> {
    let ranked = set.iter().filter_map(|&at| {
        let row = &table.rows[at];
        Some((at, row, row.rank(metric)?))
    });
    let ranked: Vec<_> = ranked.collect();
    let Some(most) = ranked.iter().map(|it| it.2).max_by(f64::total_cmp) else { return Vec::new() };
    let shown = |row: &ScoredRow| metric.value(row.value(&metric.name));
    let first = ranked.iter().find(|it| it.2 == most).map(|it| shown(it.1)).unwrap_or_default();
    let mut best: Vec<_> = ranked.into_iter().filter(|it| shown(it.1) == first).collect();
    best.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    best.into_iter().map(|(at, row, _)| (at, row)).collect()
}

fn answer(
    table: &ScoreTable,
    set: &[usize],
    metric: &Metric,
    several: bool,
    outcomes: &[PairedComparison],
    verdict: Option<&Verdict>,
) -> Option<Text> {
    let mut best = best(table, set, metric);
    let &(at, row) = best.first()?;
    let outcome = outcomes.iter().find(|it| *it.metric == metric.name && it.best == at);
    // Rows with the same displayed value may differ significantly over the seeds.
    if outcome.is_some_and(|outcome| outcome.rival.is_none()) {
        best.truncate(1);
    }
    let value = row.value(&metric.name)?;
    let shown = metric.value(Some(value));
    let mut text = match several {
        true => over(&table.rows, row, metric),
        false => Text::new(),
    };
    if !metric.uses_labels {
        text = match &best[..] {
            [_] => text.plain(format!("The best {} is {shown} (", metric.title)).strong(&row.title),
            all => {
                listed(text.plain(format!("The best {} is {shown} (equal: ", metric.title)), all)
            }
        };
        let none = table.columns.iter().all(|metric| !metric.uses_labels);
        let no_labels =
            " No labels were given, so nothing shows whether the clusters correspond to anything.";
        return Some(text.plain(").").plain(if none { no_labels } else { "" }));
    }
    text = match (&best[..], set.len()) {
        ([_], 1) => text.strong(&row.title).plain(" against the labels"),
        ([_], rows) => text
            .plain(format!("Of {rows} rows, "))
            .strong(&row.title)
            .plain(" agrees best with the labels"),
        (all, rows) => listed(text.plain(format!("Of {rows} rows, ")), all)
            .plain(" agree best with the labels, and equally"),
    };
    let seeds = match row.draws.get(&*metric.name).map_or(0, |draws| draws.len()) {
        seeds if seeds > 1 && !row.is_fixed() => format!(" (mean of {seeds} seeds)"),
        _ => String::new(),
    };
    let scale = match metric.chance {
        Some(chance) => format!(", where {chance} is the chance level and 1 is perfect agreement"),
        None => String::new(),
    };
    text = text.plain(format!(": {} {shown}{seeds}{scale}. ", metric.title));
    if let Some(rival) = outcome.and_then(|it| it.rival.as_ref()) {
        let (seeds, others) = (count(rival.seeds, "seed"), count(rival.others + 1, "other row"));
        let it = if best.len() == 1 { "it" } else { "the first of them" };
        text = text.plain(format!("With {seeds}, {it} cannot be distinguished from {others}. "));
    }
    if let Some(verdict) = verdict.filter(|verdict| verdict.best == at) {
        let it = if best.len() == 1 { "it" } else { "the first of them" };
        text = text.plain(format!(
            "Over draws of the recordings, with the clusters as they are, {it} {}. ",
            verdict.text
        ));
    }
    if let (Some(purity), Some(majority)) = (row.value("purity"), row.value("purity_majority")) {
        let [clusters, clips] = ["n_clusters", "n_clips"].map(|it| row.value(it).unwrap_or(0.0));
        let whose = if best.len() == 1 { "Its" } else { "For the first of them, the" };
        text = text.plain(format!(
            "{whose} {} of {} have a purity of {purity:.3}; the majority-class baseline has {majority:.3}. ",
            count(clusters as usize, "cluster"),
            count(clips as usize, "clip")
        ));
    }
    Some(match metric.chance {
        Some(chance) => text.plain(verdict_in_words(row, metric, value, chance)),
        None => text,
    })
}

/// The clips or classes of the rows of a set.
fn over(rows: &[ScoredRow], row: &ScoredRow, metric: &Metric) -> Text {
    let clips = row.clips.values().find_map(|clips| clips.count);
    let over = clips.map_or_else(String::new, |n| format!("over {}", count(n, "clip")));
    match sets::classes(rows, row) {
        Some(truth) if metric.uses_labels => {
            Text::from("Against ").code(truth).plain(format!(" {over}: "))
        }
        _ => Text::from(format!("{}: ", over.replacen('o', "O", 1))),
    }
}

/// `A and B`, or `A, B and 3 others`.
fn listed(mut text: Text, rows: &[(usize, &ScoredRow)]) -> Text {
    let named = if rows.len() > 4 { 3 } else { rows.len() };
    for (at, (_, row)) in rows.iter().take(named).enumerate() {
        let is_last = at + 1 == rows.len();
        let before = if at == 0 {
            ""
        } else if is_last {
            " and "
        } else {
            ", "
        };
        text = text.plain(before).strong(&row.title);
    }
    match rows.len() - named {
        0 => text,
        more => text.plain(format!(" and {more} others")),
    }
}

/// The interpretation of a value between chance and perfect agreement.
fn verdict_in_words(row: &ScoredRow, metric: &Metric, value: f64, chance: f64) -> &'static str {
    // With few clips, chance alone reaches two standard deviations.
    let by_chance = row.value(&format!("{}_deviation", metric.name)).map_or(0.0, |it| 2.0 * it);
    match (value - chance) / (1.0 - chance) {
        share if share < 0.02 => {
            "As far as these labels can tell, the clusters are unrelated to the classes."
        }
        share if share * (1.0 - chance) <= by_chance => {
            "With so few clips, random clusters of the same sizes reach this value too: it cannot be distinguished from \
             chance."
        }
        share if share < 0.2 => {
            "The clusters agree weakly with the classes: most of what separates them is something else."
        }
        share if share < 0.6 => "The clusters agree with the classes in part.",
        _ => "The clusters agree closely with the classes.",
    }
}
