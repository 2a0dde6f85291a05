//! The CPU backend: trains and runs a network on the CPU.

use super::backend::{Backend, Batches, Encodings, State};
use super::cpu_network::CpuNetwork;
use super::fit::Plan;
use super::layers::Network;
use super::objective::{Losses, Objective};
use super::tape::{Step, Trainer};
use crate::math::random::{Purpose, Random};
use crate::op::{Ctx, OpError};
use cache::Array;

/// The number of clips that are encoded at once.
const ENCODE_BATCH: usize = 64;

/// A network on the CPU.
pub struct Cpu<'a> {
    plan: &'a Plan,
    objective: Objective,
    network: Network,
    trainer: Trainer,
}

impl<'a> Cpu<'a> {
    /// A network in this state.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn new(plan: &'a Plan, data: &Array, state: &State) -> Result<Self, OpError> {
        let network = plan.network();
        let (parameters, statistics) = (state.parameters.clone(), state.statistics.clone());
        let model = CpuNetwork::new(network.clone(), data.clone(), parameters, statistics);
        let trainer = Trainer::new(model, plan.learning_rate, plan.weight_decay)?;
        let objective = plan.objective.of_clips(data.rows() - plan.held_out(data.rows()));
        Ok(Self { plan, objective, network, trainer })
    }

    /// Computes the gradient and the losses of one batch, without a step.
    ///
    /// # Errors
    /// When there is not enough memory, or when the run is cancelled.
    pub fn gradient(
        &mut self,
        clips: &[u32],
        epoch: u64,
        beta: f64,
        cx: &Ctx<'_>,
    ) -> Result<(Losses, Vec<f32>), OpError> {
        let mut made = self.pass(clips, &self.objective.in_epoch(epoch), beta, 0, cx)?;
        let gradient = self.trainer.gradient(&mut made)?.clone();
        Ok((made.losses, gradient))
    }

    /// Computes the losses and the gradients of the batch of a step.
    fn pass(
        &self,
        clips: &[u32],
        objective: &Objective,
        beta: f64,
        step: u64,
        cx: &Ctx<'_>,
    ) -> Result<Step, OpError> {
        let noise = self.plan.architecture.variational.then(|| {
            let mut random = Random::new(cx.seed, Purpose::Noise, step as u32);
            let count = clips.len() * self.plan.architecture.latent;
            (0..count).map(|_| random.normal() as f32).collect()
        });
        if !self.plan.augmentation.is_off() {
            let mut model = self.trainer.model();
            let (size, seed) = (self.network.architecture.input, (cx.seed, step));
            let images = self.plan.augmentation.apply(clips, model.data(), size, seed);
            model.set_images(images);
        }
        self.trainer.step(clips, objective, beta, noise, &|| cx.stop_if_cancelled())
    }
}

impl Backend for Cpu<'_> {
    fn network(&self) -> &Network {
        &self.network
    }

    fn train(
        &mut self,
        batches: &Batches<'_>,
        cx: &Ctx<'_>,
        on_step: &mut dyn FnMut(usize, Losses) -> Result<(), OpError>,
    ) -> Result<(), OpError> {
        let objective = self.objective.in_epoch(batches.epoch);
        for (at, clips) in batches.order.chunks(self.plan.batch_size).enumerate() {
            let step = batches.steps_before + at as u64;
            let made = self.pass(clips, &objective, batches.beta, step, cx)?;
            let losses = made.losses;
            self.trainer.update(made, step + 1, self.plan.clip_norm)?;
            on_step(at, losses)?;
        }
        self.trainer.free_cache();
        Ok(())
    }

    fn validate(&mut self, clips: &[u32], cx: &Ctx<'_>) -> Result<f64, OpError> {
        let mut sum = 0.0;
        let mut model = self.trainer.model();
        model.training = false;
        for batch in clips.chunks(self.plan.batch_size) {
            cx.stop_if_cancelled()?;
            model.encode(batch);
            model.decode_means();
            sum += model.loss(&self.objective) * batch.len() as f64;
        }
        Ok(if clips.is_empty() { f64::NAN } else { sum / clips.len() as f64 })
    }

    fn state(&mut self) -> Result<State, OpError> {
        let (model, moments) = (self.trainer.model(), self.trainer.moments());
        Ok(State {
            parameters: model.parameters().to_vec(),
            statistics: model.statistics.clone(),
            moments: moments.map(Clone::clone),
        })
    }

    fn restore(&mut self, state: &State) -> Result<(), OpError> {
        self.trainer.model().statistics.copy_from_slice(&state.statistics);
        let [first, second] = &state.moments;
        self.trainer.restore(&state.parameters, [first, second]);
        Ok(())
    }

    fn encode(&mut self, clips: &[u32], cx: &Ctx<'_>) -> Result<Encodings, OpError> {
        let mut model = self.trainer.model();
        model.training = false;
        let mut codes = Encodings::default();
        for batch in clips.chunks(ENCODE_BATCH) {
            cx.stop_if_cancelled()?;
            model.encode(batch);
            for at in 0..batch.len() {
                let (mean, log_variance) = model.latents(at);
                codes.means.extend_from_slice(mean);
                codes.log_variances.extend_from_slice(log_variance.unwrap_or_default());
            }
        }
        Ok(codes)
    }

    fn reconstruct(&mut self, clips: &[u32], cx: &Ctx<'_>) -> Result<Vec<f32>, OpError> {
        let mut model = self.trainer.model();
        model.training = false;
        let mut made = Vec::new();
        for batch in clips.chunks(ENCODE_BATCH) {
            cx.stop_if_cancelled()?;
            model.encode(batch);
            model.decode_means();
            (0..batch.len()).for_each(|at| made.extend_from_slice(model.reconstruction().row(at)));
        }
        Ok(made)
    }
}
