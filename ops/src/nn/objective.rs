//! The loss that a training minimises.
//!
//! loss = reconstruction + β·KL, where for clips x, reconstructions x̂ and latent units j
//!
//! - reconstruction = Σ (x̂ − x)² over pixels (`sum`) or their average (`mean`),
//! - KL = Σⱼ −½(1 + log σⱼ² − μⱼ² − σⱼ²) over latent units (`sum`) or their average (`mean`),
//!
//! and both are averaged over the clips of the batch. Other objectives weigh parts of the KL term
//! ([`Regularizer`]), and a learned variance makes the reconstruction a likelihood ([`Variance`]).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The reduction of the terms of one clip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Their sum.
    #[default]
    Sum,
    /// Their average.
    Mean,
}

/// The schedule of the weight of the KL term over the epochs; see [`Beta::at`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// `beta` from the first epoch on.
    #[default]
    Constant,
    /// Up to `beta` in equal steps over `warmup_epochs` epochs.
    Linear,
    /// In cycles of `cycle_epochs` epochs: up to `beta` in equal steps over the share
    /// `cycle_ratio` of the cycle, then `beta` (Fu et al., 2019).
    Cyclical,
}

/// The weight of the KL term over the epochs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beta {
    /// The full weight.
    pub beta: f64,
    /// The schedule by which it is reached.
    pub schedule: BetaSchedule,
    /// The number of epochs of the linear warm-up.
    pub warmup_epochs: u32,
    /// The number of epochs of a cycle.
    pub cycle_epochs: u32,
    /// The fraction of a cycle in which the weight rises.
    pub cycle_ratio: f64,
}

impl Beta {
    /// The weight in epoch e = 1, 2, ...: β, or β·min(1, e / warm-up), or β·min(1, t / ratio) with
    /// t = (((e − 1) mod cycle) + 1) / cycle. It depends on the epoch alone, never on the total
    /// number of epochs.
    pub fn at(&self, epoch: u64) -> f64 {
        let rise = match self.schedule {
            BetaSchedule::Constant => 1.0,
            BetaSchedule::Linear => epoch as f64 / f64::from(self.warmup_epochs.max(1)),
            BetaSchedule::Cyclical => {
                let cycle = u64::from(self.cycle_epochs.max(1));
                ((epoch - 1) % cycle + 1) as f64 / cycle as f64 / self.cycle_ratio.max(1e-9)
            }
        };
        self.beta * rise.min(1.0)
    }
}

impl Default for Beta {
    /// A weight of 0 from the first epoch on.
    fn default() -> Self {
        let schedule = BetaSchedule::Constant;
        Self { beta: 0.0, schedule, warmup_epochs: 1, cycle_epochs: 1, cycle_ratio: 1.0 }
    }
}

/// The term of the loss beside the reconstruction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Regularizer {
    /// β·KL (Higgins et al., 2017).
    #[default]
    Beta,
    /// KL + (β − 1)·TC, the total correlation of the latent units (Chen et al., 2018).
    TotalCorrelation {
        /// The number of training clips.
        clips: usize,
    },
    /// β·|KL − C| (Burgess et al., 2018).
    Capacity {
        /// C, or what it reaches.
        nats: f64,
        /// The number of epochs in which C rises from 0.
        epochs: u32,
    },
}

/// The variance of a pixel around its reconstruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Variance {
    /// Fixed: the reconstruction is the squared error.
    #[default]
    Fixed,
    /// That of the batch, which makes the batch likeliest (σ-VAE): the reconstruction is the negative
    /// logarithm of a Gaussian density.
    Optimal,
}

/// The logarithm of the deviation below which it is held softly, so that no density is infinite.
const MIN_LOG_DEVIATION: f64 = -6.0;

/// The loss of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Objective {
    /// The reduction of the squared errors of a clip.
    pub reconstruction: Reduction,
    /// The reduction of the KL terms of a clip.
    pub kl: Reduction,
    /// The weight of the KL term.
    pub beta: Beta,
    /// The nats below which a latent unit's KL, averaged over the batch, is not penalised.
    pub free_bits: f64,
    /// The form of the KL term and its weight.
    pub regularizer: Regularizer,
    /// The variance of the output.
    pub variance: Variance,
}

impl Objective {
    /// The objective in an epoch, from 1 on: a rising capacity is that of the epoch.
    #[must_use]
    pub fn in_epoch(mut self, epoch: u64) -> Self {
        if let Regularizer::Capacity { nats, epochs } = &mut self.regularizer {
            *nats *= (epoch as f64 / f64::from(*epochs).max(1.0)).min(1.0);
        }
        self
    }

    /// The same with the number of training clips.
    #[must_use]
    pub fn of_clips(mut self, training: usize) -> Self {
        if let Regularizer::TotalCorrelation { clips } = &mut self.regularizer {
            *clips = training;
        }
        self
    }

    /// The reconstruction term of a sum of squared errors over `clips` clips of `pixels` pixels, and the
    /// number that divides its gradient.
    ///
    /// With the optimal variance it is, for the mean m of all squared errors and a softly limited
    /// log σ = −6 + log(1 + exp(½ log m + 6)), Σ over pixels of ½ log 2π + log σ + m / 2σ².
    pub fn reconstruction_of(&self, error: f64, clips: usize, pixels: usize) -> (f64, f64) {
        let averaged = if self.reconstruction == Reduction::Mean { pixels } else { 1 };
        if self.variance == Variance::Fixed {
            let divisor = (clips * averaged) as f64;
            return (error / divisor, divisor);
        }
        let count = (clips * pixels) as f64;
        let mean = (error / count).max(1e-30);
        let above = 0.5 * mean.ln() - MIN_LOG_DEVIATION;
        let log_deviation = MIN_LOG_DEVIATION + above + (-above).exp().ln_1p();
        let precision = (-2.0 * log_deviation).exp();
        let value = 0.5 * std::f64::consts::TAU.ln() + log_deviation + 0.5 * mean * precision;
        let slope = 0.5 / mean / (1.0 + (-above).exp());
        let slope = (1.0 - mean * precision) * slope + 0.5 * precision;
        let scale = pixels as f64 / averaged as f64;
        (scale * value, count / (scale * slope))
    }

    /// The part beside the reconstruction, of a KL term and a total correlation that are put together
    /// as `kl` says, at the full β.
    pub fn penalty(&self, kl: f64, correlation: f64) -> f64 {
        let beta = self.beta.beta;
        match self.regularizer {
            Regularizer::Beta => beta * kl,
            Regularizer::TotalCorrelation { .. } => kl + (beta - 1.0) * correlation,
            Regularizer::Capacity { nats, .. } => beta * (kl - nats).abs(),
        }
    }

    /// The equivalent β if both terms are sums: β, × pixels if the reconstruction is averaged, ÷
    /// latent units if the KL is. None with another objective, which has no single weight.
    pub fn effective_beta(&self, pixels: usize, latent: usize) -> Option<f64> {
        if self.regularizer != Regularizer::Beta || self.variance != Variance::Fixed {
            return None;
        }
        let over = |reduction, n| if reduction == Reduction::Mean { n as f64 } else { 1.0 };
        Some(self.beta.beta * over(self.reconstruction, pixels) / over(self.kl, latent))
    }
}

/// The loss with its terms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Losses {
    /// The loss.
    pub loss: f64,
    /// The reconstruction term.
    pub reconstruction: f64,
    /// The KL term before β and free bits; 0 for a plain autoencoder.
    pub kl: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_rise_to_beta_and_depend_on_the_epoch_alone() {
        let beta = |schedule| Beta {
            beta: 4.0,
            schedule,
            warmup_epochs: 4,
            cycle_epochs: 4,
            cycle_ratio: 0.5,
        };
        let values = |schedule| (1..=6).map(|e| beta(schedule).at(e)).collect::<Vec<_>>();
        assert_eq!(values(BetaSchedule::Constant), [4.0; 6]);
        assert_eq!(values(BetaSchedule::Linear), [1.0, 2.0, 3.0, 4.0, 4.0, 4.0]);
        assert_eq!(values(BetaSchedule::Cyclical), [2.0, 4.0, 4.0, 4.0, 2.0, 4.0]);
    }

    #[test]
    fn averaging_both_terms_multiplies_beta_by_pixels_over_units() {
        let constant = Beta {
            beta: 4.0,
            schedule: BetaSchedule::Constant,
            warmup_epochs: 1,
            cycle_epochs: 1,
            cycle_ratio: 1.0,
        };
        let objective = |reconstruction, kl| Objective {
            reconstruction,
            kl,
            beta: constant,
            ..Objective::default()
        };
        let effective = |r, k| objective(r, k).effective_beta(16_640, 32).unwrap_or_default();
        assert_eq!(effective(Reduction::Sum, Reduction::Sum), 4.0);
        assert_eq!(effective(Reduction::Mean, Reduction::Mean), 2080.0);
        assert_eq!(effective(Reduction::Mean, Reduction::Sum), 66_560.0);
    }

    #[test]
    fn a_capacity_rises_and_the_gradient_of_a_likelihood_is_its_slope() {
        let regularizer = Regularizer::Capacity { nats: 20.0, epochs: 4 };
        let capacity = Objective { regularizer, ..Objective::default() };
        let at = |epoch| match capacity.in_epoch(epoch).regularizer {
            Regularizer::Capacity { nats, .. } => nats,
            _ => f64::NAN,
        };
        assert_eq!([1, 2, 4, 9].map(at), [5.0, 10.0, 20.0, 20.0]);
        for reconstruction in [Reduction::Sum, Reduction::Mean] {
            let variance = Variance::Optimal;
            let sigma = Objective { reconstruction, variance, ..Objective::default() };
            for error in [1e-9, 1e-3, 40.0, 1e4] {
                let of = |error| sigma.reconstruction_of(error, 5, 30);
                let slope = (of(error * 1.0001).0 - of(error * 0.9999).0) / (error * 0.0002);
                assert!((slope * of(error).1 - 1.0).abs() < 1e-4, "{error}");
            }
        }
    }
}
