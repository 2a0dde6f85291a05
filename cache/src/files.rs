//! Files outside the store, named by the digest of their content, and an index of digests so that a
//! file need not be read again.

use crate::{Digest, file_version::FileVersion, regular};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    ffi::OsStr,
    fs,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

/// A file outside the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// The name below the source, with `/` between folders: the same on every machine.
    pub name: String,
    /// The path on this machine.
    pub path: PathBuf,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// An index of the digest of each version of a file (size, inode, times of change), so that each
/// version is read once. If the index is lost or damaged, files are read again; results do not
/// change. A version that a write right after the lookup could share is not kept: see
/// [`FileVersion::is_settled`].
///
/// On disk it is text with one line for each file: digest, size, inode, time of modification,
/// time of change and path, separated by spaces.
#[derive(Default)]
pub struct FileIndex {
    known: RwLock<foldhash::HashMap<PathBuf, (FileVersion, Digest)>>,
    learned: AtomicBool,
}

const HEAD: &str = "files-v1";
const NO_PANIC: &str = "no thread panics while it holds the index";

impl FileIndex {
    /// Parses the saved index; empty text gives an empty index. The file of a damaged line is read
    /// again.
    pub fn from_text(text: &[u8]) -> Self {
        let mut lines = text.split(|byte| *byte == b'\n');
        let known = match lines.next() {
            Some(head) if head == HEAD.as_bytes() => lines.filter_map(read_line).collect(),
            _ => foldhash::HashMap::default(),
        };
        Self { known: RwLock::new(known), learned: AtomicBool::new(false) }
    }

    /// The bytes to save, if the index has changed since it was loaded or last saved.
    pub fn unsaved(&self) -> Option<Vec<u8>> {
        if !self.learned.swap(false, Ordering::Relaxed) {
            return None;
        }
        let known = self.known.read().expect(NO_PANIC);
        let mut entries: Vec<_> = known.iter().collect();
        entries.sort_unstable_by_key(|(path, _)| *path);
        let mut text = format!("{HEAD}\n").into_bytes();
        for (path, (stat, digest)) in entries {
            let path = path.as_os_str().as_bytes();
            // A path with a line break cannot be saved, so such a file is read each time.
            if path.contains(&b'\n') {
                continue;
            }
            text.extend_from_slice(format!("{digest} {stat} ").as_bytes());
            text.extend_from_slice(path);
            text.push(b'\n');
        }
        Some(text)
    }

    /// The digest of the file's bytes and its size. The file is read only if its version is not in
    /// the index.
    ///
    /// # Errors
    /// When the file cannot be read, or is no regular file.
    pub fn digest(&self, path: &Path) -> io::Result<(Digest, u64)> {
        let begun = SystemTime::now();
        let stat = FileVersion::of(&fs::metadata(path)?);
        if let Some((seen, digest)) = self.known.read().expect(NO_PANIC).get(path)
            && *seen == stat
        {
            return Ok((*digest, stat.size));
        }
        let digest = digest_of_file(path)?;
        let after = FileVersion::of(&fs::metadata(path)?);
        if after == stat && stat.is_settled(begun) {
            self.known.write().expect(NO_PANIC).insert(path.to_owned(), (stat, digest));
            self.learned.store(true, Ordering::Relaxed);
        }
        Ok((digest, after.size))
    }

    /// Reads every file again whose version is unchanged, and forgets those with other bytes.
    /// Returns the number of files read and the paths of those with other bytes.
    pub fn verify(&self) -> (usize, Vec<PathBuf>) {
        let mut known = self.known.write().expect(NO_PANIC);
        let unchanged = known.par_iter().filter(|(path, (seen, _))| is_still(path, seen));
        let unchanged: Vec<_> = unchanged.collect();
        let read = unchanged.len();
        let others = unchanged.into_par_iter().filter(|(path, (seen, digest))| {
            let now = digest_of_file(path);
            // A file that changed meanwhile has another version and is read when it is needed.
            now.ok().as_ref() != Some(digest) && is_still(path, seen)
        });
        let mut others: Vec<PathBuf> = others.map(|(path, _)| path.clone()).collect();
        others.sort_unstable();
        for path in &others {
            known.remove(path);
            self.learned.store(true, Ordering::Relaxed);
        }
        (read, others)
    }

    /// Forgets files, so that they are read again: what was read of them was not what the index says.
    pub fn forget(&self, files: &[FileEntry]) {
        let mut known = self.known.write().expect(NO_PANIC);
        for file in files {
            if known.remove(&file.path).is_some() {
                self.learned.store(true, Ordering::Relaxed);
            }
        }
    }

    /// True if the content of a file was read from this version of it.
    pub fn holds(&self, file: &FileEntry, version: &FileVersion) -> bool {
        let known = self.known.read().expect(NO_PANIC);
        known.get(&file.path).is_some_and(|known| *known == (*version, file.digest))
    }

    /// The paths of files that are still the version that was read, by content.
    pub fn paths(&self) -> HashMap<Digest, PathBuf> {
        let known = self.known.read().expect(NO_PANIC);
        let unchanged = known.iter().filter(|(path, (seen, _))| is_still(path, seen));
        let mut paths = HashMap::new();
        for (path, (_, digest)) in unchanged {
            let place = paths.entry(*digest).or_insert_with(|| path.clone());
            // Of several paths the first by name is taken, so that two calls agree.
            if path < place {
                place.clone_from(path);
            }
        }
        paths
    }
}

fn is_still(path: &Path, seen: &FileVersion) -> bool {
    fs::metadata(path).is_ok_and(|metadata| FileVersion::of(&metadata) == *seen)
}

fn read_line(line: &[u8]) -> Option<(PathBuf, (FileVersion, Digest))> {
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let digest = Digest::from_hex(fields.next()?)?;
    let stat = FileVersion::read(&mut fields)?;
    Some((PathBuf::from(OsStr::from_bytes(fields.next()?)), (stat, digest)))
}

/// The digest of a file's bytes, read in pieces.
fn digest_of_file(path: &Path) -> io::Result<Digest> {
    let mut file = regular::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(Digest::from(hasher.finalize())),
            Ok(length) => hasher.update(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::File,
        thread,
        time::{Duration, UNIX_EPOCH},
    };

    /// A file whose last write has that time.
    fn written(at: SystemTime) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let file = File::create(folder.path().join("a.wav")).expect("a file");
        file.set_modified(at).expect("a time");
        // The time of change cannot be set.
        thread::sleep(Duration::from_millis(100));
        folder
    }

    #[test]
    fn a_version_of_whole_seconds_is_read_again_until_it_is_clearly_past() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        // The limit itself is tested with made-up times; here the clock runs on while the test waits.
        for (at, is_kept) in [(now + 60, false), (now - 10, true)] {
            let folder = written(UNIX_EPOCH + Duration::from_secs(at));
            let index = FileIndex::default();
            index.digest(&folder.path().join("a.wav")).expect("a digest");
            assert_eq!(index.unsaved().is_some(), is_kept, "{at} s, now {now} s");
        }
    }

    #[test]
    fn what_changed_unseen_is_found_by_reading_and_forgotten() {
        let folder = written(UNIX_EPOCH + Duration::from_millis(1));
        let path = folder.path().join("a.wav");
        let index = FileIndex::default();
        let (digest, _) = index.digest(&path).expect("a digest");
        assert_eq!(index.verify(), (1, Vec::new()));
        let text = String::from_utf8(index.unsaved().expect("learned")).expect("text");
        let other = text.replace(&digest.to_string(), &Digest::of(b"before").to_string());
        let index = FileIndex::from_text(other.as_bytes());
        assert_eq!(index.verify(), (1, vec![path.clone()]));
        assert_eq!(index.digest(&path).expect("read again").0, digest);
    }
}
