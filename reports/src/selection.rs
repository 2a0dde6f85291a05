//! The number of clusters: what criteria say of each number, and whether any stands out.

use crate::{
    document::{Block, Cell, Column, Row, Table, Text},
    scores,
};
use cache::{Artifact, Kind, Record, Store, StoreError};
use std::collections::BTreeMap;

/// A criterion: its column, its name, its heading, and its decimals.
pub(crate) struct Criterion {
    pub column: &'static str,
    pub name: &'static str,
    pub heading: &'static str,
    pub decimals: usize,
}

/// The criteria, in the order of the table.
pub(crate) const CRITERIA: [Criterion; 4] = [
    Criterion {
        column: "silhouette",
        name: "the silhouette",
        heading: "Silhouette ↑",
        decimals: 3,
    },
    Criterion { column: "gap", name: "the gap statistic", heading: "Gap", decimals: 3 },
    Criterion { column: "bic", name: "BIC", heading: "BIC ↓", decimals: 0 },
    Criterion {
        column: "prediction_strength",
        name: "prediction strength",
        heading: "Prediction strength",
        decimals: 2,
    },
];

/// The silhouette below which there is hardly any structure (Kaufman and Rousseeuw, 1990).
const WEAK: f64 = 0.25;

/// How many criteria must name a number for it to stand out.
const ENOUGH: usize = 3;

/// The number that a criterion names.
pub(crate) fn chosen(artifact: &Artifact, criterion: &str) -> Option<i64> {
    artifact.meta.get("chosen")?.get(criterion)?.as_i64()
}

/// The section on numbers of clusters; empty if no step has criteria. Of several variants of a step the
/// first is shown.
///
/// # Errors
/// When an artifact is missing from the store or damaged.
pub fn blocks(record: &Record, store: &Store) -> Result<Vec<Block>, StoreError> {
    let mut blocks = Vec::new();
    let mut seen = Vec::new();
    for step in &record.steps {
        let Some(digest) = scores::output(step, Kind::Selection) else { continue };
        let base = step.name.split('{').next().unwrap_or(&step.name);
        if seen.contains(&base) {
            continue;
        }
        seen.push(base);
        let artifact = store.get(digest)?;
        if blocks.is_empty() {
            blocks.push(Block::Heading("How many clusters".to_owned()));
        }
        blocks.push(Block::Paragraph(Text::new().code(base).plain(": ").plain(said(&artifact))));
        blocks.extend(table(&artifact).map(Block::Table));
    }
    if !blocks.is_empty() {
        blocks.push(Block::Paragraph(
            "Bold: the number that each criterion names, the largest silhouette, the first gap that the next one does \
             not exceed by more than its error, the smallest BIC, and the last prediction strength of at least 0.8. \
             Silhouette and BIC always name a number; the gap statistic and the prediction strength can say that there \
             is one cluster, which is none."
                .into(),
        ));
    }
    Ok(blocks)
}

fn table(artifact: &Artifact) -> Option<Table> {
    let values = artifact.as_table()?;
    let numbers = values.ints("clusters")?;
    let heads = CRITERIA.iter().map(|it| Column::number(it.heading));
    let columns = std::iter::once(Column::number("k")).chain(heads).collect();
    let row = |(at, k): (usize, &i64)| {
        let cells = CRITERIA.iter().map(|criterion| {
            let value = values.reals(criterion.column).and_then(|own| own.get(at)).copied();
            let value = value.filter(|value| value.is_finite());
            let text = value.map_or("–".to_owned(), |it| format!("{it:.*}", criterion.decimals));
            let text = match chosen(artifact, criterion.column) == Some(*k) {
                true => Text::new().strong(text),
                false => Text::from(text),
            };
            Cell { text, value, id: None }
        });
        let first = Cell::from(k.to_string()).valued(*k as f64);
        Row::new(std::iter::once(first).chain(cells).collect())
    };
    Some(Table { columns, rows: numbers.iter().enumerate().map(row).collect() })
}

/// Whether a number of clusters stands out.
pub(crate) fn said(artifact: &Artifact) -> String {
    let mut votes: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
    let mut silent = Vec::new();
    for criterion in &CRITERIA {
        match chosen(artifact, criterion.column) {
            Some(k) => votes.entry(k).or_default().push(criterion.name),
            None => silent.push(criterion.name),
        }
    }
    let table = artifact.as_table();
    let numbers = table.and_then(|table| table.ints("clusters")).unwrap_or_default();
    let largest = numbers.last().copied().unwrap_or(0);
    let clusters = |k: i64| match k {
        1 => "one cluster, that is none".to_owned(),
        k if k == largest => format!("{k}, the largest that was tried"),
        k => k.to_string(),
    };
    let listed = |names: &[&str]| crate::published::listed(names);
    let winner = votes.iter().max_by_key(|(k, names)| (names.len(), -**k));
    let mut text = match winner {
        Some((1, names)) if names.len() >= ENOUGH => {
            format!("there are no clusters by {}.", listed(names))
        }
        Some((k, names)) if names.len() >= ENOUGH => {
            format!("{k} clusters stand out: {} name this number.", listed(names))
        }
        _ => "no number of clusters stands out, since the criteria do not agree.".to_owned(),
    };
    let agreed = winner.filter(|(_, names)| names.len() >= ENOUGH).map(|(k, _)| *k);
    let others = votes.iter().filter(|(k, _)| Some(**k) != agreed);
    let others: Vec<String> = others
        .map(|(k, names)| {
            let verb = if names.len() == 1 { "names" } else { "name" };
            format!("{} {verb} {}", listed(names), clusters(*k))
        })
        .collect();
    if !others.is_empty() {
        let joined = others.join("; ");
        let mut letters = joined.chars();
        let first = letters.next().map(|it| it.to_uppercase().to_string()).unwrap_or_default();
        text.push_str(&format!(" {first}{}.", letters.as_str()));
    }
    if !silent.is_empty() {
        text.push_str(&format!(" None up to {largest} is named by {}.", listed(&silent)));
    }
    let silhouettes = table.and_then(|table| table.reals("silhouette")).unwrap_or_default();
    let best = silhouettes.iter().copied().filter(|it| it.is_finite()).fold(f64::NAN, f64::max);
    if best < WEAK {
        text.push_str(&format!(
            " The silhouette is at most {best:.2}, and below {WEAK} there is hardly any structure."
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache::Table as Values;
    use serde_json::{Value, json};

    fn says(named: Value, silhouettes: Vec<f64>, expected: &str) {
        let table = Values::new()
            .with_ints("clusters", (1..=silhouettes.len() as i64).collect())
            .with_reals("silhouette", silhouettes);
        let artifact = Artifact::table(Kind::Selection, table).with_meta("chosen", named);
        assert_eq!(said(&artifact), expected);
    }

    #[test]
    fn a_number_stands_out_only_if_criteria_agree() {
        let agreed = json!({ "silhouette": 3, "gap": 3, "bic": 4, "prediction_strength": 3 });
        says(
            agreed,
            vec![f64::NAN, 0.3, 0.5, 0.4],
            "3 clusters stand out: the silhouette, the gap statistic and prediction strength name this number. BIC names \
             4, the largest that was tried.",
        );
        let none = json!({ "silhouette": 2, "gap": null, "bic": 4, "prediction_strength": 1 });
        says(
            none,
            vec![f64::NAN, 0.2, 0.1, 0.1],
            "no number of clusters stands out, since the criteria do not agree. Prediction strength names one cluster, \
             that is none; the silhouette names 2; BIC names 4, the largest that was tried. None up to 4 is named by the \
             gap statistic. The silhouette is at most 0.20, and below 0.25 there is hardly any structure.",
        );
        let one = json!({ "silhouette": 2, "gap": 1, "bic": 1, "prediction_strength": 1 });
        says(
            one,
            vec![f64::NAN, 0.4, 0.3],
            "there are no clusters by the gap statistic, BIC and prediction strength. The silhouette names 2.",
        );
    }
}
