//! The content of the file of a process: a counter, and who the process is.

use super::names;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A file that is longer is none of ours.
const MAX_ENTRY_BYTES: u64 = 1 << 16;
/// The digits of the counter: its length never changes, so that readers need not know a new one.
const DIGITS: usize = 20;
const NO_PANIC: &str = "no thread panics while it names its job";

pub(super) static HEARTBEAT_MS: AtomicU64 = AtomicU64::new(10_000);
static JOB: Mutex<Option<String>> = Mutex::new(None);

/// Sets the job of a scheduler that this process belongs to, and how often it shows that it lives (ten seconds if
/// never called). It counts for stores that are opened afterwards.
pub fn set_job(job: Option<String>, beat: Duration) {
    let milliseconds = u64::try_from(beat.as_millis()).unwrap_or(u64::MAX);
    HEARTBEAT_MS.store(milliseconds.max(10), Ordering::Relaxed);
    *JOB.lock().expect(NO_PANIC) = job;
}

/// The owner of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The process number.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// The time at which the process opened the store, in seconds since 1970.
    pub since: u64,
    /// The job of a scheduler that the process belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host)?;
        self.job.iter().try_for_each(|job| write!(f, " (job {job})"))
    }
}

/// The text of a file: of a process, or of a step that it holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The name of the process's file.
    pub(super) writer: String,
    #[serde(flatten)]
    pub(super) owner: Owner,
    pub(super) place: LockDomain,
    /// Milliseconds between two counts.
    pub(super) every: u64,
    /// True if the process could lock its file.
    pub(super) locked: bool,
    /// True for a step that is finished.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) done: bool,
}

impl Entry {
    /// This process, under the name of its file.
    pub(super) fn this(writer: &str, root: &Path) -> io::Result<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let job = JOB.lock().expect(NO_PANIC).clone();
        let owner = Owner { pid: std::process::id(), host: host().to_owned(), since, job };
        let (every, place) = (HEARTBEAT_MS.load(Ordering::Relaxed), LockDomain::of(root)?);
        Ok(Self { writer: writer.to_owned(), owner, place, every, locked: true, done: false })
    }
}

/// The scope of a lock of the kernel: processes of one kernel that see the store through one file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LockDomain {
    boot: String,
    machine: String,
    device: u64,
}

impl LockDomain {
    fn of(root: &Path) -> io::Result<Self> {
        let read = |path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let machine = read("/etc/machine-id");
        let machine = if machine.is_empty() { machine } else { format!("{machine} {}", host()) };
        let boot = read("/proc/sys/kernel/random/boot_id");
        Ok(Self { boot, machine, device: fs::metadata(root)?.dev() })
    }

    pub(super) fn is_shared_with(&self, other: &Self) -> bool {
        !self.boot.is_empty() && (&self.boot, self.device) == (&other.boot, other.device)
    }

    /// True if the other kernel ran on this machine before it was started anew.
    pub(super) fn follows(&self, other: &Self) -> bool {
        !self.machine.is_empty() && self.machine == other.machine && self.boot != other.boot
    }
}

fn host() -> &'static str {
    static HOST: LazyLock<String> = LazyLock::new(|| {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = if host.trim().is_empty() { "this machine" } else { host.trim() };
        host.to_owned()
    });
    &HOST
}

/// A name that no other process has.
pub(super) fn fresh_name() -> String {
    let own = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    let host: String = host().chars().take(32).map(own).collect();
    let random = RandomState::new().hash_one((std::process::id(), SystemTime::now()));
    format!("{host}-{}-{random:016x}", std::process::id())
}

/// This host's name as a part of a file's name.
pub fn host_name() -> String {
    host().chars().take(64).map(|it| if it.is_ascii_alphanumeric() { it } else { '_' }).collect()
}

pub(super) fn text(count: u64, entry: &Entry) -> Vec<u8> {
    let entry = serde_json::to_string(entry).expect("an owner always serialises");
    format!("{count:020}\n{entry}\n").into_bytes()
}

/// The counter and the text of a file.
pub(super) fn read(file: &File) -> Option<(u64, Entry)> {
    let mut text = vec![0; MAX_ENTRY_BYTES as usize];
    let length = file.read_at(&mut text, 0).ok()?;
    parse(&text[..length])
}

/// The counter and the entry in a text.
pub(super) fn parse(text: &[u8]) -> Option<(u64, Entry)> {
    let (count, entry) = text.split_at_checked(DIGITS)?;
    let count = std::str::from_utf8(count).ok()?.parse().ok()?;
    let entry: Entry = serde_json::from_slice(entry).ok()?;
    names::is_writer(&entry.writer).then_some((count, entry))
}
