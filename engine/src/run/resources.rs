//! The resources of a run and the resources that steps take: threads, memory, GPUs.
//!
//! There is one pool of threads, and all parallel work of steps goes through it; so steps at the
//! same time never compute on more threads than the run has. The `threads` of a step say how many
//! of them it keeps from other steps.

use super::gpus::{Gpus, Share};
use crate::model::{Limits, Needs};

/// The free resources.
pub struct ResourcePool {
    threads: usize,
    memory: u64,
    /// The GPUs.
    pub gpus: Gpus,
    limits: Limits,
}

/// The resources that one step holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ResourceGrant {
    threads: usize,
    memory: u64,
    /// The GPUs of the step.
    pub gpus: Share,
}

impl ResourcePool {
    /// A pool in which everything is free.
    pub fn new(limits: Limits) -> Self {
        let gpus = Gpus::new(&limits.gpus, limits.gpu_steps);
        Self { threads: limits.threads, memory: limits.memory, gpus, limits }
    }

    /// Takes what a step needs, or nothing if not all of it is free. A step that needs more than
    /// there is takes everything and runs alone. This does not hold for GPUs; see
    /// [`Gpus::can_ever_run`].
    pub fn take(&mut self, needs: &Needs) -> Option<ResourceGrant> {
        let threads = needs.threads.unwrap_or(1).clamp(1, self.limits.threads);
        let memory = needs.memory.unwrap_or(0).min(self.limits.memory);
        if threads > self.threads || memory > self.memory {
            return None;
        }
        let gpus = self.gpus.take(needs)?;
        self.threads -= threads;
        self.memory -= memory;
        Some(ResourceGrant { threads, memory, gpus })
    }

    /// Releases the resources that a step held.
    pub fn release(&mut self, lease: &ResourceGrant) {
        self.threads += lease.threads;
        self.memory += lease.memory;
        self.gpus.release(&lease.gpus);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Gpu;

    fn pool() -> ResourcePool {
        ResourcePool::new(Limits {
            threads: 4,
            memory: 100,
            max_memory: 100,
            gpus: vec![Gpu::numbered(0), Gpu::numbered(1)],
            gpu_steps: 4,
        })
    }

    #[test]
    fn what_is_taken_is_gone_until_it_is_given_back() {
        let mut pool = pool();
        let needs = Needs { threads: Some(3), memory: Some(60), gpus: 1, ..Needs::default() };
        let first = pool.take(&needs).expect("all is free");
        assert_eq!(first.gpus.numbers, [0]);
        assert_eq!(pool.take(&needs), None);
        let small = pool.take(&Needs { gpus: 1, ..Needs::default() }).expect("it fits beside");
        assert_eq!(small.gpus.numbers, [1]);
        assert_eq!(pool.take(&Needs::default()), None, "no thread is left");
        pool.release(&first);
        assert_eq!(pool.take(&needs).expect("free again").gpus.numbers, [0]);
    }

    #[test]
    fn what_needs_more_than_there_is_runs_alone_but_not_without_a_gpu() {
        let mut pool = pool();
        let huge = Needs { threads: Some(64), memory: Some(1000), ..Needs::default() };
        let lease = pool.take(&huge).expect("alone");
        assert_eq!(pool.take(&Needs::default()), None);
        pool.release(&lease);
        assert!(pool.take(&Needs::default()).is_some());
        assert!(pool.gpus.can_ever_run(&huge));
        assert!(!pool.gpus.can_ever_run(&Needs { gpus: 3, ..Needs::default() }));
    }
}
