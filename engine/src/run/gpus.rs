//! GPUs and the steps on them: a step has whole GPUs, or shares one GPU with a few other steps, and
//! with those that read the same content its place in the memory.

use crate::model::{Gpu, GpuContent, Needs, Step};
use cache::{Digest, Shape};
use ops::{Device, GpuMemory};

/// The free part of one GPU.
struct FreeGpu {
    gpu: Gpu,
    memory: u64,
    steps: usize,
    /// The content that lies there, with the number of steps that read it.
    contents: Vec<(GpuContent, usize)>,
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
    /// The content that the step reads there, beside those bytes.
    content: Option<GpuContent>,
}

/// The bytes that a step takes of a shared GPU and the content that it reads there, given the digest
/// of what is connected to a port; none if it runs on no GPU or on whole GPUs.
pub fn needs(
    step: &Step,
    read: &[Option<Shape>],
    digest: impl Fn(&str) -> Option<Digest>,
    shares_memory: bool,
) -> (Option<u64>, Option<GpuContent>) {
    let stated = step.needs.gpu_memory;
    if stated.is_some() || step.needs.gpus > 0 || step.place == Device::Cpu {
        return (stated, None);
    }
    let Some(takes) = step.op.gpu_memory(read) else { return (None, None) };
    let digest = digest(takes.port).filter(|_| shares_memory);
    let (bytes, content) = apart(takes, digest);
    (Some(bytes), content)
}

/// The bytes of a step alone, and the content, if others may read it too.
fn apart(takes: GpuMemory, digest: Option<Digest>) -> (u64, Option<GpuContent>) {
    let (format, bytes) = (takes.format, takes.input);
    match digest {
        Some(digest) => (takes.own, Some(GpuContent { digest, format, bytes })),
        None => (takes.alone(), None),
    }
}

impl Gpus {
    /// A pool in which all of these GPUs are free.
    pub fn new(gpus: &[Gpu], steps_on_one: usize) -> Self {
        let free = |gpu: &Gpu| FreeGpu {
            gpu: gpu.clone(),
            memory: gpu.memory,
            steps: steps_on_one,
            contents: Vec::new(),
        };
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
        let numbers = idle.into_iter().map(take).collect();
        Some(Share { numbers, ..Share::default() })
    }

    /// Takes a share of the emptiest GPU, of equals the first, so that steps spread over all GPUs.
    fn share(&mut self, bytes: u64, needs: &Needs) -> Option<Share> {
        let fits = |free: &&mut FreeGpu| {
            let bytes = bytes.saturating_add(free.missing(needs.gpu_content));
            free.steps > 0 && bytes.min(free.gpu.memory) <= free.memory && free.matches(needs)
        };
        let best = self
            .all
            .iter_mut()
            .filter(fits)
            .min_by_key(|free| (usize::MAX - free.steps, free.gpu.number))?;
        let bytes = bytes.min(best.memory);
        best.steps -= 1;
        best.memory -= bytes;
        if let Some(content) = needs.gpu_content {
            best.hold(content);
        }
        let (numbers, content) = (vec![best.gpu.number], needs.gpu_content);
        Some(Share { numbers, memory: Some(bytes), content })
    }

    /// Releases the GPUs that a step held.
    pub fn release(&mut self, share: &Share) {
        for free in self.all.iter_mut().filter(|free| share.numbers.contains(&free.gpu.number)) {
            match share.memory {
                Some(bytes) => (free.memory, free.steps) = (free.memory + bytes, free.steps + 1),
                None => free.steps = self.steps_on_one,
            }
            if let Some(content) = share.content {
                free.let_go(content);
            }
        }
    }
}

impl FreeGpu {
    fn matches(&self, needs: &Needs) -> bool {
        needs.gpu.is_none_or(|number| number == self.gpu.number)
    }

    /// The place of a content among those that lie there.
    fn place(&self, content: GpuContent) -> Option<usize> {
        let of = |it: &GpuContent| (it.digest, it.format);
        self.contents.iter().position(|(held, _)| of(held) == of(&content))
    }

    /// The bytes of a content if it does not lie there yet.
    fn missing(&self, content: Option<GpuContent>) -> u64 {
        content.filter(|it| self.place(*it).is_none()).map_or(0, |it| it.bytes)
    }

    /// Counts a step that reads a content.
    fn hold(&mut self, content: GpuContent) {
        match self.place(content) {
            Some(place) => self.contents[place].1 += 1,
            None => {
                // What needs more memory than there is takes all of it.
                let bytes = content.bytes.min(self.memory);
                self.memory -= bytes;
                self.contents.push((GpuContent { bytes, ..content }, 1));
            }
        }
    }

    /// Counts a step less; with the last one the content is gone.
    fn let_go(&mut self, content: GpuContent) {
        let Some(place) = self.place(content) else { return };
        self.contents[place].1 -= 1;
        if self.contents[place].1 == 0 {
            self.memory += self.contents.swap_remove(place).0.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::executor;

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
        gpus.release(&Share { numbers: vec![1], memory: Some(10), content: None });
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

    fn one() -> Gpus {
        Gpus::new(&[Gpu { number: 0, memory: 100 }], 4)
    }

    /// A model that reads content beside its own bytes.
    fn reading(own: u64, text: &str, format: &'static str, bytes: u64) -> Needs {
        let content = GpuContent { digest: Digest::of(text.as_bytes()), format, bytes };
        Needs { gpu_content: Some(content), ..model(own) }
    }

    #[test]
    fn content_that_several_steps_read_counts_once_a_gpu_until_the_last_has_ended() {
        let mut gpus = one();
        let model_of_clips = reading(20, "clips", "f32", 40);
        let first = gpus.take(&model_of_clips).expect("60 of 100");
        let second = gpus.take(&model_of_clips).expect("fits only since the clips are there");
        let third = gpus.take(&model_of_clips).expect("all 100");
        assert_eq!(gpus.take(&model_of_clips), None);
        gpus.release(&first);
        assert_eq!(gpus.take(&model(21)), None, "the clips are read still");
        assert!(gpus.take(&model(20)).is_some());
        gpus.release(&second);
        gpus.release(&third);
        assert_eq!(gpus.take(&model(81)), None);
        assert!(gpus.take(&model(80)).is_some(), "with the last step the clips are gone");
    }

    #[test]
    fn a_step_in_a_process_of_its_own_shares_nothing() {
        let takes = GpuMemory { own: 20, input: 40, port: "features", format: "f32" };
        let digest = Digest::of(b"clips");
        let content = GpuContent { digest, format: "f32", bytes: 40 };
        assert_eq!(apart(takes, Some(digest)), (20, Some(content)));
        assert_eq!(apart(takes, None), (60, None));
        let shares = |name| executor::named(name).expect("it is listed").shares_memory();
        assert_eq!(["threads", "processes"].map(shares), [true, false]);
    }

    #[test]
    fn other_content_and_another_format_count_apart() {
        for other in [reading(20, "others", "f32", 40), reading(20, "clips", "bf16", 40)] {
            let mut gpus = one();
            assert!(gpus.take(&reading(20, "clips", "f32", 40)).is_some());
            assert_eq!(gpus.take(&other), None, "{other:?}");
            assert!(gpus.take(&reading(40, "clips", "f32", 40)).is_some());
        }
    }

    #[test]
    fn content_draws_no_step_to_the_fuller_gpu() {
        let mut gpus = two();
        let model_of_clips = reading(20, "clips", "f32", 40);
        let numbers: Vec<_> = (0..4).map(|_| number(gpus.take(&model_of_clips))).collect();
        assert_eq!(numbers, [Some(0), Some(1), Some(0), Some(1)]);
    }

    #[test]
    fn a_step_that_needs_more_than_a_gpu_has_with_its_content_is_there_alone() {
        for huge in [reading(90, "clips", "f32", 40), reading(10, "clips", "f32", 1000)] {
            let mut gpus = one();
            let small = gpus.take(&model(1)).expect("all is free");
            assert_eq!(gpus.take(&huge), None);
            gpus.release(&small);
            let alone = gpus.take(&huge).expect("alone");
            assert_eq!(gpus.take(&huge), None);
            assert_eq!(gpus.take(&model(1)), None);
            gpus.release(&alone);
            assert!(gpus.take(&model(100)).is_some(), "all is free again");
        }
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
