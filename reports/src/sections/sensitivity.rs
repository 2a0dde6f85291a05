//! The sensitivity of the answer: how often the best row is not the best, with other seeds, other
//! recordings and other choices; and what picking the best adds to its value.

use crate::{
    document::{Block, Text},
    scores::{ScoreTable, ScoredRow, sets},
    sections::{multiverse, recordings},
};
use cache::{Record, Store, StoreError, metric::Metric};

/// A way in which the answer could have come out otherwise.
struct Doubt {
    /// The choice that would be other.
    of: &'static str,
    /// The share of cases in which another row is better.
    share: f64,
    /// A sentence on it.
    description: String,
}

/// The section; empty unless several rows can be compared.
///
/// # Errors
/// When an artifact is missing from the store or damaged.
pub fn blocks(
    record: &Record,
    table: &ScoreTable,
    store: &Store,
) -> Result<Vec<Block>, StoreError> {
    let Some((best, metric)) = table.best() else { return Ok(Vec::new()) };
    let at = table.rows.iter().position(|row| std::ptr::eq(row, best)).unwrap_or(0);
    let sets = sets::of(&table.rows, metric.uses_labels);
    let set = sets.into_iter().find(|set| set.contains(&at)).unwrap_or_default();
    let rivals =
        set.into_iter().filter(|own| *own != at && table.rows[*own].rank(metric).is_some());
    let rivals: Vec<usize> = rivals.collect();
    if rivals.is_empty() {
        return Ok(Vec::new());
    }
    let rows = || rivals.iter().map(|at| &table.rows[*at]);
    let (mut doubts, mut unexamined) = (Vec::new(), Vec::new());
    let random = record.steps.iter().any(|step| step.seed.is_some());
    match by_seeds(best, rows(), metric) {
        Some(doubt) => doubts.push(doubt),
        None if random => unexamined.push("other seeds (`seeds: 5`)"),
        None => {}
    }
    let drawn = recordings::draws_of_rows(record, table, store)?;
    let by_recordings = by_recordings(at, &rivals, metric, &drawn);
    let winners_curse = by_recordings
        .as_ref()
        .and_then(|(_, optimism)| winners_curse(best, rivals.len() + 1, metric, *optimism));
    match by_recordings {
        Some((doubt, _)) => doubts.push(doubt),
        None => unexamined.push("other recordings (`report: { uncertainty: both }`, where the column `group` of the labels names at least 10)"),
    }
    match multiverse::strongest_rival(record, store, &best.name, metric)? {
        Some((rival, losses, all)) => doubts.push(Doubt {
            of: "other choices",
            share: losses as f64 / all.max(1) as f64,
            description: if losses == 0 {
                format!("with no specification another row has the better {}", metric.title)
            } else {
                format!(
                    "with {losses} of {all} specifications ({:.0} %) {rival} has the better {}",
                    100.0 * losses as f64 / all.max(1) as f64,
                    metric.title
                )
            },
        }),
        None => unexamined.push("other choices (`multiverse`)"),
    }
    doubts.sort_by(|a, b| b.share.total_cmp(&a.share));
    let mut text = Text::new()
        .plain("The answer is that ")
        .strong(&best.title)
        .plain(format!(" has the best {}. ", metric.title));
    text = match doubts.first() {
        Some(first) if first.share >= 0.05 => text.plain(format!(
            "What would most likely change it is {}: {}.",
            first.of, first.description
        )),
        Some(first) if first.share > 0.0 => {
            text.plain("Nothing that was examined changes it in 5 % or more of the cases.")
        }
        Some(_) => text.plain("Nothing that was examined changes it."),
        None => text.plain("Nothing was examined that could change it."),
    };
    let mut points: Vec<Text> = doubts
        .iter()
        .skip(usize::from(doubts.first().is_some_and(|first| first.share >= 0.05)))
        .map(|doubt| {
            let mut letters = doubt.of.chars();
            let first = letters.next().map(|it| it.to_uppercase().to_string()).unwrap_or_default();
            Text::from(format!("{first}{}: {}.", letters.as_str(), doubt.description))
        })
        .collect();
    points.extend(winners_curse.map(Text::from));
    if !unexamined.is_empty() {
        points.push(Text::new().marked(&format!("Not examined: {}.", unexamined.join("; "))));
    }
    let heading = Block::Heading("What would change this answer".to_owned());
    let mut blocks = vec![heading, Block::Paragraph(text)];
    if !points.is_empty() {
        blocks.push(Block::List(points));
    }
    Ok(blocks)
}

/// With how many seeds another row is better.
fn by_seeds<'r>(
    best: &ScoredRow,
    rivals: impl Iterator<Item = &'r ScoredRow>,
    metric: &Metric,
) -> Option<Doubt> {
    let name = &*metric.name;
    let own = best.draws.get(name)?;
    let rivals: Vec<&ScoredRow> = rivals.collect();
    let all_fixed = best.is_fixed() && rivals.iter().all(|rival| rival.is_fixed());
    if own.len() < 2 || all_fixed {
        return None;
    }
    let is_beaten = |(seed, value): (&u64, &f64)| {
        rivals.iter().any(|rival| {
            let other = rival.draws.get(name).and_then(|draws| draws.get(seed)).copied();
            let ranks = other.and_then(|other| metric.rank(other)).zip(metric.rank(*value));
            ranks.is_some_and(|(other, own)| other > own)
        })
    };
    let losses = own.iter().filter(|draw| is_beaten(*draw)).count();
    let description = match losses {
        0 => format!("with none of {} seeds another row is better{}", own.len(), bound(own.len())),
        _ => format!("with {losses} of {} seeds another row is better", own.len()),
    };
    Some(Doubt { of: "other seeds", share: losses as f64 / own.len() as f64, description })
}

/// The upper bound of a share of seeds although none of `n` was among them: at most 1 − 0.05^(1/n), at 95 %
/// confidence. Empty where that is small.
fn bound(n: usize) -> String {
    match 1.0 - 0.05_f64.powf(1.0 / n as f64) {
        most if most < 0.05 => String::new(),
        most => format!(
            "; with so few, it may be better with up to {:.0} % of all seeds (95 % confidence)",
            100.0 * most
        ),
    }
}

/// The doubt from resampled recordings, and by how much picking the best flatters.
fn by_recordings(
    best: usize,
    rivals: &[usize],
    metric: &Metric,
    drawn: &[Option<recordings::Drawn>],
) -> Option<(Doubt, f64)> {
    let name = &*metric.name;
    let own = drawn.get(best)?.as_ref()?;
    let mut rows = vec![own.metrics.get(name)?];
    for rival in rivals {
        // Rows of other recordings share no draws.
        let Some(Some(other)) = drawn.get(*rival) else { continue };
        let Some(it) = other.metrics.get(name) else { continue };
        if other.drawn_from == own.drawn_from && it.bootstrap.len() == rows[0].bootstrap.len() {
            rows.push(it);
        }
    }
    let draws = rows[0].bootstrap.len();
    if draws == 0 || rows.len() < 2 {
        return None;
    }
    let (mut losses, mut optimism) = (0_usize, 0.0);
    for draw in 0..draws {
        let rank = |row: usize| metric.rank(rows[row].bootstrap[draw]).unwrap_or(f64::NAN);
        // Of equal rows the first wins, so a tie is no loss.
        let winner =
            (0..rows.len()).rev().max_by(|a, b| rank(*a).total_cmp(&rank(*b))).unwrap_or(0);
        losses += usize::from(rank(winner) > rank(0));
        // What all rows gain from repeated recordings is no flattery.
        let gain = |row: usize| rank(row) - metric.rank(rows[row].value).unwrap_or(f64::NAN);
        let common = (0..rows.len()).map(gain).sum::<f64>() / rows.len() as f64;
        optimism += (gain(winner) - common) / draws as f64;
    }
    let share = losses as f64 / draws as f64;
    let description =
        format!("in {} % of the draws of recordings another row is better", percent(share));
    Some((Doubt { of: "other recordings", share, description }, optimism))
}

/// A share in percent; one near the 5 % that decide has a decimal.
fn percent(share: f64) -> String {
    let value = 100.0 * share;
    // Rounded down, so that what is below 5 % does not read as 5.
    match value {
        4.0..6.0 => format!("{:.1}", (10.0 * value + 1e-9).floor() / 10.0),
        _ => format!("{value:.0}"),
    }
}

/// The winner's curse in words, if it shows.
fn winners_curse(best: &ScoredRow, rows: usize, metric: &Metric, optimism: f64) -> Option<String> {
    let value = best.value(&metric.name)?;
    let sign = if metric.rank(1.0)? > 0.0 { 1.0 } else { -1.0 };
    let corrected = value - sign * optimism;
    let shown = [value, corrected].map(|value| metric.value(Some(value)));
    (optimism > 0.0 && shown[0] != shown[1]).then(|| {
        format!(
            "Winner's curse: the best of {rows} rows is picked by the same recordings on which it is scored. For resampled \
             recordings the row that is picked lies {} above its value on all of them, beyond what repeats add to every row; \
             less that, the {} of {} is {} instead of {}.",
            metric.value(Some(optimism)),
            metric.title,
            best.title,
            shown[1],
            shown[0]
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resampled::Resampled;
    use cache::metric::Direction;

    fn drawn(value: f64, bootstrap: &[f64]) -> Option<recordings::Drawn> {
        let it = Resampled { value, bootstrap: bootstrap.to_vec(), ..Resampled::default() };
        let metrics = [("ari".to_owned(), it)].into();
        Some(recordings::Drawn { drawn_from: "these".to_owned(), metrics })
    }

    #[test]
    fn few_seeds_prove_little() {
        assert!(bound(3).contains("up to 63 % of all seeds"), "{}", bound(3));
        assert!(bound(5).contains("up to 45 % of all seeds"), "{}", bound(5));
        assert_eq!(bound(59), "");
        assert_eq!([0.0495, 0.05, 0.5, 0.0].map(percent), ["4.9", "5.0", "50", "0"]);
    }

    #[test]
    fn the_row_that_is_picked_is_flattered() {
        let metric = Metric { direction: Some(Direction::Maximize), ..Metric::new("ari", "ARI") };
        let rows = [drawn(0.5, &[0.6, 0.4, 0.5, 0.5]), drawn(0.5, &[0.4, 0.6, 0.5, 0.5])];
        let (doubt, optimism) = by_recordings(0, &[1], &metric, &rows).expect("draws");
        assert_eq!(doubt.share, 0.25);
        assert!((optimism - 0.05).abs() < 1e-12, "{optimism}");
        // A gain that all rows share is no flattery.
        let rows = [drawn(0.5, &[0.6, 0.7]), drawn(0.3, &[0.4, 0.5])];
        let (doubt, optimism) = by_recordings(0, &[1], &metric, &rows).expect("draws");
        assert!(doubt.share == 0.0 && optimism.abs() < 1e-12, "{optimism}");
        let best = ScoredRow {
            title: "A".to_owned(),
            values: [("ari".to_owned(), 0.5)].into(),
            ..ScoredRow::default()
        };
        assert!(
            winners_curse(&best, 2, &metric, 0.05)
                .expect("a note")
                .contains("is 0.450 instead of 0.500")
        );
        assert_eq!(winners_curse(&best, 2, &metric, 0.0), None);
    }
}
