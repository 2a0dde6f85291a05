//! The backward pass: gradients of all parameters, and the update.

use super::super::driver::{Address, Arg, CudaError, Driver};
use super::super::plan::{Parts, SQUARES, bias_each, sample_parts, tiles, weight_parts};
use super::super::source::{Sides, height};
use super::{Matrix, Net, Side, Target, Update, flag, int};
use crate::nn::layers::{Layer, Operation};
use crate::nn::objective::Objective;

impl<D: Driver> Net<D> {
    /// Computes all gradients, after [`Net::measure`].
    ///
    /// # Errors
    /// When the device fails.
    pub fn backward(&mut self, rows: usize, objective: &Objective) -> Result<(), CudaError> {
        let mut flow = 0;
        for at in (0..self.network.decoder.len()).rev() {
            flow = self.layer_backward(Side::Decoder, at, rows, flow)?;
        }
        let units = self.network.architecture.latent;
        let [mean, log_variance, noise, sample, d_sample, d_mean, d_log_variance] =
            self.plan.latent;
        let Some(head) = self.network.log_variance.clone() else {
            self.head_backward(self.network.mean.clone(), d_sample, rows, flow, false)?;
            return self.encoder_backward(rows, flow);
        };
        let slopes = self.plan.slopes;
        if let Some([shares, sums]) = self.plan.correlation {
            let read = [sample, mean, log_variance, shares, sums, slopes];
            let args = read.into_iter().chain([d_sample, d_mean, d_log_variance]);
            let args = args.map(Arg::At).collect();
            self.launch("correlation_backward", [units, rows, 1], args)?;
        }
        let mut args =
            [d_sample, mean, log_variance, noise, self.plan.nats, slopes].map(Arg::At).to_vec();
        args.push(Arg::Real(objective.free_bits as f32));
        args.extend([rows, units].map(int));
        args.push(flag(self.plan.correlation.is_some()));
        args.extend([d_mean, d_log_variance].map(Arg::At));
        self.launch("latent_backward", [(rows * units).div_ceil(256), 1, 1], args)?;
        self.head_backward(head, d_log_variance, rows, flow, false)?;
        self.head_backward(self.network.mean.clone(), d_mean, rows, flow, true)?;
        self.encoder_backward(rows, flow)
    }

    fn encoder_backward(&mut self, rows: usize, mut flow: usize) -> Result<(), CudaError> {
        for at in (0..self.network.encoder.len()).rev() {
            flow = self.layer_backward(Side::Encoder, at, rows, flow)?;
        }
        Ok(())
    }

    fn head_backward(
        &mut self,
        head: Layer,
        gradient: Address,
        rows: usize,
        flow: usize,
        add: bool,
    ) -> Result<(), CudaError> {
        let (inside, units) = (head.input_len(), head.output_len());
        let features = *self.plan.encoder.last().expect("an encoder has layers");
        let d = Matrix { at: gradient, image: false, down: units, along: 1 };
        let features = Matrix { at: features, image: true, down: inside, along: 1 };
        self.dense_weight(&head, rows, Address::NONE, d, features)?;
        let [weight, _] = self.weights(&head, false);
        let weight = Matrix { at: weight, image: false, down: inside, along: 1 };
        let to = Target {
            at: self.plan.flow[flow],
            parts: None,
            bias: Address::NONE,
            relu: false,
            add,
            down: inside,
            along: 1,
        };
        self.dense([rows, inside, units], d, weight, to)
    }

    /// Computes the gradients of a linear layer's parameters from that of its output, which is set
    /// to 0 where the ReLU was inactive.
    fn dense_weight(
        &mut self,
        layer: &Layer,
        rows: usize,
        output: Address,
        d: Matrix,
        input: Matrix,
    ) -> Result<(), CudaError> {
        let (inside, outside) = (layer.input_len(), layer.output_len());
        let [d_weight, d_bias] = self.weights(layer, true);
        let args = vec![
            Arg::At(output),
            flag(layer.relu),
            int(rows),
            int(outside),
            flag(d.image),
            Arg::At(d.at),
            Arg::At(d_bias),
        ];
        self.launch("mask_rows", [outside.div_ceil(256), 1, 1], args)?;
        let turned = Matrix { down: d.along, along: d.down, ..d };
        let whole = Parts { count: 1, each: rows.next_multiple_of(16) };
        let to = Target {
            at: d_weight,
            parts: Some(whole),
            bias: Address::NONE,
            relu: false,
            add: false,
            down: inside,
            along: 1,
        };
        self.dense([outside, inside, rows], turned, input, to)
    }

    /// Runs a layer backward: the gradient of its output is in one of the two flow buffers, and the
    /// result is the buffer with that of its input.
    fn layer_backward(
        &mut self,
        side: Side,
        at: usize,
        rows: usize,
        flow: usize,
    ) -> Result<usize, CudaError> {
        let layer = self.layers(side)[at].clone();
        let (input, output) = (self.input(side, at), self.output(side, at));
        let (d_output, d_input) = (self.plan.flow[flow], self.plan.flow[1 - flow]);
        let [weight, _] = self.weights(&layer, false);
        let [d_weight, d_bias] = self.weights(&layer, true);
        let (channels, area) = (layer.output[0], layer.output[1] * layer.output[2]);
        match layer.operation {
            Operation::BatchNorm2d => {
                let scale = self.scale(side, at);
                let mut args = [input, output, weight, scale].map(Arg::At).to_vec();
                args.extend([rows, area].map(int));
                args.extend([flag(layer.relu), Arg::At(d_output), Arg::At(d_weight)]);
                self.launch("norm_backward", [channels, 1, 1], args)?;
                Ok(flow)
            }
            Operation::Linear => {
                let (inside, outside) = (layer.input_len(), layer.output_len());
                let d = Matrix { at: d_output, image: true, down: outside, along: 1 };
                let sample = Matrix { at: input, image: false, down: inside, along: 1 };
                self.dense_weight(&layer, rows, output, d, sample)?;
                let parts = sample_parts(&layer, self.plan.capacity);
                let weight = Matrix { at: weight, image: false, down: inside, along: 1 };
                let to = Target {
                    at: self.plan.parts,
                    parts: Some(parts),
                    bias: Address::NONE,
                    relu: false,
                    add: false,
                    down: inside,
                    along: 1,
                };
                self.dense([rows, inside, outside], d, weight, to)?;
                self.sum_parts(parts.count, rows * inside, None, self.plan.latent[4])?;
                Ok(flow)
            }
            Operation::Conv2d { .. } | Operation::ConvTranspose2d { .. } => {
                let each = bias_each(self.plan.capacity);
                let mut args = vec![Arg::At(output), flag(layer.relu)];
                args.extend([rows, each, channels, area].map(int));
                args.extend([Arg::At(d_output), Arg::At(self.plan.parts)]);
                self.launch("mask", [channels, rows.div_ceil(each), 1], args)?;
                self.sum_parts(rows.div_ceil(each), channels, None, d_bias)?;

                let number = self.number(side, at);
                let sides = Sides::of(&layer).expect("BUG: not a convolution");
                let (narrow, wide) =
                    if sides.transposed { (input, d_output) } else { (d_output, input) };
                let cut = weight_parts(&layer, self.plan.capacity).expect("BUG: no convolution");
                let taps = sides.wide[0] * sides.taps[0] * sides.taps[0];
                let [x, y] = tiles(height(sides.narrow[0]), sides.narrow[0], taps);
                let mut args = vec![Arg::At(narrow), Arg::At(wide)];
                args.extend([rows, cut.each].map(int));
                args.push(Arg::At(self.plan.parts));
                self.launch(&format!("weight_{number}"), [x, y, cut.count], args)?;
                self.sum_parts(cut.count, layer.weight_len(), None, d_weight)?;
                if side == Side::Encoder && at == 0 {
                    return Ok(flow);
                }
                let places = [weight, d_output, Address::NONE, d_input];
                self.convolve(&layer, number, false, rows, places)?;
                Ok(1 - flow)
            }
        }
    }

    /// Does one step of Adam and advances the clock.
    ///
    /// # Errors
    /// When the device fails.
    pub fn update(&mut self, update: &Update) -> Result<(), CudaError> {
        let [parameters, gradient, first, second] = self.plan.parameters;
        let (length, squares) = (self.network.parameter_len(), self.plan.squares);
        let parts = if update.clip_norm.is_some() { squares } else { Address::NONE };
        if update.clip_norm.is_some() {
            let args = vec![Arg::At(gradient), int(length), Arg::At(squares)];
            self.launch("squares", [SQUARES, 1, 1], args)?;
        }
        let mut args = vec![Arg::At(gradient), Arg::At(parts)];
        let most = update.clip_norm.unwrap_or(0.0);
        args.extend([most, update.learning_rate, update.weight_decay].map(|x| Arg::Real(x as f32)));
        args.push(int(length));
        args.extend([self.plan.clock, parameters, first, second].map(Arg::At));
        self.launch("adam", [length.div_ceil(256), 1, 1], args)?;
        self.launch("advance", [1, 1, 1], vec![Arg::At(self.plan.clock)])
    }
}
