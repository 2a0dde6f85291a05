//! Reads the settings of figures: numbers, words and names.

use super::{
    context::Context,
    node::{Key, Node, Value},
    vars::Variables,
};
use crate::ui::{
    diagnostic::{Diagnostic, quote},
    suggest,
};
use reports::figures::{Expected, STYLE, Setting};
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, btree_map::Entry};

/// Reads the value of a setting.
pub fn read(cx: &mut Context, key: &Key, node: &Node, setting: &Setting) -> Option<Json> {
    let is_within = |value: f64, least, most| (least..=most).contains(&value);
    match (setting.expected, &node.value) {
        (_, Value::Faulty) => return None,
        (Expected::Count(most), Value::Int(value)) if (1..=i128::from(most)).contains(value) => {
            return Some(Json::from(*value as u64));
        }
        (Expected::Text, Value::Text(text)) if !text.trim().is_empty() => {
            return Some(Json::from(text.trim()));
        }
        (Expected::Number(least, most), Value::Int(value))
            if is_within(*value as f64, least, most) =>
        {
            return Some(Json::from(*value as f64));
        }
        (Expected::Number(least, most), Value::Real(value)) if is_within(*value, least, most) => {
            return Some(Json::from(*value));
        }
        (Expected::Choice(words), Value::Text(word)) if words.contains(&word.as_str()) => {
            return Some(Json::from(word.as_str()));
        }
        (Expected::Names, Value::Map(names)) => return all_names(cx, names),
        _ => {}
    }
    let expected = setting.expected.described();
    let message = format!("{} must be {expected}, not {}", quote(&key.name), node.describe());
    cx.push(
        Diagnostic::error("spec::figure", message)
            .at(node, format!("expected {expected}"))
            .help(setting.doc.to_owned()),
    );
    None
}

/// A map of names to other names.
fn all_names(cx: &mut Context, names: &[(Key, Node)]) -> Option<Json> {
    let mut found = Map::new();
    for (key, node) in names {
        match node.plain().filter(|name| !name.trim().is_empty()) {
            Some(name) => _ = found.insert(key.name.clone(), name.into()),
            None if node.is_faulty() => return None,
            None => {
                let message =
                    format!("{} must have a name, not {}", quote(&key.name), node.describe());
                cx.push(Diagnostic::error("spec::figure", message).at_key(key, "this"));
                return None;
            }
        }
    }
    Some(found.into())
}

/// Reads `style:`, the settings of all figures.
pub fn style(
    cx: &mut Context,
    vars: &mut Variables,
    key: &Key,
    node: &Node,
) -> Option<BTreeMap<String, Json>> {
    let node = vars.fill(cx, node, &[]);
    let Value::Map(fields) = &node.value else {
        if !node.is_faulty() {
            cx.push(
                Diagnostic::error("spec::figure", "`style` must be a map")
                    .at_key(key, format!("this holds {}", node.describe()))
                    .help("write `style: { palette: muted, font_size: 8 }`"),
            );
        }
        return None;
    };
    let mut found = BTreeMap::new();
    for (key, node) in fields {
        let Some(setting) = STYLE.iter().find(|setting| setting.name == key.name) else {
            let known: Vec<&str> = STYLE.iter().map(|setting| setting.name).collect();
            let message = format!("`style` has no entry {}", quote(&key.name));
            cx.push(
                Diagnostic::error("spec::unknown_entry", message)
                    .at_key(key, "unknown")
                    .maybe_help(suggest::help(&key.name, &known, "the entries are")),
            );
            continue;
        };
        if let Some(value) = read(cx, key, node, setting) {
            found.insert(key.name.clone(), value);
        }
    }
    Some(found)
}

/// Adds the settings of all figures to those of one, which come first; of names, each for itself.
pub fn add_style<'s>(
    options: &mut BTreeMap<String, Json>,
    style: impl Iterator<Item = (&'s String, &'s Json)>,
) {
    for (name, value) in style {
        match options.entry(name.clone()) {
            Entry::Vacant(place) => _ = place.insert(value.clone()),
            Entry::Occupied(mut own) => {
                if let (Some(own), Some(shared)) =
                    (own.get_mut().as_object_mut(), value.as_object())
                {
                    for (name, label) in shared {
                        own.entry(name.as_str()).or_insert_with(|| label.clone());
                    }
                }
            }
        }
    }
}
