//! The number of clusters that criteria name, and whether any stands out.

use crate::quantities::listed;
use cache::Artifact;
use std::collections::BTreeMap;

/// A criterion: its column, its name, its heading, and its decimals.
pub struct Criterion {
    pub column: &'static str,
    pub name: &'static str,
    pub heading: &'static str,
    pub decimals: usize,
}

/// The criteria, in the order of the table.
pub const CRITERIA: [Criterion; 4] = [
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

/// The number of criteria that must name a number for it to stand out.
const ENOUGH: usize = 3;

/// The number that a criterion names.
pub fn chosen(artifact: &Artifact, criterion: &str) -> Option<i64> {
    artifact.meta.get("chosen")?.get(criterion)?.as_i64()
}

/// Describes whether a number of clusters stands out.
pub fn describe(artifact: &Artifact) -> String {
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
    use cache::{Kind, Table as Values};
    use serde_json::{Value, json};

    fn check(named: Value, silhouettes: Vec<f64>, expected: &str) {
        let table = Values::new()
            .with_ints("clusters", (1..=silhouettes.len() as i64).collect())
            .with_reals("silhouette", silhouettes);
        let artifact = Artifact::table(Kind::Selection, table).with_meta("chosen", named);
        assert_eq!(describe(&artifact), expected);
    }

    #[test]
    fn a_number_stands_out_only_if_criteria_agree() {
        let agreed = json!({ "silhouette": 3, "gap": 3, "bic": 4, "prediction_strength": 3 });
        check(
            agreed,
            vec![f64::NAN, 0.3, 0.5, 0.4],
            "3 clusters stand out: the silhouette, the gap statistic and prediction strength name this number. BIC names \
             4, the largest that was tried.",
        );
        let none = json!({ "silhouette": 2, "gap": null, "bic": 4, "prediction_strength": 1 });
        check(
            none,
            vec![f64::NAN, 0.2, 0.1, 0.1],
            "no number of clusters stands out, since the criteria do not agree. Prediction strength names one cluster, \
             that is none; the silhouette names 2; BIC names 4, the largest that was tried. None up to 4 is named by the \
             gap statistic. The silhouette is at most 0.20, and below 0.25 there is hardly any structure.",
        );
        let one = json!({ "silhouette": 2, "gap": 1, "bic": 1, "prediction_strength": 1 });
        check(
            one,
            vec![f64::NAN, 0.4, 0.3],
            "there are no clusters by the gap statistic, BIC and prediction strength. The silhouette names 2.",
        );
    }
}
