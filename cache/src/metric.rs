//! Scores: values of metrics, and all that a table, a figure or a search has to know of a metric.
//!
//! It stands in the artifact itself, so a metric that a user's program made is shown as any other.

use crate::{Artifact, Column, Hasher, Kind, Table};
use std::{borrow::Cow, collections::BTreeMap};

/// The metadata of scores that names the clips which were scored.
pub const CLIPS: &str = "clips";

/// The metadata of scores that names the classes which the clips were held against.
pub const TRUTH: &str = "truth";

/// Whether more of a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More is better.
    Maximize,
    /// Less is better.
    Minimize,
}

/// What is to be known of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name in pipelines and results.
    pub name: Cow<'static, str>,
    /// Its name for readers.
    pub title: Cow<'static, str>,
    /// Which way it counts; rows are not ranked by one that counts neither way.
    pub direction: Option<Direction>,
    /// Decimals that are shown.
    pub decimals: usize,
    /// Whether it judges by labels rather than by the groups' own geometry.
    pub uses_labels: bool,
    /// Whether a table has a column of it if nobody says which columns it shall have.
    pub is_shown: bool,
    /// What random groups come to on average, for a metric that is 1 where the groups are the classes.
    pub chance: Option<f64>,
}

impl Metric {
    /// A metric that counts neither way, has three decimals and is not shown.
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

    /// A metric of which nothing but the name is known: it is shown, and nothing is ranked by it.
    pub fn named(name: &str) -> Self {
        let name: Cow<'static, str> = Cow::Owned(name.to_owned());
        Self { title: name.clone(), name, is_shown: true, ..Self::new("", "") }
    }

    /// The arrow that says which way it counts, after the title.
    pub fn heading(&self) -> String {
        match self.direction {
            Some(Direction::Maximize) => format!("{} ↑", self.title),
            Some(Direction::Minimize) => format!("{} ↓", self.title),
            None => self.title.to_string(),
        }
    }

    /// A value with its decimals, or that there is none.
    pub fn value(&self, value: Option<f64>) -> String {
        value.map_or_else(|| "–".to_owned(), |value| unsigned(format!("{value:.*}", self.decimals)))
    }

    /// A value that is larger the better, by which rows are ranked.
    pub fn rank(&self, value: f64) -> Option<f64> {
        self.direction.map(|it| if it == Direction::Maximize { value } else { -value })
    }
}

/// `0.000` for `-0.000`: a number that is rounded to nothing has no sign.
fn unsigned(text: String) -> String {
    let is_zero = text.chars().all(|letter| "-0.".contains(letter));
    if is_zero { text.trim_start_matches('-').to_owned() } else { text }
}

/// One score; where its value is NaN, the note says why.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Of what.
    pub metric: Metric,
    /// The value.
    pub value: f64,
    /// Why there is none, or nothing.
    pub note: String,
}

/// The columns of scores that say what a metric is.
pub const ABOUT: &[&str] = &["title", "direction", "decimals", "uses_labels", "shown", "chance"];

/// The artifact of scores: one row a score.
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

/// The scores of a table; `known` fills in what its columns leave out.
///
/// # Errors
/// The end of a sentence about the table: what is wrong with it.
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

/// The name of a set of clips, in whatever order they come.
pub fn clips_name<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    labels_name(ids.into_iter().map(|id| (id, "")))
}

/// The name of clips with their classes, in whatever order they come.
pub fn labels_name<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
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
        assert_eq!(clips_name(["a", "b"]), clips_name(["b", "a"]));
        assert_ne!(clips_name(["a", "b"]), clips_name(["ab"]));
        assert_ne!(labels_name([("a", "x"), ("b", "y")]), labels_name([("a", "y"), ("b", "x")]));
    }
}
