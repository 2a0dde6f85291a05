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
use ops::{Companion, Entry};

/// The name of the companion of a step.
pub fn companion_name(step: &str) -> String {
    format!("{step}_companions")
}

/// The name of the step that resamples the recordings of a step's clips.
fn recordings_name(step: &str) -> String {
    format!("{step}_recordings")
}

/// Names a companion by its step.
type Name = fn(&str) -> String;

/// Adds companions for each step that a row of the report shows: that with baselines if
/// the report asks for companions, and that over recordings unless only seeds are asked for.
pub fn add(outline: &mut Outline, table: &'static [Entry]) {
    let Some(Value::Map(report)) = outline.report.as_ref().map(|node| &node.value) else { return };
    let entry = |name: &str| report.iter().find(|(key, _)| key.name == name).map(|(_, node)| node);
    let wanted = entry("companions").is_some_and(|node| matches!(node.value, Value::Bool(true)));
    let resampled = entry("uncertainty").and_then(Node::text) != Some("seeds");
    let find = |kind| table.iter().find(|entry| entry.companion == Some(kind));
    let baselines =
        find(Companion::Baselines).filter(|_| wanted).map(|it| (it, companion_name as Name));
    let recordings =
        find(Companion::Recordings).filter(|_| resampled).map(|it| (it, recordings_name as Name));
    let companions: Vec<_> = baselines.into_iter().chain(recordings).collect();
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
                let producers = ports.iter().filter_map(|(_, node)| producer(node.text()?, known));
                let producers: Vec<_> = producers.collect();
                // Without recordings there is nothing to draw.
                if op.companion == Some(Companion::Recordings)
                    && !producers.iter().any(|(_, entry)| entry.groups)
                {
                    return None;
                }
                let fits = |key: &Key| op.inputs.iter().any(|port| port.name == key.name);
                let mut own: Vec<_> = ports.iter().filter(|(key, _)| fits(key)).cloned().collect();
                let clips = op.inputs.iter().filter(|it| it.kinds == [Kind::Clips]);
                for port in clips.filter(|port| !has(port.name)) {
                    let made = producers.iter().find_map(|(step, entry)| {
                        let own = entry.outputs.iter().find(|it| it.kinds == [Kind::Clips])?;
                        Some(format!("{step}.{}", own.name))
                    });
                    let named = Key { name: port.name.to_owned(), ..key.clone() };
                    own.extend(made.map(|made| {
                        (named, Node { value: Value::Text(made), ..node.clone_bare() })
                    }));
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

/// The step of an output, as it is written, with its op: `clips` for `clips.labels`.
fn producer<'t>(
    output: &str,
    (steps, table): (&Steps, &'t [Entry]),
) -> Option<(String, &'t Entry)> {
    let step = output.split('.').next().filter(|step| !step.contains('{'))?;
    let base = step.split('@').next()?;
    let (_, fields) = steps.iter().find(|(key, _)| key.name == base)?;
    let op = fields.iter().find(|(key, _)| key.name == "op")?.1.text()?;
    Some((step.to_owned(), table.iter().find(|entry| entry.name == op)?))
}
