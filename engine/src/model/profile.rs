//! The profile of a cluster: which workers its scheduler may start, and what they need there.

use std::{collections::BTreeMap, path::PathBuf};

/// The profile of a cluster.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The folder of the store, which all nodes see.
    pub store: Option<PathBuf>,
    /// The kinds of workers, the smallest first.
    pub kinds: Vec<WorkerKind>,
    /// Lines of the shell before the worker starts.
    pub setup: String,
    /// The engine on the nodes; the running program if none.
    pub program: Option<PathBuf>,
    /// Beginnings of paths here, and what they are on the nodes.
    pub paths: BTreeMap<String, String>,
    /// A run that is predicted to take fewer seconds than these runs on this machine.
    pub run_locally_below: f64,
    /// The seconds between two heartbeats of a worker.
    pub heartbeat: f64,
    /// The seconds before its end at which a worker leaves. If none: two minutes, or a sixth of a shorter time limit.
    pub grace_period: Option<u64>,
    /// The seconds after which a worker leaves for which there is nothing to do.
    pub idle_timeout: f64,
    /// The factor of predicted memory.
    pub memory_margin: f64,
    /// The factor of predicted seconds.
    pub time_margin: f64,
}

/// A kind of workers.
#[derive(Clone, Debug)]
pub struct WorkerKind {
    /// The name.
    pub name: String,
    /// The number of processors.
    pub cpus: usize,
    /// Bytes of memory; as much as the steps are likely to take if none.
    pub memory: Option<u64>,
    /// The most memory of a worker for a step that died for want of it; what the scheduler allows if none.
    pub max_memory: Option<u64>,
    /// The number of GPUs.
    pub gpus: usize,
    /// Bytes of memory of each GPU, if it is stated.
    pub gpu_memory: Option<u64>,
    /// The seconds after which the scheduler ends it; as many as the steps are likely to take if none.
    pub time: Option<u64>,
    /// The most seconds of a worker for a step that was not done in time; what `retries` reach to if none.
    pub max_time: Option<u64>,
    /// The most workers of this kind at the same time.
    pub max_workers: usize,
    /// The partition.
    pub partition: Option<String>,
    /// Further options of `sbatch`.
    pub options: Vec<String>,
}

impl WorkerKind {
    /// The resources of a worker of this kind as one text, which is equal for equal ones.
    pub fn fingerprint(&self) -> String {
        let Self { name, cpus, memory, gpus, gpu_memory, time, .. } = self;
        format!("{name} {cpus} {memory:?} {gpus} {gpu_memory:?} {time:?}")
    }
}
