//! What lies in the store, and removing what nobody needs.

use super::{OBJECTS, Store, StoreError, names};
use crate::{
    Digest,
    checkpoint::{CHECKPOINTS, is_state},
    sources::NOTES,
};
use rustix::fs::FileType;
use std::{
    collections::HashSet,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// An object, or the states of one piece of long work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreEntry {
    /// Its name: for an object the digest of its content.
    pub digest: Digest,
    /// Its file or folder.
    pub path: PathBuf,
    /// How much it takes.
    pub bytes: u64,
    /// When it was written last.
    pub modified: SystemTime,
}

/// What takes room in a store.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Every object, by digest.
    pub objects: Vec<StoreEntry>,
    /// Every folder of states, by the work's digest.
    pub checkpoints: Vec<StoreEntry>,
    /// What programs and ops have said, by the key of the step.
    pub logs: Vec<StoreEntry>,
    /// Which files a source held, by the digest that stands in keys.
    pub notes: Vec<StoreEntry>,
    /// Figures as they were drawn, by all that decides them; a file each form.
    pub figures: Vec<StoreEntry>,
    /// What runs rest on in which every step was there, by what was asked.
    pub up_to_date: Vec<StoreEntry>,
    /// What processes that are gone left half written.
    pub unfinished: Vec<StoreEntry>,
    /// The journal and its compacted form.
    pub journal_bytes: u64,
    /// Files that no part of the store knows: left by earlier versions, or put there by hand.
    pub unknown_files: Vec<PathBuf>,
}

/// The folder of what steps have said, `<key of the step>.log`.
pub const LOGS: &str = "logs-v1";
/// The folder of figures as they were drawn, `<digest>.json` and `.png`.
pub const FIGURES: &str = "figures-v1";

/// The folder of what runs rest on in which every step was there.
pub const UP_TO_DATE: &str = "unchanged-v1";

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// How many objects.
    pub objects: usize,
    /// How many folders of states.
    pub checkpoints: usize,
    /// How many logs, lists of files, figures and unfinished files.
    pub files: usize,
    /// How much they took.
    pub bytes: u64,
}

impl Store {
    /// What takes room.
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
                match object.and_then(|digest| held(&path, digest)) {
                    Some(object) => usage.objects.push(object),
                    None => usage.unknown_files.push(path),
                }
            }
        }
        let checkpoints = self.root.join(CHECKPOINTS);
        for (name, sort) in self.entries(&checkpoints) {
            let folder = checkpoints.join(&name);
            let work = names::digest(&name, &[]).filter(|_| sort == FileType::Directory);
            let Some(mut states) = work.and_then(|work| held(&folder, work)) else {
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
            (FIGURES, &["json", "png"][..], &mut usage.figures),
            (UP_TO_DATE, &[][..], &mut usage.up_to_date),
        ] {
            let folder = self.root.join(folder);
            for (name, sort) in self.entries(&folder) {
                let path = folder.join(&name);
                let is_file = sort == FileType::RegularFile;
                let own = names::digest(&name, endings).filter(|_| is_file);
                let left = || Digest::of(path.as_os_str().as_encoded_bytes());
                let left = (is_file && names::is_unfinished(&name)).then(left);
                match (own, own.or(left).and_then(|digest| held(&path, digest))) {
                    (Some(_), Some(file)) => into.push(file),
                    (None, Some(file)) => usage.unfinished.push(file),
                    (_, None) => usage.unknown_files.push(path),
                }
            }
            into.sort_by(|a, b| a.path.cmp(&b.path));
        }
        usage.objects.sort_by_key(|held| held.digest);
        usage.checkpoints.sort_by_key(|held| held.digest);
        usage
    }

    /// Whether this is the only process that has the store open; while it has, it stays so.
    ///
    /// # Errors
    /// When nothing can be written in the store, so that nobody can say.
    pub fn is_alone(&self) -> Result<bool, StoreError> {
        let lock = match &self.in_use {
            Ok(lock) => lock,
            Err(fault) => {
                let fault = io::Error::new(fault.kind(), fault.to_string());
                return Err(self.refused("write in", &self.root, fault));
            }
        };
        let alone = lock.try_lock().is_ok();
        if !alone {
            // The refused lock has taken the shared one with it.
            let _ = lock.lock_shared();
        }
        Ok(alone)
    }

    /// Removes objects, states and single files. The journal forgets the steps that made the objects before the
    /// first of them goes, so that nothing is named that is not there.
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
            self.journal.compact(|step| {
                step.outputs.values().all(|object| !gone.contains(&object.digest))
            })?;
        }
        for object in objects {
            let io = |fault| self.refused("remove", &object.path, fault);
            self.disk.remove(&object.path).map_err(io)?;
            freed.objects += 1;
            freed.bytes += object.bytes;
        }
        for states in checkpoints {
            for file in self.states(&states.path) {
                self.disk.remove(&file).map_err(|fault| self.refused("remove", &file, fault))?;
            }
            // A folder that another process has filled meanwhile stays.
            let _ = self.disk.remove_folder(&states.path);
            freed.checkpoints += 1;
            freed.bytes += states.bytes;
        }
        for file in files {
            let io = |fault| self.refused("remove", &file.path, fault);
            self.disk.remove(&file.path).map_err(io)?;
            freed.files += 1;
            freed.bytes += file.bytes;
        }
        Ok(freed)
    }

    fn entries(&self, folder: &Path) -> Vec<(OsString, FileType)> {
        self.disk.list(folder).unwrap_or_default()
    }

    /// The states in a folder of them.
    fn states(&self, folder: &Path) -> Vec<PathBuf> {
        let files = self.entries(folder).into_iter();
        let states = files.filter(|(name, sort)| *sort == FileType::RegularFile && is_state(name));
        states.map(|(name, _)| folder.join(name)).collect()
    }
}

/// What has that name, as far as the file system tells.
fn held(path: &Path, digest: Digest) -> Option<StoreEntry> {
    let metadata = fs::symlink_metadata(path).ok()?;
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Some(StoreEntry { digest, path: path.to_owned(), bytes: metadata.len(), modified })
}
