//! The backward pass: gradients of all parameters, and the update.

use super::super::driver::{Address, Arg, CudaError, Driver};
use super::super::plan::{SQUARES, bias_each, sample_parts, weight_parts};
use super::super::source::{Direction, Sides, Tile};
use super::{Call, Net, Side, Update, flag, int};
use crate::nn::layers::{Layer, Operation};
use crate::nn::objective::Objective;

/// The most blocks of Adam: each takes further numbers once it is done with some.
const MAX_BLOCKS: usize = 1056;

impl Layer {
    /// True if the kernel that computes the gradient of its output also sets it to 0 where its ReLU is inactive; that of a
    /// normalisation does so itself.
    fn is_masked_by_who_follows(&self) -> bool {
        self.relu && self.operation != Operation::BatchNorm2d
    }
}

impl<D: Driver> Net<D> {
    /// Computes all gradients, after [`Net::measure`].
    ///
    /// # Errors
    /// When the device fails.
    pub fn backward(&mut self, rows: usize, objective: &Objective) -> Result<(), CudaError> {
        let mut flow = 0;
        self.readers = [None; 3];
        for at in (0..self.network.decoder.len()).rev() {
            flow = self.layer_backward(Side::Decoder, at, rows, flow)?;
        }
        let units = self.network.architecture.latent;
        let [mean, log_variance, noise, sample, d_sample, d_mean, d_log_variance] =
            self.plan.latent;
        let Some(head) = self.network.log_variance.clone() else {
            self.head_weight(&self.network.mean.clone(), d_sample, rows, flow)?;
            self.head_back(d_sample, None, rows, flow)?;
            return self.encoder_backward(rows, flow);
        };
        if let Some(event) = self.measured.take() {
            self.driver.wait_for(event)?;
        }
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
        self.head_weight(&self.network.mean.clone(), d_mean, rows, flow)?;
        self.head_weight(&head, d_log_variance, rows, flow)?;
        self.head_back(d_mean, Some((head, d_log_variance)), rows, flow)?;
        self.encoder_backward(rows, flow)
    }

    fn encoder_backward(&mut self, rows: usize, mut flow: usize) -> Result<(), CudaError> {
        for at in (0..self.network.encoder.len()).rev() {
            flow = self.layer_backward(Side::Encoder, at, rows, flow)?;
        }
        self.measured = None;
        (0..self.readers.len()).try_for_each(|image| self.wait_for_readers(image))
    }

    /// Lets the next launches, which write this image, come after what reads it.
    fn wait_for_readers(&mut self, flow: usize) -> Result<(), CudaError> {
        self.readers[flow].take().map_or(Ok(()), |event| self.driver.wait_for(event))
    }

    /// Computes the gradients of a head's parameters from that of its output.
    fn head_weight(
        &mut self,
        head: &Layer,
        gradient: Address,
        rows: usize,
        flow: usize,
    ) -> Result<(), CudaError> {
        let (inside, units) = (head.input_len(), head.output_len());
        let features = *self.plan.encoder.last().expect("an encoder has layers");
        let [d_weight, d_bias] = self.weights(head, true);
        let event = self.on_side_stream(|this| {
            this.row_sums([rows, units], false, gradient, d_bias)?;
            let mut args = [gradient, features].map(Arg::At).to_vec();
            args.extend([rows, units, inside].map(int));
            args.push(Arg::At(d_weight));
            this.launch("head_weight", [units.div_ceil(32), inside.div_ceil(128), 1], args)
        })?;
        self.readers[flow] = Some(event);
        Ok(())
    }

    /// Computes the gradient of the encoder's last image from those of the mean and of the other head, if there is one.
    fn head_back(
        &mut self,
        gradient: Address,
        other: Option<(Layer, Address)>,
        rows: usize,
        flow: usize,
    ) -> Result<(), CudaError> {
        let mean = self.network.mean.clone();
        let (inside, units) = (mean.input_len(), mean.output_len());
        let [e, v] = other.map_or([Address::NONE; 2], |(head, e)| [e, self.kept(&head)]);
        let last = self.network.encoder.last().expect("an encoder has layers");
        let features = *self.plan.encoder.last().expect("an encoder has layers");
        let over = if last.is_masked_by_who_follows() { features } else { Address::NONE };
        let mut args = [gradient, self.kept(&mean), e, v].map(Arg::At).to_vec();
        args.extend([rows, units, inside].map(int));
        args.extend([over, self.plan.flow[flow]].map(Arg::At));
        self.launch("head_back", [rows.div_ceil(128), inside.div_ceil(128), 1], args)
    }

    /// Computes the gradient of a bias, beside others: the sum of that of an output over rows, which are vectors, or the
    /// pixels of images.
    fn row_sums(
        &mut self,
        [rows, channels]: [usize; 2],
        kept: bool,
        gradient: Address,
        bias: Address,
    ) -> Result<(), CudaError> {
        let (each, runs) = (bias_each(rows, channels), channels.div_ceil(self.precision.values()));
        let parts = rows.div_ceil(each);
        let [_, sums] = self.plan.parts;
        let to = if parts == 1 { bias } else { sums };
        let mut args = vec![Arg::At(gradient), flag(kept)];
        args.extend([rows, each, channels].map(int));
        args.push(Arg::At(to));
        self.launch("row_sums", [parts, runs.div_ceil(256), 1], args)?;
        if parts == 1 { Ok(()) } else { self.sum_parts(sums, parts, channels, None, bias) }
    }

    /// Runs a layer backward: the gradient of its output is in one of the flow buffers, and the
    /// result is the buffer with that of its input. Gradients of parameters are computed beside those of the layers before.
    fn layer_backward(
        &mut self,
        side: Side,
        at: usize,
        rows: usize,
        flow: usize,
    ) -> Result<usize, CudaError> {
        let layer = self.layers(side)[at].clone();
        let (input, output) = (self.input(side, at), self.output(side, at));
        let next = (flow + 1) % self.plan.flow.len();
        let (d_output, d_input) = (self.plan.flow[flow], self.plan.flow[next]);
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
                let sizes = [rows, units, inside].map(int);
                let event = self.on_side_stream(|this| {
                    this.row_sums([rows, inside], true, d_output, d_bias)?;
                    let mut args = [d_output, input].map(Arg::At).to_vec();
                    args.extend(sizes.into_iter().chain([Arg::At(d_weight)]));
                    let blocks = [inside.div_ceil(128), units.div_ceil(32), 1];
                    this.launch("expand_weight", blocks, args)
                })?;
                self.readers[flow] = Some(event);
                let (parts, [sums, _]) =
                    (sample_parts(&layer, self.plan.capacity), self.plan.parts);
                let mut args = [d_output, self.kept(&layer)].map(Arg::At).to_vec();
                args.extend(sizes.into_iter().chain([int(parts.each), Arg::At(sums)]));
                let blocks = [rows.div_ceil(128), units.div_ceil(32), parts.count];
                self.launch("expand_back", blocks, args)?;
                self.sum_parts(sums, parts.count, rows * units, None, self.plan.latent[4])?;
                self.wait_for_readers(next)?;
                Ok(next)
            }
            Operation::Conv2d { .. } | Operation::ConvTranspose2d { .. } => {
                let number = self.number(side, at);
                let sides = Sides::of(&layer).expect("BUG: not a convolution");
                let (narrow, wide) =
                    if sides.transposed { (input, d_output) } else { (d_output, input) };
                let event = self.on_side_stream(|this| {
                    this.row_sums([pixels, channels], true, d_output, d_bias)?;
                    let [_, sums] = this.plan.parts;
                    let (call, parts) =
                        this.weight_gradient(&layer, number, rows, [narrow, wide, sums], None);
                    this.call(call)?;
                    this.sum_parts(sums, parts, layer.weight_len(), None, d_weight)
                })?;
                self.readers[flow] = Some(event);
                if side == Side::Encoder && at == 0 {
                    return Ok(flow);
                }
                let masked = at > 0 && self.layers(side)[at - 1].is_masked_by_who_follows();
                let over = if masked { input } else { Address::NONE };
                let places = [d_output, Address::NONE, over, d_input];
                self.wait_for_readers(next)?;
                self.call(self.convolution(&layer, number, false, rows, places, None))?;
                Ok(next)
            }
        }
    }

    /// The parts of the gradient of a convolution's weight and their number, with the chosen tile or this one.
    pub(in super::super) fn weight_gradient(
        &self,
        layer: &Layer,
        number: usize,
        rows: usize,
        [narrow, wide, parts]: [Address; 3],
        tile: Option<Tile>,
    ) -> (Call, usize) {
        let sides = Sides::of(layer).expect("BUG: not a convolution");
        let cut = weight_parts(layer, self.plan.capacity).expect("BUG: not a convolution");
        let mut args = vec![Arg::At(narrow), Arg::At(wide)];
        args.extend([rows, cut.each].map(int));
        args.push(Arg::At(parts));
        let call = self.product(&sides, number, Direction::Weight, cut.count, tile, args);
        (call, cut.count)
    }

    /// Does one step of Adam and advances the clock.
    ///
    /// # Errors
    /// When the device fails.
    pub fn update(&mut self, update: &Update) -> Result<(), CudaError> {
        let [parameters, gradient, first, second] = self.plan.parameters;
        let (length, squares) = (self.parameter_layout.device_len(), self.plan.squares);
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
        args.push(Arg::At(self.plan.kept.unwrap_or(Address::NONE)));
        self.launch("adam", [length.div_ceil(4 * 256).min(MAX_BLOCKS), 1, 1], args)?;
        self.launch("advance", [1, 1, 1], vec![Arg::At(self.plan.clock)])
    }
}
