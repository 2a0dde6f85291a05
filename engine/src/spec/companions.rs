//! Steps that a report adds beside its rows, to compare their clusters with chance and with other
//! choices.
//!
//! Companions are made from the steps that rows show, as these are written: with the same `for` and
//! the same inputs. A parameter that varies there therefore varies here too.

use super::{
    node::{Key, Node, Value},
    outline::Outline,
    sweep::Steps,
};
use ops::Entry;

/// The name of the companion of a step.
pub fn beside(step: &str) -> String {
    format!("{step}_companions")
}

/// Adds a companion for each step that a row of the report shows, if the report asks for
/// companions.
pub fn add(outline: &mut Outline, table: &'static [Entry]) {
    let Some(Value::Map(report)) = outline.report.as_ref().map(|node| &node.value) else { return };
    let entry = |name: &str| report.iter().find(|(key, _)| key.name == name).map(|(_, node)| node);
    let asked = entry("companions").is_some_and(|node| matches!(node.value, Value::Bool(true)));
    let Some(op) = table.iter().find(|entry| entry.companion).filter(|_| asked) else { return };
    let Some(Value::List(rows)) = entry("table").map(|node| &node.value) else { return };
    let mut added = Vec::new();
    for row in rows {
        let Value::Map(fields) = &row.value else { continue };
        let shown = fields.iter().find(|(key, _)| key.name == "scores");
        let Some(shown) = shown.and_then(|(_, node)| node.text()) else { continue };
        let step = shown.split(['@', '.', '{']).next().unwrap_or(shown);
        let Some(step) = outline.steps.iter().find(|(key, _)| key.name == step) else { continue };
        let name = beside(&step.0.name);
        let known = |steps: &Steps| steps.iter().any(|(key, _)| key.name == name);
        if !known(&added) && !known(&outline.steps) {
            added.extend(companion(step, name.clone(), op));
        }
    }
    outline.steps.extend(added);
}

/// A step of the companion's op with the inputs of another step; none if that step lacks some of
/// them.
fn companion(
    (key, fields): &(Key, Vec<(Key, Node)>),
    name: String,
    op: &Entry,
) -> Option<(Key, Vec<(Key, Node)>)> {
    let mut made = Vec::new();
    for (key, node) in fields {
        let node = match (key.name.as_str(), &node.value) {
            ("op", _) => Node { value: Value::Text(op.name.to_owned()), ..node.clone_bare() },
            ("in", Value::Map(ports)) => {
                let has = |name: &str| ports.iter().any(|(key, _)| key.name == name);
                if !op.inputs.iter().all(|port| port.optional || has(port.name)) {
                    return None;
                }
                let fits = |key: &Key| op.inputs.iter().any(|port| port.name == key.name);
                let ports = ports.iter().filter(|(key, _)| fits(key)).cloned().collect();
                Node { value: Value::Map(ports), ..node.clone_bare() }
            }
            ("in", _) => return None,
            ("for" | "seed", _) => node.clone(),
            _ => continue,
        };
        made.push((key.clone(), node));
    }
    let key = Key { name, span: key.span.clone(), origin: key.origin.clone() };
    made.iter().any(|(key, _)| key.name == "in").then_some((key, made))
}
