//! Artifacts in memory, shared by the steps that run: each artifact is read from the store once.

use cache::{Artifact, Digest, Store, StoreError};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

/// A slot is filled by its first reader; the other readers wait for it.
type Slot = Arc<Mutex<Option<Arc<Artifact>>>>;

/// The artifacts in memory. Each is kept until no step will read it any more.
pub struct Artifacts<'a> {
    store: &'a Store,
    slots: Mutex<HashMap<Digest, Slot>>,
}

impl<'a> Artifacts<'a> {
    /// An empty cache.
    pub fn new(store: &'a Store) -> Self {
        Self { store, slots: Mutex::default() }
    }

    /// The artifact with this digest, from memory or from the store.
    ///
    /// # Errors
    /// When the store has lost or damaged the artifact.
    pub fn get(&self, digest: &Digest) -> Result<Arc<Artifact>, StoreError> {
        let slot = Arc::clone(self.slots().entry(*digest).or_default());
        let mut slot = lock(&slot);
        if let Some(artifact) = &*slot {
            return Ok(Arc::clone(artifact));
        }
        let artifact = Arc::new(self.store.get(digest)?);
        *slot = Some(Arc::clone(&artifact));
        Ok(artifact)
    }

    /// Keeps an artifact that was just made.
    pub fn keep(&self, digest: Digest, artifact: Artifact) {
        let slot = Arc::clone(self.slots().entry(digest).or_default());
        *lock(&slot) = Some(Arc::new(artifact));
    }

    /// Drops an artifact. A step that still reads it holds a share of its own.
    pub fn forget(&self, digest: &Digest) {
        self.slots().remove(digest);
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Digest, Slot>> {
        lock(&self.slots)
    }
}

/// Locks a mutex, poisoned or not: a step that panicked while it read left no half artifact behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
