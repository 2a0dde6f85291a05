//! Every call that changes the disk, in one place: tests stop the store at each of them.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// The disk; in tests it may fill up or go away after so many calls.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    #[cfg(test)]
    pub(crate) faults: super::faults::Faults,
}

impl Disk {
    /// Where tests let a call fail or note its order.
    fn pass(&self, _call: &'static str, _path: &Path) -> io::Result<()> {
        #[cfg(test)]
        self.faults.pass(_call, _path)?;
        Ok(())
    }

    /// Makes a folder below one that exists. A parent that is gone is not made again: a store
    /// that was removed in mid-run must be noticed.
    pub(crate) fn make_folder(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        self.pass("make", path)?;
        match fs::create_dir(path) {
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(fault) => Err(fault),
            Ok(()) => path.parent().map_or(Ok(()), |parent| self.sync_folder(parent)),
        }
    }

    /// Writes all bytes.
    pub(crate) fn write(&self, file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if let Err(fault) = self.pass("write", path) {
            // What a full disk or a killed process leaves behind: a part.
            let _ = file.write_all(&bytes[..bytes.len() / 2]);
            return Err(fault);
        }
        file.write_all(bytes)
    }

    /// Waits until the file's bytes are on the disk.
    pub(crate) fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        self.pass("sync", path)?;
        file.sync_data()
    }

    /// Waits until the names in a folder are on the disk.
    pub(crate) fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.pass("sync folder", path)?;
        File::open(path)?.sync_all()
    }

    /// Gives a file another name, in place of what had it.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass("rename", to)?;
        fs::rename(from, to)
    }

    /// Removes a file.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        self.pass("remove", path)?;
        fs::remove_file(path)
    }

    /// A new file of ours in a folder of unfinished ones.
    pub(crate) fn temporary(&self, folder: &Path) -> io::Result<Temporary> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{}-{count}", std::process::id()));
            self.pass("create", &path)?;
            let file = match File::options().read(true).write(true).create_new(true).open(&path) {
                Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => continue,
                opened => opened?,
            };
            file.lock()?;
            // Between its making and its lock it may have been swept as an orphan.
            if is_named(&file, &path) {
                let disk = self.clone();
                return Ok(Temporary { disk, path, file, named: false, refusal: None });
            }
        }
    }

    /// Writes a whole file under its name: temporary, synced, renamed, its folder synced.
    pub(crate) fn write_whole(&self, path: &Path, bytes: &[u8], tmp: &Path) -> io::Result<()> {
        let mut temporary = self.temporary(tmp)?;
        temporary.write_all(bytes)?;
        temporary.persist(path).map(drop)
    }

    /// Removes what killed processes left unfinished: their locks went with them.
    pub(crate) fn sweep(&self, folder: &Path) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(file) = File::open(&path) else { continue };
            if file.try_lock().is_ok() {
                // What cannot be removed now is tried again by the next process.
                let _ = self.remove(&path);
            }
        }
    }
}

/// Whether this is the file that has the name now.
pub(crate) fn is_named(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(named)) => id(ours) == id(named),
        _ => false,
    }
}

/// An unfinished file: locked while its process lives, removed if it is dropped without a name.
pub(crate) struct Temporary {
    disk: Disk,
    path: PathBuf,
    file: File,
    named: bool,
    refusal: Option<io::Error>,
}

impl Temporary {
    /// The last write that the disk refused, for writers that hide it in an error of their own.
    pub(crate) fn refusal(&mut self) -> io::Result<()> {
        self.refusal.take().map_or(Ok(()), Err)
    }

    /// Gives it its name once its bytes are on the disk; then the name is as well. Returns what the
    /// file system says of it.
    pub(crate) fn persist(mut self, to: &Path) -> io::Result<fs::Metadata> {
        self.disk.sync(&self.file, &self.path)?;
        self.disk.rename(&self.path, to)?;
        self.named = true;
        to.parent().map_or(Ok(()), |folder| self.disk.sync_folder(folder))?;
        self.file.metadata()
    }
}

impl Write for Temporary {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.disk.write(&mut self.file, &self.path, bytes);
        if let Err(fault) = &written {
            self.refusal = Some(io::Error::new(fault.kind(), fault.to_string()));
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
            // Where this fails, the next process sweeps it.
            let _ = self.disk.remove(&self.path);
        }
    }
}
