//! Who is at what: one lock a step, and one that says that the store is in use.
//!
//! A lock is the kernel's, on an open file: it is freed when its owner ends, however it ends, so
//! nobody ever unlocks by hand. The text in the file only says whom to look for.

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

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its process.
    pub pid: u32,
    /// On this machine.
    pub host: String,
    /// Seconds since 1970 at which it took the lock.
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

/// The right to run a step; given up when dropped.
pub struct Claim {
    disk: Disk,
    path: PathBuf,
    // Dropped after the name is gone, so nobody locks a file without a name for long.
    _file: File,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Left behind, it is an unlocked file, which the next process takes over or sweeps.
        let _ = self.disk.remove(&self.path);
    }
}

/// How often a waiting process looks again.
const PATIENCE: Duration = Duration::from_millis(20);

impl Store {
    /// Waits until no other process runs the step of that key, then holds it; `None` if `stop`
    /// becomes true before. `waiting` hears once who holds it, if anybody does.
    ///
    /// # Errors
    /// When the lock file cannot be made.
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
                // Its owner may have removed the name after we opened it: then it guards nothing.
                Ok(()) if !is_named(&file, &path) => continue,
                Ok(()) => {
                    // Who holds it is for messages only, so a full disk does not stop the step.
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

    /// Who runs steps now, in this process or another.
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
    // More than any owner says.
    const LONGEST: u64 = 1 << 16;
    let mut text = Vec::new();
    file.rewind().ok()?;
    file.take(LONGEST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Says as long as it lives that a process uses the store; refused where the store is read-only.
pub(super) fn in_use(disk: &Disk, path: &Path) -> io::Result<File> {
    let file = disk.open(path, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE)?;
    // Waits only while another process removes what nobody needs.
    file.lock_shared()?;
    Ok(file)
}
