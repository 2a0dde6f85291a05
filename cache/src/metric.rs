//! Scores: values of metrics, with the metadata that tables, figures and searches need.
//!
//! The metadata is part of the artifact, so metrics of external programs are shown as any other.

use crate::{Artifact, Column, Hasher, Kind, Table};
use std::{borrow::Cow, collections::BTreeMap};

/// The name of the metadata field that identifies the clips that were scored.
pub const CLIPS: &str = "clips";

/// The name of the metadata field that identifies the classes with which the clips were compared.
pub const TRUTH: &str = "truth";

/// The direction of a metric: the side on which values are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Larger values are better.
    Maximize,
    /// Smaller values are better.
    Minimize,
}

/// The description of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The name in pipelines and results.
    pub name: Cow<'static, str>,
    /// The name in reports.
    pub title: Cow<'static, str>,
    /// The direction; rows are not ranked by a metric without one.
    pub direction: Option<Direction>,
    /// The number of decimals shown.
    pub decimals: usize,
    /// True if the metric compares with labels, false if it uses only the geometry of the groups.
    pub uses_labels: bool,
    /// True if a table shows the metric by default.
    pub is_shown: bool,
    /// The average value for random groups, for a metric that is 1 where the groups are the
    /// classes.
    pub chance: Option<f64>,
}

impl Metric {
    /// A metric without a direction, with three decimals, that is not shown by default.
    pub const fn new(name: &'static str, title: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            title: Cow::Borrowed(title),
            direction: None,
            decimals: 3,
            uses_labels: false,
            is_shown: false,
            chance: None,
        }
    }

    /// A metric of which only the name is known. It is shown, and rows are not ranked by it.
    pub fn named(name: &str) -> Self {
        let name: Cow<'static, str> = Cow::Owned(name.to_owned());
        Self { title: name.clone(), name, is_shown: true, ..Self::new("", "") }
    }

    /// The title, followed by the arrow of its direction.
    pub fn heading(&self) -> String {
        match self.direction {
            Some(Direction::Maximize) => format!("{} ↑", self.title),
            Some(Direction::Minimize) => format!("{} ↓", self.title),
            None => self.title.to_string(),
        }
    }

    /// A value with its decimals, or a mark for a missing value.
    pub fn value(&self, value: Option<f64>) -> String {
        value.map_or_else(|| "–".to_owned(), |value| unsigned(format!("{value:.*}", self.decimals)))
    }

    /// A value for which larger is better, by which rows are ranked.
    pub fn rank(&self, value: f64) -> Option<f64> {
        self.direction.map(|it| if it == Direction::Maximize { value } else { -value })
    }
}

/// Removes the sign of a number rounded to zero: `0.000` for `-0.000`.
fn unsigned(text: String) -> String {
    let is_zero = text.chars().all(|letter| "-0.".contains(letter));
    if is_zero { text.trim_start_matches('-').to_owned() } else { text }
}

/// One score. If the value is NaN, the note gives the reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// The metric.
    pub metric: Metric,
    /// The value.
    pub value: f64,
    /// The reason why the value is missing, or an empty text.
    pub note: String,
}

/// The columns of scores that describe a metric.
pub const ABOUT: &[&str] = &["title", "direction", "decimals", "uses_labels", "shown", "chance"];

/// Builds the artifact of scores: one row for each score.
pub fn artifact(scores: &[Score]) -> Artifact {
    let text = |of: fn(&Score) -> &str| scores.iter().map(of).map(str::to_owned).collect();
    let ints = |of: fn(&Metric) -> i64| scores.iter().map(|score| of(&score.metric)).collect();
    let reals = |of: fn(&Score) -> f64| scores.iter().map(of).collect();
    let table = Table::new()
        .with("metric", Column::Text(text(|score| &score.metric.name)))
        .with_reals("value", reals(|score| score.value))
        .with("note", Column::Text(text(|score| &score.note)))
        .with("title", Column::Text(text(|score| &score.metric.title)))
        .with("direction", Column::Text(text(|score| direction_name(score.metric.direction))))
        .with_ints("decimals", ints(|metric| metric.decimals as i64))
        .with_ints("uses_labels", ints(|metric| metric.uses_labels.into()))
        .with_ints("shown", ints(|metric| metric.is_shown.into()))
        .with_reals("chance", reals(|score| score.metric.chance.unwrap_or(f64::NAN)));
    Artifact::table(Kind::Scores, table)
}

fn direction_name(direction: Option<Direction>) -> &'static str {
    match direction {
        Some(Direction::Maximize) => "maximize",
        Some(Direction::Minimize) => "minimize",
        None => "",
    }
}

/// The scores of a table; `known` fills in the columns that are absent.
///
/// # Errors
/// The end of a sentence about the table, if a column is missing or malformed.
pub fn scores(table: &Table, known: impl Fn(&str) -> Option<Metric>) -> Result<Vec<Score>, String> {
    let names = table.text("metric").ok_or("has no column of text `metric`")?;
    let numbers = |name: &str| match table.column(name) {
        None => Ok(None),
        Some(Column::Real(values)) => Ok(Some(values.clone())),
        Some(Column::Int(values)) => Ok(Some(values.iter().map(|&it| it as f64).collect())),
        Some(_) => Err(format!("has no column of numbers `{name}`")),
    };
    let values = numbers("value")?.ok_or("has no column of numbers `value`")?;
    let (notes, titles) = (table.text("note"), table.text("title"));
    let directions = table.text("direction");
    let [decimals, uses_labels, shown, chance] = ["decimals", "uses_labels", "shown", "chance"];
    let [decimals, uses_labels, shown, chance] =
        [numbers(decimals)?, numbers(uses_labels)?, numbers(shown)?, numbers(chance)?];
    let number = |column: &Option<Vec<f64>>, at: usize| {
        column.as_ref().map(|values| values[at]).filter(|value| !value.is_nan())
    };
    let word = |column: Option<&[String]>, at: usize| {
        column.map(|words| words[at].clone()).filter(|word| !word.is_empty())
    };
    let mut scores = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        let mut metric = known(name).unwrap_or_else(|| Metric::named(name));
        if let Some(title) = word(titles, at) {
            metric.title = title.into();
        }
        match word(directions, at).as_deref() {
            Some("maximize") => metric.direction = Some(Direction::Maximize),
            Some("minimize") => metric.direction = Some(Direction::Minimize),
            Some(other) => {
                return Err(format!(
                    "has the direction `{other}` for `{name}`, which is neither `maximize` nor `minimize`"
                ));
            }
            None => {}
        }
        if let Some(count) = number(&decimals, at) {
            if !(0.0..=12.0).contains(&count) {
                return Err(format!("has {count} decimals for `{name}`, not 0 to 12"));
            }
            metric.decimals = count as usize;
        }
        metric.uses_labels = number(&uses_labels, at).map_or(metric.uses_labels, |it| it != 0.0);
        metric.is_shown = number(&shown, at).map_or(metric.is_shown, |it| it != 0.0);
        metric.chance = number(&chance, at).or(metric.chance);
        let note = word(notes, at).unwrap_or_default();
        scores.push(Score { metric, value: values[at], note });
    }
    Ok(scores)
}

/// The name of a set of clips, which does not depend on their order.
pub fn clip_set_digest<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    labelled_set_digest(ids.into_iter().map(|id| (id, "")))
}

/// The name of clips with their classes, which does not depend on their order.
pub fn labelled_set_digest<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let sorted: BTreeMap<&str, &str> = labels.into_iter().collect();
    let mut hasher = Hasher::new("clips-v1");
    for (id, label) in sorted {
        hasher.text(id).text(label);
    }
    hasher.finish().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_survive_their_artifact() {
        let metric = Metric {
            direction: Some(Direction::Minimize),
            decimals: 1,
            uses_labels: true,
            chance: Some(0.5),
            ..Metric::named("loss")
        };
        let scores = [
            Score { metric, value: 2.0, note: String::new() },
            Score { metric: Metric::new("b", "B"), value: f64::INFINITY, note: "none".to_owned() },
        ];
        let artifact = artifact(&scores);
        let read = super::scores(artifact.as_table().expect("a table"), |_| None);
        assert_eq!(read.expect("scores"), scores);
    }

    #[test]
    fn what_a_table_leaves_out_is_filled_in() {
        let table = Table::new().with_text("metric", ["ari", "own"]);
        let table = table.with_ints("value", vec![1, 2]).with_text("direction", ["", "minimize"]);
        let known = |name: &str| (name == "ari").then(|| Metric::new("ari", "ARI"));
        let read = scores(&table, known).expect("scores");
        assert_eq!((&*read[0].metric.title, read[0].value), ("ARI", 1.0));
        assert_eq!(read[1].metric.heading(), "own ↓");
        let wrong = table.with_text("title", ["", ""]).with_ints("decimals", vec![3, 99]);
        assert!(scores(&wrong, known).expect_err("99 decimals").contains("99 decimals for `own`"));
    }

    #[test]
    fn a_number_that_is_rounded_to_nothing_has_no_sign() {
        let metric = Metric::new("a", "A");
        assert_eq!(metric.value(Some(-1e-9)), "0.000");
        assert_eq!(metric.value(Some(-0.25)), "-0.250");
        assert_eq!(metric.value(None), "–");
    }

    #[test]
    fn names_of_clips_know_no_order() {
        assert_eq!(clip_set_digest(["a", "b"]), clip_set_digest(["b", "a"]));
        assert_ne!(clip_set_digest(["a", "b"]), clip_set_digest(["ab"]));
        assert_ne!(
            labelled_set_digest([("a", "x"), ("b", "y")]),
            labelled_set_digest([("a", "y"), ("b", "x")])
        );
    }
}
