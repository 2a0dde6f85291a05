//! Regular files, opened without waiting: whatever else may stand in a file's place is named and refused.
//!
//! Opening a named pipe waits for a writer, a device may have no end, and a folder is an error that
//! says nothing. So the type is looked at before the file is opened, since opening some devices does
//! something already; it is opened without blocking; and the type is looked at once more, since another
//! file may have taken its place meanwhile.

use std::{
    fs::{self, File, FileType, Metadata, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
};

/// Opens a regular file for reading. Symbolic links are followed.
///
/// # Errors
/// When there is none, the system refuses, or something else has the name; then the error says what.
pub fn open(path: &Path) -> io::Result<File> {
    open_with(File::options().read(true), path, Links::Followed)
}

/// Reads a regular file, unless it is longer than `at_most` bytes.
///
/// # Errors
/// When [`open`] refuses, or when it is too long or cannot be read.
pub fn read(path: &Path, at_most: u64) -> io::Result<Vec<u8>> {
    read_all(open(path)?, at_most)
}

/// What becomes of a symbolic link.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// The file that it leads to is opened.
    Followed,
    /// It is no regular file.
    Refused,
}

/// Opens a regular file in one of the ways that [`OpenOptions`] knows.
pub(crate) fn open_with(options: &mut OpenOptions, path: &Path, links: Links) -> io::Result<File> {
    let (there, flags) = match links {
        Links::Followed => (fs::metadata(path), rustix::fs::OFlags::empty()),
        Links::Refused => (fs::symlink_metadata(path), rustix::fs::OFlags::NOFOLLOW),
    };
    match there {
        Ok(there) => check(&there)?,
        // Perhaps it is to be made.
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
        Err(fault) => return Err(fault),
    }
    let flags = flags | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let file = options.custom_flags(flags.bits().cast_signed()).open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

/// Reads an open file, unless it is longer than `at_most` bytes.
pub(crate) fn read_all(file: File, at_most: u64) -> io::Result<Vec<u8>> {
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
    // The stated length may be out of date, or a formality as below `/proc`.
    file.take(at_most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > at_most { Err(too_long()) } else { Ok(bytes) }
}

/// Refuses what is no regular file.
fn check(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let kind = match metadata.is_dir() {
        true => io::ErrorKind::IsADirectory,
        false => io::ErrorKind::InvalidInput,
    };
    let message = format!("it is a {}, not a regular file", name(metadata.file_type()));
    Err(io::Error::new(kind, message))
}

fn name(sort: FileType) -> &'static str {
    match () {
        () if sort.is_dir() => "folder",
        () if sort.is_symlink() => "symbolic link",
        () if sort.is_fifo() => "named pipe",
        () if sort.is_socket() => "socket",
        () if sort.is_char_device() || sort.is_block_device() => "device",
        () => "special file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::{fs::symlink, net::UnixListener};

    #[test]
    fn what_is_no_regular_file_is_named_and_never_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("folder")).expect("a folder");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .expect("a named pipe");
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
        let fault = read(&file, 3).expect_err("too long");
        assert_eq!(fault.to_string(), "it is longer than 3 bytes");
        let refused = open_with(File::options().read(true), &link, Links::Refused);
        let said = "it is a symbolic link, not a regular file";
        assert_eq!(refused.expect_err("a link").to_string(), said);
        assert!(open_with(File::options().read(true), &file, Links::Refused).is_ok());
        // Below `/proc` every length is stated as nothing.
        assert!(!read(Path::new("/proc/self/stat"), 1 << 16).expect("read").is_empty());
    }
}
