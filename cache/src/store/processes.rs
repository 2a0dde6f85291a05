//! This process among those that use the store.

use super::{
    NO_PANIC, Store, StoreError, TMP, names,
    writer::{LEASES, Liveness, Writer},
};
use crate::Digest;
use std::{
    io,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

/// The name of the lease for the removal of unused parts.
pub(super) const EXCLUSIVE_LOCK: &[u8] = b"removal of unused parts";

impl Store {
    /// This process among those that use the store.
    pub(super) fn writer(&self) -> io::Result<Arc<Writer>> {
        let mut writer = self.writer.lock().expect(NO_PANIC);
        if let Some(writer) = &*writer {
            return Ok(Arc::clone(writer));
        }
        let new = Writer::register(&self.disk, &self.root.join(TMP))?;
        Ok(Arc::clone(writer.insert(new)))
    }

    /// Declares that processes of other hosts use the store: what is finished then stays visible to them for longer.
    pub fn share(&self) {
        self.shared.store(true, Ordering::Relaxed);
    }

    /// True if processes of other hosts use the store.
    pub fn is_shared(&self) -> bool {
        self.shared.load(Ordering::Relaxed)
    }

    /// The name of this process among those that use the store.
    ///
    /// # Errors
    /// When nothing can be written in the store.
    pub fn name(&self) -> Result<String, StoreError> {
        let writer = self.writer().map_err(|error| self.refused("write in", &self.root, error))?;
        Ok(writer.name().to_owned())
    }

    /// True if the process of this name has ended, as far as this one can tell.
    pub fn has_ended(&self, name: &str) -> bool {
        let writer = self.writer();
        names::is_writer(name)
            && writer.is_ok_and(|writer| writer.liveness(name) == Liveness::Ended)
    }

    /// Tells the other processes that this one has ended.
    pub fn close(&self) {
        *self.removal.lock().expect(NO_PANIC) = None;
        if let Some(writer) = self.writer.lock().expect(NO_PANIC).take() {
            writer.unregister();
        }
    }

    /// Waits while another process removes unused parts.
    pub(super) fn wait_for_exclusive_lock(&self) {
        let lease = self.root.join(LEASES).join(format!("{}.0", Digest::of(EXCLUSIVE_LOCK)));
        while self.disk.exists(&lease)
            && self.claims().iter().any(|(key, _)| *key == Digest::of(EXCLUSIVE_LOCK).to_string())
        {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}
