//! Files that appear whole: written under a temporary name, synced, and renamed.

use super::disk::{Disk, Place};
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

impl Disk {
    /// Creates a temporary file in a folder of unfinished files.
    pub(crate) fn temporary(&self, folder: &Path) -> io::Result<Temporary> {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let opened = self.folder(folder)?;
        loop {
            let name = format!("{}-{}", self.writer, COUNT.fetch_add(1, Ordering::Relaxed));
            let path = folder.join(&name);
            match self.create_in(&(opened.clone(), OsStr::new(&name)), &path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                created => {
                    let (disk, folder, file) = (self.clone(), opened, created?);
                    return Ok(Temporary { disk, folder, path, file, named: false, refusal: None });
                }
            }
        }
    }

    /// Writes a file atomically: to a temporary file, which is synced and renamed, then syncs the
    /// folder.
    pub(crate) fn write_atomic(&self, path: &Path, bytes: &[u8], tmp: &Path) -> io::Result<()> {
        let mut temporary = self.temporary(tmp)?;
        temporary.write_all(bytes)?;
        temporary.persist(path).map(drop)
    }

    /// Writes a file that can be made again: a loss of power may remove it.
    pub(crate) fn write_atomic_unsynced(
        &self,
        path: &Path,
        bytes: &[u8],
        tmp: &Path,
    ) -> io::Result<()> {
        let mut temporary = self.temporary(tmp)?;
        temporary.write_all(bytes)?;
        temporary.rename(&self.place(path)?, path)
    }
}

/// An unfinished file, which is removed if it is dropped before it is renamed.
pub(crate) struct Temporary {
    disk: Disk,
    /// The opened folder of unfinished files.
    folder: Arc<File>,
    path: PathBuf,
    file: File,
    named: bool,
    refusal: Option<io::Error>,
}

impl Temporary {
    /// The last error of a write, for writers that hide it in an error of their own.
    pub(crate) fn refusal(&mut self) -> io::Result<()> {
        self.refusal.take().map_or(Ok(()), Err)
    }

    /// The path of the file until it has its name.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs the bytes, renames the file and syncs the folder. Returns the metadata of the file.
    pub(crate) fn persist(self, to: &Path) -> io::Result<fs::Metadata> {
        let place = self.disk.place(to)?;
        self.persist_at(&place, to)
    }

    /// The same at the place of `to`, whose folder is open already.
    pub(super) fn persist_at(mut self, place: &Place<'_>, to: &Path) -> io::Result<fs::Metadata> {
        self.disk.sync(&self.file, &self.path)?;
        self.rename(place, to)?;
        self.disk.sync_opened(&place.0, to.parent().unwrap_or(to))?;
        self.file.metadata()
    }

    /// Gives the file its name.
    fn rename(&mut self, place: &Place<'_>, to: &Path) -> io::Result<()> {
        let name = self.path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        self.disk.rename_opened((self.folder.clone(), name), place, to)?;
        self.named = true;
        Ok(())
    }
}

impl Write for Temporary {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.disk.write(&mut self.file, &self.path, bytes);
        if let Err(error) = &written {
            self.refusal = Some(io::Error::new(error.kind(), error.to_string()));
        }
        written.map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.named {
            // If this fails, the next process removes the file.
            let _ = self.disk.remove(&self.path);
        }
    }
}
