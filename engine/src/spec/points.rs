//! The points of a sweep: combinations, lists and draws, and what is added or left out.

use super::{
    context::Context,
    expand,
    node::{Key, Node, Value},
    sample::{self, Spread},
    sweep::{Axis, DRAW_KEYS, MOST, MOST_AXES, Steps, fault, target},
    vars::Variables,
};
use crate::say::{
    fault::{Fault, listed, quote},
    suggest,
};
use std::collections::{HashMap, HashSet};

/// The number of a value for each axis.
pub type Point = Vec<usize>;

/// The settings of a strategy that draws points.
pub struct Draw {
    /// How many points.
    pub n: usize,
    /// Which points.
    pub seed: u64,
    /// What each parameter may be.
    pub spreads: Vec<Spread>,
    /// Settings of this strategy alone.
    pub own: Vec<(Key, Node)>,
}

/// Reads points, and learns on the way what varies.
pub struct Reader<'a> {
    /// The faults.
    pub cx: &'a mut Context,
    vars: &'a mut Variables,
    steps: &'a Steps,
    /// What varies.
    pub axes: Vec<Axis>,
}

impl<'a> Reader<'a> {
    /// Nothing varies yet.
    pub fn new(cx: &'a mut Context, vars: &'a mut Variables, steps: &'a Steps) -> Self {
        Self { cx, vars, steps, axes: Vec::new() }
    }

    /// Every combination of the values of `grid: { vae.beta: [1, 4] }`.
    pub fn grid(&mut self, key: &Key, node: Node) -> Option<Vec<Point>> {
        let mut fine = true;
        for (name, node) in &self.map(key, node, "{ STEP.PARAMETER: [1, 2, 4] }")? {
            fine &= self.axis_with_values(name, node).is_some();
        }
        if !fine {
            return None;
        }
        let size =
            self.axes.iter().try_fold(1usize, |all, axis| all.checked_mul(axis.values.len()));
        if size.is_none_or(|size| size > MOST) {
            self.too_many(key);
            return None;
        }
        let mut points = vec![Vec::new()];
        for axis in &self.axes {
            let longer = |point: &Point| {
                let point = point.clone();
                (0..axis.values.len()).map(move |value| [&point[..], &[value]].concat())
            };
            points = points.iter().flat_map(longer).collect();
        }
        Some(points)
    }

    /// The points of `list: [{ vae.beta: 1, vae.latent: 8 }]`.
    pub fn list(&mut self, key: &Key, node: &Node) -> Option<Vec<Point>> {
        let node = self.vars.fill(self.cx, node, &[]);
        let items = match &node.value {
            Value::List(items) if !items.is_empty() => items,
            Value::Faulty => return None,
            _ => {
                self.cx.push(
                    fault("`list` must be a list of points")
                        .at_key(key, format!("this is {}", node.describe_or_empty()))
                        .help("write `list: [{ STEP.PARAMETER: 1 }, { STEP.PARAMETER: 4 }]`"),
                );
                return None;
            }
        };
        if items.len() > MOST {
            self.too_many(key);
            return None;
        }
        let mut fine = true;
        for (name, _) in &self.entries(&items[0])? {
            fine &= self.add_axis(name).is_some();
        }
        let (mut points, mut given) = (Vec::new(), HashMap::new());
        for item in items.iter().filter(|_| fine) {
            let Some(point) = self.whole_point(item) else { continue };
            if let Some(first) = given.insert(point.clone(), item.span.clone()) {
                self.cx.push(
                    fault("this point is given twice")
                        .label(item.span.clone(), "again here")
                        .label(first, "first given here"),
                );
            } else {
                points.push(point);
            }
        }
        fine.then_some(points)
    }

    /// The points of `random: { n, seed, over }` or `sobol: …`. Points that fall together are one.
    pub fn drawn(&mut self, key: &Key, node: Node) -> Option<Vec<Point>> {
        let draw = self.draw(key, node, DRAW_KEYS)?;
        if key.name == "sobol" && draw.spreads.len() > sample::SOBOL_DIMENSIONS {
            let most = sample::SOBOL_DIMENSIONS;
            self.cx.push(
                fault(format!("`sobol` varies at most {most} parameters"))
                    .at_key(key, format!("these are {}", draw.spreads.len()))
                    .help("`random` varies any number"),
            );
            return None;
        }
        let places = if key.name == "sobol" { sample::sobol } else { sample::random };
        self.points_at(&draw.spreads, places(draw.seed, draw.n, draw.spreads.len()))
    }

    /// The points at places of the unit cube, each once.
    pub fn points_at(&mut self, spreads: &[Spread], places: Vec<Vec<f64>>) -> Option<Vec<Point>> {
        let (mut points, mut seen) = (Vec::new(), HashSet::new());
        for place in places {
            let point = self.point_at(spreads, &place)?;
            if seen.insert(point.clone()) {
                points.push(point);
            }
        }
        Some(points)
    }

    /// The point at a place of the unit cube.
    pub fn point_at(&mut self, spreads: &[Spread], place: &[f64]) -> Option<Point> {
        let axes = self.axes.iter_mut().zip(spreads).zip(place);
        axes.map(|((axis, spread), u)| axis.intern(self.cx, &spread.at(*u))).collect()
    }

    /// The settings of a strategy that draws points: `{ n, seed, over }` and others of its own.
    pub fn draw(&mut self, key: &Key, node: Node, known: &[(&str, &str)]) -> Option<Draw> {
        const EXAMPLE: &str = "{ n: 20, over: { STEP.PARAMETER: [1, 2, 4] } }";
        let before = self.cx.faults.len();
        let (mut n, mut seed, mut over, mut own) = (None, 0, None, Vec::new());
        for (name, node) in self.map(key, node, EXAMPLE)? {
            match name.name.as_str() {
                "n" => n = self.count(&name, &node, 1),
                "seed" => seed = self.count(&name, &node, 0).unwrap_or(0),
                "over" => over = Some((name, node)),
                other if known.iter().any(|(known, _)| *known == other) => own.push((name, node)),
                _ => {
                    let known: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                    let message = format!("`{}` has no entry {}", key.name, quote(&name.name));
                    self.cx.push(
                        Fault::error("spec::unknown_entry", message)
                            .at_key(&name, "unknown")
                            .maybe_help(suggest::help(&name.name, &known, "the entries are")),
                    );
                }
            }
        }
        let (Some(n), Some((over_key, over))) = (n, over) else {
            if self.cx.faults.len() == before {
                self.cx.push(
                    fault(format!("`{}` needs `n` and `over`", key.name))
                        .at_key(key, "how many points, and over what?")
                        .help(format!("write `{}: {EXAMPLE}`", key.name)),
                );
            }
            return None;
        };
        let mut spreads = Vec::new();
        for (name, node) in self.map(&over_key, over, "{ STEP.PARAMETER: [1, 2, 4] }")? {
            let axis = self.add_axis(&name);
            let spread = self.spread(&name, &node);
            spreads.push(spread.filter(|_| axis.is_some()));
        }
        let spreads = spreads.into_iter().collect::<Option<_>>()?;
        let Some(n) = usize::try_from(n).ok().filter(|n| *n <= MOST) else {
            self.too_many(key);
            return None;
        };
        Some(Draw { n, seed, spreads, own })
    }

    /// Adds the points of `include`.
    pub fn include(&mut self, node: &Node, points: &mut Vec<Point>) {
        for item in self.items("include", node) {
            let Some(point) = self.whole_point(&item) else { continue };
            if points.contains(&point) {
                let message = "this point is part of the sweep already";
                self.cx.push(fault(message).label(item.span, "included again"));
            } else {
                points.push(point);
            }
        }
    }

    /// Leaves out the points that have all values of an item of `exclude`.
    pub fn exclude(&mut self, node: &Node, points: &mut Vec<Point>) {
        'items: for item in self.items("exclude", node) {
            let Some(entries) = self.entries(&item) else { continue };
            let mut wanted = Vec::new();
            for (key, value) in &entries {
                let Some(at) = self.axes.iter().position(|axis| axis.key.name == key.name) else {
                    self.not_swept(key);
                    continue 'items;
                };
                wanted.push((at, self.axes[at].number(value)));
            }
            let before = points.len();
            points.retain(|point| !wanted.iter().all(|(at, value)| Some(point[*at]) == *value));
            if points.len() == before {
                self.cx.push(
                    Fault::warning("spec::sweep", "this excludes nothing")
                        .label(item.span, "no point of the sweep has these values"),
                );
            }
        }
    }

    /// A point that says a value for everything that varies.
    fn whole_point(&mut self, item: &Node) -> Option<Point> {
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
                    fault(message)
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
        self.cx.push(fault(message).at_key(key, "not one of its parameters").help(help));
    }

    fn items(&mut self, name: &str, node: &Node) -> Vec<Node> {
        let node = self.vars.fill(self.cx, node, &[]);
        match node.value {
            Value::List(items) => items,
            Value::Faulty => Vec::new(),
            _ => {
                let message = format!("`{name}` must be a list of points, not {}", node.describe());
                self.cx.push(
                    fault(message)
                        .at(&node, "not a list")
                        .help(format!("write `{name}: [{{ STEP.PARAMETER: 1 }}]`")),
                );
                Vec::new()
            }
        }
    }

    fn entries(&mut self, item: &Node) -> Option<Vec<(Key, Node)>> {
        match &item.value {
            Value::Map(entries) if !entries.is_empty() => Some(entries.clone()),
            Value::Faulty => None,
            _ => {
                let found = item.describe_or_empty();
                let message = format!("a point must be a map of parameters to values, not {found}");
                let help = "write `{ STEP.PARAMETER: 1 }`";
                self.cx.push(fault(message).at(item, "not a point").help(help));
                None
            }
        }
    }

    fn map(&mut self, key: &Key, node: Node, example: &str) -> Option<Vec<(Key, Node)>> {
        let is_map = matches!(node.value, Value::Map(_));
        let node = if is_map { node } else { self.vars.fill(self.cx, &node, &[]) };
        match node.value {
            Value::Map(entries) if !entries.is_empty() => Some(entries),
            Value::Faulty => None,
            _ => {
                let message = format!("`{}` must be a map with something in it", key.name);
                let help = format!("write `{}: {example}`", key.name);
                let remark = format!("this is {}", node.describe_or_empty());
                self.cx.push(fault(message).at_key(key, remark).help(help));
                None
            }
        }
    }

    fn too_many(&mut self, key: &Key) {
        let help = "`random` and `sobol` take some of the points of a large space";
        let message = format!("this sweep has more than {MOST} points");
        self.cx.push(fault(message).at_key(key, "too many").help(help));
    }

    /// A whole number of at least `least`.
    pub fn count(&mut self, key: &Key, node: &Node, least: i128) -> Option<u64> {
        let node = self.vars.fill(self.cx, node, &[]);
        match node.value {
            Value::Int(value) if value >= least => u64::try_from(value).ok(),
            Value::Faulty => None,
            _ => {
                let (name, found) = (&key.name, node.describe());
                let message =
                    format!("`{name}` must be a whole number of at least {least}, not {found}");
                self.cx.push(fault(message).at_key(key, "not such a number"));
                None
            }
        }
    }

    /// What a parameter may be, of a space that is drawn from.
    fn spread(&mut self, key: &Key, node: &Node) -> Option<Spread> {
        let node = self.vars.fill(self.cx, node, &[]);
        match Spread::parse(&node) {
            Some(Ok(spread)) => Some(spread),
            None => self.values(key, &node).map(Spread::Among),
            Some(Err(message)) => {
                let help = "write a list of values, `uniform(0, 1)` or `loguniform(0.1, 10)`";
                self.cx.push(fault(message).at(&node, "not a range").help(help));
                None
            }
        }
    }

    /// The values of a parameter: a list, or a text such as `range(1,9)`.
    fn values(&mut self, key: &Key, node: &Node) -> Option<Vec<Node>> {
        expand::values(self.cx, self.vars, "spec::sweep", key, node, "[1, 2, 4]")
    }

    /// An axis and its values, none of them twice.
    fn axis_with_values(&mut self, key: &Key, node: &Node) -> Option<()> {
        let at = self.add_axis(key);
        let values = self.values(key, node)?;
        let mut axis = self.axes.get(at?)?.clone();
        for value in &values {
            let known = axis.values.len();
            let same = axis.intern(self.cx, value)?;
            if axis.values.len() == known {
                let message = format!("{} is given twice", quote(&axis.labels[same]));
                self.cx.push(fault(message).at(value, "the same point again"));
                return None;
            }
        }
        self.axes[at?] = axis;
        Some(())
    }

    /// Something that varies, if there is such a thing; its number among the axes.
    pub fn add_axis(&mut self, key: &Key) -> Option<usize> {
        if self.axes.len() >= MOST_AXES {
            let message = format!("a sweep varies at most {MOST_AXES} parameters");
            self.cx.push(fault(message).at_key(key, "one too many"));
            return None;
        }
        let target = target(self.cx, self.vars, self.steps, key)?;
        let (short, values, labels) = (String::new(), Vec::new(), Vec::new());
        let numbers = HashMap::new();
        self.axes.push(Axis { key: key.clone(), short, target, values, labels, numbers });
        Some(self.axes.len() - 1)
    }
}
