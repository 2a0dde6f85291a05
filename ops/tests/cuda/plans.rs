//! Small trainings for an emulated device.

use ops::nn::augmentation::Augmentation;
use ops::nn::cuda::Precision;
use ops::nn::fit::Plan;
use ops::nn::layers::Architecture;
use ops::nn::objective::{Beta, BetaSchedule, Objective, Reduction, Regularizer, Variance};

/// A network with few parameters.
pub fn plan(channels: &[usize], variational: bool) -> Plan {
    let (kernel, stride) = (3, 2);
    Plan {
        architecture: Architecture {
            input: [9, 14],
            channels: channels.to_vec(),
            kernel,
            stride,
            batch_norm: false,
            latent: 3,
            variational,
        },
        objective: Objective {
            reconstruction: Reduction::Sum,
            kl: Reduction::Sum,
            beta: Beta {
                beta: 0.7,
                schedule: BetaSchedule::Constant,
                warmup_epochs: 1,
                cycle_epochs: 1,
                cycle_ratio: 1.0,
            },
            ..Objective::default()
        },
        epochs: 3,
        batch_size: 8,
        learning_rate: 1e-3,
        weight_decay: 0.0,
        clip_norm: None,
        validation: 0.0,
        patience: None,
        precision: Precision::F32,
        augmentation: Default::default(),
    }
}

/// Everything that a plan may say otherwise.
#[allow(dead_code, reason = "each test takes what it needs")]
pub fn with_all(mut plan: Plan) -> Plan {
    plan.architecture.batch_norm = true;
    plan.objective.reconstruction = Reduction::Mean;
    plan.objective.kl = Reduction::Mean;
    plan.objective.free_bits = 0.05;
    (plan.weight_decay, plan.clip_norm) = (0.01, Some(0.05));
    plan
}

/// The total correlation, a learned variance and changed clips.
#[allow(dead_code, reason = "each test takes what it needs")]
pub fn with_others(mut plan: Plan) -> Plan {
    if plan.architecture.variational {
        plan.objective.regularizer = Regularizer::TotalCorrelation { clips: 0 };
        plan.objective.beta.beta = 3.0;
    }
    plan.objective.variance = Variance::Optimal;
    plan.augmentation = Augmentation { gain: 0.3, shift: 4, mask_frames: 5, mask_bands: 3 };
    plan.validation = 0.2;
    plan
}
