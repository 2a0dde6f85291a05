//! A store elsewhere, a *remote*: finished steps are pushed to it, and pulled where this store has
//! none.
//!
//! ```text
//! objects-v1/ab/<digest>.parquet, .safetensors    as in a store
//! steps-v1/ab/<key>.json                          a finished step: its key, objects and times
//! ```
//! An object is put before the step that names it. What is pulled is checked: the step against the
//! key that was asked for, each object against its digest. That a key has these results is believed
//! as the remote is. Whatever is wrong with a remote, a run goes on without it, with a warning.

use super::{Finished, Object, Store, StoreError, TMP, objects::ENDINGS};
use crate::{Digest, Kind, blobs::Blobs};
use std::{
    io::{self, Write as _},
    sync::atomic::{AtomicBool, Ordering},
};
use tracing::{debug_span, warn};

/// The folder of finished steps.
const STEPS: &str = "steps-v1";
/// The largest length in bytes of a finished step that is read.
const MAX_STEP_BYTES: u64 = 1 << 26;

/// The part of a remote that lookups fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// Finished steps with their objects, which are then in this store.
    All,
    /// Finished steps alone: a plan needs no objects.
    Steps,
}

/// The remote of a store.
pub(super) struct Remote {
    blobs: Box<dyn Blobs>,
    fetch: Fetch,
    /// True once it has failed; it is then left alone.
    off: AtomicBool,
}

/// The counts of what was pushed or pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransferCounts {
    /// The number of steps.
    pub steps: usize,
    /// The number of objects that were not there before.
    pub objects: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl TransferCounts {
    /// Adds the counts of another.
    pub fn add(&mut self, other: Self) {
        self.steps += other.steps;
        self.objects += other.objects;
        self.bytes += other.bytes;
    }
}

/// The reason why an object did not come.
enum PullError {
    /// The remote does not have it.
    Absent,
    /// It is not what its name says.
    Damaged(String),
    /// The remote or this store failed.
    Failed(io::Error),
}

impl Store {
    /// Lets lookups from now on fetch from a remote what this store does not have, unless it has a remote already.
    pub fn use_remote(&self, blobs: Box<dyn Blobs>, fetch: Fetch) {
        let _ = self.remote.set(Remote { blobs, fetch, off: AtomicBool::new(false) });
    }

    /// True if there is a remote, whether it answers or not.
    pub fn has_remote(&self) -> bool {
        self.remote.get().is_some()
    }

    /// The remote, unless there is none or it has failed.
    fn remote(&self) -> Option<&Remote> {
        self.remote.get().filter(|remote| !remote.off.load(Ordering::Relaxed))
    }

    /// The finished step of a key that only the remote has.
    pub(super) fn pulled(&self, key: &Digest) -> Option<Finished> {
        let remote = self.remote()?;
        let _pulling = debug_span!("pull", key = %key.short()).entered();
        match self.pull_step(remote.blobs.as_ref(), key, remote.fetch) {
            Ok((finished, _)) => Some(finished),
            Err(PullError::Absent) => None,
            Err(error) => remote.give_up(error, key),
        }
    }

    /// True if an object that this store has lost is there again, from the remote.
    pub(super) fn is_restored(&self, object: &Object) -> bool {
        let Some(remote) = self.remote() else { return false };
        let there = match remote.fetch {
            Fetch::All => self.pull_object(remote.blobs.as_ref(), object).map(|_| true),
            Fetch::Steps => remote
                .blobs
                .head(&name_of(object))
                .map(|length| length.is_some())
                .map_err(PullError::Failed),
        };
        match there {
            Ok(there) => there,
            Err(PullError::Absent) => false,
            Err(error) => remote.give_up(error, &object.digest).unwrap_or(false),
        }
    }

    /// Copies a finished step and its objects to a remote.
    ///
    /// # Errors
    /// When an object is missing or damaged here, or the remote refuses.
    pub fn push(
        &self,
        finished: &Finished,
        blobs: &dyn Blobs,
    ) -> Result<TransferCounts, StoreError> {
        let refused = |error: io::Error| StoreError::Remote {
            place: blobs.place(),
            reason: format!("cannot be written: {}", super::plain(&error)),
        };
        let mut moved = TransferCounts { steps: 1, ..TransferCounts::default() };
        for object in finished.outputs.values() {
            let name = name_of(object);
            if blobs.head(&name).map_err(refused)?.is_some() {
                continue;
            }
            // What is damaged here does not spread.
            self.verify(&object.digest)?;
            let path =
                self.object_path(&object.digest).ok_or(StoreError::Missing(object.digest))?;
            blobs.put(&name, &path).map_err(refused)?;
            moved.objects += 1;
            moved.bytes += object.bytes;
        }
        let step = step_name(&finished.key);
        if blobs.head(&step).map_err(refused)?.is_none() {
            let text =
                serde_json::to_vec(&finished.without_versions()).expect("a step always serialises");
            let mut file = self.disk.temporary(&self.root.join(TMP)).map_err(refused)?;
            file.write_all(&text).map_err(refused)?;
            blobs.put(&step, file.path()).map_err(refused)?;
        }
        Ok(moved)
    }

    /// Copies the finished step of a key from a remote, with its objects. None if the remote does
    /// not have it.
    ///
    /// # Errors
    /// When the remote cannot be read, or what it has is not what its name says.
    pub fn pull(
        &self,
        key: &Digest,
        blobs: &dyn Blobs,
    ) -> Result<Option<TransferCounts>, StoreError> {
        let place = blobs.place();
        let remote = |reason| StoreError::Remote { place, reason };
        match self.pull_step(blobs, key, Fetch::All) {
            Ok((_, moved)) => Ok(Some(moved)),
            Err(PullError::Absent) => Ok(None),
            Err(error) => Err(remote(error.of(key))),
        }
    }

    /// The keys of all finished steps of a remote.
    ///
    /// # Errors
    /// When the remote cannot be read.
    pub fn keys_of(blobs: &dyn Blobs) -> Result<Vec<Digest>, StoreError> {
        let names = blobs.list(&format!("{STEPS}/")).map_err(|error| StoreError::Remote {
            place: blobs.place(),
            reason: format!("cannot be read: {}", super::plain(&error)),
        })?;
        let key = |name: &String| {
            let name = name.rsplit('/').next()?.strip_suffix(".json")?;
            Digest::from_hex(name.as_bytes())
        };
        Ok(names.iter().filter_map(key).collect())
    }

    fn pull_step(
        &self,
        blobs: &dyn Blobs,
        key: &Digest,
        fetch: Fetch,
    ) -> Result<(Finished, TransferCounts), PullError> {
        let mut text = Vec::new();
        let there = blobs.get(&step_name(key), MAX_STEP_BYTES, &mut text);
        if !there.map_err(PullError::Failed)? {
            return Err(PullError::Absent);
        }
        let finished: Finished = serde_json::from_slice(&text)
            .map_err(|error| PullError::Damaged(format!("it cannot be read: {error}")))?;
        if finished.key != *key || finished.cache_key.digest() != *key {
            return Err(PullError::Damaged("it is of another key".to_owned()));
        }
        let finished = finished.without_versions();
        let mut moved = TransferCounts { steps: 1, ..TransferCounts::default() };
        if fetch == Fetch::All {
            for object in finished.outputs.values() {
                if self.verify(&object.digest).is_err() {
                    moved.bytes += self.pull_object(blobs, object)?;
                    moved.objects += 1;
                }
            }
            self.commit(finished.clone())
                .map_err(|error| PullError::Failed(io::Error::other(error.to_string())))?;
        }
        Ok((finished, moved))
    }

    /// Copies an object into this store, and checks its digest. Returns its length.
    fn pull_object(&self, blobs: &dyn Blobs, object: &Object) -> Result<u64, PullError> {
        let failed = PullError::Failed;
        // Another version of the engine may have written the same content in more bytes.
        let at_most = object.bytes.saturating_mul(2).saturating_add(1 << 20);
        let path = self.path_for(&object.digest, ending_of(object));
        let folder = path.parent().expect("an object lies in a folder");
        self.disk.create_dir(folder).map_err(failed)?;
        let mut file = self.disk.temporary(&self.root.join(TMP)).map_err(failed)?;
        if !blobs.get(&name_of(object), at_most, &mut file).map_err(failed)? {
            return Err(PullError::Absent);
        }
        let length = file.persist(&path).map_err(failed)?.len();
        match self.verify(&object.digest) {
            Ok(version) => {
                self.note_verified(object.digest, version);
                Ok(length)
            }
            Err(error) => {
                let _ = self.disk.clear(&path);
                Err(PullError::Damaged(match error {
                    StoreError::Damaged { reason, .. } => reason,
                    other => other.to_string(),
                }))
            }
        }
    }
}

impl Remote {
    /// Warns of an error. A remote that fails is left alone from then on; one that has damaged
    /// something may still have the rest.
    fn give_up<T>(&self, error: PullError, name: &Digest) -> Option<T> {
        let fails = matches!(error, PullError::Failed(_));
        if !fails || !self.off.swap(true, Ordering::Relaxed) {
            let rest = if fails { "; this run goes on without it" } else { "; it is made here" };
            warn!("the remote `{}` {}{rest}", self.blobs.place(), error.of(name));
        }
        None
    }
}

impl PullError {
    /// The end of a sentence that begins with the remote.
    fn of(self, name: &Digest) -> String {
        match self {
            Self::Absent => format!("does not have `{}`", name.short()),
            Self::Damaged(reason) => format!("has `{}` damaged: {reason}", name.short()),
            Self::Failed(error) => format!("cannot be read: {}", super::plain(&error)),
        }
    }
}

fn ending_of(object: &Object) -> &'static str {
    ENDINGS[usize::from(object.shape.kind == Kind::Model)]
}

fn name_of(object: &Object) -> String {
    let digest = object.digest.to_string();
    format!("{}/{}/{digest}.{}", super::OBJECTS, &digest[..2], ending_of(object))
}

fn step_name(key: &Digest) -> String {
    let name = key.to_string();
    format!("{STEPS}/{}/{name}.json", &name[..2])
}
