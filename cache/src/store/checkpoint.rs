//! Checkpoints of long work, kept between runs: one folder for all runs that differ only in the
//! step at which they end.
//!
//! A checkpoint is named `<at>-<digest>.live` while its run goes on and `<at>-<digest>.done`
//! once the run has reached its end. A live checkpoint replaces the one before it. Finished ones
//! stay, so that a longer run can continue a shorter one.

use super::{Disk, Store, StoreError, TMP};
use crate::{Artifact, Digest, Kind, Tensors, tensors};
use rustix::fs::{FileType, OFlags};
use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

/// The folder of all checkpoints.
pub(crate) const CHECKPOINTS: &str = "checkpoints-v1";

/// The checkpoints of one piece of long work.
pub struct CheckpointFolder {
    disk: Disk,
    root: PathBuf,
    folder: PathBuf,
}

struct Found {
    at: u64,
    digest: Digest,
    live: bool,
    path: PathBuf,
}

impl Store {
    /// The checkpoints of the work of that name.
    pub fn checkpoints(&self, work: &Digest) -> CheckpointFolder {
        let folder = self.root().join(CHECKPOINTS).join(work.to_string());
        CheckpointFolder { disk: self.disk().clone(), root: self.root().to_owned(), folder }
    }
}

impl CheckpointFolder {
    /// The checkpoint with the largest `at` that is not above `at_most`. Damaged ones are skipped.
    pub fn load(&self, at_most: u64) -> Option<(u64, Tensors)> {
        let mut found = self.found();
        found.retain(|state| state.at <= at_most);
        found.sort_by_key(|state| std::cmp::Reverse(state.at));
        found.into_iter().find_map(|state| Some((state.at, self.read(&state)?)))
    }

    /// Keeps a checkpoint and removes the live ones before it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn save(&self, at: u64, state: &Tensors) -> Result<(), StoreError> {
        let io = |error| StoreError::io("write", &self.folder)(error);
        for folder in [&self.root.join(CHECKPOINTS), &self.folder] {
            self.disk.create_dir(folder).map_err(io)?;
        }
        let bytes = tensors::to_bytes(state, "{}").map_err(StoreError::Format)?;
        let path = self.folder.join(format!("{at}-{}.live", digest_of(state)));
        self.disk.write_atomic(&path, &bytes, &self.root.join(TMP)).map_err(io)?;
        for old in self.found().into_iter().filter(|old| old.live && old.path != path) {
            or_gone(self.disk.remove(&old.path)).map_err(io)?;
        }
        Ok(())
    }

    /// Marks the live checkpoints as finished.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn finish(&self) -> Result<(), StoreError> {
        for state in self.found().into_iter().filter(|state| state.live) {
            let done = state.path.with_extension("done");
            let io = StoreError::io("rename", &state.path);
            or_gone(self.disk.rename(&state.path, &done)).map_err(io)?;
        }
        Ok(())
    }

    fn found(&self) -> Vec<Found> {
        let entries = self.disk.list(&self.folder).unwrap_or_default();
        let files = entries.iter().filter(|(_, sort)| *sort == FileType::RegularFile);
        files.filter_map(|(name, _)| parse(&self.folder, name)).collect()
    }

    fn read(&self, state: &Found) -> Option<Tensors> {
        let file = self.disk.open(&state.path, OFlags::RDONLY).ok()?;
        let (tensors, _) = tensors::read(&file).ok()?;
        (digest_of(&tensors) == state.digest).then_some(tensors)
    }
}

/// A checkpoint that is gone was removed by another process at the same work: one that was taken for dead goes on for a
/// while.
fn or_gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// True if `name` is the name of a checkpoint.
pub(crate) fn is_state(name: &OsStr) -> bool {
    parse(Path::new(""), name).is_some()
}

fn parse(folder: &Path, name: &OsStr) -> Option<Found> {
    let text = name.to_str()?;
    let (stem, live) = match text.strip_suffix(".live") {
        Some(stem) => (stem, true),
        None => (text.strip_suffix(".done")?, false),
    };
    let (at, digest) = stem.split_once('-')?;
    let (at, digest): (u64, Digest) = (at.parse().ok()?, digest.parse().ok()?);
    // Other spellings of the same numbers are not ours.
    let own = format!("{at}-{digest}") == stem;
    own.then(|| Found { at, digest, live, path: folder.join(name) })
}

fn digest_of(state: &Tensors) -> Digest {
    Artifact::tensors(Kind::Model, state.clone()).digest()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tensor;

    fn state(value: f32) -> Tensors {
        Tensors::from([("w".to_owned(), Tensor { shape: vec![1], values: vec![value] })])
    }

    #[test]
    fn a_longer_run_continues_a_shorter_one_and_damage_is_passed_over() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(root.path()).expect("a store");
        let folder = store.checkpoints(&Digest::of(b"work"));
        assert!(folder.load(9).is_none());
        folder.save(1, &state(1.0)).expect("saved");
        folder.save(2, &state(2.0)).expect("saved");
        assert_eq!(folder.found().len(), 1, "a live state replaces the one before");
        folder.finish().expect("finished");
        folder.save(3, &state(3.0)).expect("saved");
        assert_eq!(folder.load(9), Some((3, state(3.0))));
        assert_eq!(folder.load(2), Some((2, state(2.0))));
        assert_eq!(folder.load(1), None);
        let newest = folder.found().into_iter().max_by_key(|found| found.at).expect("a state");
        std::fs::write(newest.path, b"damaged").expect("written");
        assert_eq!(folder.load(9), Some((2, state(2.0))));
    }
}
