//! The journal of finished steps and its compacted form.
//!
//! Two files of one kind, a line of JSON a step:
//!
//! ```text
//! journal-v1.jsonl   {"journal":"<id>"}          a fresh id each time the journal starts anew
//!                    {"sum":"…","key":"…",…}     appended when a step is finished
//! state-v1.jsonl     {"state":1}
//!                    {"sum":"…","key":"…",…}     the newest line of each key, sorted by key
//! ```
//! The known steps are those of the state, then those of the journal; of two lines with one key the
//! later counts. `sum` is a checksum of the rest of the line, so that a damaged line costs only its
//! own step.
//!
//! Several processes use one journal, each through its lock (`journal-v1.lock`, an advisory lock of
//! the kernel on a file opened anew each time, so that threads exclude each other like processes):
//!
//! - **Append**, lock shared. The lines of all steps that finish together are one write at the end
//!   of the file and one sync. A step is reported finished only after that sync. Each batch begins
//!   with a line break, which ends a line left incomplete by a killed process.
//! - **Read**, lock shared. A reader remembers the journal's id and the length it has read. If the id
//!   is another one, the journal was started anew, and everything is read again.
//! - **Compact**, lock exclusive, and only if it is free. The state is written whole (temporary file,
//!   sync, rename, sync of the folder); then a new journal with a fresh id replaces the old one in the
//!   same way. A process that is killed between the two leaves a journal whose lines are in the state
//!   already; reading them twice has no effect.
//!
//! Lines are parsed when they are asked for: opening the journal only indexes their keys.

use super::{
    Finished, Object, StoreError, Times,
    disk::Disk,
    line::{fresh_id, key_of, line, parse},
};
use crate::{Digest, regular};
use foldhash::HashMap;
use rustix::fs::OFlags;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs::{File, Metadata, TryLockError, symlink_metadata},
    io::{self, BufRead, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, RwLock},
    thread,
    time::Duration,
};

const JOURNAL: &str = "journal-v1.jsonl";
const STATE: &str = "state-v1.jsonl";
const LOCK: &str = "journal-v1.lock";
/// The largest length in bytes: positions are 32 bits wide, and no store is nearly as large.
const LONGEST: u64 = u32::MAX as u64;
/// A journal longer than this, and than half the state, is compacted.
const WORTH_COMPACTING: u64 = 1 << 20;

/// The finished steps of a store.
pub(super) struct Journal {
    root: PathBuf,
    tmp: PathBuf,
    disk: Disk,
    known: RwLock<Known>,
    batch: Mutex<Arc<Batch>>,
    writer: Mutex<()>,
    stop: OnceLock<Stop>,
}

/// True to stop waiting.
type Stop = Box<dyn Fn() -> bool + Send + Sync>;

/// The time between two attempts to take the lock.
const PATIENCE: Duration = Duration::from_millis(5);

/// The lines read so far.
#[derive(Default)]
struct Known {
    texts: Vec<Arc<[u8]>>,
    lines: HashMap<Digest, LinePosition>,
    /// The journal that was read: its inode, its first line, and the length read.
    inode: u64,
    id: Vec<u8>,
    read_to: u64,
}

/// The position of a step's line.
#[derive(Clone, Copy)]
struct LinePosition {
    text: u32,
    start: u32,
    end: u32,
}

/// A finished step without its cache key, which the caller has.
#[derive(Deserialize)]
pub(super) struct FinishedStep {
    key: Digest,
    pub(super) outputs: BTreeMap<String, Object>,
    pub(super) times: Times,
    #[serde(default)]
    pub(super) warnings: Vec<String>,
}

/// Lines that are written and synced together.
#[derive(Default)]
struct Batch {
    lines: Mutex<Vec<u8>>,
    written: OnceLock<Result<(), (io::ErrorKind, String)>>,
}

impl Journal {
    /// Reads the journal and its compacted form.
    pub(super) fn open(root: &Path, tmp: &Path, disk: &Disk) -> Result<Self, StoreError> {
        let journal = Self {
            root: root.to_owned(),
            tmp: tmp.to_owned(),
            disk: disk.clone(),
            known: RwLock::default(),
            batch: Mutex::default(),
            writer: Mutex::default(),
            stop: OnceLock::new(),
        };
        journal.refresh()?;
        Ok(journal)
    }

    /// Reads what other processes have appended.
    pub(super) fn refresh(&self) -> Result<(), StoreError> {
        // Every step calls this, and as a rule nothing has changed.
        let known = self.known.read().expect(NO_PANIC);
        if symlink_metadata(self.root.join(JOURNAL)).is_ok_and(|file| known.is_all_of(&file)) {
            return Ok(());
        }
        drop(known);
        // No process writes if there is no lock file, or if the lock cannot be taken as in a
        // read-only store.
        let lock = self.disk.open(&self.root.join(LOCK), OFlags::RDONLY);
        let lock = lock.and_then(|file| self.wait_for(&file).map(|()| file));
        if let Err(fault) = &lock
            && fault.kind() == io::ErrorKind::Interrupted
        {
            let fault = io::Error::new(fault.kind(), fault.to_string());
            return Err(StoreError::io("read", &self.root.join(JOURNAL))(fault));
        }
        self.read(&mut self.known.write().expect(NO_PANIC))
    }

    /// Reads new lines; the caller holds the lock.
    fn read(&self, known: &mut Known) -> Result<(), StoreError> {
        let path = self.root.join(JOURNAL);
        let fault = |fault| StoreError::io("read", &path)(fault);
        let mut file = match self.disk.open(&path, OFlags::RDONLY) {
            Ok(file) => Some(file),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => None,
            Err(other) => return Err(fault(other)),
        };
        let mut head = vec![0; known.id.len()];
        let same = !known.id.is_empty()
            && file.as_mut().is_some_and(|file| file.read_exact(&mut head).is_ok())
            && head == known.id;
        if !same {
            *known = Known::default();
            known.index(self.read_whole(&self.root.join(STATE))?);
        }
        let Some(mut file) = file else { return Ok(()) };
        let inode = file.metadata().map_err(fault)?.ino();
        file.seek(SeekFrom::Start(known.read_to)).map_err(fault)?;
        let mut text = regular::read_all(file, LONGEST).map_err(fault)?;
        // A line without its end is still being written, or its writer was killed, so it is not
        // read yet.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        text.truncate(whole);
        if known.read_to == 0 {
            let first = text.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            known.id = text[..first].to_vec();
            known.inode = inode;
        }
        known.read_to += whole as u64;
        known.index(text);
        Ok(())
    }

    /// The finished step of that key.
    pub(super) fn get(&self, key: &Digest) -> Option<Finished> {
        let (text, place) = self.place(key)?;
        parse(place.of(&text)).filter(|finished: &Finished| finished.key == *key)
    }

    /// The finished step of a key that the caller has, so that the cache key in the line is not
    /// parsed.
    pub(super) fn made(&self, key: &Digest) -> Option<FinishedStep> {
        let (text, place) = self.place(key)?;
        parse(place.of(&text)).filter(|made: &FinishedStep| made.key == *key)
    }

    fn place(&self, key: &Digest) -> Option<(Arc<[u8]>, LinePosition)> {
        let known = self.known.read().expect(NO_PANIC);
        let place = *known.lines.get(key)?;
        Some((Arc::clone(&known.texts[place.text as usize]), place))
    }

    /// Every finished step, in the order of their keys.
    pub(super) fn all(&self) -> Vec<Finished> {
        let known = self.known.read().expect(NO_PANIC);
        let mut lines: Vec<_> = known.lines.iter().collect();
        lines.sort_unstable_by_key(|(key, _)| **key);
        lines.into_iter().filter_map(|(_, place)| parse(known.line(*place))).collect()
    }

    /// Appends a step; returns once the line is synced.
    pub(super) fn append(&self, finished: &Finished) -> Result<(), StoreError> {
        let line = line(finished);
        let batch = {
            let batch = self.batch.lock().expect(NO_PANIC);
            batch.lines.lock().expect(NO_PANIC).extend_from_slice(&line);
            Arc::clone(&batch)
        };
        // The first thread to take the lock writes the batch of all that wait; they find it
        // written.
        let writer = self.writer.lock().expect(NO_PANIC);
        let result = batch.written.get_or_init(|| {
            let closed = std::mem::take(&mut *self.batch.lock().expect(NO_PANIC));
            let lines = std::mem::take(&mut *closed.lines.lock().expect(NO_PANIC));
            self.write(lines).map_err(|fault| (fault.kind(), fault.to_string()))
        });
        drop(writer);
        let path = self.root.join(JOURNAL);
        let io = StoreError::io("write", &path);
        result.clone().map_err(|(kind, reason)| io(io::Error::new(kind, reason)))
    }

    fn write(&self, lines: Vec<u8>) -> io::Result<()> {
        let lock = self.lock()?;
        self.wait_for(&lock)?;
        let path = self.root.join(JOURNAL);
        let mut file = self.disk.open(&path, APPEND)?;
        let before = file.metadata()?;
        let length = before.len();
        let mut bytes = if length == 0 { fresh_id() } else { b"\n".to_vec() };
        bytes.extend_from_slice(&lines);
        self.disk.write(&mut file, &path, &bytes)?;
        self.disk.sync(&file, &path)?;
        if length == 0 {
            self.disk.sync_folder(&self.root)?;
        }
        drop(lock);
        let end = file.stream_position()?;
        let mut known = self.known.write().expect(NO_PANIC);
        // Only if no other process has written in between.
        if known.is_all_of(&before) && end == length + bytes.len() as u64 {
            known.read_to = end;
        }
        known.index(lines);
        drop(known);
        let state = || symlink_metadata(self.root.join(STATE)).map_or(0, |state| state.len());
        if length > WORTH_COMPACTING && length > state() / 2 {
            // If compaction fails, the journal is still valid, and a later call tries again.
            let _ = self.compact(|_| true);
        }
        Ok(())
    }

    /// Writes all steps that `keep` accepts to a new state, and starts a new journal. False if
    /// another process holds the lock.
    pub(super) fn compact(&self, keep: impl Fn(&Finished) -> bool) -> Result<bool, StoreError> {
        let path = self.root.join(STATE);
        let fault = |fault| StoreError::io("write", &path)(fault);
        let lock = self.lock().map_err(fault)?;
        if lock.try_lock().is_err() {
            return Ok(false);
        }
        let mut known = self.known.write().expect(NO_PANIC);
        self.read(&mut known)?;
        let mut lines: Vec<_> = known.lines.iter().collect();
        lines.sort_unstable_by_key(|(key, _)| **key);
        let mut state = b"{\"state\":1}\n".to_vec();
        for (_, place) in lines {
            if parse(known.line(*place)).is_some_and(|finished: Finished| keep(&finished)) {
                state.extend_from_slice(known.line(*place));
                state.push(b'\n');
            }
        }
        self.disk.write_whole(&path, &state, &self.tmp).map_err(fault)?;
        let journal = self.root.join(JOURNAL);
        self.disk.write_whole(&journal, &fresh_id(), &self.tmp).map_err(fault)?;
        self.read(&mut known)?;
        Ok(true)
    }

    /// The lengths of the journal and of its compacted form.
    pub(super) fn bytes(&self) -> u64 {
        let length = |name| symlink_metadata(self.root.join(name)).map_or(0, |file| file.len());
        length(JOURNAL) + length(STATE)
    }

    pub(super) fn stop_waiting_if(&self, stop: Stop) {
        // Only the first call counts.
        let _ = self.stop.set(stop);
    }

    /// Takes the shared lock, waiting while another process has it exclusively, until `stop`
    /// becomes true.
    fn wait_for(&self, lock: &File) -> io::Result<()> {
        loop {
            match lock.try_lock_shared() {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(fault)) => return Err(fault),
                Err(TryLockError::WouldBlock) if self.stop.get().is_some_and(|stop| stop()) => {
                    let message = "stopped while another process was at it";
                    return Err(io::Error::new(io::ErrorKind::Interrupted, message));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(PATIENCE),
            }
        }
    }

    /// Opens the lock file, which is created if needed.
    fn lock(&self) -> io::Result<File> {
        let path = self.root.join(LOCK);
        self.disk.open(&path, OFlags::RDONLY).or_else(|_| self.disk.open(&path, APPEND))
    }

    fn read_whole(&self, path: &Path) -> Result<Vec<u8>, StoreError> {
        match self.disk.read(path, LONGEST) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read.map_err(StoreError::io("read", path)),
        }
    }
}

const NO_PANIC: &str = "no thread panics while it holds the journal";
/// The flags that open a file for appending.
const APPEND: OFlags = OFlags::WRONLY.union(OFlags::APPEND).union(OFlags::CREATE);

impl Known {
    /// True if the journal is the one that was read, and was read to its end. A file of unchanged
    /// length has unchanged content, unless it was replaced twice meanwhile; then a step that
    /// another process finished runs again.
    fn is_all_of(&self, journal: &Metadata) -> bool {
        let begun = self.read_to > self.id.len() as u64;
        begun && (self.inode, self.read_to) == (journal.ino(), journal.len())
    }

    /// Indexes the key of each line.
    fn index(&mut self, text: Vec<u8>) {
        // Positions are 32 bits wide, and no store is nearly as large.
        let Ok(length) = u32::try_from(text.len()) else { return };
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        let mut start = 0;
        while start < length {
            let rest = &text[start as usize..];
            // The standard library's fast search for the next line.
            let end = (&mut &rest[..]).skip_until(b'\n').unwrap_or(rest.len());
            let line = rest[..end].strip_suffix(b"\n").unwrap_or(&rest[..end]);
            if let Some(key) = key_of(line) {
                let place = LinePosition { text: number, start, end: start + line.len() as u32 };
                self.lines.insert(key, place);
            }
            start += end as u32;
        }
        self.texts.push(text.into());
    }

    fn line(&self, place: LinePosition) -> &[u8] {
        place.of(&self.texts[place.text as usize])
    }
}

impl LinePosition {
    fn of(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..self.end as usize]
    }
}
