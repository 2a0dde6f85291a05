//! Lists of the files that a source held, stored beside the objects so that a later plan can name
//! the new files. If a list is lost or damaged, only that message is lost, never a result.
//!
//! ```text
//! .engine/sources-v1/<digest of names and contents>     one line a file: digest, size, name
//! ```

use super::{Store, StoreError};
use crate::{Digest, FileEntry, Hasher};
use std::fmt::Write;

/// The folder of the lists.
pub(crate) const NOTES: &str = "sources-v1";

/// A file in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotedFile {
    /// The name below the source.
    pub name: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// The digest of names and contents, which is the source's part of a key.
pub fn digest_of<'a>(files: impl ExactSizeIterator<Item = (&'a str, &'a Digest)>) -> Digest {
    let mut hasher = Hasher::new("files-v1");
    hasher.number(files.len() as u64);
    for (name, digest) in files {
        hasher.text(name).text(&digest.to_string());
    }
    hasher.finish()
}

impl Store {
    /// Writes the list of a source's files under the digest in its key.
    ///
    /// # Errors
    /// When the list cannot be written.
    pub fn note_files(&self, files: &[FileEntry]) -> Result<(), StoreError> {
        let digest = digest_of(files.iter().map(|file| (file.name.as_str(), &file.digest)));
        let name = digest.to_string();
        if self.kept(NOTES, &name).is_some() {
            return Ok(());
        }
        let mut text = String::new();
        for FileEntry { name, digest, size, .. } in files {
            // A name with a line break would make two lines, so such a list is not written.
            if name.contains('\n') {
                return Ok(());
            }
            let _ = writeln!(text, "{digest} {size} {name}");
        }
        self.keep(NOTES, &name, text.as_bytes())
    }

    /// The files with this digest, if their list was written and is not damaged.
    pub fn noted_files(&self, digest: &Digest) -> Option<Vec<NotedFile>> {
        let text = String::from_utf8(self.kept(NOTES, &digest.to_string())?).ok()?;
        let files: Option<Vec<NotedFile>> = text.lines().map(noted).collect();
        files.filter(|files| {
            digest_of(files.iter().map(|file| (file.name.as_str(), &file.digest))) == *digest
        })
    }
}

fn noted(line: &str) -> Option<NotedFile> {
    let mut parts = line.splitn(3, ' ');
    let (digest, size, name) = (parts.next()?, parts.next()?, parts.next()?);
    Some(NotedFile {
        name: name.to_owned(),
        digest: digest.parse().ok()?,
        size: size.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn file(name: &str, content: &str) -> FileEntry {
        FileEntry {
            name: name.to_owned(),
            path: name.into(),
            digest: Digest::of(content.as_bytes()),
            size: content.len() as u64,
        }
    }

    #[test]
    fn a_note_is_read_back_and_a_damaged_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        let files = [file("a b.wav", "one"), file("c/d.wav", "three")];
        let digest = digest_of(files.iter().map(|file| (file.name.as_str(), &file.digest)));
        assert_eq!(store.noted_files(&digest), None);
        store.note_files(&files).expect("a note");
        let noted = store.noted_files(&digest).expect("the note");
        let names: Vec<_> = noted.iter().map(|file| (file.name.as_str(), file.size)).collect();
        assert_eq!(names, [("a b.wav", 3), ("c/d.wav", 5)]);
        let path = folder.path().join(NOTES).join(digest.to_string());
        let text = fs::read_to_string(&path).expect("text");
        fs::write(&path, text.replace("a b", "a c")).expect("a damaged note");
        assert_eq!(store.noted_files(&digest), None);
    }
}
