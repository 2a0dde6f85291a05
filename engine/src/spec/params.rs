//! Reads the parameters of a step: from the tree, by the JSON schema of the op, to the op itself.

use super::{
    context::Context,
    node::{Key, Node, Value, whole},
};
use crate::{
    model::Place,
    spec::{
        STEP_KEYS,
        param_schema::{self, Schema},
    },
    ui::{
        diagnostic::{Diagnostic, quote},
        suggest,
    },
};
use ops::{AnyOp, Entry};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// The op of a step, if its parameters fit, and the places of the parameters.
pub fn read(
    cx: &mut Context,
    entry: &'static Entry,
    step: &Key,
    op: &Node,
    fields: &[&(Key, Node)],
) -> (Option<Box<dyn AnyOp>>, BTreeMap<String, Place>) {
    let schema = Schema::new(entry.schema());
    let mut params = Map::new();
    let mut places = BTreeMap::new();
    let mut fine = true;
    for (key, node) in fields {
        let span = if node.span.is_empty() { &key.span } else { &node.span };
        places.insert(key.name.clone(), node.place(span));
        let Some(property) = schema.property(&key.name) else {
            cx.push(unknown(entry, &schema, key));
            fine = false;
            continue;
        };
        if node.is_faulty() {
            fine = false;
            continue;
        }
        match convert(node, &property) {
            Ok(value) => drop(params.insert(key.name.clone(), value)),
            Err(mismatches) => {
                fine = false;
                for mismatch in mismatches {
                    cx.push(mismatch.into_diagnostic(entry, key, &property));
                }
            }
        }
    }
    let given = |name: &str| fields.iter().any(|(key, _)| key.name == name);
    let missing: Vec<&str> = schema.required().into_iter().filter(|name| !given(name)).collect();
    // A misspelt parameter is reported as unknown, and is not reported as missing too.
    let misspelt: Vec<&str> = fields
        .iter()
        .filter(|(key, _)| !missing.is_empty() && schema.property(&key.name).is_none())
        .filter_map(|(key, _)| suggest::closest(&key.name, schema.properties()))
        .collect();
    for name in missing.iter().filter(|name| !misspelt.contains(name)) {
        cx.push(missing_param(entry, &schema, step, op, name));
    }
    fine &= missing.is_empty();

    // The op itself checks what the schema cannot say; each faulty parameter is removed in turn.
    loop {
        match entry.parse(Json::Object(params.clone())) {
            Ok(op) => return (fine.then_some(op), places),
            Err(error) => {
                let name = error.path.first().filter(|name| params.contains_key(*name)).cloned();
                let Some(name) = name else {
                    // A parameter that was removed, or never given, is not reported as missing
                    // again.
                    if fine {
                        cx.push(
                            Diagnostic::error("spec::parameter", error.message).at_key(step, ""),
                        );
                    }
                    return (None, places);
                };
                params.remove(&name);
                fine = false;
                let (key, node) = fields
                    .iter()
                    .find(|(key, _)| key.name == name)
                    .expect("only fields were put into the parameters");
                let message = format!("{} does not fit: {}", quote(&name), error.message);
                let node = node.at_path(&error.path[1..]);
                let diagnostic = Diagnostic::error("spec::parameter", message);
                cx.push(place(diagnostic, key, node, "this value").maybe_help(
                    schema.property(&name).and_then(|it| documentation(entry, key, &it)),
                ));
            }
        }
    }
}

/// Places a diagnostic at a value, or at its key if the value is empty.
fn place(diagnostic: Diagnostic, key: &Key, node: &Node, remark: &str) -> Diagnostic {
    if node.span.is_empty() { diagnostic.at_key(key, remark) } else { diagnostic.at(node, remark) }
}

fn unknown(entry: &Entry, schema: &Schema<'_>, key: &Key) -> Diagnostic {
    let properties = schema.properties();
    let known: Vec<&str> =
        properties.iter().copied().chain(STEP_KEYS.iter().map(|(name, _)| *name)).collect();
    let message = format!("`{}` has no parameter {}", entry.name, quote(&key.name));
    let help = match suggest::closest(&key.name, known) {
        Some(near) => Some(format!("did you mean {}?", quote(near))),
        None if properties.is_empty() => Some(format!("`{}` has no parameters", entry.name)),
        None => suggest::help(&key.name, &properties, "its parameters are"),
    };
    Diagnostic::error("spec::unknown_parameter", message).at_key(key, "unknown").maybe_help(help)
}

fn missing_param(
    entry: &Entry,
    schema: &Schema<'_>,
    step: &Key,
    op: &Node,
    name: &str,
) -> Diagnostic {
    let property = schema.property(name);
    let expected = property.as_ref().map_or_else(String::new, |it| it.expected());
    let example = property.as_ref().map_or_else(|| "…".to_owned(), |it| it.example());
    let doc = property.and_then(|it| it.doc()).map(|doc| format!(" ({doc})")).unwrap_or_default();
    let message = format!("step {} lacks the parameter `{name}`", quote(&step.name));
    Diagnostic::error("spec::missing_parameter", message)
        .at(op, format!("`{}` needs `{name}`: {expected}", entry.name))
        .help(format!("add `{name}: {example}`{doc}"))
}

/// The documentation of a parameter.
fn documentation(entry: &Entry, key: &Key, schema: &Schema<'_>) -> Option<String> {
    let doc = schema.doc()?;
    Some(format!("`{}` of `{}`: {doc}", key.name, entry.name))
}

/// A value that does not fit its schema.
struct Mismatch<'n> {
    node: &'n Node,
    expected: String,
    help: Option<String>,
    /// The key that does not belong into its map, if that is the fault.
    key: Option<&'n Key>,
}

impl Mismatch<'_> {
    fn into_diagnostic(self, entry: &Entry, key: &Key, schema: &Schema<'_>) -> Diagnostic {
        if let Some(unknown) = self.key {
            let message = format!("{} has no entry {}", quote(&key.name), quote(&unknown.name));
            return Diagnostic::error("spec::unknown_parameter", message)
                .at_key(unknown, "unknown")
                .maybe_help(self.help);
        }
        let found = self.node.describe();
        let message = if matches!(self.node.value, Value::Null) {
            format!("{} has no value", quote(&key.name))
        } else {
            format!("{} must be {}, not {found}", quote(&key.name), self.expected)
        };
        let remark = format!("expected {}", self.expected);
        place(Diagnostic::error("spec::parameter", message), key, self.node, &remark)
            .maybe_help(self.help.or_else(|| documentation(entry, key, schema)))
    }
}

/// Converts a value to JSON of the type that the schema asks for.
fn convert<'n>(node: &'n Node, schema: &Schema<'_>) -> Result<Json, Vec<Mismatch<'n>>> {
    let mismatch = |help| vec![Mismatch { node, expected: schema.expected(), help, key: None }];
    if let Some(choices) = schema.choices() {
        let written = node.plain();
        let written = written.as_deref();
        if let Some(choice) = choices.iter().find(|choice| Some(**choice) == written) {
            return Ok(Json::from(*choice));
        }
        let near = written.and_then(|text| suggest::closest(text, choices.iter().copied()));
        return Err(mismatch(near.map(|near| format!("did you mean {}?", quote(near)))));
    }
    if let Some(alternatives) = schema.alternatives() {
        return alternative(node, schema, &alternatives);
    }
    let types = schema.types();
    let takes = |name: &str| types.is_empty() || types.contains(&name);
    let bounded = |number: f64| {
        if schema.holds(number) { None } else { Some(mismatch(None)) }
    };
    match &node.value {
        Value::Null if takes("null") => Ok(Json::Null),
        Value::Bool(value) if takes("boolean") => Ok(Json::from(*value)),
        Value::Int(value) if takes("integer") || takes("number") => {
            bounded(*value as f64).map_or_else(|| Ok(whole(*value)), Err)
        }
        Value::Real(value) if takes("number") && value.is_finite() => {
            bounded(*value).map_or_else(|| Ok(Json::from(*value)), Err)
        }
        Value::Text(text) if takes("string") => Ok(Json::from(text.as_str())),
        Value::List(items) if takes("array") => list(items, schema, mismatch),
        Value::Map(entries) if takes("object") => map(entries, schema, mismatch),
        // `--set data=2024` means a folder if the parameter is a text.
        _ if takes("string") && node.raw.is_some() => Ok(Json::from(node.raw.as_deref())),
        Value::Map(_) if takes("string") => {
            Err(mismatch(Some("a text with braces needs quotes: \"{…}\"".to_owned())))
        }
        Value::Bool(_) | Value::Int(_) | Value::Real(_) if takes("string") => {
            let text = node.plain().unwrap_or_default();
            Err(mismatch(Some(format!("put it in quotes: \"{text}\""))))
        }
        Value::Real(value) if takes("integer") && value.fract() == 0.0 && value.abs() < 1e15 => {
            Err(mismatch(Some(format!("write `{value:.0}`"))))
        }
        Value::Text(text) => {
            let number = match super::scalar::resolve(text) {
                Value::Int(_) if takes("integer") || takes("number") => true,
                Value::Real(_) if takes("number") => true,
                _ => false,
            };
            let boolean = takes("boolean").then(|| match text.to_lowercase().as_str() {
                "yes" | "on" | "true" => Some("write `true`".to_owned()),
                "no" | "off" | "false" => Some("write `false`".to_owned()),
                _ => None,
            });
            let help = number.then(|| format!("remove the quotes: `{text}`"));
            Err(mismatch(help.or(boolean.flatten())))
        }
        _ => Err(mismatch(None)),
    }
}

fn alternative<'n>(
    node: &'n Node,
    schema: &Schema<'_>,
    alternatives: &[Schema<'_>],
) -> Result<Json, Vec<Mismatch<'n>>> {
    let mut nearest = None;
    let mut choices: Vec<&str> = Vec::new();
    for option in alternatives {
        match convert(node, option) {
            Ok(value) => return Ok(value),
            // A fault inside of a map or list is more useful than the message that nothing fits.
            Err(mismatches) if mismatches.iter().all(|it| !std::ptr::eq(it.node, node)) => {
                nearest.get_or_insert(mismatches);
            }
            Err(_) => choices.extend(option.choices().unwrap_or_default()),
        }
    }
    // With `null` beside one other alternative, the fault is that of the other alternative.
    let real: Vec<_> = alternatives.iter().filter(|it| it.types() != ["null"]).collect();
    if let (None, [only]) = (&nearest, &real[..]) {
        return convert(node, only);
    }
    let near = node.text().and_then(|text| suggest::closest(text, choices));
    let help = near.map(|near| format!("did you mean {}?", quote(near)));
    Err(nearest
        .unwrap_or_else(|| vec![Mismatch { node, expected: schema.expected(), help, key: None }]))
}

fn list<'n>(
    items: &'n [Node],
    schema: &Schema<'_>,
    mismatch: impl Fn(Option<String>) -> Vec<Mismatch<'n>>,
) -> Result<Json, Vec<Mismatch<'n>>> {
    if !schema.holds_items(items.len()) {
        return Err(mismatch(None));
    }
    let (mut values, mut mismatches) = (Vec::new(), Vec::new());
    for (at, item) in items.iter().enumerate() {
        match schema
            .item(at)
            .map_or_else(|| convert(item, &param_schema::ANY), |it| convert(item, &it))
        {
            Ok(value) => values.push(value),
            Err(found) => mismatches.extend(found),
        }
    }
    if mismatches.is_empty() { Ok(Json::Array(values)) } else { Err(mismatches) }
}

fn map<'n>(
    entries: &'n [(Key, Node)],
    schema: &Schema<'_>,
    mismatch: impl Fn(Option<String>) -> Vec<Mismatch<'n>>,
) -> Result<Json, Vec<Mismatch<'n>>> {
    let (mut values, mut mismatches) = (Map::new(), Vec::new());
    for (key, node) in entries {
        match schema.property(&key.name).or_else(|| schema.other_property()) {
            Some(property) => match convert(node, &property) {
                Ok(value) => drop(values.insert(key.name.clone(), value)),
                Err(found) => mismatches.extend(found),
            },
            None => mismatches.push(Mismatch {
                node,
                expected: String::new(),
                help: suggest::help(&key.name, &schema.properties(), "it has"),
                key: Some(key),
            }),
        }
    }
    for name in schema.required() {
        if !entries.iter().any(|(key, _)| key.name == name) {
            mismatches.extend(mismatch(Some(format!("`{name}` is missing in it"))));
        }
    }
    if mismatches.is_empty() { Ok(Json::Object(values)) } else { Err(mismatches) }
}
