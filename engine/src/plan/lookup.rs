//! The cache lookup of every step before a run: its key, and its result if there is one.

use super::keys::key_of;
use crate::model::{Files, Pipeline};
use cache::{CacheKey, Digest, Store, store::Finished};
use rayon::prelude::*;
use std::sync::Arc;

/// The result of a cache lookup.
#[derive(Default)]
pub enum CacheLookup {
    /// Blocked: the step is not wanted, or one of its inputs has no result yet.
    #[default]
    Blocked,
    /// The key of the step and its digest, without a result.
    Miss(Box<CacheKey>, Digest),
    /// The result of the step.
    Hit(Arc<Finished>),
}

impl CacheLookup {
    /// The result, if there is one.
    pub fn finished(&self) -> Option<&Arc<Finished>> {
        match self {
            Self::Hit(finished) => Some(finished),
            _ => None,
        }
    }
}

/// Layers of fewer steps than this are looked up by one thread.
const FEW: usize = 64;

/// Looks up all wanted steps in layers: first the steps without inputs, then those that read only
/// them, and so on. Within a layer no step needs another, so all threads share its lookups.
pub fn lookup(
    pipeline: &Pipeline,
    files: &Files,
    store: &Store,
    wanted: &[bool],
) -> Vec<CacheLookup> {
    let mut lookups: Vec<CacheLookup> = Vec::new();
    lookups.resize_with(pipeline.steps.len(), CacheLookup::default);
    let layers = pipeline.graph.layers(wanted);
    let few = layers.iter().all(|layer| layer.len() < FEW);
    let in_turn = || {
        for layer in layers {
            let one = |&index: &usize| (index, look_up(pipeline, files, store, &lookups, index));
            let found: Vec<_> = match few {
                true => layer.iter().map(one).collect(),
                // A layer of few steps is not split.
                false => layer.par_iter().with_min_len(FEW / 2).map(one).collect(),
            };
            for (index, look) in found {
                lookups[index] = look;
            }
        }
    };
    // The call is inside of the pool: a thread outside of it would be woken after each layer.
    if few {
        in_turn()
    } else {
        rayon::scope(|_| in_turn())
    }
    lookups
}

fn look_up(
    pipeline: &Pipeline,
    files: &Files,
    store: &Store,
    lookups: &[CacheLookup],
    index: usize,
) -> CacheLookup {
    let made = |from: usize, port: &str| {
        lookups[from].finished()?.outputs.get(port).map(|object| object.digest)
    };
    let Some(key) = key_of(&pipeline.steps[index], &files[index], made) else {
        return CacheLookup::Blocked;
    };
    let digest = key.digest();
    match store.hit(key, digest) {
        Ok(finished) => CacheLookup::Hit(Arc::new(finished)),
        Err(key) => CacheLookup::Miss(Box::new(key), digest),
    }
}
