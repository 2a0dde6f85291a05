//! Convolution and transposed convolution on one image, forward and backward, with bias and ReLU.
//!
//! With the patch geometry of [`Patches`], gathered matrix G and weight W (narrow channels ×
//! wide channels·kernel²; PyTorch's layout for both layers):
//!
//! | | convolution | transposed |
//! |---|---|---|
//! | forward | narrow = W·G(wide) | wide = scatter(Wᵀ·narrow) |
//! | gradient of the input | scatter(Wᵀ·d narrow) | W·G(d wide) |
//! | gradient of the weight | d narrow·G(wide)ᵀ | narrow·G(d wide)ᵀ |

use super::layers::{Layer, Operation};
use super::patches::Patches;
use crate::math::matmul::{Matrix, multiply, multiply_into};

/// A convolution of either kind, ready to run.
#[derive(Clone, Debug)]
pub struct Conv {
    patches: Patches,
    narrow_channels: usize,
    transposed: bool,
    relu: bool,
    weights: usize,
}

/// The scratch buffers of the kernels, reused between calls.
#[derive(Default)]
pub struct Scratch {
    planes: Vec<f32>,
    matrix: Vec<f32>,
    grid: Vec<f32>,
}

fn room(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

impl Conv {
    /// The kernels of a layer; `None` unless it is a convolution or a transposed one.
    pub fn new(layer: &Layer) -> Option<Self> {
        let (kernel, stride, padding, transposed) = match layer.operation {
            Operation::Conv2d { kernel, stride, padding } => (kernel, stride, padding, false),
            Operation::ConvTranspose2d { kernel, stride, padding, .. } => {
                (kernel, stride, padding, true)
            }
            Operation::Linear | Operation::BatchNorm2d => return None,
        };
        let sides = [layer.input, layer.output];
        let [wide, narrow] = if transposed { [sides[1], sides[0]] } else { sides };
        let patches = Patches {
            channels: wide[0],
            wide: [wide[1], wide[2]],
            narrow: [narrow[1], narrow[2]],
            kernel,
            stride,
            padding,
        };
        let weights = narrow[0] * patches.taps();
        Some(Self { patches, narrow_channels: narrow[0], transposed, relu: layer.relu, weights })
    }

    /// The number of input values of an image.
    pub fn input_len(&self) -> usize {
        if self.transposed { self.narrow_len() } else { self.patches.wide_len() }
    }

    /// The number of output values of an image.
    pub fn output_len(&self) -> usize {
        if self.transposed { self.patches.wide_len() } else { self.narrow_len() }
    }

    /// The number of values in weight and bias.
    pub fn parameter_len(&self) -> usize {
        self.weights + if self.transposed { self.patches.channels } else { self.narrow_channels }
    }

    fn narrow_len(&self) -> usize {
        self.narrow_channels * self.patches.narrow_area()
    }

    fn weight<'a>(&self, parameters: &'a [f32]) -> Matrix<'a, f32> {
        Matrix::new(&parameters[..self.weights], self.patches.taps())
    }

    /// Computes the output from the input; parameters are weight, then bias.
    pub fn forward(&self, parameters: &[f32], input: &[f32], output: &mut [f32], at: &mut Scratch) {
        let (p, bias) = (&self.patches, &parameters[self.weights..]);
        let (taps, area) = (p.taps(), p.grid_area());
        let planes = room(&mut at.planes, p.planes_len());
        let matrix = room(&mut at.matrix, taps * area);
        let grid = room(&mut at.grid, self.narrow_channels * area);
        let weight = self.weight(parameters);
        if self.transposed {
            p.spread(input, grid);
            multiply(matrix, weight.transposed(), Matrix::new(grid, area), false);
            p.scatter(matrix, planes);
            p.merge(planes, Some(bias), self.relu, output);
        } else {
            p.split(p.plain(input), planes);
            self.product(weight, planes, matrix, grid);
            p.close(grid, Some(bias), self.relu, output);
        }
    }

    /// Computes the grid W·G in tiles of columns, so that they stay in the cache between gathering
    /// and multiplication.
    fn product(
        &self,
        weight: Matrix<'_, f32>,
        planes: &[f32],
        matrix: &mut [f32],
        grid: &mut [f32],
    ) {
        const CACHED: usize = 1 << 16;
        // The kernels of `gemm` have this width or a divisor of it.
        const TILE: usize = 48;
        let (p, taps, area) = (&self.patches, self.patches.taps(), self.patches.grid_area());
        let parts = (taps * area).div_ceil(CACHED);
        let step = area.div_ceil(parts).next_multiple_of(TILE);
        for start in (0..area).step_by(step) {
            let columns = start..area.min(start + step);
            let matrix = &mut matrix[..taps * columns.len()];
            p.gather(planes, columns.clone(), matrix);
            let gathered = Matrix::new(matrix, columns.len());
            multiply_into(weight, gathered, false, &mut grid[start..], area);
        }
    }

    /// True if the layer is a convolution, false if it is a transposed one.
    pub fn narrows(&self) -> bool {
        !self.transposed
    }

    /// Computes the gradients of the input (if wanted) and of the parameters from that of the
    /// output. `d_output` is overwritten with the gradient before ReLU. `d_parameters` accumulates
    /// over calls in a layout of its own; [`Conv::add_gradients`] converts it.
    #[expect(clippy::too_many_arguments, reason = "three pairs of value and gradient")]
    pub fn backward(
        &self,
        parameters: &[f32],
        input: &[f32],
        output: &[f32],
        d_output: &mut [f32],
        d_input: Option<&mut [f32]>,
        d_parameters: &mut [f32],
        at: &mut Scratch,
    ) {
        if self.relu {
            mask(output, d_output);
        }
        let p = &self.patches;
        let (d_weight, d_bias) = d_parameters.split_at_mut(self.weights);
        let channels = d_output.chunks_exact(d_output.len() / d_bias.len());
        d_bias.iter_mut().zip(channels).for_each(|(sum, channel)| *sum += total(channel));

        let (wide, narrow) =
            if self.transposed { (&*d_output, input) } else { (input, &*d_output) };
        let (taps, area, channels) = (p.taps(), p.grid_area(), self.narrow_channels);
        let planes = room(&mut at.planes, p.planes_len());
        let matrix = room(&mut at.matrix, taps * area);
        let grid = room(&mut at.grid, channels * area);
        p.split(p.plain(wide), planes);
        p.gather(planes, 0..area, matrix);
        p.spread(narrow, grid);
        // Taps × channels: this orientation needs less packing for the product.
        let rows = Matrix::new(matrix, area);
        multiply(d_weight, rows, Matrix::new(grid, area).transposed(), true);
        let (Some(d_input), weight) = (d_input, self.weight(parameters)) else { return };
        if self.transposed {
            multiply(grid, weight, Matrix::new(matrix, area), false);
            p.close(grid, None, false, d_input);
        } else {
            multiply(matrix, weight.transposed(), Matrix::new(grid, area), false);
            p.scatter(matrix, planes);
            p.merge(planes, None, false, d_input);
        }
    }

    /// Adds the gradients accumulated by [`Conv::backward`] to those of weight and bias.
    pub fn add_gradients(&self, collected: &[f32], d_parameters: &mut [f32]) {
        let (taps, channels) = (self.patches.taps(), self.narrow_channels);
        let (d_weight, d_bias) = d_parameters.split_at_mut(self.weights);
        for (channel, d_weight) in d_weight.chunks_exact_mut(taps).enumerate() {
            let column = collected[channel..].iter().step_by(channels);
            d_weight.iter_mut().zip(column).for_each(|(d, sum)| *d += *sum);
        }
        let bias = &collected[self.weights..];
        d_bias.iter_mut().zip(bias).for_each(|(d, sum)| *d += *sum);
    }
}

/// Runs [`Conv::forward`] of several convolutions (none transposed) in sequence. Only the last
/// output is written; those in between never become whole images.
pub fn chain(
    convs: &[Conv],
    parameters: &[f32],
    input: &[f32],
    output: &mut [f32],
    at: &mut Scratch,
) {
    let mut rest = parameters;
    let mut before: Option<(&Conv, &[f32])> = None;
    for conv in convs {
        let p = &conv.patches;
        let (own, after) = rest.split_at(conv.parameter_len());
        let (taps, area) = (p.taps(), p.grid_area());
        let planes = room(&mut at.planes, p.planes_len());
        let wide = match before {
            Some((before, bias)) => before.patches.image(&at.grid, bias, before.relu),
            None => p.plain(input),
        };
        p.split(wide, planes);
        let matrix = room(&mut at.matrix, taps * area);
        let grid = room(&mut at.grid, conv.narrow_channels * area);
        conv.product(conv.weight(own), planes, matrix, grid);
        (before, rest) = (Some((conv, &own[conv.weights..])), after);
    }
    if let Some((last, bias)) = before {
        last.patches.close(&at.grid, Some(bias), last.relu, output);
    }
}

/// Applies the gradient of ReLU: sets the gradient to 0 where the output is 0.
pub fn mask(output: &[f32], gradient: &mut [f32]) {
    dispatch!(mask_avx512, mask_avx2, mask_plain, (output, gradient))
}

/// The sum of all numbers, taken in sixteen interleaved sums.
pub fn total(values: &[f32]) -> f32 {
    dispatch!(total_avx512, total_avx2, total_plain, (values))
}

versions!(mask_body, mask_avx512, mask_avx2, mask_plain, [], (output: &[f32], gradient: &mut [f32]));
versions!(total_body, total_avx512, total_avx2, total_plain, [], (values: &[f32]) -> f32);

#[inline(always)]
fn mask_body(output: &[f32], gradient: &mut [f32]) {
    for (gradient, output) in gradient.iter_mut().zip(output) {
        *gradient = if *output > 0.0 { *gradient } else { 0.0 };
    }
}

#[inline(always)]
fn total_body(values: &[f32]) -> f32 {
    let (blocks, rest) = values.as_chunks::<16>();
    let mut sums = [0.0_f32; 16];
    for block in blocks {
        sums.iter_mut().zip(block).for_each(|(sum, value)| *sum += value);
    }
    sums.iter().chain(rest).sum()
}

#[cfg(test)]
mod tests {
    use super::super::patches::tests::{for_each_connection, geometries};
    use super::*;
    use proptest::prelude::*;

    /// The layer by its definition, in double precision, on any wide and narrow values.
    struct Oracle<'a>(&'a Conv, Vec<[usize; 3]>);

    impl<'a> Oracle<'a> {
        fn new(conv: &'a Conv) -> Self {
            let (p, mut terms) = (&conv.patches, Vec::new());
            for_each_connection(p, |tap, pixel, wide| {
                for c in 0..conv.narrow_channels {
                    terms.push([c * p.taps() + tap, wide, c * p.narrow_area() + pixel]);
                }
            });
            Self(conv, terms)
        }

        fn forward(&self, parameters: &[f64], input: &[f64]) -> Vec<f64> {
            let mut out = self.before_relu(parameters, input);
            if self.0.relu {
                out.iter_mut().for_each(|x| *x = x.max(0.0));
            }
            out
        }

        fn before_relu(&self, parameters: &[f64], input: &[f64]) -> Vec<f64> {
            let conv = self.0;
            let p = &conv.patches;
            let area = if conv.transposed { p.wide[0] * p.wide[1] } else { p.narrow_area() };
            let mut out: Vec<f64> =
                (0..conv.output_len()).map(|at| parameters[conv.weights + at / area]).collect();
            for &[weight, wide, narrow] in &self.1 {
                let (from, to) = if conv.transposed { (narrow, wide) } else { (wide, narrow) };
                out[to] += parameters[weight] * input[from];
            }
            out
        }
    }

    fn close(got: &[f32], expected: &[f64]) -> Result<(), TestCaseError> {
        let scale = expected.iter().fold(1e-3_f64, |most, x| most.max(x.abs()));
        for (got, expected) in got.iter().zip(expected) {
            prop_assert!((f64::from(*got) - expected).abs() < 1e-4 * scale, "{got} {expected}");
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn forward_and_gradients_agree_with_the_definition_and_finite_differences(
            patches in geometries(), narrow_channels in 1..4usize, transposed: bool, relu: bool,
            seed: u64,
        ) {
            let weights = narrow_channels * patches.taps();
            let conv = Conv { patches, narrow_channels, transposed, relu, weights };
            let mut random = crate::math::random::Random::new(
                seed, crate::math::random::Purpose::Null, 0);
            let mut draw = |n: usize| -> Vec<f64> {
                (0..n).map(|_| f64::from(random.between(-1.0, 1.0) as f32)).collect()
            };
            let channels = if transposed { patches.channels } else { narrow_channels };
            let (parameters, input, weight_of_output) =
                (draw(weights + channels), draw(conv.input_len()), draw(conv.output_len()));
            let single = |x: &[f64]| -> Vec<f32> { x.iter().map(|x| *x as f32).collect() };
            let oracle = Oracle::new(&conv);
            let expected = oracle.forward(&parameters, &input);

            let mut room = Scratch::default();
            let mut output = vec![f32::NAN; conv.output_len()];
            conv.forward(&single(&parameters), &single(&input), &mut output, &mut room);
            close(&output, &expected)?;

            // Finite differences of Σ weight_of_output · output, with all values far from the bend
            // of ReLU.
            let before = oracle.before_relu(&parameters, &input);
            prop_assume!(!relu || before.iter().all(|x| x.abs() > 1e-3));
            let loss = |parameters: &[f64], input: &[f64]| -> f64 {
                let out = oracle.forward(parameters, input);
                out.iter().zip(&weight_of_output).map(|(x, w)| x * w).sum()
            };
            let slope = |values: &[f64], f: &dyn Fn(&[f64]) -> f64| -> Vec<f64> {
                (0..values.len()).map(|at| {
                    let moved = |by: f64| {
                        let mut values = values.to_vec();
                        values[at] += by;
                        f(&values)
                    };
                    (moved(1e-4) - moved(-1e-4)) / 2e-4
                }).collect()
            };
            let mut d_output = single(&weight_of_output);
            let mut d_input = vec![f32::NAN; conv.input_len()];
            let mut collected = vec![0.0; parameters.len()];
            let mut d_parameters = collected.clone();
            conv.backward(&single(&parameters), &single(&input), &output, &mut d_output,
                Some(&mut d_input), &mut collected, &mut room);
            conv.add_gradients(&collected, &mut d_parameters);
            close(&d_input, &slope(&input, &|input| loss(&parameters, input)))?;
            close(&d_parameters, &slope(&parameters, &|parameters| loss(parameters, &input)))?;
        }
    }
}
