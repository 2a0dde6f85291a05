//! The trial of a GPU: the list of GPUs, comparisons with the CPU, and timings.

pub use super::listing::GpuInfo;

use super::{
    Precision,
    device::Gpu,
    driver::{CudaError, Driver},
    listing,
    nvrtc::Nvrtc,
    parity, source,
    trace::{Trace, trace},
    trainer::OnDevice,
};
use crate::{
    device::{Device, Place},
    math::random::{Purpose, Random},
    nn::{
        augmentation::Augmentation,
        backend::{Backend, Batches, State},
        fit::Plan,
        layers::Architecture,
        objective::{Beta, BetaSchedule, Objective, Reduction, Regularizer, Variance},
    },
    op::{Ctx, OpError},
};
use cache::Array;
use std::path::Path;

/// The GPUs that the CUDA driver in this file lists.
///
/// # Errors
/// The reason why it lists none.
pub fn gpus(driver: &Path) -> Result<Vec<GpuInfo>, String> {
    listing::gpus(driver)
}

/// The version of NVIDIA's run-time compiler (NVRTC) in this file.
///
/// # Errors
/// The reason why the version cannot be read.
pub fn nvrtc_version(path: &Path) -> Result<(i32, i32), String> {
    let version = Nvrtc::open(path).and_then(|nvrtc| nvrtc.version());
    version.map_err(|error| error.to_string())
}

/// A network of the default size for comparisons and timings.
pub struct Case {
    variational: bool,
    batch_norm: bool,
    /// True for the total correlation, a learned variance and changed clips.
    others: bool,
    precision: Precision,
}

/// The result of a comparison of GPU and CPU.
pub struct Comparison {
    /// True if every bound holds.
    pub holds: bool,
    /// The compared quantities, with their bounds and differences.
    pub text: String,
}

/// The bounds of a comparison: losses, gradients of each layer, latent means. Where rounding alone makes the CPU differ from
/// itself by more, ten times that.
fn bounds(precision: Precision) -> [f64; 3] {
    match precision {
        Precision::F32 => [1e-3, 1e-4, 1e-4],
        Precision::Tf32 => [5e-3, 1e-1, 5e-3],
        Precision::Bf16 => [3e-2, 2e-1, 3e-2],
    }
}

/// The largest difference of a device from the CPU, as a multiple of that of the CPU from itself.
const ROUNDINGS: f64 = 10.0;
const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Tf32, Precision::Bf16];
/// The number of steps whose losses are compared.
pub const STEPS: usize = 20;
/// A batch that is large enough for every kernel, and small enough for a CPU with two cores.
const BATCH: usize = 16;
/// The batch of a trace.
const TRACED: usize = 4;

/// The networks on which GPU and CPU are compared.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for precision in PRECISIONS {
        cases.push(Case::plain(false, precision));
        cases.push(Case::plain(true, precision));
    }
    cases.push(Case { batch_norm: true, ..Case::plain(true, Precision::F32) });
    cases.push(Case::of_others());
    cases
}

/// Compiles all kernels for a GPU and loads them, and says how long that took.
///
/// # Errors
/// When one does not compile: the error holds the compiler's words.
pub fn compile(device: &Device, case: &Case) -> Result<String, OpError> {
    let failed = |error: CudaError| error.during(None);
    let units = source::units(&case.plan().network(), case.precision);
    let mut gpu = Gpu::open(place(device)?, case.precision).map_err(failed)?;
    gpu.load(&units).map_err(failed)?;
    let kernels: usize = units.iter().map(|unit| unit.kernels.len()).sum();
    Ok(format!("{}: {kernels} kernels compiled and loaded", case.name()))
}

/// Tests a GPU on a little data in every precision that it supports. It must pass before it is used
/// by default.
///
/// # Errors
/// When the GPU fails, or differs from the CPU by more than rounding.
pub fn trial(device: &Device) -> Result<(), OpError> {
    let Place { ordinal, driver, .. } = place(device)?;
    let found = gpus(driver).map_err(OpError::failure)?;
    let capability = found.get(*ordinal).map_or(0, GpuInfo::capability_number);
    let plain = PRECISIONS.map(|precision| Case::plain(true, precision));
    for case in plain.into_iter().chain([Case::of_others()]) {
        if !case.is_single() && capability < case.precision.least_capability() {
            continue;
        }
        if !case.compare_briefly(device, STEPS)?.holds {
            let message = format!("it differs from the CPU: {}", case.name());
            return Err(
                OpError::failure(message).help("`engine devices --check` shows by how much")
            );
        }
    }
    Ok(())
}

/// The networks on which a GPU is timed, the quickest first.
pub fn timings() -> Vec<Case> {
    let both = |precision| [false, true].map(|variational| (variational, precision));
    let all = PRECISIONS.into_iter().rev().flat_map(both);
    all.map(|(variational, precision)| Case::plain(variational, precision)).collect()
}

/// Clips for timing, as many as in the published study.
pub fn clips() -> Array {
    parity::clips(6705, [128, 130])
}

impl Case {
    fn plain(variational: bool, precision: Precision) -> Self {
        Self { variational, batch_norm: false, others: false, precision }
    }

    fn of_others() -> Self {
        Self { others: true, ..Self::plain(true, Precision::F32) }
    }

    /// The name for messages and files.
    pub fn name(&self) -> String {
        let norm = if self.batch_norm { " batch_norm" } else { "" };
        let others = if self.others { " beta_tc optimal augmented" } else { "" };
        format!("{} {}{norm}{others}", self.model(), self.precision())
    }

    /// True if its products are of single precision.
    pub fn is_single(&self) -> bool {
        self.precision == Precision::F32
    }

    /// The name of the model.
    pub fn model(&self) -> &'static str {
        if self.variational { "beta_vae" } else { "autoencoder" }
    }

    /// The precision of its matrix products.
    pub fn precision(&self) -> &'static str {
        match self.precision {
            Precision::F32 => "f32",
            Precision::Tf32 => "tf32",
            Precision::Bf16 => "bf16",
        }
    }

    fn plan(&self) -> Plan {
        Plan {
            architecture: Architecture {
                batch_norm: self.batch_norm,
                ..Architecture::published(self.variational)
            },
            objective: Objective {
                reconstruction: Reduction::Sum,
                kl: Reduction::Sum,
                beta: Beta {
                    beta: if self.variational { 4.0 } else { 0.0 },
                    schedule: BetaSchedule::Constant,
                    warmup_epochs: 1,
                    cycle_epochs: 1,
                    cycle_ratio: 1.0,
                },
                regularizer: match self.others {
                    true => Regularizer::TotalCorrelation { clips: 0 },
                    false => Regularizer::Beta,
                },
                variance: if self.others { Variance::Optimal } else { Variance::Fixed },
                free_bits: 0.0,
            },
            epochs: 35,
            batch_size: 128,
            learning_rate: 1e-3,
            weight_decay: 0.0,
            clip_norm: None,
            validation: 0.0,
            patience: None,
            precision: self.precision,
            augmentation: match self.others {
                true => Augmentation { gain: 0.3, shift: 8, mask_frames: 13, mask_bands: 12 },
                false => Augmentation::default(),
            },
        }
    }

    /// Trains on the CPU and on a GPU, and compares both.
    ///
    /// # Errors
    /// When either fails.
    pub fn compare(&self, device: &Device) -> Result<Comparison, OpError> {
        self.compare_as(&self.plan(), device, STEPS)
    }

    /// The same for so many steps of small batches.
    ///
    /// # Errors
    /// When either fails.
    pub fn compare_briefly(&self, device: &Device, steps: usize) -> Result<Comparison, OpError> {
        self.compare_as(&Plan { batch_size: BATCH, ..self.plan() }, device, steps)
    }

    /// Traces what each launch of a step writes on a GPU.
    ///
    /// # Errors
    /// When it fails.
    pub fn trace(&self, device: &Device) -> Result<Trace, OpError> {
        let gpu = Gpu::open(place(device)?, self.precision).map_err(|error| error.during(None))?;
        self.trace_on(gpu)
    }

    /// The same on any device.
    ///
    /// # Errors
    /// When it fails.
    pub fn trace_on(&self, driver: impl Driver) -> Result<Trace, OpError> {
        let plan = Plan { batch_size: TRACED, ..self.plan() };
        trace(driver, &plan, &parity::clips(TRACED, plan.architecture.input))
    }

    fn compare_as(
        &self,
        plan: &Plan,
        device: &Device,
        steps: usize,
    ) -> Result<Comparison, OpError> {
        let place = place(device)?;
        // The last batch of an epoch is shorter.
        let data = parity::clips(5 * plan.batch_size / 2, plan.architecture.input);
        let open = || Gpu::open(place, self.precision);
        let found = parity::compare(&open, plan, &data, steps)?;
        let [curve, gradient, latents] = bounds(self.precision);
        let mut text = format!("\n{}\n", self.name());
        let mut holds = true;
        let mut line = |what: &str, found: f64, most: f64| {
            let good = found <= most;
            holds &= good;
            let word = if good { "ok" } else { "TOO FAR" };
            text.push_str(&format!("  {what:<34} {found:>9.2e}  at most {most:.0e}  {word}\n"));
        };
        let (here, rounding) = (&found.device, &found.rounding);
        let most = |bound: f64, rounding: f64| bound.max(ROUNDINGS * rounding);
        let losses = format!("losses of {steps} steps, relative");
        line(&losses, here.curve, most(curve, rounding.curve));
        let means = most(latents, rounding.latents);
        line("latent means, of the largest", here.latents, means);
        for ((name, apart), (_, rounded)) in here.gradients.iter().zip(&rounding.gradients) {
            line(&format!("gradient of {name}"), *apart, most(gradient, *rounded));
        }
        line("bits that a second training changed", f64::from(!found.repeats), 0.0);
        line("bits that going on half-way changed", f64::from(!found.resumes), 0.0);
        let [cpu, gpu] = found.losses.each_ref().map(|losses| losses.last());
        text.push_str(&format!("  last loss on the CPU {cpu:?}, on the GPU {gpu:?}\n"));
        Ok(Comparison { holds, text })
    }

    /// Copies the network and the clips to a GPU.
    ///
    /// # Errors
    /// When the GPU fails.
    pub fn prepare(&self, device: &Device, data: &Array) -> Result<Trial, OpError> {
        let (plan, place) = (self.plan(), place(device)?);
        let network = plan.network();
        let mut backend = super::open(place, &plan, data, 0)?;
        backend.restore(&State::start(&network, 0))?;
        let beta = plan.objective.beta.beta;
        Ok(Trial { backend, order: (0..data.rows() as u32).collect(), beta, epochs: 0 })
    }
}

fn place(device: &Device) -> Result<&Place, OpError> {
    match device {
        Device::Cuda(place) => Ok(place),
        Device::Cpu => Err(OpError::failure("there is no GPU to compare with the CPU")),
    }
}

/// A network for timing that trains on a GPU.
pub struct Trial {
    backend: OnDevice<Gpu>,
    order: Vec<u32>,
    beta: f64,
    epochs: u64,
}

impl Trial {
    /// The number of clips in an epoch.
    pub fn clips(&self) -> usize {
        self.order.len()
    }

    /// The times by which tiles of products were chosen, one product a line.
    pub fn tiles(&self) -> String {
        self.backend.tiles().times()
    }

    /// Trains for the given number of further epochs.
    ///
    /// # Errors
    /// When the GPU fails.
    pub fn train(&mut self, epochs: u64) -> Result<(), OpError> {
        let steps = self.order.len().div_ceil(128) as u64;
        for _ in 0..epochs {
            let mut random = Random::new(0, Purpose::Shuffle, self.epochs as u32);
            let shuffled = random.permutation(self.order.len());
            self.order = shuffled;
            let steps_before = self.epochs * steps;
            self.epochs += 1;
            let batches =
                Batches { epoch: self.epochs, order: &self.order, beta: self.beta, steps_before };
            self.backend.train(&batches, &Ctx::detached(0, &[]), &mut |_, _| Ok(()))?;
        }
        Ok(())
    }
}
