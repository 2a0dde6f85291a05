//! Stages: groups of layers that run over a batch together, with the values that their gradients
//! need.
//!
//! Consecutive convolutions form one stage: each image passes through all of them while it is in
//! the cache. Gradients of parameters are summed within a fixed number of parts of the batch and
//! then over the parts in order, so that they do not depend on the number of threads.

use super::conv::{Conv, Scratch, chain, mask};
use super::layers::{Layer, Operation};
use super::norm::{Norm, Scale};
use super::rows::Rows;
use crate::math::matmul::{Matrix, multiply_parallel, read_in_place};
use rayon::prelude::*;
use std::{cell::RefCell, ops::Range};

/// The number of parts of a batch whose gradients are summed separately.
const PARTS: usize = 16;

/// Layers that run together.
pub struct Stage {
    work: Work,
    /// The range of the parameters among those of the network.
    pub parameters: Range<usize>,
    /// The range of the statistics among those of the network.
    pub statistics: Range<usize>,
    /// The number of input values for each row.
    pub input_len: usize,
    /// The number of output values for each row.
    pub output_len: usize,
    /// The number of values that all its layers give for each row.
    record: usize,
    /// The number of values stored for each row: the record in training, the output otherwise.
    kept: usize,
    values: Vec<f32>,
    /// The weight of a dense layer, transposed; empty until it is needed.
    transposed: Vec<f32>,
}

enum Work {
    Images(Vec<Conv>),
    Dense { relu: bool },
    Norm(Norm, Scale),
}

/// The scratch buffers of one thread.
#[derive(Default)]
struct StageScratch {
    room: Scratch,
    spare: Vec<f32>,
}

impl StageScratch {
    /// A buffer for `len` numbers, with the scratch buffers of the kernels.
    fn split(&mut self, len: usize) -> (&mut Scratch, &mut [f32]) {
        if self.spare.len() < len {
            self.spare.resize(len, 0.0);
        }
        (&mut self.room, &mut self.spare[..len])
    }
}

thread_local! {
    static SCRATCH: RefCell<StageScratch> = RefCell::default();
}

/// Groups consecutive layers into stages.
pub fn stages(layers: &[Layer]) -> Vec<Stage> {
    read_in_place();
    let mut stages: Vec<Stage> = Vec::new();
    for layer in layers {
        let (input_len, output_len) = (layer.input_len(), layer.output_len());
        let relu = layer.relu;
        let work = match (layer.operation, Conv::new(layer), stages.last_mut()) {
            (_, Some(conv), Some(Stage { work: Work::Images(convs), .. })) => {
                convs.push(conv);
                let stage = stages.last_mut().expect("just matched");
                stage.parameters.end = layer.parameters.end;
                stage.output_len = output_len;
                stage.record += output_len;
                continue;
            }
            (_, Some(conv), _) => Work::Images(vec![conv]),
            (Operation::BatchNorm2d, ..) => {
                let channels = layer.output[0];
                Work::Norm(Norm { channels, area: output_len / channels, relu }, Scale::new())
            }
            _ => Work::Dense { relu },
        };
        stages.push(Stage {
            work,
            parameters: layer.parameters.clone(),
            statistics: layer.statistics.clone(),
            input_len,
            output_len,
            record: output_len,
            kept: output_len,
            values: Vec::new(),
            transposed: Vec::new(),
        });
    }
    stages
}

impl Stage {
    /// Drops values derived from parameters that are about to change.
    pub fn forget(&mut self) {
        self.transposed.clear();
    }

    /// The output for each row of the batch.
    pub fn output(&self) -> Rows<'_> {
        Rows::at_end(&self.values, self.kept, self.output_len)
    }

    /// Runs the layers on `batch` rows. In training, batch normalisation uses the statistics of the
    /// batch and updates `statistics`; otherwise it uses `statistics`.
    pub fn forward(
        &mut self,
        parameters: &[f32],
        statistics: &mut [f32],
        training: bool,
        input: Rows<'_>,
        batch: usize,
        partials: &mut Vec<f32>,
    ) {
        let (parameters, len) = (&parameters[self.parameters.clone()], self.output_len);
        self.kept = if training { self.record } else { len };
        if self.values.len() < batch * self.kept {
            self.values.resize(batch * self.kept, 0.0);
        }
        let values = &mut self.values[..batch * self.kept];
        let images = values.par_chunks_exact_mut(self.kept).enumerate();
        let passing = self.record - self.kept;
        match &mut self.work {
            Work::Images(convs) => images.for_each(|(image, kept)| {
                SCRATCH.with_borrow_mut(|scratch| {
                    if !training && convs.iter().all(Conv::narrows) {
                        return chain(convs, parameters, input.row(image), kept, &mut scratch.room);
                    }
                    // Values that are not stored go through a buffer that stays in the cache.
                    let (room, mut passing) = scratch.split(passing);
                    let (mut input, mut kept, mut left) = (input.row(image), kept, parameters);
                    for (at, conv) in convs.iter().enumerate() {
                        let keep = training || at + 1 == convs.len();
                        let place = if keep { &mut kept } else { &mut passing };
                        let (output, rest) = std::mem::take(place).split_at_mut(conv.output_len());
                        *place = rest;
                        conv.forward(left, input, output, room);
                        (input, left) = (output, &left[conv.parameter_len()..]);
                    }
                });
            }),
            Work::Dense { relu } => {
                let (weight, bias) = parameters.split_at(len * self.input_len);
                let weight = if self.input_len > len {
                    // Long rows, far apart, are slow to pack for the product; transposed ones are
                    // not.
                    if self.transposed.is_empty() {
                        transpose(weight, self.input_len, &mut self.transposed);
                    }
                    Matrix::new(&self.transposed, len)
                } else {
                    Matrix::new(weight, self.input_len).transposed()
                };
                multiply_parallel(input.matrix(batch), weight, false, values, len, partials);
                let least = if *relu { 0.0 } else { f32::NEG_INFINITY };
                values.par_chunks_exact_mut(len).for_each(|row| {
                    for (value, bias) in row.iter_mut().zip(bias) {
                        let sum = *value + bias;
                        *value = if sum < least { least } else { sum };
                    }
                });
            }
            Work::Norm(norm, scale) => {
                let statistics = &mut statistics[self.statistics.clone()];
                *scale = if training {
                    norm.measure(input, batch, statistics)
                } else {
                    norm.running_scale(statistics)
                };
                images.for_each(|(image, output)| {
                    norm.forward(parameters, scale, input.row(image), output);
                });
            }
        }
    }

    /// Computes the gradients of the parameters and of the input from that of the output, which is
    /// overwritten. Those of the parameters are added at their positions among those of the
    /// network; that of the input is optional, and added if `add` is set.
    #[expect(clippy::too_many_arguments, reason = "values and gradients of three things")]
    pub fn backward(
        &self,
        parameters: &[f32],
        input: Rows<'_>,
        batch: usize,
        d_output: &mut [f32],
        d_input: Option<&mut [f32]>,
        add: bool,
        d_parameters: &mut [f32],
        partials: &mut Vec<f32>,
    ) {
        let parameters = &parameters[self.parameters.clone()];
        let d_parameters = &mut d_parameters[self.parameters.clone()];
        match &self.work {
            Work::Images(convs) => {
                self.images_backward(convs, parameters, input, d_output, d_input, partials);
                let (sum, parts) = partials.split_at_mut(d_parameters.len());
                sum.par_chunks_mut(4096).enumerate().for_each(|(block, sum)| {
                    for part in parts.chunks_exact(d_parameters.len()) {
                        let part = &part[block * 4096..];
                        sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += *part);
                    }
                });
                let (mut sum, mut rest) = (&*sum, d_parameters);
                for conv in convs {
                    let (own, more) = rest.split_at_mut(conv.parameter_len());
                    conv.add_gradients(sum, own);
                    (sum, rest) = (&sum[own.len()..], more);
                }
            }
            Work::Dense { relu } => {
                let len = self.output_len;
                if *relu {
                    let rows = d_output.par_chunks_exact_mut(len).enumerate();
                    rows.for_each(|(at, gradient)| mask(self.output().row(at), gradient));
                }
                let (d_weight, d_bias) = d_parameters.split_at_mut(len * self.input_len);
                d_bias.par_chunks_mut(1024).enumerate().for_each(|(block, sum)| {
                    for row in d_output.chunks_exact(len) {
                        let row = &row[block * 1024..];
                        sum.iter_mut().zip(row).for_each(|(sum, d)| *sum += *d);
                    }
                });
                let (width, d) = (self.input_len, Matrix::new(d_output, len));
                multiply_parallel(
                    d.transposed(),
                    input.matrix(batch),
                    true,
                    d_weight,
                    width,
                    partials,
                );
                if let Some(d_input) = d_input {
                    let weight = Matrix::new(&parameters[..len * width], width);
                    multiply_parallel(d, weight, add, d_input, width, partials);
                }
            }
            Work::Norm(norm, scale) => {
                norm.backward(parameters, scale, input, self.output(), d_output, d_parameters);
                if let Some(d_input) = d_input {
                    d_input.copy_from_slice(d_output);
                }
            }
        }
    }

    fn images_backward(
        &self,
        convs: &[Conv],
        parameters: &[f32],
        input: Rows<'_>,
        d_output: &mut [f32],
        d_input: Option<&mut [f32]>,
        partials: &mut Vec<f32>,
    ) {
        let batch = d_output.len() / self.output_len;
        let images = batch.div_ceil(PARTS);
        partials.clear();
        partials.resize(batch.div_ceil(images) * parameters.len(), 0.0);
        let mut inputs: Vec<Option<&mut [f32]>> = match d_input {
            Some(all) => all.chunks_mut(images * self.input_len).map(Some).collect(),
            None => Vec::new(),
        };
        inputs.resize_with(batch.div_ceil(images), || None);
        let parts = partials
            .par_chunks_exact_mut(parameters.len())
            .zip(d_output.par_chunks_mut(images * self.output_len))
            .zip(inputs);
        parts.enumerate().for_each(|(part, ((d_parameters, d_output), mut d_input))| {
            for (at, d_output) in d_output.chunks_exact_mut(self.output_len).enumerate() {
                let d_input =
                    d_input.as_mut().map(|d| &mut d[at * self.input_len..][..self.input_len]);
                let image = part * images + at;
                let record = &self.values[image * self.record..][..self.record];
                SCRATCH.with_borrow_mut(|scratch| {
                    image_backward(
                        convs,
                        parameters,
                        input.row(image),
                        record,
                        d_output,
                        d_input,
                        d_parameters,
                        scratch,
                    );
                });
            }
        });
    }
}

/// Transposes rows of `width` numbers, a few cache lines at a time.
fn transpose(from: &[f32], width: usize, to: &mut Vec<f32>) {
    const LINE: usize = 16;
    let rows = from.len() / width;
    to.resize(from.len(), 0.0);
    to.par_chunks_mut(LINE * rows).enumerate().for_each(|(block, to)| {
        for (row, from) in from.chunks_exact(width).enumerate() {
            let line = &from[block * LINE..width.min((block + 1) * LINE)];
            for (to, from) in to[row..].iter_mut().step_by(rows).zip(line) {
                *to = *from;
            }
        }
    });
}

/// Runs all convolutions of a stage backward for one image.
#[expect(clippy::too_many_arguments, reason = "values and gradients of three things")]
fn image_backward(
    convs: &[Conv],
    parameters: &[f32],
    input: &[f32],
    record: &[f32],
    d_output: &mut [f32],
    mut d_input: Option<&mut [f32]>,
    d_parameters: &mut [f32],
    scratch: &mut StageScratch,
) {
    let (mut output_end, mut parameter_end) = (record.len(), parameters.len());
    let (room, mut spare) = scratch.split(record.len());
    let mut gradient = d_output;
    for (at, conv) in convs.iter().enumerate().rev() {
        let output_start = output_end - conv.output_len();
        let parameter_start = parameter_end - conv.parameter_len();
        let before =
            if at == 0 { input } else { &record[output_start - conv.input_len()..output_start] };
        let (own, rest) = spare.split_at_mut(if at == 0 { 0 } else { conv.input_len() });
        spare = rest;
        let mut further = if at == 0 { d_input.take() } else { Some(own) };
        conv.backward(
            &parameters[parameter_start..parameter_end],
            before,
            &record[output_start..output_end],
            gradient,
            further.as_deref_mut(),
            &mut d_parameters[parameter_start..parameter_end],
            room,
        );
        let Some(further) = further else { return };
        (gradient, output_end, parameter_end) = (further, output_start, parameter_start);
    }
}

#[cfg(test)]
mod tests;
