//! The `sweep:` section: which parameters vary, and the points they take together.

use super::{
    context::Context,
    node::{Key, Node, Value},
    points::{Point, Reader},
    vars::Variables,
};
use crate::{
    fault::{Fault, Severity, quote},
    pipeline::Span,
    suggest,
};

/// The keys of a sweep and what they hold.
pub const SWEEP_KEYS: &[(&str, &str)] = &[
    ("grid", "Every combination of the values: `{ vae.beta: [1, 4], vae.latent: [8, 16] }`."),
    ("list", "The points themselves: `[{ vae.beta: 1, vae.latent: 8 }, …]`."),
    (
        "random",
        "Points drawn at random: `{ n: 20, seed: 0, over: { vae.beta: loguniform(0.1, 10) } }`.",
    ),
    ("sobol", "Points that fill the space evenly (Sobol); written like `random`."),
    ("include", "Points to add, each with a value for every parameter of the sweep."),
    ("exclude", "Points to leave out: those with all of these values."),
];

/// The keys of `random` and `sobol` and what they hold.
pub const DRAW_KEYS: &[(&str, &str)] = &[
    ("n", "How many points."),
    ("seed", "Which points: another seed draws others."),
    ("over", "For each parameter a list of values, `uniform(LOW,HIGH)` or `loguniform(LOW,HIGH)`."),
];

/// The most variants of one pipeline: points times seeds.
pub const MOST: usize = 10_000;
/// The most parameters that vary at once.
pub const MOST_AXES: usize = 32;

/// Something that varies.
#[derive(Clone, Debug)]
pub struct Axis {
    /// The key in the file: `vae.beta`, `groups@pca.clusters`, or a variable.
    pub key: Key,
    /// Its name in the names of steps: `beta`, or the whole key where that could mean two things.
    pub short: String,
    /// What it changes.
    pub target: Target,
    /// Its values, each once, where they are written.
    pub values: Vec<Node>,
    /// The same as they stand in the names of steps.
    pub labels: Vec<String>,
}

/// What varies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A variable of that name.
    Variable(String),
    /// A parameter of a step, or of one instance of it.
    Parameter {
        /// `groups` or `groups@pca`.
        step: String,
        /// `clusters`.
        name: String,
    },
}

impl Axis {
    /// Where the parameter is named in its key.
    pub fn parameter_span(&self, cx: &Context) -> Span {
        let Target::Parameter { name, .. } = &self.target else { return self.key.span.clone() };
        let text = cx.source.text.get(self.key.span.clone()).unwrap_or_default();
        let at = text.rfind(name.as_str()).map(|at| self.key.span.start + at);
        at.map_or(self.key.span.clone(), |at| at..at + name.len())
    }

    /// The number of a value, which is added if it is new; none if it cannot be told by a name.
    pub fn intern(&mut self, cx: &mut Context, value: &Node) -> Option<usize> {
        if value.is_faulty() {
            return None;
        }
        let Some(label) = label(value) else {
            cx.push(
                Fault::error("spec::sweep", format!("{} cannot be swept over", value.describe()))
                    .at(value, "steps are named by the values of a sweep")
                    .help("a value is a number, a list of numbers, or a text without spaces, commas and braces"),
            );
            return None;
        };
        let known = self.labels.iter().position(|other| *other == label);
        Some(known.unwrap_or_else(|| {
            self.labels.push(label);
            self.values.push(value.clone());
            self.values.len() - 1
        }))
    }
}

/// A value as part of a name.
fn label(value: &Node) -> Option<String> {
    let text = match &value.value {
        Value::Null | Value::Map(_) | Value::Faulty => None,
        Value::List(items) => {
            items.iter().map(Node::plain).collect::<Option<Vec<_>>>().map(|it| it.join("-"))
        }
        _ => value.plain(),
    }?;
    let odd =
        |letter: char| letter.is_whitespace() || letter.is_control() || "{},=".contains(letter);
    (!text.is_empty() && text.len() <= 200 && !text.contains(odd)).then_some(text)
}

/// What varies, and over which points.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// What varies, in the order of the file.
    pub axes: Vec<Axis>,
    /// Their values, point by point.
    pub points: Vec<Point>,
}

impl Sweep {
    /// Nothing varies: there is one point.
    pub fn none() -> Self {
        Self { axes: Vec::new(), points: vec![Vec::new()] }
    }

    /// The variables that vary, each with its own name for a value.
    pub fn variables(&self) -> Vec<(Key, Node)> {
        let named = self.axes.iter().filter_map(|axis| match &axis.target {
            Target::Variable(name) => {
                let text = Value::Text(name.clone());
                Some((axis.key.clone(), Node::new(text, axis.key.span.clone())))
            }
            Target::Parameter { .. } => None,
        });
        named.collect()
    }
}

/// The steps as they are written, by name.
pub type Steps = [(Key, Vec<(Key, Node)>)];

/// Reads the section; where it is at fault, nothing varies.
pub fn read(
    cx: &mut Context,
    vars: &mut Variables,
    section: Option<(Key, Node)>,
    steps: &Steps,
    seeds: usize,
) -> Sweep {
    let Some((key, node)) = section else { return Sweep::none() };
    let entries = match node.value {
        Value::Map(entries) if !entries.is_empty() => entries,
        Value::Faulty => return Sweep::none(),
        _ => {
            cx.push(
                fault("`sweep` must be a map with one of `grid`, `list`, `random` and `sobol`")
                    .at_key(&key, format!("this holds {}", node.describe()))
                    .help(EXAMPLE),
            );
            return Sweep::none();
        }
    };
    let before = cx.faults.len();
    let sweep = points(cx, vars, &key, entries, steps);
    if let Some(count) = sweep.as_ref().map(|sweep| sweep.points.len())
        && count * seeds > MOST
    {
        let message = format!("{count} points with {seeds} seeds are more than {MOST} variants");
        cx.push(fault(message).at_key(&key, "too many to run"));
    }
    match sweep {
        Some(sweep)
            if cx.faults[before..].iter().all(|fault| fault.severity != Severity::Error) =>
        {
            sweep
        }
        _ => Sweep::none(),
    }
}

const EXAMPLE: &str = "write `sweep: { grid: { STEP.PARAMETER: [1, 2, 4] } }`";

/// A fault of the section.
pub fn fault(message: impl Into<String>) -> Fault {
    Fault::error("spec::sweep", message)
}

fn points(
    cx: &mut Context,
    vars: &mut Variables,
    section: &Key,
    entries: Vec<(Key, Node)>,
    steps: &Steps,
) -> Option<Sweep> {
    let (mut strategy, mut include, mut exclude) = (None, None, None);
    for (key, node) in entries {
        match key.name.as_str() {
            "grid" | "list" | "random" | "sobol" => match &strategy {
                None => strategy = Some((key, node)),
                Some((first, _)) => {
                    let message = format!("a sweep is either `{}` or `{}`", first.name, key.name);
                    cx.push(
                        fault(message)
                            .at_key(&key, "a second way of choosing points")
                            .label(first.span.clone(), "the first")
                            .help("keep one; `include` adds single points"),
                    );
                }
            },
            "include" => include = Some(node),
            "exclude" => exclude = Some(node),
            _ => cx.push(unknown_entry(&key, steps, vars)),
        }
    }
    let Some((key, node)) = strategy else {
        if cx.faults.iter().all(|fault| fault.code != "spec::unknown_entry") {
            cx.push(
                fault("the sweep does not say over what")
                    .at_key(section, "no points")
                    .help(EXAMPLE),
            );
        }
        return None;
    };
    let mut reader = Reader::new(cx, vars, steps);
    let mut points = match key.name.as_str() {
        "grid" => reader.grid(&key, node)?,
        "list" => reader.list(&key, &node)?,
        _ => reader.drawn(&key, node)?,
    };
    if let Some(node) = include {
        reader.include(&node, &mut points);
    }
    if let Some(node) = exclude {
        reader.exclude(&node, &mut points);
    }
    let mut axes = reader.axes;
    if points.is_empty() {
        cx.push(fault("no point of the sweep is left").at_key(section, "nothing to run"));
    }
    name_axes(&mut axes);
    Some(Sweep { axes, points })
}

fn unknown_entry(key: &Key, steps: &Steps, vars: &Variables) -> Fault {
    let known: Vec<&str> = SWEEP_KEYS.iter().map(|(name, _)| *name).collect();
    let message = format!("`sweep` has no entry {}", quote(&key.name));
    let fault = Fault::error("spec::unknown_entry", message).at_key(key, "unknown");
    let step = key.name.split(['.', '@']).next().unwrap_or_default();
    let is_axis = steps.iter().any(|(key, _)| key.name == step) || vars.find(&key.name).is_some();
    if is_axis {
        return fault.help(format!(
            "what varies stands under `grid`: `sweep: {{ grid: {{ {}: [1, 2, 4] }} }}`",
            key.name
        ));
    }
    fault.maybe_help(suggest::help(&key.name, &known, "the entries are"))
}

/// Gives each axis the shortest name that means only one thing.
fn name_axes(axes: &mut [Axis]) {
    let last = |axis: &Axis| match &axis.target {
        Target::Variable(name) | Target::Parameter { name, .. } => name.clone(),
    };
    let lasts: Vec<String> = axes.iter().map(last).collect();
    for (axis, short) in axes.iter_mut().zip(&lasts) {
        let alone = lasts.iter().filter(|other| *other == short).count() == 1 && short != "seed";
        axis.short = if alone { short.clone() } else { axis.key.name.clone() };
    }
}
