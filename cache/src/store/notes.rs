//! What lies beside the objects: lists of files, figures, what runs rest on, and where runs lie. Each can
//! be made again, so one that cannot be read is as good as none.

use super::{LONGEST, Store, StoreError, TMP};
use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// The list of folders with runs that were made with this store: a path a line.
const RUNS: &str = "runs-v1";
/// More places than anybody keeps runs in; older ones are forgotten.
const MOST_PLACES: usize = 1000;

impl Store {
    /// What was kept under that name in one of the store's folders.
    pub fn kept(&self, folder: &str, name: &str) -> Option<Vec<u8>> {
        self.disk.read(&self.root.join(folder).join(name), LONGEST).ok()
    }

    /// Keeps bytes under a name in one of the store's folders; they outlive a loss of power.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn keep(&self, folder: &str, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.in_folder(folder)?.join(name);
        self.write_whole("write", &path, bytes)
    }

    /// The same for what a loss of power may take.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn keep_for_now(&self, folder: &str, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.in_folder(folder)?.join(name);
        let written = self.disk.write_renewable(&path, bytes, &self.root.join(TMP));
        written.map_err(|fault| self.refused("write", &path, fault))
    }

    /// One of the store's folders, made below a store that is there.
    ///
    /// # Errors
    /// When the file system refuses, or a link has its place.
    pub fn in_folder(&self, folder: &str) -> Result<PathBuf, StoreError> {
        let path = self.root.join(folder);
        self.disk
            .make_folder(&path)
            .map_err(|fault| self.refused("make the folder", &path, fault))?;
        Ok(path)
    }

    /// Notes that runs lie in that folder, an absolute path.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn note_runs(&self, out: &Path) -> Result<(), StoreError> {
        let mut places = self.places_of_runs();
        if places.iter().any(|place| place == out) || out.as_os_str().as_bytes().contains(&b'\n') {
            return Ok(());
        }
        places.push(out.to_owned());
        let first = places.len().saturating_sub(MOST_PLACES);
        let lines = places[first..].iter().map(|place| place.as_os_str().as_bytes());
        let mut text = lines.collect::<Vec<_>>().join(&b'\n');
        text.push(b'\n');
        self.write_whole("write", &self.root.join(RUNS), &text)
    }

    /// The folders with runs that were made with this store, as far as they were noted.
    pub fn places_of_runs(&self) -> Vec<PathBuf> {
        let text = self.disk.read(&self.root.join(RUNS), LONGEST).unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| PathBuf::from(OsStr::from_bytes(line))).collect()
    }
}
