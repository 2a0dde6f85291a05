//! The content-addressed store: objects named by digest, and a journal of finished steps.
//!
//! ```text
//! .engine/
//!   objects-v1/ab/<digest>.parquet       tables
//!   objects-v1/ab/<digest>.safetensors   tensors
//!   journal-v1.jsonl                     one line a finished step, only ever appended to
//!   files-v1.json                        digests of files outside, by path and version
//!   checkpoints-v1/<work>/               states of long work, see [`crate::checkpoint`]
//!   locks-v1/<key>                       held while a step runs; the kernel frees a dead owner's
//! ```
//! An object is written to a temporary name, synced, then renamed; only then does a journal line
//! name it. So whatever is named is whole, and whatever is half is never named.

use crate::{Artifact, CacheKey, Data, Digest, FileIndex, Shape, parquet, tensors};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Mutex,
};
use tempfile::NamedTempFile;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An object is not there.
    #[error("object `{}` is missing from the store", .0.short())]
    Missing(Digest),
    /// An object does not hold what its name says.
    #[error("object `{}` is damaged: {reason}", digest.short())]
    Damaged {
        /// Its name.
        digest: Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// An artifact cannot be written in its format.
    #[error("an artifact cannot be written: {0}")]
    Format(String),
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// An output of a finished step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// The content.
    pub digest: Digest,
    /// What it is.
    pub shape: Shape,
    /// The length of its file.
    pub bytes: u64,
}

/// A finished step: a line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// The digest of `cache_key`.
    pub key: Digest,
    /// Everything that decided its bytes.
    pub cache_key: CacheKey,
    /// What it made, by port.
    pub outputs: BTreeMap<String, Object>,
    /// How long it took.
    pub times: Times,
}

/// How long a step took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// All of it: reading inputs, the op, keeping outputs.
    pub seconds: f64,
    /// The op alone.
    pub op_seconds: f64,
    /// Seconds of processor time, over all threads; shared evenly with steps at the same time.
    #[serde(default)]
    pub cpu_seconds: f64,
    /// The most bytes the process held meanwhile; 0 where the system does not say.
    #[serde(default)]
    pub peak_bytes: u64,
    /// Seconds between the states that the op saved on its way: of a training, each epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub laps: Vec<f64>,
    /// Rows that were taken from an earlier run instead of being computed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rows_reused: usize,
}

/// For serde, which asks by reference.
pub(crate) fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A folder of objects and a journal. Several processes may use one store.
pub struct Store {
    root: PathBuf,
    journal: Mutex<Journal>,
    files: FileIndex,
}

#[derive(Default)]
struct Journal {
    finished: HashMap<Digest, Finished>,
    read_to: u64,
}

const JOURNAL: &str = "journal-v1.jsonl";
const FILES: &str = "files-v1.json";

impl Store {
    /// Opens the store in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made or the journal cannot be read.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        for folder in ["objects-v1", "locks-v1"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).map_err(StoreError::io("make the folder", &folder))?;
        }
        let store = Self {
            root: root.to_owned(),
            journal: Mutex::default(),
            files: FileIndex::load(&root.join(FILES)),
        };
        store.refresh()?;
        Ok(store)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Digests of files outside the store.
    pub fn files(&self) -> &FileIndex {
        &self.files
    }

    /// Keeps what was learned about files outside the store.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn save_files(&self) -> Result<(), StoreError> {
        let path = self.root.join(FILES);
        self.files.save(&path).map_err(StoreError::io("write", &path))
    }

    /// Reads what other processes have added to the journal.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn refresh(&self) -> Result<(), StoreError> {
        let path = self.root.join(JOURNAL);
        let mut journal = self.lock_journal();
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(fault) => return Err(StoreError::io("read", &path)(fault)),
        };
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(journal.read_to))
            .and_then(|_| file.read_to_end(&mut text))
            .map_err(StoreError::io("read", &path))?;
        // A line without its end is still being written, or its writer was killed: not yet read.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in text[..whole].split(|byte| *byte == b'\n') {
            // A line that is torn or from another version costs a step, never the run.
            if let Ok(finished) = serde_json::from_slice::<Finished>(line) {
                journal.finished.insert(finished.key, finished);
            }
        }
        journal.read_to += whole as u64;
        Ok(())
    }

    /// The finished step of that key, if all its objects are there in full length.
    pub fn finished(&self, key: &Digest) -> Option<Finished> {
        let finished = self.lock_journal().finished.get(key).cloned()?;
        finished.outputs.values().all(|object| self.is_there(object)).then_some(finished)
    }

    /// The ports and objects of a finished step that are no longer there in full length.
    pub fn lost(&self, key: &Digest) -> Vec<(String, Digest)> {
        let finished = self.lock_journal().finished.get(key).cloned();
        let outputs = finished.into_iter().flat_map(|finished| finished.outputs);
        let lost = outputs.filter(|(_, object)| !self.is_there(object));
        lost.map(|(port, object)| (port, object.digest)).collect()
    }

    fn is_there(&self, object: &Object) -> bool {
        self.object_path(&object.digest)
            .and_then(|path| fs::metadata(path).ok())
            .is_some_and(|metadata| metadata.len() == object.bytes)
    }

    /// Every finished step the journal knows, in no order.
    pub fn history(&self) -> Vec<Finished> {
        self.lock_journal().finished.values().cloned().collect()
    }

    /// Records that a step is finished. Its objects must have been [`put`](Self::put) before.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn commit(&self, finished: Finished) -> Result<(), StoreError> {
        let path = self.root.join(JOURNAL);
        let mut line = serde_json::to_vec(&finished).expect("a finished step always serialises");
        line.push(b'\n');
        // The end of a torn line closes it, so that this one starts afresh.
        line.insert(0, b'\n');
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(&line).and_then(|()| file.sync_data()))
            .map_err(StoreError::io("write", &path))?;
        self.lock_journal().finished.insert(finished.key, finished);
        Ok(())
    }

    /// Keeps an artifact under its digest. One that is there already is replaced: it may be damaged.
    ///
    /// # Errors
    /// When the file system refuses, for instance because the disk is full.
    pub fn put(&self, artifact: &Artifact) -> Result<Object, StoreError> {
        let digest = artifact.digest();
        let path = self.path_for(&digest, extension(artifact));
        let folder = path.parent().expect("an object lies in a folder");
        fs::create_dir_all(folder).map_err(StoreError::io("make the folder", folder))?;
        let io = |fault| StoreError::io("write", &path)(fault);
        let mut file = NamedTempFile::new_in(folder).map_err(io)?;
        match &artifact.data {
            Data::Table(table) => {
                let mut buffered = BufWriter::with_capacity(1 << 20, file.as_file_mut());
                parquet::write(&mut buffered, artifact, table).map_err(StoreError::Format)?;
                buffered.flush().map_err(io)?;
            }
            Data::Tensors(tensors) => {
                let info = serde_json::json!({ "kind": artifact.kind, "meta": artifact.meta });
                let bytes =
                    tensors::to_bytes(tensors, &info.to_string()).map_err(StoreError::Format)?;
                file.write_all(&bytes).map_err(io)?;
            }
        }
        file.as_file().sync_data().map_err(io)?;
        let bytes = file.as_file().metadata().map_err(io)?.len();
        file.persist(&path).map_err(|fault| io(fault.error))?;
        Ok(Object { digest, shape: artifact.shape(), bytes })
    }

    /// Reads an artifact and checks that it is what its name says. A damaged object is taken out
    /// of the store, so that the step that made it runs again.
    ///
    /// # Errors
    /// When the object is missing or damaged.
    pub fn get(&self, digest: &Digest) -> Result<Artifact, StoreError> {
        let path = self.object_path(digest).ok_or(StoreError::Missing(*digest))?;
        let damaged = |reason| StoreError::Damaged { digest: *digest, reason };
        let read = read_object(&path).map_err(damaged).and_then(|artifact| {
            if artifact.digest() == *digest {
                Ok(artifact)
            } else {
                Err(damaged("its content does not match its name".to_owned()))
            }
        });
        if matches!(read, Err(StoreError::Damaged { .. })) {
            // If it cannot be removed, the next read will find it damaged again.
            let _ = fs::remove_file(&path);
        }
        read
    }

    /// The file of an object, if it is there.
    pub fn object_path(&self, digest: &Digest) -> Option<PathBuf> {
        ["parquet", "safetensors"]
            .into_iter()
            .map(|extension| self.path_for(digest, extension))
            .find(|path| path.exists())
    }

    /// Waits until no other process runs the step of that key, then holds it.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn claim(&self, key: &Digest, waiting: impl FnOnce()) -> Result<Claim, StoreError> {
        let path = self.root.join("locks-v1").join(key.to_string());
        let io = |fault| StoreError::io("lock", &path)(fault);
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock().map_err(io)?;
            }
            Err(TryLockError::Error(fault)) => return Err(io(fault)),
        }
        Ok(Claim { path, _file: file })
    }

    fn path_for(&self, digest: &Digest, extension: &str) -> PathBuf {
        let name = digest.to_string();
        self.root.join("objects-v1").join(&name[..2]).join(format!("{name}.{extension}"))
    }

    fn lock_journal(&self) -> std::sync::MutexGuard<'_, Journal> {
        self.journal.lock().expect("no thread panics while it holds the journal")
    }
}

/// The right to run a step; given up when dropped.
pub struct Claim {
    path: PathBuf,
    _file: File,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Who opened the file before this finds the step finished, and needs no lock.
        let _ = fs::remove_file(&self.path);
    }
}

fn extension(artifact: &Artifact) -> &'static str {
    match artifact.data {
        Data::Table(_) => "parquet",
        Data::Tensors(_) => "safetensors",
    }
}

fn read_object(path: &Path) -> Result<Artifact, String> {
    if path.extension().is_some_and(|extension| extension == "parquet") {
        return parquet::read(path);
    }
    #[derive(Deserialize)]
    struct Info {
        kind: crate::Kind,
        meta: crate::Meta,
    }
    let bytes = fs::read(path).map_err(|fault| fault.to_string())?;
    let (tensors, info) = tensors::from_bytes(&bytes)?;
    let info: Info = serde_json::from_str(&info).map_err(|fault| fault.to_string())?;
    Ok(Artifact { kind: info.kind, meta: info.meta, data: Data::Tensors(tensors) })
}

/// Writes a whole file: a temporary one beside it, synced, then renamed.
///
/// # Errors
/// When the file system refuses; then what was there before is still there.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    file.persist(path)?;
    Ok(())
}
