//! Strategies that choose points by results: which points a search has come to, given what is known.
//!
//! A search is a pure function of its settings and of the results so far. It begins anew in every
//! run and stops at the first batch whose results are not there yet, so a killed search goes on
//! where it was: what it has run is in the store.

use super::{
    node::{Key, Node, Value},
    points::{Draw, Point, Reader},
    sample::{self, Spread},
    sweep::{HALVING_KEYS, TPE_KEYS, fault},
    tpe,
};
use crate::say::{
    fault::{Fault, quote},
    suggest,
};
use std::collections::HashMap;

/// The objective at points, by the labels of their values; `None` where it could not be had.
pub type Results = HashMap<Vec<String>, Option<f64>>;

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Search {
    /// The step whose scores are asked, as it is written, and where.
    pub step: (String, Node),
    /// The metric.
    pub metric: String,
    /// Whether more is better.
    pub maximize: bool,
    /// Whether results of the last points lead to others.
    pub more: bool,
    /// The parameter that grows from rung to rung.
    pub resource: Option<String>,
}

/// Reads `tpe` or `halving`, and finds the points that the search has come to.
pub fn read(
    reader: &mut Reader<'_>,
    key: &Key,
    node: Node,
    objective: Option<(Key, Node)>,
    results: &Results,
) -> Option<(Search, Vec<Point>)> {
    let keys = if key.name == "tpe" { TPE_KEYS } else { HALVING_KEYS };
    let draw = reader.draw(key, node, keys)?;
    let Some((_, objective)) = objective else {
        reader.cx.push(
            fault(format!("`{}` does not know what is good", key.name))
                .at_key(key, "it chooses points by their results")
                .help("add `objective: { metric: STEP.ari, direction: maximize }` to the sweep"),
        );
        return None;
    };
    let mut search = read_objective(reader, &objective)?;
    let sign = if search.maximize { 1.0 } else { -1.0 };
    let known = |reader: &Reader<'_>, point: &Point| {
        let labels = reader.axes.iter().zip(point).map(|(axis, at)| axis.labels[*at].clone());
        let result = results.get(&labels.collect::<Vec<_>>())?;
        // What failed is worse than anything.
        Some(result.filter(|it| it.is_finite()).map_or(f64::NEG_INFINITY, |it| sign * it))
    };
    let points = if key.name == "tpe" {
        by_density(reader, &draw, &mut search, known)
    } else {
        by_halves(reader, key, &draw, &mut search, known)
    }?;
    Some((search, points))
}

/// The step and the metric of `{ metric: scores.ari, direction: maximize }`.
fn read_objective(reader: &mut Reader<'_>, node: &Node) -> Option<Search> {
    const EXAMPLE: &str = "write `objective: { metric: STEP.ari, direction: maximize }`";
    let Value::Map(entries) = &node.value else {
        let message = format!("`objective` must be a map, not {}", node.describe());
        reader.cx.push(fault(message).at(node, "not a map").help(EXAMPLE));
        return None;
    };
    let (mut metric, mut maximize) = (None, true);
    for (key, node) in entries {
        match (key.name.as_str(), node.text()) {
            ("metric", Some(text)) if text.contains('.') => metric = Some((text, node)),
            ("direction", Some("maximize")) => maximize = true,
            ("direction", Some("minimize")) => maximize = false,
            ("metric", _) => {
                let message = "`metric` names a step and one of its scores";
                reader.cx.push(fault(message).at_key(key, "such as `scores.ari`").help(EXAMPLE));
                return None;
            }
            ("direction", _) => {
                let message = "`direction` must be `maximize` or `minimize`";
                reader.cx.push(fault(message).at_key(key, "this is neither").help(EXAMPLE));
                return None;
            }
            (name, _) => {
                let message = format!("`objective` has no entry {}", quote(name));
                reader.cx.push(
                    Fault::error("spec::unknown_entry", message)
                        .at_key(key, "unknown")
                        .maybe_help(suggest::help(name, &["metric", "direction"], "it has")),
                );
                return None;
            }
        }
    }
    let Some((text, place)) = metric else {
        reader.cx.push(fault("`objective` has no `metric`").at(node, "of what?").help(EXAMPLE));
        return None;
    };
    let (step, metric) = text.rsplit_once('.').unwrap_or((text, ""));
    let (step, metric) = ((step.to_owned(), place.clone()), metric.to_owned());
    Some(Search { step, metric, maximize, more: false, resource: None })
}

/// The tree-structured Parzen estimator: some points at random, then batches where good points are
/// dense and bad ones are not.
fn by_density(
    reader: &mut Reader<'_>,
    draw: &Draw,
    search: &mut Search,
    known: impl Fn(&Reader<'_>, &Point) -> Option<f64>,
) -> Option<Vec<Point>> {
    let (mut start, mut batch) = (10, 5);
    for (key, node) in &draw.own {
        let count = usize::try_from(reader.count(key, node, 1)?).ok()?;
        if key.name == "start" { start = count } else { batch = count }
    }
    let first = sample::random(draw.seed, start.min(draw.n), draw.spreads.len());
    let mut points = reader.points_at(&draw.spreads, first)?;
    while points.len() < draw.n {
        let scores: Option<Vec<f64>> = points.iter().map(|point| known(reader, point)).collect();
        let Some(scores) = scores else {
            search.more = true;
            break;
        };
        let places: Vec<Vec<f64>> =
            points.iter().map(|point| places(reader, &draw.spreads, point)).collect();
        let before = points.len();
        let choices: Vec<usize> = draw.spreads.iter().map(Spread::choices).collect();
        let wanted = batch.min(draw.n - before);
        for place in tpe::propose(&places, &scores, &choices, draw.seed, before as u32) {
            let point = reader.point_at(&draw.spreads, &place)?;
            if !points.contains(&point) {
                points.push(point);
            }
            if points.len() - before == wanted {
                break;
            }
        }
        // A space of few points is used up.
        if points.len() == before {
            break;
        }
    }
    Some(points)
}

fn places(reader: &Reader<'_>, spreads: &[Spread], point: &Point) -> Vec<f64> {
    let axes = reader.axes.iter().zip(spreads).zip(point);
    axes.map(|((axis, spread), at)| spread.place(&axis.values[*at])).collect()
}

/// Successive halving: all points with a little of the resource, one in `eta` of them with `eta`
/// times as much, and so on. A step that trains longer goes on from where it was.
fn by_halves(
    reader: &mut Reader<'_>,
    key: &Key,
    draw: &Draw,
    search: &mut Search,
    known: impl Fn(&Reader<'_>, &Point) -> Option<f64>,
) -> Option<Vec<Point>> {
    let (mut resource, mut from, mut to, mut eta) = (None, None, None, 3);
    for (key, node) in &draw.own {
        match key.name.as_str() {
            "resource" => resource = node.text().map(|text| (text.to_owned(), node)),
            "from" => from = Some((reader.count(key, node, 1)?, node)),
            "to" => to = Some(reader.count(key, node, 1)?),
            _ => eta = reader.count(key, node, 2)?,
        }
    }
    let (Some((name, place)), Some((from, from_node)), Some(to)) = (resource, from, to) else {
        reader.cx.push(
            fault("`halving` needs `resource`, `from` and `to`")
                .at_key(key, "what grows from rung to rung?")
                .help("write `halving: { n: 27, resource: vae.epochs, from: 3, to: 27, over: … }`"),
        );
        return None;
    };
    if to < from {
        let message = format!("`to` is {to}, which is less than `from`, {from}");
        reader.cx.push(fault(message).at_key(key, "rungs grow"));
        return None;
    }
    search.resource = Some(name.clone());
    reader.add_axis(&Key { name, span: place.span.clone(), origin: place.origin.clone() })?;
    let places = sample::random(draw.seed, draw.n, draw.spreads.len());
    let mut rung = reader.points_at(&draw.spreads, places)?;
    let (mut points, mut amount) = (Vec::new(), from);
    loop {
        let value = Node { value: Value::Int(amount.into()), ..from_node.clone_bare() };
        let last = reader.axes.len() - 1;
        let at = reader.axes[last].intern(reader.cx, &value)?;
        let full: Vec<Point> = rung.iter().map(|point| [&point[..], &[at]].concat()).collect();
        points.extend(full.iter().cloned());
        if amount >= to {
            return Some(points);
        }
        let scores: Option<Vec<f64>> = full.iter().map(|point| known(reader, point)).collect();
        let Some(scores) = scores else {
            search.more = true;
            return Some(points);
        };
        let mut order: Vec<usize> = (0..rung.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        order.truncate(rung.len().div_ceil(eta as usize));
        order.sort_unstable();
        rung = order.into_iter().map(|at| rung[at].clone()).collect();
        amount = amount.saturating_mul(eta).min(to);
    }
}
