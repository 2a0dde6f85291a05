//! The loss that a training minimises.
//!
//! loss = reconstruction + β·KL, where for clips x, reconstructions x̂ and latent units j
//!
//! - reconstruction = Σ (x̂ − x)² over pixels (`sum`) or their average (`mean`),
//! - KL = Σⱼ −½(1 + log σⱼ² − μⱼ² − σⱼ²) over latent units (`sum`) or their average (`mean`),
//!
//! and both are averaged over the clips of the batch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the terms of one clip are put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Their sum.
    #[default]
    Sum,
    /// Their average.
    Mean,
}

/// How the weight of the KL term goes over the epochs; see [`Beta::at`].
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

/// The loss of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// The reduction of the squared errors of a clip.
    pub reconstruction: Reduction,
    /// The reduction of the KL terms of a clip.
    pub kl: Reduction,
    /// The weight of the KL term.
    pub beta: Beta,
    /// The nats below which a latent unit's KL, averaged over the batch, is not penalised.
    pub free_bits: f64,
}

impl Objective {
    /// The equivalent β if both terms are sums: β, × pixels if the reconstruction is averaged, ÷
    /// latent units if the KL is.
    pub fn effective_beta(&self, pixels: usize, latent: usize) -> f64 {
        let over = |reduction, n| if reduction == Reduction::Mean { n as f64 } else { 1.0 };
        self.beta.beta * over(self.reconstruction, pixels) / over(self.kl, latent)
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
        let course = |schedule| (1..=6).map(|e| beta(schedule).at(e)).collect::<Vec<_>>();
        assert_eq!(course(BetaSchedule::Constant), [4.0; 6]);
        assert_eq!(course(BetaSchedule::Linear), [1.0, 2.0, 3.0, 4.0, 4.0, 4.0]);
        assert_eq!(course(BetaSchedule::Cyclical), [2.0, 4.0, 4.0, 4.0, 2.0, 4.0]);
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
        let objective =
            |r, k| Objective { reconstruction: r, kl: k, beta: constant, free_bits: 0.0 };
        let effective = |r, k| objective(r, k).effective_beta(16_640, 32);
        assert_eq!(effective(Reduction::Sum, Reduction::Sum), 4.0);
        assert_eq!(effective(Reduction::Mean, Reduction::Mean), 2080.0);
        assert_eq!(effective(Reduction::Mean, Reduction::Sum), 66_560.0);
    }
}
