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
use cache::Kind;
use ops::Entry;

/// The name of the companion of a step.
pub fn beside(step: &str) -> String {
    format!("{step}_companions")
}

/// The name of the step that resamples the recordings of a step's clips.
fn over(step: &str) -> String {
    format!("{step}_recordings")
}

/// Adds companions for each step that a row of the report shows: that with baselines if
/// the report asks for companions, and that over recordings unless only seeds are asked for.
pub fn add(outline: &mut Outline, table: &'static [Entry]) {
    let Some(Value::Map(report)) = outline.report.as_ref().map(|node| &node.value) else { return };
    let entry = |name: &str| report.iter().find(|(key, _)| key.name == name).map(|(_, node)| node);
    let asked = entry("companions").is_some_and(|node| matches!(node.value, Value::Bool(true)));
    let resampled = entry("uncertainty").and_then(Node::text) != Some("seeds");
    let resamples = |entry: &&Entry| entry.outputs.iter().any(|it| it.kinds == [Kind::Resamples]);
    let mut companions: Vec<(&Entry, fn(&str) -> String)> = Vec::new();
    companions.extend(table.iter().find(|it| it.companion && asked).map(|it| (it, beside as _)));
    companions.extend(table.iter().find(resamples).filter(|_| resampled).map(|it| (it, over as _)));
    let Some(Value::List(rows)) = entry("table").map(|node| &node.value) else { return };
    let mut added = Vec::new();
    for row in rows {
        let Value::Map(fields) = &row.value else { continue };
        let shown = fields.iter().find(|(key, _)| key.name == "scores");
        let Some(shown) = shown.and_then(|(_, node)| node.text()) else { continue };
        let step = shown.split(['@', '.', '{']).next().unwrap_or(shown);
        let Some(step) = outline.steps.iter().find(|(key, _)| key.name == step) else { continue };
        for (op, name) in &companions {
            let name = name(&step.0.name);
            let known = |steps: &Steps| steps.iter().any(|(key, _)| key.name == name);
            if !known(&added) && !known(&outline.steps) {
                added.extend(companion(step, name.clone(), op, (&outline.steps, table)));
            }
        }
    }
    outline.steps.extend(added);
}

/// A step of the companion's op with the inputs of another step, and with those of its parameters
/// that it has too; none if that step lacks some of the inputs.
fn companion(
    (key, fields): &(Key, Vec<(Key, Node)>),
    name: String,
    op: &Entry,
    known: (&Steps, &[Entry]),
) -> Option<(Key, Vec<(Key, Node)>)> {
    let mut made = Vec::new();
    let has_param = |name: &str| op.schema()["properties"].get(name).is_some();
    for (key, node) in fields {
        let node = match (key.name.as_str(), &node.value) {
            ("op", _) => Node { value: Value::Text(op.name.to_owned()), ..node.clone_bare() },
            ("in", Value::Map(ports)) => {
                let has = |name: &str| ports.iter().any(|(key, _)| key.name == name);
                if !op.inputs.iter().all(|port| port.optional || has(port.name)) {
                    return None;
                }
                let fits = |key: &Key| op.inputs.iter().any(|port| port.name == key.name);
                let mut own: Vec<_> = ports.iter().filter(|(key, _)| fits(key)).cloned().collect();
                let clips = op.inputs.iter().filter(|it| it.kinds == [Kind::Clips]);
                for port in clips.filter(|port| !has(port.name)) {
                    let made_of = own.iter().find_map(|(key, node)| {
                        let clips = clips_beside(node.text()?, known)?;
                        let key = Key { name: port.name.to_owned(), ..key.clone() };
                        Some((key, Node { value: Value::Text(clips), ..node.clone_bare() }))
                    });
                    own.extend(made_of);
                }
                Node { value: Value::Map(own), ..node.clone_bare() }
            }
            ("in", _) => return None,
            ("for", _) => node.clone(),
            ("seed", _) if op.seeded => node.clone(),
            (name, _) if has_param(name) => node.clone(),
            _ => continue,
        };
        made.push((key.clone(), node));
    }
    let key = Key { name, span: key.span.clone(), origin: key.origin.clone() };
    made.iter().any(|(key, _)| key.name == "in").then_some((key, made))
}

/// The clips from the step of an output, if it gives them: `clips.clips` for `clips.labels`.
fn clips_beside(output: &str, (steps, table): (&Steps, &[Entry])) -> Option<String> {
    let step = output.split('.').next().filter(|step| !step.contains('{'))?;
    let base = step.split('@').next()?;
    let (_, fields) = steps.iter().find(|(key, _)| key.name == base)?;
    let op = fields.iter().find(|(key, _)| key.name == "op")?.1.text()?;
    let entry = table.iter().find(|entry| entry.name == op)?;
    let port = entry.outputs.iter().find(|port| port.kinds == [Kind::Clips])?;
    Some(format!("{step}.{}", port.name))
}
