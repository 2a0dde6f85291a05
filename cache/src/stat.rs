//! What the file system says of a file without reading it.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::Metadata,
    os::unix::fs::MetadataExt,
    time::{SystemTime, UNIX_EPOCH},
};

/// A version of a file: any write leaves another one behind. The time of change cannot be set by
/// hand, unlike the time of modification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// Length in bytes.
    pub size: u64,
    /// Which file it is.
    pub inode: u64,
    /// Nanoseconds since 1970 of the last write.
    pub modified_ns: i64,
    /// Nanoseconds since 1970 of the last change of any kind.
    pub changed_ns: i64,
}

impl Stat {
    /// The version that the file system describes.
    pub fn of(metadata: &Metadata) -> Self {
        let nanoseconds =
            |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            size: metadata.len(),
            inode: metadata.ino(),
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Reads the four numbers as they are written, each a field.
    pub(crate) fn read<'t>(fields: &mut impl Iterator<Item = &'t [u8]>) -> Option<Self> {
        let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse::<i64>().ok();
        Some(Self {
            size: number()?.try_into().ok()?,
            inode: number()?.try_into().ok()?,
            modified_ns: number()?,
            changed_ns: number()?,
        })
    }

    /// Whether a write right after the look could leave the same times behind: clocks of file
    /// systems are coarse.
    pub fn is_fresh(&self) -> bool {
        const COARSE_NS: i64 = 50_000_000;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
        now.saturating_sub(self.changed_ns.max(self.modified_ns)) < COARSE_NS
    }
}

/// Four numbers with spaces between.
impl fmt::Display for Stat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, inode, modified_ns, changed_ns } = self;
        write!(f, "{size} {inode} {modified_ns} {changed_ns}")
    }
}
