//! The backward pass: gradients of all parameters, and the update.

use super::super::driver::{Address, Arg, CudaError, Driver};
use super::super::plan::{SQUARES, bias_each, sample_parts, weight_parts};
use super::super::source::Sides;
use super::{Net, Side, Update, flag, int};
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
        let [weight, _] = self.weights(&head, false);
        let [d_weight, d_bias] = self.weights(&head, true);
        self.mask(&head, Address::NONE, [rows, units], gradient, d_bias)?;
        let sizes = [rows, units, inside].map(int);
        let mut args = [gradient, features].map(Arg::At).to_vec();
        args.extend(sizes.into_iter().chain([Arg::At(d_weight)]));
        self.launch("head_weight", [units.div_ceil(32), inside.div_ceil(128), 1], args)?;
        let mut args = [gradient, weight].map(Arg::At).to_vec();
        args.extend(sizes.into_iter().chain([flag(add), Arg::At(self.plan.flow[flow])]));
        self.launch("head_back", [rows.div_ceil(128), inside.div_ceil(128), 1], args)
    }

    /// Sets the gradient of a layer's output to 0 where the ReLU was inactive, and computes that of the bias: the sum over
    /// rows, which are vectors, or the pixels of images.
    fn mask(
        &mut self,
        layer: &Layer,
        output: Address,
        [rows, channels]: [usize; 2],
        gradient: Address,
        bias: Address,
    ) -> Result<(), CudaError> {
        let (each, runs) = (bias_each(rows, channels), channels.div_ceil(self.precision.values()));
        let parts = rows.div_ceil(each);
        let to = if parts == 1 { bias } else { self.plan.parts };
        // The gradients of vectors of the latent space are of single precision.
        let kept = output != Address::NONE;
        let mut args = vec![Arg::At(output), flag(layer.relu)];
        args.extend([rows, each, channels].map(int));
        args.extend([flag(kept), Arg::At(gradient), Arg::At(to)]);
        self.launch("mask", [parts, runs.div_ceil(256), 1], args)?;
        if parts == 1 { Ok(()) } else { self.sum_parts(parts, channels, None, bias) }
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
        let pixels = rows * area;
        match layer.operation {
            Operation::BatchNorm2d => {
                let scale = self.scale(side, at);
                let mut args = [input, output, weight, scale].map(Arg::At).to_vec();
                args.extend([int(pixels), flag(layer.relu)]);
                args.extend([d_output, d_weight].map(Arg::At));
                self.launch("norm_backward", [channels, 1, 1], args)?;
                Ok(flow)
            }
            Operation::Linear => {
                let (units, inside) = (layer.input_len(), layer.output_len());
                self.mask(&layer, output, [rows, inside], d_output, d_bias)?;
                let sizes = [rows, units, inside].map(int);
                let mut args = [d_output, input].map(Arg::At).to_vec();
                args.extend(sizes.into_iter().chain([Arg::At(d_weight)]));
                let blocks = [inside.div_ceil(128), units.div_ceil(32), 1];
                self.launch("expand_weight", blocks, args)?;
                let parts = sample_parts(&layer, self.plan.capacity);
                let mut args = [d_output, weight].map(Arg::At).to_vec();
                args.extend(sizes.into_iter().chain([int(parts.each), Arg::At(self.plan.parts)]));
                let blocks = [rows.div_ceil(128), units.div_ceil(32), parts.count];
                self.launch("expand_back", blocks, args)?;
                self.sum_parts(parts.count, rows * units, None, self.plan.latent[4])?;
                Ok(flow)
            }
            Operation::Conv2d { .. } | Operation::ConvTranspose2d { .. } => {
                self.mask(&layer, output, [pixels, channels], d_output, d_bias)?;
                let number = self.number(side, at);
                let sides = Sides::of(&layer).expect("BUG: not a convolution");
                let (narrow, wide) =
                    if sides.transposed { (input, d_output) } else { (d_output, input) };
                let cut = weight_parts(&layer, self.plan.capacity).expect("BUG: no convolution");
                let mut args = vec![Arg::At(narrow), Arg::At(wide)];
                args.extend([rows, cut.each].map(int));
                args.push(Arg::At(self.plan.parts));
                let blocks = sides.weight_blocks(cut.count, self.precision);
                self.launch(&format!("weight_{number}"), blocks, args)?;
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
        let (length, squares) = (self.places.device_len(), self.plan.squares);
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
