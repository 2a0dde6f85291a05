//! Searches: the objective, and its known values.

use super::{
    node::{Key, Node, Value},
    points::{Point, Reader},
    sweep::error,
};
use crate::ui::{
    diagnostic::{Diagnostic, quote},
    suggest,
};
use cache::metric::Direction;
use std::collections::HashMap;

/// The results of a search so far: the values of its objective.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// The objective at each point, by the labels of the point's values; `None` where it failed.
    pub points: HashMap<Vec<String>, Option<f64>>,
    /// The side on which values are better, if the scores tell.
    pub direction: Option<Direction>,
}

/// The objective of a search, and its state.
#[derive(Clone, Debug)]
pub struct Search {
    /// The step whose scores are used, as it is written, and its place.
    pub step: (String, Node),
    /// The metric to optimise.
    pub metric: String,
    /// The direction, if it is written.
    pub direction: Option<Direction>,
    /// The direction according to the scores, if some are there and tell.
    pub scored: Option<Direction>,
    /// True if results of the last points lead to further points.
    pub more: bool,
    /// The parameter that grows from one rung of a halving search to the next, if there is one.
    pub resource: Option<String>,
}

/// The known values of the objective.
pub struct History<'a> {
    results: &'a Results,
    direction: Direction,
}

impl<'a> History<'a> {
    /// The history of these results. The direction is the one that is written, else that of the
    /// metric; of a metric without one, greater values are better.
    pub fn new(results: &'a Results, written: Option<Direction>) -> Self {
        let direction = written.or(results.direction).unwrap_or(Direction::Maximize);
        Self { results, direction }
    }

    /// The scores of points, of which greater is better; none if one of them is not known yet. A
    /// failed point is worse than any other.
    pub fn scores(&self, reader: &Reader<'_>, points: &[Point]) -> Option<Vec<f64>> {
        let sign = if self.direction == Direction::Maximize { 1.0 } else { -1.0 };
        let score = |point: &Point| {
            let labels = reader.axes.iter().zip(point).map(|(axis, at)| axis.labels[*at].clone());
            let result = self.results.points.get(&labels.collect::<Vec<_>>())?;
            Some(result.filter(|it| it.is_finite()).map_or(f64::NEG_INFINITY, |it| sign * it))
        };
        points.iter().map(score).collect()
    }
}

/// Reads the objective of a sampler that needs one.
pub fn read(reader: &mut Reader<'_>, key: &Key, objective: Option<(Key, Node)>) -> Option<Search> {
    let Some((_, objective)) = objective else {
        reader.cx.push(
            error(format!("`{}` does not know what is good", key.name))
                .at_key(key, "it chooses points by their results")
                .help("add `objective: { metric: STEP.ari }` to the sweep"),
        );
        return None;
    };
    read_objective(reader, &objective)
}

/// Reads the step, the metric and the direction of `{ metric: scores.ari, direction: maximize }`.
fn read_objective(reader: &mut Reader<'_>, node: &Node) -> Option<Search> {
    const EXAMPLE: &str = "write `objective: { metric: STEP.ari }`, or also `direction: minimize`";
    let Value::Map(entries) = &node.value else {
        let message = format!("`objective` must be a map, not {}", node.describe());
        reader.cx.push(error(message).at(node, "not a map").help(EXAMPLE));
        return None;
    };
    let (mut metric, mut direction) = (None, None);
    for (key, node) in entries {
        match (key.name.as_str(), node.text()) {
            ("metric", Some(text)) if text.contains('.') => metric = Some((text, node)),
            ("direction", Some("maximize")) => direction = Some(Direction::Maximize),
            ("direction", Some("minimize")) => direction = Some(Direction::Minimize),
            ("metric", _) => {
                let message = "`metric` names a step and one of its scores";
                reader.cx.push(error(message).at_key(key, "such as `scores.ari`").help(EXAMPLE));
                return None;
            }
            ("direction", _) => {
                let message = "`direction` must be `maximize` or `minimize`";
                reader.cx.push(error(message).at_key(key, "this is neither").help(EXAMPLE));
                return None;
            }
            (name, _) => {
                let message = format!("`objective` has no entry {}", quote(name));
                reader.cx.push(
                    Diagnostic::error("spec::unknown_entry", message)
                        .at_key(key, "unknown")
                        .maybe_help(suggest::help(name, &["metric", "direction"], "it has")),
                );
                return None;
            }
        }
    }
    let Some((text, place)) = metric else {
        reader.cx.push(error("`objective` has no `metric`").at(node, "of what?").help(EXAMPLE));
        return None;
    };
    let (step, metric) = text.rsplit_once('.').unwrap_or((text, ""));
    let (step, metric) = ((step.to_owned(), place.clone()), metric.to_owned());
    Some(Search { step, metric, direction, scored: None, more: false, resource: None })
}
