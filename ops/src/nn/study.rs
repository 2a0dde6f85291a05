//! A model op from inputs to outputs: checks, training, encoding, and warnings about the result.

use super::backend::{Backend, Encodings};
use super::cpu_network::{LOG_VARIANCE, kl_divergence};
use super::cuda;
use super::fit::{Epoch, Plan};
use super::layers::Architecture;
use crate::device::GpuMemory;
use crate::fitted::{Fitted, is_applied};
use crate::op::{Ctx, Inputs, OpError, Outputs, Port};
use cache::{Array, Artifact, Kind, Shape, Table};

/// The input port of every model.
pub const FEATURES: Port = Port::new(
    "features",
    &[Kind::Spectrogram, Kind::Matrix],
    "one image a clip; a vector is taken as an image of one row",
);
/// The port that holds the latent means.
pub const LATENT: Port = Port::new("latent", &[Kind::Matrix], "the latent mean of each clip");
/// The port that holds the latent standard deviations.
pub const LATENT_STD: Port =
    Port::new("latent_std", &[Kind::Matrix], "the latent standard deviation of each clip");
/// The port that holds the weights.
pub const MODEL: Port =
    Port::new("model", &[Kind::Model], "the weights, under the names of the PyTorch module");
/// The port with the history of the training.
pub const HISTORY: Port = Port::new(
    "history",
    &[Kind::History],
    "per epoch: `epoch`, `loss`, `reconstruction`, `kl`, `beta`, `learning_rate`, `validation`; an \
     export adds `seconds`",
);
/// The port with some clips and their reconstructions.
pub const RECONSTRUCTION: Port = Port::new(
    "reconstruction",
    &[Kind::Spectrogram, Kind::Matrix],
    "evenly spaced clips: `features` as reconstructed from the latent mean, and the `original`",
);
/// The port with the diagnostics of the latent units.
pub const DIAGNOSTICS: Port = Port::new(
    "diagnostics",
    &[Kind::Diagnostics],
    "per latent unit: `unit`, `kl` (nats per clip), `variance_of_mean`, `active` (1 if the KL is above \
     0.01 nats or, without a KL, the variance at least a hundredth of that of the most variable unit)",
);

/// The threshold of an active unit of a variational model: its KL is above this many nats.
const ACTIVE_KL: f64 = 0.01;
/// The threshold of an active unit of a model without a KL: its mean varies at least by this part of the variance of the most
/// variable unit. Absolute values mean nothing there, since the decoder scales them.
const ACTIVE_VARIANCE: f64 = 0.01;

impl Plan {
    /// The shapes of [`LATENT`], [`LATENT_STD`] (if variational), [`MODEL`], [`HISTORY`],
    /// [`RECONSTRUCTION`] and [`DIAGNOSTICS`].
    ///
    /// # Errors
    /// When the parameters contradict each other or do not fit the clips.
    pub fn check(&self, inputs: &[Option<Shape>], examples: usize) -> Result<Vec<Shape>, OpError> {
        if self.patience.is_some() && self.validation == 0.0 {
            return Err(OpError::param("patience", "early stopping needs held-out clips")
                .help("set `validation` to the fraction of clips to hold out, such as 0.1"));
        }
        let input = inputs.first().cloned().flatten().unwrap_or(Shape::of(Kind::Spectrogram));
        if is_applied(inputs) {
            let latent = Shape::of(Kind::Matrix).with_rows(input.rows);
            let mut shapes = vec![latent.clone()];
            shapes.extend(self.architecture.variational.then_some(latent));
            shapes.extend([Shape::of(Kind::Model), Shape::of(Kind::History).with_rows(Some(0))]);
            shapes.push(Shape { rows: input.rows.map(|rows| rows.min(examples)), ..input });
            shapes.push(Shape::of(Kind::Diagnostics));
            return Ok(shapes);
        }
        if let Some(row) = &input.row {
            let plan = self.clone().on(row, input.rows)?;
            plan.augmentation.check(plan.architecture.input)?;
        }
        let units = self.architecture.latent;
        let latent = Shape::of(Kind::Matrix).with_rows(input.rows).with_row(Some(vec![units]));
        let mut shapes = vec![latent.clone()];
        shapes.extend(self.architecture.variational.then_some(latent));
        shapes.push(Shape::of(Kind::Model));
        shapes.push(Shape::of(Kind::History));
        shapes.push(Shape { rows: input.rows.map(|rows| rows.min(examples)), ..input });
        shapes.push(Shape::of(Kind::Diagnostics).with_rows(Some(units)));
        Ok(shapes)
    }

    /// The memory that training on these clips takes on a GPU, without kernels.
    pub fn gpu_memory(&self, inputs: &[Option<Shape>]) -> Option<GpuMemory> {
        let input = inputs.first()?.as_ref()?;
        let clips = input.rows?;
        let plan = self.clone().on(input.row.as_ref()?, Some(clips)).ok()?;
        let capacity = plan.batch_size.min(clips);
        let layout = cuda::plan::Plan::new(&plan, clips, capacity);
        Some(GpuMemory {
            own: layout.bytes,
            input: layout.data_bytes,
            port: FEATURES.name,
            format: layout.data_number.name(),
        })
    }

    /// Trains, encodes every clip, and builds all outputs.
    ///
    /// # Errors
    /// When the clips are not usable, when training fails, or when the run is cancelled.
    pub fn study(
        self,
        inputs: &Inputs<'_>,
        examples: usize,
        cx: &Ctx<'_>,
    ) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features(FEATURES.name)?;
        let input = inputs.get(FEATURES.name)?;
        let fitted = Fitted::of(inputs)?;
        let shapes = [Some(input.shape()), fitted.as_ref().map(|model| model.artifact().shape())];
        self.check(&shapes, examples)?;
        let plan = match &fitted {
            Some(model) => self.of_model(model)?,
            None => self,
        };
        let expected = plan.architecture.input;
        let plan = plan.on(features.shape(), Some(ids.len()))?;
        let (mut backend, history) = match &fitted {
            Some(model) => {
                let [height, width] = plan.architecture.input;
                if expected != [height, width] {
                    return Err(OpError::data(format!(
                        "the model is of images of {} × {}, and these are of {height} × {width}",
                        expected[0], expected[1]
                    ))
                    .help("make the features as those that the model was fitted on"));
                }
                let weights = plan.network().join_tensors(model.tensors());
                let weights = weights.ok_or_else(|| model.unfit("lacks weights of its network"))?;
                (plan.restored(features, weights, cx)?, Vec::new())
            }
            None => plan.fit(features, cx)?,
        };

        let latents = encode(backend.as_mut(), ids.len(), cx)?;
        let mut outputs =
            Outputs::new().with(LATENT.name, matrix(ids, &latents.means, latents.units));
        if let Some(log_variances) = &latents.log_variances {
            let deviation = |x: &f32| (0.5 * x.clamp(LOG_VARIANCE[0], LOG_VARIANCE[1])).exp();
            let deviations: Vec<f32> = log_variances.iter().map(deviation).collect();
            outputs = outputs.with(LATENT_STD.name, matrix(ids, &deviations, latents.units));
        }
        let state = backend.state()?;
        let model = backend.network().to_tensors(&state.parameters, &state.statistics);
        let mut model = Artifact::tensors(Kind::Model, model);
        for (name, value) in plan.architecture.describe() {
            model = model.with_meta(name, value);
        }
        Ok(outputs
            .with(MODEL.name, model)
            .with(HISTORY.name, plan.history(&history))
            .with(
                RECONSTRUCTION.name,
                reconstruct(backend.as_mut(), ids, features, input, examples, cx)?,
            )
            .with(DIAGNOSTICS.name, plan.diagnostics(&latents)))
    }

    /// The plan with the architecture of a model.
    fn of_model(mut self, model: &Fitted<'_>) -> Result<Self, OpError> {
        let architecture = Architecture::described(&model.artifact().meta);
        let architecture =
            architecture.ok_or_else(|| model.unfit("does not say of which network it is"))?;
        if architecture.variational != self.architecture.variational {
            return Err(model.unfit(match architecture.variational {
                true => "is of a variational autoencoder",
                false => "is of a plain autoencoder",
            }));
        }
        self.architecture = architecture;
        Ok(self)
    }

    fn history(&self, epochs: &[Epoch]) -> Artifact {
        let column = |of: fn(&Epoch) -> f64| epochs.iter().map(of).collect::<Vec<_>>();
        let table = Table::new()
            .with_ints("epoch", (1..=epochs.len() as i64).collect())
            .with_reals("loss", column(|e| e.losses.loss))
            .with_reals("reconstruction", column(|e| e.losses.reconstruction))
            .with_reals("kl", column(|e| e.losses.kl))
            .with_reals("beta", column(|e| e.beta))
            .with_reals("learning_rate", vec![self.learning_rate; epochs.len()])
            .with_reals("validation", column(|e| e.validation));
        Artifact::table(Kind::History, table)
    }

    fn diagnostics(&self, latents: &Latents) -> Artifact {
        let (units, covariance) = (latents.units, latents.covariance());
        let variance: Vec<f64> = (0..units).map(|j| covariance[j * units + j]).collect();
        let kl = latents.kl();
        let active: Vec<i64> = match &kl {
            Some(kl) => kl.iter().map(|kl| i64::from(*kl > ACTIVE_KL)).collect(),
            None => active_by_variance(&variance),
        };
        let mut meta = vec![
            ("active_units", active.iter().sum::<i64>() as f64),
            ("effective_dimension", participation(&covariance, units)),
        ];
        if let Some(kl) = &kl {
            let [height, width] = self.architecture.input;
            meta.push(("total_kl", kl.iter().sum()));
            let beta = self.objective.effective_beta(height * width, units);
            meta.extend(beta.map(|beta| ("effective_beta", beta)));
        }
        let table = Table::new()
            .with_ints("unit", (0..units as i64).collect())
            .with_reals("kl", kl.unwrap_or_else(|| vec![f64::NAN; units]))
            .with_reals("variance_of_mean", variance)
            .with_ints("active", active);
        meta.into_iter()
            .fold(Artifact::table(Kind::Diagnostics, table), |artifact, (name, value)| {
                artifact.with_meta(name, value)
            })
    }
}

/// 1 for each active unit of a model without a KL, and 0 for the others.
fn active_by_variance(variance: &[f64]) -> Vec<i64> {
    let most = variance.iter().copied().filter(|it| it.is_finite()).fold(0.0, f64::max);
    let is_active = |value: &f64| most > 0.0 && *value >= ACTIVE_VARIANCE * most;
    variance.iter().map(|value| i64::from(is_active(value))).collect()
}

/// The latent vectors of all clips, row after row.
struct Latents {
    units: usize,
    means: Vec<f32>,
    log_variances: Option<Vec<f32>>,
}

fn encode(backend: &mut dyn Backend, clips: usize, cx: &Ctx<'_>) -> Result<Latents, OpError> {
    let (units, variational) = {
        let architecture = &backend.network().architecture;
        (architecture.latent, architecture.variational)
    };
    let all: Vec<u32> = (0..clips as u32).collect();
    let Encodings { means, log_variances } = backend.encode(&all, cx)?;
    Ok(Latents { units, means, log_variances: variational.then_some(log_variances) })
}

impl Latents {
    /// The KL divergence of each unit in nats, averaged over the clips.
    fn kl(&self) -> Option<Vec<f64>> {
        let log_variances = self.log_variances.as_ref()?;
        let mut sums = vec![0.0; self.units];
        let rows = self.means.chunks(self.units).zip(log_variances.chunks(self.units));
        for (means, log_variances) in rows {
            for ((sum, mean), log_variance) in sums.iter_mut().zip(means).zip(log_variances) {
                *sum += kl_divergence(*mean, *log_variance);
            }
        }
        let clips = (self.means.len() / self.units) as f64;
        Some(sums.iter().map(|sum| sum / clips).collect())
    }

    /// The covariance of the means (divided by the number of clips), units × units.
    fn covariance(&self) -> Vec<f64> {
        let (units, clips) = (self.units, (self.means.len() / self.units) as f64);
        let mut centre = vec![0.0; units];
        for row in self.means.chunks(units) {
            centre.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x) / clips);
        }
        let mut sums = vec![0.0; units * units];
        for row in self.means.chunks(units) {
            let apart: Vec<f64> = row.iter().zip(&centre).map(|(x, c)| f64::from(*x) - c).collect();
            for (sums, a) in sums.chunks_mut(units).zip(&apart) {
                sums.iter_mut().zip(&apart).for_each(|(sum, b)| *sum += a * b / clips);
            }
        }
        sums
    }
}

/// The participation ratio (Σλ)²/Σλ² of the eigenvalues λ of a covariance: the effective dimension.
fn participation(covariance: &[f64], units: usize) -> f64 {
    let trace: f64 = (0..units).map(|j| covariance[j * units + j]).sum();
    let squares: f64 = covariance.iter().map(|x| x * x).sum();
    if squares > 0.0 { trace * trace / squares } else { 0.0 }
}

fn matrix(ids: &[String], values: &[f32], width: usize) -> Artifact {
    let table =
        Table::new().with_text("clip_id", ids).with_array("features", [width], values.to_vec());
    Artifact::table(Kind::Matrix, table)
}

/// Evenly spaced clips, and their reconstructions from the latent means.
fn reconstruct(
    backend: &mut dyn Backend,
    ids: &[String],
    features: &Array,
    input: &Artifact,
    examples: usize,
    cx: &Ctx<'_>,
) -> Result<Artifact, OpError> {
    let examples = examples.min(ids.len());
    let chosen: Vec<u32> = (0..examples).map(|i| (i * ids.len() / examples) as u32).collect();
    let made = backend.reconstruct(&chosen, cx)?;
    let originals: Vec<f32> =
        chosen.iter().flat_map(|clip| features.row(*clip as usize)).copied().collect();
    let table = Table::new()
        .with_text("clip_id", chosen.iter().map(|clip| ids[*clip as usize].as_str()))
        .with_array("features", features.shape(), made)
        .with_array("original", features.shape(), originals);
    Ok(Artifact { kind: input.kind, meta: input.meta.clone(), data: cache::Data::Table(table) })
}

/// Defaults of parameters.
pub mod defaults {
    use crate::params::{Fraction, NonNegative, Positive};
    use std::num::{NonZeroU32, NonZeroUsize};

    fn whole(n: usize) -> NonZeroUsize {
        NonZeroUsize::new(n).expect("not zero")
    }
    /// The number of latent units.
    pub fn latent() -> NonZeroUsize {
        whole(32)
    }
    /// The channels of the convolutions.
    pub fn channels() -> Vec<NonZeroUsize> {
        [32, 64, 128].map(whole).to_vec()
    }
    /// The kernel size along each axis.
    pub fn kernel() -> NonZeroUsize {
        whole(3)
    }
    /// The stride of the kernel.
    pub fn stride() -> NonZeroUsize {
        whole(2)
    }
    /// The number of passes over the clips.
    pub fn epochs() -> u32 {
        35
    }
    /// The number of clips in a step.
    pub fn batch_size() -> NonZeroUsize {
        whole(128)
    }
    /// Adam's step size.
    pub fn learning_rate() -> Positive {
        Positive::try_from(1e-3).expect("above zero")
    }
    /// Zero.
    pub fn zero() -> NonNegative {
        NonNegative::try_from(0.0).expect("at least zero")
    }
    /// The fraction 0.
    pub fn no_share() -> Fraction {
        Fraction::try_from(0.0).expect("from zero to one")
    }
    /// The fraction ½.
    pub fn half() -> Fraction {
        Fraction::try_from(0.5).expect("from zero to one")
    }
    /// The weight of the KL term.
    pub fn beta() -> NonNegative {
        NonNegative::try_from(4.0).expect("at least zero")
    }
    /// The nats of a capacity.
    pub fn capacity() -> NonNegative {
        NonNegative::try_from(25.0).expect("at least zero")
    }
    /// The number of epochs of a warm-up or of a cycle.
    pub fn ten() -> NonZeroU32 {
        NonZeroU32::new(10).expect("not zero")
    }
    /// The number of clips whose reconstruction is kept.
    pub fn examples() -> NonZeroUsize {
        whole(8)
    }
}

#[cfg(test)]
mod tests {
    use super::active_by_variance;

    #[test]
    fn active_units_do_not_depend_on_the_scale() {
        let variance = [4.0, 1.0, 0.05, 0.03, 0.0];
        for scale in [1.0, 1e-6, 1e6] {
            assert_eq!(active_by_variance(&variance.map(|it| it * scale)), [1, 1, 1, 0, 0]);
        }
        assert_eq!(active_by_variance(&[0.0, f64::NAN]), [0, 0]);
    }
}
