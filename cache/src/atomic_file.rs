//! Files outside the store that readers find complete or not at all.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// Writes a file atomically: a temporary file beside it is synced and renamed.
///
/// # Errors
/// When the file system refuses; the earlier file is then unchanged.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_and(path, bytes, File::sync_data)
}

/// Writes a file that can be made again: readers find it complete or not at all, but a loss of
/// power may remove it.
///
/// # Errors
/// When the file system refuses; the earlier file is then unchanged.
pub fn write_atomic_unsynced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_and(path, bytes, |_| Ok(()))
}

fn write_and(path: &Path, bytes: &[u8], sync: fn(&File) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // The usual permissions of a new file: by default only the owner can read a temporary file.
    let mode = fs::Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().permissions(mode).tempfile_in(folder)?;
    file.write_all(bytes)?;
    sync(file.as_file())?;
    file.persist(path)?;
    Ok(())
}
