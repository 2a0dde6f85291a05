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
//! What is known is the state, then the journal; of two lines of one key the later counts. `sum` is
//! a checksum of the rest of the line, so that a damaged line costs its own step and no other.
//!
//! Several processes use one journal, each through its lock (`journal-v1.lock`, an advisory lock of
//! the kernel on a file opened anew each time, so that threads exclude each other like processes):
//!
//! - **Append**, lock shared. The lines of all steps that finish together are one write at the end
//!   of the file and one sync. A step is reported finished only after that sync. Each batch begins
//!   with a line break: it closes what a killed process left half.
//! - **Read**, lock shared. A reader remembers the journal's id and how far it has read. If the id is
//!   another one, the journal was started anew: everything is read again.
//! - **Compact**, lock exclusive, and only if it is free. The state is written whole (temporary file,
//!   sync, rename, sync of the folder); after that a new journal with a fresh id takes the place of
//!   the old one in the same way. A process that is killed between the two leaves a journal whose
//!   lines are in the state already: reading them twice changes nothing.
//!
//! Lines are parsed when they are asked for: opening finds only where each key stands.

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
/// Places in a text are 32 bits wide; no store comes near.
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

/// Whether to wait no longer.
type Stop = Box<dyn Fn() -> bool + Send + Sync>;

/// How often a waiting process looks again.
const PATIENCE: Duration = Duration::from_millis(5);

/// What was read so far.
#[derive(Default)]
struct Known {
    texts: Vec<Arc<[u8]>>,
    lines: HashMap<Digest, LinePosition>,
    /// The journal that was read: its file, its first line, and how far.
    inode: u64,
    id: Vec<u8>,
    read_to: u64,
}

/// Where the line of a step is.
#[derive(Clone, Copy)]
struct LinePosition {
    text: u32,
    start: u32,
    end: u32,
}

/// A line without what is known already.
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
    /// Reads what is there.
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
        // Every step asks, and as a rule there is nothing new.
        let known = self.known.read().expect(NO_PANIC);
        if symlink_metadata(self.root.join(JOURNAL)).is_ok_and(|file| known.is_all_of(&file)) {
            return Ok(());
        }
        drop(known);
        // Where there is no lock, or none can be had as in a read-only store, nobody writes.
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

    /// The caller holds the lock.
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
        // A line without its end is still being written, or its writer was killed: not yet read.
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

    /// The same for one who has the key: then what it was made of need not be parsed.
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

    /// Appends a step; returns once it is on the disk.
    pub(super) fn append(&self, finished: &Finished) -> Result<(), StoreError> {
        let line = line(finished);
        let batch = {
            let batch = self.batch.lock().expect(NO_PANIC);
            batch.lines.lock().expect(NO_PANIC).extend_from_slice(&line);
            Arc::clone(&batch)
        };
        // Whoever comes first writes for all who wait here; they find their batch written.
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
        // Only where no other process has written in between.
        if known.is_all_of(&before) && end == length + bytes.len() as u64 {
            known.read_to = end;
        }
        known.index(lines);
        drop(known);
        let state = || symlink_metadata(self.root.join(STATE)).map_or(0, |state| state.len());
        if length > WORTH_COMPACTING && length > state() / 2 {
            // What could not be compacted now is as good as before, and tried again.
            let _ = self.compact(|_| true);
        }
        Ok(())
    }

    /// Writes the state anew from all that is known and `keep`s, and starts the journal anew. False
    /// if another process is at the journal.
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
        // Whoever came first is as good.
        let _ = self.stop.set(stop);
    }

    /// Shares the lock, unless it is said to wait no longer for a process that has it alone.
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

    /// Opens the lock, which is made where there is none.
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
/// How a file is opened that is only added to.
const APPEND: OFlags = OFlags::WRONLY.union(OFlags::APPEND).union(OFlags::CREATE);

impl Known {
    /// Whether the journal is the one that was read, and was read to its end. A file that is as long
    /// as it was holds what it held, unless two others were in its place meanwhile; then a step that
    /// another process has made is made twice.
    fn is_all_of(&self, journal: &Metadata) -> bool {
        let begun = self.read_to > self.id.len() as u64;
        begun && (self.inode, self.read_to) == (journal.ino(), journal.len())
    }

    /// Notes where the key of each line stands.
    fn index(&mut self, text: Vec<u8>) {
        // Places are 32 bits wide; no store comes near.
        let Ok(length) = u32::try_from(text.len()) else { return };
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        let mut start = 0;
        while start < length {
            let rest = &text[start as usize..];
            // The standard library's quick way to the next line.
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
