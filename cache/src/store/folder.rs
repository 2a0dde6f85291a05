//! A folder as a place of blobs, through the same calls as the local store: below it no symbolic
//! link is followed, and a file appears whole or not at all.

use super::disk::Disk;
use crate::{
    blobs::{Blobs, too_long},
    regular,
};
use rustix::fs::{FileType, OFlags};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The folder of unfinished files, whose name no blob can have.
const UNFINISHED: &str = ".unfinished";
/// The depth to which folders are listed. Names of a store have three parts.
const DEEPEST: usize = 8;

/// A folder as a place of blobs.
pub struct Folder {
    disk: Disk,
}

impl Folder {
    /// The place in a folder, which [`Blobs::put`] makes if it does not exist.
    pub fn new(root: &Path) -> Self {
        Self { disk: Disk::default().below(root) }
    }

    /// The path of a name. One that could lead out of the folder is refused.
    fn path(&self, name: &str) -> io::Result<PathBuf> {
        let is_plain = |part: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !part.is_empty() && !part.starts_with('.') && part.bytes().all(known)
        };
        match name.split('/').all(is_plain) {
            true => Ok(self.disk.root.join(name)),
            false => Err(io::Error::other(format!("`{name}` is no name of a blob"))),
        }
    }

    /// Appends the names below a folder, given as the part of their names before the last `/`.
    fn names_below(&self, folder: &str, names: &mut Vec<String>) -> io::Result<()> {
        let place = if folder.is_empty() { self.disk.root.clone() } else { self.path(folder)? };
        for (name, sort) in if_there(self.disk.list(&place))?.unwrap_or_default() {
            let Some(name) = name.to_str() else { continue };
            let name = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            match sort {
                _ if self.path(&name).is_err() => {}
                FileType::Directory if name.matches('/').count() < DEEPEST => {
                    self.names_below(&name, names)?;
                }
                FileType::RegularFile => names.push(name),
                _ => {}
            }
        }
        Ok(())
    }
}

fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

impl Blobs for Folder {
    fn place(&self) -> String {
        self.disk.root.display().to_string()
    }

    fn head(&self, name: &str) -> io::Result<Option<u64>> {
        let file = if_there(self.disk.open(&self.path(name)?, OFlags::RDONLY))?;
        file.map(|file| Ok(file.metadata()?.len())).transpose()
    }

    fn get(&self, name: &str, at_most: u64, to: &mut dyn io::Write) -> io::Result<bool> {
        let file = if_there(self.disk.open(&self.path(name)?, OFlags::RDONLY))?;
        let Some(file) = file else { return Ok(false) };
        let copied = io::copy(&mut io::Read::take(file, at_most.saturating_add(1)), to)?;
        if copied > at_most { Err(too_long(name, at_most)) } else { Ok(true) }
    }

    fn put(&self, name: &str, from: &Path) -> io::Result<()> {
        let (path, unfinished) = (self.path(name)?, self.disk.root.join(UNFINISHED));
        fs::create_dir_all(&self.disk.root)?;
        let folders = name.match_indices('/').map(|(end, _)| self.disk.root.join(&name[..end]));
        for folder in folders.chain([unfinished.clone()]) {
            self.disk.create_dir(&folder)?;
        }
        let mut file = self.disk.temporary(&unfinished)?;
        io::copy(&mut regular::open(from)?, &mut file)?;
        file.persist(&path).map(drop)
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        // Only the folder that the prefix names is walked, since a place may hold millions.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut names = Vec::new();
        self.names_below(folder, &mut names)?;
        names.retain(|name| name.starts_with(prefix));
        names.sort_unstable();
        Ok(names)
    }

    fn delete(&self, name: &str) -> io::Result<()> {
        if_there(self.disk.remove(&self.path(name)?)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_folder_keeps_what_it_is_given_and_stays_in_its_place() {
        let root = tempfile::tempdir().expect("a folder");
        let file = root.path().join("file");
        fs::write(&file, b"bytes").expect("a file");
        let place = Folder::new(&root.path().join("place"));
        assert_eq!(place.list("a/").expect("a list"), Vec::<String>::new());
        for name in ["a/b.x", "a/c.x", "d.x"] {
            place.put(name, &file).expect("room");
            assert_eq!(place.head(name).expect("a length"), Some(5));
        }
        assert_eq!(place.list("a/").expect("a list"), ["a/b.x", "a/c.x"]);
        assert_eq!(place.list("").expect("a list").len(), 3);
        let mut read = Vec::new();
        assert!(place.get("a/b.x", 5, &mut read).expect("bytes"));
        assert_eq!(read, b"bytes");
        assert!(place.get("a/b.x", 4, &mut Vec::new()).is_err(), "longer than it may be");
        place.delete("a/b.x").expect("gone");
        place.delete("a/b.x").expect("gone already");
        assert!(!place.get("a/b.x", 5, &mut Vec::new()).expect("an answer"));
        for name in ["../file", "/etc/passwd", "a//b", ".hidden", "a/../../file", "", "a b"] {
            assert!(place.head(name).is_err(), "`{name}`");
        }
    }

    #[test]
    fn no_link_leads_out_of_a_folder() {
        let root = tempfile::tempdir().expect("a folder");
        let (file, place) = (root.path().join("file"), root.path().join("place"));
        fs::write(&file, b"bytes").expect("a file");
        fs::create_dir(&place).expect("a folder");
        symlink(root.path(), place.join("out")).expect("a link");
        symlink(&file, place.join("link")).expect("a link");
        let place = Folder::new(&place);
        for name in ["out/file", "link"] {
            assert!(place.get(name, 5, &mut Vec::new()).is_err(), "{name}");
        }
        assert!(place.put("out/new", &file).is_err());
        assert!(!root.path().join("new").exists());
        assert_eq!(place.list("").expect("a list"), Vec::<String>::new());
    }
}
