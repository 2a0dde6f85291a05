//! Architecture as data: the layers of a network, their shapes and their parameters.
//!
//! This module computes nothing. A backend maps the list to its own kernels; names, shapes and
//! initial weights are the same for all backends.

use crate::math::random::{Purpose, Random};
use cache::{Tensor, Tensors};
use std::ops::Range;

/// Channels, rows and columns of an image; a vector is `[n, 1, 1]`.
pub type Size = [usize; 3];

/// The parameters of a network's architecture, from which [`Network::new`] builds its layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// Rows and columns of the input, which has one channel.
    pub input: [usize; 2],
    /// Channels after each convolution of the encoder.
    pub channels: Vec<usize>,
    /// The kernel size along each axis.
    pub kernel: usize,
    /// The factor by which each convolution shrinks the image.
    pub stride: usize,
    /// True if every convolution except the last is followed by batch normalisation.
    pub batch_norm: bool,
    /// The number of latent units.
    pub latent: usize,
    /// True if the encoder has a second head for the logarithm of the variance.
    pub variational: bool,
}

impl Architecture {
    /// That of the study of IRMAS: log-Mel spectrograms of 128 bands and 130 frames, three convolutions, 32 latent units.
    pub fn published(variational: bool) -> Self {
        Self {
            input: [128, 130],
            channels: vec![32, 64, 128],
            kernel: 3,
            stride: 2,
            batch_norm: false,
            latent: 32,
            variational,
        }
    }
}

/// The operation of a layer. Padding is zeros on each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Cross-correlation as PyTorch's `Conv2d`; weight: out × in × kernel × kernel.
    Conv2d {
        /// The kernel size along each axis.
        kernel: usize,
        /// The stride of the kernel.
        stride: usize,
        /// The number of zeros around the image.
        padding: usize,
    },
    /// PyTorch's `ConvTranspose2d`, cropped at the end if the layer's output size is smaller;
    /// weight: in × out × kernel × kernel.
    ConvTranspose2d {
        /// The kernel size along each axis.
        kernel: usize,
        /// The stride of the kernel.
        stride: usize,
        /// The number of rows and columns removed on each side.
        padding: usize,
        /// The number of rows and columns added at the end.
        output_padding: usize,
    },
    /// y = W·x + b; weight: out × in. Images are flattened by channel, row, column.
    Linear,
    /// Batch normalisation for each channel: (x − mean) / √(variance + 1e-5) · weight + bias, as
    /// PyTorch's `BatchNorm2d` (momentum 0.1).
    BatchNorm2d,
}

/// A layer, optionally followed by ReLU, max(0, x).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The prefix of its tensors' names.
    pub name: String,
    /// The operation.
    pub operation: Operation,
    /// The size of the input.
    pub input: Size,
    /// The size of the output.
    pub output: Size,
    /// True if negative outputs become 0.
    pub relu: bool,
    /// The range of its parameters among all trained ones: weight, then bias.
    pub parameters: Range<usize>,
    /// The range of its running mean and variance among all statistics; empty for most layers.
    pub statistics: Range<usize>,
}

/// A named tensor of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The name in the safetensors file.
    pub name: String,
    /// The shape, in PyTorch's order of axes.
    pub shape: Vec<usize>,
    /// The initial values.
    pub start: Start,
    /// The range of its numbers among the trained parameters, or among the statistics.
    pub range: Range<usize>,
}

/// The initial values of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// Uniform in [−bound, bound).
    Uniform(f64),
    /// All equal.
    Constant(f32),
}

/// The layers of an autoencoder, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// The architecture from which it was built.
    pub architecture: Architecture,
    /// The layers from the image to the last convolution.
    pub encoder: Vec<Layer>,
    /// The head for the latent mean, after the encoder.
    pub mean: Layer,
    /// The head for the logarithm of the latent variance, after the encoder, if variational.
    pub log_variance: Option<Layer>,
    /// The layers from the latent vector to the image.
    pub decoder: Vec<Layer>,
    /// The trained tensors, in the order of their ranges.
    pub parameters: Vec<Parameter>,
    /// The running statistics, in the order of their ranges.
    pub statistics: Vec<Parameter>,
}

fn len(size: Size) -> usize {
    size.iter().product()
}

impl Layer {
    /// The number of input values.
    pub fn input_len(&self) -> usize {
        len(self.input)
    }

    /// The number of output values.
    pub fn output_len(&self) -> usize {
        len(self.output)
    }

    /// The number of values in the weight; the other parameters are the bias.
    pub fn weight_len(&self) -> usize {
        let shape = self.weight_shape();
        shape.iter().product()
    }

    /// The shape of the weight, in PyTorch's order of axes.
    pub fn weight_shape(&self) -> Vec<usize> {
        let (i, o) = (self.input[0], self.output[0]);
        match self.operation {
            Operation::Conv2d { kernel, .. } => vec![o, i, kernel, kernel],
            Operation::ConvTranspose2d { kernel, .. } => vec![i, o, kernel, kernel],
            Operation::Linear => vec![len(self.output), len(self.input)],
            Operation::BatchNorm2d => vec![o],
        }
    }

    fn bias_len(&self) -> usize {
        if self.operation == Operation::Linear { len(self.output) } else { self.output[0] }
    }
}

/// Appends layers and counts their parameters.
#[derive(Default)]
struct Builder {
    parameters: Vec<Parameter>,
    statistics: Vec<Parameter>,
}

impl Builder {
    fn layer(&mut self, name: &str, operation: Operation, sizes: [Size; 2], relu: bool) -> Layer {
        let mut layer = Layer {
            name: name.to_owned(),
            operation,
            input: sizes[0],
            output: sizes[1],
            relu,
            parameters: 0..0,
            statistics: 0..0,
        };
        let norm = operation == Operation::BatchNorm2d;
        let shape = layer.weight_shape();
        // PyTorch takes the fan-in from a tensor's second axis, also for a transposed convolution.
        let bound = 1.0 / (shape.iter().skip(1).product::<usize>() as f64).sqrt();
        let starts = if norm {
            [Start::Constant(1.0), Start::Constant(0.0)]
        } else {
            [Start::Uniform(bound); 2]
        };
        let bias = vec![layer.bias_len()];
        let weight = push(&mut self.parameters, format!("{name}.weight"), shape, starts[0]);
        let end = push(&mut self.parameters, format!("{name}.bias"), bias.clone(), starts[1]).end;
        layer.parameters = weight.start..end;
        if norm {
            let (zero, one) = (Start::Constant(0.0), Start::Constant(1.0));
            let list = &mut self.statistics;
            let mean = push(list, format!("{name}.running_mean"), bias.clone(), zero);
            let end = push(list, format!("{name}.running_var"), bias, one).end;
            layer.statistics = mean.start..end;
        }
        layer
    }
}

fn push(list: &mut Vec<Parameter>, name: String, shape: Vec<usize>, start: Start) -> Range<usize> {
    let first = list.last().map_or(0, |last| last.range.end);
    let range = first..first + shape.iter().product::<usize>();
    list.push(Parameter { name, shape, start, range: range.clone() });
    range
}

impl Network {
    /// Builds the layers. The encoder has a convolution (padding kernel ÷ 2) and ReLU for each
    /// entry of `channels`, then one linear head or two. The decoder mirrors it: a linear layer and
    /// ReLU, then transposed convolutions (padding kernel ÷ 2, output padding stride − 1), the last
    /// without ReLU and cropped to the size of the input.
    ///
    /// # Panics
    /// If a size is 0 or overflows, or there are no channels.
    pub fn new(architecture: &Architecture) -> Self {
        let Architecture { input: [height, width], channels, kernel, stride, .. } = architecture;
        let (kernel, stride, padding) = (*kernel, *stride, kernel / 2);
        assert!(height * width * kernel * stride * architecture.latent > 0, "BUG: a size of 0");
        assert!(!channels.is_empty() && !channels.contains(&0), "BUG: no channels");
        let sizes = architecture.sizes().expect("BUG: sizes that nobody checked");
        let norm = architecture.batch_norm;
        let mut b = Builder::default();

        let mut size = [1, *height, *width];
        let mut encoder = Vec::new();
        for (at, &next) in sizes.encoder.iter().enumerate() {
            let conv = Operation::Conv2d { kernel, stride, padding };
            let name = at + 1;
            encoder.push(b.layer(&format!("encoder.conv{name}"), conv, [size, next], !norm));
            if norm {
                let name = format!("encoder.norm{name}");
                encoder.push(b.layer(&name, Operation::BatchNorm2d, [next, next], true));
            }
            size = next;
        }
        let latent = [architecture.latent, 1, 1];
        let mean = b.layer("mean", Operation::Linear, [size, latent], false);
        let log_variance = architecture
            .variational
            .then(|| b.layer("log_variance", Operation::Linear, [size, latent], false));
        let mut decoder = vec![b.layer("expand", Operation::Linear, [latent, size], true)];
        for (at, &next) in sizes.decoder.iter().enumerate() {
            let name = at + 1;
            let output_padding = stride - 1;
            let conv = Operation::ConvTranspose2d { kernel, stride, padding, output_padding };
            let last = at + 1 == sizes.decoder.len();
            let relu = !last && !norm;
            decoder.push(b.layer(&format!("decoder.conv{name}"), conv, [size, next], relu));
            if norm && !last {
                let name = format!("decoder.norm{name}");
                decoder.push(b.layer(&name, Operation::BatchNorm2d, [next, next], true));
            }
            size = next;
        }
        Self {
            architecture: architecture.clone(),
            encoder,
            mean,
            log_variance,
            decoder,
            parameters: b.parameters,
            statistics: b.statistics,
        }
    }

    /// The number of trained parameters.
    pub fn parameter_len(&self) -> usize {
        self.parameters.last().map_or(0, |last| last.range.end)
    }

    /// The number of running statistics.
    pub fn statistic_len(&self) -> usize {
        self.statistics.last().map_or(0, |last| last.range.end)
    }

    /// The initial values of the trained tensors: PyTorch's default, weights and biases uniform in
    /// ±1/√fan-in, where the fan-in of a transposed convolution is its output channels × kernel².
    /// The n-th tensor is drawn from the stream (seed, [`Purpose::Weights`], n) in row-major order,
    /// each value from one 53-bit uniform number.
    pub fn initial_parameters(&self, seed: u64) -> Vec<f32> {
        initial(&self.parameters, seed)
    }

    /// The initial running statistics: mean 0, variance 1.
    pub fn initial_statistics(&self) -> Vec<f32> {
        initial(&self.statistics, 0)
    }

    /// Joins named tensors into flat parameters and statistics; `None` if one is missing, has another
    /// shape, or has a number that is not finite.
    pub fn join_tensors(&self, tensors: &Tensors) -> Option<(Vec<f32>, Vec<f32>)> {
        let flat = |list: &[Parameter]| {
            let own = list.iter().map(|p| tensors.get(&p.name).filter(|it| it.shape == p.shape));
            let own: Vec<&Tensor> = own.collect::<Option<_>>()?;
            let values: Vec<f32> = own.into_iter().flat_map(|it| &it.values).copied().collect();
            values.iter().all(|value| value.is_finite()).then_some(values)
        };
        Some((flat(&self.parameters)?, flat(&self.statistics)?))
    }

    /// Splits flat parameters and statistics into named tensors.
    pub fn to_tensors(&self, parameters: &[f32], statistics: &[f32]) -> Tensors {
        let named = |list: &[Parameter], values: &[f32]| -> Vec<(String, Tensor)> {
            let tensor = |p: &Parameter| Tensor {
                shape: p.shape.clone(),
                values: values[p.range.clone()].to_vec(),
            };
            list.iter().map(|p| (p.name.clone(), tensor(p))).collect()
        };
        let mut all = named(&self.parameters, parameters);
        all.extend(named(&self.statistics, statistics));
        all.into_iter().collect()
    }
}

fn initial(list: &[Parameter], seed: u64) -> Vec<f32> {
    let mut values = Vec::new();
    for (index, parameter) in list.iter().enumerate() {
        let mut random = Random::new(seed, Purpose::Weights, index as u32);
        values.extend(parameter.range.clone().map(|_| match parameter.start {
            Start::Uniform(bound) => random.between(-bound, bound) as f32,
            Start::Constant(value) => value,
        }));
    }
    values
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failure stops the test")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_default_network_has_the_sizes_and_names_of_the_paper() {
        let network = Network::new(&Architecture::published(true));
        let sizes: Vec<Size> = network.encoder.iter().map(|layer| layer.output).collect();
        assert_eq!(sizes, [[32, 64, 65], [64, 32, 33], [128, 16, 17]]);
        let sizes: Vec<Size> = network.decoder.iter().map(|layer| layer.output).collect();
        assert_eq!(sizes, [[128, 16, 17], [64, 32, 34], [32, 64, 68], [1, 128, 130]]);
        let names: Vec<&str> = network.parameters.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(
            names[6..10],
            ["mean.weight", "mean.bias", "log_variance.weight", "log_variance.bias"]
        );
        assert_eq!(network.parameter_len(), 3_562_433);
        let start = network.initial_parameters(0);
        assert!(start[..288].iter().all(|w| w.abs() <= 1.0 / 3.0));
        assert_ne!(start, network.initial_parameters(1));
    }

    proptest! {
        #[test]
        fn the_decoder_always_covers_the_input(
            (height, width, kernel, stride) in (1..40usize, 1..40usize, 1..6usize, 1..4usize),
            depth in 1..4usize, batch_norm: bool,
        ) {
            let channels = vec![2; depth];
            let architecture = Architecture {
                input: [height, width], channels, kernel, stride, batch_norm,
                ..Architecture::published(true)
            };
            let network = Network::new(&architecture);
            let last = network.decoder.last().unwrap();
            let grown = |n: usize| (n - 1) * stride + kernel + stride - 1 - 2 * (kernel / 2);
            prop_assert!(grown(last.input[1]) >= height && grown(last.input[2]) >= width);
            for pair in network.encoder.windows(2).chain(network.decoder.windows(2)) {
                prop_assert_eq!(pair[0].output, pair[1].input);
                prop_assert!(pair[1].output_len() > 0);
            }
        }
    }
}
