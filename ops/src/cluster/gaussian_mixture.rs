//! The op `gaussian_mixture`: clusters as components of a mixture of normal distributions.

use super::kmeans::check_clusters;
use super::{MADE_BY, made_by};
use crate::fitted::{self, Fitted, MODEL};
use crate::math::{
    contingency::by_first_appearance,
    kmeans::{Points, kmeans_plus_plus, lloyd},
    mixture::{Failure, Fit, Form, Limits, Mixture, fit},
    random::{Purpose, Random},
};
use crate::measures::{Measure, criteria};
use crate::memory::{Features, WIDE, whole};
use crate::params::NonNegative;
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{
    Artifact, Kind, Shape, Table,
    metric::{Score, artifact},
    tensors::{Tensor, Tensors},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::num::NonZeroU32;

/// Clusters as the components of a mixture of normal distributions.
///
/// Expectation–maximisation from the clusters of k-means, `n_init` times; the run with the largest
/// likelihood counts (the first of equal ones). A clip belongs to the component with the largest
/// responsibility, that is its probability for the clip; `responsibilities` holds all of them.
/// Components are numbered by the first clip they hold, those without clips last.
///
/// `criteria` holds the mean `log_likelihood` of a clip L, and what it is worth for the number of free
/// parameters p over n clips: `bic` = −2nL + p ln n and `aic` = −2nL + 2p, lower is better.
///
/// Full covariances of d features have d (d + 1) / 2 parameters in each component: with fewer clips
/// than that, take `diagonal`, or fewer features.
///
/// With a `model` at the input nothing is fitted: components keep their numbers, and `criteria` are those of
/// these clips, such as the likelihood of what was held out.
///
/// Source: `sklearn.mixture.GaussianMixture` of scikit-learn 1.9: the same steps from the same
/// clusters, within 1e-6.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GaussianMixture {
    /// The number of components; at most the number of clips.
    pub clusters: NonZeroU32,
    /// The form of the covariance of each component.
    #[serde(default)]
    pub covariance: Covariance,
    /// The number of runs from other clusters of k-means.
    #[serde(default = "one")]
    pub n_init: NonZeroU32,
    /// The most steps of a run.
    #[serde(default = "hundred")]
    pub max_iter: NonZeroU32,
    /// A run ends when the mean log-likelihood of a clip changes by less than this.
    #[serde(default = "default_tol")]
    pub tol: NonNegative,
    /// Added to each variance, so that no component shrinks to a point.
    #[serde(default = "default_reg_covar")]
    pub reg_covar: NonNegative,
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

fn hundred() -> NonZeroU32 {
    NonZeroU32::new(100).expect("100 is not 0")
}

fn default_tol() -> NonNegative {
    NonNegative::try_from(1e-3).expect("1e-3 is not negative")
}

fn default_reg_covar() -> NonNegative {
    NonNegative::try_from(1e-6).expect("1e-6 is not negative")
}

/// The form of the covariance of each component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Covariance {
    /// A whole matrix: components are ellipsoids in any direction.
    #[default]
    Full,
    /// A variance for each feature: ellipsoids along the axes.
    Diagonal,
    /// One variance: balls of different sizes.
    Spherical,
}

/// The largest number of features with full covariances.
const MAX_FULL: usize = 1024;

impl GaussianMixture {
    fn form(&self) -> Form {
        match self.covariance {
            Covariance::Full => Form::Full,
            Covariance::Diagonal => Form::Diagonal,
            Covariance::Spherical => Form::Spherical,
        }
    }

    fn check_size(&self, clips: Option<usize>, width: Option<usize>) -> Result<(), OpError> {
        check_clusters(self.clusters.get() as usize, clips)?;
        let wide = width.filter(|it| self.covariance == Covariance::Full && *it > MAX_FULL);
        wide.map_or(Ok(()), |width| {
            let message =
                format!("full covariances of {width} features are too large, at most {MAX_FULL}");
            Err(OpError::param("covariance", message)
                .help("take `covariance: diagonal`, or fewer features, for instance after `pca`"))
        })
    }
}

impl Op for GaussianMixture {
    const NAME: &'static str = "gaussian_mixture";
    const TITLE: &'static str = "Gaussian mixture";
    const VERSION: u32 = 1;
    const SEEDED: bool = true;
    const METRICS: &'static [Measure] = criteria::ALL;
    const INPUTS: &'static [Port] = &[Port::FEATURES, MODEL];
    const OUTPUTS: &'static [Port] = &[
        Port::new("labels", &[Kind::Labels], "The component of each clip, from 0."),
        Port::new("responsibilities", &[Kind::Matrix], "The probability of each component."),
        Port::new("criteria", &[Kind::Scores], "The scores log_likelihood, bic and aic."),
        Port::new("model", &[Kind::Model], "Weights, means and covariances."),
    ];

    fn learns(&self) -> bool {
        true
    }

    fn warnings(&self, inputs: &[Option<Shape>]) -> Vec<OpError> {
        fitted::unused(self, inputs, &["clusters"])
    }

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let features = inputs.first().and_then(Option::as_ref);
        let rows = features.and_then(|shape| shape.rows);
        if !fitted::is_applied(inputs) {
            self.check_size(rows, features.and_then(Shape::width))?;
        }
        let row = Some(vec![self.clusters.get() as usize]);
        Ok(vec![
            Shape::of(Kind::Labels).with_rows(rows),
            Shape::of(Kind::Matrix).with_rows(rows).with_row(row),
            Shape::of(Kind::Scores),
            Shape::of(Kind::Model),
        ])
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let x = Features::of(inputs)?;
        let k = f64::from(self.clusters.get());
        let covariance = match self.covariance {
            Covariance::Full => x.width * x.width,
            _ => x.width,
        };
        // Covariances with their roots, and the sums of blocks of 256 clips.
        let blocks = (x.n / 256.0).ceil();
        let sums = (blocks * covariance).max(2.0 * k * covariance);
        whole(2.0 * x.bytes + WIDE * (2.5 * x.n * k + sums + 2.0 * k * covariance))
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        if let Some(model) = Fitted::of(inputs)? {
            cx.stop_if_cancelled()?;
            let mixture = self.read(&model, features.width())?;
            let evaluated = mixture.evaluate(features.values(), &|| cx.cancel.is_cancelled());
            let evaluated = evaluated.map_err(|failure| match failure {
                Failure::Cancelled => OpError::cancelled(),
                Failure::Degenerate => model.unfit("gives a clip no likelihood"),
            })?;
            return Ok(self.outputs(ids, features.width(), &evaluated, Some(&model)));
        }
        self.check_size(Some(features.rows()), Some(features.width()))?;
        let points = Points::new(features.values(), features.width());
        let k = self.clusters.get() as usize;
        let cancelled = || cx.cancel.is_cancelled();
        let limits = Limits {
            reg_covar: self.reg_covar.get(),
            tol: self.tol.get(),
            max_iter: self.max_iter.get() as usize,
        };
        let mut best: Option<Fit> = None;
        for restart in 0..self.n_init.get() {
            cx.stop_if_cancelled()?;
            let mut random = Random::new(cx.seed, Purpose::Mixture, restart);
            let init = kmeans_plus_plus(&points, k, &mut random, &cancelled);
            cx.stop_if_cancelled()?;
            let labels = lloyd(&points, &init, 1e-4, 300, &cancelled).labels;
            cx.stop_if_cancelled()?;
            let start = labels.iter().flat_map(|label| {
                (0..k as u32).map(move |component| f64::from(u8::from(component == *label)))
            });
            let made = fit(
                features.values(),
                features.width(),
                start.collect(),
                self.form(),
                limits,
                &cancelled,
            );
            let made = made.map_err(|failure| match failure {
                Failure::Cancelled => OpError::cancelled(),
                Failure::Degenerate => OpError::data(
                    "a component has no covariance of full rank: its clips lie in fewer dimensions",
                )
                .help(
                    "raise `reg_covar`, take `covariance: diagonal`, or ask for fewer `clusters`",
                ),
            })?;
            if best.as_ref().is_none_or(|best| made.bound > best.bound) {
                best = Some(made);
            }
            cx.progress.at(u64::from(restart) + 1, u64::from(self.n_init.get()), "run");
        }
        let best = best.expect("there is at least one run");
        Ok(self.outputs(ids, features.width(), &best, None))
    }
}

impl GaussianMixture {
    /// The mixture of a model, for clips of `width` features.
    fn read(&self, model: &Fitted<'_>, width: usize) -> Result<Mixture, OpError> {
        let (weights, means) = (model.tensor("weights", 1)?, model.tensor("means", 2)?);
        let axes = model.tensors().get("covariances").map_or(1, |it| it.shape.len());
        let covariances = model.tensor("covariances", axes)?;
        let [k, d] = means.shape[..] else { unreachable!("it has two axes") };
        let form = match covariances.shape[..] {
            [a, b, c] if [a, b, c] == [k, d, d] => Form::Full,
            [a, b] if [a, b] == [k, d] => Form::Diagonal,
            [a] if a == k => Form::Spherical,
            _ => return Err(model.unfit("has covariances that do not fit its means")),
        };
        if weights.shape != [k] {
            return Err(model.unfit("has weights that do not fit its means"));
        }
        model.check_clusters(k, self.clusters.get() as usize)?;
        model.check_width(d, width)?;
        let [weights, means, covariances] = [weights, means, covariances]
            .map(|it| it.values.iter().map(|value| f64::from(*value)).collect());
        Mixture::new(form, d, weights, means, covariances)
            .map_err(|_| model.unfit("has a covariance that is not positive definite"))
    }

    fn outputs(
        &self,
        ids: &[String],
        d: usize,
        fit: &Fit,
        applied: Option<&Fitted<'_>>,
    ) -> Outputs {
        let (n, k) = (ids.len(), fit.mixture.components());
        let most = |shares: &[f64]| {
            // The first of equal ones.
            (0..k).rev().max_by(|a, b| shares[*a].total_cmp(&shares[*b])).unwrap_or(0) as u32
        };
        let found: Vec<u32> = fit.responsibilities.chunks_exact(k).map(most).collect();
        let used = found.iter().collect::<HashSet<_>>().len();
        let (labels, order) = match applied {
            Some(_) => (found, (0..k as u32).collect()),
            None => {
                let (labels, mut order) = by_first_appearance(&found);
                order.extend((0..k as u32).filter(|component| !found.contains(component)));
                (labels, order)
            }
        };
        let ordered = |values: &[f64]| -> Vec<f32> {
            let size = values.len() / k;
            let of = |old: &u32| values[*old as usize * size..][..size].iter().map(|it| *it as f32);
            order.iter().flat_map(of).collect()
        };
        let shares = fit
            .responsibilities
            .chunks_exact(k)
            .flat_map(|shares| order.iter().map(|old| shares[*old as usize] as f32));
        let with_ids = || Table::new().with_text("clip_id", ids.iter().cloned());
        let labels = with_ids().with_ints("label", labels.into_iter().map(i64::from).collect());
        let mut labels = Artifact::table(Kind::Labels, labels)
            .with_meta(MADE_BY, made_by(self))
            .with_meta("clusters_used", used);
        if applied.is_none() {
            labels = labels.with_meta("n_iter", fit.n_iter).with_meta("converged", fit.converged);
        }
        if used < k && applied.is_none() {
            let warning = format!("only {used} of {k} components are the likeliest of some clip");
            labels = labels.with_meta("warning", warning);
        }
        let likelihood = 2.0 * n as f64 * fit.log_likelihood;
        let p = fit.mixture.parameters() as f64;
        let values = [fit.log_likelihood, p * (n as f64).ln() - likelihood, 2.0 * p - likelihood];
        let score = |(measure, value): (&Measure, f64)| Score {
            metric: measure.metric(),
            value,
            note: String::new(),
        };
        let scores: Vec<Score> = criteria::ALL.iter().zip(values).map(score).collect();
        let outputs = Outputs::new().with("labels", labels);
        let shares = with_ids().with_array("features", [k], shares.collect());
        let outputs = outputs
            .with("responsibilities", Artifact::table(Kind::Matrix, shares))
            .with("criteria", artifact(&scores));
        if let Some(model) = applied {
            return outputs.with("model", model.artifact());
        }
        let tensor = |shape: Vec<usize>, values| Tensor { shape, values };
        let covariance = match self.covariance {
            Covariance::Full => vec![k, d, d],
            Covariance::Diagonal => vec![k, d],
            Covariance::Spherical => vec![k],
        };
        let model = Tensors::from([
            ("weights".to_owned(), tensor(vec![k], ordered(&fit.mixture.weights))),
            ("means".to_owned(), tensor(vec![k, d], ordered(&fit.mixture.means))),
            ("covariances".to_owned(), tensor(covariance, ordered(&fit.mixture.covariances))),
        ]);
        outputs.with("model", Artifact::tensors(Kind::Model, model))
    }
}
