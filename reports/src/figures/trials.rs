//! Axes of what differs between the trials of a sweep: parameters and metrics.

use super::source::Source;
use crate::{
    draw::{Scale, axis::brief},
    scores::ScoredRow,
};
use serde_json::Value;

/// The ratio of the largest to the smallest number from which an axis is logarithmic.
const STEEP: f64 = 50.0;

/// An axis: numbers on a scale, or words side by side in the order in which they occur.
pub struct Axis {
    /// The scale; words lie at 0, 1, 2, and so on.
    pub scale: Scale,
    words: Vec<String>,
}

impl Axis {
    /// The axis on which all these values lie. A metric is never on a logarithmic one.
    pub fn of<'v>(values: impl Iterator<Item = &'v Value> + Clone, is_metric: bool) -> Self {
        let numbers = values.clone().map(Value::as_f64).collect::<Option<Vec<f64>>>();
        if let Some(numbers) = numbers {
            let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
            let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let is_steep = !is_metric && low > 0.0 && high / low >= STEEP;
            let scale = match is_steep {
                true => Scale::log_around(numbers),
                false => Scale::around(numbers, false),
            };
            return Self { scale, words: Vec::new() };
        }
        let mut words: Vec<String> = Vec::new();
        for word in values.map(tick_label) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        Self { scale: Scale::Linear(-0.5, words.len() as f64 - 0.5), words }
    }

    /// The number at which a value lies.
    pub fn number(&self, value: &Value) -> f64 {
        match self.words.iter().position(|word| *word == tick_label(value)) {
            Some(at) => at as f64,
            None => value.as_f64().unwrap_or(f64::NAN),
        }
    }

    /// The ticks: about `most` numbers, or every word.
    pub fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        match self.words.is_empty() {
            true => self.scale.ticks(most),
            false => {
                self.words.iter().enumerate().map(|(at, word)| (at as f64, word.clone())).collect()
            }
        }
    }
}

/// A value as a tick shows it.
fn tick_label(value: &Value) -> String {
    match (value.as_str(), value.as_f64()) {
        (Some(text), _) => text.to_owned(),
        (None, Some(number)) => brief(number),
        (None, None) => value.to_string(),
    }
}

/// The parameter or the metric of that name, of one row.
pub fn value(row: &ScoredRow, name: &str) -> Option<Value> {
    let parameter = row.point.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
    parameter.or_else(|| row.value(name).map(Value::from))
}

/// The names of rows in their order, each once.
pub fn names(rows: &[ScoredRow]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.name.as_str()) {
            names.push(&row.name);
        }
    }
    names
}

/// The parameters of the rows, in the order in which they occur.
pub fn parameters<'r>(rows: impl Iterator<Item = &'r ScoredRow>) -> Vec<&'r str> {
    let mut found: Vec<&str> = Vec::new();
    for (name, _) in rows.flat_map(|row| &row.point) {
        if !found.contains(&name.as_str()) {
            found.push(name);
        }
    }
    found
}

/// The words of a caption about trials with several seeds.
pub fn over_seeds(source: &Source<'_>) -> &'static str {
    match source.table.rows.iter().any(|row| row.seeds.len() > 1) {
        true => ", the mean over its seeds",
        false => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_lie_side_by_side_and_steep_numbers_by_factors() {
        let words = [json!("a"), json!(2), json!("a"), json!([1, 2])];
        let axis = Axis::of(words.iter(), false);
        assert_eq!(words.each_ref().map(|word| axis.number(word)), [0.0, 1.0, 0.0, 2.0]);
        assert_eq!(axis.ticks(3)[2].1, "[1,2]");
        let steep = [json!(0.001), json!(1)];
        assert!(matches!(Axis::of(steep.iter(), false).scale, Scale::Log(..)));
        assert!(matches!(Axis::of(steep.iter(), true).scale, Scale::Linear(..)));
    }
}
