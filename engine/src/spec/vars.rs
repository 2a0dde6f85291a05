//! Variables, and the values that replace `${name}`.

use super::{
    context::Context,
    node::{Key, Node, Origin, Value},
    scalar,
    template::{Part, parts},
};
use crate::ui::{
    diagnostic::{Diagnostic, quote},
    suggest,
};
use std::{collections::BTreeSet, rc::Rc};

/// Values by name that are valid in one place only, such as those of a `for`.
pub type Local = [(Key, Node)];

/// The variables of a pipeline.
pub struct Variables {
    entries: Vec<Variable>,
    env: fn(&str) -> Option<String>,
    /// The variables that are being evaluated, to find one that needs itself.
    open: Vec<usize>,
}

struct Variable {
    key: Key,
    raw: Node,
    /// The value of the variable at a point of a sweep.
    assigned: Option<Node>,
    done: Option<Node>,
    used: bool,
}

impl Variables {
    /// Reads the variables of a `vars:` section. They are evaluated when they are first needed.
    pub fn new(cx: &mut Context, section: Option<Node>, env: fn(&str) -> Option<String>) -> Self {
        let entries = match section {
            None => Vec::new(),
            Some(Node { value: Value::Map(entries), .. }) => entries,
            Some(Node { value: Value::Null | Value::Faulty, .. }) => Vec::new(),
            Some(node) => {
                cx.push(
                    Diagnostic::error("spec::vars", "`vars` must be a map of names to values")
                        .at(&node, format!("this is {}", node.describe()))
                        .help("write `vars: { data: recordings, clusters: 11 }`"),
                );
                Vec::new()
            }
        };
        for (key, _) in &entries {
            if !is_name(&key.name) {
                let message = format!("{} cannot be the name of a variable", quote(&key.name));
                cx.push(
                    Diagnostic::error("spec::name", message)
                        .at_key(key, "letters, digits and `_` only, not beginning with a digit"),
                );
            }
        }
        let entries = entries
            .into_iter()
            .map(|(key, raw)| Variable { key, raw, assigned: None, done: None, used: false })
            .collect();
        Self { entries, env, open: Vec::new() }
    }

    /// The key of the variable of this name, if there is one.
    pub fn find(&self, name: &str) -> Option<&Key> {
        self.entries.iter().map(|variable| &variable.key).find(|key| key.name == name)
    }

    /// The names of all variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|variable| variable.key.name.as_str())
    }

    /// Sets some variables to the values of a point of a sweep, and all others to their own.
    pub fn assign<'n>(&mut self, values: impl Iterator<Item = (&'n str, &'n Node)>) {
        for variable in &mut self.entries {
            (variable.assigned, variable.done) = (None, None);
        }
        for (name, value) in values {
            let variable = self.entries.iter_mut().find(|variable| variable.key.name == name);
            variable.into_iter().for_each(|variable| variable.assigned = Some(value.clone()));
        }
    }

    /// Adds the variables that a tree needs, directly or through other variables.
    pub fn needed_by<'v>(&'v self, node: &Node, needed: &mut BTreeSet<&'v str>) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.needed_by(item, needed)),
            Value::Map(entries) => {
                entries.iter().for_each(|(_, item)| self.needed_by(item, needed));
            }
            Value::Text(text) => {
                for part in parts(text).unwrap_or_default() {
                    let Part::Variable { name, .. } = part else { continue };
                    let variable = self.entries.iter().find(|variable| variable.key.name == name);
                    if let Some(variable) = variable
                        && needed.insert(&variable.key.name)
                    {
                        self.needed_by(&variable.raw, needed);
                    }
                }
            }
            _ => {}
        }
    }

    /// Marks a variable as used, so that it is not reported as unused.
    pub fn mark_used(&mut self, name: &str) {
        let found = self.entries.iter_mut().find(|entry| entry.key.name == name);
        found.into_iter().for_each(|entry| entry.used = true);
    }

    /// Replaces every variable in a tree by its value.
    pub fn fill(&mut self, cx: &mut Context, node: &Node, local: &Local) -> Node {
        let filled = |value| Node { value, ..node.clone_bare() };
        match &node.value {
            Value::Text(text) if text.contains("${") => self.fill_text(cx, node, text, local),
            Value::List(items) => {
                filled(Value::List(items.iter().map(|item| self.fill(cx, item, local)).collect()))
            }
            Value::Map(entries) => filled(Value::Map(
                entries
                    .iter()
                    .map(|(key, item)| (key.clone(), self.fill(cx, item, local)))
                    .collect(),
            )),
            _ => node.clone(),
        }
    }

    fn fill_text(&mut self, cx: &mut Context, node: &Node, text: &str, local: &Local) -> Node {
        let found = match parts(text) {
            Ok(found) => found,
            Err(part) => {
                let closed = part.ends_with('}');
                let message =
                    if closed { "a variable has no name" } else { "a `${` is not closed" };
                cx.push(
                    Diagnostic::error("spec::template", message)
                        .label(cx.part(&node.span, part), "here")
                        .help("write `${name}`; a plain `${` is written `$${`"),
                );
                return faulty(node);
            }
        };
        // A scalar that consists of one variable has the type of the variable.
        if let [part @ (Part::Variable { .. } | Part::Environment { .. })] = found[..] {
            return match self.value(cx, node, part, local) {
                Some(value) if cx.reserve(value.weight()) => value,
                Some(_) => too_much(cx, node),
                None => faulty(node),
            };
        }
        let mut filled = String::new();
        let mut fine = true;
        for part in found {
            let (Part::Variable { whole, .. } | Part::Environment { whole, .. }) = part else {
                if let Part::Text(text) = part {
                    filled.push_str(text);
                }
                continue;
            };
            match self.value(cx, node, part, local).map(|value| (value.plain(), value)) {
                Some((Some(text), _)) => filled.push_str(&text),
                Some((None, value)) if !value.is_faulty() => {
                    fine = false;
                    let message =
                        format!("`{whole}` is {} and cannot be part of a text", value.describe());
                    cx.push(
                        Diagnostic::error("spec::template", message)
                            .label(cx.part(&node.span, whole), "only a single value can")
                            .at_origin(&value),
                    );
                }
                _ => fine = false,
            }
            if !cx.reserve(filled.len()) {
                return too_much(cx, node);
            }
        }
        if !fine {
            return faulty(node);
        }
        Node { value: Value::Text(filled), ..node.clone_bare() }
    }

    /// The value of one `${…}`, at the place of the node that contains it.
    fn value(
        &mut self,
        cx: &mut Context,
        node: &Node,
        part: Part<'_>,
        local: &Local,
    ) -> Option<Node> {
        match part {
            Part::Text(_) => None,
            Part::Environment { name, default, whole } => {
                let Some(raw) = (self.env)(name).or(default.map(str::to_owned)) else {
                    let message = format!("the environment variable {} is not set", quote(name));
                    cx.push(
                        Diagnostic::error("spec::environment", message)
                            .label(cx.part(&node.span, whole), "needed here")
                            .help(format!(
                                "set it, or give a default: `${{env:{name}:-some/folder}}`"
                            )),
                    );
                    return None;
                };
                let origin = (default != Some(raw.as_str()))
                    .then(|| Rc::new(Origin::Environment(name.to_owned())));
                let value = scalar::resolve(&raw);
                Some(Node { value, span: node.span.clone(), origin, raw: Some(raw.into()) })
            }
            Part::Variable { name, whole } => {
                if let Some((key, value)) = local.iter().find(|(key, _)| key.name == name) {
                    return Some(moved_to(value, key, &value.span, node));
                }
                let Some(at) = self.entries.iter().position(|entry| entry.key.name == name) else {
                    self.unknown(cx, node, name, whole, local);
                    return None;
                };
                let value = self.value_of_entry(cx, at, node)?;
                let entry = &self.entries[at];
                let set_at = entry.assigned.as_ref().map_or(&entry.key.span, |value| &value.span);
                Some(moved_to(&value, &entry.key, set_at, node))
            }
        }
    }

    fn value_of_entry(&mut self, cx: &mut Context, at: usize, node: &Node) -> Option<Node> {
        self.entries[at].used = true;
        if let Some(done) = &self.entries[at].done {
            return Some(done.clone());
        }
        if let Some(start) = self.open.iter().position(|&open| open == at) {
            let names: Vec<&str> = self.open[start..]
                .iter()
                .chain([&at])
                .map(|&at| self.entries[at].key.name.as_str())
                .collect();
            let name = quote(&self.entries[at].key.name);
            cx.push(
                Diagnostic::error(
                    "spec::cycle",
                    format!("variable {name} needs itself: {}", names.join(" -> ")),
                )
                .at(node, "this closes the circle")
                .at_key(&self.entries[at].key, "set here"),
            );
            self.entries[at].done = Some(faulty(&self.entries[at].raw.clone()));
            return None;
        }
        self.open.push(at);
        let entry = &self.entries[at];
        let raw = entry.assigned.as_ref().unwrap_or(&entry.raw).clone();
        let value = self.fill(cx, &raw, &[]);
        self.open.pop();
        Some(self.entries[at].done.get_or_insert(value).clone())
    }

    fn unknown(&mut self, cx: &mut Context, node: &Node, name: &str, whole: &str, local: &Local) {
        let keys = local.iter().map(|(key, _)| key);
        let known: Vec<&str> = keys
            .chain(self.entries.iter().map(|variable| &variable.key))
            .map(|key| key.name.as_str())
            .collect();
        let help = if (self.env)(name).is_some() {
            Some(format!("the environment variable is written `${{env:{name}}}`"))
        } else {
            suggest::help(name, &known, "the variables are")
        };
        // A variable that was probably meant is not reported as unused too.
        if let Some(near) = suggest::closest(name, known).map(str::to_owned)
            && let Some(entry) = self.entries.iter_mut().find(|entry| entry.key.name == near)
        {
            entry.used = true;
        }
        let message = format!("there is no variable {}", quote(name));
        cx.push(
            Diagnostic::error("spec::unknown_variable", message)
                .label(cx.part(&node.span, whole), "not set under `vars` nor by a `for`")
                .help(help.unwrap_or_else(|| {
                    format!("add `vars: {{ {name}: … }}` at the top of the file")
                })),
        );
    }

    /// Warns of variables that are not used.
    pub fn warn_unused(&self, cx: &mut Context) {
        for variable in self.entries.iter().filter(|variable| !variable.used) {
            let name = &variable.key.name;
            cx.push(
                Diagnostic::warning(
                    "spec::unused_variable",
                    format!("nothing reads {}", quote(name)),
                )
                .at_key(&variable.key, "this variable has no effect")
                .help(format!("write `${{{name}}}` where its value belongs, or delete it")),
            );
        }
    }
}

/// The value of a variable, moved to the place where it is read.
fn moved_to(value: &Node, key: &Key, set_at: &crate::model::Span, node: &Node) -> Node {
    let mut value = value.clone();
    value.span = node.span.clone();
    // A value from the command line or the environment keeps that origin.
    if !matches!(value.origin.as_deref(), Some(Origin::Set(_) | Origin::Environment(_))) {
        value.origin = Some(Rc::new(Origin::Variable(key.name.clone(), set_at.clone())));
    }
    value
}

fn faulty(node: &Node) -> Node {
    Node { value: Value::Faulty, ..node.clone_bare() }
}

fn too_much(cx: &mut Context, node: &Node) -> Node {
    cx.push(
        Diagnostic::error("spec::too_large", "the pipeline grows without bound")
            .at(node, "variables multiply what they refer to"),
    );
    faulty(node)
}

/// True if a text may name a variable.
pub fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}
