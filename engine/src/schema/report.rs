//! The schema of the section `report`, with the settings of each kind of figure.

use super::{documented, or_variable, put};
use crate::spec::{FIGURE_KEYS, PAPER_KEYS, REPORT_KEYS, ROW_KEYS, metrics};
use reports::figures::{Expected, FIGURES, STYLE, Setting};
use serde_json::{Map, Value as Json, json};

/// The schema of the section.
pub(super) fn report() -> Json {
    let mut paper = Map::new();
    for measure in metrics() {
        for name in std::iter::once(&measure.name).chain(measure.short) {
            paper.insert((*name).to_owned(), json!({"type": "number"}));
        }
    }
    let mut from = documented(PAPER_KEYS);
    put(&mut from, "source", json!({"type": "string"}));
    put(&mut from, "clips", json!({"type": "integer", "minimum": 1}));
    paper.extend(from.clone());
    let mut row = documented(ROW_KEYS);
    put(&mut row, "row", json!({"type": ["string", "number"]}));
    put(&mut row, "scores", json!({"$ref": "#/definitions/reference"}));
    put(&mut row, "reference", json!({"$ref": "#/definitions/reference"}));
    let paper =
        json!({"type": "object", "properties": paper, "additionalProperties": {"type": "number"}});
    put(&mut row, "paper", paper);
    put(&mut row, "for", json!({"$ref": "#/definitions/for"}));
    let mut keys = documented(REPORT_KEYS);
    put(&mut keys, "question", json!({"type": "string"}));
    let names: Vec<&str> = metrics().iter().map(|measure| measure.name).collect();
    let column = json!({"anyOf": [{"enum": names}, {"type": "string", "pattern": "^[^\\s]+$"}]});
    put(&mut keys, "columns", json!({"type": "array", "minItems": 1, "items": column}));
    let from = json!({"type": "object", "properties": from, "additionalProperties": false});
    put(&mut keys, "paper", from);
    put(&mut keys, "test", json!({"enum": ["t", "wilcoxon"]}));
    put(&mut keys, "uncertainty", json!({"enum": ["both", "recordings", "seeds"]}));
    put(&mut keys, "companions", json!({"type": "boolean"}));
    put(
        &mut keys,
        "table",
        json!({"type": "array", "items": {
            "type": "object", "properties": row, "required": ["scores"],
            "additionalProperties": false
        }}),
    );
    let mut style = Map::new();
    put_settings(&mut style, STYLE);
    let style = json!({"type": "object", "properties": style, "additionalProperties": false});
    put(&mut keys, "style", style);
    put(&mut keys, "figures", json!({"type": "array", "items": figures()}));
    put(&mut keys, "audio", json!({"type": ["boolean", "string"]}));
    json!({"type": "object", "properties": keys, "additionalProperties": false})
}

/// Adds the settings of a figure.
fn put_settings(keys: &mut Map<String, Json>, settings: &[Setting]) {
    for setting in settings {
        let given = match setting.expected {
            Expected::Count(most) => json!({"type": "integer", "minimum": 1, "maximum": most}),
            Expected::Text => json!({"type": "string"}),
            Expected::Number(least, most) => {
                json!({"type": "number", "minimum": least, "maximum": most})
            }
            Expected::Choice(words) => json!({"enum": words}),
            Expected::Names => {
                json!({"type": "object", "additionalProperties": {"type": ["string", "number"]}})
            }
        };
        keys.insert(setting.name.to_owned(), or_variable(&given));
        keys[setting.name]["description"] = setting.doc.into();
    }
}

/// The settings of each kind of figure.
fn figures() -> Json {
    let kinds = FIGURES.iter().map(|kind| {
        let mut keys = documented(FIGURE_KEYS);
        put(&mut keys, "figure", json!({"const": kind.name, "description": kind.doc}));
        put(&mut keys, "title", json!({"type": "string"}));
        put(&mut keys, "caption", json!({"type": "string"}));
        put(&mut keys, "for", json!({"$ref": "#/definitions/for"}));
        for role in kind.roles {
            let one = json!({"$ref": "#/definitions/reference"});
            let given = match role.takes_many {
                true => json!({"anyOf": [one.clone(), {"type": "array", "items": one}]}),
                false => json!({"allOf": [one]}),
            };
            let kinds: Vec<&str> = role.kinds.iter().map(|kind| kind.name()).collect();
            keys.insert(role.name.to_owned(), given);
            keys[role.name]["description"] = format!("{} ({})", role.doc, kinds.join(" or ")).into();
        }
        put_settings(&mut keys, kind.settings);
        put_settings(&mut keys, kind.style());
        let needed = kind.roles.iter().filter(|role| !role.is_optional).map(|role| role.name);
        let required: Vec<&str> = std::iter::once("figure").chain(needed).collect();
        json!({"type": "object", "properties": keys, "required": required, "additionalProperties": false})
    });
    json!({"oneOf": kinds.collect::<Vec<_>>()})
}
