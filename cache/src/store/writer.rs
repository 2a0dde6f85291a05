//! The processes that use a store, each with a file of its own that shows that it lives.
//!
//! ```text
//! leases-v1/<host>-<process>-<random>     a counter, a line break, and the owner as JSON
//! ```
//! The process locks the file and counts up every ten seconds. Whether it lives is judged in one of three ways:
//!
//! - **The file is gone**: the process has ended, and took it away.
//! - **The same kernel and the same file system**: the kernel frees the lock of a dead process at once. An advisory
//!   lock is believed nowhere else, because a network file system may keep it on its own host.
//! - **Another host**: a waiting process reads the counter. If it stands still for six counts, measured by the watcher's
//!   own monotonic clock, the process is taken for dead. No two clocks are ever compared.
//!
//! A process that was taken for dead and was not does work that another does too; both get the same bytes.

use super::{
    disk::Disk,
    entry::{Entry, HEARTBEAT_MS, read, text},
    names,
};
use rustix::fs::OFlags;
use std::{
    collections::{HashMap, HashSet},
    fs::{File, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, Once, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The folder of the processes and of what they hold.
pub(super) const LEASES: &str = "leases-v1";
/// The number of missed counts after which a process is taken for dead.
const MISSED_COUNTS: u32 = 6;
/// The time after which every host sees what another one has written. The lease of a finished step stays for so long.
pub(super) const GRACE_PERIOD: Duration = Duration::from_secs(120);

/// A process that uses the store: this one.
pub(super) struct Writer {
    disk: Disk,
    folder: PathBuf,
    pub(super) entry: Entry,
    file: File,
    count: AtomicU64,
    /// The steps that this process holds.
    held: Mutex<HashSet<String>>,
    /// The leases of finished steps that stay for the grace period, with the time at which they were finished.
    finished: Mutex<Vec<(PathBuf, Instant)>>,
    /// The counters of other processes, as this one has seen them.
    watched: Mutex<HashMap<String, Watched>>,
}

/// A counter of another process: its first count, its last one, and when that was first seen.
struct Watched {
    first: u64,
    last: u64,
    since: Instant,
}

/// The liveness of a process, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    /// It lives, or that is not known yet.
    Alive,
    /// It lives on another host, as far as one can say.
    Elsewhere,
    /// It has ended.
    Ended,
}

const NO_PANIC: &str = "no thread panics while it holds what a process knows of others";

impl Writer {
    /// Registers the process: its file shows it to all others.
    pub(super) fn register(disk: &Disk, tmp: &Path) -> io::Result<Arc<Self>> {
        let mut entry = Entry::this(&disk.writer, &disk.root)?;
        let folder = disk.root.join(LEASES);
        let path = folder.join(&entry.writer);
        let file = loop {
            let unnamed = tmp.join(format!("{}-0", entry.writer));
            let file = disk.create(&unnamed)?;
            entry.locked = file.try_lock().is_ok();
            let written = file.write_all_at(&text(0, &entry), 0);
            match written.and_then(|()| disk.rename(&unnamed, &path)) {
                Ok(()) => break file,
                // Another process took it for an orphan.
                Err(error) if error.kind() == io::ErrorKind::NotFound && folder.is_dir() => {}
                Err(error) => {
                    // The next try needs the name.
                    let _ = disk.remove(&unnamed);
                    return Err(error);
                }
            }
        };
        let new = Arc::new(Self {
            disk: disk.clone(),
            folder,
            entry,
            file,
            count: AtomicU64::new(0),
            held: Mutex::default(),
            finished: Mutex::default(),
            watched: Mutex::default(),
        });
        start_heartbeat(&new);
        Ok(new)
    }

    /// The name of this process's file.
    pub(super) fn name(&self) -> &str {
        &self.entry.writer
    }

    /// Creates a lease of this process; false if its name is taken.
    pub(super) fn create_lease(&self, path: &Path) -> io::Result<bool> {
        let own = self.folder.join(self.name());
        let created = match self.disk.link(&own, path) {
            Err(error) if no_links(&error) => {
                self.disk.create(path).and_then(|file| file.write_all_at(&text(0, &self.entry), 0))
            }
            linked => linked,
        };
        match created {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Marks a lease of this process as one of a finished step. Its name is there throughout.
    pub(super) fn mark_done(&self, path: &Path) -> io::Result<()> {
        let entry = Entry { done: true, ..self.entry.clone() };
        self.disk.write_atomic_unsynced(
            path,
            &text(0, &entry),
            &self.disk.root.join(super::TMP),
        )?;
        self.finished.lock().expect(NO_PANIC).push((path.to_owned(), Instant::now()));
        Ok(())
    }

    /// True if there is such a name.
    pub(super) fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }

    /// Removes a name in the folder of leases.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    /// Notes that this process holds a step; false if one of its threads does already.
    pub(super) fn hold(&self, lease: &str) -> bool {
        self.held.lock().expect(NO_PANIC).insert(lease.to_owned())
    }

    /// Releases a step that this process holds.
    pub(super) fn release(&self, lease: &str) {
        self.held.lock().expect(NO_PANIC).remove(lease);
    }

    /// Judges whether a process lives.
    pub(super) fn liveness(&self, writer: &str) -> Liveness {
        if writer == self.name() {
            return Liveness::Alive;
        }
        let opened = self.disk.open(&self.folder.join(writer), OFlags::RDONLY);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Liveness::Ended,
            // A file system that does not answer now says nothing about the process.
            Err(_) => return Liveness::Elsewhere,
        };
        let (count, entry) = match read(&file) {
            Some((count, entry)) => (count, Some(entry)),
            None => (0, None),
        };
        let every = entry.as_ref().map_or(10_000, |entry| entry.every);
        if let Some(entry) = &entry {
            if self.entry.place.follows(&entry.place) {
                return Liveness::Ended;
            }
            if entry.locked && self.entry.place.is_shared_with(&entry.place) {
                match file.try_lock_shared() {
                    Ok(()) => return Liveness::Ended,
                    Err(TryLockError::WouldBlock) => return Liveness::Alive,
                    Err(TryLockError::Error(_)) => {}
                }
            }
        }
        self.watch_counter(writer, count, every)
    }

    /// Judges whether a process of another host lives: its counter still goes up.
    pub(super) fn watch_counter(&self, name: &str, count: u64, every_ms: u64) -> Liveness {
        let mut watched = self.watched.lock().expect(NO_PANIC);
        let new = || Watched { first: count, last: count, since: Instant::now() };
        let seen = watched.entry(name.to_owned()).or_insert_with(new);
        if seen.last != count {
            (seen.last, seen.since) = (count, Instant::now());
        }
        match seen.since.elapsed() > Duration::from_millis(every_ms) * MISSED_COUNTS {
            true => Liveness::Ended,
            false => Liveness::Elsewhere,
        }
    }

    /// True if this process has seen another one count.
    pub(super) fn has_counted(&self, name: &str) -> bool {
        let watched = self.watched.lock().expect(NO_PANIC);
        watched.get(name).is_some_and(|seen| seen.first != seen.last)
    }

    /// Removes what processes that have ended left behind. True if processes of other hosts use the store.
    pub(super) fn sweep(&self, tmp: &Path) -> bool {
        let mut is_shared = false;
        self.disk.sweep(&self.folder, |name| {
            let liveness = names::is_writer(name).then(|| self.liveness(name));
            is_shared |= liveness == Some(Liveness::Elsewhere);
            liveness == Some(Liveness::Ended)
        });
        let mut ended = HashMap::new();
        self.disk.sweep(tmp, |name| match names::writer_of_temporary(name) {
            Some(of) if names::is_writer(of) => {
                *ended.entry(of.to_owned()).or_insert_with(|| self.liveness(of) == Liveness::Ended)
            }
            // Those of earlier versions are locked as long as their process lives.
            Some(_) => {
                let file = self.disk.open(&tmp.join(name), OFlags::RDONLY);
                file.is_ok_and(|file| file.try_lock().is_ok())
            }
            None => false,
        });
        is_shared
    }

    /// Removes the process's own file at its end.
    pub(super) fn unregister(&self) {
        // If this fails, the next process finds its lock free, or its counter standing still.
        let _ = self.disk.remove(&self.folder.join(self.name()));
    }

    fn heartbeat(&self) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        // A server that is away for a moment gets the next count.
        let counted = self.file.write_all_at(format!("{count:020}").as_bytes(), 0);
        let _ = counted.and_then(|()| self.file.sync_data());
        let mut finished = self.finished.lock().expect(NO_PANIC);
        finished.retain(|(path, since)| {
            let stays = since.elapsed() < GRACE_PERIOD;
            if !stays {
                let _ = self.disk.remove(path);
            }
            stays
        });
    }
}

/// True if a file system makes no second names of a file.
fn no_links(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let no =
        [Errno::PERM, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS, Errno::XDEV, Errno::MLINK];
    Errno::from_io_error(error).is_some_and(|error| no.contains(&error))
}

/// Counts up regularly for as long as the process has the store open, which shows that it lives.
fn start_heartbeat(writer: &Arc<Writer>) {
    static ALL: Mutex<Vec<Weak<Writer>>> = Mutex::new(Vec::new());
    static STARTED: Once = Once::new();
    let mut all = ALL.lock().expect(NO_PANIC);
    all.retain(|writer| writer.strong_count() > 0);
    all.push(Arc::downgrade(writer));
    drop(all);
    STARTED.call_once(|| {
        // Without the thread only processes of other hosts may take this one for dead.
        let _ = thread::Builder::new().name("beat".to_owned()).spawn(|| {
            loop {
                thread::sleep(Duration::from_millis(HEARTBEAT_MS.load(Ordering::Relaxed)));
                let all: Vec<_> =
                    ALL.lock().expect(NO_PANIC).iter().filter_map(Weak::upgrade).collect();
                all.iter().for_each(|writer| writer.heartbeat());
            }
        });
    });
}
