//! Files outside the store, named by content, and an index that saves reading them again.

use crate::Digest;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

/// A file outside the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// The name below the source, with `/` between folders: the same on every machine.
    pub name: String,
    /// Where it lies on this one.
    pub path: PathBuf,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// What the file system says of a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stat {
    size: u64,
    inode: u64,
    modified_ns: i128,
    changed_ns: i128,
}

impl Stat {
    fn of(metadata: &Metadata) -> Self {
        let nanoseconds =
            |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            size: metadata.len(),
            inode: metadata.ino(),
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether a write right after the look could leave the same times behind: clocks of file
    /// systems are coarse. Such a file is not remembered.
    fn is_fresh(&self) -> bool {
        const COARSE_NS: i128 = 50_000_000;
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos() as i128);
        now - self.changed_ns.max(self.modified_ns) < COARSE_NS
    }
}

/// Remembers the digest of each version of a file (size, inode, times of change), so that a file
/// is read once a version. An index that is lost or damaged costs reading, never a wrong answer.
#[derive(Default)]
pub struct FileIndex {
    known: Mutex<HashMap<PathBuf, (Stat, Digest)>>,
}

impl FileIndex {
    /// Reads the index, or starts an empty one where there is none or it is damaged.
    pub fn load(path: &Path) -> Self {
        let known = fs::read(path)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Vec<(PathBuf, Stat, Digest)>>(&bytes).ok())
            .unwrap_or_default();
        let known = known.into_iter().map(|(path, stat, digest)| (path, (stat, digest))).collect();
        Self { known: Mutex::new(known) }
    }

    /// Writes the index: a temporary file, then its name.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let known = self.known.lock().expect("no thread panics while it holds the index");
        let mut entries: Vec<_> =
            known.iter().map(|(path, (stat, digest))| (path, stat, digest)).collect();
        entries.sort_by_key(|(path, ..)| *path);
        crate::store::write_whole(path, &serde_json::to_vec(&entries)?)
    }

    /// Where each content was last seen; of several places, the first in the order of paths.
    pub fn places(&self) -> HashMap<Digest, PathBuf> {
        let known = self.known.lock().expect("no thread panics while it holds the index");
        let mut places: HashMap<Digest, PathBuf> = HashMap::new();
        for (path, (_, digest)) in known.iter() {
            let place = places.entry(*digest).or_insert_with(|| path.clone());
            if path < place {
                place.clone_from(path);
            }
        }
        places
    }

    /// The digest of the file's bytes; it is read only if this version is not known.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn digest(&self, path: &Path) -> io::Result<(Digest, u64)> {
        let stat = Stat::of(&fs::metadata(path)?);
        {
            let known = self.known.lock().expect("no thread panics while it holds the index");
            if let Some((seen, digest)) = known.get(path)
                && *seen == stat
            {
                return Ok((*digest, stat.size));
            }
        }
        let digest = digest_of_file(path)?;
        let after = Stat::of(&fs::metadata(path)?);
        if after == stat && !stat.is_fresh() {
            let mut known = self.known.lock().expect("no thread panics while it holds the index");
            known.insert(path.to_owned(), (stat, digest));
        }
        Ok((digest, after.size))
    }
}

/// The digest of a file's bytes, read in pieces.
fn digest_of_file(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(Digest::from(hasher.finalize())),
            Ok(length) => hasher.update(&piece[..length]),
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => continue,
            Err(fault) => return Err(fault),
        };
    }
}
