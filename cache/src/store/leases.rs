//! Leases: who runs which step, on this machine and on others.
//!
//! ```text
//! leases-v1/<key>.<generation>     a second name of the file of the process that runs the step
//! ```
//! A lease is a new name of the owner's own file ([`writer`](super::writer)), made in one call that fails if the name
//! is taken. All file systems keep that promise, network file systems too, and no moment exists at which the name is
//! there and the owner is not. Where a file has only one name, a copy takes its place.
//!
//! The lease of a dead process stays; the next process makes the name of the next generation. A name goes away with
//! the end of the work, the highest generation first. Two processes that come at that moment see each other, because
//! each looks at the names beside its own once it has made it.
//!
//! If several hosts share the store, the name of a finished step stays for two minutes, marked as done: a host may
//! list the journals of others late, but it sees a taken name at once, and opens the journal that the name tells.

use super::{
    Store, StoreError,
    entry::{self, Owner},
    names,
    writer::{LEASES, Liveness, Writer},
};
use crate::Digest;
use rustix::fs::{FileType, OFlags};
use std::{fs::File, io, path::PathBuf, sync::Arc, thread, time::Duration};

/// The right to run a step, which ends when it is dropped.
pub struct Claim {
    writer: Arc<Writer>,
    key: String,
    path: PathBuf,
    /// Leases of dead processes that this one follows, the lowest generation first.
    below: Vec<PathBuf>,
    shared: bool,
}

impl Claim {
    /// True unless another process has taken this one for dead and holds the lease now.
    pub(super) fn holds(&self) -> bool {
        let Some((key, generation)) = self.path.to_str().and_then(|path| path.rsplit_once('.'))
        else {
            return true;
        };
        let next = generation.parse::<u64>().map_or(0, |generation| generation + 1);
        !self.writer.exists(&PathBuf::from(format!("{key}.{next}")))
    }

    /// Gives the right back, with the result in the journal.
    pub fn finish(self) {
        // An unmarked name that stays says less and does no harm.
        if self.shared && self.writer.mark_done(&self.path).is_ok() {
            self.writer.release(&self.key);
            std::mem::forget(self);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.writer.release(&self.key);
        // If this fails, others find a lease whose owner has ended.
        let _ = self.writer.remove(&self.path);
        if !self.shared {
            self.below.iter().rev().for_each(|path| _ = self.writer.remove(path));
        }
    }
}

/// The outcome of an attempt to take the right to run a step.
pub enum Attempt {
    /// This process may run it.
    Mine(Claim),
    /// Another process runs it.
    Taken(Option<Owner>),
}

impl Attempt {
    /// The right to run the step, if this process has it.
    pub fn mine(self) -> Option<Claim> {
        match self {
            Self::Mine(claim) => Some(claim),
            Self::Taken(_) => None,
        }
    }
}

/// The shortest and the longest time between two attempts to take a lease.
const MIN_WAIT: Duration = Duration::from_millis(20);
const MAX_WAIT: Duration = Duration::from_secs(1);

impl Store {
    /// Waits until no other process runs the step of that key, then takes its lease; `None` if `stop` becomes true
    /// before. `waiting` is called once with the owner, if another process runs it.
    ///
    /// # Errors
    /// When the lease cannot be made.
    pub fn claim(
        &self,
        key: &Digest,
        waiting: impl FnOnce(Option<Owner>),
        stop: impl Fn() -> bool,
    ) -> Result<Option<Claim>, StoreError> {
        let (mut waiting, mut wait) = (Some(waiting), MIN_WAIT);
        loop {
            match self.try_claim(key)? {
                Attempt::Mine(claim) => return Ok(Some(claim)),
                Attempt::Taken(owner) => {
                    if let Some(waiting) = waiting.take() {
                        waiting(owner);
                    }
                    if stop() {
                        return Ok(None);
                    }
                    thread::sleep(wait);
                    // A server is polled less and less often; this machine answers at once.
                    if self.is_shared() {
                        wait = (wait * 2).min(MAX_WAIT);
                    }
                }
            }
        }
    }

    /// Takes the lease of a step, unless another process that lives has it.
    ///
    /// # Errors
    /// When the lease cannot be made.
    pub fn try_claim(&self, key: &Digest) -> Result<Attempt, StoreError> {
        let key = key.to_string();
        let first = self.root().join(LEASES).join(&key);
        let writer = self.writer().map_err(|error| self.refused("lock", &first, error))?;
        if !writer.hold(&key) {
            return Ok(Attempt::Taken(Some(writer.entry.owner.clone())));
        }
        let attempt = self.attempt(&writer, &key);
        if !matches!(attempt, Ok(Attempt::Mine(_))) {
            writer.release(&key);
        }
        attempt.map_err(|error| self.refused("lock", &first, error))
    }

    fn attempt(&self, writer: &Arc<Writer>, key: &str) -> io::Result<Attempt> {
        let folder = self.root().join(LEASES);
        let at = |generation: usize| folder.join(format!("{key}.{generation}"));
        'restart: loop {
            let (mut below, mut generation) = (Vec::<PathBuf>::new(), 0);
            loop {
                let path = at(generation);
                if writer.create_lease(&path)? {
                    let above = self.disk().exists(&at(generation + 1));
                    if above || !below.iter().all(|path| self.disk().exists(path)) {
                        let _ = writer.remove(&path);
                        thread::sleep(Duration::from_millis(1 + u64::from(std::process::id() % 7)));
                        continue 'restart;
                    }
                    let (writer, key) = (Arc::clone(writer), key.to_owned());
                    let shared = self.is_shared();
                    return Ok(Attempt::Mine(Claim { writer, key, path, below, shared }));
                }
                match self.lease_state(writer, &path)? {
                    LeaseState::Gone => continue 'restart,
                    LeaseState::Held(owner) => return Ok(Attempt::Taken(owner)),
                    LeaseState::Free(owner) => {
                        // Its result may be in a journal that this host does not list yet.
                        owner.iter().try_for_each(|name| self.journal.read_of(name))?;
                        below.push(path);
                        generation += 1;
                    }
                }
            }
        }
    }

    /// The state of a lease.
    fn lease_state(&self, writer: &Writer, path: &std::path::Path) -> io::Result<LeaseState> {
        let file = match self.disk().open(path, OFlags::RDONLY) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LeaseState::Gone),
            Err(error) => return Err(error),
        };
        let Some((_, entry)) = entry::read(&file) else {
            // Where a file has only one name, its text comes a moment later.
            const LONGER_MS: u64 = 10_000;
            let liveness = writer.watch_counter(&path.to_string_lossy(), 0, LONGER_MS);
            return Ok(if liveness == Liveness::Ended {
                LeaseState::Free(None)
            } else {
                LeaseState::Held(None)
            });
        };
        let is_own = entry.writer == writer.name();
        Ok(match entry.done || is_own || writer.liveness(&entry.writer) == Liveness::Ended {
            // An own name that no thread holds is one that could not be removed.
            true => LeaseState::Free((!is_own).then_some(entry.writer)),
            false => LeaseState::Held(Some(entry.owner)),
        })
    }

    /// True if a process that lives runs the step of that key.
    pub fn is_held(&self, key: &Digest) -> bool {
        let Ok(writer) = self.writer() else { return false };
        for generation in 0.. {
            let path = self.root().join(LEASES).join(format!("{key}.{generation}"));
            match self.lease_state(&writer, &path) {
                Ok(LeaseState::Gone) | Err(_) => break,
                Ok(LeaseState::Held(_)) => return true,
                Ok(LeaseState::Free(_)) => {}
            }
        }
        false
    }

    /// The steps that run now, in any process: key and owner.
    pub fn claims(&self) -> Vec<(String, Option<Owner>)> {
        let Ok(writer) = self.writer() else { return Vec::new() };
        let held = self.leases().into_iter().filter_map(|(path, key)| {
            let file: File = self.disk().open(&path, OFlags::RDONLY).ok()?;
            let (_, entry) = entry::read(&file)?;
            let lives = !entry.done && writer.liveness(&entry.writer) != Liveness::Ended;
            lives.then(|| (key.to_string(), Some(entry.owner)))
        });
        held.collect()
    }

    /// The names of leases, with the keys of their steps.
    fn leases(&self) -> Vec<(PathBuf, Digest)> {
        let folder = self.root().join(LEASES);
        let entries = self.disk().list(&folder).unwrap_or_default();
        let files = entries.into_iter().filter(|(_, sort)| *sort == FileType::RegularFile);
        files.filter_map(|(name, _)| Some((folder.join(&name), names::lease(&name)?))).collect()
    }

    /// Removes the leases of processes that have ended.
    pub(super) fn sweep_leases(&self, writer: &Writer) {
        let mut leases = self.leases();
        // The highest generation goes first.
        leases
            .sort_by(|(a, _), (b, _)| b.as_os_str().len().cmp(&a.as_os_str().len()).then(b.cmp(a)));
        for (path, _) in leases {
            let file = self.disk().open(&path, OFlags::RDONLY).ok();
            let entry = file.and_then(|file| Some(entry::read(&file)?.1));
            if entry.is_some_and(|entry| writer.liveness(&entry.writer) == Liveness::Ended) {
                let _ = writer.remove(&path);
            }
        }
    }
}

/// The state of a lease.
enum LeaseState {
    /// The name is no longer there.
    Gone,
    /// A process that lives holds it.
    Held(Option<Owner>),
    /// Nobody holds it: the step is done, or its owner has ended, whose file has that name.
    Free(Option<String>),
}
