//! Comparison of rows: the best row, and the test over seeds of its lead.

use crate::{
    scores::{ScoredRow, sets},
    stats::{self, Test},
};
use cache::metric::Metric;

/// The level below which a corrected p-value is significant.
const LEVEL: f64 = 0.05;

/// The best row by a metric among the rows that can be compared.
#[derive(Clone, Debug, PartialEq)]
pub struct PairedComparison {
    /// The metric.
    pub metric: String,
    /// The index of the row.
    pub best: usize,
    /// Other rows that show the same number, since they read it from the same steps.
    pub shared: Vec<usize>,
    /// The number of comparisons corrected together.
    pub comparisons: usize,
    /// The row from which it is hardest to distinguish, if there is any without a significant
    /// difference.
    pub rival: Option<Rival>,
}

/// A row that does not differ significantly from the best one.
#[derive(Clone, Debug, PartialEq)]
pub struct Rival {
    /// The index of the row.
    pub row: usize,
    /// True if both means are equal.
    pub is_equal: bool,
    /// The corrected p-value.
    pub p: f64,
    /// The number of further rows that do not differ significantly.
    pub others: usize,
    /// The number of seeds that both have.
    pub seeds: usize,
    /// The approximate number of seeds that would give a significant difference, if it can be
    /// computed.
    pub needed: Option<usize>,
}

/// The best row by each metric in each set of rows that can be compared by it. Every other row is
/// tested against it over their common seeds, and all tests of a table are corrected together. A
/// metric is left out if some row has fewer than two seeds in common with the best.
pub fn outcomes(rows: &[ScoredRow], metrics: &[Metric], test: Test) -> Vec<PairedComparison> {
    let mut found = Vec::new();
    for metric in metrics {
        for set in sets::of(rows, metric.uses_labels).iter().filter(|set| {
            metric.uses_labels || set.iter().all(|at| rows[*at].spaces == rows[set[0]].spaces)
        }) {
            let ranked = set.iter().filter_map(|at| Some((*at, rows[*at].rank(metric)?)));
            let ranked: Vec<(usize, f64)> = ranked.collect();
            // The first of equal rows.
            let Some(&(best, _)) = ranked.iter().rev().max_by(|a, b| a.1.total_cmp(&b.1)) else {
                continue;
            };
            let others = ranked.iter().map(|it| it.0).filter(|at| *at != best);
            let (shared, others): (Vec<usize>, Vec<usize>) =
                others.partition(|at| is_shared(&rows[best], &rows[*at], metric));
            // Of rows that share a number, one is tested.
            let is_first = |(at, row): &(usize, &usize)| {
                !others[..*at].iter().any(|known| is_shared(&rows[*known], &rows[**row], metric))
            };
            let tests: Option<Vec<_>> = others
                .iter()
                .enumerate()
                .filter(is_first)
                .map(|(_, &at)| {
                    let draws = |row: usize| rows[row].draws.get(&*metric.name);
                    Some((at, stats::paired(draws(best)?, draws(at)?, test)?))
                })
                .collect();
            if let Some(tests) = tests.filter(|tests| !tests.is_empty()) {
                found.push((metric.name.to_string(), (best, shared), tests));
            }
        }
    }
    let p: Vec<f64> =
        found.iter().flat_map(|(_, _, tests)| tests.iter().map(|(_, test)| test.p)).collect();
    let comparisons = p.len();
    let mut corrected = stats::holm(&p).into_iter();
    let mut outcomes = Vec::new();
    for (metric, (best, shared), tests) in found {
        let of_rows = tests.iter().zip(corrected.by_ref());
        let untold: Vec<_> = of_rows.filter(|(_, p)| *p >= LEVEL).collect();
        // Many corrected p-values are 1, so the uncorrected ones decide.
        let hardest = untold.iter().max_by(|((_, a), _), ((_, b), _)| a.p.total_cmp(&b.p));
        let rival = hardest.map(|((row, test), p)| Rival {
            row: *row,
            is_equal: test.difference.abs() < 1e-12,
            p: *p,
            others: untold.len() - 1,
            seeds: test.n,
            needed: stats::seeds_needed(
                test.difference,
                test.deviation,
                LEVEL / comparisons as f64,
            ),
        });
        outcomes.push(PairedComparison { metric, best, shared, comparisons, rival });
    }
    outcomes
}

/// True if a row is the best by a metric and differs significantly from all others.
pub fn is_best(outcomes: &[PairedComparison], metric: &Metric, row: usize) -> bool {
    outcomes.iter().any(|outcome| {
        let is_own = outcome.best == row || outcome.shared.contains(&row);
        *outcome.metric == metric.name && is_own && outcome.rival.is_none()
    })
}

/// True if two rows read a metric from the same steps, such as that of a representation which both cluster.
fn is_shared(a: &ScoredRow, b: &ScoredRow, metric: &Metric) -> bool {
    let of = |row: &ScoredRow| -> Vec<Option<String>> {
        row.seeds.iter().map(|seed| seed.others.get(&*metric.name).cloned()).collect()
    };
    let (a, b) = (of(a), of(b));
    !a.is_empty() && a == b && a.iter().all(Option::is_some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scores::sets::Clips;
    use cache::metric::Direction;

    /// Rows with these values of the ARI for seeds 0, 1, ….
    fn rows(values: &[&[f64]]) -> Vec<ScoredRow> {
        let row = |draws: &&[f64]| ScoredRow {
            values: [("ari".to_owned(), draws.iter().sum::<f64>() / draws.len() as f64)].into(),
            draws: [("ari".to_owned(), (0..).zip(draws.iter().copied()).collect())].into(),
            clips: [(0, Clips::default())].into(),
            ..ScoredRow::default()
        };
        values.iter().map(row).collect()
    }

    fn ari() -> Metric {
        let direction = Some(Direction::Maximize);
        Metric { direction, uses_labels: true, ..Metric::named("ari") }
    }

    fn outcome(values: &[&[f64]]) -> Option<PairedComparison> {
        outcomes(&rows(values), &[ari()], Test::T).pop()
    }

    #[test]
    fn rows_against_other_classes_are_not_compared() {
        let mut rows = rows(&[&[0.1, 0.12], &[0.5, 0.51], &[0.2, 0.22], &[0.9, 0.91]]);
        for (at, row) in rows.iter_mut().enumerate() {
            let classes = Some(if at < 2 { "digit" } else { "speaker" }.to_owned());
            row.clips = [(0, Clips { classes, ..Clips::default() })].into();
        }
        let best: Vec<_> = outcomes(&rows, &[ari()], Test::T).iter().map(|it| it.best).collect();
        assert_eq!(best, [1, 3]);
        let lower = Metric { direction: Some(Direction::Minimize), ..ari() };
        let best: Vec<_> = outcomes(&rows, &[lower], Test::T).iter().map(|it| it.best).collect();
        assert_eq!(best, [0, 2]);
        let neither = Metric { direction: None, ..ari() };
        assert_eq!(outcomes(&rows, &[neither], Test::T), []);
    }

    #[test]
    fn rows_that_come_to_the_same_are_equal() {
        let rival = outcome(&[&[0.1, 0.2], &[0.2, 0.1]]).and_then(|it| it.rival).expect("a rival");
        assert!(rival.is_equal);
    }

    #[test]
    fn a_clear_difference_is_told_and_a_small_one_is_not() {
        let clear = outcome(&[&[0.1, 0.12, 0.11], &[0.5, 0.51, 0.53], &[0.2, 0.22, 0.19]]);
        let clear = clear.expect("a outcome");
        assert_eq!((clear.best, clear.comparisons, clear.rival), (1, 2, None));
        let close = outcome(&[&[0.50, 0.40, 0.45], &[0.46, 0.44, 0.47], &[0.1, 0.2, 0.1]]);
        let close = close.expect("a outcome");
        let rival = close.rival.expect("a rival");
        assert_eq!((close.best, rival.row, rival.seeds), (1, 0, 3));
        assert!(rival.p > 0.05 && rival.needed.expect("some") > 3, "{rival:?}");
    }

    #[test]
    fn rows_that_share_a_number_are_tested_once() {
        let metric = Metric { direction: Some(Direction::Maximize), ..Metric::named("apart.mig") };
        let row = |step: &str, values: &[f64]| {
            let seeds = (0..values.len() as u64).map(|seed| crate::scores::Seed {
                seed,
                others: [("apart.mig".to_owned(), format!("{step}{{seed={seed}}}"))].into(),
                ..crate::scores::Seed::default()
            });
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            ScoredRow {
                values: [("apart.mig".to_owned(), mean)].into(),
                draws: [("apart.mig".to_owned(), (0..).zip(values.iter().copied()).collect())]
                    .into(),
                clips: [(0, Clips::default())].into(),
                seeds: seeds.collect(),
                ..ScoredRow::default()
            }
        };
        let (low, high) = ([0.1, 0.12, 0.11], [0.5, 0.51, 0.53]);
        let rows = [
            row("apart@a", &low),
            row("apart@b", &high),
            row("apart@a", &low),
            row("apart@b", &high),
        ];
        let outcome =
            outcomes(&rows, std::slice::from_ref(&metric), Test::T).pop().expect("an outcome");
        assert_eq!((outcome.best, &outcome.shared[..], outcome.comparisons), (1, &[3][..], 1));
        let best: Vec<bool> =
            (0..4).map(|at| is_best(std::slice::from_ref(&outcome), &metric, at)).collect();
        assert_eq!(best, [false, true, false, true]);
    }

    #[test]
    fn one_seed_tells_nothing() {
        assert_eq!(outcome(&[&[0.1], &[0.5]]), None);
        assert_eq!(outcome(&[&[0.1, 0.2], &[0.5]]), None);
        assert_eq!(outcome(&[&[0.1, 0.2]]), None);
    }

    #[test]
    fn a_row_that_no_seed_changes_is_compared_all_the_same() {
        let outcome =
            outcome(&[&[0.3, 0.3, 0.3, 0.3], &[0.5, 0.51, 0.49, 0.5]]).expect("a outcome");
        assert_eq!((outcome.best, outcome.rival), (1, None));
    }
}
