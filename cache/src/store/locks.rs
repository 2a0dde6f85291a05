//! Locks between processes: one for each step, and one that marks the store as in use.
//!
//! A lock is an advisory lock of the kernel on an open file. The kernel frees it when its owner
//! ends, however it ends, so no lock is ever freed by hand. The text in the file names the owner
//! for messages.

use super::{
    Store, StoreError,
    disk::{Disk, is_named},
};
use crate::Digest;
use rustix::fs::{FileType, OFlags};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    sync::LazyLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The owner of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The process number.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// The time at which it took the lock, in seconds since 1970.
    pub since: u64,
}

impl Owner {
    fn this() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        static HOST: LazyLock<String> = LazyLock::new(|| {
            let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            let host = if host.trim().is_empty() { "this machine" } else { host.trim() };
            host.to_owned()
        });
        Self { pid: std::process::id(), host: HOST.clone(), since }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host)
    }
}

/// The right to run a step, which ends when it is dropped.
pub struct Claim {
    disk: Disk,
    path: PathBuf,
    // Dropped after the file is removed, so that the lock on a removed file is short.
    _file: File,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // If this fails, the unlocked file is reused or removed by the next process.
        let _ = self.disk.remove(&self.path);
    }
}

/// The time between two attempts to take the lock.
const PATIENCE: Duration = Duration::from_millis(20);

impl Store {
    /// Waits until no other process runs the step of that key, then takes its lock; `None` if
    /// `stop` becomes true before. `waiting` is called once with the owner, if another process
    /// holds the lock.
    ///
    /// # Errors
    /// When the lock file cannot be created.
    pub fn claim(
        &self,
        key: &Digest,
        waiting: impl FnOnce(Option<Owner>),
        stop: impl Fn() -> bool,
    ) -> Result<Option<Claim>, StoreError> {
        let path = self.root().join(super::LOCKS).join(key.to_string());
        let io = |fault| self.refused("lock", &path, fault);
        let mut waiting = Some(waiting);
        loop {
            let opened = self.disk.open(&path, OFlags::RDWR | OFlags::CREATE);
            let mut file = opened.map_err(io)?;
            match file.try_lock() {
                // The owner may have removed the file after it was opened here, which makes the
                // lock void.
                Ok(()) if !is_named(&file, &path) => continue,
                Ok(()) => {
                    // The owner is only for messages, so a full disk does not stop the step.
                    let _ = sign(&mut file);
                    return Ok(Some(Claim { disk: self.disk.clone(), path, _file: file }));
                }
                Err(TryLockError::WouldBlock) => {
                    if let Some(waiting) = waiting.take() {
                        waiting(read_owner(&mut file));
                    }
                    if stop() {
                        return Ok(None);
                    }
                    std::thread::sleep(PATIENCE);
                }
                Err(TryLockError::Error(fault)) => return Err(io(fault)),
            }
        }
    }

    /// The steps that run now, in any process: key and owner.
    pub fn claims(&self) -> Vec<(String, Option<Owner>)> {
        let folder = self.root().join(super::LOCKS);
        let entries = self.disk.list(&folder).unwrap_or_default();
        let files = entries.into_iter().filter(|(_, sort)| *sort == FileType::RegularFile);
        let held = files.filter_map(|(name, _)| {
            let mut file = self.disk.open(&folder.join(&name), OFlags::RDONLY).ok()?;
            let held = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
            held.then(|| (name.to_string_lossy().into_owned(), read_owner(&mut file)))
        });
        held.collect()
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(&Owner::this())?)
}

fn read_owner(file: &mut File) -> Option<Owner> {
    // Longer than the text of any owner.
    const LONGEST: u64 = 1 << 16;
    let mut text = Vec::new();
    file.rewind().ok()?;
    file.take(LONGEST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Marks the store as in use until the file is closed; fails if the store is read-only.
pub(super) fn in_use(disk: &Disk, path: &Path) -> io::Result<File> {
    let file = disk.open(path, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE)?;
    // This waits only while another process removes unused parts.
    file.lock_shared()?;
    Ok(file)
}
