//! The op `idec`: deep clustering, an autoencoder that is trained on with the centres of clusters.

use super::kmeans::check_clusters;
use crate::device::Device;
use crate::math::contingency::by_first_appearance;
use crate::math::student::hard;
use crate::memory::{Features, WIDE, whole};
use crate::nn::augmentation::Augmentation;
use crate::nn::clustering::{Clustering, Round};
use crate::nn::cuda::Precision;
use crate::nn::fit::Plan;
use crate::nn::layers::Architecture;
use crate::nn::objective::{Objective, Reduction};
use crate::nn::study::{FEATURES, defaults};
use crate::params::{Fraction, NonNegative, Positive};
use crate::{Ctx, Determinism, Inputs, Op, OpError, Outputs, Port};
use cache::{Array, Artifact, Kind, Shape, Table, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::{NonZeroU32, NonZeroUsize};

/// Clusters in the latent space of an autoencoder that is trained on for them (IDEC).
///
/// It starts from the weights of `autoencoder` and from centres μ that k-means finds among its latent vectors
/// z. Then both are trained by Adam on R + γ KL(P‖Q), each averaged over the clips of a batch: R is the
/// reconstruction, q_ij = (1 + |z_i − μ_j|²)⁻¹ / Σ_l (1 + |z_i − μ_l|²)⁻¹ the soft assignment of clip i to
/// cluster j, and p_ij = (q_ij² / f_j) / Σ_l (q_il² / f_l), f_j = Σ_i q_ij, the target, made anew at the start
/// of each epoch. A clip belongs to the cluster with its largest q. Clusters are numbered by the first clip
/// they hold.
///
/// It ends after `epochs`, or when at most a share `tol` of the clips changed its cluster in an epoch. It goes
/// on from its last finished epoch after an interruption. It sharpens the clusters that it starts from, so it
/// can be no better than those allow: put k-means on `autoencoder` beside it.
///
/// The memory that it takes is estimated before it starts, for the default network of `autoencoder`, since
/// shapes do not tell which one it is given. It has no port to apply its model to other clips, and companions
/// do not repeat it on reference data, which would need an autoencoder of their own.
///
/// Source: Guo, Gao, Liu and Yin, Improved deep embedded clustering with local structure preservation, IJCAI
/// 2017, with their γ and the target per epoch instead of every 140 steps; loss and gradients agree with PyTorch
/// 2.13 within 1e-4.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Idec {
    /// The number of clusters; at most the number of clips.
    pub clusters: NonZeroU32,
    /// The weight γ of KL(P‖Q).
    #[serde(default = "gamma")]
    pub gamma: NonNegative,
    /// The reduction of the squared errors of a clip: their `mean` over pixels, for which γ is made, or their `sum`.
    #[serde(default = "mean")]
    pub reconstruction: Reduction,
    /// The largest number of passes over the clips. A longer training continues a shorter one.
    #[serde(default = "defaults::epochs")]
    pub epochs: u32,
    /// Clips per step; the last batch of an epoch may be smaller.
    #[serde(default = "defaults::batch_size")]
    pub batch_size: NonZeroUsize,
    /// Adam's step size (β₁ = 0.9, β₂ = 0.999, ε = 1e-8, as PyTorch).
    #[serde(default = "defaults::learning_rate")]
    pub learning_rate: Positive,
    /// The share of clips that change their cluster in an epoch, at or below which training ends.
    #[serde(default = "tol")]
    pub tol: Fraction,
    /// The number of runs of k-means from other starting centres.
    #[serde(default = "ten")]
    pub n_init: NonZeroU32,
}

fn gamma() -> NonNegative {
    NonNegative::try_from(0.1).expect("at least zero")
}

fn mean() -> Reduction {
    Reduction::Mean
}

fn tol() -> Fraction {
    Fraction::try_from(0.001).expect("from 0 to 1")
}

fn ten() -> NonZeroU32 {
    NonZeroU32::new(10).expect("10 is not 0")
}

/// The parameters and statistics of a network.
type Weights = (Vec<f32>, Vec<f32>);

/// The port of the network to start from.
const START: Port = Port::new(
    "autoencoder",
    &[Kind::Model],
    "The output `model` of a step `autoencoder` on the same features.",
);

impl Idec {
    fn plan(&self, architecture: Architecture) -> Plan {
        Plan {
            architecture,
            objective: Objective { reconstruction: self.reconstruction, ..Objective::default() },
            epochs: self.epochs.into(),
            batch_size: self.batch_size.get(),
            learning_rate: self.learning_rate.get(),
            weight_decay: 0.0,
            clip_norm: None,
            validation: 0.0,
            patience: None,
            precision: Precision::default(),
            augmentation: Augmentation::default(),
        }
    }

    /// The training and the weights that it starts from, for clips of this shape.
    fn start(&self, model: &Artifact, features: &Array) -> Result<(Plan, Weights), OpError> {
        let unfit = |reason: &str| {
            OpError::data(format!("the model at port `autoencoder` {reason}"))
                .help("connect the output `model` of a step `autoencoder` on the same features")
        };
        let architecture = Architecture::described(&model.meta);
        let architecture =
            architecture.ok_or_else(|| unfit("does not say of which network it is"))?;
        if architecture.variational {
            return Err(unfit("is of a variational autoencoder"));
        }
        let expected = architecture.input;
        let plan = self.plan(architecture).on(features.shape(), Some(features.rows()))?;
        let [height, width] = plan.architecture.input;
        if expected != [height, width] {
            let own = format!("is of images of {} × {}", expected[0], expected[1]);
            return Err(unfit(&format!("{own}, and these are of {height} × {width}")));
        }
        let weights = model.as_tensors().and_then(|it| plan.network().join_tensors(it));
        Ok((plan, weights.ok_or_else(|| unfit("lacks weights of its network"))?))
    }
}

impl Op for Idec {
    const NAME: &'static str = "idec";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[FEATURES, START];
    const OUTPUTS: &'static [Port] = &[
        Port::new("labels", &[Kind::Labels], "The cluster of each clip, from 0."),
        Port::new("latent", &[Kind::Matrix], "The latent vector of each clip after the training."),
        Port::new(
            "assignments",
            &[Kind::Matrix],
            "The soft assignment q of each clip to each cluster, in the order of their numbers.",
        ),
        Port::new("model", &[Kind::Model], "The weights after the training."),
        Port::new(
            "history",
            &[Kind::History],
            "Per epoch: `epoch`, `loss`, `reconstruction`, `kl` (KL(P‖Q) of a clip) and \
             `changed`, the share of clips in another cluster than an epoch before.",
        ),
    ];
    const SEEDED: bool = true;
    const DETERMINISM: Determinism = Determinism::Tolerant;
    const PROGRESSIVE: &'static [&'static str] = &["epochs"];

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let rows = inputs.first().and_then(Option::as_ref).and_then(|shape| shape.rows);
        let clusters = self.clusters.get() as usize;
        check_clusters(clusters, rows)?;
        let matrix = Shape::of(Kind::Matrix).with_rows(rows);
        Ok(vec![
            Shape::of(Kind::Labels).with_rows(rows),
            matrix.clone(),
            matrix.with_row(Some(vec![clusters])),
            Shape::of(Kind::Model),
            Shape::of(Kind::History),
        ])
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let x = Features::of(inputs)?;
        let architecture = Architecture {
            input: [1, 1],
            channels: defaults::channels().into_iter().map(|n| n.get()).collect(),
            kernel: defaults::kernel().get(),
            stride: defaults::stride().get(),
            batch_norm: false,
            latent: defaults::latent().get(),
            variational: false,
        };
        let training = self.plan(architecture).memory(inputs, 0)?;
        // The assignments and their target, and for each its rows of the labels.
        let soft = x.n * f64::from(self.clusters.get()) * (2.0 * WIDE + 4.0);
        whole(training as f64 + soft)
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features(FEATURES.name)?;
        check_clusters(self.clusters.get() as usize, Some(ids.len()))?;
        let (plan, weights) = self.start(inputs.get(START.name)?, features)?;
        if *cx.device != Device::Cpu {
            cx.warnings.warn("it is trained on the CPU: a GPU does not know this training yet");
        }
        let training = Clustering {
            plan: &plan,
            clusters: self.clusters.get() as usize,
            weight: self.gamma.get(),
            tol: self.tol.get(),
            n_init: self.n_init.get(),
        };
        let made = training.train(features, weights, cx)?;
        // Numbers in the order of the first clips; clusters without a clip come last.
        let (labels, mut order) = by_first_appearance(&hard(&made.assignments, training.clusters));
        let empty: Vec<u32> =
            (0..training.clusters as u32).filter(|it| !order.contains(it)).collect();
        order.extend(empty);
        let rows = made.assignments.chunks_exact(training.clusters);
        let soft = rows.flat_map(|row| order.iter().map(|at| row[*at as usize] as f32)).collect();
        let width = plan.architecture.latent;
        let centres: Vec<f32> = order
            .iter()
            .flat_map(|at| &made.centres[*at as usize * width..][..width])
            .copied()
            .collect();
        let with_ids = || Table::new().with_text("clip_id", ids);
        let labels = with_ids().with_ints("label", labels.into_iter().map(i64::from).collect());
        let mut tensors = plan.network().to_tensors(&made.state.parameters, &made.state.statistics);
        let shape = vec![training.clusters, width];
        tensors.insert("centres".to_owned(), Tensor { shape, values: centres });
        let mut model = Artifact::tensors(Kind::Model, tensors);
        for (name, value) in plan.architecture.describe() {
            model = model.with_meta(name, value);
        }
        let matrix = |width: usize, values: Vec<f32>| {
            Artifact::table(Kind::Matrix, with_ids().with_array("features", [width], values))
        };
        Ok(Outputs::new()
            .with("labels", Artifact::table(Kind::Labels, labels))
            .with("latent", matrix(width, made.latents))
            .with("assignments", matrix(training.clusters, soft))
            .with("model", model)
            .with("history", history(&made.history)))
    }
}

fn history(rounds: &[Round]) -> Artifact {
    let column = |of: fn(&Round) -> f64| rounds.iter().map(of).collect::<Vec<_>>();
    let table = Table::new()
        .with_ints("epoch", (1..=rounds.len() as i64).collect())
        .with_reals("loss", column(|it| it.loss))
        .with_reals("reconstruction", column(|it| it.reconstruction))
        .with_reals("kl", column(|it| it.divergence))
        .with_reals("changed", column(|it| it.changed));
    Artifact::table(Kind::History, table)
}
