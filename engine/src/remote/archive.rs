//! One run with all that it needs in one file: a tar archive compressed with zstd.
//!
//! ```text
//! run/<file>          the files of the run's folder
//! objects-v1/, steps-v1/    what its steps made, as in a remote
//! ```

use cache::{blobs::Blobs, cells::SizeLimit, regular};
use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Component, Path, PathBuf},
    sync::Mutex,
};
use tar::{Archive, Builder, EntryType, Header};

/// The folder of the run's own files in an archive.
pub const RUN: &str = "run";
/// The most files of an archive.
const MAX_FILES: usize = 1_000_000;
/// The most bytes after the last file of an archive.
const MAX_PADDING: u64 = 1 << 20;

/// An archive that is being written: a place that only takes.
pub struct ArchiveWriter {
    open: Mutex<OpenArchive>,
    path: PathBuf,
}

struct OpenArchive {
    builder: Builder<zstd::Encoder<'static, File>>,
    names: HashSet<String>,
}

const NO_PANIC: &str = "no thread panics while it writes the archive";

impl ArchiveWriter {
    /// An archive in an open file. `path` is its name for messages.
    ///
    /// # Errors
    /// When the compressor cannot be made.
    pub fn new(file: File, path: &Path) -> io::Result<Self> {
        let mut compressor = zstd::Encoder::new(file, 3)?;
        // Objects are verified by their digests; the run's own files have no other guard.
        compressor.include_checksum(true)?;
        let open = OpenArchive { builder: Builder::new(compressor), names: HashSet::new() };
        Ok(Self { open: Mutex::new(open), path: path.to_owned() })
    }

    /// Writes what is left, and syncs the file.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(self) -> io::Result<()> {
        let open = self.open.into_inner().expect(NO_PANIC);
        open.builder.into_inner()?.finish()?.sync_all()
    }
}

impl Blobs for ArchiveWriter {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn head(&self, name: &str) -> io::Result<Option<u64>> {
        Ok(self.open.lock().expect(NO_PANIC).names.contains(name).then_some(0))
    }

    fn get(&self, _name: &str, _at_most: u64, _to: &mut dyn Write) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn put(&self, name: &str, from: &Path) -> io::Result<()> {
        let mut file = regular::open(from)?;
        let mut open = self.open.lock().expect(NO_PANIC);
        let mut header = Header::new_gnu();
        header.set_size(file.metadata()?.len());
        // Neither times nor owners: the same run gives the same archive.
        header.set_mode(0o644);
        open.builder.append_data(&mut header, name, &mut file)?;
        open.names.insert(name.to_owned());
        Ok(())
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        let open = self.open.lock().expect(NO_PANIC);
        let mut names: Vec<_> = open.names.iter().filter(|it| it.starts_with(prefix)).collect();
        names.sort_unstable();
        Ok(names.into_iter().cloned().collect())
    }

    fn delete(&self, _name: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Unpacks an archive into an empty folder. Only regular files are made, and only below it.
///
/// # Errors
/// Returns the end of a sentence about the archive: it is damaged, holds something else than files
/// in folders, or unfolds to far more than its size.
pub fn unpack(archive: &Path, folder: &Path) -> Result<(), String> {
    let unreadable = |error: io::Error| format!("cannot be read: {}", cache::store::plain(&error));
    let file = regular::open(archive).map_err(unreadable)?;
    let mut limit = SizeLimit::of(file.metadata().map_err(unreadable)?.len(), None);
    let damaged = |error: io::Error| format!("is no archive of a run: {error}");
    let mut archive = Archive::new(zstd::Decoder::new(file).map_err(damaged)?);
    for (count, entry) in archive.entries().map_err(damaged)?.enumerate() {
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?.into_owned();
        let is_inside = path.components().all(|part| matches!(part, Component::Normal(_)));
        if entry.header().entry_type() != EntryType::Regular || !is_inside || count > MAX_FILES {
            return Err(format!("holds `{}`, which is no file of a run", path.display()));
        }
        limit.consume(entry.size())?;
        let to = folder.join(&path);
        let made = to.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| File::create_new(&to))
            .and_then(|mut file| io::copy(&mut entry, &mut file))
            .map_err(|error| format!("`{}` cannot be unpacked: {error}", path.display()))?;
    }
    // The checksum of the archive stands at its end, after a little padding.
    let mut rest = archive.into_inner();
    match io::copy(&mut rest.by_ref().take(MAX_PADDING), &mut io::sink()).map_err(damaged)? {
        MAX_PADDING => Err("goes on after the end of the archive".to_owned()),
        _ => Ok(()),
    }
}
