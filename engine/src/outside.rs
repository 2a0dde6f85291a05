//! What an op learns of the world: where files lie, what it saved before, who hears of its progress.

use crate::progress::Progress;
use cache::{Digest, Tensors, checkpoint::CheckpointFolder};
use ops::{Checkpoints, Locate, OpError};
use std::{collections::HashMap, path::PathBuf};

/// Files and checkpoints of a run.
pub struct Outside<'a> {
    /// Where a file of that content lies.
    pub paths: &'a HashMap<Digest, PathBuf>,
    /// States of the step's work.
    pub checkpoints: CheckpointFolder,
}

impl Locate for Outside<'_> {
    fn path_of(&self, content: &Digest) -> Option<PathBuf> {
        self.paths.get(content).cloned()
    }
}

impl Checkpoints for Outside<'_> {
    fn load(&self, at_most: u64) -> Option<(u64, Tensors)> {
        self.checkpoints.load(at_most)
    }
    fn save(&self, at: u64, state: &Tensors) -> Result<(), OpError> {
        self.checkpoints.save(at, state).map_err(|error| OpError::failure(error.to_string()))
    }
}

/// The progress of a run, as an op sees it.
pub struct Told<'a>(pub &'a dyn Progress);

impl ops::Progress for Told<'_> {
    fn at(&self, done: u64, total: u64, note: &str) {
        self.0.at(done, total, note);
    }
}
