//! The layout of a training in the memory of a device. The data set lies apart, since other trainings may read it too.

use super::super::fit;
use super::super::layers::{Layer, Operation};
use super::super::objective::Regularizer;
use super::Precision;
use super::data_set;
use super::driver::Address;
use super::parameter_layout::ParameterLayout;
use super::source::{Direction, Sides};
use crate::op::OpError;

/// The number of thread blocks that keeps a large GPU busy: two for each of its processors.
const BUSY: usize = 264;
/// The most parts of a sum of gradients over rows, and the fewest rows of one.
const BIAS_PARTS: usize = 264;
const BIAS_ROWS: usize = 16;
/// The number of parts of a clip's squared error.
pub const ERROR_PARTS: usize = 8;
/// A part of a sum is a multiple of so many terms: those that a product has at once.
const DEPTH: usize = 32;
/// The number of blocks of the kernel `squares`.
pub const SQUARES: usize = 256;

/// The division of a sum into parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The number of parts.
    pub count: usize,
    /// The number of terms in each part.
    pub each: usize,
}

/// Divides a sum of `inner` terms for so many tiles of a product, so that there are enough blocks.
/// The division depends on sizes alone, never on the GPU, so that every GPU adds in the same order.
fn cut(inner: usize, tiles: usize) -> Parts {
    let wanted = (BUSY / tiles.max(1)).clamp(1, inner.div_ceil(256).max(1));
    let each = inner.div_ceil(wanted).next_multiple_of(DEPTH).max(DEPTH);
    Parts { count: inner.div_ceil(each).max(1), each }
}

/// The type of the numbers in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Single precision.
    F32,
    /// Double precision.
    F64,
    /// The upper half of a number of single precision.
    Bf16,
    /// Words without a sign.
    U32,
}

impl Number {
    /// The name for messages and digests.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Bf16 => "bf16",
            Self::U32 => "u32",
        }
    }

    /// The size in bytes.
    pub fn bytes(self) -> usize {
        match self {
            Self::Bf16 => 2,
            Self::F32 | Self::U32 => 4,
            Self::F64 => 8,
        }
    }

    /// The numbers in these bytes.
    pub fn read(self, bytes: &[u8]) -> Vec<f64> {
        fn all<const N: usize>(bytes: &[u8], of: impl Fn([u8; N]) -> f64) -> Vec<f64> {
            bytes.as_chunks::<N>().0.iter().map(|bytes| of(*bytes)).collect()
        }
        match self {
            Self::F32 => all(bytes, |it| f32::from_ne_bytes(it).into()),
            Self::F64 => all(bytes, f64::from_ne_bytes),
            Self::Bf16 => {
                all(bytes, |it| f32::from_bits(u32::from(u16::from_ne_bytes(it)) << 16).into())
            }
            Self::U32 => all(bytes, |it| u32::from_ne_bytes(it).into()),
        }
    }
}

/// A buffer in the memory of a device.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// The name for messages, such as `encoder 2`.
    pub name: String,
    /// The bytes before it.
    pub start: u64,
    /// The number of its values.
    pub count: usize,
    /// The type of its numbers.
    pub number: Number,
}

impl Buffer {
    /// The place of its bytes.
    pub fn range(&self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + self.count * self.number.bytes()
    }
}

/// Assigns addresses in multiples of 256 bytes.
#[derive(Default)]
struct Layout {
    bytes: u64,
    buffers: Vec<Buffer>,
}

impl Layout {
    fn take(&mut self, name: impl Into<String>, count: usize, number: Number) -> Address {
        let start = self.bytes;
        self.bytes += ((count * number.bytes()) as u64).next_multiple_of(256).max(256);
        self.buffers.push(Buffer { name: name.into(), start, count, number });
        Address(start)
    }
}

/// The addresses of all buffers, relative to the start of the memory.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The total size in bytes, without the data set.
    pub bytes: u64,
    /// The size of the data set in bytes.
    pub data_bytes: u64,
    /// The type of the numbers of the data set.
    pub data_number: Number,
    /// Every buffer, in the order of the memory.
    pub buffers: Vec<Buffer>,
    /// The clips of the data set, outside of this memory.
    pub data: Address,
    /// The order of clips in an epoch.
    pub order: Address,
    /// The clips of the batch.
    pub clips: Address,
    /// With augmentation: how each clip of an epoch is changed, and what the decoder is to make of the batch.
    pub augmented: Option<[Address; 2]>,
    /// The outputs of the layers of the encoder.
    pub encoder: Vec<Address>,
    /// The outputs of the layers of the decoder.
    pub decoder: Vec<Address>,
    /// Mean, logarithm of the variance, noise and sample, then the gradients of sample, mean and
    /// logarithm: rows × units each.
    pub latent: [Address; 7],
    /// The KL divergence of each unit in nats.
    pub nats: Address,
    /// With the objective of the total correlation: the shares of clips in the densities of samples, and the logarithms of
    /// sums of densities.
    pub correlation: Option<[Address; 2]>,
    /// The derivatives of the loss by the KL divergence and by the total correlation.
    pub slopes: Address,
    /// The squared error of each clip in the batch.
    pub errors: Address,
    /// The reconstruction term of a likelihood, and its derivative by the squared error.
    pub likelihood: Address,
    /// The losses: three numbers for each batch of an epoch.
    pub losses: Address,
    /// Three images of the size of the largest layer, between which the gradient moves backward: while it moves from the
    /// first to the second and on to the third, what reads the first may still run.
    pub flow: [Address; 3],
    /// The parts of sums, and of those that are computed beside others.
    pub parts: [Address; 2],
    /// The parts of the gradient's norm.
    pub squares: Address,
    /// Parameters, gradient and the two moving averages of Adam.
    pub parameters: [Address; 4],
    /// The weights as products read them: bf16, if these are of bf16.
    pub kept: Option<Address>,
    /// The running statistics.
    pub statistics: Address,
    /// The mean and scale of each channel of each normalisation, first of the encoder, then of the
    /// decoder.
    pub scales: Vec<Address>,
    /// The clock: see `Clock` in the prelude of the kernels.
    pub clock: Address,
    /// The largest numbers of clips in a batch and in an epoch.
    pub capacity: usize,
}

/// The number of words that say how a clip is changed.
const CHANGE: usize = 6;
/// The size of the clock in bytes.
pub const CLOCK: usize = 24;

/// The buffers of [`Plan::latent`].
const LATENT: [&str; 7] = [
    "mean",
    "logarithm of the variance",
    "noise",
    "sample",
    "gradient of the sample",
    "gradient of the mean",
    "gradient of the logarithm",
];
/// The buffers of [`Plan::parameters`].
const PARAMETERS: [&str; 4] = ["parameters", "gradient", "first moments", "second moments"];

impl Plan {
    /// The layout for a training on `clips` clips in batches of at most `capacity`.
    pub fn new(training: &fit::Plan, clips: usize, capacity: usize) -> Self {
        use Number::{Bf16, F32, F64, U32};
        let (network, mut at) = (&training.network(), Layout::default());
        let image = if training.precision == Precision::Bf16 { Bf16 } else { F32 };
        let is_augmented = !training.augmentation.is_off();
        let is_correlated =
            matches!(training.objective.regularizer, Regularizer::TotalCorrelation { .. });
        let width: usize = network.architecture.input.iter().product();
        let units = network.architecture.latent;
        let layers = || network.encoder.iter().chain(&network.decoder);
        let largest = layers().map(|layer| layer.output_len().max(layer.input_len())).max();
        let few = head_parts(&network.mean, capacity)
            .count
            .max(sample_parts(&network.decoder[0], capacity).count);
        let parts = layers().map(|layer| part_len(layer, capacity)).max().unwrap_or_default();
        let parts = parts.max(few * capacity * units);
        let images = |name: &str, layers: &[Layer], at: &mut Layout| -> Vec<Address> {
            let named = layers.iter().enumerate();
            named
                .map(|(n, layer)| {
                    let name = format!("output of {name} {n}, {}", layer.name);
                    at.take(name, capacity * layer.output_len(), image)
                })
                .collect()
        };
        let parameters = ParameterLayout::new(network).device_len();
        let norms = layers().filter(|layer| layer.operation == Operation::BatchNorm2d);
        let scales = norms
            .map(|layer| at.take(format!("scales of {}", layer.name), 2 * layer.output[0], F64))
            .collect();
        let mut plan = Self {
            bytes: 0,
            data_bytes: data_set::bytes(clips * width, image),
            data_number: image,
            buffers: Vec::new(),
            scales,
            data: Address::NONE,
            order: at.take("order", clips, U32),
            clips: at.take("clips of the batch", capacity * width, image),
            augmented: is_augmented.then(|| {
                let changes = at.take("changes of clips", CHANGE * clips, U32);
                [changes, at.take("changed clips", capacity * width, image)]
            }),
            encoder: images("encoder", &network.encoder, &mut at),
            decoder: images("decoder", &network.decoder, &mut at),
            latent: LATENT.map(|name| at.take(name, capacity * units, F32)),
            nats: at.take("KL divergence of units", units, F32),
            correlation: is_correlated.then(|| {
                let shares = at.take("shares of clips", capacity * capacity, F64);
                [shares, at.take("sums of densities", capacity * (units + 1), F64)]
            }),
            slopes: at.take("slopes of the loss", 2, F32),
            errors: at.take("errors of clips", ERROR_PARTS * capacity, F64),
            likelihood: at.take("likelihood", 2, F64),
            losses: at.take("losses", 3 * clips, F64),
            flow: ["gradient 0", "gradient 1", "gradient 2"]
                .map(|name| at.take(name, capacity * largest.unwrap_or_default(), image)),
            parts: ["parts of sums", "parts of sums beside others"]
                .map(|name| at.take(name, parts, F32)),
            squares: at.take("parts of the norm", SQUARES, F64),
            parameters: PARAMETERS.map(|name| at.take(name, parameters, F32)),
            kept: (image == Bf16).then(|| at.take("kept parameters", parameters, Bf16)),
            statistics: at.take("running statistics", network.statistic_len(), F32),
            clock: at.take("clock", CLOCK / 4, U32),
            capacity,
        };
        (plan.bytes, plan.buffers) = (at.bytes, at.buffers);
        plan
    }

    /// The same layout moved to start at this address, with the data set at its own.
    #[must_use]
    pub fn from(mut self, start: Address, data: Address) -> Self {
        self.data = data;
        let singles = [
            &mut self.order,
            &mut self.clips,
            &mut self.nats,
            &mut self.slopes,
            &mut self.errors,
            &mut self.likelihood,
            &mut self.losses,
            &mut self.squares,
            &mut self.statistics,
            &mut self.clock,
        ];
        let lists = self.encoder.iter_mut().chain(&mut self.decoder).chain(&mut self.scales);
        let optional = [&mut self.augmented, &mut self.correlation];
        let lists = lists.chain(optional.into_iter().flatten().flatten()).chain(&mut self.kept);
        let arrays = self.latent.iter_mut().chain(&mut self.flow).chain(&mut self.parts);
        let arrays = arrays.chain(&mut self.parameters);
        for address in singles.into_iter().chain(lists).chain(arrays) {
            address.0 += start.0;
        }
        self
    }

    /// The largest batch whose layout takes at most so many bytes beside the data set, if there is one.
    pub fn fitting(training: &fit::Plan, clips: usize, bytes: u64) -> Option<usize> {
        let fits = |capacity: &usize| Self::new(training, clips, *capacity).bytes <= bytes;
        let sizes = (0..31).rev().map(|power| 1 << power);
        let mut best = 0;
        for size in sizes {
            best += if fits(&(best + size)) { size } else { 0 };
        }
        (best > 0).then_some(best)
    }

    /// The error of a training that finds so many bytes free: too few for its clips, or too few for the rest once these are
    /// there.
    pub fn out_of_memory(
        &self,
        training: &fit::Plan,
        clips: usize,
        free: u64,
        has_data: bool,
    ) -> OpError {
        let gib = |bytes: u64| format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30));
        let [own, data, has] = [self.bytes, self.data_bytes, free].map(gib);
        let message = match has_data {
            true => format!(
                "beside the {data} of its clips the GPU has {has} free; the training asked for {own} more"
            ),
            false => format!(
                "the GPU has {has} free; the training asked for {data} for its clips and {own} more"
            ),
        };
        let usable = free / 100 * 97;
        let rest = if has_data { Some(usable) } else { usable.checked_sub(self.data_bytes) };
        let larger = "use a larger GPU, or `device: cpu`";
        OpError::failure(message).help(
            match rest.map(|rest| Self::fitting(training, clips, rest)) {
                Some(Some(fits)) => format!("a `batch_size` of {fits} would fit"),
                Some(None) => format!("the clips and a `batch_size` of 1 do not fit: {larger}"),
                None => format!("the clips alone do not fit: {larger}"),
            },
        )
    }
}

/// The number of values in the parts of a layer's sums.
fn part_len(layer: &Layer, capacity: usize) -> usize {
    let (rows, channels) = match layer.operation {
        Operation::Linear => (capacity, layer.output_len()),
        _ => (capacity * layer.output[1] * layer.output[2], layer.output[0]),
    };
    let bias = rows.div_ceil(bias_each(rows, channels)) * channels;
    bias.max(weight_parts(layer, capacity).map_or(0, |parts| parts.count * layer.weight_len()))
}

/// The number of rows that one block of `row_sums` adds, of so many channels.
pub fn bias_each(rows: usize, channels: usize) -> usize {
    let parts = (BIAS_PARTS / channels.div_ceil(1024)).max(1);
    rows.div_ceil(parts).max(BIAS_ROWS)
}

/// The division of the sum for the gradient of a convolution's weight.
pub fn weight_parts(layer: &Layer, capacity: usize) -> Option<Parts> {
    let sides = Sides::of(layer)?;
    let pixels = capacity * sides.narrow[1] * sides.narrow[2];
    // Always by the table's tile, so that sums do not depend on which one is quickest.
    let tile = sides.tile(Direction::Weight, Precision::F32);
    let [down, across] = if sides.is_single_channel() { [1, 1] } else { sides.weight_tiles(tile) };
    Some(cut(pixels, down * across))
}

/// The division of the sum of a head, from an image to few numbers.
pub fn head_parts(head: &Layer, capacity: usize) -> Parts {
    cut(head.input_len(), capacity.div_ceil(128) * head.output_len().div_ceil(32))
}

/// The division of the sum for the gradient of the decoder's input, from the gradient of an image
/// to few numbers.
pub fn sample_parts(expand: &Layer, capacity: usize) -> Parts {
    cut(expand.output_len(), capacity.div_ceil(128) * expand.input_len().div_ceil(32))
}
