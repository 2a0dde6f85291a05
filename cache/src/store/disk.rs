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
    sync::{Arc, Mutex, PoisonError},
};

/// The flags with which a folder is opened.
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

/// An opened folder, and a name in it.
pub(super) type Place<'p> = (Arc<File>, &'p OsStr);

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

    /// Opens a folder of the store from the store's own folder down; that one is open already.
    pub(super) fn folder(&self, path: &Path) -> io::Result<Arc<File>> {
        let outside = || io::Error::other(format!("`{}` lies outside the store", path.display()));
        let below = path.strip_prefix(&self.root).map_err(|_| outside())?;
        if below.components().any(|part| !matches!(part, Component::Normal(_))) {
            return Err(outside());
        }
        let root = self.open_root()?;
        if below.as_os_str().is_empty() {
            return Ok(root);
        }
        if let Some(opened) = open_below(&root, below) {
            return Ok(Arc::new(opened?));
        }
        let (mut at, mut folder) = (self.root.clone(), root);
        for name in below {
            at.push(name);
            let there = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
            check_folder(&at, FileType::from_raw_mode(there.st_mode))?;
            let opened = openat(&folder, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
            folder = Arc::new(File::from(opened));
        }
        Ok(folder)
    }

    /// The opened parent folder of a path, and the last name of the path.
    pub(super) fn place<'p>(&self, path: &'p Path) -> io::Result<Place<'p>> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.folder(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?, name))
    }

    /// The same for a path whose parent folder is made in its existing parent if it is missing.
    pub(super) fn place_or_make<'p>(&self, path: &'p Path) -> io::Result<Place<'p>> {
        match self.place(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.create_dir(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
                self.place(path)
            }
            opened => opened,
        }
    }

    /// The places of two paths; what is the parent of both is opened once.
    fn places<'p>(&self, one: &'p Path, other: &'p Path) -> io::Result<[Place<'p>; 2]> {
        let first = self.place(one)?;
        let second = match other.file_name() {
            Some(name) if one.parent() == other.parent() => (first.0.clone(), name),
            _ => self.place(other)?,
        };
        Ok([first, second])
    }

    /// Refuses a path of a folder of the store that is something else.
    pub(crate) fn check_place_of(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.place(path)?;
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(there) => check_folder(path, FileType::from_raw_mode(there.st_mode)),
        }
    }

    /// Makes a folder in an existing parent. A missing parent is not made again, since the removal
    /// of a store during a run must be noticed.
    pub(crate) fn create_dir(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.place(path)?;
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => return check_folder(path, FileType::from_raw_mode(there.st_mode)),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        self.pass("make", path)?;
        match mkdirat(&parent, name, Mode::from_raw_mode(0o777)) {
            Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(()) => self.sync_opened(&parent, path.parent().unwrap_or(path)),
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
        let mut entries = match Arc::try_unwrap(self.folder(path)?) {
            Ok(opened) => Dir::new(OwnedFd::from(opened))?,
            Err(shared) => Dir::read_from(&shared)?,
        };
        let mut found = Vec::new();
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let sort = match entry.file_type() {
                // Some file systems do not give the type here.
                FileType::Unknown => match statat(entries.fd()?, name, AtFlags::SYMLINK_NOFOLLOW) {
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
        if let Err(error) = self.pass("write", path) {
            // A full disk or a killed process leaves a part of the bytes.
            let _ = file.write_all(&bytes[..bytes.len() / 2]);
            return Err(error);
        }
        file.write_all(bytes)
    }

    /// Waits until the file's bytes are on the disk.
    pub(crate) fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        self.pass("sync", path)?;
        file.sync_data()
    }

    /// Waits until the names in a folder are on the disk.
    pub(crate) fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.sync_opened(&*self.folder(path)?, path)
    }

    /// Waits until the names in an opened folder are on the disk.
    pub(super) fn sync_opened(&self, folder: &File, path: &Path) -> io::Result<()> {
        self.pass("sync folder", path)?;
        folder.sync_all()
    }

    /// Renames a file, replacing what had the new name. A file cannot replace a folder, so a folder
    /// is first renamed to a name that the store does not use.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let [source, target] = self.places(from, to)?;
        self.rename_opened(source, &target, to)
    }

    /// Renames a file from one opened folder to another one.
    pub(super) fn rename_opened(
        &self,
        (source, old): Place<'_>,
        (target, new): &Place<'_>,
        to: &Path,
    ) -> io::Result<()> {
        self.pass("rename", to)?;
        match renameat(&source, old, target, *new) {
            Err(Errno::ISDIR) => {
                put_aside(target, new)?;
                Ok(renameat(&source, old, target, *new)?)
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
    pub(crate) fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let (parent, name) = self.place(path)?;
        Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
    }

    /// Creates a file, which must not exist.
    pub(crate) fn create(&self, path: &Path) -> io::Result<File> {
        self.create_in(&self.place(path)?, path)
    }

    /// Creates a file, which must not exist, in an opened folder.
    pub(super) fn create_in(&self, (folder, name): &Place<'_>, path: &Path) -> io::Result<File> {
        self.pass("create", path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(openat(folder, *name, flags, Mode::from_raw_mode(0o666))?))
    }

    /// Gives a file a second name, which must not exist.
    pub(crate) fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass("link", to)?;
        let [(source, old), (target, new)] = self.places(from, to)?;
        Ok(linkat(source, old, target, new, AtFlags::empty())?)
    }

    /// True if something has this path.
    pub(crate) fn exists(&self, path: &Path) -> bool {
        let there = |(folder, name)| statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok();
        self.place(path).ok().and_then(there).is_some()
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

/// Opens a folder below another one in a single call that follows no link. None where the system has no such call,
/// or refuses for a reason that going down folder by folder finds.
#[cfg(target_os = "linux")]
fn open_below(folder: &File, below: &Path) -> Option<io::Result<File>> {
    use rustix::fs::{ResolveFlags, openat2};
    let links = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match openat2(folder, below, FOLDER, Mode::empty(), links) {
        Ok(opened) => Some(Ok(opened.into())),
        Err(Errno::NOENT) => Some(Err(Errno::NOENT.into())),
        Err(_) => None,
    }
}

#[cfg(not(target_os = "linux"))]
fn open_below(_: &File, _: &Path) -> Option<io::Result<File>> {
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
fn put_aside(folder: &File, name: &OsStr) -> io::Result<()> {
    for count in 1.. {
        let mut aside = name.to_owned();
        aside.push(format!(".aside-{count}"));
        match statat(folder, &aside, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => continue,
            Err(Errno::NOENT) => return Ok(renameat(folder, name, folder, &aside)?),
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!("counts have no end")
}
