//! Reading of files outside the store with a check that they hold the bytes that were hashed. The
//! digest is taken when sources are listed and the file is read later by its path, so the reader
//! checks that both saw the same bytes.

use crate::{Digest, file_version::FileVersion, regular};
use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// The error of a file that could not be read as it was listed.
#[derive(Debug)]
pub enum ReadError {
    /// The file cannot be read.
    Io(io::Error),
    /// The file has other bytes than those hashed.
    Changed,
    /// The run was stopped while the file was read.
    Stopped,
}

/// Writes the error as the end of a sentence that begins with the name of the file.
impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot be read: {}", crate::store::plain(error)),
            Self::Changed => f.write_str("changed while it was read"),
            Self::Stopped => f.write_str("was not read to its end, since the run was stopped"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Fills `bytes` with the whole file, replacing earlier content.
///
/// # Errors
/// When it cannot be read, or when its bytes have another digest.
pub fn read(path: &Path, digest: &Digest, bytes: &mut Vec<u8>) -> Result<(), ReadError> {
    bytes.clear();
    regular::open(path)?.read_to_end(bytes)?;
    if Digest::of(bytes) == *digest { Ok(()) } else { Err(ReadError::Changed) }
}

/// A file that is read from start to end and hashed while it is read.
pub struct Hashed {
    file: File,
    hasher: blake3::Hasher,
}

impl Hashed {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: regular::open(path)?, hasher: blake3::Hasher::new() })
    }

    /// Reads the rest and compares the digest of all bytes. Bytes read before this call must only
    /// be used after it succeeds.
    ///
    /// # Errors
    /// When the rest cannot be read, or when the bytes have another digest.
    pub fn finish(self, digest: &Digest) -> Result<(), ReadError> {
        self.finish_unless(digest, &|| false)
    }

    fn finish_unless(mut self, digest: &Digest, stop: &dyn Fn() -> bool) -> Result<(), ReadError> {
        let mut piece = vec![0; 1 << 18];
        loop {
            if stop() {
                return Err(ReadError::Stopped);
            }
            match self.read(&mut piece) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        let found = Digest::from(self.hasher.finalize());
        if found == *digest { Ok(()) } else { Err(ReadError::Changed) }
    }
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        Ok(length)
    }
}

/// A file that must not change while it is read in pieces or by another program.
///
/// It is hashed once. From then on its version shows every change, also one that was undone.
pub struct Watched {
    path: PathBuf,
    file: File,
    stat: FileVersion,
}

/// The longest wait for a file whose version would not yet show the next change.
const MAX_WAIT: Duration = Duration::from_millis(2_100);

impl Watched {
    /// Opens a file and hashes it, unless `stop` is true meanwhile. If it was written just now, this
    /// waits, since another write within the same tick of the clock would leave the same version.
    ///
    /// # Errors
    /// When it cannot be read, when its bytes have another digest, or when `stop` is true.
    pub fn open(path: &Path, digest: &Digest, stop: &dyn Fn() -> bool) -> Result<Self, ReadError> {
        let start = Instant::now();
        let file = regular::open(path)?;
        let version = || Ok::<_, io::Error>(FileVersion::of(&file.metadata()?));
        while !version()?.is_settled(SystemTime::now()) && start.elapsed() < MAX_WAIT {
            if stop() {
                return Err(ReadError::Stopped);
            }
            thread::sleep(Duration::from_millis(5));
        }
        let stat = version()?;
        let hashed = Hashed { file: file.try_clone()?, hasher: blake3::Hasher::new() };
        hashed.finish_unless(digest, stop)?;
        let watched = Self { path: path.to_owned(), file, stat };
        watched.check()?;
        Ok(watched)
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Checks that the path still leads to the same version. Bytes read before this call must only
    /// be used after it succeeds.
    ///
    /// # Errors
    /// When the version differs or cannot be determined.
    pub fn check(&self) -> Result<(), ReadError> {
        match fs::metadata(&self.path) {
            Ok(metadata) if FileVersion::of(&metadata) == self.stat => Ok(()),
            Ok(_) => Err(ReadError::Changed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ReadError::Changed),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    /// A file that holds `text`.
    fn file(folder: &tempfile::TempDir, text: &str) -> PathBuf {
        let path = folder.path().join("file");
        fs::write(&path, text).expect("a file");
        path
    }

    #[test]
    fn bytes_are_given_only_if_they_are_those_that_were_hashed() {
        let folder = folder();
        let path = file(&folder, "two");
        let mut bytes = vec![7];
        read(&path, &Digest::of(b"two"), &mut bytes).expect("the same bytes");
        assert_eq!(bytes, b"two");
        let other = read(&path, &Digest::of(b"one"), &mut bytes);
        assert!(matches!(other, Err(ReadError::Changed)));
        let absent = read(&folder.path().join("absent"), &Digest::of(b"one"), &mut bytes);
        assert!(absent.is_err_and(|error| error.to_string().starts_with("cannot be read: ")));
    }

    #[test]
    fn what_is_read_in_part_is_hashed_whole() {
        let folder = folder();
        let path = file(&folder, "head and tail");
        let head = |digest: &[u8]| {
            let mut hashed = Hashed::open(&path).expect("a file");
            let mut head = [0; 4];
            hashed.read_exact(&mut head).expect("four bytes");
            assert_eq!(&head, b"head");
            hashed.finish(&Digest::of(digest))
        };
        head(b"head and tail").expect("the same bytes");
        assert!(matches!(head(b"head and tail!"), Err(ReadError::Changed)));
        assert!(matches!(head(b" and tail"), Err(ReadError::Changed)));
    }

    #[test]
    fn whoever_stops_waits_neither_for_the_clock_nor_for_the_end() {
        let folder = folder();
        // A time stamp in the future never settles; without the stop this would wait its whole time.
        let path = file(&folder, "new");
        let opened = File::options().write(true).open(&path).expect("the file");
        opened.set_modified(SystemTime::now() + Duration::from_secs(3600)).expect("a time");
        let digest = Digest::of(b"new");
        assert!(matches!(Watched::open(&path, &digest, &|| true), Err(ReadError::Stopped)));
        // Stopped in the middle of a long file.
        fs::write(&path, vec![7; 1 << 20]).expect("a file");
        opened.set_modified(SystemTime::UNIX_EPOCH).expect("a time");
        let asked = std::cell::Cell::new(0);
        let stop = || asked.replace(asked.get() + 1) > 2;
        let hashed = Hashed::open(&path).expect("a file");
        let stopped = hashed.finish_unless(&Digest::of(&vec![7; 1 << 20]), &stop);
        assert!(matches!(stopped, Err(ReadError::Stopped)));
    }

    #[test]
    fn a_change_that_was_taken_back_shows_too() {
        let folder = folder();
        let path = file(&folder, "one");
        let digest = Digest::of(b"one");
        let changes: [fn(&Path); 4] = [
            |path| {
                fs::write(path, "two").expect("a file");
                fs::write(path, "one").expect("a file");
            },
            |path| {
                fs::write(path.with_extension("new"), "one").expect("a file");
                fs::rename(path.with_extension("new"), path).expect("a file");
            },
            |path| fs::write(path, "one").expect("a file"),
            |path| fs::remove_file(path).expect("it was there"),
        ];
        for change in changes {
            let watched = Watched::open(&path, &digest, &|| false).expect("the same bytes");
            watched.check().expect("nothing has changed");
            change(&path);
            assert!(matches!(watched.check(), Err(ReadError::Changed)));
        }
        let path = file(&folder, "two");
        assert!(matches!(Watched::open(&path, &digest, &|| false), Err(ReadError::Changed)));
    }
}
