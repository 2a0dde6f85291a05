//! The contents of the store and the removal of unused parts.

use super::{
    Attempt, EXCLUSIVE_LOCK, OBJECTS, Store, StoreError,
    checkpoint::{CHECKPOINTS, is_state},
    names,
    sources::NOTES,
    writer::{LEASES, Liveness},
};
use crate::Digest;
use rustix::fs::FileType;
use std::{
    collections::HashSet,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

/// An object, the checkpoints of one piece of long work, or a single file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreEntry {
    /// The digest that names it: for an object that of its content.
    pub digest: Digest,
    /// The path of its file or folder.
    pub path: PathBuf,
    /// The size in bytes.
    pub bytes: u64,
    /// The time of the last write.
    pub modified: SystemTime,
}

/// The contents of a store with their sizes.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Every object, by digest.
    pub objects: Vec<StoreEntry>,
    /// Every folder of checkpoints, by the digest of the work.
    pub checkpoints: Vec<StoreEntry>,
    /// The logs of programs and ops, by the key of the step.
    pub logs: Vec<StoreEntry>,
    /// The lists of files that sources held, by the digest in keys.
    pub notes: Vec<StoreEntry>,
    /// The rendered figures, by their digest; one file for each format.
    pub figures: Vec<StoreEntry>,
    /// The records of runs with cache hits only, by the digest of the command.
    pub up_to_date: Vec<StoreEntry>,
    /// The plans of runs on a cluster, by their digest.
    pub plans: Vec<StoreEntry>,
    /// The unfinished files of processes that have ended.
    pub unfinished: Vec<StoreEntry>,
    /// The size of the journal and its compacted form in bytes.
    pub journal_bytes: u64,
    /// Files that do not belong to the store: left by earlier versions, or added by hand.
    pub unknown_files: Vec<PathBuf>,
}

/// The folder of logs, `<key of the step>.log`.
pub const LOGS: &str = "logs-v1";
/// The folder of rendered figures, `<digest>.json`, `.png` and `.pdf`.
pub const FIGURES: &str = "figures-v1";

/// The folder of records of runs with cache hits only.
pub const UP_TO_DATE: &str = "unchanged-v1";

/// The numbers of removed entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// The number of objects.
    pub objects: usize,
    /// The number of folders of checkpoints.
    pub checkpoints: usize,
    /// The number of logs, lists of files, figures and unfinished files.
    pub files: usize,
    /// The freed bytes.
    pub bytes: u64,
}

impl Store {
    /// The contents of the store.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage { journal_bytes: self.journal.bytes(), ..Usage::default() };
        let objects = self.root.join(OBJECTS);
        for (part, sort) in self.entries(&objects) {
            let folder = objects.join(&part);
            if sort != FileType::Directory {
                usage.unknown_files.push(folder);
                continue;
            }
            for (name, sort) in self.entries(&folder) {
                let path = folder.join(&name);
                let object = names::object(&part, &name).filter(|_| sort == FileType::RegularFile);
                match object.and_then(|digest| entry_at(&path, digest)) {
                    Some(object) => usage.objects.push(object),
                    None => usage.unknown_files.push(path),
                }
            }
        }
        let checkpoints = self.root.join(CHECKPOINTS);
        for (name, sort) in self.entries(&checkpoints) {
            let folder = checkpoints.join(&name);
            let work = names::digest(&name, &[]).filter(|_| sort == FileType::Directory);
            let Some(mut states) = work.and_then(|work| entry_at(&folder, work)) else {
                usage.unknown_files.push(folder);
                continue;
            };
            let states_of = self.states(&folder);
            let lengths = states_of.iter().filter_map(|file| fs::symlink_metadata(file).ok());
            states.bytes = lengths.map(|it| it.len()).sum();
            usage.checkpoints.push(states);
        }
        for (folder, endings, into) in [
            (LOGS, &["log"][..], &mut usage.logs),
            (NOTES, &[][..], &mut usage.notes),
            (FIGURES, &["json", "pdf", "png"][..], &mut usage.figures),
            (UP_TO_DATE, &[][..], &mut usage.up_to_date),
        ] {
            let folder = self.root.join(folder);
            for (name, sort) in self.entries(&folder) {
                let path = folder.join(&name);
                let is_file = sort == FileType::RegularFile;
                let own = names::digest(&name, endings).filter(|_| is_file);
                let left = || Digest::of(path.as_os_str().as_encoded_bytes());
                let left = (is_file && names::is_unfinished(&name)).then(left);
                match (own, own.or(left).and_then(|digest| entry_at(&path, digest))) {
                    (Some(_), Some(file)) => into.push(file),
                    (None, Some(file)) => usage.unfinished.push(file),
                    (_, None) => usage.unknown_files.push(path),
                }
            }
            into.sort_by(|a, b| a.path.cmp(&b.path));
        }
        usage.plans = self.plans(&mut usage.unknown_files);
        usage.objects.sort_by_key(|held| held.digest);
        usage.checkpoints.sort_by_key(|held| held.digest);
        usage
    }

    /// True if no other process has the store open. Processes that open it afterwards wait until this one closes it.
    /// If another host had it open, this takes a minute: a process that has not shown for so long that it lives is
    /// taken for dead.
    ///
    /// # Errors
    /// When nothing can be written in the store, so that the answer is unknown.
    pub fn try_lock_exclusive(&self) -> Result<bool, StoreError> {
        let writer = self.writer().map_err(|error| self.refused("write in", &self.root, error))?;
        let Attempt::Mine(claim) = self.try_claim(&Digest::of(EXCLUSIVE_LOCK))? else {
            return Ok(false);
        };
        let mut others: Vec<String> = Vec::new();
        for (name, _) in self.entries(&self.root.join(LEASES)) {
            let name = name.into_string().ok().filter(|name| names::is_writer(name));
            others.extend(name.filter(|name| name != writer.name()));
        }
        while !others.is_empty() {
            for other in std::mem::take(&mut others) {
                match writer.liveness(&other) {
                    Liveness::Ended => {}
                    Liveness::Alive => return Ok(false),
                    Liveness::Elsewhere if writer.has_counted(&other) => return Ok(false),
                    Liveness::Elsewhere => others.push(other),
                }
            }
            if !others.is_empty() {
                thread::sleep(Duration::from_millis(200));
            }
        }
        *self.removal.lock().expect("no thread panics while it holds a lease") = Some(claim);
        Ok(true)
    }

    /// Removes objects, checkpoints and single files. The steps that made the objects are removed
    /// from the journal first, so that it never names a missing object.
    ///
    /// # Errors
    /// When the journal cannot be written or a file cannot be removed.
    pub fn remove(
        &self,
        objects: &[StoreEntry],
        checkpoints: &[StoreEntry],
        files: &[StoreEntry],
    ) -> Result<Reclaimed, StoreError> {
        let gone: HashSet<_> = objects.iter().map(|held| held.digest).collect();
        let mut freed = Reclaimed::default();
        if !gone.is_empty() {
            self.compact(true, |step| {
                step.outputs.values().all(|object| !gone.contains(&object.digest))
            })?;
        }
        for object in objects {
            let io = |error| self.refused("remove", &object.path, error);
            self.disk.remove(&object.path).map_err(io)?;
            freed.objects += 1;
            freed.bytes += object.bytes;
        }
        for states in checkpoints {
            for file in self.states(&states.path) {
                self.disk.remove(&file).map_err(|error| self.refused("remove", &file, error))?;
            }
            // A folder that another process has filled meanwhile stays.
            let _ = self.disk.remove_dir(&states.path);
            freed.checkpoints += 1;
            freed.bytes += states.bytes;
        }
        for file in files {
            let io = |error| self.refused("remove", &file.path, error);
            self.disk.remove(&file.path).map_err(io)?;
            freed.files += 1;
            freed.bytes += file.bytes;
        }
        Ok(freed)
    }

    pub(super) fn entries(&self, folder: &Path) -> Vec<(OsString, FileType)> {
        self.disk.list(folder).unwrap_or_default()
    }

    /// The checkpoints in a folder.
    fn states(&self, folder: &Path) -> Vec<PathBuf> {
        let files = self.entries(folder).into_iter();
        let states = files.filter(|(name, sort)| *sort == FileType::RegularFile && is_state(name));
        states.map(|(name, _)| folder.join(name)).collect()
    }
}

/// The entry at a path, if the file system can read its metadata.
pub(super) fn entry_at(path: &Path, digest: Digest) -> Option<StoreEntry> {
    let metadata = fs::symlink_metadata(path).ok()?;
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Some(StoreEntry { digest, path: path.to_owned(), bytes: metadata.len(), modified })
}
