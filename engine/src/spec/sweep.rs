//! The `sweep:` section: which parameters vary, and the points they take together.

use super::{
    context::Context,
    node::{Key, Node, Value},
    points::{Point, Reader},
    search::{self, Results, Search},
    vars::Variables,
};
use crate::{
    pipeline::Span,
    say::{
        fault::{Fault, Severity, quote},
        suggest,
    },
};
use std::collections::HashMap;

/// The keys of a sweep and what they hold.
pub const SWEEP_KEYS: &[(&str, &str)] = &[
    ("grid", "Every combination of the values: `{ vae.beta: [1, 4], vae.latent: [8, 16] }`."),
    ("list", "The points themselves: `[{ vae.beta: 1, vae.latent: 8 }, …]`."),
    (
        "random",
        "Points drawn at random: `{ n: 20, seed: 0, over: { vae.beta: loguniform(0.1, 10) } }`.",
    ),
    ("sobol", "Points that fill the space evenly (Sobol); written like `random`."),
    (
        "tpe",
        "Points chosen by the results of those before, where good ones lie (needs `objective`): \
         `{ n: 40, start: 10, batch: 5, over: … }`.",
    ),
    (
        "halving",
        "Many points for a short time, the best of them longer (needs `objective`): \
         `{ n: 27, resource: vae.epochs, from: 3, to: 27, eta: 3, over: … }`.",
    ),
    (
        "objective",
        "What `tpe` and `halving` look for: `{ metric: scores.ari, direction: maximize }`.",
    ),
    ("include", "Points to add, each with a value for every parameter of the sweep."),
    ("exclude", "Points to leave out: those with all of these values."),
];

/// The keys of `random` and `sobol` and what they hold.
pub const DRAW_KEYS: &[(&str, &str)] = &[
    ("n", "How many points."),
    ("seed", "Which points: another seed draws others."),
    ("over", "For each parameter a list of values, `uniform(LOW,HIGH)` or `loguniform(LOW,HIGH)`."),
];

/// The keys of `tpe` and what they hold.
pub const TPE_KEYS: &[(&str, &str)] = &[
    ("n", "How many points in all."),
    ("start", "How many of them are drawn at random, before results count; 10."),
    ("batch", "How many are run before the next are chosen; 5."),
    ("seed", DRAW_KEYS[1].1),
    ("over", DRAW_KEYS[2].1),
];

/// The keys of `halving` and what they hold.
pub const HALVING_KEYS: &[(&str, &str)] = &[
    ("n", "How many points the first rung has."),
    ("resource", "The parameter that grows from rung to rung, such as `vae.epochs`."),
    ("from", "Its value in the first rung."),
    ("to", "Its value in the last rung."),
    ("eta", "By how much it grows, and which share goes on: one in `eta`; 3."),
    ("seed", DRAW_KEYS[1].1),
    ("over", DRAW_KEYS[2].1),
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
    /// The number of a value, by its label.
    pub numbers: HashMap<String, usize>,
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
        if let Some(&known) = self.numbers.get(&label) {
            return Some(known);
        }
        self.numbers.insert(label.clone(), self.values.len());
        self.labels.push(label);
        self.values.push(value.clone());
        Some(self.values.len() - 1)
    }

    /// The number of a value, if some point has it.
    pub fn number(&self, value: &Node) -> Option<usize> {
        self.numbers.get(&label(value)?).copied()
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
    /// What is looked for, where results choose the points.
    pub search: Option<Search>,
}

impl Sweep {
    /// Nothing varies: there is one point.
    pub fn none() -> Self {
        Self { axes: Vec::new(), points: vec![Vec::new()], search: None }
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
    results: &Results,
) -> Sweep {
    let Some((key, node)) = section else { return Sweep::none() };
    let entries = match node.value {
        Value::Map(entries) if !entries.is_empty() => entries,
        Value::Faulty => return Sweep::none(),
        _ => {
            cx.push(
                fault("`sweep` must be a map with one of `grid`, `list`, `random`, `sobol`, `tpe` and `halving`")
                    .at_key(&key, format!("this holds {}", node.describe()))
                    .help(EXAMPLE),
            );
            return Sweep::none();
        }
    };
    let before = cx.faults.len();
    let sweep = points(cx, vars, &key, entries, steps, results);
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
    results: &Results,
) -> Option<Sweep> {
    let (mut strategy, mut include, mut exclude, mut objective) = (None, None, None, None);
    for (key, node) in entries {
        match key.name.as_str() {
            "grid" | "list" | "random" | "sobol" | "tpe" | "halving" => match &strategy {
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
            "objective" => objective = Some((key, node)),
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
    let mut search = None;
    let mut points = match key.name.as_str() {
        "grid" => reader.grid(&key, node)?,
        "list" => reader.list(&key, &node)?,
        "tpe" | "halving" => {
            let (found, points) = search::read(&mut reader, &key, node, objective.take(), results)?;
            search = Some(found);
            points
        }
        _ => reader.drawn(&key, node)?,
    };
    if let Some((key, _)) = objective {
        let message = "only `tpe` and `halving` look for an objective";
        reader.cx.push(fault(message).at_key(&key, "nothing reads this").help("remove it"));
    }
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
    Some(Sweep { axes, points, search })
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

/// What a key such as `vae.beta` changes, if there is such a thing.
pub fn target(cx: &mut Context, vars: &mut Variables, steps: &Steps, key: &Key) -> Option<Target> {
    const NOTHING: &str = "this varies nothing";
    let steps: Vec<&str> = steps.iter().map(|(key, _)| key.name.as_str()).collect();
    let Some((step, name)) = key.name.rsplit_once('.') else {
        let written = key.name.as_str();
        if vars.find(written).is_some() {
            vars.mark_used(written);
            return Some(Target::Variable(key.name.clone()));
        }
        let variables: Vec<&str> = vars.names().collect();
        let help = if steps.contains(&written) {
            Some(format!("`{written}` is a step; write `{written}.PARAMETER`"))
        } else {
            suggest::help(written, &variables, "the variables are")
        };
        let help = help.unwrap_or_else(|| "write `STEP.PARAMETER`".to_owned());
        let message = format!("there is no variable {}", quote(written));
        let fault = Fault::error("spec::unknown_variable", message);
        cx.push(fault.at_key(key, NOTHING).help(help));
        return None;
    };
    let base = step.split('@').next().unwrap_or(step);
    if !steps.contains(&base) {
        let message = format!("there is no step {}", quote(base));
        let help = suggest::help(base, &steps, "the steps are");
        let fault = Fault::error("spec::unknown_step", message);
        cx.push(fault.at_key(key, NOTHING).maybe_help(help));
        return None;
    }
    if name == "for" {
        cx.push(
            fault("`for` cannot be swept over")
                .at_key(key, "it makes steps of its own")
                .help("sweep over a parameter, or over a variable that the `for` reads"),
        );
        return None;
    }
    Some(Target::Parameter { step: step.to_owned(), name: name.to_owned() })
}
