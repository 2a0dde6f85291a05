//! The key of a step, which holds all that decides the bytes of its result.
//! [`crate::plan::reasons`] compares the fields of two keys.

use crate::{model::Step, plan::scan};
use cache::{CacheKey, Digest, FileEntry};
use ops::Determinism;
use std::collections::BTreeMap;

/// The name under which the files of a source stand among the inputs of a key.
pub const FILES: &str = "files";

/// The cache key of a step; none if the content of an input is not known.
pub fn key_of(
    step: &Step,
    files: &[FileEntry],
    output: impl Fn(usize, &str) -> Option<Digest>,
) -> Option<CacheKey> {
    let mut inputs = BTreeMap::new();
    for input in &step.inputs {
        inputs.insert(input.port.to_owned(), output(input.step, input.output)?);
    }
    if !step.op.sources().is_empty() {
        inputs.insert(FILES.to_owned(), scan::digest(files));
    }
    Some(with_inputs(step, inputs, step.place.name()))
}

/// The key of a step whose inputs have these digests.
pub fn with_inputs(step: &Step, inputs: BTreeMap<String, Digest>, device: &str) -> CacheKey {
    let entry = step.entry;
    // A path is no part of a key.
    let sources = step.op.sources().into_iter();
    let paths = sources.filter(|source| !source.select.keeps_parameter());
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

/// The same key without some parameters: the common part of runs that differ only in these.
pub fn without(key: &CacheKey, params: &[&str]) -> CacheKey {
    let mut common = key.clone();
    common.params.retain(|name, _| !params.contains(&name.as_str()));
    common
}

/// The reason of a step of an op that never ran before.
pub const NEVER: &str = "never run before";
