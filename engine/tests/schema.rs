//! The JSON schema beside the pipelines takes what the engine takes and refuses what is built
//! wrongly, by a small validator that knows the keywords the schema uses and no others.

use serde_json::Value as Json;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Pipelines of `bad/` that are whole YAML but built in a way no pipeline is.
const BUILT_WRONGLY: &[&str] = &[
    "empty",
    "for_list",
    "input_to_source",
    "no_op",
    "no_steps",
    "not_a_map",
    "op_as_text",
    "param_below",
    "param_enum",
    "param_missing",
    "param_text",
    "param_unknown",
    "param_zero",
    "report_metric",
    "section_misplaced",
    "section_unknown",
    "seeds",
    "seeds_none",
    "seeds_twice",
    "seeds_zero",
    "step_empty",
    "step_name",
    "steps_list",
    "sweep",
    "sweep_empty",
    "sweep_grid_empty",
    "sweep_random_missing",
    "sweep_scalar",
    "sweep_strategy_unknown",
    "sweep_text",
    "sweep_two_strategies",
    "unknown_op",
    "unknown_port",
];

fn below(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn schema() -> Json {
    let text = fs::read_to_string(below("../pipelines/pipeline.schema.json")).expect("a schema");
    serde_json::from_str(&text).expect("JSON")
}

fn pipeline(path: &Path) -> Json {
    let text = fs::read_to_string(path).expect("a pipeline");
    serde_saphyr::from_str(&text).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}

/// Why `value` does not fit, at the first place found.
fn fault(root: &Json, schema: &Json, value: &Json) -> Option<String> {
    let rules = match schema {
        Json::Bool(true) => return None,
        Json::Object(rules) => rules,
        _ => return Some(format!("nothing fits here, but there is {value}")),
    };
    rules.iter().find_map(|(keyword, rule)| {
        let broken = || Some(format!("{value} breaks `{keyword}: {rule}`"));
        let unless = |fits: bool| if fits { None } else { broken() };
        let fits = |schema: &Json| fault(root, schema, value).is_none();
        let all_of = |rule: &Json| rule.as_array().expect("a list").clone();
        match keyword.as_str() {
            "$ref" => {
                let path = rule.as_str().and_then(|path| path.strip_prefix('#')).expect("a path");
                fault(root, root.pointer(path).expect("a definition"), value)
            }
            "type" => {
                let types = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                unless(types.iter().any(|name| is_of(value, name.as_str().expect("a type"))))
            }
            "enum" => unless(all_of(rule).contains(value)),
            "const" => unless(rule == value),
            "allOf" => all_of(rule).iter().find_map(|part| fault(root, part, value)),
            "anyOf" => unless(all_of(rule).iter().any(fits)),
            "oneOf" => unless(all_of(rule).iter().filter(|part| fits(part)).count() == 1),
            "if" => {
                rules.get("then").filter(|_| fits(rule)).and_then(|then| fault(root, then, value))
            }
            "minimum" => {
                unless(number(value).is_none_or(|it| it >= number(rule).expect("a limit")))
            }
            "maximum" => {
                unless(number(value).is_none_or(|it| it <= number(rule).expect("a limit")))
            }
            "exclusiveMinimum" => {
                unless(number(value).is_none_or(|it| it > number(rule).expect("a limit")))
            }
            "pattern" => unless(
                value.as_str().is_none_or(|text| matches(rule.as_str().expect("a pattern"), text)),
            ),
            "required" => unless(value.as_object().is_none_or(|map| {
                all_of(rule).iter().all(|name| map.contains_key(name.as_str().expect("a name")))
            })),
            "minProperties" => unless(
                value
                    .as_object()
                    .is_none_or(|map| map.len() as f64 >= number(rule).expect("a limit")),
            ),
            "minItems" => unless(
                value
                    .as_array()
                    .is_none_or(|list| list.len() as f64 >= number(rule).expect("a limit")),
            ),
            "uniqueItems" => unless(value.as_array().is_none_or(|list| {
                list.iter().map(Json::to_string).collect::<BTreeSet<_>>().len() == list.len()
            })),
            "items" => {
                value.as_array().into_iter().flatten().find_map(|item| fault(root, rule, item))
            }
            "propertyNames" => value
                .as_object()
                .into_iter()
                .flat_map(|map| map.keys())
                .find_map(|name| fault(root, rule, &Json::String(name.clone()))),
            "properties" => value.as_object().into_iter().flatten().find_map(|(name, value)| {
                fault(root, rule.get(name)?, value).map(|why| format!("{name}: {why}"))
            }),
            "additionalProperties" => {
                let known = rules.get("properties").and_then(Json::as_object);
                value.as_object().into_iter().flatten().find_map(|(name, value)| {
                    let others = known.is_none_or(|known| !known.contains_key(name));
                    let why = others.then(|| fault(root, rule, value)).flatten();
                    why.map(|why| format!("{name}: {why}"))
                })
            }
            "$schema" | "title" | "description" | "default" | "examples" | "format"
            | "definitions" | "then" => None,
            unknown => panic!("the schema uses `{unknown}`, which this test does not know"),
        }
    })
}

fn number(value: &Json) -> Option<f64> {
    value.as_f64()
}

fn is_of(value: &Json, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|it| it.fract() == 0.0),
        other => panic!("the schema uses the type `{other}`"),
    }
}

/// The few patterns of the schema, so that no library of regular expressions is needed.
fn matches(pattern: &str, text: &str) -> bool {
    let is_letter = |it: char| it.is_ascii_alphabetic() || it == '_';
    match pattern {
        r"\$\{" => text.contains("${"),
        r"^[^\s]+$" => !text.is_empty() && !text.contains(char::is_whitespace),
        r"^(range|linspace|logspace)\(|\$\{" => is_range(text, &[]),
        r"^(range|linspace|logspace|uniform|loguniform)\(|\$\{" => {
            is_range(text, &["uniform(", "loguniform("])
        }
        r"^[A-Za-z_][A-Za-z0-9_-]*$" => {
            text.starts_with(is_letter)
                && text.chars().all(|it| is_letter(it) || it.is_ascii_digit() || it == '-')
        }
        other => panic!("the schema uses the pattern `{other}`"),
    }
}

fn is_range(text: &str, more: &[&str]) -> bool {
    let mut names = ["range(", "linspace(", "logspace("].iter().chain(more);
    text.contains("${") || names.any(|name| text.starts_with(name))
}

#[test]
fn pipelines_fit_the_schema() {
    let schema = schema();
    for file in fs::read_dir(below("../pipelines")).expect("the pipelines") {
        let path = file.expect("a file").path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            assert_eq!(fault(&schema, &schema, &pipeline(&path)), None, "{}", path.display());
        }
    }
}

#[test]
fn what_is_built_wrongly_does_not() {
    let schema = schema();
    let fits = |name: &&&str| {
        let path = below(&format!("tests/bad/{name}.yaml"));
        fault(&schema, &schema, &pipeline(&path)).is_none()
    };
    let taken: Vec<_> = BUILT_WRONGLY.iter().filter(fits).collect();
    assert!(taken.is_empty(), "these fit the schema: {taken:?}");
}
