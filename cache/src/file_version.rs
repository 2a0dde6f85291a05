//! Versions of files: the metadata of a file that tells whether it has changed, without reading it.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::Metadata,
    os::unix::fs::MetadataExt,
    time::{SystemTime, UNIX_EPOCH},
};

/// A version of a file: every write changes it. Unlike the time of modification, the time of change
/// cannot be set by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileVersion {
    /// Length in bytes.
    pub size: u64,
    /// The inode number; 0 where hosts may give the same file other numbers.
    #[serde(default, skip_serializing_if = "is_absent")]
    pub inode: u64,
    /// Nanoseconds since 1970 of the last write.
    pub modified_ns: i64,
    /// Nanoseconds since 1970 of the last change of any kind.
    pub changed_ns: i64,
}

impl FileVersion {
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

    /// The same version as any host sees it that shares the file: without the inode, which is a number of the host.
    #[must_use]
    pub fn on_any_host(self) -> Self {
        Self { inode: 0, ..self }
    }

    /// Parses the four numbers, each a field of text.
    pub(crate) fn read<'t>(fields: &mut impl Iterator<Item = &'t [u8]>) -> Option<Self> {
        let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse::<i64>().ok();
        Some(Self {
            size: number()?.try_into().ok()?,
            inode: number()?.try_into().ok()?,
            modified_ns: number()?,
            changed_ns: number()?,
        })
    }

    /// True if every write after `looked`, the moment before the file was opened, changes the
    /// version: git's rule for racily clean entries. File systems have coarse clocks, so a later
    /// write of the same length may have the same version if the times are not clearly before
    /// `looked`. A write that changes no time, such as one through a memory map opened before, is
    /// not detected.
    pub fn is_settled(&self, looked: SystemTime) -> bool {
        let looked = looked.duration_since(UNIX_EPOCH);
        let looked = looked.map_or(0, |age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
        [self.modified_ns, self.changed_ns]
            .iter()
            .all(|time| looked.saturating_sub(*time) >= grain(*time))
    }

    /// True if a time of this version may come from a clock of whole seconds.
    pub(crate) fn is_coarse(&self) -> bool {
        [self.modified_ns, self.changed_ns].iter().any(|time| grain(*time) > TICK_NS)
    }
}

/// True without an inode number; serde's `skip_serializing_if` passes a reference.
fn is_absent(inode: &u64) -> bool {
    *inode == 0
}

/// The longest tick of a kernel's clock, in nanoseconds, with a margin.
const TICK_NS: i64 = 50_000_000;

/// The nanoseconds by which two writes must be apart to have different times. Times of whole
/// seconds come from FAT (every second one), from HFS+ and from old servers.
fn grain(time: i64) -> i64 {
    const SECOND_NS: i64 = 1_000_000_000;
    if time % SECOND_NS == 0 { 2 * SECOND_NS + TICK_NS } else { TICK_NS }
}

/// Writes four numbers separated by spaces.
impl fmt::Display for FileVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, inode, modified_ns, changed_ns } = self;
        write!(f, "{size} {inode} {modified_ns} {changed_ns}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_version_is_settled_once_no_later_write_can_share_it() {
        let stat = |modified: i64, changed: i64| FileVersion {
            size: 4,
            inode: 1,
            modified_ns: modified * 1_000_000,
            changed_ns: changed * 1_000_000,
        };
        let at = |ms: u64| UNIX_EPOCH + Duration::from_millis(ms);
        // Fine clocks: a tick.
        assert!(!stat(5_123, 5_123).is_settled(at(5_130)));
        assert!(stat(5_123, 5_123).is_settled(at(5_173)));
        // Clocks of whole seconds, and of every second one.
        for early in [5_000, 6_000, 6_999, 7_049] {
            assert!(!stat(5_000, 5_000).is_settled(at(early)), "{early}");
            assert!(!stat(5_000, 4_120).is_settled(at(early)), "one of the two is coarse: {early}");
        }
        assert!(stat(5_000, 5_000).is_settled(at(7_050)));
        // A time of modification that was set by hand lies long before.
        assert!(stat(1_000, 5_123).is_settled(at(5_173)));
        // A clock ahead of this machine's clock is never trusted.
        assert!(!stat(9_123, 9_123).is_settled(at(5_000)));
        assert!(stat(5_000, 5_123).is_coarse() && !stat(5_123, 5_123).is_coarse());
    }
}
