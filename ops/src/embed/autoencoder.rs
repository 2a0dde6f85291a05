//! The op `autoencoder`: a convolutional autoencoder.

use crate::device::GpuMemory;
use crate::fitted;
use crate::nn::augmentation::Augmentation;
use crate::nn::cuda::Precision;
use crate::nn::fit::Plan;
use crate::nn::layers::Architecture;
use crate::nn::objective::{Objective, Reduction};
use crate::nn::study::{DIAGNOSTICS, FEATURES, HISTORY, LATENT, MODEL, RECONSTRUCTION, defaults};
use crate::op::{Ctx, Determinism, Inputs, Op, OpError, Outputs, Port};
use crate::params::{Fraction, NonNegative, Positive};
use cache::Shape;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::{NonZeroU32, NonZeroUsize};

/// Trains a convolutional autoencoder and encodes every clip.
///
/// Loss, averaged over the clips of a batch: Σ (x̂ − x)² over pixels, or their average.
///
/// The encoder has one convolution with ReLU per entry of `channels` and a linear layer to the
/// latent vector; the decoder mirrors it with transposed convolutions and is cut to the size of the
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
pub struct Autoencoder {
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
    /// The reduction of the squared errors of a clip: their `sum` over pixels or their `mean`.
    #[serde(default)]
    pub reconstruction: Reduction,
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

impl Autoencoder {
    fn plan(&self) -> Plan {
        Plan {
            architecture: Architecture {
                input: [1, 1],
                channels: self.channels.iter().map(|n| n.get()).collect(),
                kernel: self.kernel.get(),
                stride: self.stride.get(),
                batch_norm: self.batch_norm,
                latent: self.latent.get(),
                variational: false,
            },
            objective: Objective { reconstruction: self.reconstruction, ..Objective::default() },
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

impl Op for Autoencoder {
    const NAME: &'static str = "autoencoder";
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[FEATURES, fitted::MODEL];
    const OUTPUTS: &'static [Port] = &[LATENT, MODEL, HISTORY, RECONSTRUCTION, DIAGNOSTICS];
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
