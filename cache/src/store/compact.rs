//! The compaction of journals.

use super::{
    Attempt, Finished, Store, StoreError,
    journal::{EARLIER, JOURNALS, Journal, NO_PANIC, STATE},
    line::{fresh_id, parse},
    names,
    writer::Liveness,
};
use crate::Digest;
use rustix::fs::OFlags;

/// The name of the lease for it.
const COMPACTION: &[u8] = b"compaction of the journals";
/// The lock of all processes of an earlier version that write to the journal.
const EARLIER_LOCK: &str = "journal-v1.lock";

impl Store {
    /// Compacts the journals of processes that have ended, and of this one as well if `all`; keeps the steps that `keep`
    /// accepts. False if another process is at it.
    pub(super) fn compact(
        &self,
        all: bool,
        keep: impl Fn(&Finished) -> bool,
    ) -> Result<bool, StoreError> {
        let writer = self.writer().map_err(|error| self.refused("write in", &self.root, error))?;
        let Attempt::Mine(claim) = self.try_claim(&Digest::of(COMPACTION))? else {
            return Ok(false);
        };
        let has_ended = |journal: &str| {
            let of = names::writer_of_journal(journal).unwrap_or_default();
            (all && of == writer.name()) || writer.liveness(of) == Liveness::Ended
        };
        self.journal.compact(has_ended, keep, || claim.holds())?;
        self.sweep_leases(&writer);
        Ok(true)
    }
}

impl Journal {
    /// Writes all steps that `keep` accepts to a new state, and removes the journals whose writers have ended. The
    /// caller holds the lease for it; `may_write` tells if it still does.
    fn compact(
        &self,
        has_ended: impl Fn(&str) -> bool,
        keep: impl Fn(&Finished) -> bool,
        may_write: impl Fn() -> bool,
    ) -> Result<(), StoreError> {
        let path = self.root.join(STATE);
        let error = |error| StoreError::io("write", &path)(error);
        let mut own = self.own.lock().expect(NO_PANIC);
        let mut known = self.known.write().expect(NO_PANIC);
        let lock = self.disk.open(&self.root.join(EARLIER_LOCK), OFlags::RDONLY).ok();
        let is_free = lock.as_ref().is_none_or(|lock| lock.try_lock().is_ok());
        let ended: Vec<String> = self.names()?.into_iter().filter(|name| has_ended(name)).collect();
        *known = self.read_all()?;
        let mut lines: Vec<_> = known.lines.iter().collect();
        lines.sort_unstable_by_key(|(key, _)| **key);
        let mut state = fresh_id();
        for (_, place) in lines {
            if parse(known.line(*place)).is_some_and(|finished: Finished| keep(&finished)) {
                state.extend_from_slice(known.line(*place));
                state.push(b'\n');
            }
        }
        if !may_write() {
            return Ok(());
        }
        self.disk.write_atomic(&path, &state, &self.tmp).map_err(error)?;
        for name in &ended {
            if own.file.as_ref().is_some_and(|(own, _)| own == name) {
                own.start_next_file();
            }
            self.disk.remove(&self.root.join(JOURNALS).join(name)).map_err(error)?;
        }
        let earlier = EARLIER.iter().rev().chain([&EARLIER_LOCK]).filter(|_| is_free);
        for path in earlier.map(|name| self.root.join(name)) {
            if self.disk.exists(&path) {
                self.disk.remove(&path).map_err(error)?;
            }
        }
        *known = self.read_all()?;
        Ok(())
    }
}
