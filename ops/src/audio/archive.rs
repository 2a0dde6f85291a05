//! Zip archives, read by many threads at once without unpacking.

use crate::Cancel;
use cache::{
    Digest,
    cells::SizeLimit,
    verified::{ReadError, Watched},
};
use std::{
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};
use zip::ZipArchive;

/// An open archive. Clones share the file and its directory.
#[derive(Clone)]
pub struct Archive {
    zip: ZipArchive<Shared>,
    file: Arc<Watched>,
}

/// The error of reading an archive or one of its entries.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file cannot be read as it was listed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The content is not usable; the text follows the name of the file.
    #[error("{0}")]
    Unfit(String),
}

impl Archive {
    /// Opens an archive of this content and reads its directory.
    ///
    /// # Errors
    /// When the file cannot be opened, has other content, or is not a zip archive.
    pub fn open(path: &Path, digest: &Digest, cancel: &dyn Cancel) -> Result<Self, ArchiveError> {
        let file = Arc::new(Watched::open(path, digest, &|| cancel.is_cancelled())?);
        let opened = ZipArchive::new(Shared { file: file.clone(), at: 0 });
        file.check()?;
        let unfit = |error| ArchiveError::Unfit(format!("is not a whole zip archive: {error}"));
        let mut zip = opened.map_err(unfit)?;
        let overlap = zip.has_overlapping_entries();
        file.check()?;
        if overlap.map_err(unfit)? {
            let reason =
                "has entries that lie over each other: it is damaged, or made to fill a memory";
            return Err(ArchiveError::Unfit(reason.to_owned()));
        }
        Ok(Self { zip, file })
    }

    /// The names of all entries that are files, sorted.
    ///
    /// # Errors
    /// When a name is not text.
    pub fn names(&self) -> Result<Vec<String>, String> {
        let names: Result<Vec<_>, _> = self.zip.file_names().collect();
        let names = names.map_err(|error| format!("has an entry without a name: {error}"))?;
        let files = names.into_iter().filter(|name| !name.ends_with('/'));
        let mut files: Vec<String> = files.map(|name| name.into_owned()).collect();
        files.sort_unstable();
        Ok(files)
    }

    /// Reads one entry into `bytes`, replacing earlier content. It may expand to the given number
    /// of MiB, or to the default limit.
    ///
    /// # Errors
    /// When there is no such entry, when it is damaged or too large, or when the archive has changed.
    pub fn read(
        &self,
        name: &str,
        most_mib: Option<u32>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), ArchiveError> {
        let read = self.unpack(name, most_mib, bytes);
        // An entry may also be damaged because another program writes to the archive.
        self.file.check()?;
        read.map_err(ArchiveError::Unfit)
    }

    fn unpack(&self, name: &str, most_mib: Option<u32>, bytes: &mut Vec<u8>) -> Result<(), String> {
        // A header may state a wrong size, so memory is allocated as bytes arrive.
        const TRUSTED: u64 = 1 << 26;
        let mut archive = self.zip.clone();
        let mut entry =
            archive.by_name(name).map_err(|error| format!("cannot be unpacked: {error}"))?;
        bytes.clear();
        let room = SizeLimit::of(entry.compressed_size(), most_mib);
        room.fits(entry.size())?;
        bytes.reserve(entry.size().min(TRUSTED) as usize);
        let read = entry.by_ref().take(room.bytes.saturating_add(1)).read_to_end(bytes);
        read.map_err(|error| format!("cannot be unpacked: {error}"))?;
        room.fits(bytes.len() as u64)
    }
}

/// A file with a separate position for each clone.
#[derive(Clone)]
struct Shared {
    file: Arc<Watched>,
    at: u64,
}

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.file().read_at(buffer, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for Shared {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.file.file().metadata()?.len().checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| io::Error::other("a seek before the start of the file"))?;
        Ok(self.at)
    }
}
