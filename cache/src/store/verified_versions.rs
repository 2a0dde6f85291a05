//! The versions of objects that this host has read and found whole, where the journal names other ones: after the store
//! was copied, or where another host sees other times. They stay with the host: if they stood in the journal, two hosts
//! would write one line after the other.
//!
//! ```text
//! seen-v1-<host>     <digest> <size> <inode> <time of modification> <time of change>
//! ```
//! A line that is lost or damaged costs reading its object once more.

use super::{MAX_FILE_BYTES, Store, entry::host_name};
use crate::{Digest, file_version::FileVersion};
use rustix::fs::OFlags;
use std::{
    collections::HashMap,
    io::Write,
    path::PathBuf,
    sync::{OnceLock, RwLock},
};

/// The versions, read when one is first asked for.
#[derive(Default)]
pub(super) struct VerifiedVersions(OnceLock<RwLock<HashMap<Digest, FileVersion>>>);

const NO_PANIC: &str = "no thread panics while it holds the versions";

impl Store {
    fn verified(&self) -> &RwLock<HashMap<Digest, FileVersion>> {
        self.verified.0.get_or_init(|| {
            let text = self.disk.read(&self.verified_path(), MAX_FILE_BYTES).unwrap_or_default();
            RwLock::new(text.split(|byte| *byte == b'\n').filter_map(read_line).collect())
        })
    }

    fn verified_path(&self) -> PathBuf {
        self.root.join(format!("seen-v1-{}", host_name()))
    }

    /// The version of an object that this host last verified.
    pub(super) fn verified_version(&self, digest: &Digest) -> Option<FileVersion> {
        self.verified().read().expect(NO_PANIC).get(digest).copied()
    }

    /// Notes that this host has found an object whole.
    pub(super) fn note_verified(&self, digest: Digest, version: FileVersion) {
        if self.verified().write().expect(NO_PANIC).insert(digest, version) == Some(version) {
            return;
        }
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
        let line = format!("{digest} {version}\n");
        // In a read-only store each process reads the object once more.
        let opened = self.disk.open(&self.verified_path(), flags);
        let _ = opened.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

fn read_line(line: &[u8]) -> Option<(Digest, FileVersion)> {
    let mut fields = line.split(|byte| *byte == b' ');
    Some((Digest::from_hex(fields.next()?)?, FileVersion::read(&mut fields)?))
}
