//! The layout of the parameters of a network in the memory of a device.
//!
//! Networks have the order of PyTorch: channels before taps and pixels. On a device the channels of a tap or a pixel are
//! neighbours, as those of images are, so that one instruction reads several; and each tensor begins at a multiple of
//! sixteen bytes, also where numbers have two.

use super::super::layers::{Layer, Network, Operation, Size};

/// Tensors begin at multiples of so many numbers, of which sixteen bytes hold as many at most.
const ALIGNED: usize = 8;

/// The place of each parameter of a network.
#[derive(Clone, Debug)]
pub struct ParameterLayout {
    at: Vec<u32>,
    len: usize,
}

impl ParameterLayout {
    /// The layout of a network's parameters.
    pub fn new(network: &Network) -> Self {
        let heads = [Some(&network.mean), network.log_variance.as_ref()].into_iter().flatten();
        let layers = network.encoder.iter().chain(heads).chain(&network.decoder);
        let mut made = Self { at: vec![0; network.parameter_len()], len: 0 };
        for layer in layers {
            made.weight(layer);
            made.bias(layer);
        }
        made.align();
        made
    }

    /// The numbers of a buffer for the parameters, of which some belong to none.
    pub fn device_len(&self) -> usize {
        self.len
    }

    /// The places of a layer's weight and bias, which each have their first number first.
    pub fn of(&self, layer: &Layer) -> [usize; 2] {
        let bias = layer.parameters.start + layer.weight_len();
        [layer.parameters.start, bias].map(|parameter| self.at[parameter] as usize)
    }

    /// The numbers of a device's buffer for these parameters.
    pub fn scatter(&self, parameters: &[f32]) -> Vec<f32> {
        let mut placed = vec![0.0; self.len];
        self.at.iter().zip(parameters).for_each(|(at, value)| placed[*at as usize] = *value);
        placed
    }

    /// The parameters in a device's buffer.
    pub fn gather(&self, placed: &[f32]) -> Vec<f32> {
        self.at.iter().map(|at| placed[*at as usize]).collect()
    }

    /// Puts a tensor of `[rows, channels, pixels]` and `columns`, which has them in this order, at the end: there pixels come
    /// before channels.
    fn push(&mut self, start: usize, [rows, channels, pixels]: Size, columns: usize) {
        for row in 0..rows {
            for (channel, pixel) in (0..channels).flat_map(|c| (0..pixels).map(move |p| (c, p))) {
                for column in 0..columns {
                    let from = ((row * channels + channel) * pixels + pixel) * columns + column;
                    let to = ((row * pixels + pixel) * channels + channel) * columns + column;
                    self.at[start + from] = (self.len + to) as u32;
                }
            }
        }
        self.len += rows * channels * pixels * columns;
    }

    fn align(&mut self) {
        self.len = self.len.next_multiple_of(ALIGNED);
    }

    fn weight(&mut self, layer: &Layer) {
        self.align();
        let start = layer.parameters.start;
        let area = |size: Size| size[1] * size[2];
        let (input, output) = (layer.input, layer.output);
        match layer.operation {
            Operation::Conv2d { .. } | Operation::ConvTranspose2d { .. } => {
                let shape = layer.weight_shape();
                self.push(start, [shape[0], shape[1], shape[2] * shape[3]], 1);
            }
            Operation::Linear if area(output) > 1 => {
                self.push(start, [1, output[0], area(output)], layer.input_len());
            }
            Operation::Linear => {
                self.push(start, [layer.output_len(), input[0], area(input)], 1);
            }
            Operation::BatchNorm2d => self.push(start, [1, output[0], 1], 1),
        }
    }

    fn bias(&mut self, layer: &Layer) {
        let start = layer.parameters.start + layer.weight_len();
        let [channels, height, width] = layer.output;
        match layer.operation {
            Operation::Linear => {
                self.align();
                self.push(start, [1, channels, height * width], 1);
            }
            Operation::Conv2d { .. } | Operation::ConvTranspose2d { .. } => {
                self.align();
                self.push(start, [1, channels, 1], 1);
            }
            // The kernels of a normalisation read its bias behind its weight.
            Operation::BatchNorm2d => self.push(start, [1, channels, 1], 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::layers::Architecture;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_parameter_has_a_place_of_its_own(
            (height, width, depth, latent) in (1..7usize, 1..7usize, 1..4usize, 1..6usize),
            batch_norm: bool, variational: bool,
        ) {
            let network = Network::new(&Architecture {
                input: [height, width],
                channels: (1..=depth).map(|n| 2 * n + 1).collect(),
                kernel: 3,
                stride: 2,
                batch_norm,
                latent,
                variational,
            });
            let layout = ParameterLayout::new(&network);
            let parameters: Vec<f32> = (1..=network.parameter_len()).map(|n| n as f32).collect();
            let placed = layout.scatter(&parameters);
            prop_assert_eq!(placed.len(), layout.device_len());
            prop_assert_eq!(layout.gather(&placed), parameters.clone());
            let used = placed.iter().filter(|x| **x > 0.0).count();
            prop_assert_eq!(used, parameters.len());
            for layer in network.encoder.iter().chain(&network.decoder) {
                let [weight, bias] = layout.of(layer);
                prop_assert_eq!(weight % ALIGNED, 0);
                prop_assert_eq!(placed[weight], parameters[layer.parameters.start]);
                let first = layer.parameters.start + layer.weight_len();
                prop_assert_eq!(placed[bias], parameters[first]);
            }
        }
    }
}
