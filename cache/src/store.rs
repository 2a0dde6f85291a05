//! The content-addressed store: objects named by digest, and a journal of finished steps.
//!
//! ```text
//! .engine/
//!   objects-v1/ab/<digest>.parquet       tables
//!   objects-v1/ab/<digest>.safetensors   tensors
//!   journal-v2/<writer>.jsonl            finished steps, a file a process that made some
//!   state-v2.jsonl                       the compacted form of those of processes that have ended
//!   files-v1-<host>                      digests of files outside the store, by path and version, as a host sees them
//!   logs-v1/<key>.log                    the log of each step
//!   sources-v1/<digest>                  the files that a source held, see [`sources`]
//!   figures-v1/<digest>.{json,png}       rendered figures
//!   unchanged-v1/<command>               the versions of the files behind a run of cache hits only
//!   checkpoints-v1/<work>/               checkpoints of long work, see [`checkpoint`]
//!   work-v1/<plan>/                      a plan of a run on a cluster, and what its processes tell each other
//!   gpu-trial-v1-<host>.json             whether the GPU of a host agreed with its CPU
//!   id-v1                                the name of the store, by which workers know it
//!   runs-v1                              the folders of runs that used this store
//!   seen-v1-<host>                       versions of objects that a host has verified by itself
//!   leases-v1/<writer>                   a process that has the store open, see `store/writer.rs`
//!   leases-v1/<key>.<generation>         held while a step runs, see `store/leases.rs`
//!   tmp-v1/<writer>-<number>             files being written; removed once their process is dead
//! ```
//! Nothing outside the store is written or deleted: below its own folder no symbolic link is followed,
//! only regular files are opened, and only names of these forms are ever removed ([`disk`], [`names`]).
//!
//! Every write survives a loss of power through its order: the bytes are synced under a temporary name,
//! the file is renamed, the folder is synced, and only then does a line of the journal name the object.
//! A step is reported finished once that line is synced. So every object that the journal names is
//! complete.
//!
//! Several processes use one store, on one machine or on several that share its file system. What is assumed of that
//! file system: a name is made, given a second time or renamed at once or not at all; what was synced is seen by whoever
//! opens the file afterwards. Locks, clocks, inode numbers and lists of folders are not trusted across hosts: at worst
//! a step is made twice, with the same bytes.

pub mod checkpoint;
mod compact;
mod disk;
mod entry;
mod error;
#[cfg(test)]
mod faults;
mod finished;
pub mod folder;
mod gc;
#[cfg(test)]
mod hosts_tests;
mod identity;
mod journal;
mod known;
mod leases;
mod line;
mod names;
pub mod notes;
mod objects;
pub mod plans;
mod processes;
pub mod remote;
pub mod sources;
mod temporary;
#[cfg(test)]
mod tests;
mod verified_versions;
mod writer;

pub use entry::{Owner, host_name, set_job};
pub use error::{StoreError, plain};
pub use finished::{Finished, Object, Times};
pub(crate) use finished::{is_nothing, is_zero};
pub use gc::{FIGURES, LOGS, Reclaimed, StoreEntry, UP_TO_DATE, Usage};
pub use leases::{Attempt, Claim};
pub use plans::WORK;

use crate::{CacheKey, Digest, FileIndex};
use checkpoint::CHECKPOINTS;
use disk::Disk;
use journal::{JOURNALS, Journal};
use processes::EXCLUSIVE_LOCK;
use remote::Remote;
use sources::NOTES;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};
use verified_versions::VerifiedVersions;
use writer::{LEASES, Writer};

/// A folder of objects and a journal, which several processes may share.
pub struct Store {
    root: PathBuf,
    disk: Disk,
    journal: Journal,
    files: OnceLock<FileIndex>,
    verified: VerifiedVersions,
    /// This process among those that use the store; none in a store that is read-only or not there.
    writer: Mutex<Option<Arc<Writer>>>,
    /// True if processes of other hosts use the store.
    shared: AtomicBool,
    /// True if the folder is there.
    is_made: bool,
    /// Held while unused parts are removed.
    removal: Mutex<Option<Claim>>,
    remote: OnceLock<Remote>,
}

const OBJECTS: &str = "objects-v1";
pub(crate) const TMP: &str = "tmp-v1";
const FILES: &str = "files-v1";
/// All folders of a store.
const FOLDERS: [&str; 10] =
    [OBJECTS, LEASES, JOURNALS, TMP, LOGS, FIGURES, UP_TO_DATE, NOTES, CHECKPOINTS, WORK];
const NO_PANIC: &str = "no thread panics while it opens or closes a store";
/// The largest length in bytes of an index, a list or a note that is read.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 30;

impl Store {
    /// Opens the store in a folder, which is made if it does not exist, and removes unfinished
    /// files of killed processes.
    ///
    /// # Errors
    /// When the folder cannot be made or be a store, or the journal cannot be read.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        fit(root)?;
        fs::create_dir_all(root).map_err(StoreError::io("make the folder", root))?;
        Self::open_on(root, Disk::default())
    }

    /// Opens the store in a folder if there is one. Otherwise the store is empty, and nothing is
    /// created.
    ///
    /// # Errors
    /// When the folder cannot be a store or the journal cannot be read.
    pub fn open_existing(root: &Path) -> Result<Self, StoreError> {
        if Self::is_at(root) {
            return Self::open(root);
        }
        fit(root)?;
        Self::on(root, &Disk::default().below(root), false)
    }

    /// True if the folder is a store.
    pub fn is_at(root: &Path) -> bool {
        [OBJECTS, TMP].iter().any(|folder| root.join(folder).symlink_metadata().is_ok())
    }

    fn open_on(root: &Path, disk: Disk) -> Result<Self, StoreError> {
        let disk = disk.below(root);
        for folder in FOLDERS {
            disk.check_place_of(&root.join(folder)).map_err(|error| StoreError::Unfit {
                path: root.to_owned(),
                reason: plain(&error),
            })?;
        }
        for folder in [OBJECTS, LEASES, JOURNALS, TMP] {
            let folder = root.join(folder);
            disk.create_dir(&folder).map_err(StoreError::io("make the folder", &folder))?;
        }
        // A store that is read-only is used without being seen. The process comes before the journal is read, so that
        // nothing that it reads is removed meanwhile.
        let writer = Writer::register(&disk, &root.join(TMP)).ok();
        let shared = writer.as_ref().is_some_and(|writer| writer.sweep(&root.join(TMP)));
        let store = Self::on(root, &disk, true)?;
        *store.writer.lock().expect(NO_PANIC) = writer;
        store.shared.store(shared, Ordering::Relaxed);
        store.wait_for_exclusive_lock();
        Ok(store)
    }

    fn on(root: &Path, disk: &Disk, is_made: bool) -> Result<Self, StoreError> {
        let journal = Journal::open(root, &root.join(TMP), disk)?;
        Ok(Self {
            root: root.to_owned(),
            disk: disk.clone(),
            journal,
            files: OnceLock::new(),
            verified: VerifiedVersions::default(),
            writer: Mutex::default(),
            shared: AtomicBool::new(false),
            is_made,
            removal: Mutex::default(),
            remote: OnceLock::new(),
        })
    }

    /// The folder of the store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The index of digests of files outside the store.
    pub fn files(&self) -> &FileIndex {
        self.files.get_or_init(|| {
            let own = self.disk.read(&self.files_path(), MAX_FILE_BYTES).ok();
            // A host without an index begins with that of another: versions tell what holds here too.
            let text = own.or_else(|| {
                let all = self.disk.list(&self.root).unwrap_or_default().into_iter();
                let all =
                    all.filter(|(name, _)| name.as_encoded_bytes().starts_with(FILES.as_bytes()));
                let all = all.map(|(name, _)| self.root.join(name));
                let newest = all.max_by_key(|path| {
                    fs::symlink_metadata(path).and_then(|it| it.modified()).ok()
                });
                self.disk.read(&newest?, MAX_FILE_BYTES).ok()
            });
            FileIndex::from_text(&text.unwrap_or_default())
        })
    }

    fn files_path(&self) -> PathBuf {
        self.root.join(format!("{FILES}-{}", host_name()))
    }

    /// Saves the index of files outside the store; does nothing if the store does not exist.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn save_files(&self) -> Result<(), StoreError> {
        if !self.is_made() {
            return Ok(());
        }
        let Some(bytes) = self.files.get().and_then(FileIndex::unsaved) else { return Ok(()) };
        self.write_atomic("write", &self.files_path(), &bytes)
    }

    /// True if the folder of the store exists.
    fn is_made(&self) -> bool {
        self.is_made
    }

    /// Reads what other processes have added to the journal.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn refresh(&self) -> Result<(), StoreError> {
        self.journal.refresh()
    }

    /// The finished step of that key, if all its objects exist and are intact. An object whose file
    /// has another version than the last verified one is read. What is not there may come from the
    /// remote.
    pub fn finished(&self, key: &Digest) -> Option<Finished> {
        match self.journal.get(key) {
            Some(finished) => self.if_whole(finished),
            None => self.pulled(key),
        }
    }

    /// True if the journal has a step of that key, as far as it was read. Nothing is asked of the remote.
    pub fn contains(&self, key: &Digest) -> bool {
        self.journal.has(key)
    }

    /// The finished step of a key that the caller passes by value: the fast lookup for many steps.
    ///
    /// # Errors
    /// The key, if there is no such step.
    pub fn hit(&self, cache_key: CacheKey, key: Digest) -> Result<Finished, CacheKey> {
        let Some(made) = self.journal.finished_step(&key) else {
            return self.pulled(&key).ok_or(cache_key);
        };
        if made.outputs.values().all(|object| self.is_as_seen(object)) {
            return Ok(Finished {
                key,
                cache_key,
                outputs: made.outputs,
                times: made.times,
                warnings: made.warnings,
            });
        }
        self.finished(&key).ok_or(cache_key)
    }

    fn if_whole(&self, finished: Finished) -> Option<Finished> {
        if finished.outputs.values().all(|object| self.is_as_seen(object)) {
            return Some(finished);
        }
        for object in finished.outputs.values().filter(|object| !self.is_as_seen(object)) {
            match self.verify(&object.digest) {
                // The next process on this host need not read it again.
                Ok(version) => self.note_verified(object.digest, version),
                Err(_) if self.is_restored(object) => {}
                Err(_) => return None,
            }
        }
        Some(finished)
    }

    /// The outputs of a finished step whose objects are missing or damaged: port and error.
    pub fn damaged_outputs(&self, key: &Digest) -> Vec<(String, StoreError)> {
        let outputs = self.journal.get(key).into_iter().flat_map(|finished| finished.outputs);
        let lost = outputs.filter_map(|(port, object)| {
            let error = (!self.is_as_seen(&object)).then(|| self.verify(&object.digest).err())?;
            Some((port, error?))
        });
        lost.collect()
    }

    /// All finished steps in the journal, in the order of their keys. This parses the whole
    /// journal, so it should be called only after a cache miss.
    pub fn history(&self) -> Vec<Finished> {
        self.journal.all()
    }

    /// Records that a step is finished. Once this returns, the record survives a loss of power. The
    /// objects must have been [`put`](Self::put) before. Steps that finish together are synced
    /// together.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn commit(&self, finished: Finished) -> Result<(), StoreError> {
        // Others read the journal of a process only as long as they see the process.
        self.writer().map_err(|error| self.refused("write in", &self.root, error))?;
        self.journal.append(&finished).map_err(|error| self.or_gone(error))?;
        if self.journal.take_compaction_due() {
            // If compaction fails, the journals are still valid, and a later process tries again.
            let _ = self.compact(false, |_| true);
        }
        Ok(())
    }

    /// Writes a file of the store atomically: afterwards it is complete, or it does not exist.
    pub(crate) fn write_atomic(
        &self,
        action: &'static str,
        path: &Path,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        self.disk
            .write_atomic(path, bytes, &self.root.join(TMP))
            .map_err(|error| self.refused(action, path, error))
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    fn refused(&self, action: &'static str, path: &Path, error: io::Error) -> StoreError {
        self.or_gone(StoreError::io(action, path)(error))
    }

    /// Replaces an error by a clearer one if the folder of the store has been removed.
    fn or_gone(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Io { ref source, .. } if source.kind() == io::ErrorKind::NotFound => {
                let whole = [OBJECTS, TMP].iter().all(|folder| self.root.join(folder).is_dir());
                if whole { error } else { StoreError::Gone(self.root.clone()) }
            }
            other => other,
        }
    }
}

/// Checks that a folder can be a store: it is one, or its path does not exist.
fn fit(root: &Path) -> Result<(), StoreError> {
    match fs::metadata(root) {
        Ok(there) if !there.is_dir() => {
            let reason = "it is a file, not a folder".to_owned();
            Err(StoreError::Unfit { path: root.to_owned(), reason })
        }
        _ => Ok(()),
    }
}
