//! What lies in the store, and removing what nobody needs.

use super::{OBJECTS, Store, StoreError, objects::ENDINGS};
use crate::{Digest, checkpoint::CHECKPOINTS, sources::NOTES};
use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// An object, or the states of one piece of long work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
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
    pub objects: Vec<Held>,
    /// Every folder of states, by the work's digest.
    pub checkpoints: Vec<Held>,
    /// What programs and ops have said, by the key of the step.
    pub logs: Vec<Held>,
    /// Which files a source held, by the digest that stands in keys.
    pub notes: Vec<Held>,
    /// Figures as they were drawn, by all that decides them; a file each form.
    pub figures: Vec<Held>,
    /// What runs rest on in which every step was there, by what was asked.
    pub unchanged: Vec<Held>,
    /// What processes that are gone left half written.
    pub unfinished: Vec<Held>,
    /// The journal and its compacted form.
    pub journal_bytes: u64,
    /// Files that no part of the store knows: left by earlier versions, or put there by hand.
    pub strangers: Vec<PathBuf>,
}

/// The folder of what steps have said, `<key of the step>.log`.
pub const LOGS: &str = "logs-v1";
/// The folder of figures as they were drawn, `<digest>.json` and `.png`.
pub const FIGURES: &str = "figures-v1";

/// The folder of what runs rest on in which every step was there.
pub const UNCHANGED: &str = "unchanged-v1";

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
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
        for path in entries(&self.root.join(OBJECTS)).iter().flat_map(|folder| entries(folder)) {
            let known =
                ENDINGS.iter().any(|ending| path.extension().is_some_and(|it| it == *ending));
            match held(&path).filter(|_| known) {
                Some(object) => usage.objects.push(object),
                None => usage.strangers.push(path),
            }
        }
        for folder in entries(&self.root.join(CHECKPOINTS)) {
            let Some(mut states) = held(&folder) else {
                usage.strangers.push(folder);
                continue;
            };
            let files = entries(&folder);
            states.bytes =
                files.iter().filter_map(|file| fs::metadata(file).ok()).map(|it| it.len()).sum();
            usage.checkpoints.push(states);
        }
        for (folder, into) in [
            (LOGS, &mut usage.logs),
            (NOTES, &mut usage.notes),
            (FIGURES, &mut usage.figures),
            (UNCHANGED, &mut usage.unchanged),
        ] {
            for path in entries(&self.root.join(folder)) {
                match (held(&path), unfinished(&path)) {
                    (Some(file), _) => into.push(file),
                    (None, Some(file)) => usage.unfinished.push(file),
                    (None, None) => usage.strangers.push(path),
                }
            }
            into.sort_by(|a, b| a.path.cmp(&b.path));
        }
        usage.objects.sort_by_key(|held| held.digest);
        usage.checkpoints.sort_by_key(|held| held.digest);
        usage
    }

    /// Whether this is the only process that has the store open; while it has, it stays so.
    pub fn is_alone(&self) -> bool {
        let Some(lock) = &self.in_use else { return false };
        let alone = lock.try_lock().is_ok();
        if !alone {
            // The refused lock has taken the shared one with it.
            let _ = lock.lock_shared();
        }
        alone
    }

    /// Removes objects, states and single files. The journal forgets the steps that made the objects before the
    /// first of them goes, so that nothing is named that is not there.
    ///
    /// # Errors
    /// When the journal cannot be written or a file cannot be removed.
    pub fn remove(
        &self,
        objects: &[Held],
        checkpoints: &[Held],
        files: &[Held],
    ) -> Result<Freed, StoreError> {
        let gone: HashSet<_> = objects.iter().map(|held| held.digest).collect();
        let mut freed = Freed::default();
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
            for file in entries(&states.path) {
                self.disk.remove(&file).map_err(|fault| self.refused("remove", &file, fault))?;
            }
            // A folder that another process has filled meanwhile stays.
            let _ = fs::remove_dir(&states.path);
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
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// An object or folder whose name is a digest.
fn held(path: &Path) -> Option<Held> {
    let digest = path.file_stem()?.to_str()?.parse().ok()?;
    Some(described(path, digest, &fs::metadata(path).ok()?))
}

/// A file that bears a temporary name still.
fn unfinished(path: &Path) -> Option<Held> {
    path.file_name()?.to_str().filter(|name| name.starts_with(".tmp"))?;
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some(described(path, Digest::of(path.as_os_str().as_encoded_bytes()), &metadata))
}

fn described(path: &Path, digest: Digest, metadata: &fs::Metadata) -> Held {
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Held { digest, path: path.to_owned(), bytes: metadata.len(), modified }
}
