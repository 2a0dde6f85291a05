//! The launches of a network: the forward pass here, the losses in `measure`, the backward pass and the update in `back`.
//!
//! A launch depends on the number of clips in the batch and on nothing that changes from step to
//! step; the latter is read from the clock on the device. So a step can be recorded once and
//! replayed.

use super::super::layers::{Layer, Network, Operation};
use super::Precision;
use super::driver::{Address, Arg, CudaError, Driver, Event, Launch};
use super::parameter_layout::ParameterLayout;
use super::plan::{Plan, head_parts};
use super::source::{Direction, Sides, Tile};
use super::tuning::Tiles;

mod back;
mod measure;

/// The number of threads in most blocks.
const THREADS: u32 = 256;

/// The parameters of the optimiser.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// Adam's step size.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// The largest norm of a gradient, if it is clipped.
    pub clip_norm: Option<f64>,
}

/// A network on a device.
pub struct Net<D> {
    /// The device.
    pub driver: D,
    /// The layers.
    pub network: Network,
    /// The layout of the memory.
    pub plan: Plan,
    /// The layout of the parameters in it.
    pub parameter_layout: ParameterLayout,
    /// The precision of products.
    pub precision: Precision,
    /// The tiles of its convolutions' products.
    pub tiles: Tiles,
    /// The events after the launches beside the backward pass that read each of the images of [`Plan::flow`].
    pub readers: [Option<Event>; 3],
    /// The event after the launches beside the backward pass that compute the losses.
    pub measured: Option<Event>,
}

/// The part of the network that a layer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Encoder,
    Decoder,
}

/// A kernel with its blocks and its arguments.
pub(super) type Call = (String, [usize; 3], Vec<Arg>);

/// The launch of a kernel in blocks of most kernels' size.
pub(super) fn launch_of((kernel, blocks, args): Call) -> Launch {
    let blocks = blocks.map(|n| u32::try_from(n).expect("BUG: a grid beyond any device"));
    Launch { kernel, blocks, threads: THREADS, args }
}

fn int(value: usize) -> Arg {
    Arg::Int(i32::try_from(value).expect("BUG: a size beyond the limits of a plan"))
}

fn flag(value: bool) -> Arg {
    Arg::Int(i32::from(value))
}

impl<D: Driver> Net<D> {
    fn launch(
        &mut self,
        kernel: &str,
        blocks: [usize; 3],
        args: Vec<Arg>,
    ) -> Result<(), CudaError> {
        self.call((kernel.to_owned(), blocks, args))
    }

    pub(super) fn call(&mut self, call: Call) -> Result<(), CudaError> {
        // SAFETY: the arguments follow the kernel's source, and their addresses and lengths the plan, which reserved them.
        unsafe { self.driver.launch(launch_of(call)) }
    }

    /// Runs launches on the side stream, beside those that follow until the event is waited for.
    fn on_side_stream(
        &mut self,
        launches: impl FnOnce(&mut Self) -> Result<(), CudaError>,
    ) -> Result<Event, CudaError> {
        self.driver.begin_side_stream()?;
        let launched = launches(self);
        let event = self.driver.end_side_stream()?;
        launched.map(|()| event)
    }

    /// Copies to a place of the plan.
    pub(super) fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), CudaError> {
        // SAFETY: the plan reserved every place for the values that the network's sizes give.
        unsafe { self.driver.write(to, bytes) }
    }

    /// Copies from a place of the plan.
    pub(super) fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), CudaError> {
        // SAFETY: the plan reserved every place for the values that the network's sizes give.
        unsafe { self.driver.read(from, bytes) }
    }

    /// The addresses of a layer's weight and bias, or of their gradients.
    pub(super) fn weights(&self, layer: &Layer, gradient: bool) -> [Address; 2] {
        let start = self.plan.parameters[usize::from(gradient)];
        self.parameter_layout.of(layer).map(|place| start.plus(4 * place))
    }

    /// The address of a layer's weight as products of matrices read it.
    fn kept(&self, layer: &Layer) -> Address {
        match self.plan.kept {
            Some(kept) => kept.plus(2 * self.parameter_layout.of(layer)[0]),
            None => self.weights(layer, false)[0],
        }
    }

    fn layers(&self, side: Side) -> &[Layer] {
        if side == Side::Encoder { &self.network.encoder } else { &self.network.decoder }
    }

    fn output(&self, side: Side, at: usize) -> Address {
        if side == Side::Encoder { self.plan.encoder[at] } else { self.plan.decoder[at] }
    }

    /// The input of a layer; the decoder's first one reads the sample.
    fn input(&self, side: Side, at: usize) -> Address {
        match (at.checked_sub(1), side) {
            (Some(before), _) => self.output(side, before),
            (None, Side::Encoder) => self.plan.clips,
            (None, Side::Decoder) => self.plan.latent[3],
        }
    }

    /// The number of a layer in the names of its kernels.
    fn number(&self, side: Side, at: usize) -> usize {
        at + if side == Side::Decoder { self.network.encoder.len() } else { 0 }
    }

    /// The address of the mean and scale of a normalisation.
    fn scale(&self, side: Side, at: usize) -> Address {
        let norms = |layers: &[Layer]| {
            layers.iter().filter(|layer| layer.operation == Operation::BatchNorm2d).count()
        };
        let before = if side == Side::Decoder { norms(&self.network.encoder) } else { 0 };
        self.plan.scales[before + norms(&self.layers(side)[..at])]
    }

    /// Loads `rows` clips in the order of the epoch and runs the encoder and its heads.
    ///
    /// # Errors
    /// When the device fails.
    pub fn encode(&mut self, rows: usize, training: bool) -> Result<(), CudaError> {
        let Plan { data, order, clock, clips, capacity, .. } = self.plan;
        let [bands, frames] = self.network.architecture.input;
        if let Some([changes, made]) = self.plan.augmented.filter(|_| training) {
            let mut args = [data, order, changes, clock].map(Arg::At).to_vec();
            args.extend([capacity, bands, frames].map(int));
            args.extend([made, clips].map(Arg::At));
            self.launch("augment", [rows, 1, 1], args)?;
        } else {
            let width = bands * frames;
            let args = [data, order, clock].map(Arg::At).into_iter();
            let args = args.chain([int(capacity), int(width), Arg::At(clips)]).collect();
            self.launch("gather", [width.div_ceil(256), rows, 1], args)?;
        }
        for at in 0..self.network.encoder.len() {
            self.forward(Side::Encoder, at, rows, training)?;
        }
        let [sums, side] = self.plan.parts;
        let Some(head) = self.network.log_variance.clone() else {
            return self.head(&self.network.mean.clone(), sums, self.plan.latent[0], rows);
        };
        let event =
            self.on_side_stream(|this| this.head(&head, side, this.plan.latent[1], rows))?;
        self.head(&self.network.mean.clone(), sums, self.plan.latent[0], rows)?;
        self.driver.wait_for(event)
    }

    /// Draws samples around the means, or uses the means themselves, and runs the decoder.
    ///
    /// # Errors
    /// When the device fails.
    pub fn decode(&mut self, rows: usize, training: bool) -> Result<(), CudaError> {
        let [mean, log_variance, noise, sample, ..] = self.plan.latent;
        let drawn = training && self.network.architecture.variational;
        let log_variance = if drawn { log_variance } else { Address::NONE };
        let length = rows * self.network.architecture.latent;
        let args = vec![
            Arg::At(mean),
            Arg::At(log_variance),
            Arg::At(self.plan.clock),
            int(length),
            Arg::At(noise),
            Arg::At(sample),
        ];
        self.launch("latent", [length.div_ceil(256), 1, 1], args)?;
        for at in 0..self.network.decoder.len() {
            self.forward(Side::Decoder, at, rows, training)?;
        }
        Ok(())
    }

    fn forward(
        &mut self,
        side: Side,
        at: usize,
        rows: usize,
        training: bool,
    ) -> Result<(), CudaError> {
        let layer = self.layers(side)[at].clone();
        let (input, output) = (self.input(side, at), self.output(side, at));
        let [weight, bias] = self.weights(&layer, false);
        match layer.operation {
            Operation::Conv2d { .. } | Operation::ConvTranspose2d { .. } => {
                let number = self.number(side, at);
                let places = [input, bias, Address::NONE, output];
                self.call(self.convolution(&layer, number, true, rows, places, None))
            }
            Operation::Linear => {
                let (units, inside) = (layer.input_len(), layer.output_len());
                let mut args = [input, self.kept(&layer)].map(Arg::At).to_vec();
                args.extend([rows, units, inside].map(int));
                args.extend([Arg::At(bias), flag(layer.relu), Arg::At(output)]);
                self.launch("expand", [rows.div_ceil(128), inside.div_ceil(128), 1], args)
            }
            Operation::BatchNorm2d => {
                let channels = layer.output[0];
                let length = rows * layer.output_len();
                let scale = Arg::At(self.scale(side, at));
                let statistics = Arg::At(self.plan.statistics.plus(4 * layer.statistics.start));
                let blocks = [channels, 1, 1];
                if training {
                    let args = vec![Arg::At(input), int(length / channels), statistics, scale];
                    self.launch("norm_measure", blocks, args)?;
                } else {
                    self.launch("norm_recall", blocks, vec![statistics, scale])?;
                }
                let mut args = vec![Arg::At(input), Arg::At(weight), scale];
                args.extend([int(channels), int(length), flag(layer.relu), Arg::At(output)]);
                self.launch("norm_apply", [length.div_ceil(256), 1, 1], args)
            }
        }
    }

    /// A convolution of either kind, forward or backward to the gradient of its input, with the chosen tile or this one.
    pub(super) fn convolution(
        &self,
        layer: &Layer,
        number: usize,
        forward: bool,
        rows: usize,
        [from, bias, over, to]: [Address; 4],
        tile: Option<Tile>,
    ) -> Call {
        let sides = Sides::of(layer).expect("BUG: not a convolution");
        let narrows = forward != sides.transposed;
        let direction = if narrows { Direction::Narrow } else { Direction::Wide };
        let weight = if sides.is_single_channel() {
            self.weights(layer, false)[0]
        } else {
            self.kept(layer)
        };
        let mut args = vec![Arg::At(weight), Arg::At(from), int(rows)];
        match forward {
            true => args.extend([Arg::At(bias), flag(layer.relu), Arg::At(to)]),
            false => args.extend([over, to].map(Arg::At)),
        }
        self.product(&sides, number, direction, rows, tile, args)
    }

    /// A product of a convolution for so many images, or for the gradient of its weight in so many parts.
    fn product(
        &self,
        sides: &Sides,
        number: usize,
        direction: Direction,
        count: usize,
        tile: Option<Tile>,
        args: Vec<Arg>,
    ) -> Call {
        let precision = self.precision;
        let tile = tile.unwrap_or_else(|| self.tiles.of(number, sides, direction));
        let blocks = sides.blocks(direction, count, precision, tile);
        (sides.kernel(number, direction, precision, tile), blocks, args)
    }

    fn sum_parts(
        &mut self,
        parts: Address,
        count: usize,
        length: usize,
        bias: Option<(Address, usize)>,
        to: Address,
    ) -> Result<(), CudaError> {
        let (bias, width) = bias.unwrap_or((Address::NONE, 1));
        let args =
            vec![Arg::At(parts), int(count), int(length), Arg::At(bias), int(width), Arg::At(to)];
        self.launch("sum_parts", [length.div_ceil(32), 1, 1], args)
    }

    /// Runs a head, from the encoder's last image to single-precision numbers; `sums` is for parts.
    fn head(
        &mut self,
        head: &Layer,
        sums: Address,
        to: Address,
        rows: usize,
    ) -> Result<(), CudaError> {
        let (inside, units) = (head.input_len(), head.output_len());
        let features = *self.plan.encoder.last().expect("an encoder has layers");
        let (weight, [_, bias]) = (self.kept(head), self.weights(head, false));
        let parts = head_parts(head, self.plan.capacity);
        let mut args = [features, weight].map(Arg::At).to_vec();
        args.extend([rows, units, inside, parts.each].map(int));
        args.push(Arg::At(sums));
        self.launch("head", [rows.div_ceil(128), units.div_ceil(32), parts.count], args)?;
        self.sum_parts(sums, parts.count, rows * units, Some((bias, units)), to)
    }
}
