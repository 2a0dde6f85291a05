//! The content-addressed store: objects named by digest, and a journal of finished steps.
//!
//! ```text
//! .engine/
//!   objects-v1/ab/<digest>.parquet       tables
//!   objects-v1/ab/<digest>.safetensors   tensors
//!   journal-v1.jsonl, state-v1.jsonl     finished steps: what is new, and what is compacted
//!   files-v1                             digests of files outside, by path and version
//!   logs-v1/<key>.log                    what steps have said
//!   sources-v1/<digest>                  which files a source held, see [`crate::sources`]
//!   figures-v1/<digest>.{json,png}       figures as they were drawn
//!   unchanged-v1/<command>               what a run rests on in which every step was there
//!   checkpoints-v1/<work>/               states of long work, see [`crate::checkpoint`]
//!   runs-v1                              where runs lie that were made with this store
//!   locks-v1/<key>                       held while a step runs; the kernel frees a dead owner's
//!   tmp-v1/<process>-<number>            what is being written; swept when its process is dead
//!   in-use                               locked by every process that has the store open
//! ```
//! Nothing outside is written or deleted: below the store's own folder no symbolic link is followed, only
//! regular files are opened, and only names of these forms are ever removed ([`disk`], [`names`]).
//!
//! The order of every write outlives a loss of power: bytes are synced under a temporary name,
//! renamed, the folder is synced, and only then does a line of the journal name the object; a step
//! is reported finished once that line is synced. So whatever is named is whole, and whatever is
//! half is never named.

mod disk;
mod error;
#[cfg(test)]
mod faults;
mod gc;
mod journal;
mod line;
mod locks;
mod names;
mod notes;
mod objects;
#[cfg(test)]
mod tests;

pub use error::{StoreError, plain};
pub use gc::{FIGURES, LOGS, Reclaimed, StoreEntry, UP_TO_DATE, Usage};
pub use locks::{Claim, Owner};

use crate::{
    CacheKey, Digest, FileIndex, Shape, checkpoint::CHECKPOINTS, file_version::FileVersion,
    sources::NOTES,
};
pub(crate) use disk::Disk;
use journal::Journal;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::PermissionsExt;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// An output of a finished step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// The content.
    pub digest: Digest,
    /// What it is.
    pub shape: Shape,
    /// The length of its file.
    pub bytes: u64,
    /// The version of its file when it was last known to be whole. A file that is still that
    /// version need not be read to be trusted; any other is read once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<FileVersion>,
    /// What its op warns of, under `warning` in its metadata: a hit warns as the run did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// A finished step: a line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// The digest of `cache_key`.
    pub key: Digest,
    /// Everything that decided its bytes.
    pub cache_key: CacheKey,
    /// What it made, by port.
    pub outputs: BTreeMap<String, Object>,
    /// How long it took.
    pub times: Times,
    /// The warnings of its op; a cache hit repeats them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// How long a step took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// All of it: reading inputs, the op, keeping outputs.
    pub seconds: f64,
    /// The op alone.
    pub op_seconds: f64,
    /// Seconds of processor time, over all threads; shared evenly with steps at the same time.
    #[serde(default)]
    pub cpu_seconds: f64,
    /// Seconds for which it held GPUs, over all of them: two GPUs for a second are two. None of a step
    /// that had none.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub gpu_seconds: f64,
    /// The most bytes the process held meanwhile; 0 where the system does not say.
    #[serde(default)]
    pub peak_bytes: u64,
    /// Seconds between the states that the op saved on its way: of a training, each epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub laps: Vec<f64>,
    /// Rows that were taken from an earlier run instead of being computed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rows_reused: usize,
}

/// For serde, which asks by reference.
pub(crate) fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The same of seconds.
pub(crate) fn is_nothing(seconds: &f64) -> bool {
    *seconds == 0.0
}

/// A folder of objects and a journal. Several processes may use one store.
pub struct Store {
    root: PathBuf,
    disk: Disk,
    journal: Journal,
    files: OnceLock<FileIndex>,
    in_use: io::Result<File>,
}

const OBJECTS: &str = "objects-v1";
const LOCKS: &str = "locks-v1";
pub(crate) const TMP: &str = "tmp-v1";
const IN_USE: &str = "in-use";
const FILES: &str = "files-v1";
/// All folders of a store.
const FOLDERS: [&str; 8] = [OBJECTS, LOCKS, TMP, LOGS, FIGURES, UP_TO_DATE, NOTES, CHECKPOINTS];
/// The longest index of files, list or note that is read.
pub(crate) const LONGEST: u64 = 1 << 30;

impl Store {
    /// Opens the store in a folder, which is made if it is not there. What killed processes left
    /// unfinished is removed.
    ///
    /// # Errors
    /// When the folder cannot be made or be a store, or the journal cannot be read.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        fit(root)?;
        fs::create_dir_all(root).map_err(StoreError::io("make the folder", root))?;
        Self::open_on(root, Disk::default())
    }

    /// Opens the store in a folder if one is there. Where there is none, it is as empty as a new one,
    /// and nothing is made.
    ///
    /// # Errors
    /// When the folder cannot be a store or the journal cannot be read.
    pub fn open_existing(root: &Path) -> Result<Self, StoreError> {
        if Self::is_at(root) {
            return Self::open(root);
        }
        fit(root)?;
        let in_use = Err(io::ErrorKind::NotFound.into());
        Self::on(root, &Disk::default().below(root), in_use)
    }

    /// Whether a folder is a store.
    pub fn is_at(root: &Path) -> bool {
        [OBJECTS, TMP].iter().any(|folder| root.join(folder).symlink_metadata().is_ok())
    }

    fn open_on(root: &Path, disk: Disk) -> Result<Self, StoreError> {
        let disk = disk.below(root);
        for folder in FOLDERS {
            disk.check_place_of(&root.join(folder)).map_err(|fault| StoreError::Unfit {
                path: root.to_owned(),
                reason: plain(&fault),
            })?;
        }
        for folder in [OBJECTS, LOCKS, TMP] {
            let folder = root.join(folder);
            disk.make_folder(&folder).map_err(StoreError::io("make the folder", &folder))?;
        }
        let in_use = locks::in_use(&disk, &root.join(IN_USE));
        disk.sweep(&root.join(TMP), names::is_temporary);
        disk.sweep(&root.join(LOCKS), names::is_digest);
        Self::on(root, &disk, in_use)
    }

    fn on(root: &Path, disk: &Disk, in_use: io::Result<File>) -> Result<Self, StoreError> {
        let journal = Journal::open(root, &root.join(TMP), disk)?;
        let files = OnceLock::new();
        Ok(Self { root: root.to_owned(), disk: disk.clone(), journal, files, in_use })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Digests of files outside the store.
    pub fn files(&self) -> &FileIndex {
        self.files.get_or_init(|| {
            let text = self.disk.read(&self.root.join(FILES), LONGEST);
            FileIndex::from_text(&text.unwrap_or_default())
        })
    }

    /// Keeps what was learned about files outside the store; where there is no store, nothing.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn save_files(&self) -> Result<(), StoreError> {
        if !self.is_made() {
            return Ok(());
        }
        let Some(bytes) = self.files.get().and_then(FileIndex::unsaved) else { return Ok(()) };
        self.write_whole("write", &self.root.join(FILES), &bytes)
    }

    /// Whether the folder is a store already.
    fn is_made(&self) -> bool {
        !matches!(&self.in_use, Err(fault) if fault.kind() == io::ErrorKind::NotFound)
    }

    /// Ends the waits for other processes as soon as `stop` becomes true. Said once.
    pub fn stop_waiting_if(&self, stop: impl Fn() -> bool + Send + Sync + 'static) {
        self.journal.stop_waiting_if(Box::new(stop));
    }

    /// Reads what other processes have added to the journal.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn refresh(&self) -> Result<(), StoreError> {
        self.journal.refresh()
    }

    /// The finished step of that key, if all its objects are there and whole. An object whose file
    /// is not the version that was last seen whole is read.
    pub fn finished(&self, key: &Digest) -> Option<Finished> {
        self.journal.get(key).and_then(|finished| self.if_whole(finished))
    }

    /// The same for a key at hand, which it takes: the quick way to look at many steps.
    ///
    /// # Errors
    /// The key, where the step is not there.
    pub fn hit(&self, cache_key: CacheKey, key: Digest) -> Result<Finished, CacheKey> {
        let Some(made) = self.journal.made(&key) else { return Err(cache_key) };
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
        let mut seen = finished.clone();
        for object in seen.outputs.values_mut() {
            if !self.is_as_seen(object) {
                object.seen = Some(self.verify(&object.digest).ok()?);
            }
        }
        // The next process need not read it again; in a read-only store it has to.
        let _ = self.journal.append(&seen);
        Some(finished)
    }

    /// The ports of a finished step whose objects are no longer whole, and what is wrong.
    pub fn lost(&self, key: &Digest) -> Vec<(String, StoreError)> {
        let outputs = self.journal.get(key).into_iter().flat_map(|finished| finished.outputs);
        let lost = outputs.filter_map(|(port, object)| {
            let fault = (!self.is_as_seen(&object)).then(|| self.verify(&object.digest).err())?;
            Some((port, fault?))
        });
        lost.collect()
    }

    /// Every finished step the journal knows, in the order of their keys. It reads all of it: ask
    /// only when a step is not there.
    pub fn history(&self) -> Vec<Finished> {
        self.journal.all()
    }

    /// Records that a step is finished: once this returns, it outlives a loss of power. Its objects
    /// must have been [`put`](Self::put) before. Steps that finish together are synced together.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn commit(&self, finished: Finished) -> Result<(), StoreError> {
        self.journal.append(&finished).map_err(|error| self.or_gone(error))
    }

    /// Writes a file of the store: it is whole, or it is not there.
    pub(crate) fn write_whole(
        &self,
        action: &'static str,
        path: &Path,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        self.disk
            .write_whole(path, bytes, &self.root.join(TMP))
            .map_err(|fault| self.refused(action, path, fault))
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    fn refused(&self, action: &'static str, path: &Path, fault: io::Error) -> StoreError {
        self.or_gone(StoreError::io(action, path)(fault))
    }

    /// A store that was taken away is a clearer reason than a file that is not there.
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

/// Whether a folder can be a store: it is one, or nothing has its name.
fn fit(root: &Path) -> Result<(), StoreError> {
    match fs::metadata(root) {
        Ok(there) if !there.is_dir() => {
            let reason = "it is a file, not a folder".to_owned();
            Err(StoreError::Unfit { path: root.to_owned(), reason })
        }
        _ => Ok(()),
    }
}

/// Writes a whole file: a temporary one beside it, synced, then renamed.
///
/// # Errors
/// When the file system refuses; then what was there before is still there.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_and(path, bytes, File::sync_data)
}

/// The same for a file that can be made again: readers find it whole or not at all, but a loss of
/// power may take it.
///
/// # Errors
/// When the file system refuses; then what was there before is still there.
pub fn write_renewable(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_and(path, bytes, |_| Ok(()))
}

fn write_and(path: &Path, bytes: &[u8], sync: fn(&File) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // As readable as any new file: by default temporary files are their owner's alone.
    let mode = fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().permissions(mode).tempfile_in(folder)?;
    file.write_all(bytes)?;
    sync(file.as_file())?;
    file.persist(path)?;
    Ok(())
}
