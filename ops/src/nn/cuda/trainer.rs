//! Trains and runs a network on a device.
//!
//! The clips stay in the device's memory, as do the order of the epoch, the noise and all numbers
//! that change. A step is recorded once for each size of a batch (all batches of an epoch except
//! the last have the same) and replayed; the host waits only to read losses.

use super::super::augmentation::{Augmentation, Change};
use super::super::backend::{Backend, Batches, Encodings, State};
use super::super::fit;
use super::super::layers::Network;
use super::super::objective::{Losses, Objective, Regularizer};
use super::Precision;
use super::data_set::{DataSet, to_bf16};
use super::driver::{Address, CapturedGraph, CudaError, Driver};
use super::net::{Net, Update};
use super::parameter_layout::ParameterLayout;
use super::plan::Plan;
use super::tuning::{self, Tiles};
use crate::op::{Ctx, OpError};
use cache::Array;
use std::collections::HashMap;

/// The number of steps after which losses are read to show the progress.
const HEARD_EVERY: usize = 32;
/// The largest number of images in a grid of blocks.
const MAX_IMAGES: usize = 65_535;

/// A network on a device.
pub struct OnDevice<D> {
    objective: Objective,
    augmentation: Augmentation,
    net: Net<D>,
    update: Update,
    seed: u64,
    clips: usize,
    recordings: HashMap<usize, CapturedGraph>,
    /// Dropped after the device in `net`, which waits for the launches that read it.
    _data_set: DataSet,
}

/// The part of the clock that the host writes.
struct Clock {
    step: u64,
    batch: usize,
    beta: f64,
    /// The objective, whose capacity may rise.
    objective: Objective,
}

impl<D: Driver> OnDevice<D> {
    /// Puts a network and its clips on a device; parameters are set by [`Backend::restore`].
    ///
    /// # Errors
    /// When the device has too little memory or fails.
    pub fn new(mut driver: D, plan: &fit::Plan, data: &Array, seed: u64) -> Result<Self, OpError> {
        let (network, precision, clips) = (plan.network(), plan.precision, data.rows());
        let capacity = plan.batch_size.min(clips);
        check_sizes(&network, capacity)?;
        let tiles = Tiles::kept(&driver, &network, precision, capacity);
        driver.load(&tiles.units(&network)).map_err(|error| error.during(None))?;
        let layout = Plan::new(plan, clips, capacity);
        let refused = |error: CudaError, driver: &D, has_data: bool| {
            if !error.out_of_memory {
                return error.during(None);
            }
            // Asked now, since other models may have taken memory meanwhile.
            let free = driver.free_bytes().unwrap_or(0);
            layout.out_of_memory(plan, clips, free, has_data)
        };
        let data_set = DataSet::open(&mut driver, data, layout.data_number)
            .map_err(|error| refused(error, &driver, false))?;
        let start = driver.reserve(layout.bytes).map_err(|error| refused(error, &driver, true))?;
        let layout = layout.from(start, data_set.start());
        let update = Update {
            learning_rate: plan.learning_rate,
            weight_decay: plan.weight_decay,
            clip_norm: plan.clip_norm,
        };
        let parameter_layout = ParameterLayout::new(&network);
        let net = Net {
            driver,
            network,
            plan: layout,
            parameter_layout,
            precision,
            tiles,
            readers: [None; 3],
            measured: None,
        };
        let recordings = HashMap::new();
        let objective = plan.objective.of_clips(clips - plan.held_out(clips));
        let augmentation = plan.augmentation;
        let mut made = Self {
            objective,
            augmentation,
            net,
            update,
            seed,
            clips,
            recordings,
            _data_set: data_set,
        };
        tuning::tune(&mut made.net);
        Ok(made)
    }

    /// The device, for inspection.
    pub fn driver(&mut self) -> &mut D {
        &mut self.net.driver
    }

    /// The tiles of products.
    pub fn tiles(&self) -> &Tiles {
        &self.net.tiles
    }

    /// The layout of the device's memory.
    pub(super) fn plan(&self) -> &Plan {
        &self.net.plan
    }

    fn set_clock(&mut self, clock: &Clock) -> Result<(), CudaError> {
        let capacity = match clock.objective.regularizer {
            Regularizer::Capacity { nats, .. } => nats as f32,
            _ => 0.0,
        };
        let words = [
            clock.step as u32,
            clock.batch as u32,
            (clock.beta as f32).to_bits(),
            capacity.to_bits(),
            self.seed as u32,
            (self.seed >> 32) as u32,
        ];
        self.net.write(self.net.plan.clock, bytemuck::cast_slice(&words))
    }

    fn set_order(&mut self, clips: &[u32]) -> Result<(), CudaError> {
        self.net.write(self.net.plan.order, bytemuck::cast_slice(clips))
    }

    /// Draws how the clips of these batches are changed; the first one is that of the step `first`.
    fn set_changes<'b>(
        &mut self,
        batches: impl Iterator<Item = &'b [u32]>,
        first: u64,
    ) -> Result<(), CudaError> {
        let Some([to, _]) = self.net.plan.augmented else { return Ok(()) };
        let size = self.net.network.architecture.input;
        let changes = (first..).zip(batches).flat_map(|(step, clips)| {
            self.augmentation.changes(clips.len(), size, (self.seed, step))
        });
        let words: Vec<u32> = changes.flat_map(|change| words(&change)).collect();
        self.net.write(to, bytemuck::cast_slice(&words))
    }

    fn read(&mut self, from: Address, count: usize) -> Result<Vec<f32>, CudaError> {
        let mut values = vec![0.0_f32; count];
        self.net.read(from, bytemuck::cast_slice_mut(&mut values))?;
        Ok(values)
    }

    /// The losses of batches from `first` up to `end`.
    fn losses(&mut self, first: usize, end: usize) -> Result<Vec<Losses>, CudaError> {
        let mut values = vec![0.0_f64; 3 * (end - first)];
        let from = self.net.plan.losses.plus(24 * first);
        self.net.read(from, bytemuck::cast_slice_mut(&mut values))?;
        let of = |row: &[f64]| Losses { loss: row[0], reconstruction: row[1], kl: row[2] };
        Ok(values.chunks_exact(3).map(of).collect())
    }

    fn step(&mut self, rows: usize) -> Result<(), CudaError> {
        if let Some(recording) = self.recordings.get(&rows) {
            return self.net.driver.launch_graph(*recording);
        }
        self.net.driver.begin_capture()?;
        self.net.encode(rows, true)?;
        self.net.decode(rows, true)?;
        self.net.measure(rows, &self.objective, true)?;
        self.net.backward(rows, &self.objective)?;
        self.net.update(&self.update)?;
        let recording = self.net.driver.end_capture()?;
        self.recordings.insert(rows, recording);
        self.net.driver.launch_graph(recording)
    }

    /// Computes the gradient and the losses of one batch, without a step.
    ///
    /// # Errors
    /// When the device fails.
    pub fn gradient(
        &mut self,
        clips: &[u32],
        epoch: u64,
        beta: f64,
    ) -> Result<(Losses, Vec<f32>), CudaError> {
        self.set_order(clips)?;
        self.set_changes(std::iter::once(clips), 0)?;
        let objective = self.objective.in_epoch(epoch);
        self.set_clock(&Clock { step: 0, batch: 0, beta, objective })?;
        self.net.encode(clips.len(), true)?;
        self.net.decode(clips.len(), true)?;
        self.net.measure(clips.len(), &self.objective, true)?;
        self.net.backward(clips.len(), &self.objective)?;
        let losses = self.losses(0, 1)?.remove(0);
        let gradient =
            self.read(self.net.plan.parameters[1], self.net.parameter_layout.device_len())?;
        Ok((losses, self.net.parameter_layout.gather(&gradient)))
    }

    /// Runs each batch of these clips through the encoder, then calls `then` with the device, the
    /// batch's number, and its clips.
    fn pass(
        &mut self,
        clips: &[u32],
        beta: f64,
        cx: &Ctx<'_>,
        mut then: impl FnMut(&mut Self, usize, usize) -> Result<(), CudaError>,
    ) -> Result<(), OpError> {
        let failed = |error: CudaError| error.during(None);
        // The buffer of the order has room for all clips.
        for group in clips.chunks(self.clips) {
            self.set_order(group).map_err(failed)?;
            for (batch, rows) in group.chunks(self.net.plan.capacity).enumerate() {
                cx.stop_if_cancelled()?;
                let objective = self.objective;
                self.set_clock(&Clock { step: 0, batch, beta, objective }).map_err(failed)?;
                self.net.encode(rows.len(), false).map_err(failed)?;
                then(self, batch, rows.len()).map_err(failed)?;
            }
        }
        Ok(())
    }
}

impl<D: Driver> Backend for OnDevice<D> {
    fn network(&self) -> &Network {
        &self.net.network
    }

    fn train(
        &mut self,
        batches: &Batches<'_>,
        cx: &Ctx<'_>,
        on_step: &mut dyn FnMut(usize, Losses) -> Result<(), OpError>,
    ) -> Result<(), OpError> {
        let failed = |error: CudaError| error.during(Some(batches.epoch));
        self.set_order(batches.order).map_err(failed)?;
        let (step, objective) = (batches.steps_before, self.objective.in_epoch(batches.epoch));
        let clock = Clock { step, batch: 0, beta: batches.beta, objective };
        self.set_clock(&clock).map_err(failed)?;
        let chunks = batches.order.chunks(self.net.plan.capacity);
        self.set_changes(chunks.clone(), step).map_err(failed)?;
        let sizes: Vec<usize> = chunks.map(<[u32]>::len).collect();
        let mut first = 0;
        for group in sizes.chunks(HEARD_EVERY) {
            cx.stop_if_cancelled()?;
            for rows in group {
                self.step(*rows).map_err(failed)?;
            }
            let end = first + group.len();
            let losses = self.losses(first, end).map_err(failed)?;
            (first..end).zip(losses).try_for_each(|(at, losses)| on_step(at, losses))?;
            first = end;
        }
        Ok(())
    }

    fn validate(&mut self, clips: &[u32], cx: &Ctx<'_>) -> Result<f64, OpError> {
        let objective = Objective { free_bits: 0.0, ..self.objective };
        let mut sum = 0.0;
        self.pass(clips, objective.beta.beta, cx, |this, batch, rows| {
            this.net.decode(rows, false)?;
            this.net.measure(rows, &objective, false)?;
            let losses = this.losses(batch, batch + 1)?;
            sum += losses[0].loss * rows as f64;
            Ok(())
        })?;
        Ok(if clips.is_empty() { f64::NAN } else { sum / clips.len() as f64 })
    }

    fn state(&mut self) -> Result<State, OpError> {
        let [parameters, _, first, second] = self.net.plan.parameters;
        let mut get = |from| {
            let placed = self.read(from, self.net.parameter_layout.device_len());
            placed
                .map(|it| self.net.parameter_layout.gather(&it))
                .map_err(|error| error.during(None))
        };
        let moments = [get(first)?, get(second)?];
        let parameters = get(parameters)?;
        let (running, extra) = (self.net.plan.statistics, self.net.network.statistic_len());
        let statistics = self.read(running, extra).map_err(|error| error.during(None))?;
        Ok(State { parameters, statistics, moments })
    }

    fn restore(&mut self, state: &State) -> Result<(), OpError> {
        let [parameters, gradient, first, second] = self.net.plan.parameters;
        let place = |values: &[f32]| self.net.parameter_layout.scatter(values);
        let all = [
            (parameters, place(&state.parameters)),
            // Where no parameter lies there is no gradient ever after.
            (gradient, place(&[])),
            (first, place(&state.moments[0])),
            (second, place(&state.moments[1])),
            (self.net.plan.statistics, state.statistics.clone()),
        ];
        if let Some(kept) = self.net.plan.kept {
            let halves: Vec<u16> = all[0].1.iter().map(|value| to_bf16(*value)).collect();
            let written = self.net.write(kept, bytemuck::cast_slice(&halves));
            written.map_err(|error| error.during(None))?;
        }
        for (to, values) in all {
            let written = self.net.write(to, bytemuck::cast_slice(&values));
            written.map_err(|error| error.during(None))?;
        }
        Ok(())
    }

    fn encode(&mut self, clips: &[u32], cx: &Ctx<'_>) -> Result<Encodings, OpError> {
        let mut codes = Encodings::default();
        let units = self.net.network.architecture.latent;
        self.pass(clips, 0.0, cx, |this, _, rows| {
            let [mean, log_variance, ..] = this.net.plan.latent;
            codes.means.extend(this.read(mean, rows * units)?);
            if this.net.network.log_variance.is_some() {
                codes.log_variances.extend(this.read(log_variance, rows * units)?);
            }
            Ok(())
        })?;
        Ok(codes)
    }

    fn reconstruct(&mut self, clips: &[u32], cx: &Ctx<'_>) -> Result<Vec<f32>, OpError> {
        let mut made = Vec::new();
        let width: usize = self.net.network.architecture.input.iter().product();
        self.pass(clips, 0.0, cx, |this, _, rows| {
            this.net.decode(rows, false)?;
            let last = *this.net.plan.decoder.last().expect("a decoder has layers");
            if this.net.precision == Precision::Bf16 {
                let mut halves = vec![0_u16; rows * width];
                this.net.read(last, bytemuck::cast_slice_mut(&mut halves))?;
                made.extend(halves.iter().map(|half| f32::from_bits(u32::from(*half) << 16)));
            } else {
                made.extend(this.read(last, rows * width)?);
            }
            Ok(())
        })?;
        Ok(made)
    }
}

/// Checks that the numbers of images and pixels fit the 31 bits that kernels use.
fn check_sizes(network: &Network, capacity: usize) -> Result<(), OpError> {
    let layers = network.encoder.iter().chain(&network.decoder);
    let largest = layers.map(|layer| layer.output_len().max(layer.input_len())).max();
    let most = (i32::MAX as usize / largest.unwrap_or(1).max(1)).min(MAX_IMAGES);
    if capacity <= most {
        return Ok(());
    }
    let message = format!("a batch of {capacity} clips is too large for a GPU");
    Err(OpError::param("batch_size", message).help(format!("use at most {most}")))
}

/// The words of a change, as the kernel reads them.
fn words(change: &Change) -> [u32; 6] {
    let [frames, bands] = [change.frames, change.bands].map(|(first, wide)| [first, wide]);
    let [[frame, frames], [band, bands]] = [frames, bands].map(|pair| pair.map(|it| it as u32));
    [change.gain.to_bits(), change.shift as u32, frame, frames, band, bands]
}
