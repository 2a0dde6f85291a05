//! Compiled kernels, and which of them were quickest, kept in a folder of the user's own, so that the next process need not
//! compile and time them.
//!
//! They do not lie in the store: a store may come from somebody else, and a cubin is code that a GPU runs.

use super::driver::CudaError;
use cache::{Digest, atomic_file::write_atomic_unsynced, regular};
use std::{fs, io, os::unix::fs::DirBuilderExt, path::Path};

/// The bytes of a digest before each cubin, by which a damaged file is known.
const HEAD: usize = 64;
/// More bytes than any cubin has.
const MAX_CUBIN_BYTES: u64 = 1 << 26;
/// When a folder holds so many, the older half goes.
const MAX_CUBINS: usize = 2000;

/// The cubin in this file; if there is none, it is made, and kept there for the next time.
pub fn load_or_compile(
    path: Option<&Path>,
    make: impl FnOnce() -> Result<Vec<u8>, CudaError>,
) -> Result<Vec<u8>, CudaError> {
    let Some(path) = path else { return make() };
    if let Some(cubin) = read(path) {
        return Ok(cubin);
    }
    let cubin = make()?;
    // A folder that cannot be written costs the next process the same time.
    let _ = keep(path, &cubin);
    Ok(cubin)
}

/// The bytes that were kept in this file, if they are whole.
pub(super) fn read(path: &Path) -> Option<Vec<u8>> {
    let bytes = regular::read(path, MAX_CUBIN_BYTES).ok()?;
    let (digest, cubin) = bytes.split_at_checked(HEAD)?;
    (digest == Digest::of(cubin).to_string().as_bytes()).then(|| cubin.to_vec())
}

/// Keeps these bytes in a file.
pub(super) fn keep(path: &Path, cubin: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    make_room(folder)?;
    write_atomic_unsynced(path, &[Digest::of(cubin).to_string().as_bytes(), cubin].concat())
}

fn make_room(folder: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        files.push((entry.metadata()?.modified()?, entry.path()));
    }
    if files.len() >= MAX_CUBINS {
        files.sort();
        for (_, path) in &files[..MAX_CUBINS / 2] {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cubin_is_made_once_and_again_if_its_file_is_damaged() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("kept/name.cubin");
        let get = |made: Option<&[u8]>| {
            let make = || Ok(made.expect("nothing need be made").to_vec());
            load_or_compile(Some(&path), make).expect("a cubin")
        };
        assert_eq!(get(Some(b"code")), b"code");
        assert_eq!(get(None), b"code");
        let whole = fs::read(&path).expect("a file");
        for damaged in [&whole[..whole.len() - 1], b"", &[b"x", &whole[1..]].concat()] {
            fs::write(&path, damaged).expect("a file");
            assert_eq!(get(Some(b"anew")), b"anew");
        }
        let refused = || Err(CudaError::new("nvrtcCompileProgram", "no"));
        assert!(load_or_compile(Some(&path.with_file_name("other.cubin")), refused).is_err());
        assert_eq!(root.path().join("kept").read_dir().expect("a list").count(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_done_without() {
        let root = tempfile::tempdir().expect("a folder");
        let file = root.path().join("file");
        fs::write(&file, b"").expect("a file");
        for path in [None, Some(file.join("below/name.cubin"))] {
            assert_eq!(load_or_compile(path.as_deref(), || Ok(vec![1])).expect("a cubin"), [1]);
        }
    }

    #[test]
    fn the_older_half_of_a_full_folder_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        for number in 0..MAX_CUBINS {
            fs::write(folder.path().join(number.to_string()), b"").expect("a file");
        }
        let path = folder.path().join("name.cubin");
        assert_eq!(load_or_compile(Some(&path), || Ok(vec![1])).expect("a cubin"), [1]);
        assert_eq!(folder.path().read_dir().expect("a list").count(), MAX_CUBINS / 2 + 1);
    }
}
