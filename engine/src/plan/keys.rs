//! The key of a step: what decides its bytes. Why it differs from an earlier one, [`crate::plan::reasons`]
//! says from the same fields.

use crate::pipeline::Step;
use cache::{CacheKey, Digest};
use ops::{Determinism, Select};
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
    let params = entry
        .changed(step.op.params())
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

/// Why a step of an op runs that no step has used yet.
pub const NEVER: &str = "never run before";
