//! The section `multiverse:`: choices that should not matter, as a grid around the pipeline as it is
//! written.

use super::{
    context::Context,
    expand,
    node::{Key, Node, Value},
    sweep::{Steps, label},
    vars::Variables,
};
use crate::ui::diagnostic::{Diagnostic, quote};
use ops::Entry;
use serde_json::Value as Json;

/// The sweep over a multiverse: a grid in which the values of the pipeline itself come first, so that its
/// first point is the specification that the table shows. `None` if there is no multiverse, or if it is
/// faulty.
pub fn grid(
    cx: &mut Context,
    vars: &mut Variables,
    table: &'static [Entry],
    section: Option<(Key, Node)>,
    sweep: Option<&Key>,
    steps: &Steps,
) -> Option<(Key, Node)> {
    let (section, node) = section?;
    if let Some(sweep) = sweep {
        cx.push(
            error("a pipeline has either a `sweep` or a `multiverse`")
                .at_key(&section, "a second set of points")
                .label(sweep.span.clone(), "the first")
                .help("put what should not matter into one pipeline, and what is studied into another"),
        );
        return None;
    }
    let entries = match node.value {
        Value::Map(entries) if !entries.is_empty() => entries,
        Value::Faulty => return None,
        _ => {
            let message = "`multiverse` must be a map of parameters to their values";
            cx.push(
                error(message)
                    .at_key(&section, format!("this is {}", node.describe_or_empty()))
                    .help("write `multiverse: { norm.scope: [global, per_bin], pca.components: [16, 32] }`"),
            );
            return None;
        }
    };
    let mut axes = Vec::new();
    for (key, node) in entries {
        let code = "spec::multiverse";
        let values = expand::values(cx, vars, code, &key, &node, "[16, 32]")?;
        let own = own_value(cx, vars, table, steps, &key)?;
        // An unknown step or parameter is reported by the sweep.
        let values = match own {
            None => values,
            Some(own) => {
                let others = values.into_iter().filter(|value| !is_same(value, &own));
                let others: Vec<Node> = others.collect();
                if others.is_empty() {
                    let message =
                        format!("{} has no value but that of the pipeline", quote(&key.name));
                    cx.push(error(message).at_key(&key, "no choice").help("add another value"));
                    return None;
                }
                let own = Node { span: node.span.clone(), ..own };
                std::iter::once(own).chain(others).collect()
            }
        };
        axes.push((key, Node { value: Value::List(values), ..node.clone_bare() }));
    }
    let grid = Key { name: "grid".to_owned(), ..section.clone() };
    let axes = Node { value: Value::Map(axes), ..node_at(&section) };
    let node = Node { value: Value::Map(vec![(grid, axes)]), ..node_at(&section) };
    Some((section, node))
}

fn error(message: impl Into<String>) -> Diagnostic {
    Diagnostic::error("spec::multiverse", message)
}

fn node_at(key: &Key) -> Node {
    Node { origin: key.origin.clone(), ..Node::new(Value::Null, key.span.clone()) }
}

/// The value that the pipeline itself gives to a parameter or a variable. The outer `None` means that
/// there is a fault, the inner one that there is no such parameter.
#[expect(clippy::option_option, reason = "a fault and an absence are told apart")]
fn own_value(
    cx: &mut Context,
    vars: &mut Variables,
    table: &'static [Entry],
    steps: &Steps,
    key: &Key,
) -> Option<Option<Node>> {
    let Some((step, name)) = key.name.rsplit_once('.') else {
        if vars.find(&key.name).is_none() {
            return Some(None);
        }
        let text = Node::new(Value::Text(format!("${{{}}}", key.name)), key.span.clone());
        let value = vars.fill(cx, &text, &[]);
        return known(cx, key, value);
    };
    let base = step.split('@').next().unwrap_or(step);
    let Some((_, fields)) = steps.iter().find(|(key, _)| key.name == base) else {
        return Some(None);
    };
    let field = |name: &str| fields.iter().find(|(key, _)| key.name == name).map(|(_, node)| node);
    if let Some(node) = field(name) {
        if names_of_for(field("for")).any(|name| mentions(node, name)) {
            let message =
                format!("{} differs between the instances of its `for`", quote(&key.name));
            let help = "name one instance, such as `groups@pca.clusters`, or another choice";
            cx.push(error(message).at_key(key, "several values already").help(help));
            return None;
        }
        let value = vars.fill(cx, node, &[]);
        return known(cx, key, value);
    }
    let entry = field("op").and_then(Node::text);
    let entry = entry.and_then(|op| table.iter().find(|entry| entry.name == op));
    let default = entry.and_then(|entry| entry.schema()["properties"].get(name)?.get("default"));
    match default {
        None => Some(None),
        Some(default) => known(cx, key, Node::new(scalar(default), key.span.clone())),
    }
}

/// The value, if steps can be named by it.
#[expect(clippy::option_option, reason = "as above")]
fn known(cx: &mut Context, key: &Key, node: Node) -> Option<Option<Node>> {
    if node.is_faulty() {
        return None;
    }
    if label(&node).is_none() {
        let message = format!("the pipeline gives no value to {}", quote(&key.name));
        let help = "write it in its step, so that the table can show it";
        cx.push(error(message).at_key(key, "which specification is shown?").help(help));
        return None;
    }
    Some(Some(node))
}

/// The names of the variables of a `for`.
fn names_of_for(node: Option<&Node>) -> impl Iterator<Item = &str> {
    let entries = match node.map(|node| &node.value) {
        Some(Value::Map(entries)) => &entries[..],
        _ => &[],
    };
    entries.iter().map(|(key, _)| key.name.as_str())
}

/// True if a tree reads a variable.
fn mentions(node: &Node, variable: &str) -> bool {
    match &node.value {
        Value::Text(text) => text.contains(&format!("${{{variable}")),
        Value::List(items) => items.iter().any(|item| mentions(item, variable)),
        _ => false,
    }
}

fn scalar(value: &Json) -> Value {
    match value {
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Int(whole.into()),
            (None, real) => Value::Real(real.unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => {
            Value::List(items.iter().map(|item| Node::new(scalar(item), 0..0)).collect())
        }
        _ => Value::Null,
    }
}

/// True if two values are the same parameter: `1` and `1.0` are.
fn is_same(one: &Node, other: &Node) -> bool {
    let (one, other) = (one.json(), other.json());
    one == other || one.as_f64().is_some_and(|number| other.as_f64() == Some(number))
}
