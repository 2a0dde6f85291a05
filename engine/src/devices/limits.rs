//! The resources that a run has, unless it is given less.

use super::Machine;
use crate::model::{Gpu, Limits, STEPS_ON_ONE};

/// All of the machine: its threads, nine tenths of the free memory, its GPUs.
pub fn limits() -> Limits {
    let free = free_memory().map_or(u64::MAX, |bytes| bytes / 10 * 9);
    let threads = rayon::current_num_threads();
    let max_memory = all_memory().unwrap_or(u64::MAX);
    Limits { threads, memory: free, max_memory, gpus: gpus(), gpu_steps: STEPS_ON_ONE }
}

/// Bytes that could be used without swapping.
fn free_memory() -> Option<u64> {
    memory_info("MemAvailable:")
}

/// Bytes of memory that the machine or its container has.
fn all_memory() -> Option<u64> {
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max");
    let limit = limit.ok().and_then(|text| text.trim().parse().ok());
    memory_info("MemTotal:").map(|bytes| bytes.min(limit.unwrap_or(u64::MAX)))
}

fn memory_info(name: &str) -> Option<u64> {
    let information = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = information.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// The GPUs that have a device file. CUDA is not asked, because it takes long to start.
fn gpus() -> Vec<Gpu> {
    (0..Machine::detect().gpus.len()).map(Gpu::numbered).collect()
}
