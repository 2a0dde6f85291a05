//! The inputs of a figure.

use super::{style::Stretch, words::Words};
use crate::{draw::Shape, scores::ScoreTable};
use cache::{Artifact, Table, record::Figure};
use std::collections::BTreeMap;

/// The inputs available to a figure.
pub struct Source<'a> {
    /// The figure as specified.
    pub figure: &'a Figure,
    /// The scores at each point of the sweep, if the figure is drawn from them.
    pub table: ScoreTable,
    /// The point that the table shows, if there is one among those of a multiverse.
    pub shown: Vec<(String, serde_json::Value)>,
    /// The factors of the width and the height of its panels.
    pub stretch: Stretch,
    /// Other names for some that would be shown.
    pub labels: BTreeMap<String, String>,
    /// Artifacts by role.
    pub inputs: BTreeMap<String, Vec<Input>>,
}

/// An artifact and its origin.
pub struct Input {
    /// The step that made it.
    pub step: String,
    /// The output port.
    pub port: String,
    /// The words for it.
    pub words: Words,
    /// The content.
    pub artifact: Artifact,
}

impl Source<'_> {
    /// The artifacts of a role.
    pub fn all(&self, role: &str) -> &[Input] {
        self.inputs.get(role).map_or(&[], Vec::as_slice)
    }

    /// The first artifact of a role.
    pub fn one(&self, role: &str) -> Result<&Input, String> {
        self.all(role).first().ok_or_else(|| format!("nothing was given for `{role}`"))
    }

    /// A setting that is a count.
    pub fn count(&self, name: &str, default: usize) -> usize {
        let value = self.figure.options.get(name).and_then(serde_json::Value::as_u64);
        value.map_or(default, |value| value as usize)
    }

    /// A setting that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.figure.options.get(name).and_then(serde_json::Value::as_str)
    }

    /// The metric of a figure of scores and its title: the one that the author names, or the headline of
    /// the table.
    pub fn metric(&self) -> Result<(&str, &str), String> {
        let headline = self.table.headline().or(self.table.columns.first());
        let headline = headline.map(|metric| &*metric.name);
        let metric = self.text("metric").or(headline).ok_or("no row has numbers")?;
        Ok((metric, self.table.title_of(metric)))
    }

    /// The label that is shown in place of a name.
    pub fn label<'n>(&'n self, name: &'n str) -> &'n str {
        self.labels.get(name).map_or(name, String::as_str)
    }

    /// The author's title, or a default.
    pub fn title(&self, default: &str) -> String {
        self.figure.title.clone().unwrap_or_else(|| default.to_owned())
    }
}

impl Input {
    /// The name of it, in words.
    pub fn name(&self) -> &str {
        &self.words.name
    }

    /// The artifact as a table.
    pub fn table(&self) -> Result<&Table, String> {
        self.artifact
            .as_table()
            .ok_or_else(|| format!("`{}.{}` is not a table", self.step, self.port))
    }

    /// A column of real numbers.
    pub fn reals(&self, name: &str) -> Result<&[f64], String> {
        self.table()?.reals(name).ok_or_else(|| self.no_column(name))
    }

    /// A column of whole numbers.
    pub fn ints(&self, name: &str) -> Result<&[i64], String> {
        self.table()?.ints(name).ok_or_else(|| self.no_column(name))
    }

    /// A column of text.
    pub fn text(&self, name: &str) -> Result<&[String], String> {
        self.table()?.text(name).ok_or_else(|| self.no_column(name))
    }

    /// Labels as text, either classes or cluster numbers.
    pub fn labels(&self) -> Result<Vec<String>, String> {
        match (self.table()?.text("label"), self.table()?.ints("label")) {
            (Some(names), _) => Ok(names.to_vec()),
            (None, Some(numbers)) => Ok(numbers.iter().map(ToString::to_string).collect()),
            (None, None) => Err(self.no_column("label")),
        }
    }

    /// A number in the metadata.
    pub fn fact(&self, name: &str) -> Option<f64> {
        self.artifact.meta.get(name).and_then(serde_json::Value::as_f64)
    }

    fn no_column(&self, column: &str) -> String {
        format!("`{}.{}` has no column `{column}` of that type", self.step, self.port)
    }
}

/// The sentences of a caption that count the noise of each step and say `what` becomes of it.
pub fn noise_sentences<'a>(noise: impl Iterator<Item = (&'a str, f64)>, what: &str) -> String {
    let clips =
        |clips| if clips == 1.0 { "1 clip is".to_owned() } else { format!("{clips:.0} clips are") };
    let with_noise = noise.filter(|(_, found)| *found > 0.0);
    with_noise
        .map(|(step, found)| format!(" {}: {} noise, in no cluster; {what}.", step, clips(found)))
        .collect()
}

/// The sentence of a caption that tells of categories that share a colour and a shape.
pub fn repeats_sentence(categories: usize) -> String {
    match categories > Shape::DISTINCT {
        true => format!(" Beyond {} names, colours and shapes repeat.", Shape::DISTINCT),
        false => String::new(),
    }
}

/// Whole numbers by value, then other names in alphabetical order.
pub fn sorted_names(labels: &[String]) -> Vec<String> {
    let key = |name: &String| (name.parse::<i64>().unwrap_or(i64::MAX), name.clone());
    let mut names: Vec<String> = labels.to_vec();
    names.sort_by_key(key);
    names.dedup();
    names
}
