//! The resources of a run and the resources that steps take: threads, memory, GPUs.
//!
//! There is one pool of threads, and all parallel work of steps goes through it; so steps at the
//! same time never compute on more threads than the run has. The `threads` of a step say how many
//! of them it keeps from other steps.

use super::gpus::{Gpu, Gpus, STEPS_ON_ONE, Share};

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
    /// The number of the shared GPU; any GPU if none is given.
    pub gpu: Option<usize>,
}

/// The resources of a run.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Threads.
    pub threads: usize,
    /// Bytes of memory that all steps running at the same time may take.
    pub memory: u64,
    /// Bytes of memory above which a step is not started at all.
    pub most_memory: u64,
    /// The GPUs.
    pub gpus: Vec<Gpu>,
    /// The number of steps that may share one GPU.
    pub gpu_steps: usize,
}

impl Limits {
    /// All of the machine: its threads, nine tenths of the free memory, its GPUs.
    pub fn of_machine() -> Self {
        let free = free_memory().map_or(u64::MAX, |bytes| bytes / 10 * 9);
        let threads = rayon::current_num_threads();
        let most_memory = all_memory().unwrap_or(u64::MAX);
        Self { threads, memory: free, most_memory, gpus: gpus(), gpu_steps: STEPS_ON_ONE }
    }

    /// The same limits with this much memory, if it is given.
    #[must_use]
    pub fn with_memory(self, memory: Option<u64>) -> Self {
        let (free, most) = (self.memory, self.most_memory);
        let (memory, most_memory) = (memory.unwrap_or(free), memory.unwrap_or(most));
        Self { memory, most_memory, ..self }
    }
}

/// The free resources.
pub struct Ledger {
    threads: usize,
    memory: u64,
    /// The GPUs.
    pub gpus: Gpus,
    limits: Limits,
}

/// The resources that one step holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lease {
    threads: usize,
    memory: u64,
    /// The GPUs of the step.
    pub gpus: Share,
}

impl Ledger {
    /// A ledger in which everything is free.
    pub fn new(limits: Limits) -> Self {
        let gpus = Gpus::new(&limits.gpus, limits.gpu_steps);
        Self { threads: limits.threads, memory: limits.memory, gpus, limits }
    }

    /// Takes what a step needs, or nothing if not all of it is free. A step that needs more than
    /// there is takes everything and runs alone. This does not hold for GPUs; see
    /// [`Gpus::can_ever`].
    pub fn take(&mut self, needs: &Needs) -> Option<Lease> {
        let threads = needs.threads.unwrap_or(1).clamp(1, self.limits.threads);
        let memory = needs.memory.unwrap_or(0).min(self.limits.memory);
        if threads > self.threads || memory > self.memory {
            return None;
        }
        let gpus = self.gpus.take(needs)?;
        self.threads -= threads;
        self.memory -= memory;
        Some(Lease { threads, memory, gpus })
    }

    /// Gives back what a step held.
    pub fn give_back(&mut self, lease: &Lease) {
        self.threads += lease.threads;
        self.memory += lease.memory;
        self.gpus.give_back(&lease.gpus);
    }

    /// The resources of the whole run.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// True if no step fits any more, whatever it needs.
    pub fn is_full(&self) -> bool {
        self.threads == 0
    }
}

/// Bytes that could be used without swapping.
fn free_memory() -> Option<u64> {
    told_memory("MemAvailable:")
}

/// Bytes of memory that the machine or its container has.
fn all_memory() -> Option<u64> {
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max");
    let limit = limit.ok().and_then(|text| text.trim().parse().ok());
    told_memory("MemTotal:").map(|bytes| bytes.min(limit.unwrap_or(u64::MAX)))
}

fn told_memory(name: &str) -> Option<u64> {
    let information = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = information.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// The GPUs that have a device file. CUDA is not asked, because it takes long to start.
fn gpus() -> Vec<Gpu> {
    (0..crate::devices::Machine::detect().gpus.len()).map(Gpu::numbered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        Ledger::new(Limits {
            threads: 4,
            memory: 100,
            most_memory: 100,
            gpus: vec![Gpu::numbered(0), Gpu::numbered(1)],
            gpu_steps: 4,
        })
    }

    #[test]
    fn what_is_taken_is_gone_until_it_is_given_back() {
        let mut ledger = ledger();
        let needs = Needs { threads: Some(3), memory: Some(60), gpus: 1, ..Needs::default() };
        let first = ledger.take(&needs).expect("all is free");
        assert_eq!(first.gpus.numbers, [0]);
        assert_eq!(ledger.take(&needs), None);
        let small = ledger.take(&Needs { gpus: 1, ..Needs::default() }).expect("it fits beside");
        assert_eq!(small.gpus.numbers, [1]);
        assert_eq!(ledger.take(&Needs::default()), None, "no thread is left");
        ledger.give_back(&first);
        assert_eq!(ledger.take(&needs).expect("free again").gpus.numbers, [0]);
    }

    #[test]
    fn what_needs_more_than_there_is_runs_alone_but_not_without_a_gpu() {
        let mut ledger = ledger();
        let huge = Needs { threads: Some(64), memory: Some(1000), ..Needs::default() };
        let lease = ledger.take(&huge).expect("alone");
        assert_eq!(ledger.take(&Needs::default()), None);
        ledger.give_back(&lease);
        assert!(ledger.take(&Needs::default()).is_some());
        assert!(ledger.gpus.can_ever(&huge));
        assert!(!ledger.gpus.can_ever(&Needs { gpus: 3, ..Needs::default() }));
    }
}
