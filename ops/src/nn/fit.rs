//! Training: epochs, batches, held-out clips, early stopping, checkpoints.
//!
//! Everything random is counter-based, so that any backend can draw the same: initial weights (see
//! [`Network::initial_parameters`]); the order of the training clips in epoch e from the stream
//! (seed, Shuffle, e); held-out clips are the last ones of the order (seed, Shuffle, 2³² − 1); the
//! noise of the n-th step since the start from (seed, Noise, n), one normal number for each clip
//! of the batch and latent unit, row-major. Nothing depends on how many epochs there will be: a
//! longer training starts with the very same epochs.

use super::layers::{Architecture, Network};
use super::machine::Machine;
use super::objective::{Losses, Objective};
use super::tape::Trainer;
use crate::math::random::{Purpose, Random};
use crate::op::{Ctx, OpError};
use cache::{Array, Tensor, Tensors};

/// All that decides a training but the data and the seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What is trained.
    pub architecture: Architecture,
    /// What it is trained for.
    pub objective: Objective,
    /// Passes over the training clips.
    pub epochs: u64,
    /// Clips per step.
    pub batch_size: usize,
    /// Adam's step size.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// The largest norm of a step's gradient; longer ones are scaled down.
    pub clip_norm: Option<f64>,
    /// The share of clips held out.
    pub validation: f64,
    /// Epochs without a better held-out loss after which training stops.
    pub patience: Option<u64>,
}

/// One epoch of a training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// The loss and its terms, averaged over the training clips as they passed.
    pub losses: Losses,
    /// The weight of the KL term.
    pub beta: f64,
    /// The loss of the held-out clips at the end of the epoch, without noise and at the full β;
    /// NaN without any.
    pub validation: f64,
}

const COLUMNS: usize = 5;

impl Epoch {
    /// The row as it is kept, in single precision.
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

/// A training that got so far.
struct Course {
    trainer: Trainer,
    history: Vec<Epoch>,
    /// Parameters and statistics of the epoch with the best held-out loss.
    best: Option<(Vec<f32>, Vec<f32>)>,
}

impl Plan {
    /// The layers.
    pub fn network(&self) -> Network {
        Network::new(&self.architecture)
    }

    /// Trains a network on these clips, from the last checkpoint if there is one.
    ///
    /// # Errors
    /// When the loss is no longer a number, when no clips are left to train on, when the run is
    /// cancelled, or when memory runs out.
    pub fn fit(&self, data: &Array, cx: &Ctx<'_>) -> Result<(Machine, Vec<Epoch>), OpError> {
        let clips = data.rows();
        let order = Random::new(cx.seed, Purpose::Shuffle, u32::MAX).permutation(clips);
        let held = (self.validation * clips as f64).ceil() as usize;
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

        let mut course = self.start_or_resume(data, cx)?;
        while (course.history.len() as u64) < self.epochs && !self.is_over(&course.history) {
            let epoch = course.history.len() as u64 + 1;
            let mut row = self.epoch(epoch, &training, &mut course, cx)?;
            row.validation = self.validation_loss(held_out, &course, cx)?;
            course.history.push(Epoch::from_numbers(&row.numbers()));
            if self.patience.is_some() && best_epoch(&course.history) == course.history.len() {
                let machine = course.trainer.machine();
                course.best = Some((machine.parameters().to_vec(), machine.statistics.clone()));
            }
            cx.checkpoints.save(epoch, &course.to_tensors())?;
        }
        let mut machine = course.trainer.into_machine();
        if let Some((parameters, statistics)) = course.best {
            *machine.parameters_mut() = parameters;
            machine.statistics = statistics;
        }
        Ok((machine, course.history))
    }

    fn is_over(&self, history: &[Epoch]) -> bool {
        let since = (history.len() - best_epoch(history)) as u64;
        self.patience.is_some_and(|patience| since >= patience && !history.is_empty())
    }

    fn start_or_resume(&self, data: &Array, cx: &Ctx<'_>) -> Result<Course, OpError> {
        let network = self.network();
        let (parameters, statistics) =
            (network.initial_parameters(cx.seed), network.initial_statistics());
        let machine = Machine::new(network, data.clone(), parameters, statistics);
        let mut course = Course {
            trainer: Trainer::new(machine, self.learning_rate, self.weight_decay)?,
            history: Vec::new(),
            best: None,
        };
        if let Some((_, state)) = cx.checkpoints.load(self.epochs) {
            course.resume(&state);
        }
        Ok(course)
    }

    fn epoch(
        &self,
        epoch: u64,
        training: &[u32],
        course: &mut Course,
        cx: &Ctx<'_>,
    ) -> Result<Epoch, OpError> {
        let order =
            Random::new(cx.seed, Purpose::Shuffle, epoch as u32).permutation(training.len());
        let order: Vec<u32> = order.iter().map(|at| training[*at as usize]).collect();
        let beta = self.objective.beta.at(epoch);
        let batches = order.len().div_ceil(self.batch_size) as u64;
        let total = self.epochs * order.len() as u64;
        let mut done = (epoch - 1) * order.len() as u64;
        let mut sum = Losses::default();
        for (batch, clips) in (1..).zip(order.chunks(self.batch_size)) {
            let step = (epoch - 1) * batches + batch - 1;
            let losses = self.step(clips, beta, step, course, cx)?;
            if !losses.loss.is_finite() {
                return Err(diverged(epoch, Some((batch, batches)), losses.loss));
            }
            let weight = clips.len() as f64 / order.len() as f64;
            sum.loss += losses.loss * weight;
            sum.reconstruction += losses.reconstruction * weight;
            sum.kl += losses.kl * weight;
            done += clips.len() as u64;
            let loss = losses.loss;
            let note =
                format!("epoch {epoch}/{}, batch {batch}/{batches}, loss {loss:.5}", self.epochs);
            cx.progress.at(done, total, &note);
        }
        course.trainer.tidy();
        let machine = course.trainer.machine();
        let mut numbers = machine.parameters().iter().chain(&machine.statistics);
        if let Some(bad) = numbers.find(|value| !value.is_finite()) {
            return Err(diverged(epoch, None, f64::from(*bad)));
        }
        Ok(Epoch { losses: sum, beta, validation: f64::NAN })
    }

    fn step(
        &self,
        clips: &[u32],
        beta: f64,
        step: u64,
        course: &mut Course,
        cx: &Ctx<'_>,
    ) -> Result<Losses, OpError> {
        let noise = self.architecture.variational.then(|| {
            let mut random = Random::new(cx.seed, Purpose::Noise, step as u32);
            (0..clips.len() * self.architecture.latent).map(|_| random.normal() as f32).collect()
        });
        let go_on = || cx.stop_if_cancelled();
        let made = course.trainer.step(clips, &self.objective, beta, noise, &go_on)?;
        let losses = made.losses;
        course.trainer.update(made, step + 1, self.clip_norm)?;
        Ok(losses)
    }

    fn validation_loss(
        &self,
        clips: &[u32],
        course: &Course,
        cx: &Ctx<'_>,
    ) -> Result<f64, OpError> {
        let mut sum = 0.0;
        let mut machine = course.trainer.machine();
        machine.training = false;
        for batch in clips.chunks(self.batch_size) {
            cx.stop_if_cancelled()?;
            machine.encode(batch);
            machine.decode_means();
            sum += machine.loss(&self.objective) * batch.len() as f64;
        }
        Ok(if clips.is_empty() { f64::NAN } else { sum / clips.len() as f64 })
    }
}

/// The epoch with the least held-out loss, the earliest of equals; 0 before the first.
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

impl Course {
    fn to_tensors(&self) -> Tensors {
        let (machine, [first, second]) = (self.trainer.machine(), self.trainer.moments());
        let rows: Vec<f32> = self.history.iter().flat_map(Epoch::numbers).collect();
        let mut vectors = vec![
            ("parameters", machine.parameters()),
            ("statistics", &machine.statistics),
            ("first_moment", first),
            ("second_moment", second),
        ];
        if let Some((parameters, statistics)) = &self.best {
            vectors.push(("best_parameters", parameters));
            vectors.push(("best_statistics", statistics));
        }
        let mut state = Tensors::new();
        for (name, values) in vectors.into_iter().filter(|(_, values)| !values.is_empty()) {
            state.insert(name.to_owned(), tensor(&[values.len()], values.to_vec()));
        }
        state.insert("history".to_owned(), tensor(&[self.history.len(), COLUMNS], rows));
        state
    }

    /// Takes up a state that fits; one that does not is ignored, and training starts anew.
    fn resume(&mut self, state: &Tensors) -> Option<()> {
        let mut machine = self.trainer.machine();
        let get = |name: &str, len: usize| -> Option<Vec<f32>> {
            let values = state.get(name).map(|tensor| tensor.values.clone()).unwrap_or_default();
            (values.len() == len).then_some(values)
        };
        let (count, extra) = (machine.parameters().len(), machine.statistics.len());
        let history = &state.get("history")?.values;
        let (parameters, statistics) = (get("parameters", count)?, get("statistics", extra)?);
        let (first, second) = (get("first_moment", count)?, get("second_moment", count)?);
        self.best = get("best_parameters", count).zip(get("best_statistics", extra));
        self.history = history.chunks_exact(COLUMNS).map(Epoch::from_numbers).collect();
        machine.statistics = statistics;
        drop(machine);
        self.trainer.restore(&parameters, [&first, &second]);
        Some(())
    }
}
