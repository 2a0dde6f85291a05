//! Training: epochs, batches, held-out clips, early stopping, checkpoints.
//!
//! All random numbers are counter-based, so that any backend can draw the same: initial weights
//! (see [`Network::initial_parameters`]); the order of the training clips in epoch e from the
//! stream (seed, Shuffle, e); held-out clips are the last ones of the order (seed, Shuffle, 2³² −
//! 1); the noise of the n-th step since the start from (seed, Noise, n), one normal number for each
//! clip of the batch and latent unit, row-major. Nothing depends on the total number of epochs, so
//! a longer training starts with the same epochs.

use super::augmentation::Augmentation;
use super::backend::{Backend, Batches, State};
use super::cpu::Cpu;
use super::cuda::{self, Precision};
use super::layers::{Architecture, Network};
use super::objective::{Losses, Objective};
use crate::device::Device;
use crate::math::random::{Purpose, Random};
use crate::op::{Ctx, OpError};
use cache::{Array, Tensor, Tensors};
use tracing::debug_span;

/// All parameters of a training except the data and the seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The architecture of the network.
    pub architecture: Architecture,
    /// The objective.
    pub objective: Objective,
    /// The number of passes over the training clips.
    pub epochs: u64,
    /// The number of clips in a step.
    pub batch_size: usize,
    /// Adam's step size.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// The largest norm of a step's gradient; longer gradients are scaled down.
    pub clip_norm: Option<f64>,
    /// The fraction of clips held out.
    pub validation: f64,
    /// The number of epochs without a better held-out loss after which training stops.
    pub patience: Option<u64>,
    /// The precision of products on a GPU.
    pub precision: Precision,
    /// The changes to the clips of the training.
    pub augmentation: Augmentation,
}

/// One epoch of a training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// The loss and its terms, averaged over the training clips during the epoch.
    pub losses: Losses,
    /// The weight of the KL term.
    pub beta: f64,
    /// The loss of the held-out clips at the end of the epoch, without noise and at the full β; NaN
    /// if there are none.
    pub validation: f64,
}

const COLUMNS: usize = 5;

impl Epoch {
    /// The row of the history in single precision.
    fn numbers(&self) -> [f32; COLUMNS] {
        let Losses { loss, reconstruction, kl } = self.losses;
        [loss, reconstruction, kl, self.beta, self.validation].map(|x| x as f32)
    }

    fn from_numbers(numbers: &[f32]) -> Self {
        let at = |index: usize| f64::from(numbers[index]);
        let losses = Losses { loss: at(0), reconstruction: at(1), kl: at(2) };
        Self { losses, beta: at(3), validation: at(4) }
    }
}

/// The state of a training after some epochs.
struct TrainingState<'a> {
    backend: Box<dyn Backend + 'a>,
    history: Vec<Epoch>,
    /// The parameters and statistics of the epoch with the best held-out loss.
    best: Option<(Vec<f32>, Vec<f32>)>,
}

impl Plan {
    /// The layers.
    pub fn network(&self) -> Network {
        Network::new(&self.architecture)
    }

    /// The number of clips held out of so many.
    pub fn held_out(&self, clips: usize) -> usize {
        (self.validation * clips as f64).ceil() as usize
    }

    /// Trains a network on these clips, from the last checkpoint if there is one.
    ///
    /// # Errors
    /// When the loss is NaN, when no clips are left to train on, when the run is cancelled, when
    /// memory is exhausted, or when the device fails.
    pub fn fit<'a>(
        &'a self,
        data: &Array,
        cx: &Ctx<'_>,
    ) -> Result<(Box<dyn Backend + 'a>, Vec<Epoch>), OpError> {
        self.fit_on(data, cx, |state| self.open(data, state, cx))
    }

    /// A network on the device of the context, in this state or, on a GPU, in none yet.
    fn open<'a>(
        &'a self,
        data: &Array,
        state: &State,
        cx: &Ctx<'_>,
    ) -> Result<Box<dyn Backend + 'a>, OpError> {
        Ok(match cx.device {
            Device::Cpu => Box::new(Cpu::new(self, data, state)?),
            Device::Cuda(place) => Box::new(cuda::open(place, self, data, cx.seed)?),
        })
    }

    /// A trained network on these clips.
    ///
    /// # Errors
    /// When memory is exhausted or the device fails.
    pub fn restored<'a>(
        &'a self,
        data: &Array,
        (parameters, statistics): (Vec<f32>, Vec<f32>),
        cx: &Ctx<'_>,
    ) -> Result<Box<dyn Backend + 'a>, OpError> {
        let moments = [vec![0.0; parameters.len()], vec![0.0; parameters.len()]];
        let state = State { parameters, statistics, moments };
        let mut backend = self.open(data, &state, cx)?;
        backend.restore(&state)?;
        Ok(backend)
    }

    /// Does the same on the device from `open`, which receives the initial state of the training.
    ///
    /// # Errors
    /// As [`Plan::fit`], and the errors of `open`.
    pub fn fit_on<'a>(
        &'a self,
        data: &Array,
        cx: &Ctx<'_>,
        open: impl FnOnce(&State) -> Result<Box<dyn Backend + 'a>, OpError>,
    ) -> Result<(Box<dyn Backend + 'a>, Vec<Epoch>), OpError> {
        let clips = data.rows();
        let order = Random::new(cx.seed, Purpose::Shuffle, u32::MAX).permutation(clips);
        let held = self.held_out(clips);
        if held >= clips {
            return Err(OpError::param(
                "validation",
                format!("{held} of {clips} clips would be held out: none is left to train on"),
            )
            .help("hold out a smaller fraction"));
        }
        let (training, held_out) = order.split_at(clips - held);
        let mut training = training.to_vec();
        training.sort_unstable();

        let mut training_state = self.start_or_resume(cx, open)?;
        while (training_state.history.len() as u64) < self.epochs
            && !self.is_over(&training_state.history)
        {
            let epoch = training_state.history.len() as u64 + 1;
            let _epoch = debug_span!("epoch", epoch).entered();
            let (mut row, state) = self.epoch(epoch, &training, &mut training_state, cx)?;
            row.validation = debug_span!("validate")
                .in_scope(|| training_state.backend.validate(held_out, cx))?;
            training_state.history.push(Epoch::from_numbers(&row.numbers()));
            if self.patience.is_some()
                && best_epoch(&training_state.history) == training_state.history.len()
            {
                training_state.best = Some((state.parameters.clone(), state.statistics.clone()));
            }
            let state = training_state.to_tensors(state);
            debug_span!("checkpoint").in_scope(|| cx.checkpoints.save(epoch, &state))?;
        }
        let mut backend = training_state.backend;
        if let Some((parameters, statistics)) = training_state.best {
            let state = backend.state()?;
            backend.restore(&State { parameters, statistics, ..state })?;
        }
        Ok((backend, training_state.history))
    }

    fn is_over(&self, history: &[Epoch]) -> bool {
        let since = (history.len() - best_epoch(history)) as u64;
        self.patience.is_some_and(|patience| since >= patience && !history.is_empty())
    }

    fn start_or_resume<'a>(
        &'a self,
        cx: &Ctx<'_>,
        open: impl FnOnce(&State) -> Result<Box<dyn Backend + 'a>, OpError>,
    ) -> Result<TrainingState<'a>, OpError> {
        let network = self.network();
        let kept = cx.checkpoints.load(self.epochs);
        let kept = kept.and_then(|(_, state)| resume(&network, &state));
        let (state, history, best) =
            kept.unwrap_or_else(|| (State::start(&network, cx.seed), Vec::new(), None));
        let mut backend = open(&state)?;
        backend.restore(&state)?;
        Ok(TrainingState { backend, history, best })
    }

    fn epoch(
        &self,
        epoch: u64,
        training: &[u32],
        training_state: &mut TrainingState<'_>,
        cx: &Ctx<'_>,
    ) -> Result<(Epoch, State), OpError> {
        let order =
            Random::new(cx.seed, Purpose::Shuffle, epoch as u32).permutation(training.len());
        let order: Vec<u32> = order.iter().map(|at| training[*at as usize]).collect();
        let beta = self.objective.beta.at(epoch);
        let batches = order.len().div_ceil(self.batch_size) as u64;
        let total = self.epochs * order.len() as u64;
        let before = (epoch - 1) * order.len() as u64;
        let mut sum = Losses::default();
        let mut on_step = |at: usize, losses: Losses| {
            let batch = at as u64 + 1;
            if !losses.loss.is_finite() {
                return Err(diverged(epoch, Some((batch, batches)), losses.loss));
            }
            let clips = self.batch_size.min(order.len() - at * self.batch_size);
            let weight = clips as f64 / order.len() as f64;
            sum.loss += losses.loss * weight;
            sum.reconstruction += losses.reconstruction * weight;
            sum.kl += losses.kl * weight;
            let done = before + (at * self.batch_size + clips) as u64;
            let loss = losses.loss;
            let kl = match self.architecture.variational {
                true => format!(", kl {:.5}", losses.kl),
                false => String::new(),
            };
            let at = format!("epoch {epoch}/{}, batch {batch}/{batches}", self.epochs);
            let note = format!("{at}, loss {loss:.5}{kl}");
            cx.progress.at(done, total, &note);
            Ok(())
        };
        let steps_before = (epoch - 1) * batches;
        let batches = Batches { epoch, order: &order, beta, steps_before };
        training_state.backend.train(&batches, cx, &mut on_step)?;
        let state = training_state.backend.state()?;
        let mut numbers = state.parameters.iter().chain(&state.statistics);
        if let Some(bad) = numbers.find(|value| !value.is_finite()) {
            return Err(diverged(epoch, None, f64::from(*bad)));
        }
        Ok((Epoch { losses: sum, beta, validation: f64::NAN }, state))
    }
}

/// The epoch with the smallest held-out loss, the earliest of equals; 0 before the first.
fn best_epoch(history: &[Epoch]) -> usize {
    let mut best = (0, f64::INFINITY);
    for (epoch, row) in (1..).zip(history) {
        if row.validation < best.1 {
            best = (epoch, row.validation);
        }
    }
    best.0
}

fn diverged(epoch: u64, batch: Option<(u64, u64)>, value: f64) -> OpError {
    let place = match batch {
        Some((batch, batches)) => {
            format!("the loss is {value} in epoch {epoch}, batch {batch} of {batches}")
        }
        None => format!("a weight is {value} at the end of epoch {epoch}"),
    };
    let good = match epoch {
        1 => "no epoch was good".to_owned(),
        _ => format!("the last good epoch is {}", epoch - 1),
    };
    OpError::failure(format!("training diverged: {place}; {good}")).help(
        "lower `learning_rate`, set `clip_norm` (such as 1.0), or normalise the features first",
    )
}

fn tensor(shape: &[usize], values: Vec<f32>) -> Tensor {
    Tensor { shape: shape.to_vec(), values }
}

impl TrainingState<'_> {
    fn to_tensors(&self, now: State) -> Tensors {
        let rows: Vec<f32> = self.history.iter().flat_map(Epoch::numbers).collect();
        let [first, second] = now.moments;
        let mut vectors = vec![
            ("parameters", now.parameters),
            ("statistics", now.statistics),
            ("first_moment", first),
            ("second_moment", second),
        ];
        if let Some((parameters, statistics)) = &self.best {
            vectors.push(("best_parameters", parameters.clone()));
            vectors.push(("best_statistics", statistics.clone()));
        }
        let mut state = Tensors::new();
        for (name, values) in vectors.into_iter().filter(|(_, values)| !values.is_empty()) {
            state.insert(name.to_owned(), tensor(&[values.len()], values));
        }
        state.insert("history".to_owned(), tensor(&[self.history.len(), COLUMNS], rows));
        state
    }
}

type Best = Option<(Vec<f32>, Vec<f32>)>;

/// The state of a checkpoint if it fits; otherwise it is ignored and the training starts anew.
fn resume(network: &Network, state: &Tensors) -> Option<(State, Vec<Epoch>, Best)> {
    let get = |name: &str, len: usize| -> Option<Vec<f32>> {
        let values = state.get(name).map(|tensor| tensor.values.clone()).unwrap_or_default();
        (values.len() == len).then_some(values)
    };
    let (count, extra) = (network.parameter_len(), network.statistic_len());
    let history = &state.get("history")?.values;
    let (parameters, statistics) = (get("parameters", count)?, get("statistics", extra)?);
    let moments = [get("first_moment", count)?, get("second_moment", count)?];
    let best = get("best_parameters", count).zip(get("best_statistics", extra));
    let history = history.chunks_exact(COLUMNS).map(Epoch::from_numbers).collect();
    Some((State { parameters, statistics, moments }, history, best))
}
