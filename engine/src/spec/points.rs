//! The points of a sweep: the reader that samplers use, and the points that are added or left out.

use super::{
    context::Context,
    expand,
    node::{Key, Node, Value},
    samplers::ParamDistribution,
    sweep::{Axis, MAX_AXES, MAX_VARIANTS, Steps, error, label, label_or_error, target},
    vars::Variables,
};
use crate::{
    model::Span,
    ui::{
        diagnostic::{Diagnostic, listed, quote},
        suggest,
    },
};
use std::collections::{HashMap, HashSet};

/// A point: for each axis, the number of a value.
pub type Point = Vec<usize>;

/// An item of `exclude`.
struct Exclusion {
    /// The axes that the item names, and the labels of their values.
    values: Vec<(usize, String)>,
    /// The place of the item in the file.
    span: Span,
    /// True if the item left out a point.
    met: bool,
}

/// Reads points, and collects the axes that they vary.
pub struct Reader<'a> {
    /// The context, with the diagnostics.
    pub cx: &'a mut Context,
    vars: &'a mut Variables,
    steps: &'a Steps,
    /// The axes of the sweep.
    pub axes: Vec<Axis>,
    /// The points of `include`, and their places in the file.
    included: Vec<Point>,
    included_at: Vec<Span>,
    excluded: Vec<Exclusion>,
}

impl<'a> Reader<'a> {
    /// A reader without axes.
    pub fn new(cx: &'a mut Context, vars: &'a mut Variables, steps: &'a Steps) -> Self {
        let (included, included_at, excluded) = (Vec::new(), Vec::new(), Vec::new());
        Self { cx, vars, steps, axes: Vec::new(), included, included_at, excluded }
    }

    /// A tree with its variables filled in.
    pub fn fill(&mut self, node: &Node) -> Node {
        self.vars.fill(self.cx, node, &[])
    }

    /// The label of a value in names; a value that cannot have one is reported.
    pub fn label(&mut self, value: &Node) -> Option<String> {
        label_or_error(self.cx, value)
    }

    /// The point at a position in the unit cube.
    pub fn point_at(&mut self, over: &[ParamDistribution], place: &[f64]) -> Option<Point> {
        let axes = self.axes.iter_mut().zip(over).zip(place);
        axes.map(|((axis, distribution), u)| axis.intern(self.cx, &distribution.at(*u))).collect()
    }

    /// True if the point at a position in the unit cube is neither excluded nor included
    /// explicitly.
    pub fn is_free(&mut self, over: &[ParamDistribution], place: &[f64]) -> bool {
        let labels = over.iter().zip(place).map(|(distribution, u)| label(&distribution.at(*u)));
        let Some(labels) = labels.collect::<Option<Vec<String>>>() else { return false };
        let same = |point: &Point| {
            let own = self.axes.iter().zip(point).map(|(axis, at)| &axis.labels[*at]);
            own.eq(&labels)
        };
        !self.included.iter().any(same) && !self.is_excluded(&labels)
    }

    fn is_excluded(&mut self, labels: &[String]) -> bool {
        let mut excluded = false;
        for item in &mut self.excluded {
            let met = item.values.iter().all(|(at, label)| labels.get(*at) == Some(label));
            item.met |= met;
            excluded |= met;
        }
        excluded
    }

    /// The place where `exclude` names values of an axis, if it does.
    pub fn excludes(&self, axis: usize) -> Option<Span> {
        let names = |item: &&Exclusion| item.values.iter().any(|(at, _)| *at == axis);
        self.excluded.iter().find(names).map(|item| item.span.clone())
    }

    /// Reads the points of `include`.
    pub fn read_included(&mut self, node: &Node) {
        for item in self.items("include", node) {
            let Some(point) = self.whole_point(&item) else { continue };
            if self.included.contains(&point) {
                self.included_again(item.span);
            } else {
                self.included.push(point);
                self.included_at.push(item.span);
            }
        }
    }

    fn included_again(&mut self, span: Span) {
        let message = "this point is part of the sweep already";
        self.cx.push(error(message).label(span, "included again"));
    }

    /// Reads the items of `exclude`: each leaves out the points that have all its values.
    pub fn read_excluded(&mut self, node: &Node) {
        'items: for item in self.items("exclude", node) {
            let Some(entries) = self.entries(&item) else { continue };
            let mut values = Vec::new();
            for (key, value) in &entries {
                let Some(at) = self.axes.iter().position(|axis| axis.key.name == key.name) else {
                    self.not_swept(key);
                    continue 'items;
                };
                // A value that cannot be swept over never matches.
                values.push((at, label(value).unwrap_or_default()));
            }
            self.excluded.push(Exclusion { values, span: item.span, met: false });
        }
    }

    /// Removes excluded points from those of a sampler, and adds the included ones. Drawn points
    /// are never included ones; for other samplers, a point that is both is an error.
    pub fn select(&mut self, points: &mut Vec<Point>, drawn: bool) {
        points.retain(|point| {
            let labels = self.axes.iter().zip(point).map(|(axis, at)| axis.labels[*at].clone());
            let labels: Vec<String> = labels.collect();
            !self.is_excluded(&labels)
        });
        let known: HashSet<Point> = points.iter().cloned().collect();
        for (point, span) in std::mem::take(&mut self.included)
            .into_iter()
            .zip(std::mem::take(&mut self.included_at))
        {
            if !known.contains(&point) {
                points.push(point);
            } else if !drawn {
                self.included_again(span);
            }
        }
        for item in self.excluded.iter().filter(|item| !item.met) {
            self.cx.push(
                Diagnostic::warning("spec::sweep", "this excludes nothing")
                    .label(item.span.clone(), "no point of the sweep has these values"),
            );
        }
    }

    /// A point that has a value for every axis.
    pub fn whole_point(&mut self, item: &Node) -> Option<Point> {
        let entries = self.entries(item)?;
        let varies = |key: &Key| self.axes.iter().any(|axis| axis.key.name == key.name);
        if let Some((key, _)) = entries.iter().find(|(key, _)| !varies(key)) {
            self.not_swept(key);
            return None;
        }
        let mut point = Vec::new();
        for axis in &mut self.axes {
            let Some((_, value)) = entries.iter().find(|(key, _)| key.name == axis.key.name) else {
                let message = format!("this point has no value for {}", quote(&axis.key.name));
                self.cx.push(
                    error(message)
                        .label(item.span.clone(), "every point says all of them")
                        .label(axis.key.span.clone(), "this varies"),
                );
                return None;
            };
            point.push(axis.intern(self.cx, value)?);
        }
        Some(point)
    }

    fn not_swept(&mut self, key: &Key) {
        let names: Vec<&str> = self.axes.iter().map(|axis| axis.key.name.as_str()).collect();
        let message = format!("{} does not vary in this sweep", quote(&key.name));
        let help = match suggest::closest(&key.name, names.iter().copied()) {
            Some(near) => format!("did you mean {}?", quote(near)),
            None => format!("what varies: {}", listed(&names, "and")),
        };
        self.cx.push(error(message).at_key(key, "not one of its parameters").help(help));
    }

    fn items(&mut self, name: &str, node: &Node) -> Vec<Node> {
        let node = self.vars.fill(self.cx, node, &[]);
        match node.value {
            Value::List(items) => items,
            Value::Faulty => Vec::new(),
            _ => {
                let message = format!("`{name}` must be a list of points, not {}", node.describe());
                self.cx.push(
                    error(message)
                        .at(&node, "not a list")
                        .help(format!("write `{name}: [{{ STEP.PARAMETER: 1 }}]`")),
                );
                Vec::new()
            }
        }
    }

    /// The entries of a point.
    pub fn entries(&mut self, item: &Node) -> Option<Vec<(Key, Node)>> {
        match &item.value {
            Value::Map(entries) if !entries.is_empty() => Some(entries.clone()),
            Value::Faulty => None,
            _ => {
                let found = item.describe_or_empty();
                let message = format!("a point must be a map of parameters to values, not {found}");
                let help = "write `{ STEP.PARAMETER: 1 }`";
                self.cx.push(error(message).at(item, "not a point").help(help));
                None
            }
        }
    }

    /// The entries of a map that must not be empty.
    pub fn map(&mut self, key: &Key, node: Node, example: &str) -> Option<Vec<(Key, Node)>> {
        let is_map = matches!(node.value, Value::Map(_));
        let node = if is_map { node } else { self.vars.fill(self.cx, &node, &[]) };
        match node.value {
            Value::Map(entries) if !entries.is_empty() => Some(entries),
            Value::Faulty => None,
            _ => {
                let message = format!("`{}` must be a map with something in it", key.name);
                let help = format!("write `{}: {example}`", key.name);
                let remark = format!("this is {}", node.describe_or_empty());
                self.cx.push(error(message).at_key(key, remark).help(help));
                None
            }
        }
    }

    /// Reports that a sweep has more points than are allowed.
    pub fn too_many(&mut self, key: &Key) {
        let help = "`random` and `sobol` take some of the points of a large space";
        let message = format!("this sweep has more than {MAX_VARIANTS} points");
        self.cx.push(error(message).at_key(key, "too many").help(help));
    }

    /// Reads a whole number of at least `least`.
    pub fn count(&mut self, key: &Key, node: &Node, least: i128) -> Option<u64> {
        let node = self.vars.fill(self.cx, node, &[]);
        match node.value {
            Value::Int(value) if value >= least => u64::try_from(value).ok(),
            Value::Faulty => None,
            _ => {
                let (name, found) = (&key.name, node.describe());
                let message =
                    format!("`{name}` must be a whole number of at least {least}, not {found}");
                self.cx.push(error(message).at_key(key, "not such a number"));
                None
            }
        }
    }

    /// The values of a parameter: a list, or a text such as `range(1,9)`.
    pub fn values(&mut self, key: &Key, node: &Node) -> Option<Vec<Node>> {
        expand::values(self.cx, self.vars, "spec::sweep", key, node, "[1, 2, 4]")
    }

    /// Adds an axis with its values, and reports a value that is given twice.
    pub fn axis_with_values(&mut self, key: &Key, node: &Node) -> Option<()> {
        let at = self.add_axis(key);
        let values = self.values(key, node)?;
        let mut axis = self.axes.get(at?)?.clone();
        for value in &values {
            let known = axis.values.len();
            let same = axis.intern(self.cx, value)?;
            if axis.values.len() == known {
                let message = format!("{} is given twice", quote(&axis.labels[same]));
                self.cx.push(error(message).at(value, "the same point again"));
                return None;
            }
        }
        self.axes[at?] = axis;
        Some(())
    }

    /// Adds an axis, if its parameter exists; returns its number.
    pub fn add_axis(&mut self, key: &Key) -> Option<usize> {
        if self.axes.len() >= MAX_AXES {
            let message = format!("a sweep varies at most {MAX_AXES} parameters");
            self.cx.push(error(message).at_key(key, "one too many"));
            return None;
        }
        let target = target(self.cx, self.vars, self.steps, key)?;
        let (short, values, labels) = (String::new(), Vec::new(), Vec::new());
        let numbers = HashMap::new();
        self.axes.push(Axis { key: key.clone(), short, target, values, labels, numbers });
        Some(self.axes.len() - 1)
    }
}
