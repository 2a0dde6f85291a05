//! Batch normalisation of images, as PyTorch's `BatchNorm2d`, with ReLU.
//!
//! For each channel, over batch and pixels: y = γ·(x − μ)/√(σ² + ε) + β with ε = 1e-5. In training
//! μ and σ² are the mean and the biased variance of the batch; otherwise they are the running mean
//! and (unbiased) variance, which move by a tenth with each batch in training.

use super::conv::mask;
use super::rows::Rows;
use rayon::prelude::*;

/// The constant ε.
pub const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// The sizes of a normalisation.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// The number of channels of the image.
    pub channels: usize,
    /// The number of pixels in a channel.
    pub area: usize,
    /// True if negative outputs become 0.
    pub relu: bool,
}

/// The normalisation of a batch: for each channel the mean and 1/√(σ² + ε).
pub type Scale = Vec<[f64; 2]>;

impl Norm {
    /// Sums over batch and pixels for each channel, image by image in order.
    fn sums(&self, batch: usize, term: impl Fn(usize, usize, usize) -> [f64; 2] + Sync) -> Scale {
        let images: Vec<Scale> = (0..batch)
            .into_par_iter()
            .map(|image| {
                let channel = |c: usize| {
                    (0..self.area).fold([0.0; 2], |sum, pixel| {
                        let [a, b] = term(image, c, c * self.area + pixel);
                        [sum[0] + a, sum[1] + b]
                    })
                };
                (0..self.channels).map(channel).collect()
            })
            .collect();
        let mut sums = vec![[0.0; 2]; self.channels];
        for image in images {
            for (sum, part) in sums.iter_mut().zip(image) {
                *sum = [sum[0] + part[0], sum[1] + part[1]];
            }
        }
        sums
    }

    /// The mean and scale of this batch; `statistics` (means, then variances) move towards them.
    pub fn measure(&self, input: Rows<'_>, batch: usize, statistics: &mut [f32]) -> Scale {
        let count = (batch * self.area) as f64;
        let sums = self.sums(batch, |image, _, at| [f64::from(input.row(image)[at]), 0.0]);
        let means: Vec<f64> = sums.iter().map(|sum| sum[0] / count).collect();
        let squares = self.sums(batch, |image, c, at| {
            [(f64::from(input.row(image)[at]) - means[c]).powi(2), 0.0]
        });
        let (running_mean, running_variance) = statistics.split_at_mut(self.channels);
        let mut scale = Vec::with_capacity(self.channels);
        for c in 0..self.channels {
            let variance = squares[c][0] / count;
            scale.push([means[c], 1.0 / (variance + EPSILON).sqrt()]);
            let unbiased = if count > 1.0 { squares[c][0] / (count - 1.0) } else { variance };
            for (running, new) in
                [(&mut running_mean[c], means[c]), (&mut running_variance[c], unbiased)]
            {
                *running = (f64::from(*running) * (1.0 - MOMENTUM) + new * MOMENTUM) as f32;
            }
        }
        scale
    }

    /// The mean and scale from the running statistics.
    pub fn running_scale(&self, statistics: &[f32]) -> Scale {
        let (means, variances) = statistics.split_at(self.channels);
        let both = means.iter().zip(variances);
        both.map(|(m, v)| [f64::from(*m), 1.0 / (f64::from(*v) + EPSILON).sqrt()]).collect()
    }

    /// Normalises one image; parameters are γ, then β.
    pub fn forward(&self, parameters: &[f32], scale: &Scale, input: &[f32], output: &mut [f32]) {
        let (gamma, beta) = parameters.split_at(self.channels);
        let least = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        let channels = output.chunks_exact_mut(self.area).zip(input.chunks_exact(self.area));
        for (c, (output, input)) in channels.enumerate() {
            let factor = f64::from(gamma[c]) * scale[c][1];
            let offset = (f64::from(beta[c]) - scale[c][0] * factor) as f32;
            for (y, x) in output.iter_mut().zip(input) {
                let value = x * factor as f32 + offset;
                *y = if value < least { least } else { value };
            }
        }
    }

    /// Replaces the gradient of the output by that of the input, and returns that of the
    /// parameters.
    pub fn backward(
        &self,
        parameters: &[f32],
        scale: &Scale,
        input: Rows<'_>,
        output: Rows<'_>,
        gradient: &mut [f32],
        d_parameters: &mut [f32],
    ) {
        let len = self.channels * self.area;
        let batch = gradient.len() / len;
        if self.relu {
            let images = gradient.par_chunks_exact_mut(len).enumerate();
            images.for_each(|(image, gradient)| mask(output.row(image), gradient));
        }
        let unit = |c: usize, x: f32| (f64::from(x) - scale[c][0]) * scale[c][1];
        let sums = self.sums(batch, |image, c, at| {
            let d = f64::from(gradient[image * len + at]);
            [d * unit(c, input.row(image)[at]), d]
        });
        for (c, sum) in sums.iter().enumerate() {
            d_parameters[c] += sum[0] as f32;
            d_parameters[self.channels + c] += sum[1] as f32;
        }
        let count = (batch * self.area) as f64;
        gradient.par_chunks_exact_mut(len).enumerate().for_each(|(image, gradient)| {
            for (at, (d, x)) in gradient.iter_mut().zip(input.row(image)).enumerate() {
                let c = at / self.area;
                let even = (sums[c][1] + unit(c, *x) * sums[c][0]) / count;
                *d = (f64::from(parameters[c]) * scale[c][1] * (f64::from(*d) - even)) as f32;
            }
        });
    }
}
