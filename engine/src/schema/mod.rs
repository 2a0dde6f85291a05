//! The JSON schema of pipelines, for completion and hover text in an editor.
//!
//! The schema follows draft 7, which editors understand for YAML schemas.

mod report;

use crate::{
    catalog,
    spec::{
        MAX_VARIANTS, RESOURCE_KEYS, STEP_KEYS, SWEEP_KEYS, TOP_KEYS,
        samplers::{self, Keys, SAMPLERS, Setting, SettingType},
    },
};
use ops::Entry;
use serde_json::{Map, Value as Json, json};

/// The schema of pipelines with all ops, as text.
pub fn text() -> String {
    let schema = schema(ops::OPS);
    let mut text = serde_json::to_string_pretty(&schema).expect("JSON values always serialise");
    text.push('\n');
    text
}

/// The schema of pipelines with these ops.
pub fn schema(table: &[Entry]) -> Json {
    let mut definitions = Map::new();
    definitions.insert("variable".into(), variable());
    definitions.insert(
        "reference".into(),
        json!({
            "type": "string",
            "pattern": "^[^\\s]+$",
            "description": "A step, or one of its outputs: `step`, `step.port`, `step@instance`; `step@*` for all instances."
        }),
    );
    definitions.insert("for".into(), for_schema());
    definitions.insert("step".into(), step(table));
    for entry in table {
        op(entry, &mut definitions);
    }
    let mut top = documented(TOP_KEYS);
    put(&mut top, "name", json!({"type": "string"}));
    put(&mut top, "description", json!({"type": "string"}));
    put(&mut top, "vars", json!({"type": "object"}));
    let paths = json!({"type": "array", "items": {"type": "string"}, "minItems": 1});
    put(&mut top, "include", json!({"anyOf": [{"type": "string"}, paths]}));
    put(
        &mut top,
        "seeds",
        json!({"anyOf": [
            {"type": "integer", "minimum": 1, "maximum": 1000},
            {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1,
             "uniqueItems": true},
            {"$ref": "#/definitions/variable"}
        ]}),
    );
    put(
        &mut top,
        "steps",
        json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_-]*$"},
            "additionalProperties": {"$ref": "#/definitions/step"}
        }),
    );
    put(&mut top, "report", report::report());
    put(&mut top, "sweep", sweep());
    let values = json!({"anyOf": [
        {"type": "array", "minItems": 1},
        {"type": "string", "pattern": "^(range|linspace|logspace)\\(|\\$\\{"}
    ]});
    put(
        &mut top,
        "multiverse",
        json!({"type": "object", "minProperties": 1, "additionalProperties": values}),
    );
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A pipeline of the engine",
        "type": "object",
        "anyOf": [{"required": ["steps"]}, {"required": ["include"]}],
        // A step over an included one may leave out its op.
        "if": {"not": {"required": ["include"]}},
        "then": {"properties": {"steps": {"additionalProperties": {"required": ["op"]}}}},
        "properties": top,
        "additionalProperties": false,
        "definitions": definitions
    })
}

fn variable() -> Json {
    json!({"type": "string", "pattern": "\\$\\{", "description": "A variable: `${name}`."})
}

fn documented(keys: &[(&str, &str)]) -> Map<String, Json> {
    keys.iter().map(|(name, doc)| ((*name).to_owned(), json!({"description": doc}))).collect()
}

/// Adds keywords to the schema of a key.
fn put(keys: &mut Map<String, Json>, name: &str, schema: Json) {
    let entry = keys.entry(name).or_insert_with(|| json!({}));
    if let (Json::Object(entry), Json::Object(schema)) = (entry, schema) {
        entry.extend(schema);
    }
}

fn for_schema() -> Json {
    json!({
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"anyOf": [
            {"type": "array", "minItems": 1,
             "items": {"type": ["string", "number", "boolean"]}},
            {"type": "string", "pattern": "^(range|linspace|logspace)\\(|\\$\\{"}
        ]}
    })
}

/// The schema of a step: the keys of every step; the parameters come from its op.
fn step(table: &[Entry]) -> Json {
    let ops: Vec<Json> = table
        .iter()
        .map(|entry| json!({"const": entry.name, "description": catalog::summary(entry.schema())}))
        .collect();
    let cases: Vec<Json> = table
        .iter()
        .map(|entry| {
            json!({
                "if": {"properties": {"op": {"const": entry.name}}, "required": ["op"]},
                "then": {"$ref": format!("#/definitions/op.{}", entry.name)}
            })
        })
        .collect();
    let mut settings = documented(STEP_KEYS);
    put(
        &mut settings,
        "op",
        json!({"anyOf": [{"oneOf": ops}, {"$ref": "#/definitions/variable"}]}),
    );
    json!({"type": "object", "properties": settings, "allOf": cases})
}

/// The schema of a step of one op: its settings, inputs and parameters.
fn op(entry: &Entry, definitions: &mut Map<String, Json>) {
    let mut schema = entry.schema().clone();
    let prefix = format!("#/definitions/{}.", entry.name);
    refer(&mut schema, &prefix);
    if let Some(Json::Object(parts)) = schema.get_mut("$defs").map(Json::take) {
        for (name, part) in parts {
            definitions.insert(format!("{}.{name}", entry.name), part);
        }
    }
    let mut properties = documented(STEP_KEYS);
    put(&mut properties, "op", json!({"const": entry.name}));
    put(&mut properties, "for", json!({"$ref": "#/definitions/for"}));
    let number = |least: u32| json!({"anyOf": [{"type": "integer", "minimum": least}, {"$ref": "#/definitions/variable"}]});
    put(&mut properties, "seed", number(0));
    put(&mut properties, "retries", number(0));
    put(&mut properties, "timeout", json!({"type": ["number", "string"]}));
    let mut resources = documented(RESOURCE_KEYS);
    put(&mut resources, "threads", number(1));
    put(&mut resources, "memory", json!({"type": ["integer", "string"]}));
    put(&mut resources, "gpu", number(0));
    put(&mut resources, "gpu_memory", json!({"type": ["integer", "string"]}));
    put(&mut resources, "time", json!({"type": ["number", "string"]}));
    put(
        &mut properties,
        "resources",
        json!({"type": "object", "properties": resources, "additionalProperties": false}),
    );
    let numbered = json!({"type": "string", "pattern": r"^cuda:\d+$"});
    let variable = json!({"$ref": "#/definitions/variable"});
    let devices = json!({"anyOf": [{"enum": ["auto", "cpu", "cuda"]}, numbered, variable]});
    put(&mut properties, "device", devices);
    if entry.open {
        let reference = json!({"$ref": "#/definitions/reference"});
        let map = json!({"type": "object", "additionalProperties": reference});
        put(&mut properties, "in", json!({"anyOf": [reference, map]}));
    } else if entry.inputs.is_empty() {
        properties.remove("in");
    } else {
        put(&mut properties, "in", inputs(entry));
    }
    let parameters = schema.get("properties").and_then(Json::as_object);
    for (name, parameter) in parameters.into_iter().flatten() {
        properties.insert(name.clone(), or_variable(parameter));
    }
    let mut required: Vec<Json> = vec!["op".into()];
    if entry.inputs.iter().any(|port| !port.optional) {
        required.push("in".into());
    }
    required.extend(schema.get("required").and_then(Json::as_array).into_iter().flatten().cloned());
    definitions.insert(
        format!("op.{}", entry.name),
        json!({
            "description": schema.get("description"),
            "type": "object",
            "required": required,
            "properties": properties,
            "additionalProperties": false
        }),
    );
}

fn inputs(entry: &Entry) -> Json {
    let reference = json!({"$ref": "#/definitions/reference"});
    let ports: Map<String, Json> = entry
        .inputs
        .iter()
        .map(|port| {
            let kinds: Vec<&str> = port.kinds.iter().map(|kind| kind.name()).collect();
            let doc = format!("{} ({})", port.doc, kinds.join(" or "));
            let one_or_labelled = json!([
                reference.clone(),
                {"type": "object", "minProperties": 2, "additionalProperties": reference.clone()}
            ]);
            let schema = match port.variadic {
                true => json!({"description": doc, "anyOf": one_or_labelled}),
                false => json!({"description": doc, "allOf": [reference.clone()]}),
            };
            (port.name.to_owned(), schema)
        })
        .collect();
    let needed: Vec<&str> =
        entry.inputs.iter().filter(|port| !port.optional).map(|port| port.name).collect();
    let map = json!({
        "type": "object", "properties": ports, "required": needed, "additionalProperties": false
    });
    // A name alone stands for the first port, so every other port must be optional.
    match needed[..] {
        [] => json!({"anyOf": [reference, map]}),
        [only] if only == entry.inputs[0].name => json!({"anyOf": [reference, map]}),
        _ => map,
    }
}

/// Allows a variable in place of a parameter. Its documentation stays where editors show it.
fn or_variable(parameter: &Json) -> Json {
    let mut outer = Map::new();
    let mut inner = parameter.clone();
    if let Json::Object(inner) = &mut inner {
        for name in ["description", "default"] {
            if let Some(value) = inner.remove(name) {
                outer.insert(name.to_owned(), value);
            }
        }
        // Formats such as `uint` are Rust's, and editors warn of unknown formats.
        inner.remove("format");
    }
    outer.insert("anyOf".to_owned(), json!([inner, {"$ref": "#/definitions/variable"}]));
    Json::Object(outer)
}

/// Makes references point to the definitions of an op.
fn refer(schema: &mut Json, prefix: &str) {
    match schema {
        Json::Object(map) => {
            if let Some(Json::String(target)) = map.get_mut("$ref")
                && let Some(name) = target.strip_prefix("#/$defs/")
            {
                *target = format!("{prefix}{name}");
            }
            map.values_mut().for_each(|part| refer(part, prefix));
        }
        Json::Array(items) => items.iter_mut().for_each(|part| refer(part, prefix)),
        _ => {}
    }
}

fn sweep() -> Json {
    let value = json!({"type": ["string", "number", "boolean", "array"]});
    let range =
        |names: &str| json!({"type": "string", "pattern": format!("^({names})\\(|\\$\\{{")});
    let list = json!({"type": "array", "minItems": 1, "items": value});
    let axes = |names: &str| {
        json!({
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"anyOf": [list, range(names)]}
        })
    };
    let points = json!({"type": "array", "minItems": 1, "items": {
        "type": "object", "minProperties": 1, "additionalProperties": value
    }});
    let settings = |settings: &[Setting]| {
        let mut keys = Map::new();
        for Setting { name, doc, takes, .. } in settings {
            let schema = match takes {
                SettingType::Points => {
                    json!({"type": "integer", "minimum": 1, "maximum": MAX_VARIANTS})
                }
                SettingType::Count(least) => json!({"type": "integer", "minimum": least}),
                SettingType::Parameter => json!({"type": "string"}),
                SettingType::Space => axes("range|linspace|logspace|uniform|loguniform"),
            };
            put(&mut keys, name, json!({"description": doc}));
            put(&mut keys, name, schema);
        }
        let required = settings.iter().filter(|it| it.required).map(|it| it.name);
        json!({
            "type": "object",
            "properties": keys,
            "required": required.collect::<Vec<_>>(),
            "additionalProperties": false
        })
    };
    let mut keys = Map::new();
    for sampler in SAMPLERS {
        let schema = match sampler.keys {
            Keys::Parameters => axes("range|linspace|logspace"),
            Keys::Points => points.clone(),
            Keys::Settings(known) => settings(known),
        };
        put(&mut keys, sampler.name, json!({"description": sampler.doc}));
        put(&mut keys, sampler.name, schema);
    }
    keys.extend(documented(SWEEP_KEYS));
    put(
        &mut keys,
        "objective",
        json!({
            "type": "object",
            "properties": {
                "metric": {"type": "string", "pattern": "^[^\\s]+$"},
                "direction": {"enum": ["maximize", "minimize"]}
            },
            "required": ["metric"],
            "additionalProperties": false
        }),
    );
    put(&mut keys, "include", points.clone());
    put(&mut keys, "exclude", points);
    json!({
        "type": "object",
        "properties": keys,
        "oneOf": samplers::names().iter().map(|name| json!({"required": [name]})).collect::<Vec<_>>(),
        "additionalProperties": false
    })
}
