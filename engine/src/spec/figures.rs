//! Reads the figures of the section `report:`, and checks them against the kinds that reports can
//! draw.

use super::{
    context::Context,
    expand, figure_settings,
    link::{self, Names},
    node::{Key, Node, Value},
    report::text,
    steps::Draft,
    vars::Variables,
};
use crate::{
    model::FigureSpec,
    ui::{
        diagnostic::{Diagnostic, listed, quote},
        suggest,
    },
};
use ops::Port;
use reports::figures::{FIGURES, FigureKind, Role, kind};
use std::collections::HashSet;

/// The keys that every figure may have.
pub const FIGURE_KEYS: &[(&str, &str)] = &[
    ("figure", "What is drawn."),
    ("title", "Its title; the kind has one of its own."),
    ("caption", "The caption: what to see in it; the kind has words of its own."),
    ("for", "Makes one figure for each value, as in a step."),
];

/// The most artifacts of one role.
const MAX_ARTIFACTS: usize = 64;

/// Reads `figures:`.
pub fn read(
    cx: &mut Context,
    vars: &mut Variables,
    key: &Key,
    node: &Node,
    drafts: &[Draft],
) -> Vec<FigureSpec> {
    const EXAMPLE: &str = "write `- { figure: scatter, of: STEP, color: STEP.labels }`";
    let Value::List(items) = &node.value else {
        if !node.is_faulty() {
            cx.push(
                Diagnostic::error("spec::figure", "`figures` must be a list")
                    .at_key(key, format!("this holds {}", node.describe()))
                    .help(format!("{EXAMPLE}, one on each line")),
            );
        }
        return Vec::new();
    };
    let mut figures = Vec::new();
    for item in items {
        let Value::Map(fields) = &item.value else {
            if !item.is_faulty() {
                cx.push(
                    Diagnostic::error("spec::figure", "a figure must be a map")
                        .at(item, format!("this is {}", item.describe()))
                        .help(EXAMPLE),
                );
            }
            continue;
        };
        for local in expand::points(cx, vars, fields) {
            let fields: Vec<(Key, Node)> = fields
                .iter()
                .filter(|(key, _)| key.name != "for")
                .map(|(key, node)| (key.clone(), vars.fill(cx, node, &local)))
                .collect();
            let mut reader = Reader { cx, vars, drafts, names: &Names::new(drafts) };
            figures.extend(reader.figure(item, &fields));
        }
    }
    figures
}

struct Reader<'r, 'd> {
    cx: &'r mut Context,
    vars: &'r mut Variables,
    drafts: &'d [Draft],
    names: &'r Names<'d>,
}

type Field = (Key, Node);

impl Reader<'_, '_> {
    fn figure(&mut self, item: &Node, fields: &[Field]) -> Option<FigureSpec> {
        let field = |name: &str| fields.iter().find(|(key, _)| key.name == name);
        let Some((key, node)) = field("figure") else {
            let all: Vec<&str> = FIGURES.iter().map(|kind| kind.name).collect();
            self.cx.push(
                Diagnostic::error("spec::figure", "this has no `figure`")
                    .label(item.span.clone(), "what is to be drawn?")
                    .help(format!(
                        "add `figure: {}`, or another of {}",
                        all[0],
                        listed(&all[1..], "and")
                    )),
            );
            return None;
        };
        let kind = self.kind(key, node)?;
        let known: Vec<&str> = FIGURE_KEYS
            .iter()
            .map(|(name, _)| *name)
            .chain(kind.roles.iter().map(|role| role.name))
            .chain(kind.settings.iter().chain(kind.style()).map(|setting| setting.name))
            .collect();
        for (key, _) in fields.iter().filter(|(key, _)| !known.contains(&key.name.as_str())) {
            let message = format!("a figure `{}` has no entry {}", kind.name, quote(&key.name));
            self.cx.push(
                Diagnostic::error("spec::unknown_entry", message)
                    .at_key(key, "unknown")
                    .maybe_help(suggest::help(&key.name, &known, "the entries are")),
            );
        }
        let mut words = |name: &str| {
            let (key, node) = field(name)?;
            text(self.cx, self.vars, key, node, &[])
        };
        let (title, caption) = (words("title"), words("caption"));
        let mut figure = FigureSpec { figure: kind.name, title, caption, ..FigureSpec::default() };
        for role in kind.roles {
            match field(role.name) {
                Some((_, node)) => {
                    let found = self.role(node, kind, role);
                    figure.inputs.insert(role.name.to_owned(), found);
                }
                None if !role.is_optional => self.lacks(item, kind, role),
                None => {}
            }
        }
        for setting in kind.settings.iter().chain(kind.style()) {
            if let Some((key, node)) = field(setting.name)
                && let Some(value) = figure_settings::read(self.cx, key, node, setting)
            {
                figure.options.insert(setting.name.to_owned(), value);
            }
        }
        Some(figure)
    }

    fn kind(&mut self, key: &Key, node: &Node) -> Option<&'static FigureKind> {
        let Some(name) = node.text() else {
            if !node.is_faulty() {
                let message =
                    format!("`figure` must be the name of a figure, not {}", node.describe());
                self.cx.push(Diagnostic::error("spec::figure", message).at_key(key, "this"));
            }
            return None;
        };
        let found = kind(name);
        if found.is_none() {
            let all: Vec<&str> = FIGURES.iter().map(|kind| kind.name).collect();
            self.cx.push(
                Diagnostic::error(
                    "spec::unknown_figure",
                    format!("there is no figure {}", quote(name)),
                )
                .at(node, "unknown")
                .maybe_help(suggest::help(name, &all, "the figures are")),
            );
        }
        found
    }

    fn lacks(&mut self, item: &Node, kind: &FigureKind, role: &Role) {
        let message = format!("a figure `{}` needs `{}`", kind.name, role.name);
        let example = self.fitting(role).into_iter().next().unwrap_or_else(|| "STEP".to_owned());
        self.cx.push(
            Diagnostic::error("spec::figure", message)
                .label(item.span.clone(), format!("lacks {}", link::kinds(role.kinds)))
                .help(format!("add `{}: {example}`. {}", role.name, role.doc)),
        );
    }

    /// The outputs that fill a role: one reference, or a list of references.
    fn role(&mut self, node: &Node, kind: &FigureKind, role: &Role) -> Vec<(usize, &'static str)> {
        let items = match &node.value {
            Value::List(items) if role.takes_many => &items[..],
            _ => std::slice::from_ref(node),
        };
        let mut found = Vec::new();
        for item in items {
            let Some(reference) = item.text() else {
                if !item.is_faulty() {
                    let many = if role.takes_many { " or several" } else { "" };
                    let message = format!(
                        "`{}` takes the name of a step{many}, not {}",
                        role.name,
                        item.describe()
                    );
                    self.cx.push(Diagnostic::error("spec::figure", message).at(item, "no step"));
                }
                continue;
            };
            for (at, port) in self.steps(reference.trim(), item, role.one_seed) {
                if let Some(port) = self.port(at, port.as_deref(), item, kind, role) {
                    found.push((at, port.name));
                }
            }
        }
        // A role of a single artifact shows the first variant; the report mentions it.
        found.truncate(if role.takes_many { MAX_ARTIFACTS } else { 1 });
        found
    }

    /// The steps that a reference means: all instances for `@*`, and all variants of each instance, or of
    /// variants that differ in nothing but the seed the first.
    fn steps(
        &mut self,
        reference: &str,
        node: &Node,
        one_seed: bool,
    ) -> Vec<(usize, Option<String>)> {
        let mut meant = vec![reference.to_owned()];
        if let Some((base, port)) = reference.split_once("@*") {
            let names = self.names.instance_names(base);
            if !names.is_empty() {
                meant = names.iter().map(|name| format!("{name}{port}")).collect();
            }
        }
        let mut steps = Vec::new();
        for reference in meant {
            match self.names.find(&reference) {
                Ok((at, port)) => {
                    let base = &self.drafts[at].base;
                    let is_one = reference.contains('{');
                    let is_meant = |other: &usize| match is_one {
                        true => *other == at,
                        false => self.drafts[*other].base == *base,
                    };
                    let point = |at: &usize| {
                        let name = &self.drafts[*at].name;
                        &name[..name.rfind("seed=").unwrap_or(name.len())]
                    };
                    let mut variants: Vec<usize> =
                        (0..self.drafts.len()).filter(is_meant).collect();
                    if one_seed {
                        let mut seen = HashSet::new();
                        variants.retain(|at| seen.insert(point(at)));
                    }
                    steps.extend(variants.into_iter().map(|at| (at, port.map(str::to_owned))));
                }
                Err((message, help)) => {
                    let error =
                        Diagnostic::error("spec::unknown_step", message).at(node, "drawn here");
                    self.cx.push(error.maybe_help(help));
                    break;
                }
            }
        }
        steps
    }

    /// The output of a step that fits a role: the named one, or the first that fits.
    fn port(
        &mut self,
        at: usize,
        port: Option<&str>,
        node: &Node,
        kind: &FigureKind,
        role: &Role,
    ) -> Option<&'static Port> {
        let step = &self.drafts[at];
        let entry = step.entry?;
        let fits = |port: &&Port| port.kinds.iter().any(|kind| role.kinds.contains(kind));
        let output = match port {
            Some(_) => Some(link::output(self.cx, step, entry, port, node)?),
            None => step.outputs.iter().find(fits).or(step.outputs.first()),
        };
        if let Some(output) = output.filter(|output| fits(output)) {
            return Some(output);
        }
        let gives = output.map_or_else(|| "nothing".to_owned(), |port| link::kinds(port.kinds));
        let message = format!(
            "`{}` of a figure `{}` takes {}, but step {} (`{}`) gives {gives}",
            role.name,
            kind.name,
            link::kinds(role.kinds),
            quote(&step.base),
            entry.name
        );
        let fitting = self.fitting(role);
        let fitting: Vec<&str> = fitting.iter().map(String::as_str).take(8).collect();
        let help = match &fitting[..] {
            [] => "no step of this pipeline gives that".to_owned(),
            names => format!("what fits: {}", listed(names, "or")),
        };
        self.cx.push(
            Diagnostic::error("spec::kind", message)
                .at(node, "does not fit")
                .at_key(&step.key, "made here")
                .help(help),
        );
        None
    }

    /// The references that could fill a role.
    fn fitting(&self, role: &Role) -> Vec<String> {
        let mut found = Vec::new();
        for draft in self.drafts {
            let fits = |port: &&Port| port.kinds.iter().any(|kind| role.kinds.contains(kind));
            if let Some(port) = draft.outputs.iter().find(fits) {
                let name = format!("{}.{}", draft.base, port.name);
                if !found.contains(&name) {
                    found.push(name);
                }
            }
        }
        found
    }
}
