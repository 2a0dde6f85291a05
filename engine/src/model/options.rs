//! The options of a run, the resources that it has, and the resources that a step needs.

use cache::Digest;
use std::collections::BTreeSet;

/// The options of a run.
#[derive(Default)]
pub struct Options {
    /// Steps to run although their results are in the store.
    pub force: BTreeSet<usize>,
    /// Only these steps and the steps they need; all steps if empty.
    pub only: BTreeSet<usize>,
    /// True if steps that do not depend on a failed step still run.
    pub keep_going: bool,
    /// The resources of the run; all of the machine if none.
    pub limits: Option<Limits>,
}

/// The resources of a run.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Threads.
    pub threads: usize,
    /// Bytes of memory that all steps running at the same time may take.
    pub memory: u64,
    /// Bytes of memory above which a step is not started at all.
    pub max_memory: u64,
    /// The GPUs.
    pub gpus: Vec<Gpu>,
    /// The number of steps that may share one GPU.
    pub gpu_steps: usize,
}

impl Limits {
    /// The same limits with this much memory, if it is given.
    #[must_use]
    pub fn with_memory(self, memory: Option<u64>) -> Self {
        let (free, most) = (self.memory, self.max_memory);
        let (memory, max_memory) = (memory.unwrap_or(free), memory.unwrap_or(most));
        Self { memory, max_memory, ..self }
    }
}

/// The default number of steps that share a GPU. More of them hardly train faster: together they
/// keep the GPU busy already.
pub const STEPS_ON_ONE: usize = 4;

/// A GPU of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// The number of the GPU.
    pub number: usize,
    /// Bytes of its memory that steps may take.
    pub memory: u64,
}

impl Gpu {
    /// A GPU of unknown memory, which therefore never limits sharing.
    pub fn numbered(number: usize) -> Self {
        Self { number, memory: u64::MAX }
    }
}

/// Content in the memory of a GPU, which lies there once for all steps of this process that read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuContent {
    /// The digest of the content.
    pub digest: Digest,
    /// The format of its numbers there.
    pub format: &'static str,
    /// Its bytes there.
    pub bytes: u64,
}

/// The resources that a step takes while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Threads; one if none is given.
    pub threads: Option<usize>,
    /// Bytes of memory; what the step took before if none is given.
    pub memory: Option<u64>,
    /// The number of whole GPUs.
    pub gpus: usize,
    /// Bytes of one GPU that is shared with other steps; no GPU if none is given.
    pub gpu_memory: Option<u64>,
    /// The content that it reads in that GPU's memory, beside those bytes.
    pub gpu_content: Option<GpuContent>,
    /// The number of the shared GPU; any GPU if none is given.
    pub gpu: Option<usize>,
    /// Seconds, for workers of a cluster; what the step took before if none is given.
    pub time: Option<u64>,
}
