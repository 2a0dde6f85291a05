//! What is known of every step before anything runs: its key, and its result if that is there.

use crate::{
    pipeline::Pipeline,
    run::{Files, key_of},
};
use cache::{CacheKey, Digest, Store, store::Finished};
use rayon::prelude::*;

/// What is known of a step.
#[derive(Default)]
pub enum CacheLookup {
    /// Blocked: it is not wanted, or something it reads is not there yet.
    #[default]
    Blocked,
    /// Its key, but no result.
    Miss(Box<CacheKey>, Digest),
    /// Its result.
    Hit(Box<Finished>),
}

impl CacheLookup {
    /// The result, if it is there.
    pub fn finished(&self) -> Option<&Finished> {
        match self {
            Self::Hit(finished) => Some(finished),
            _ => None,
        }
    }
}

/// Steps that are looked at without other threads.
const FEW: usize = 64;

/// Looks at all wanted steps. Those that read nothing come first, then those that read only them,
/// and so on: within such a layer no step needs another, so all threads look at it together.
pub fn lookup(
    pipeline: &Pipeline,
    files: &Files,
    store: &Store,
    wanted: &[bool],
) -> Vec<CacheLookup> {
    let mut lookups: Vec<CacheLookup> = Vec::new();
    lookups.resize_with(pipeline.steps.len(), CacheLookup::default);
    let layers = layers(pipeline, wanted);
    let few = layers.iter().all(|layer| layer.len() < FEW);
    let in_turn = || {
        for layer in layers {
            let one = |&index: &usize| (index, look_at(pipeline, files, store, &lookups, index));
            let found: Vec<_> = match few {
                true => layer.iter().map(one).collect(),
                // It does not split a layer of few.
                false => layer.par_iter().with_min_len(FEW / 2).map(one).collect(),
            };
            for (index, look) in found {
                lookups[index] = look;
            }
        }
    };
    // From within the pool: a thread outside of it would be woken after each layer.
    if few {
        in_turn()
    } else {
        rayon::scope(|_| in_turn())
    }
    lookups
}

fn look_at(
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
        Ok(finished) => CacheLookup::Hit(Box::new(finished)),
        Err(key) => CacheLookup::Miss(Box::new(key), digest),
    }
}

/// Wanted steps by the longest way from a step that reads nothing.
fn layers(pipeline: &Pipeline, wanted: &[bool]) -> Vec<Vec<usize>> {
    let mut depth = vec![0; pipeline.steps.len()];
    let mut layers: Vec<Vec<usize>> = Vec::new();
    for (index, step) in pipeline.steps.iter().enumerate().filter(|(index, _)| wanted[*index]) {
        // Steps come after what they read.
        let at = step.inputs.iter().map(|input| depth[input.step] + 1).max().unwrap_or(0);
        depth[index] = at;
        if layers.len() <= at {
            layers.resize_with(at + 1, Vec::new);
        }
        layers[at].push(index);
    }
    layers
}
