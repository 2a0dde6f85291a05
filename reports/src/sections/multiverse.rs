//! The multiverse: how far choices that should not matter move the rows.

use crate::{
    document::{Block, Cell, Column, Row, Table, Text},
    formats::results,
    quantities::count,
    scores::{ScoreTable, ScoredRow, by_name, is_shown, short, shown},
};
use cache::{Record, Store, StoreError, metric::Metric, record::Sweep};

/// The most pairs of rows that are compared in words; of more, only those of the best row.
const MAX_PAIRS: usize = 10;

/// The section on the multiverse, and all of its scores as CSV; nothing if there is none.
///
/// # Errors
/// When scores are missing from the store or damaged.
pub fn blocks(
    record: &Record,
    table: &ScoreTable,
    store: &Store,
) -> Result<(Vec<Block>, Option<String>), StoreError> {
    let Some(sweep) = record.sweep.as_ref().filter(|sweep| !sweep.shown.is_empty()) else {
        return Ok((Vec::new(), None));
    };
    let mut all = ScoreTable::read_with(record, store, |_| None, true);
    if let Some(error) = all.lost.take() {
        return Err(error);
    }
    let csv = results::csv(record, &all.rows);
    let Some(metric) = all.headline().cloned() else { return Ok((Vec::new(), Some(csv))) };
    let rows = by_name(&all.rows);
    let mut blocks = vec![Block::Heading("Choices that should not matter".to_owned())];
    blocks.push(Block::Paragraph(opening(record, sweep, &metric).into()));
    blocks.push(Block::Table(ranks(&rows, sweep, &metric)));
    let best = table.best().map(|(row, _)| row.name.as_str());
    let mut sentences: Vec<String> = pairs(&rows, &metric, best);
    sentences.extend(strongest(record, sweep, &all.rows, &metric));
    blocks.push(Block::List(sentences.iter().map(|it| Text::new().marked(it)).collect()));
    Ok((blocks, Some(csv)))
}

fn opening(record: &Record, sweep: &Sweep, metric: &Metric) -> String {
    let count = sweep.variants / sweep.seeds.len().max(1);
    let axes: Vec<String> = sweep
        .shown
        .iter()
        .map(|(axis, value)| format!("{} = {}", short(record, axis), shown(value)))
        .collect();
    format!(
        "The tables above are of one specification: {}. It is one of {count} that could have been chosen before the results \
         were known. A row counts once for each combination of the choices that it depends on; rank 1 has the best {}.",
        axes.join(", "),
        metric.title
    )
}

/// The value of each specification of a row, the best first.
fn ranked<'r>(rows: &[&'r ScoredRow], metric: &Metric) -> Vec<(f64, &'r ScoredRow)> {
    let own = rows.iter().filter_map(|row| Some((metric.rank(row.value(&metric.name)?)?, *row)));
    let mut own: Vec<(f64, &ScoredRow)> = own.collect();
    own.sort_by(|a, b| b.0.total_cmp(&a.0));
    own
}

fn ranks(rows: &[(&str, Vec<&ScoredRow>)], sweep: &Sweep, metric: &Metric) -> Table {
    let columns = vec![
        Column::text(""),
        Column::number(format!("{} in the table", metric.title)),
        Column::number("Its rank"),
        Column::number("Median"),
        Column::number("Lowest"),
        Column::number("Highest"),
    ];
    let row = |(title, own): &(&str, Vec<&ScoredRow>)| {
        let ranked = ranked(own, metric);
        let mut values: Vec<f64> =
            ranked.iter().filter_map(|(_, row)| row.value(&metric.name)).collect();
        values.sort_by(f64::total_cmp);
        let at = ranked.iter().find(|(_, row)| is_shown(sweep, &row.point));
        let number =
            |value: Option<f64>| Cell { text: metric.value(value).into(), value, id: None };
        // Equal ones share the better rank.
        let rank = at.map(|(own, _)| 1 + ranked.iter().filter(|(other, _)| other > own).count());
        let rank = match rank {
            Some(rank) => Cell::from(format!("{rank} of {}", ranked.len())).valued(rank as f64),
            None => Cell::from("–"),
        };
        Row::new(vec![
            (*title).to_owned().into(),
            number(at.and_then(|(_, row)| row.value(&metric.name))),
            rank,
            number(median(&values)),
            number(values.first().copied()),
            number(values.last().copied()),
        ])
    };
    Table { columns, rows: rows.iter().map(row).collect() }
}

/// The median of sorted values.
fn median(values: &[f64]) -> Option<f64> {
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some(f64::midpoint(values[low], values[high]))
}

/// True if two rows belong to one specification: no choice on which both depend differs.
fn go_together(a: &ScoredRow, b: &ScoredRow) -> bool {
    a.point.iter().all(|(axis, value)| {
        b.point.iter().find(|(other, _)| other == axis).is_none_or(|(_, other)| other == value)
    })
}

/// The row that beats one of this title in most specifications: its title, in how many it does, and of how
/// many. `None` if there is no multiverse.
///
/// # Errors
/// When scores are missing from the store or damaged.
pub(crate) fn strongest_rival(
    record: &Record,
    store: &Store,
    best: &str,
    metric: &Metric,
) -> Result<Option<(String, usize, usize)>, StoreError> {
    if record.sweep.as_ref().is_none_or(|sweep| sweep.shown.is_empty()) {
        return Ok(None);
    }
    let mut all = ScoreTable::read_with(record, store, |_| None, true);
    if let Some(error) = all.lost.take() {
        return Err(error);
    }
    let rows = by_name(&all.rows);
    let Some((_, own)) = rows.iter().find(|(title, _)| *title == best) else { return Ok(None) };
    let counts = rows.iter().filter(|(title, _)| *title != best).map(|(title, others)| {
        let ranks = paired_ranks(own, others, metric);
        let losses = ranks.iter().filter(|(own, other)| other > own).count();
        ((*title).to_owned(), losses, ranks.len())
    });
    let share = |it: &(String, usize, usize)| it.1 as f64 / it.2.max(1) as f64;
    Ok(counts.filter(|it| it.2 > 0).max_by(|a, b| share(a).total_cmp(&share(b))))
}

/// The ranks of two rows in each specification of both.
fn paired_ranks(own: &[&ScoredRow], others: &[&ScoredRow], metric: &Metric) -> Vec<(f64, f64)> {
    let rank = |row: &ScoredRow| metric.rank(row.value(&metric.name)?);
    let both = own.iter().flat_map(|a| others.iter().map(move |b| (a, b)));
    let both = both.filter(|(a, b)| go_together(a, b));
    both.filter_map(|(a, b)| Some((rank(a)?, rank(b)?))).collect()
}

/// In how many specifications one row scores better than another: first the pairs of the best row of the table, in
/// one sentence where it is ahead whatever is chosen, then the others.
fn pairs(rows: &[(&str, Vec<&ScoredRow>)], metric: &Metric, best: Option<&str>) -> Vec<String> {
    let (mut sentences, mut beaten) = (Vec::new(), Vec::new());
    for (at, (first, own)) in rows.iter().enumerate() {
        for (second, others) in &rows[at + 1..] {
            let ranks = paired_ranks(own, others, metric);
            let better = ranks.iter().filter(|(a, b)| a > b).count();
            let worse = ranks.iter().filter(|(a, b)| a < b).count();
            let (winner, loser, wins) = match better >= worse {
                true => (first, second, better),
                false => (second, first, worse),
            };
            let all = ranks.len();
            let is_best = |title: &&str| Some(*title) == best;
            if wins > 0 && wins == all && is_best(winner) {
                beaten.push(*loser);
            } else if all > 1 {
                let verdict = match wins {
                    wins if wins == all => "whatever is chosen",
                    wins if wins as f64 >= 0.9 * all as f64 => "nearly whatever is chosen",
                    _ => "so the order depends on the choices",
                };
                let sentence = format!(
                    "{winner} has a better {} than {loser} in {wins} of {all} specifications ({:.0} %), {verdict}.",
                    metric.title,
                    100.0 * wins as f64 / all as f64
                );
                let share = wins as f64 / all as f64;
                sentences.push((!(is_best(first) || is_best(second)), share, sentence));
            }
        }
    }
    // First those whose order is least certain.
    sentences.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let shown = match sentences.len() {
        all if all <= MAX_PAIRS => all,
        _ => sentences.iter().take(MAX_PAIRS).filter(|(is_other, ..)| !is_other).count(),
    };
    let rest = sentences.split_off(shown);
    let mut sentences: Vec<String> = sentences.into_iter().map(|(_, _, text)| text).collect();
    if let (Some(best), false) = (best, beaten.is_empty()) {
        let losers = match beaten.len() {
            n if n > 1 && n + 1 == rows.len() => "every other row".to_owned(),
            n if n > 3 => format!("{n} of {} other rows", rows.len() - 1),
            _ => beaten.join(", "),
        };
        sentences.insert(
            0,
            format!("{best} has a better {} than {losers} whatever is chosen.", metric.title),
        );
    }
    if !rest.is_empty() {
        let unsure = rest.iter().filter(|(_, share, _)| *share < 1.0).count();
        sentences.push(format!(
            "Of the {} of rows, the order of {unsure} depends on the choices; `multiverse.csv` has all values.",
            count(rest.len(), "other pair")
        ));
    }
    sentences
}

/// The choice that moves the rows most: that with the widest range of mean values.
fn strongest(
    record: &Record,
    sweep: &Sweep,
    rows: &[ScoredRow],
    metric: &Metric,
) -> Option<String> {
    let of_axis = |axis: &String| {
        let mut means: Vec<(String, Vec<f64>)> = Vec::new();
        for row in rows {
            let own = row.point.iter().find(|(name, _)| name == axis);
            let (Some((_, value)), Some(score)) = (own, row.value(&metric.name)) else { continue };
            let value = shown(value);
            match means.iter_mut().find(|(known, _)| *known == value) {
                Some((_, scores)) => scores.push(score),
                None => means.push((value, vec![score])),
            }
        }
        let mean = |scores: Vec<f64>| scores.iter().sum::<f64>() / scores.len() as f64;
        let means: Vec<(String, f64)> =
            means.into_iter().map(|(value, scores)| (value, mean(scores))).collect();
        let low = means.iter().map(|it| it.1).fold(f64::INFINITY, f64::min);
        let high = means.iter().map(|it| it.1).fold(f64::NEG_INFINITY, f64::max);
        (means.len() > 1).then_some((high - low, means))
    };
    let axes = sweep.axes.iter().filter_map(|axis| Some((axis, of_axis(axis)?)));
    let (axis, (_, means)) = axes.max_by(|a, b| a.1.0.total_cmp(&b.1.0))?;
    let means: Vec<String> = means
        .iter()
        .map(|(value, mean)| format!("{} with {value}", metric.value(Some(*mean))))
        .collect();
    let axis = short(record, axis);
    let first = match sweep.axes.len() {
        1 => String::new(),
        _ => format!("Of the choices, {axis} moves the rows most. "),
    };
    Some(format!(
        "{first}The mean {} of the rows that depend on {axis} is {}.",
        metric.title,
        means.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache::metric::Direction;
    use serde_json::json;

    fn row(name: &str, point: &[(&str, i64)], value: f64) -> ScoredRow {
        ScoredRow {
            name: name.to_owned(),
            point: point.iter().map(|(axis, value)| ((*axis).to_owned(), json!(value))).collect(),
            values: [("ari".to_owned(), value)].into(),
            ..ScoredRow::default()
        }
    }

    #[test]
    fn rows_are_compared_where_their_choices_agree() {
        let metric = Metric { direction: Some(Direction::Maximize), ..Metric::new("ari", "ARI") };
        let rows = [
            row("A", &[("x", 1), ("y", 1)], 0.5),
            row("A", &[("x", 1), ("y", 2)], 0.6),
            row("A", &[("x", 2), ("y", 1)], 0.2),
            row("A", &[("x", 2), ("y", 2)], 0.3),
            row("B", &[("x", 1)], 0.55),
            row("B", &[("x", 2)], 0.1),
        ];
        let titles = by_name(&rows);
        let sentences = pairs(&titles, &metric, Some("B"));
        let expected = "A has a better ARI than B in 3 of 4 specifications (75 %), so the order depends on the choices.";
        assert_eq!(sentences, [expected]);
        // Of many rows, only the pairs of the best one are described one by one.
        let many: Vec<ScoredRow> = (0..6)
            .flat_map(|at| {
                let name = format!("row {at}");
                let sign = if at % 2 == 0 { 1.0 } else { -1.0 };
                let low = row(&name, &[("x", 1)], 0.01 * f64::from(at));
                [low, row(&name, &[("x", 2)], 0.1 + sign * 0.01 * f64::from(at))]
            })
            .collect();
        let sentences = pairs(&by_name(&many), &metric, Some("row 4"));
        assert_eq!(sentences.len(), 3, "{sentences:?}");
        assert_eq!(
            sentences[0],
            "row 4 has a better ARI than 4 of 5 other rows whatever is chosen."
        );
        assert!(
            sentences[1].starts_with("row 4 has a better ARI than row 5 in 1 of 2"),
            "{sentences:?}"
        );
        assert!(
            sentences[2].starts_with("Of the 10 other pairs of rows, the order of 8 depends"),
            "{sentences:?}"
        );
        let third = [row("C", &[("x", 1)], 0.1), row("C", &[("x", 2)], 0.05)];
        let rows_of_three: Vec<ScoredRow> = rows.iter().chain(&third).cloned().collect();
        let sentences = pairs(&by_name(&rows_of_three), &metric, Some("B"));
        assert_eq!(sentences[..2], ["B has a better ARI than C whatever is chosen.", expected]);
        assert!(sentences[2].starts_with("A has a better ARI than C in 4 of 4"), "{sentences:?}");
        let shown = vec![("x".to_owned(), json!(2)), ("y".to_owned(), json!(2))];
        let sweep = Sweep { axes: vec!["x".into(), "y".into()], shown, ..Sweep::default() };
        let table = ranks(&titles, &sweep, &metric);
        let cells = |at: usize| table.rows[at].cells.iter().map(|it| it.value).collect::<Vec<_>>();
        let of_a = [None, Some(0.3), Some(3.0), Some(0.4), Some(0.2), Some(0.6)];
        for (found, expected) in cells(0).iter().zip(of_a) {
            assert!(found.zip(expected).is_none_or(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        }
        assert_eq!(cells(1)[2], Some(2.0));
    }
}
