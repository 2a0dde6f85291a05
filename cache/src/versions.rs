//! Paths with their versions. To find out if any has changed takes the metadata of each; no file is
//! opened.

use crate::file_version::FileVersion;
use rayon::prelude::*;
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Paths, each with its version, or `None` where there was no file.
///
/// On disk it is text with one line for each path: size, inode, time of modification, time of
/// change and path, or `-` and path, separated by spaces.
#[derive(Debug, PartialEq, Eq)]
pub struct Versions(Vec<(PathBuf, Option<FileVersion>)>);

/// The number of paths below which a thread of their own is not worth its cost.
const FEW: usize = 256;

impl Versions {
    /// The present versions of these paths. The version of a folder changes when an entry is added
    /// or removed. `None` if a path may have changed after `looked`, the time of the first lookup,
    /// or contains a line break.
    pub fn of(paths: BTreeSet<PathBuf>, looked: SystemTime) -> Option<Self> {
        let paths: Vec<PathBuf> = paths.into_iter().collect();
        let seen = paths.into_par_iter().with_min_len(FEW).map(|path| {
            let stat = version(&path);
            let shows = stat.is_none_or(|stat| stat.is_settled(looked));
            (shows && !path.as_os_str().as_bytes().contains(&b'\n')).then_some((path, stat))
        });
        seen.collect::<Option<Vec<_>>>().map(Self)
    }

    /// True if all paths still have their versions.
    pub fn are_current(&self) -> bool {
        self.0.par_iter().with_min_len(FEW).all(|(path, seen)| version(path) == *seen)
    }

    /// The version of a path, if it is one of these and there was a file.
    pub fn get(&self, path: &Path) -> Option<FileVersion> {
        let at = self.0.binary_search_by(|(own, _)| own.as_path().cmp(path)).ok()?;
        self.0[at].1
    }

    /// The text to save.
    pub fn to_text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (path, seen) in &self.0 {
            let seen = seen.map_or_else(|| "-".to_owned(), |stat| stat.to_string());
            text.extend_from_slice(seen.as_bytes());
            text.push(b' ');
            text.extend_from_slice(path.as_os_str().as_bytes());
            text.push(b'\n');
        }
        text
    }

    /// Parses the saved text; `None` if a line is damaged.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(read_line).collect::<Option<Vec<_>>>().map(Self)
    }
}

fn version(path: &Path) -> Option<FileVersion> {
    fs::metadata(path).ok().map(|metadata| FileVersion::of(&metadata))
}

fn read_line(line: &[u8]) -> Option<(PathBuf, Option<FileVersion>)> {
    let path = |bytes| PathBuf::from(OsStr::from_bytes(bytes));
    if let Some(absent) = line.strip_prefix(b"- ") {
        return Some((path(absent), None));
    }
    let mut fields = line.splitn(5, |byte| *byte == b' ');
    let stat = FileVersion::read(&mut fields)?;
    Some((path(fields.next()?), Some(stat)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{thread, time::Duration};

    /// A folder with a file whose last change is long enough ago.
    fn settled() -> (tempfile::TempDir, BTreeSet<PathBuf>) {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, absent) = (folder.path().join("a b.txt"), folder.path().join("absent"));
        fs::write(&file, "one").expect("a file");
        thread::sleep(Duration::from_millis(100));
        let paths = BTreeSet::from([folder.path().to_owned(), file, absent]);
        (folder, paths)
    }

    #[test]
    fn what_is_kept_is_read_back_and_holds() {
        let (folder, paths) = settled();
        let versions = Versions::of(paths, SystemTime::now()).expect("nothing is fresh");
        assert_eq!(Versions::from_text(&versions.to_text()), Some(Versions(versions.0.clone())));
        assert!(versions.are_current());
        let (folder, absent) = (folder.path(), folder.path().join("absent"));
        assert_eq!(versions.get(&folder.join("a b.txt")).map(|version| version.size), Some(3));
        assert_eq!((versions.get(&absent), versions.get(&folder.join("b"))), (None, None));
        assert_eq!(Versions::from_text(b"1 2 3 path\n"), None);
    }

    #[test]
    fn every_change_shows() {
        let changes: [fn(&Path); 4] = [
            |folder| fs::write(folder.join("a b.txt"), "two").expect("a file"),
            |folder| fs::remove_file(folder.join("a b.txt")).expect("it was there"),
            |folder| fs::write(folder.join("absent"), "").expect("a file"),
            |folder| fs::write(folder.join("new"), "").expect("a file"),
        ];
        for change in changes {
            let (folder, paths) = settled();
            let versions = Versions::of(paths, SystemTime::now()).expect("nothing is fresh");
            change(folder.path());
            assert!(!versions.are_current());
        }
    }

    #[test]
    fn what_was_just_changed_is_not_taken_for_settled() {
        let (folder, paths) = settled();
        let looked = SystemTime::now();
        thread::sleep(Duration::from_millis(100));
        fs::write(folder.path().join("a b.txt"), "two").expect("a file");
        assert_eq!(Versions::of(paths.clone(), SystemTime::now()), None);
        thread::sleep(Duration::from_millis(100));
        assert_eq!(Versions::of(paths.clone(), looked), None, "it was read before it was changed");
        assert!(Versions::of(paths, SystemTime::now()).is_some());
        assert_eq!(
            Versions::of(BTreeSet::from([folder.path().join("a\nb")]), SystemTime::now()),
            None
        );
    }
}
