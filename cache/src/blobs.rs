//! Places that keep bytes under names: what a store asks of a store elsewhere.

use crate::regular;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use walkdir::WalkDir;

/// A place that keeps bytes under names such as `objects-v1/ab/abcd.parquet`. Its parts are letters,
/// digits, `-`, `_` and `.`, and `/` stands between them.
pub trait Blobs: Send + Sync {
    /// The name of the place, for messages.
    fn place(&self) -> String;

    /// The length of a blob in bytes, if there is one.
    ///
    /// # Errors
    /// When the place cannot be asked.
    fn head(&self, name: &str) -> io::Result<Option<u64>>;

    /// Writes a blob to `to`, but never more than `at_most` bytes. False if there is no such blob.
    ///
    /// # Errors
    /// When the place cannot be read, the blob is longer, or `to` cannot be written.
    fn get(&self, name: &str, at_most: u64, to: &mut dyn io::Write) -> io::Result<bool>;

    /// Keeps the bytes of a file under a name, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be read or the place cannot be written.
    fn put(&self, name: &str, from: &Path) -> io::Result<()>;

    /// The names that begin with a prefix, in order.
    ///
    /// # Errors
    /// When the place cannot be read.
    fn list(&self, prefix: &str) -> io::Result<Vec<String>>;

    /// Removes a blob; one that is not there is no error.
    ///
    /// # Errors
    /// When the place refuses.
    fn delete(&self, name: &str) -> io::Result<()>;
}

/// The error of a blob that is longer than it may be.
pub fn too_long(name: &str, at_most: u64) -> io::Error {
    io::Error::other(format!("`{name}` is longer than {at_most} bytes"))
}

/// A folder as a place of blobs.
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The place in a folder, which [`Blobs::put`] makes if it does not exist.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The path of a name. One that could lead out of the folder is refused.
    fn path(&self, name: &str) -> io::Result<PathBuf> {
        let is_plain = |part: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !part.is_empty() && !part.starts_with('.') && part.bytes().all(known)
        };
        match name.split('/').all(is_plain) {
            true => Ok(self.root.join(name)),
            false => Err(io::Error::other(format!("`{name}` is no name of a blob"))),
        }
    }
}

fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

impl Blobs for Folder {
    fn place(&self) -> String {
        self.root.display().to_string()
    }

    fn head(&self, name: &str) -> io::Result<Option<u64>> {
        let there = if_there(fs::symlink_metadata(self.path(name)?))?;
        Ok(there.filter(fs::Metadata::is_file).map(|there| there.len()))
    }

    fn get(&self, name: &str, at_most: u64, to: &mut dyn io::Write) -> io::Result<bool> {
        let Some(file) = if_there(regular::open(&self.path(name)?))? else { return Ok(false) };
        let copied = io::copy(&mut io::Read::take(file, at_most.saturating_add(1)), to)?;
        if copied > at_most { Err(too_long(name, at_most)) } else { Ok(true) }
    }

    fn put(&self, name: &str, from: &Path) -> io::Result<()> {
        let path = self.path(name)?;
        let folder = path.parent().expect("a name lies in the folder");
        fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(".put-").tempfile_in(folder)?;
        io::copy(&mut regular::open(from)?, &mut file)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        fs::File::open(folder)?.sync_all()
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        // Only the folder that the prefix names is walked, since a place may hold millions.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let start = if folder.is_empty() { self.root.clone() } else { self.path(folder)? };
        if if_there(fs::symlink_metadata(&start))?.is_none() {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        for entry in WalkDir::new(start).sort_by_file_name() {
            let entry = entry?;
            let below = entry.path().strip_prefix(&self.root).ok().and_then(Path::to_str);
            if let Some(name) = below.filter(|_| entry.file_type().is_file())
                && name.starts_with(prefix)
                && self.path(name).is_ok()
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn delete(&self, name: &str) -> io::Result<()> {
        if_there(fs::remove_file(self.path(name)?)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
