//! Notes beside the objects: lists of files, figures, records of runs, and the folders of runs.
//! Each can be made again, so a damaged note is treated as missing.

use super::{MAX_FILE_BYTES, Store, StoreError, TMP};
use crate::{atomic_file::write_atomic_unsynced, regular};
use rustix::fs::{FileType, OFlags};
use std::{
    ffi::OsStr,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// The list of folders with runs that used this store, one path a line.
const RUNS: &str = "runs-v1";
/// The largest number of folders in the list; older ones are dropped.
const MAX_PLACES: usize = 1000;

/// The note of that name in a store that need not be open, if it is not longer than `at_most` bytes.
pub fn read(root: &Path, name: &str, at_most: u64) -> Option<Vec<u8>> {
    regular::read(&root.join(name), at_most).ok()
}

/// Writes a note of a store that need not be open. A loss of power may remove it.
///
/// # Errors
/// When there is no such store, or the file system refuses.
pub fn write(root: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    write_atomic_unsynced(&root.join(name), bytes)
}

impl Store {
    /// The bytes kept under that name in a folder of the store.
    pub fn kept(&self, folder: &str, name: &str) -> Option<Vec<u8>> {
        self.disk.read(&self.root.join(folder).join(name), MAX_FILE_BYTES).ok()
    }

    /// Keeps bytes under a name in one of the store's folders; they survive a loss of power.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn keep(&self, folder: &str, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.in_folder(folder)?.join(name);
        self.write_atomic("write", &path, bytes)
    }

    /// Keeps bytes that a loss of power may remove.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn keep_unsynced(&self, folder: &str, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.in_folder(folder)?.join(name);
        let written = self.disk.write_atomic_unsynced(&path, bytes, &self.root.join(TMP));
        written.map_err(|error| self.refused("write", &path, error))
    }

    /// The bytes kept under that name in a folder of the store, from a place on. The file is opened anew, so that it is
    /// fresh on a network file system too.
    pub fn kept_after(&self, folder: &str, name: &str, from: u64) -> Option<Vec<u8>> {
        let path = self.root.join(folder).join(name);
        let mut file = self.disk.open(&path, OFlags::RDONLY).ok()?;
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Adds bytes to a file of this process in a folder of the store. Every process that opens it afterwards sees them.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn add_to(&self, folder: &str, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.root.join(folder).join(name);
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
        let added = self.disk.open(&path, flags).and_then(|mut file| file.write_all(bytes));
        added.map_err(|error| self.refused("write", &path, error))
    }

    /// Removes what is kept under a name, if there is something.
    pub fn forget(&self, folder: &str, name: &str) {
        // As a rule, there is nothing.
        let _ = self.disk.remove(&self.root.join(folder).join(name));
    }

    /// The names of the files in a folder of the store, in order.
    pub fn names_in(&self, folder: &str) -> Vec<String> {
        self.names_of(folder, FileType::RegularFile)
    }

    /// The names of the folders in a folder of the store, in order.
    pub fn folders_in(&self, folder: &str) -> Vec<String> {
        self.names_of(folder, FileType::Directory)
    }

    fn names_of(&self, folder: &str, wanted: FileType) -> Vec<String> {
        let entries = self.disk.list(&self.root.join(folder)).unwrap_or_default();
        let some = entries.into_iter().filter(|(_, sort)| *sort == wanted);
        let mut names: Vec<String> = some.filter_map(|(name, _)| name.into_string().ok()).collect();
        names.sort_unstable();
        names
    }

    /// The path of one of the store's folders, which is created in an existing store.
    ///
    /// # Errors
    /// When the file system refuses, or the path is a symbolic link.
    pub fn in_folder(&self, folder: &str) -> Result<PathBuf, StoreError> {
        let path = self.root.join(folder);
        self.disk
            .create_dir(&path)
            .map_err(|error| self.refused("make the folder", &path, error))?;
        Ok(path)
    }

    /// The path of a file or folder in a folder of the store, for programs that get it as an argument.
    pub fn path_in(&self, folder: &str, name: &str) -> PathBuf {
        let path = self.root.join(folder).join(name);
        std::path::absolute(&path).unwrap_or(path)
    }

    /// A folder beside the objects, where there is room for as much again. It is removed with its content when it is
    /// dropped.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn scratch(&self) -> Result<TempDir, StoreError> {
        TempDir::new_in(&self.root).map_err(|error| self.refused("write in", &self.root, error))
    }

    /// Adds a folder of runs, an absolute path, to the list.
    ///
    /// # Errors
    /// When the list cannot be written.
    pub fn note_runs(&self, out: &Path) -> Result<(), StoreError> {
        let mut places = self.run_folders();
        if places.iter().any(|place| place == out) || out.as_os_str().as_bytes().contains(&b'\n') {
            return Ok(());
        }
        places.push(out.to_owned());
        let first = places.len().saturating_sub(MAX_PLACES);
        let lines = places[first..].iter().map(|place| place.as_os_str().as_bytes());
        let mut text = lines.collect::<Vec<_>>().join(&b'\n');
        text.push(b'\n');
        self.write_atomic("write", &self.root.join(RUNS), &text)
    }

    /// The folders in the list of runs.
    pub fn run_folders(&self) -> Vec<PathBuf> {
        let text = self.disk.read(&self.root.join(RUNS), MAX_FILE_BYTES).unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| PathBuf::from(OsStr::from_bytes(line))).collect()
    }
}
