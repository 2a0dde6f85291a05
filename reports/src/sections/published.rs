//! Comparison with published values: the part of their order that a run reproduces.

use crate::{
    document::Text,
    quantities::listed,
    scores::{ScoreTable, sets},
};
use cache::metric::Metric;

/// The comparison of the order of rows with the published order, by geometric metrics and by
/// labels, if at least two rows have published values.
pub fn pattern(table: &ScoreTable) -> Option<Text> {
    let sentences: Vec<String> =
        [false, true].into_iter().filter_map(|it| order(table, it)).collect();
    (!sentences.is_empty()).then(|| {
        let source = table.rows.iter().find_map(|row| row.published.source.as_deref());
        let of =
            source.map_or_else(String::new, |it| format!("Published values are those of {it}. "));
        Text::from(format!("{of}{}", sentences.join(" ")))
    })
}

/// A pair of rows with a published order by a metric; `is_found` is true if the order here is the
/// same.
struct Pair {
    metric: usize,
    ahead: usize,
    behind: usize,
    is_found: bool,
}

fn order(table: &ScoreTable, uses_labels: bool) -> Option<String> {
    let metrics: Vec<&Metric> =
        table.columns.iter().filter(|metric| metric.uses_labels == uses_labels).collect();
    let sets = sets::of(&table.rows, uses_labels);
    let mut pairs = Vec::new();
    for (at, metric) in metrics.iter().enumerate() {
        for set in &sets {
            let both = set.iter().filter_map(|row| {
                let published = table.rows[*row].paper.get(&*metric.name)?;
                Some((*row, metric.rank(*published)?, table.rows[*row].rank(metric)?))
            });
            let both: Vec<_> = both.collect();
            for (place, a) in both.iter().enumerate() {
                for b in &both[place + 1..] {
                    // Equal values have no published order.
                    let (ahead, behind) = match a.1.total_cmp(&b.1) {
                        std::cmp::Ordering::Greater => (a, b),
                        std::cmp::Ordering::Less => (b, a),
                        std::cmp::Ordering::Equal => continue,
                    };
                    let is_found = ahead.2 > behind.2;
                    pairs.push(Pair { metric: at, ahead: ahead.0, behind: behind.0, is_found });
                }
            }
        }
    }
    if pairs.is_empty() {
        return None;
    }
    let mut used: Vec<usize> = pairs.iter().map(|pair| pair.metric).collect();
    used.dedup();
    let titles: Vec<&str> = used.iter().map(|at| &*metrics[*at].title).collect();
    let by = match uses_labels {
        true => format!("by external metrics ({})", listed(&titles)),
        false => format!("by internal metrics ({})", listed(&titles)),
    };
    let found = pairs.iter().filter(|pair| pair.is_found).count();
    let title = |row: usize| &table.rows[row].title;
    let mut sentence = match (found, pairs.len()) {
        (found, all) if found == all => {
            format!("{by} this run reproduces the published order of the rows")
        }
        (0, _) => format!("{by} this run reverses the published order of the rows"),
        (found, all) => {
            format!(
                "{by} this run reproduces the published order in {found} of {all} comparisons of two rows"
            )
        }
    };
    sentence.replace_range(..1, &sentence[..1].to_uppercase());
    let best = used.iter().filter_map(|at| {
        let of = pairs.iter().filter(|pair| pair.metric == *at);
        // A row that is behind no other is the best.
        let mut ahead = of.clone().map(|pair| pair.ahead);
        let first = ahead.find(|row| of.clone().all(|pair| pair.behind != *row))?;
        Some((first, of.filter(|pair| pair.ahead == first).all(|pair| pair.is_found)))
    });
    let best: Vec<(usize, bool)> = best.collect();
    match best.first() {
        Some((first, _)) if best.iter().all(|(row, _)| row == first) => {
            let holds = match best.iter().filter(|(_, is_found)| *is_found).count() {
                n if n == best.len() => "and is so here",
                0 => "and is not so here",
                _ => "and is so here only by some of these",
            };
            sentence.push_str(&format!("; {} is published as the best, {holds}", title(*first)));
        }
        _ => {}
    }
    if let Some(pair) = pairs.iter().find(|pair| !pair.is_found) {
        sentence.push_str(&format!(
            "; for example, {} is published ahead of {} by {} but is not ahead here",
            title(pair.ahead),
            title(pair.behind),
            metrics[pair.metric].title
        ));
    }
    sentence.push('.');
    Some(sentence)
}

/// The remarks on published values of other sets of clips.
pub fn remarks(table: &ScoreTable) -> Vec<String> {
    let mut remarks: Vec<String> = Vec::new();
    for row in table.rows.iter().filter(|row| !row.paper.is_empty()) {
        let Some(ours) = row.value("n_clips") else { continue };
        let of = row.published.source.as_ref().map_or(String::new(), |it| format!(" ({it})"));
        let remark = match row.published.clips {
            Some(clips) if clips as f64 == ours => continue,
            Some(clips) => format!(
                "The published values{of} are of {clips} clips; these are of {ours} clips, so the two lines are not a \
                 comparison."
            ),
            None => format!(
                "The pipeline does not say of how many clips the published values{of} are (`paper: {{ clips: N }}`); \
                 these are of {ours}. Of other clips the two lines are not a comparison."
            ),
        };
        if !remarks.contains(&remark) {
            remarks.push(remark);
        }
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scores::{ScoredRow, sets::Clips};
    use cache::{metric::Direction, record::Published};

    /// Rows with a published and an own value of a geometric metric and of one by labels.
    fn table(rows: &[[(f64, f64); 2]]) -> ScoreTable {
        let metric = |name: &str, uses_labels| {
            let direction =
                Some(if uses_labels { Direction::Maximize } else { Direction::Minimize });
            Metric { direction, uses_labels, ..Metric::named(name) }
        };
        let row = |(at, values): (usize, &[(f64, f64); 2])| {
            let named = |of: fn(&(f64, f64)) -> f64| {
                [("spread".to_owned(), of(&values[0])), ("ari".to_owned(), of(&values[1]))].into()
            };
            ScoredRow {
                title: format!("row {at}"),
                paper: named(|it| it.0),
                values: named(|it| it.1),
                clips: [(0, Clips::default())].into(),
                ..ScoredRow::default()
            }
        };
        ScoreTable {
            rows: rows.iter().enumerate().map(row).collect(),
            columns: vec![metric("spread", false), metric("ari", true)],
            ..ScoreTable::default()
        }
    }

    fn sentences(rows: &[[(f64, f64); 2]]) -> String {
        format!("{:?}", pattern(&table(rows)).expect("a pattern"))
    }

    #[test]
    fn an_order_is_found_turned_around_or_found_in_part() {
        // Smaller is better by the first metric, larger by the second.
        let both = sentences(&[[(1.0, 0.9), (0.1, 0.3)], [(2.0, 1.0), (0.2, 0.2)]]);
        assert!(
            both.contains("(spread) this run reproduces the published order of the rows"),
            "{both}"
        );
        assert!(both.contains("row 0 is published as the best, and is so here"), "{both}");
        assert!(both.contains("(ari) this run reverses the published order of the rows"), "{both}");
        assert!(both.contains("row 1 is published as the best, and is not so here"), "{both}");
        let part = sentences(&[
            [(1.0, 1.0), (0.3, 0.3)],
            [(2.0, 2.0), (0.2, 0.1)],
            [(3.0, 3.0), (0.1, 0.2)],
        ]);
        assert!(part.contains("in 2 of 3 comparisons of two rows"), "{part}");
        assert!(part.contains("row 1 is published ahead of row 2 by ari"), "{part}");
    }

    #[test]
    fn one_row_has_no_order() {
        assert_eq!(pattern(&table(&[[(1.0, 1.0), (0.1, 0.1)]])), None);
        let mut two = table(&[[(1.0, 1.0), (0.1, 0.1)], [(2.0, 2.0), (0.2, 0.2)]]);
        two.rows[1].paper.clear();
        assert_eq!(pattern(&two), None);
    }

    #[test]
    fn the_pipeline_says_of_how_many_clips_published_values_are() {
        let mut table = table(&[[(1.0, 1.0), (0.1, 0.1)]]);
        table.rows[0].values.insert("n_clips".to_owned(), 15.0);
        assert!(remarks(&table)[0].contains("does not say of how many clips"));
        table.rows[0].published = Published { source: Some("Me".to_owned()), clips: Some(20) };
        assert!(remarks(&table)[0].contains("(Me) are of 20 clips; these are of 15 clips"));
        table.rows[0].published.clips = Some(15);
        assert!(remarks(&table).is_empty());
    }
}
