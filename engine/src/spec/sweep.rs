//! The `sweep:` section: the parameters that vary, and their points.

use super::{
    context::Context,
    node::{Key, Node, Value},
    points::{Point, Reader},
    samplers::{self, Keys, Proposal, SAMPLERS},
    search::{self, History, Results, Search},
    vars::Variables,
};
use crate::{
    model::Span,
    ui::{
        diagnostic::{Diagnostic, Severity, listed, quote},
        suggest,
    },
};
use std::collections::HashMap;

/// The keys of a sweep besides the samplers, and their documentation.
pub const SWEEP_KEYS: &[(&str, &str)] = &[
    (
        "objective",
        "The goal of a sampler that chooses points by results: `{ metric: scores.ari }`. The \
         metric says whether greater or smaller values are better, unless `direction` does.",
    ),
    ("include", "Points to add, each with a value for every parameter of the sweep."),
    ("exclude", "Points to leave out: those with all of these values."),
];

/// The most variants of one pipeline: points times seeds.
pub const MAX_VARIANTS: usize = 10_000;
/// The most parameters that vary at once.
pub const MAX_AXES: usize = 32;

/// A parameter or a variable that varies.
#[derive(Clone, Debug)]
pub struct Axis {
    /// The key in the file: `vae.beta`, `groups@pca.clusters`, or a variable.
    pub key: Key,
    /// The short name in the names of steps: `beta`, or the whole key if that is ambiguous.
    pub short: String,
    /// The target that the axis changes.
    pub target: Target,
    /// The values, each once, with their places in the file.
    pub values: Vec<Node>,
    /// The labels of the values in the names of steps.
    pub labels: Vec<String>,
    /// The index of each value, by its label.
    pub numbers: HashMap<String, usize>,
}

/// The target of an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A variable of that name.
    Variable(String),
    /// A parameter of a step, or of one instance of it.
    Parameter {
        /// The step or instance: `groups` or `groups@pca`.
        step: String,
        /// The parameter: `clusters`.
        name: String,
    },
}

impl Axis {
    /// The place of the parameter's name within its key.
    pub fn parameter_span(&self, cx: &Context) -> Span {
        let Target::Parameter { name, .. } = &self.target else { return self.key.span.clone() };
        let text = cx.source.text.get(self.key.span.clone()).unwrap_or_default();
        let at = text.rfind(name.as_str()).map(|at| self.key.span.start + at);
        at.map_or(self.key.span.clone(), |at| at..at + name.len())
    }

    /// The index of a value, which is added if it is new; none if the value cannot be part of a
    /// name.
    pub fn intern(&mut self, cx: &mut Context, value: &Node) -> Option<usize> {
        let label = label_or_error(cx, value)?;
        if let Some(&known) = self.numbers.get(&label) {
            return Some(known);
        }
        self.numbers.insert(label.clone(), self.values.len());
        self.labels.push(label);
        self.values.push(value.clone());
        Some(self.values.len() - 1)
    }
}

/// The label of a value; a value that cannot be part of a name is reported.
pub fn label_or_error(cx: &mut Context, value: &Node) -> Option<String> {
    if value.is_faulty() {
        return None;
    }
    let label = label(value);
    if label.is_none() {
        cx.push(
            Diagnostic::error("spec::sweep", format!("{} cannot be swept over", value.describe()))
                .at(value, "steps are named by the values of a sweep")
                .help("a value is a number, a list of numbers, or a text without spaces, commas and braces"),
        );
    }
    label
}

/// The label of a value: its text as a part of a name.
pub fn label(value: &Node) -> Option<String> {
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

/// The axes of a sweep and its points.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The axes, in the order of the file.
    pub axes: Vec<Axis>,
    /// The values of the axes at each point.
    pub points: Vec<Point>,
    /// The search, if results choose the points.
    pub search: Option<Search>,
}

impl Sweep {
    /// A sweep in which nothing varies: it has one point.
    pub fn none() -> Self {
        Self { axes: Vec::new(), points: vec![Vec::new()], search: None }
    }

    /// The variables that vary, each with its name as its value.
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

/// Reads the section; if it is faulty, nothing varies.
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
            let one = listed(&samplers::names(), "and");
            cx.push(
                error(format!("`sweep` must be a map with one of {one}"))
                    .at_key(&key, format!("this holds {}", node.describe()))
                    .help(EXAMPLE),
            );
            return Sweep::none();
        }
    };
    let before = cx.diagnostics.len();
    let sweep = points(cx, vars, &key, entries, steps, results);
    if let Some(count) = sweep.as_ref().map(|sweep| sweep.points.len())
        && count * seeds > MAX_VARIANTS
    {
        let message =
            format!("{count} points with {seeds} seeds are more than {MAX_VARIANTS} variants");
        cx.push(error(message).at_key(&key, "too many to run"));
    }
    match sweep {
        Some(sweep)
            if cx.diagnostics[before..].iter().all(|error| error.severity != Severity::Error) =>
        {
            sweep
        }
        _ => Sweep::none(),
    }
}

const EXAMPLE: &str = "write `sweep: { grid: { STEP.PARAMETER: [1, 2, 4] } }`";

/// A diagnostic of the section.
pub fn error(message: impl Into<String>) -> Diagnostic {
    Diagnostic::error("spec::sweep", message)
}

fn points(
    cx: &mut Context,
    vars: &mut Variables,
    section: &Key,
    entries: Vec<(Key, Node)>,
    steps: &Steps,
    results: &Results,
) -> Option<Sweep> {
    let (mut sampler, mut include, mut exclude, mut objective) = (None, None, None, None);
    for (key, node) in entries {
        match key.name.as_str() {
            name if SAMPLERS.iter().any(|entry| entry.name == name) => match &sampler {
                None => sampler = Some((key, node)),
                Some((first, _)) => {
                    let message = format!("a sweep is either `{}` or `{}`", first.name, key.name);
                    cx.push(
                        error(message)
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
    let Some((key, node)) = sampler else {
        if cx.diagnostics.iter().all(|error| error.code != "spec::unknown_entry") {
            cx.push(
                error("the sweep does not say over what")
                    .at_key(section, "no points")
                    .help(EXAMPLE),
            );
        }
        return None;
    };
    let entry = SAMPLERS.iter().find(|entry| entry.name == key.name)?;
    let mut reader = Reader::new(cx, vars, steps);
    let sampler = (entry.read)(&mut reader, &key, node);
    let mut search = None;
    if entry.searches {
        search = Some(search::read(&mut reader, &key, objective)?);
    } else if let Some((key, _)) = objective {
        let searching = SAMPLERS.iter().filter(|entry| entry.searches).map(|entry| entry.name);
        let searching = listed(&searching.collect::<Vec<_>>(), "and");
        let message = format!("only {searching} look for an objective");
        reader.cx.push(error(message).at_key(&key, "nothing reads this").help("remove it"));
    }
    let sampler = sampler?;
    include.iter().for_each(|node| reader.read_included(node));
    exclude.iter().for_each(|node| reader.read_excluded(node));
    let direction = search.as_ref().and_then(|search| search.direction);
    let Proposal { mut points, more, resource } =
        sampler.propose(&mut reader, &History::new(results, direction))?;
    if let Some(search) = &mut search {
        (search.more, search.resource, search.scored) = (more, resource, results.direction);
    }
    reader.select(&mut points, matches!(entry.keys, Keys::Settings(_)));
    let mut axes = reader.axes;
    if points.is_empty() {
        cx.push(error("no point of the sweep is left").at_key(section, "nothing to run"));
    }
    name_axes(&mut axes);
    Some(Sweep { axes, points, search })
}

fn unknown_entry(key: &Key, steps: &Steps, vars: &Variables) -> Diagnostic {
    let mut known = samplers::names();
    known.extend(SWEEP_KEYS.iter().map(|(name, _)| *name));
    let message = format!("`sweep` has no entry {}", quote(&key.name));
    let error = Diagnostic::error("spec::unknown_entry", message).at_key(key, "unknown");
    let step = key.name.split(['.', '@']).next().unwrap_or_default();
    let is_axis = steps.iter().any(|(key, _)| key.name == step) || vars.find(&key.name).is_some();
    if is_axis {
        return error.help(format!(
            "what varies stands under `grid`: `sweep: {{ grid: {{ {}: [1, 2, 4] }} }}`",
            key.name
        ));
    }
    error.maybe_help(suggest::help(&key.name, &known, "the entries are"))
}

/// Gives each axis the shortest name that is not ambiguous.
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

/// The target that a key such as `vae.beta` changes, if it exists.
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
        let error = Diagnostic::error("spec::unknown_variable", message);
        cx.push(error.at_key(key, NOTHING).help(help));
        return None;
    };
    let base = step.split('@').next().unwrap_or(step);
    if !steps.contains(&base) {
        let message = format!("there is no step {}", quote(base));
        let help = suggest::help(base, &steps, "the steps are");
        let error = Diagnostic::error("spec::unknown_step", message);
        cx.push(error.at_key(key, NOTHING).maybe_help(help));
        return None;
    }
    if name == "for" {
        cx.push(
            error("`for` cannot be swept over")
                .at_key(key, "it makes steps of its own")
                .help("sweep over a parameter, or over a variable that the `for` reads"),
        );
        return None;
    }
    Some(Target::Parameter { step: step.to_owned(), name: name.to_owned() })
}
