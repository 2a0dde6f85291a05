//! The bytes of a recording while it is decoded: a short file is in memory, a long one is read from
//! disk.

use super::input::Input;
use crate::Cancel;
use cache::{
    Digest,
    verified::{self, ReadError, Watched},
};
use std::{fs, path::Path, sync::Arc};

/// The size in bytes above which a file is not loaded into memory.
const LONG: u64 = 1 << 24;

/// The location of the bytes of a recording.
pub enum Encoded {
    /// In the buffer into which they were read.
    Memory,
    /// In a file that must not change.
    File(Arc<Watched>),
}

impl Encoded {
    /// Opens a file with this content; a short one is read into `room`, replacing earlier content.
    ///
    /// # Errors
    /// When the file cannot be read, or has other content, or the run is cancelled.
    pub fn open(
        path: &Path,
        digest: &Digest,
        room: &mut Vec<u8>,
        cancel: &dyn Cancel,
    ) -> Result<Self, ReadError> {
        if fs::metadata(path)?.len() > LONG {
            return Watched::open(path, digest, &|| cancel.is_cancelled())
                .map(Arc::new)
                .map(Self::File);
        }
        verified::read(path, digest, room)?;
        Ok(Self::Memory)
    }

    /// Passes the bytes, which are in `room` or in the file, to `then`.
    ///
    /// # Errors
    /// When the file has changed since it was opened; the result of `then` must not be used.
    pub fn with<T>(&self, room: &[u8], then: impl FnOnce(Input<'_>) -> T) -> Result<T, ReadError> {
        match self {
            Self::Memory => Ok(then(room.into())),
            Self::File(watched) => {
                let made = then(Input::of_file(watched.file())?);
                watched.check()?;
                Ok(made)
            }
        }
    }
}
