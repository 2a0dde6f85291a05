//! The key of a step, and why it differs from an earlier one. Both come from the same fields.

use crate::pipeline::Step;
use cache::{CacheKey, Digest, store::Finished};
use ops::{Determinism, Entry, Select};
use serde_json::Value;
use std::collections::BTreeMap;

/// The name under which the files of a source stand among the inputs of a key.
pub const FILES: &str = "files";

/// The key of a step whose inputs have this content.
pub fn key_of(step: &Step, inputs: BTreeMap<String, Digest>, device: &str) -> CacheKey {
    let entry = step.entry;
    // A path is no part of a key, but a command that mentions one is.
    let sources = step.op.sources().into_iter();
    let paths = sources.filter(|source| !matches!(source.select, Select::Mentioned));
    let outside: Vec<_> = paths.map(|source| source.param).collect();
    let params = changed_params(entry, step.op.params())
        .into_iter()
        .filter(|(name, _)| !outside.contains(&name.as_str()));
    CacheKey {
        format: cache::key::KEY_FORMAT,
        op: entry.name.to_owned(),
        version: entry.version,
        params: params.collect(),
        inputs,
        seed: entry.seeded.then_some(step.seed),
        numerics: match entry.determinism {
            Determinism::Bitwise => None,
            Determinism::Tolerant => Some(device.to_owned()),
        },
    }
}

/// The same key without some parameters: what runs that differ only in these have in common.
pub fn without(key: &CacheKey, params: &[&str]) -> CacheKey {
    let mut common = key.clone();
    common.params.retain(|name, _| !params.contains(&name.as_str()));
    common
}

/// Parameters that differ from their defaults: a new parameter with a default changes no key.
fn changed_params(entry: &Entry, params: Value) -> BTreeMap<String, Value> {
    let schema = entry.schema();
    let default = |name: &str| schema.pointer(&format!("/properties/{name}/default"));
    let Value::Object(params) = params else { return BTreeMap::new() };
    params.into_iter().filter(|(name, value)| default(name) != Some(value)).collect()
}

/// Why a step of an op runs that no step has used yet.
pub const NEVER: &str = "never run before";

/// Whether any step of that op has run before.
pub fn has_run(step: &Step, history: &[Finished]) -> bool {
    history.iter().any(|finished| finished.cache_key.op == step.entry.name)
}

/// Why a step runs: the fields in which its key differs from the nearest earlier one.
pub fn reason(key: &CacheKey, history: &[Finished]) -> String {
    let nearest = history
        .iter()
        .filter(|finished| finished.cache_key.op == key.op)
        .map(|finished| differences(&finished.cache_key, key))
        .min_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    match nearest {
        None => NEVER.to_owned(),
        Some(differences) if differences.is_empty() => "its result is no longer whole".to_owned(),
        Some(differences) => differences.join(", "),
    }
}

fn differences(old: &CacheKey, new: &CacheKey) -> Vec<String> {
    let mut found = Vec::new();
    if (old.version, old.format) != (new.version, new.format) {
        found.push(format!("the op's version {} → {}", old.version, new.version));
    }
    let names = |a: &BTreeMap<String, _>, b: &BTreeMap<String, _>| {
        let mut names: Vec<String> = a.keys().chain(b.keys()).cloned().collect();
        names.sort();
        names.dedup();
        names
    };
    let show = |value: Option<&Value>| value.map_or("default".to_owned(), Value::to_string);
    for name in names(&old.params, &new.params) {
        let (before, after) = (old.params.get(&name), new.params.get(&name));
        if before != after {
            found.push(format!("`{name}` {} → {}", show(before), show(after)));
        }
    }
    let ports = |key: &CacheKey| -> BTreeMap<String, Value> {
        key.inputs.iter().map(|(port, digest)| (port.clone(), digest.to_string().into())).collect()
    };
    let (before, after) = (ports(old), ports(new));
    for port in names(&before, &after) {
        if before.get(&port) != after.get(&port) {
            found.push(match port.as_str() {
                FILES => "the files changed".to_owned(),
                _ => format!("input `{port}` changed"),
            });
        }
    }
    if old.seed != new.seed {
        let show = |seed: Option<u64>| seed.map_or("none".to_owned(), |seed| seed.to_string());
        found.push(format!("seed {} → {}", show(old.seed), show(new.seed)));
    }
    if old.numerics != new.numerics {
        found.push("another device or precision".to_owned());
    }
    found
}
