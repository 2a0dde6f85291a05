//! The bytes of a recording while it is decoded: of a short file in memory, of a long one where they lie.

use super::input::Input;
use cache::{
    Digest,
    verified::{self, Unread, Watched},
};
use std::{fs, path::Path};

/// Files of more bytes are not taken into memory.
const LONG: u64 = 1 << 24;

/// Where the bytes of a recording are.
pub enum Held {
    /// In the room that they were read into.
    Memory,
    /// In a file that must stay as it is.
    File(Watched),
}

impl Held {
    /// Opens a file of this content; a short one is read into `room`, in place of what it held.
    ///
    /// # Errors
    /// When it cannot be read, or has other content.
    pub fn open(path: &Path, digest: &Digest, room: &mut Vec<u8>) -> Result<Self, Unread> {
        if fs::metadata(path)?.len() > LONG {
            return Watched::open(path, digest).map(Self::File);
        }
        verified::read(path, digest, room)?;
        Ok(Self::Memory)
    }

    /// Gives the bytes, which are in `room` or in the file, to `then`.
    ///
    /// # Errors
    /// When the file has changed since it was opened: then nothing counts that was made of it.
    pub fn with<T>(&self, room: &[u8], then: impl FnOnce(Input<'_>) -> T) -> Result<T, Unread> {
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
