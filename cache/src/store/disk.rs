//! All calls that change the disk, so that tests can stop the store at each of them. Below the
//! store's own folder no symbolic link is followed: each folder is opened from its parent, and
//! files are written, renamed and removed relative to it.

use crate::regular;
use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, Mode, OFlags, linkat, mkdirat, openat, renameat, statat,
        unlinkat,
    },
    io::Errno,
};
use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Write},
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Component, Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// How a folder is opened.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The disk below one folder. In tests it may fill up or disappear after a number of calls.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    pub(crate) root: PathBuf,
    /// The root once it is opened.
    pub(crate) opened: Arc<Mutex<Option<Root>>>,
    /// The name of the process among those that use the store; files being written bear it.
    pub(crate) writer: Arc<str>,
    #[cfg(test)]
    pub(crate) faults: super::faults::Faults,
}

/// An opened root.
pub(crate) struct Root {
    folder: Arc<File>,
    /// The device of the folder and its number there.
    identity: [u64; 2],
}

impl Disk {
    /// The same disk below another folder, which may be behind a symbolic link.
    pub(crate) fn below(&self, root: &Path) -> Self {
        let mut disk = self.clone();
        root.clone_into(&mut disk.root);
        disk.opened = Arc::default();
        disk.writer = super::entry::fresh_name().into();
        disk
    }

    /// A hook by which tests let a call fail or record the order of calls.
    fn pass(&self, _call: &'static str, _path: &Path) -> io::Result<()> {
        #[cfg(test)]
        self.faults.pass(_call, _path)?;
        Ok(())
    }

    /// The store's own folder. It is opened once, and anew where the path leads elsewhere: that a store was moved
    /// or removed must be noticed.
    fn open_root(&self) -> io::Result<Arc<File>> {
        let identity = |there: fs::Metadata| [there.dev(), there.ino()];
        let there = identity(fs::metadata(&self.root)?);
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        match &*opened {
            Some(root) if root.identity == there => Ok(root.folder.clone()),
            _ => {
                let folder = openat(CWD, &self.root, FOLDER, Mode::empty())?;
                let folder = Arc::new(File::from(folder));
                let identity = identity(folder.metadata()?);
                *opened = Some(Root { folder: folder.clone(), identity });
                Ok(folder)
            }
        }
    }

    /// Opens a folder of the store from the store's own folder down.
    fn folder(&self, path: &Path) -> io::Result<OwnedFd> {
        let outside = || io::Error::other(format!("`{}` lies outside the store", path.display()));
        let below = path.strip_prefix(&self.root).map_err(|_| outside())?;
        if below.components().any(|part| !matches!(part, Component::Normal(_))) {
            return Err(outside());
        }
        let root = self.open_root()?;
        if let Some(folder) = open_below(&root, below) {
            return Ok(folder);
        }
        let mut at = self.root.clone();
        let mut folder = openat(&root, ".", FOLDER, Mode::empty())?;
        for name in below {
            at.push(name);
            let there = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
            check_folder(&at, FileType::from_raw_mode(there.st_mode))?;
            folder = openat(&folder, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
        }
        Ok(folder)
    }

    /// The opened parent folder of a path, and the last name of the path.
    fn place<'p>(&self, path: &'p Path) -> io::Result<(OwnedFd, &'p OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.folder(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?, name))
    }

    /// Refuses a path of a folder of the store that is something else.
    pub(crate) fn check_place_of(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.place(path)?;
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(()),
            Err(fault) => Err(fault.into()),
            Ok(there) => check_folder(path, FileType::from_raw_mode(there.st_mode)),
        }
    }

    /// Makes a folder in an existing parent. A missing parent is not made again, since the removal
    /// of a store during a run must be noticed.
    pub(crate) fn make_folder(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.place(path)?;
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => return check_folder(path, FileType::from_raw_mode(there.st_mode)),
            Err(Errno::NOENT) => {}
            Err(fault) => return Err(fault.into()),
        }
        self.pass("make", path)?;
        match mkdirat(&parent, name, Mode::from_raw_mode(0o777)) {
            Err(Errno::EXIST) => Ok(()),
            Err(fault) => Err(fault.into()),
            Ok(()) => path.parent().map_or(Ok(()), |parent| self.sync_folder(parent)),
        }
    }

    /// Opens a regular file of the store.
    pub(crate) fn open(&self, path: &Path, flags: OFlags) -> io::Result<File> {
        let (folder, name) = self.place(path)?;
        regular::open_at(folder, name, flags | OFlags::NOFOLLOW)
    }

    /// Reads a regular file of the store, unless it is longer than `at_most` bytes.
    pub(crate) fn read(&self, path: &Path, at_most: u64) -> io::Result<Vec<u8>> {
        regular::read_all(self.open(path, OFlags::RDONLY)?, at_most)
    }

    /// The entries of a folder of the store: names and types, without following links.
    pub(crate) fn list(&self, path: &Path) -> io::Result<Vec<(OsString, FileType)>> {
        let folder = self.folder(path)?;
        let mut found = Vec::new();
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let sort = match entry.file_type() {
                // Some file systems do not give the type here.
                FileType::Unknown => match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(there) => FileType::from_raw_mode(there.st_mode),
                    Err(_) => continue,
                },
                sort => sort,
            };
            found.push((name.to_owned(), sort));
        }
        Ok(found)
    }

    /// Writes all bytes.
    pub(crate) fn write(&self, file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if let Err(fault) = self.pass("write", path) {
            // A full disk or a killed process leaves a part of the bytes.
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
        File::from(self.folder(path)?).sync_all()
    }

    /// Renames a file, replacing what had the new name. A file cannot replace a folder, so a folder
    /// is first renamed to a name that the store does not use.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass("rename", to)?;
        let ((source, old), (target, new)) = (self.place(from)?, self.place(to)?);
        match renameat(&source, old, &target, new) {
            Err(Errno::ISDIR) => {
                put_aside(&target, new)?;
                Ok(renameat(&source, old, &target, new)?)
            }
            renamed => Ok(renamed?),
        }
    }

    /// Removes a file.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        self.pass("remove", path)?;
        let (folder, name) = self.place(path)?;
        Ok(unlinkat(folder, name, AtFlags::empty())?)
    }

    /// Removes whatever has the path of a file; a folder is renamed instead.
    pub(crate) fn clear(&self, path: &Path) -> io::Result<()> {
        let (folder, name) = self.place(path)?;
        let there = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(there.st_mode) {
            FileType::Directory => put_aside(&folder, name),
            _ => self.remove(path),
        }
    }

    /// Removes an empty folder.
    pub(crate) fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.place(path)?;
        Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
    }

    /// Creates a file, which must not exist; returns it with its path.
    pub(crate) fn create(&self, path: &Path) -> io::Result<(PathBuf, File)> {
        self.pass("create", path)?;
        let (folder, name) = self.place(path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(folder, name, flags, Mode::from_raw_mode(0o666))?;
        Ok((path.to_owned(), File::from(file)))
    }

    /// Creates a temporary file in a folder of unfinished files.
    pub(crate) fn temporary(&self, folder: &Path) -> io::Result<Temporary> {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            match self.create(&folder.join(format!("{}-{count}", self.writer))) {
                Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => continue,
                created => {
                    let ((path, file), disk) = (created?, self.clone());
                    return Ok(Temporary { disk, path, file, named: false, refusal: None });
                }
            }
        }
    }

    /// Gives a file a second name, which must not exist.
    pub(crate) fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass("link", to)?;
        let ((source, old), (target, new)) = (self.place(from)?, self.place(to)?);
        Ok(linkat(source, old, target, new, AtFlags::empty())?)
    }

    /// True if something has this path.
    pub(crate) fn exists(&self, path: &Path) -> bool {
        let there = |(folder, name)| statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok();
        self.place(path).ok().and_then(there).is_some()
    }

    /// Writes a file atomically: to a temporary file, which is synced and renamed, then syncs the
    /// folder.
    pub(crate) fn write_whole(&self, path: &Path, bytes: &[u8], tmp: &Path) -> io::Result<()> {
        let mut temporary = self.temporary(tmp)?;
        temporary.write_all(bytes)?;
        temporary.persist(path).map(drop)
    }

    /// Writes a file that can be made again: a loss of power may remove it.
    pub(crate) fn write_renewable(&self, path: &Path, bytes: &[u8], tmp: &Path) -> io::Result<()> {
        let mut temporary = self.temporary(tmp)?;
        temporary.write_all(bytes)?;
        self.rename(&temporary.path, path)?;
        temporary.named = true;
        Ok(())
    }

    /// Removes the regular files of a folder whose names `goes` accepts.
    pub(crate) fn sweep(&self, folder: &Path, mut goes: impl FnMut(&str) -> bool) {
        for (name, sort) in self.list(folder).unwrap_or_default() {
            if sort == FileType::RegularFile && name.to_str().is_some_and(&mut goes) {
                // The next process tries again if a file cannot be removed now.
                let _ = self.remove(&folder.join(name));
            }
        }
    }
}

/// Opens a folder below another one, or that one again, in a single call that follows no link. None where the
/// system has no such call, and if it fails: going down folder by folder finds the reason.
#[cfg(target_os = "linux")]
fn open_below(folder: &File, below: &Path) -> Option<OwnedFd> {
    use rustix::fs::{ResolveFlags, openat2};
    let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
    let links = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(folder, below, FOLDER, Mode::empty(), links).ok()
}

#[cfg(not(target_os = "linux"))]
fn open_below(_: &File, _: &Path) -> Option<OwnedFd> {
    None
}

/// Refuses anything but a folder, and links to folders.
fn check_folder(path: &Path, sort: FileType) -> io::Result<()> {
    let (path, what) = (path.display(), regular::name(sort));
    let message = match sort {
        FileType::Directory => return Ok(()),
        FileType::Symlink => format!(
            "`{path}` is a {what}, and a store follows none below its own folder (that one may lie behind a link)"
        ),
        _ => format!("`{path}` is a {what}, not a folder"),
    };
    Err(io::Error::new(io::ErrorKind::NotADirectory, message))
}

/// Renames a folder at the path of a file to an unused name.
fn put_aside(folder: &OwnedFd, name: &OsStr) -> io::Result<()> {
    for count in 1.. {
        let mut aside = name.to_owned();
        aside.push(format!(".aside-{count}"));
        match statat(folder, &aside, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => continue,
            Err(Errno::NOENT) => return Ok(renameat(folder, name, folder, &aside)?),
            Err(fault) => return Err(fault.into()),
        }
    }
    unreachable!("counts have no end")
}

/// An unfinished file, which is removed if it is dropped before it is renamed.
pub(crate) struct Temporary {
    disk: Disk,
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
            // If this fails, the next process removes the file.
            let _ = self.disk.remove(&self.path);
        }
    }
}
