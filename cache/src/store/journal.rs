//! The journal of finished steps: a file a writer, and their compacted form.
//!
//! ```text
//! journal-v2/<writer>.jsonl   {"sum":"…","key":"…","at":7,…}     appended when a step is finished
//! state-v2.jsonl              {"state":"<id>"}                    a fresh id each time
//!                             {"sum":"…","key":"…","at":7,…}     the newest line of each key, sorted by key
//! ```
//! The known steps are those of the state and of all journals; of two lines with one key the one with the larger `at`
//! counts. `sum` is a checksum of the rest of the line, so that a damaged line costs only its own step. Stores can be
//! merged by copying files.
//!
//! - **Append.** Only its owner writes to a journal, and needs no lock for it. The lines of all steps that finish
//!   together are one write and one sync, and a step is reported finished only after that. Each batch begins with a
//!   line break, which ends a line left incomplete.
//! - **Read.** A reader lists the folder, opens each journal anew and reads what is new at its end: only what is opened
//!   anew is sure to be fresh on a network file system. Journals of other hosts are read for a while after their writers
//!   have ended, where even that is late. Then it reads the first line of the state. If that is another
//!   one, or a journal is gone, everything is read again.
//! - **Compact**, under a lease, and only journals of processes that have ended. The state is written whole (temporary
//!   file, sync, rename, sync of the folder); then the journals go. A process that is killed between the two leaves
//!   journals whose lines are in the state already; reading them twice has no effect.
//!
//! Stores of earlier versions have one journal for all (`journal-v1.jsonl`, `state-v1.jsonl`), which is read first and
//! goes with the first compaction. Lines are parsed when they are asked for: opening only indexes their keys.

use super::{
    Finished, Object, StoreError, Times,
    disk::Disk,
    known::{JournalText, Known, LinePosition, ReadPosition},
    line::{ID_BYTES, line, parse},
    names,
    writer::{GRACE_PERIOD, LEASES},
};
use crate::{Digest, regular};
use rustix::fs::{FileType, OFlags};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs::{File, symlink_metadata},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// The folder of journals.
pub(super) const JOURNALS: &str = "journal-v2";
pub(super) const STATE: &str = "state-v2.jsonl";
/// The files of stores of earlier versions, in the order in which they are read.
pub(super) const EARLIER: [&str; 2] = ["state-v1.jsonl", "journal-v1.jsonl"];
/// The largest length in bytes: positions are 32 bits wide, and no store is nearly as large.
const MAX_JOURNAL_BYTES: u64 = u32::MAX as u64;
/// Journals longer than this, and than half the state, are compacted.
const WORTH_COMPACTING: u64 = 1 << 20;
/// More journals than this are compacted, however short they are.
const MAX_JOURNALS: usize = 16;

/// The finished steps of a store.
pub(super) struct Journal {
    pub(super) root: PathBuf,
    pub(super) tmp: PathBuf,
    pub(super) disk: Disk,
    pub(super) known: RwLock<Known>,
    batch: Mutex<Arc<Batch>>,
    pub(super) own: Mutex<OwnJournal>,
    /// True if the journals that were there when the store was opened are worth compacting.
    is_long: AtomicBool,
}

/// The journal of this process.
#[derive(Default)]
pub(super) struct OwnJournal {
    pub(super) file: Option<(String, File)>,
    /// True once its name is on the disk.
    is_named: bool,
    /// The number that this process has begun.
    begun: usize,
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

pub(super) const NO_PANIC: &str = "no thread panics while it holds the journal";

impl Journal {
    /// Reads all journals and their compacted form.
    pub(super) fn open(root: &Path, tmp: &Path, disk: &Disk) -> Result<Self, StoreError> {
        let journal = Self {
            root: root.to_owned(),
            tmp: tmp.to_owned(),
            disk: disk.clone(),
            known: RwLock::default(),
            batch: Mutex::default(),
            own: Mutex::default(),
            is_long: AtomicBool::new(false),
        };
        // A look at what is new would pass over the journals of earlier versions.
        *journal.known.write().expect(NO_PANIC) = journal.read_all()?;
        journal.is_long.store(journal.is_worth_compacting(), Ordering::Relaxed);
        Ok(journal)
    }

    /// Reads what other processes have appended.
    pub(super) fn refresh(&self) -> Result<(), StoreError> {
        // Every step calls this, and as a rule there is little new.
        let known = self.known.read().expect(NO_PANIC);
        let news = self.news(&known)?;
        if let Some(news) = &news
            && news.is_empty()
        {
            return Ok(());
        }
        drop(known);
        let mut known = self.known.write().expect(NO_PANIC);
        // Another thread may have read the same meanwhile; a line that is read twice counts once.
        match news {
            Some(news) => known.append(news),
            None => *known = self.read_all()?,
        }
        Ok(())
    }

    /// The lines that other processes have appended; none if everything must be read again.
    fn news(&self, known: &Known) -> Result<Option<Vec<JournalText>>, StoreError> {
        let names = self.names()?;
        let mut news = Vec::new();
        for name in &names {
            let from = known.journals.get(name).copied().unwrap_or_default();
            if from.is_all || self.is_own(name) {
                continue;
            }
            match self.read_from(name, from)? {
                Some(new)
                    if new.text.is_empty()
                        && new.read.is_all == from.is_all
                        && new.read.ended.is_some() == from.ended.is_some() => {}
                Some(new) => news.push(new),
                None => return Ok(None),
            }
        }
        let is_there = |name: &String| names.contains(name) || self.is_own(name);
        if !known.journals.keys().all(is_there) {
            return Ok(None);
        }
        // The state comes last: it has the lines of all journals that were gone by now.
        let head = self.head().map_err(StoreError::io("read", &self.root.join(STATE)))?;
        Ok((head == known.state).then_some(news))
    }

    /// The names of all journals.
    pub(super) fn names(&self) -> Result<Vec<String>, StoreError> {
        let folder = self.root.join(JOURNALS);
        let listed = match self.disk.list(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            listed => listed.map_err(StoreError::io("read", &folder))?,
        };
        let files = listed.into_iter().filter(|(_, sort)| *sort == FileType::RegularFile);
        let names = files.filter_map(|(name, _)| name.into_string().ok());
        Ok(names.filter(|name| names::writer_of_journal(name).is_some()).collect())
    }

    fn is_own(&self, name: &str) -> bool {
        names::writer_of_journal(name) == Some(&self.disk.writer)
    }

    /// The whole lines of a journal behind those that were read; none if it is gone.
    fn read_from(&self, name: &str, from: ReadPosition) -> Result<Option<JournalText>, StoreError> {
        let path = self.root.join(JOURNALS).join(name);
        let error = |error| StoreError::io("read", &path)(error);
        // This is looked at first: what the writer wrote before it ended is read then.
        let writer = names::writer_of_journal(name).unwrap_or_default();
        let is_gone = !self.disk.exists(&self.root.join(LEASES).join(writer));
        let ended = is_gone.then(|| from.ended.unwrap_or_else(Instant::now));
        // The length of a file that another host has written may be seen later than that its writer has ended.
        let is_here = names::host_of(writer) == names::host_of(&self.disk.writer);
        let is_all = ended.is_some_and(|since| is_here || since.elapsed() >= GRACE_PERIOD);
        let mut file = match self.disk.open(&path, OFlags::RDONLY) {
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(error)?,
        };
        file.seek(SeekFrom::Start(from.length)).map_err(error)?;
        let mut text = Vec::new();
        let stated = file.metadata().map_err(error)?.len().saturating_sub(from.length);
        // Reading goes on behind this length, which another host may see too late.
        let _ = text.try_reserve_exact(stated.min(MAX_JOURNAL_BYTES) as usize);
        file.take(MAX_JOURNAL_BYTES).read_to_end(&mut text).map_err(error)?;
        // A line without its end is still being written, or its writer was killed, so it is not
        // read yet.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        text.truncate(whole);
        let read = ReadPosition { length: from.length + whole as u64, ended, is_all };
        Ok(Some(JournalText { name: name.to_owned(), text, read }))
    }

    /// The first line of the state; nothing if there is no state.
    fn head(&self) -> io::Result<Vec<u8>> {
        let file = match self.disk.open(&self.root.join(STATE), OFlags::RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        let mut head = Vec::new();
        file.take(ID_BYTES as u64).read_to_end(&mut head)?;
        Ok(head)
    }

    /// Reads everything.
    pub(super) fn read_all(&self) -> Result<Known, StoreError> {
        loop {
            let mut known = Known::default();
            for name in EARLIER {
                known.index(self.read_whole(&self.root.join(name))?);
            }
            let state = self.read_whole(&self.root.join(STATE))?;
            known.state = state[..state.len().min(ID_BYTES)].to_vec();
            known.index(state);
            let mut is_whole = true;
            for name in self.names()? {
                match self.read_from(&name, ReadPosition::default())? {
                    Some(new) => known.append(vec![new]),
                    None => is_whole = false,
                }
            }
            // Another process may have compacted meanwhile.
            let path = self.root.join(STATE);
            if is_whole && self.head().map_err(StoreError::io("read", &path))? == known.state {
                return Ok(known);
            }
        }
    }

    /// Reads the journal of a process, whose name one may know before a list of the folder has it.
    pub(super) fn read_of(&self, writer: &str) -> io::Result<()> {
        let name = format!("{writer}.jsonl");
        let mut known = self.known.write().expect(NO_PANIC);
        let from = known.journals.get(&name).copied().unwrap_or_default();
        let read =
            self.read_from(&name, from).map_err(|error| io::Error::other(error.to_string()))?;
        // A journal that is gone was compacted.
        read.into_iter().for_each(|new| known.append(vec![new]));
        Ok(())
    }

    /// The finished step of that key.
    pub(super) fn get(&self, key: &Digest) -> Option<Finished> {
        let (text, place) = self.place(key)?;
        parse(place.of(&text)).filter(|finished: &Finished| finished.key == *key)
    }

    /// The finished step of a key that the caller has, so that the cache key in the line is not
    /// parsed.
    pub(super) fn finished_step(&self, key: &Digest) -> Option<FinishedStep> {
        let (text, place) = self.place(key)?;
        parse(place.of(&text)).filter(|made: &FinishedStep| made.key == *key)
    }

    /// True if a line of that key was read.
    pub(super) fn has(&self, key: &Digest) -> bool {
        self.known.read().expect(NO_PANIC).lines.contains_key(key)
    }

    fn place(&self, key: &Digest) -> Option<(Arc<Vec<u8>>, LinePosition)> {
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
        let line = line(finished, self.known.read().expect(NO_PANIC).newest + 1);
        let batch = {
            let batch = self.batch.lock().expect(NO_PANIC);
            batch.lines.lock().expect(NO_PANIC).extend_from_slice(&line);
            Arc::clone(&batch)
        };
        // The first thread to come writes the batch of all that wait; they find it written.
        let mut own = self.own.lock().expect(NO_PANIC);
        let result = batch.written.get_or_init(|| {
            let closed = std::mem::take(&mut *self.batch.lock().expect(NO_PANIC));
            let lines = std::mem::take(&mut *closed.lines.lock().expect(NO_PANIC));
            self.write(&mut own, lines).map_err(|error| (error.kind(), error.to_string()))
        });
        let path = self.root.join(JOURNALS).join(own.name(&self.disk.writer));
        drop(own);
        let io = StoreError::io("write", &path);
        result.clone().map_err(|(kind, reason)| io(io::Error::new(kind, reason)))
    }

    fn write(&self, own: &mut OwnJournal, lines: Vec<u8>) -> io::Result<()> {
        let folder = self.root.join(JOURNALS);
        loop {
            let is_new = own.file.is_none();
            if is_new {
                let name = own.name(&self.disk.writer);
                let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE;
                own.file = Some((name.clone(), self.disk.open(&folder.join(&name), flags)?));
            }
            let (name, file) = own.file.as_mut().expect("it was opened just now");
            let path = folder.join(&*name);
            let bytes = if is_new { lines.clone() } else { [b"\n", &lines[..]].concat() };
            let written = self.disk.write(file, &path, &bytes);
            let synced = written.and_then(|()| self.disk.sync(file, &path));
            let links = synced.and_then(|()| file.metadata()).map(|it| it.nlink());
            if is_removed(&links) {
                // Another host took this process for dead and has compacted its journal.
                own.start_next_file();
                continue;
            }
            links?;
            if !own.is_named {
                self.disk.sync_dir(&folder)?;
                own.is_named = true;
            }
            self.known.write().expect(NO_PANIC).index(lines);
            return Ok(());
        }
    }

    /// True once, if what others have left is worth compacting.
    pub(super) fn take_compaction_due(&self) -> bool {
        self.is_long.swap(false, Ordering::Relaxed)
    }

    fn is_worth_compacting(&self) -> bool {
        let length = |path: PathBuf| symlink_metadata(path).map_or(0, |file| file.len());
        let known = self.known.read().expect(NO_PANIC);
        let ended = || known.journals.values().filter(|journal| journal.ended.is_some());
        let bytes: u64 = ended().map(|journal| journal.length).sum();
        let earlier: u64 = EARLIER.iter().map(|name| length(self.root.join(name))).sum();
        let bytes = bytes + earlier;
        let state = length(self.root.join(STATE));
        ended().count() > MAX_JOURNALS || (bytes > WORTH_COMPACTING && bytes > state / 2)
    }

    /// The length of all journals and of their compacted form.
    pub(super) fn bytes(&self) -> u64 {
        let length = |path| symlink_metadata(path).map_or(0, |file| file.len());
        let names = self.names().unwrap_or_default();
        let journals: u64 =
            names.iter().map(|name| length(self.root.join(JOURNALS).join(name))).sum();
        let others = EARLIER.iter().chain([&STATE]).map(|name| length(self.root.join(name)));
        journals + others.sum::<u64>()
    }

    fn read_whole(&self, path: &Path) -> Result<Vec<u8>, StoreError> {
        match self.disk.open(path, OFlags::RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            opened => opened
                .and_then(|file| regular::read_all(file, MAX_JOURNAL_BYTES))
                .map_err(StoreError::io("read", path)),
        }
    }
}

/// True for what the system says of an open file that another host has removed.
fn is_removed(links: &io::Result<u64>) -> bool {
    match links {
        Ok(links) => *links == 0,
        Err(error) => rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::STALE),
    }
}

impl OwnJournal {
    /// The name of the journal that is written.
    fn name(&self, writer: &str) -> String {
        match self.begun {
            0 => format!("{writer}.jsonl"),
            number => format!("{writer}.{number}.jsonl"),
        }
    }

    pub(super) fn start_next_file(&mut self) {
        *self = Self { begun: self.begun + 1, ..Self::default() };
    }
}
