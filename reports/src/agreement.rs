//! Companions of a table of clusters: whether other seeds find the same groups, and what is reached
//! without any clustering at all.

use crate::{
    document::{Block, Cell, Column, Row, Table, Text},
    scores::ScoredRow,
};
use cache::{Column as Values, Digest, Record, Store, StoreError};
use std::collections::BTreeMap;

/// The companions of every row, where the pipeline asks for them.
pub fn blocks(
    record: &Record,
    rows: &[ScoredRow],
    store: &Store,
) -> Result<Vec<Block>, StoreError> {
    if record.sweep.as_ref().is_none_or(|sweep| !sweep.companions) || rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut table = Table {
        columns: vec![
            Column::text(""),
            Column::number("Stability ↑"),
            Column::number("Purity"),
            Column::number("Purity of the commonest label"),
            Column::number("Silhouette"),
            Column::number("Silhouette without clusters"),
        ],
        rows: Vec::new(),
    };
    for row in rows {
        let stability = stability(row, store)?;
        let number = |value: Option<f64>| Cell {
            text: value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}")).into(),
            value,
            id: None,
        };
        table.rows.push(Row::new(vec![
            row.title.clone().into(),
            number(stability),
            number(row.value("purity")),
            number(row.value("purity_majority")),
            number(row.value("silhouette")),
            number(row.reference.get("silhouette").copied()),
        ]));
    }
    Ok(vec![
        Block::Heading("Beside the clusters".to_owned()),
        Block::Table(table),
        Block::Paragraph(Text::from(
            "Stability: the mean ARI between the groups of any two seeds. Groups that change with the seed say little \
             of the clips. Purity of the commonest label: what calling every clip by it reaches. Silhouette without \
             clusters: of a Gaussian cloud of the same covariance, where a row names such a reference.",
        )),
    ])
}

/// The mean ARI between the labels of every two seeds; none where fewer than two seeds have labels.
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

/// The adjusted Rand index of two labellings of the same things: (Σ C(nᵢⱼ, 2) − E) / (M − E), with
/// E = Σ C(aᵢ, 2) · Σ C(bⱼ, 2) / C(n, 2) and M the mean of the two sums. 1 where both are alike.
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
        // scikit-learn's documentation has the last two.
        assert_eq!(ari(&[0, 0, 1, 1], &[1, 1, 0, 0]), 1.0);
        assert_eq!(ari(&[], &[]), 1.0);
        assert!((ari(&[0, 0, 1, 2], &[0, 0, 1, 1]) - 0.571_428_571_428_571_4).abs() < 1e-15);
        assert!(ari(&[0, 0, 0, 0], &[0, 1, 2, 3]).abs() < 1e-15);
    }
}
