//! The training of a network together with the centres of clusters in its latent space (IDEC).
//!
//! At the start of each epoch all clips are encoded, and their soft assignments to the centres make the target of
//! the epoch. What follows a checkpoint depends on its epoch alone: weights, centres, their moving averages, and the
//! clusters of the clips at the start of the epoch.

use super::backend::{Encodings, State};
use super::cpu_network::CpuNetwork;
use super::fit::Plan;
use super::tape::Trainer;
use crate::math::kmeans::{Fit, Points, kmeans_plus_plus, lloyd};
use crate::math::random::{Purpose, Random};
use crate::math::student::{assignments, divergence, hard, target};
use crate::op::{Ctx, OpError};
use cache::{Array, Tensor, Tensors};

/// The number of clips that are encoded at once.
const ENCODE_BATCH: usize = 64;

/// The numbers of an epoch that its checkpoint keeps.
const COLUMNS: usize = 4;

/// A training of a network together with clusters of its latent vectors.
pub struct Clustering<'a> {
    /// The network and its training.
    pub plan: &'a Plan,
    /// The number of clusters.
    pub clusters: usize,
    /// The weight of the divergence of the assignments from their target.
    pub weight: f64,
    /// The share of clips that change their cluster in an epoch, at or below which training ends.
    pub tol: f64,
    /// The number of runs of k-means for the first centres.
    pub n_init: u32,
}

/// One epoch of the training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    /// The loss, averaged over the clips during the epoch.
    pub loss: f64,
    /// Its reconstruction term.
    pub reconstruction: f64,
    /// The divergence, before its weight.
    pub divergence: f64,
    /// The share of clips that were in another cluster at the start of the epoch than at the start of the one
    /// before.
    pub changed: f64,
}

/// The state of the training after some epochs.
struct TrainingState {
    trainer: Trainer,
    /// The centres, row-major, and Adam's moving averages of them.
    centres: [Vec<f32>; 3],
    labels: Vec<u32>,
    history: Vec<Round>,
}

/// The content of a checkpoint beside the network: centres with their moving averages, clusters of clips, epochs.
type Restored = ([Vec<f32>; 3], Vec<u32>, Vec<Round>);

/// A trained network with its clusters.
pub struct Clustered {
    /// The weights and running statistics.
    pub state: State,
    /// The centres, row-major.
    pub centres: Vec<f32>,
    /// The latent vectors of all clips, row after row.
    pub latents: Vec<f32>,
    /// The soft assignments of all clips, row after row.
    pub assignments: Vec<f64>,
    /// The epochs.
    pub history: Vec<Round>,
}

impl Clustering<'_> {
    /// Trains from these weights and statistics on, or from the last checkpoint if there is one.
    ///
    /// # Errors
    /// When the loss is not finite, when memory is exhausted, or when the run is cancelled.
    pub fn train(
        &self,
        data: &Array,
        (parameters, statistics): (Vec<f32>, Vec<f32>),
        cx: &Ctx<'_>,
    ) -> Result<Clustered, OpError> {
        let network = self.plan.network();
        let model = CpuNetwork::new(network, data.clone(), parameters, statistics);
        let trainer = Trainer::new(model, self.plan.learning_rate, 0.0)?;
        let mut training = self.start_or_resume(trainer, data.rows(), cx)?;
        let (clips, width) = (data.rows(), self.plan.architecture.latent);
        let (latents, soft) = loop {
            let latents = encode(&training.trainer, clips, cx)?;
            let soft = assignments(&latents, &training.centres[0], width);
            let labels = hard(&soft, self.clusters);
            let moved =
                labels.iter().zip(&training.labels).filter(|(now, then)| now != then).count();
            let changed = moved as f64 / clips as f64;
            let epochs = training.history.len() as u64;
            if epochs >= self.plan.epochs || (epochs > 0 && changed <= self.tol) {
                break (latents, soft);
            }
            training.labels = labels;
            self.epoch(&mut training, &target(&soft, self.clusters), changed, cx)?;
            cx.checkpoints.save(epochs + 1, &training.to_tensors())?;
        };
        let (model, moments) = (training.trainer.model(), training.trainer.moments());
        let state = State {
            parameters: model.parameters().to_vec(),
            statistics: model.statistics.clone(),
            moments: moments.map(Clone::clone),
        };
        drop(model);
        let [centres, ..] = training.centres;
        Ok(Clustered { state, centres, latents, assignments: soft, history: training.history })
    }

    /// One pass over all clips.
    fn epoch(
        &self,
        training: &mut TrainingState,
        target: &[f64],
        changed: f64,
        cx: &Ctx<'_>,
    ) -> Result<(), OpError> {
        let (plan, clips) = (self.plan, training.labels.len());
        let epoch = training.history.len() as u64 + 1;
        let order = Random::new(cx.seed, Purpose::Shuffle, epoch as u32).permutation(clips);
        let batches = clips.div_ceil(plan.batch_size) as u64;
        let mut row = Round { loss: 0.0, reconstruction: 0.0, divergence: 0.0, changed };
        for (at, batch) in order.chunks(plan.batch_size).enumerate() {
            let of_batch = batch.iter().flat_map(|clip| {
                target[*clip as usize * self.clusters..][..self.clusters].iter().copied()
            });
            let of_batch: Vec<f64> = of_batch.collect();
            let centres = &training.centres[0];
            let (mut value, mut gradient) = (0.0, Vec::new());
            let mut term = |latents: &[f32]| {
                let found = divergence(latents, centres, plan.architecture.latent, &of_batch);
                (value, gradient) = (found.value, found.centres);
                let weigh = |d: f32| (self.weight * f64::from(d)) as f32;
                gradient.iter_mut().for_each(|d| *d = weigh(*d));
                (self.weight * value, found.points.into_iter().map(weigh).collect())
            };
            let go_on = || cx.stop_if_cancelled();
            let step = training.trainer.step_with(batch, &plan.objective, &mut term, &go_on)?;
            let losses = step.losses;
            if !losses.loss.is_finite() {
                let place = format!("epoch {epoch}, batch {} of {batches}", at + 1);
                return Err(OpError::failure(format!(
                    "training diverged: the loss is {} in {place}",
                    losses.loss
                ))
                .help("lower `learning_rate`"));
            }
            let n = (epoch - 1) * batches + at as u64 + 1;
            training.trainer.update(step, n, None)?;
            adam(&mut training.centres, &gradient, n, plan.learning_rate);
            let share = batch.len() as f64 / clips as f64;
            row.loss += losses.loss * share;
            row.reconstruction += losses.reconstruction * share;
            row.divergence += value * share;
            let done = (epoch - 1) * clips as u64 + (at * plan.batch_size + batch.len()) as u64;
            let note = format!("epoch {epoch}/{}, loss {:.5}", plan.epochs, losses.loss);
            cx.progress.at(done, plan.epochs * clips as u64, &note);
        }
        training.trainer.free_cache();
        training.history.push(Round::of_numbers(&row.numbers()));
        Ok(())
    }

    fn start_or_resume(
        &self,
        mut trainer: Trainer,
        clips: usize,
        cx: &Ctx<'_>,
    ) -> Result<TrainingState, OpError> {
        if let Some((_, kept)) = cx.checkpoints.load(self.plan.epochs)
            && let Some((centres, labels, history)) = self.resume(&mut trainer, &kept, clips)
        {
            return Ok(TrainingState { trainer, centres, labels, history });
        }
        let width = self.plan.architecture.latent;
        let latents = encode(&trainer, clips, cx)?;
        let cancelled = || cx.cancel.is_cancelled();
        let points = Points::new(&latents, width);
        let mut best: Option<Fit> = None;
        for restart in 0..self.n_init {
            let mut random = Random::new(cx.seed, Purpose::KMeans, restart);
            let init = kmeans_plus_plus(&points, self.clusters, &mut random, &cancelled);
            cx.stop_if_cancelled()?;
            let fit = lloyd(&points, &init, 1e-4, 300, &cancelled);
            cx.stop_if_cancelled()?;
            if best.as_ref().is_none_or(|best| fit.inertia < best.inertia) {
                best = Some(fit);
            }
        }
        let best = best.ok_or_else(|| OpError::param("n_init", "no run of k-means was done"))?;
        let centres: Vec<f32> = best.centres.iter().map(|it| *it as f32).collect();
        let zeros = vec![0.0; centres.len()];
        let centres = [centres, zeros.clone(), zeros];
        Ok(TrainingState { trainer, centres, labels: best.labels, history: Vec::new() })
    }

    /// Restores the network from a checkpoint and returns the rest of it; `None` if it does not fit.
    fn resume(&self, trainer: &mut Trainer, kept: &Tensors, clips: usize) -> Option<Restored> {
        let get = |name: &str, len: usize| {
            let values = kept.get(name).map(|it| it.values.clone()).unwrap_or_default();
            (values.len() == len).then_some(values)
        };
        let (count, extra) = {
            let model = trainer.model();
            (model.parameters().len(), model.statistics.len())
        };
        let (parameters, statistics) = (get("parameters", count)?, get("statistics", extra)?);
        let moments = [get("first_moment", count)?, get("second_moment", count)?];
        let size = self.clusters * self.plan.architecture.latent;
        let centres = ["centres", "first_of_centres", "second_of_centres"].map(|it| get(it, size));
        let [Some(centres), Some(first), Some(second)] = centres else { return None };
        let labels = get("labels", clips)?.iter().map(|it| *it as u32).collect();
        let history = kept.get("history")?.values.chunks_exact(COLUMNS).map(Round::of_numbers);
        let history = history.collect();
        trainer.model().statistics.copy_from_slice(&statistics);
        trainer.restore(&parameters, [&moments[0], &moments[1]]);
        Some(([centres, first, second], labels, history))
    }
}

impl Round {
    /// The row of the history in single precision, as checkpoints keep it.
    fn numbers(&self) -> [f32; COLUMNS] {
        [self.loss, self.reconstruction, self.divergence, self.changed].map(|it| it as f32)
    }

    fn of_numbers(numbers: &[f32]) -> Self {
        let at = |index: usize| f64::from(numbers[index]);
        Self { loss: at(0), reconstruction: at(1), divergence: at(2), changed: at(3) }
    }
}

impl TrainingState {
    fn to_tensors(&self) -> Tensors {
        let (model, [first, second]) = (self.trainer.model(), self.trainer.moments());
        let labels = self.labels.iter().map(|it| *it as f32).collect();
        let history = self.history.iter().flat_map(Round::numbers).collect();
        let [centres, first_of, second_of] = self.centres.clone();
        let all = [
            ("parameters", model.parameters().to_vec()),
            ("statistics", model.statistics.clone()),
            ("first_moment", first.clone()),
            ("second_moment", second.clone()),
            ("centres", centres),
            ("first_of_centres", first_of),
            ("second_of_centres", second_of),
            ("labels", labels),
            ("history", history),
        ];
        let filled = all.into_iter().filter(|(_, values)| !values.is_empty());
        filled
            .map(|(name, values)| (name.to_owned(), Tensor { shape: vec![values.len()], values }))
            .collect()
    }
}

/// The latent vectors of all clips.
fn encode(trainer: &Trainer, clips: usize, cx: &Ctx<'_>) -> Result<Vec<f32>, OpError> {
    let all: Vec<u32> = (0..clips as u32).collect();
    let mut model = trainer.model();
    model.training = false;
    let mut codes = Encodings::default();
    for batch in all.chunks(ENCODE_BATCH) {
        cx.stop_if_cancelled()?;
        model.encode(batch);
        (0..batch.len()).for_each(|at| codes.means.extend_from_slice(model.latents(at).0));
    }
    Ok(codes.means)
}

/// The n-th step of Adam (β₁ = 0.9, β₂ = 0.999, ε = 1e-8) on values with their moving averages.
pub fn adam([values, first, second]: &mut [Vec<f32>; 3], gradient: &[f32], n: u64, rate: f64) {
    let n = n.min(i32::MAX as u64) as i32;
    let correct = [1.0 - 0.9_f64.powi(n), 1.0 - 0.999_f64.powi(n)];
    let averages = first.iter_mut().zip(second);
    for ((value, d), (first, second)) in values.iter_mut().zip(gradient).zip(averages) {
        let d = f64::from(*d);
        *first = (0.9 * f64::from(*first) + 0.1 * d) as f32;
        *second = (0.999 * f64::from(*second) + 0.001 * d * d) as f32;
        let (mean, square) = (f64::from(*first) / correct[0], f64::from(*second) / correct[1]);
        *value = (f64::from(*value) - rate * mean / (square.sqrt() + 1e-8)) as f32;
    }
}
