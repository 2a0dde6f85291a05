//! The op `beta_vae`: a convolutional variational autoencoder with a weighted KL term.

use crate::device::GpuMemory;
use crate::fitted;
use crate::nn::augmentation::Augmentation;
use crate::nn::cuda::Precision;
use crate::nn::fit::Plan;
use crate::nn::layers::Architecture;
use crate::nn::objective::{Beta, BetaSchedule, Objective, Reduction, Regularizer, Variance};
use crate::nn::study::{
    DIAGNOSTICS, FEATURES, HISTORY, LATENT, LATENT_STD, MODEL, RECONSTRUCTION, defaults,
};
use crate::op::{Ctx, Determinism, Inputs, Op, OpError, Outputs, Port};
use crate::params::{Fraction, NonNegative, Positive};
use cache::Shape;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::{NonZeroU32, NonZeroUsize};

/// Trains a convolutional β-VAE (Higgins et al., 2017) and encodes every clip by its latent mean.
///
/// Loss, averaged over the clips of a batch: Σ (x̂ − x)² over pixels + β · Σ −½(1 + log σ² − μ² − σ²)
/// over latent units; each sum may be an average instead. With P pixels, L units and both terms
/// brought to sums, what counts is the effective β: `sum`/`sum` (the standard objective) β;
/// `mean`/`mean` β·P/L; `mean`/`sum` β·P; `sum`/`mean` β/L. At β = 4, P = 16,640 and L = 32 these are
/// 4; 2,080; 66,560; 0.125. A latent direction stays in use only while its variance in pixels exceeds
/// about half the effective β, so averaging both terms can leave a single one: see `diagnostics`.
///
/// The encoder has one convolution with ReLU per entry of `channels` and a linear layer to the
/// latent mean and one to the logarithm of its variance; the decoder mirrors it with transposed convolutions and is cut to the size of the
/// input, which may be any. Adam, weights as PyTorch starts them, batches in a new order each epoch.
///
/// The same seed gives the same bytes on any number of threads. Training goes on from its last
/// finished epoch after an interruption, and a longer one from where a shorter one ended. `history`
/// holds no times, since they differ from run to run; the record of the run does.
///
/// With a `model` at the input nothing is trained: these clips are encoded by its weights, and `history` has
/// no epochs.
///
/// Source: agrees with PyTorch 2.13 (`Conv2d`, `ConvTranspose2d`, `Linear`, `Adam`) on loss, gradients
/// and updates within 1e-4. `model` holds a `state_dict` of the module in the documentation.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BetaVae {
    /// Numbers in the latent vector.
    #[serde(default = "defaults::latent")]
    pub latent: NonZeroUsize,
    /// Channels after each convolution of the encoder; the decoder mirrors them.
    #[serde(default = "defaults::channels")]
    pub channels: Vec<NonZeroUsize>,
    /// Taps of each kernel along each axis, at most 32; padding is `kernel` ÷ 2.
    #[serde(default = "defaults::kernel")]
    pub kernel: NonZeroUsize,
    /// The factor by which each convolution shrinks the image, at most 32.
    #[serde(default = "defaults::stride")]
    pub stride: NonZeroUsize,
    /// Puts batch normalisation between each convolution and its ReLU.
    #[serde(default)]
    pub batch_norm: bool,
    /// The weight of the KL term; see `reconstruction` and `kl` for what it amounts to.
    #[serde(default = "defaults::beta")]
    pub beta: NonNegative,
    /// The form of the KL term: `beta` weighs it with β; `beta_tc` weighs with β the part of it that
    /// is the total correlation of the latent units, KL + (β − 1)·TC, by minibatch weighted sampling
    /// (Chen et al., 2018); `capacity` holds it near C nats, β·|KL − C| (Burgess et al., 2018, whose γ is
    /// this β). Free bits go with `beta` alone.
    #[serde(default)]
    pub objective: Kl,
    /// The nats C of `objective: capacity`.
    #[serde(default = "defaults::capacity")]
    pub capacity: NonNegative,
    /// Epochs over which C rises from 0 to `capacity`.
    #[serde(default = "defaults::ten")]
    pub capacity_epochs: NonZeroU32,
    /// The variance of a pixel around its reconstruction. `fixed`: the reconstruction term is the squared
    /// error. `optimal`: it is the negative logarithm of a Gaussian density whose variance is the mean
    /// squared error of the batch (σ-VAE; Rybkin et al., 2021), so that both terms are in nats and a β
    /// of 1 is the evidence bound.
    #[serde(default)]
    pub output_variance: Variance,
    /// The reduction of the squared errors of a clip: their `sum` over pixels or their `mean`. A
    /// mean multiplies the effective β by the number of pixels.
    #[serde(default)]
    pub reconstruction: Reduction,
    /// The reduction of the KL terms of a clip: their `sum` over latent units or their `mean`,
    /// which divides β by `latent`.
    #[serde(default)]
    pub kl: Reduction,
    /// `constant`; `linear`: β rises over `warmup_epochs`; `cyclical`: it does so again and again.
    #[serde(default)]
    pub beta_schedule: BetaSchedule,
    /// Epochs over which β rises when `beta_schedule` is `linear`.
    #[serde(default = "defaults::ten")]
    pub warmup_epochs: NonZeroU32,
    /// Epochs of one cycle when `beta_schedule` is `cyclical`.
    #[serde(default = "defaults::ten")]
    pub cycle_epochs: NonZeroU32,
    /// The share of a cycle in which β rises when `beta_schedule` is `cyclical`.
    #[serde(default = "defaults::half")]
    pub cycle_ratio: Fraction,
    /// Nats that each latent unit's KL, averaged over the batch, may have without cost.
    #[serde(default = "defaults::zero")]
    pub free_bits: NonNegative,
    /// Passes over the training clips. A longer training continues a shorter one. 0 leaves the weights as
    /// they are drawn: a reference for what the training adds.
    #[serde(default = "defaults::epochs")]
    pub epochs: u32,
    /// Clips per step; the last batch of an epoch may be smaller.
    #[serde(default = "defaults::batch_size")]
    pub batch_size: NonZeroUsize,
    /// Adam's step size (β₁ = 0.9, β₂ = 0.999, ε = 1e-8, as PyTorch).
    #[serde(default = "defaults::learning_rate")]
    pub learning_rate: Positive,
    /// Decoupled weight decay (AdamW): each step takes this × `learning_rate` of every parameter.
    #[serde(default = "defaults::zero")]
    pub weight_decay: NonNegative,
    /// The largest norm of a step's gradient over all parameters; longer ones are scaled down.
    #[serde(default)]
    pub clip_norm: Option<Positive>,
    /// The share of clips held out of the training, rounded up to whole clips.
    #[serde(default = "defaults::no_share")]
    pub validation: Fraction,
    /// Epochs without a better held-out loss after which training stops; the weights of the best
    /// epoch are kept. Needs `validation`.
    #[serde(default)]
    pub patience: Option<NonZeroU32>,
    /// The precision of matrix products on a GPU: `f32`; `tf32`; `bf16`, which also keeps clips
    /// and images between layers so. Sums and weights are `f32`, and so is everything on the CPU.
    #[serde(default)]
    pub precision: Precision,
    /// The largest number that is added to or taken from all values of a training clip, drawn for
    /// each clip and step; in log-Mel images, decibels. The network is to make the changed clip.
    #[serde(default = "defaults::zero")]
    pub augment_gain: NonNegative,
    /// The largest number of frames by which a training clip is rolled, either way; at most half of
    /// them. The network is to make the rolled clip.
    #[serde(default)]
    pub augment_shift: u32,
    /// The largest number of adjacent frames that are hidden from the encoder in training (a mask of
    /// SpecAugment, Park et al., 2019): they are set to the mean of the clip, and the network is to
    /// make the whole clip.
    #[serde(default)]
    pub mask_frames: u32,
    /// The largest number of adjacent bands that are hidden so.
    #[serde(default)]
    pub mask_bands: u32,
    /// Clips whose reconstruction is kept.
    #[serde(default = "defaults::examples")]
    pub examples: NonZeroUsize,
}

/// The form of the KL term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kl {
    /// β·KL.
    #[default]
    Beta,
    /// KL + (β − 1)·TC.
    BetaTc,
    /// β·|KL − C|.
    Capacity,
}

impl BetaVae {
    fn plan(&self) -> Plan {
        Plan {
            architecture: Architecture {
                input: [1, 1],
                channels: self.channels.iter().map(|n| n.get()).collect(),
                kernel: self.kernel.get(),
                stride: self.stride.get(),
                batch_norm: self.batch_norm,
                latent: self.latent.get(),
                variational: true,
            },
            objective: Objective {
                reconstruction: self.reconstruction,
                kl: self.kl,
                beta: Beta {
                    beta: self.beta.get(),
                    schedule: self.beta_schedule,
                    warmup_epochs: self.warmup_epochs.get(),
                    cycle_epochs: self.cycle_epochs.get(),
                    cycle_ratio: self.cycle_ratio.get(),
                },
                free_bits: self.free_bits.get(),
                regularizer: match self.objective {
                    Kl::Beta => Regularizer::Beta,
                    Kl::BetaTc => Regularizer::TotalCorrelation { clips: 1 },
                    Kl::Capacity => Regularizer::Capacity {
                        nats: self.capacity.get(),
                        epochs: self.capacity_epochs.get(),
                    },
                },
                variance: self.output_variance,
            },
            epochs: self.epochs.into(),
            batch_size: self.batch_size.get(),
            learning_rate: self.learning_rate.get(),
            weight_decay: self.weight_decay.get(),
            clip_norm: self.clip_norm.map(Positive::get),
            validation: self.validation.get(),
            patience: self.patience.map(|epochs| epochs.get().into()),
            precision: self.precision,
            augmentation: Augmentation {
                gain: self.augment_gain.get(),
                shift: self.augment_shift as usize,
                mask_frames: self.mask_frames as usize,
                mask_bands: self.mask_bands as usize,
            },
        }
    }
}

impl Op for BetaVae {
    const NAME: &'static str = "beta_vae";
    const TITLE: &'static str = "β-VAE";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[FEATURES, fitted::MODEL];
    const OUTPUTS: &'static [Port] =
        &[LATENT, LATENT_STD, MODEL, HISTORY, RECONSTRUCTION, DIAGNOSTICS];
    const SEEDED: bool = true;
    const DETERMINISM: Determinism = Determinism::Tolerant;
    const PROGRESSIVE: &'static [&'static str] = &["epochs"];

    fn learns(&self) -> bool {
        true
    }

    fn warnings(&self, inputs: &[Option<Shape>]) -> Vec<OpError> {
        fitted::unused(self, inputs, &["examples", "precision"])
    }

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        if self.free_bits.get() > 0.0 && self.objective != Kl::Beta {
            return Err(OpError::param("free_bits", "free bits go with `objective: beta` alone")
                .help("leave out `free_bits`, or take `objective: beta`"));
        }
        self.plan().check(inputs, self.examples.get())
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        self.plan().memory(inputs, self.examples.get())
    }

    fn gpu_memory(&self, inputs: &[Option<Shape>]) -> Option<GpuMemory> {
        self.plan().gpu_memory(inputs)
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        self.plan().study(inputs, self.examples.get(), cx)
    }
}
