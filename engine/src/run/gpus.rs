//! GPUs and the steps on them: a step has whole GPUs, or shares one GPU with a few other steps.

use crate::model::{Gpu, Needs};

/// The free part of one GPU.
struct FreeGpu {
    gpu: Gpu,
    memory: u64,
    steps: usize,
}

/// The free part of all GPUs.
pub struct Gpus {
    all: Vec<FreeGpu>,
    steps_on_one: usize,
}

/// The GPUs that a step holds: the numbers of whole GPUs, or one number and bytes of that GPU.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The numbers of the GPUs.
    pub numbers: Vec<usize>,
    /// The bytes taken on a shared GPU; none if the GPUs are whole.
    memory: Option<u64>,
}

impl Gpus {
    /// A pool in which all of these GPUs are free.
    pub fn new(gpus: &[Gpu], steps_on_one: usize) -> Self {
        let free =
            |gpu: &Gpu| FreeGpu { gpu: gpu.clone(), memory: gpu.memory, steps: steps_on_one };
        Self { all: gpus.iter().map(free).collect(), steps_on_one }
    }

    /// The numbers of all GPUs, taken or not.
    pub fn numbers(&self) -> Vec<usize> {
        self.all.iter().map(|free| free.gpu.number).collect()
    }

    /// Sets the memory of each GPU, by number, as the driver gives it; called before anything is
    /// taken. A GPU that the driver does not know is removed.
    pub fn set_memory(&mut self, memories: &[u64]) {
        self.all.retain_mut(|free| {
            let known = memories.get(free.gpu.number);
            free.gpu.memory = known.copied().unwrap_or(0);
            free.memory = free.gpu.memory;
            known.is_some()
        });
    }

    /// True if a step can run at all on these GPUs.
    pub fn can_ever_run(&self, needs: &Needs) -> bool {
        let least = if needs.gpu_memory.is_some() { 1 } else { 0 };
        self.all.iter().filter(|free| free.matches(needs)).count() >= needs.gpus.max(least)
    }

    /// Takes what a step needs, or nothing if not all of it is free. A step that needs more memory
    /// than a GPU has takes the whole GPU and runs there alone.
    pub fn take(&mut self, needs: &Needs) -> Option<Share> {
        if needs.gpus == 0 {
            return needs
                .gpu_memory
                .map_or(Some(Share::default()), |bytes| self.share(bytes, needs));
        }
        let idle = |free: &&mut FreeGpu| free.steps == self.steps_on_one && free.matches(needs);
        let idle: Vec<&mut FreeGpu> = self.all.iter_mut().filter(idle).take(needs.gpus).collect();
        if idle.len() < needs.gpus {
            return None;
        }
        let take = |free: &mut FreeGpu| {
            free.steps = 0;
            free.gpu.number
        };
        Some(Share { numbers: idle.into_iter().map(take).collect(), memory: None })
    }

    /// Takes a share of the emptiest GPU, of equals the first, so that steps spread over all GPUs.
    fn share(&mut self, bytes: u64, needs: &Needs) -> Option<Share> {
        let fits = |free: &&mut FreeGpu| {
            free.steps > 0 && bytes.min(free.gpu.memory) <= free.memory && free.matches(needs)
        };
        let best = self
            .all
            .iter_mut()
            .filter(fits)
            .min_by_key(|free| (usize::MAX - free.steps, free.gpu.number))?;
        let bytes = bytes.min(best.gpu.memory);
        best.steps -= 1;
        best.memory -= bytes;
        Some(Share { numbers: vec![best.gpu.number], memory: Some(bytes) })
    }

    /// Releases the GPUs that a step held.
    pub fn release(&mut self, share: &Share) {
        for free in self.all.iter_mut().filter(|free| share.numbers.contains(&free.gpu.number)) {
            match share.memory {
                Some(bytes) => (free.memory, free.steps) = (free.memory + bytes, free.steps + 1),
                None => free.steps = self.steps_on_one,
            }
        }
    }
}

impl FreeGpu {
    fn matches(&self, needs: &Needs) -> bool {
        needs.gpu.is_none_or(|number| number == self.gpu.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Gpus {
        let gpu = |number| Gpu { number, memory: 100 };
        Gpus::new(&[gpu(0), gpu(1)], 2)
    }

    fn model(bytes: u64) -> Needs {
        Needs { gpu_memory: Some(bytes), ..Needs::default() }
    }

    fn number(share: Option<Share>) -> Option<usize> {
        share.and_then(|share| share.numbers.first().copied())
    }

    #[test]
    fn models_spread_over_gpus_and_then_share_them_as_far_as_steps_reach() {
        let mut gpus = two();
        let numbers: Vec<_> = (0..5).map(|_| number(gpus.take(&model(10)))).collect();
        assert_eq!(numbers, [Some(0), Some(1), Some(0), Some(1), None]);
        gpus.release(&Share { numbers: vec![1], memory: Some(10) });
        assert_eq!(number(gpus.take(&model(10))), Some(1));
    }

    #[test]
    fn models_share_a_gpu_as_far_as_its_memory_reaches() {
        let mut gpus = two();
        let large = gpus.take(&model(70)).expect("all is free");
        assert_eq!(number(gpus.take(&model(70))), Some(1));
        assert_eq!(gpus.take(&model(70)), None);
        assert_eq!(number(gpus.take(&model(30))), Some(0));
        gpus.release(&large);
        assert_eq!(number(gpus.take(&model(70))), Some(0));
    }

    #[test]
    fn what_needs_more_memory_than_a_gpu_has_is_there_alone() {
        let mut gpus = two();
        let first = Needs { gpu: Some(0), ..model(1000) };
        let huge = gpus.take(&first).expect("alone");
        assert_eq!(gpus.take(&Needs { gpu: Some(0), ..model(1) }), None);
        gpus.release(&huge);
        assert!(gpus.take(&Needs { gpu: Some(0), ..model(1) }).is_some());
        assert_eq!(gpus.take(&first), None);
    }

    #[test]
    fn a_step_that_names_a_gpu_waits_for_that_one() {
        let mut gpus = two();
        let second = Needs { gpu: Some(1), ..model(60) };
        assert_eq!(number(gpus.take(&second)), Some(1));
        assert_eq!(gpus.take(&second), None);
        assert!(!gpus.can_ever_run(&Needs { gpu: Some(2), ..model(1) }));
    }

    #[test]
    fn a_whole_gpu_is_shared_with_nobody() {
        let mut gpus = two();
        let whole = Needs { gpus: 1, ..Needs::default() };
        let model_on_0 = gpus.take(&model(1)).expect("all is free");
        let first = gpus.take(&whole).expect("GPU 1 is idle");
        assert_eq!(first.numbers, [1]);
        assert_eq!(gpus.take(&whole), None);
        assert_eq!(number(gpus.take(&model(1))), Some(0));
        gpus.release(&first);
        gpus.release(&model_on_0);
        assert_eq!(gpus.take(&Needs { gpus: 2, ..Needs::default() }), None, "a model is on GPU 0");
        assert!(gpus.take(&Needs::default()).is_some_and(|share| share.numbers.is_empty()));
    }

    #[test]
    fn what_the_driver_does_not_know_is_no_gpu() {
        let mut gpus = Gpus::new(&[Gpu::numbered(0), Gpu::numbered(3)], 4);
        gpus.set_memory(&[50]);
        assert_eq!(gpus.numbers(), [0]);
        assert!(gpus.take(&model(40)).is_some());
        assert_eq!(gpus.take(&model(40)), None);
    }
}
