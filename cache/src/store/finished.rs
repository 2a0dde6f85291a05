//! Finished steps, as the journal keeps them: what decided their bytes, their outputs and what they
//! took.

use crate::{CacheKey, Digest, Shape, file_version::FileVersion};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An output of a finished step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// The digest of the content.
    pub digest: Digest,
    /// The shape of the content.
    pub shape: Shape,
    /// The length of its file in bytes.
    pub bytes: u64,
    /// The version of its file when it was last verified. A file that still has this version is
    /// trusted without reading it; any other is read once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<FileVersion>,
    /// The warning of its op in lines of earlier versions, which kept it here; now it is one of
    /// [`Finished::warnings`].
    #[serde(default, skip_serializing)]
    pub(super) warning: Option<String>,
}

impl Object {
    /// An object whose file is not verified.
    pub fn new(digest: Digest, shape: Shape, bytes: u64) -> Self {
        Self { digest, shape, bytes, seen: None, warning: None }
    }
}

/// A finished step: a line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// The digest of `cache_key`.
    pub key: Digest,
    /// The cache key: everything that decided the bytes.
    pub cache_key: CacheKey,
    /// The outputs, by port.
    pub outputs: BTreeMap<String, Object>,
    /// The durations.
    pub times: Times,
    /// The warnings of its op, in a fixed order. A cache hit repeats them: see
    /// [`Finished::all_warnings`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Finished {
    /// The same step without the versions that this host has seen of its objects.
    pub(super) fn without_versions(&self) -> Self {
        let mut finished = self.clone();
        finished.outputs.values_mut().for_each(|object| object.seen = None);
        finished
    }

    /// The warnings of its op, wherever its line of the journal has them.
    pub fn all_warnings(&self) -> impl Iterator<Item = &String> {
        let earlier = self.outputs.values().filter_map(|object| object.warning.as_ref());
        self.warnings.iter().chain(earlier)
    }
}

/// The durations of a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// The duration in seconds, with reading inputs and writing outputs.
    pub seconds: f64,
    /// The duration in seconds of the op alone.
    pub op_seconds: f64,
    /// Seconds of processor time over all threads, divided evenly among steps that run at the same
    /// time.
    #[serde(default)]
    pub cpu_seconds: f64,
    /// Seconds for which the step held GPUs, over all of them: two GPUs for a second are two. Zero
    /// without a GPU.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub gpu_seconds: f64,
    /// The peak memory of the process during the step in bytes; 0 where the system does not tell.
    #[serde(default)]
    pub peak_bytes: u64,
    /// Seconds between the checkpoints that the op saved, such as one each epoch of a training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub laps: Vec<f64>,
    /// Rows taken from an earlier run instead of computed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rows_reused: usize,
}

/// True for zero; serde's `skip_serializing_if` passes a reference.
pub(crate) fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// True for zero seconds.
pub(crate) fn is_nothing(seconds: &f64) -> bool {
    *seconds == 0.0
}
