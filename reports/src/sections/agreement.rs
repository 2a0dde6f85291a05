//! Companions of a table of clusterings: stability over seeds, comparison with chance, and the
//! effect of the number of clusters.

use crate::{
    document::{Block, Cell, Column, Row, Table},
    scores::ScoredRow,
};
use cache::{Column as Values, Digest, Record, Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// The companion sections of every row for which the pipeline asks for them.
pub fn blocks(
    record: &Record,
    rows: &[ScoredRow],
    store: &Store,
) -> Result<Vec<Block>, StoreError> {
    if rows.iter().all(|row| row.companion.is_empty()) {
        return Ok(Vec::new());
    }
    let mut blocks = vec![Block::Heading("Baselines and stability".to_owned())];
    let mut chance = Table {
        columns: vec![
            Column::text(""),
            Column::number("Stability ↑"),
            Column::number("Silhouette"),
            Column::number("Silhouette, Gaussian null"),
            Column::number("Silhouette, shuffled"),
            Column::number("ARI"),
            Column::number("ARI, shuffled"),
            Column::number("Purity"),
            Column::number("Purity, majority class"),
        ],
        rows: Vec::new(),
    };
    for row in rows {
        let beside = |name: &str| number(row.companion.get(name).copied());
        chance.rows.push(Row::new(vec![
            row.title.clone().into(),
            number(stability(row, store)?),
            number(row.value("silhouette")),
            beside("gaussian.silhouette"),
            beside("shuffled.silhouette"),
            number(row.value("ari")),
            beside("shuffled.ari"),
            number(row.value("purity")),
            number(row.value("purity_majority")),
        ]));
    }
    blocks.push(Block::Table(chance));
    let mut legend = "Stability: the mean ARI between the clusterings of each pair of seeds; clusters that change with the \
                      seed say little about the clips. Gaussian null: the same method on a Gaussian distribution with \
                      as many clips and the same effective dimension. Shuffled: the same method on the features with \
                      each column in a random order. Only scores above these are evidence of cluster structure. The \
                      majority class is the purity of a single cluster."
        .to_owned();
    if record.sweep.is_none() {
        legend.push_str(" With one seed, stability cannot be measured.");
    }
    blocks.push(Block::Paragraph(legend.into()));
    blocks.extend(numbers_of_clusters(rows));
    Ok(blocks)
}

fn number(value: Option<f64>) -> Cell {
    let text = value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"));
    Cell { text: text.into(), value, id: None }
}

/// The metrics that compare numbers of clusters, in order of preference: ARI if there are labels,
/// else the silhouette.
const SPEAKS: [(&str, &str); 2] = [("ari", "ARI"), ("silhouette", "Silhouette")];

/// The table of the metric at each number of clusters.
fn numbers_of_clusters(rows: &[ScoredRow]) -> Option<Block> {
    let number_of = |name: &str, metric: &str| -> Option<u64> {
        name.strip_prefix("k=")?.strip_suffix(metric)?.strip_suffix('.')?.parse().ok()
    };
    let (metric, title) = SPEAKS.into_iter().find(|(metric, _)| {
        rows.iter().flat_map(|row| row.companion.keys()).any(|it| number_of(it, metric).is_some())
    })?;
    let of_row = |row: &ScoredRow| -> BTreeMap<u64, f64> {
        let own = row.value("n_clusters").zip(row.value(metric));
        let others = row.companion.iter();
        let others = others.filter_map(|(name, value)| Some((number_of(name, metric)?, *value)));
        others.chain(own.map(|(k, value)| (k as u64, value))).collect()
    };
    let found: Vec<_> = rows.iter().map(of_row).collect();
    let numbers: BTreeSet<u64> = found.iter().flat_map(|of| of.keys().copied()).collect();
    let heads = numbers.iter().map(|k| Column::number(format!("{title}, k = {k}")));
    let mut table = Table {
        columns: std::iter::once(Column::text("")).chain(heads).collect(),
        rows: Vec::new(),
    };
    for (row, of) in rows.iter().zip(&found) {
        let cells = numbers.iter().map(|k| number(of.get(k).copied()));
        table.rows.push(Row::new(std::iter::once(row.title.clone().into()).chain(cells).collect()));
    }
    Some(Block::Table(table))
}

/// The mean ARI between the labels of each pair of seeds. `None` if fewer than two seeds have
/// labels.
fn stability(row: &ScoredRow, store: &Store) -> Result<Option<f64>, StoreError> {
    if row.is_fixed() {
        return Ok(None);
    }
    let mut found: Vec<BTreeMap<String, i64>> = Vec::new();
    for digest in row.labels.values() {
        found.extend(labels(digest, store)?);
    }
    let mut sum = (0.0, 0usize);
    for (at, a) in found.iter().enumerate() {
        for b in &found[at + 1..] {
            let common = a.iter().filter_map(|(clip, a)| Some((*a, *b.get(clip)?)));
            sum = (sum.0 + adjusted_rand(&common.collect::<Vec<_>>()), sum.1 + 1);
        }
    }
    Ok((sum.1 > 0).then(|| sum.0 / sum.1 as f64))
}

fn labels(digest: &Digest, store: &Store) -> Result<Option<BTreeMap<String, i64>>, StoreError> {
    let artifact = store.get(digest)?;
    let Some(table) = artifact.as_table() else { return Ok(None) };
    let (Some(clips), Some(Values::Int(labels))) = (table.text("clip_id"), table.column("label"))
    else {
        return Ok(None);
    };
    Ok(Some(clips.iter().cloned().zip(labels.iter().copied()).collect()))
}

/// The adjusted Rand index of two labelings of the same items: (Σ C(nᵢⱼ, 2) − E) / (M − E), with E
/// = Σ C(aᵢ, 2) · Σ C(bⱼ, 2) / C(n, 2) and M the mean of the two sums. 1 if both agree.
fn adjusted_rand(pairs: &[(i64, i64)]) -> f64 {
    let choose = |n: usize| n as f64 * (n as f64 - 1.0) / 2.0;
    let sum =
        |counts: BTreeMap<(i64, i64), usize>| counts.values().map(|n| choose(*n)).sum::<f64>();
    let count = |key: fn(&(i64, i64)) -> (i64, i64)| {
        let mut counts = BTreeMap::new();
        pairs.iter().for_each(|pair| *counts.entry(key(pair)).or_insert(0) += 1);
        sum(counts)
    };
    let (both, first, second) = (count(|pair| *pair), count(|it| (it.0, 0)), count(|it| (0, it.1)));
    let all = choose(pairs.len());
    let expected = if all > 0.0 { first * second / all } else { 0.0 };
    let most = f64::midpoint(first, second);
    if most == expected { 1.0 } else { (both - expected) / (most - expected) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_of_labels() {
        let ari = |a: &[i64], b: &[i64]| {
            adjusted_rand(&a.iter().copied().zip(b.iter().copied()).collect::<Vec<_>>())
        };
        // The last two are from scikit-learn's documentation.
        assert_eq!(ari(&[0, 0, 1, 1], &[1, 1, 0, 0]), 1.0);
        assert_eq!(ari(&[], &[]), 1.0);
        assert!((ari(&[0, 0, 1, 2], &[0, 0, 1, 1]) - 0.571_428_571_428_571_4).abs() < 1e-15);
        assert!(ari(&[0, 0, 0, 0], &[0, 1, 2, 3]).abs() < 1e-15);
    }
}
