//! Opens regular files without waiting; anything else in their place is refused with an error that
//! names it.
//!
//! Opening a named pipe waits for a writer, a device may have no end, and the error for a folder
//! says nothing. So the type is checked before the file is opened, since opening some devices has
//! side effects. The file is opened without blocking, and the type is checked again, since another
//! file may have replaced it.

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat};
use std::{
    fs::File,
    io::{self, Read},
    os::fd::AsFd,
    path::Path,
};

/// Opens a regular file for reading. Symbolic links are followed.
///
/// # Errors
/// When there is no file, the system refuses, or something else has the name, which the error
/// describes.
pub fn open(path: &Path) -> io::Result<File> {
    open_at(CWD, path, OFlags::RDONLY)
}

/// Reads a regular file, unless it is longer than `at_most` bytes.
///
/// # Errors
/// When [`open`] refuses, or when it is too long or cannot be read.
pub fn read(path: &Path, at_most: u64) -> io::Result<Vec<u8>> {
    read_all(open(path)?, at_most)
}

/// Opens a regular file below a folder; with [`OFlags::NOFOLLOW`] a symbolic link is refused.
pub(crate) fn open_at(
    folder: impl AsFd,
    name: impl AsRef<Path>,
    flags: OFlags,
) -> io::Result<File> {
    let name = name.as_ref();
    let links = match flags.contains(OFlags::NOFOLLOW) {
        true => AtFlags::SYMLINK_NOFOLLOW,
        false => AtFlags::empty(),
    };
    match statat(&folder, name, links) {
        Ok(there) => check(FileType::from_raw_mode(there.st_mode))?,
        // A file that does not exist may be created.
        Err(rustix::io::Errno::NOENT) if flags.contains(OFlags::CREATE) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(openat(&folder, name, flags, Mode::from_raw_mode(0o666))?);
    check(FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode))?;
    Ok(file)
}

/// Reads an open file, unless it is longer than `at_most` bytes.
///
/// # Errors
/// When it is too long or cannot be read.
pub fn read_all(file: File, at_most: u64) -> io::Result<Vec<u8>> {
    let stated = file.metadata()?.len();
    let too_long = || {
        let message = format!("it is longer than {at_most} bytes");
        io::Error::new(io::ErrorKind::FileTooLarge, message)
    };
    if stated > at_most {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(stated).map_err(|_| too_long())?)?;
    // The length in the metadata may be out of date, or always zero as below `/proc`.
    file.take(at_most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > at_most { Err(too_long()) } else { Ok(bytes) }
}

/// Refuses anything but a regular file.
fn check(sort: FileType) -> io::Result<()> {
    let kind = match sort {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => io::ErrorKind::IsADirectory,
        _ => io::ErrorKind::InvalidInput,
    };
    Err(io::Error::new(kind, format!("it is a {}, not a regular file", name(sort))))
}

/// The name of a file type for messages.
pub(crate) fn name(sort: FileType) -> &'static str {
    match sort {
        FileType::RegularFile => "file",
        FileType::Directory => "folder",
        FileType::Symlink => "symbolic link",
        FileType::Fifo => "named pipe",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        _ => "special file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        os::unix::{fs::symlink, net::UnixListener},
    };

    #[test]
    fn what_is_no_regular_file_is_named_and_never_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("folder")).expect("a folder");
        rustix::fs::mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RWXU, 0).expect("a named pipe");
        let _listener = UnixListener::bind(at("socket")).expect("a socket");
        symlink("/dev/zero", at("zero")).expect("a link");
        symlink("pipe", at("to pipe")).expect("a link");
        for (name, said) in [
            ("folder", "it is a folder, not a regular file"),
            ("pipe", "it is a named pipe, not a regular file"),
            ("to pipe", "it is a named pipe, not a regular file"),
            ("socket", "it is a socket, not a regular file"),
            ("zero", "it is a device, not a regular file"),
        ] {
            assert_eq!(open(&at(name)).expect_err(name).to_string(), said);
            assert_eq!(read(&at(name), 9).expect_err(name).to_string(), said);
        }
        assert_eq!(open(&at("absent")).expect_err("absent").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_file_is_read_up_to_a_length_and_through_links_only_where_they_are_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "four").expect("a file");
        symlink("file", &link).expect("a link");
        assert_eq!(read(&link, 4).expect("read"), b"four");
        let error = read(&file, 3).expect_err("too long");
        assert_eq!(error.to_string(), "it is longer than 3 bytes");
        let refused = open_at(CWD, &link, OFlags::RDONLY | OFlags::NOFOLLOW);
        let said = "it is a symbolic link, not a regular file";
        assert_eq!(refused.expect_err("a link").to_string(), said);
        assert!(open_at(CWD, &file, OFlags::RDONLY | OFlags::NOFOLLOW).is_ok());
        // Below `/proc` every length is reported as 0.
        assert!(!read(Path::new("/proc/self/stat"), 1 << 16).expect("read").is_empty());
    }
}
