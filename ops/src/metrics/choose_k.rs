//! The op `choose_k`: criteria for the number of clusters.

use super::confounds::{RECORDING, columns};
use super::resamples::numbered;
use crate::math::{
    folds::stratified_group_k_fold,
    kmeans::Points,
    mixture::{Failure, Form, Limits, fit},
    pca,
    random::{Purpose, Random},
    selection::{best_kmeans, by_gap, gap_statistic, nearest, prediction_strength},
    silhouette,
};
use crate::memory::{Features, WIDE, whole};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Artifact, Kind, Shape, Table};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

/// Criteria for the number of clusters, for each number up to `largest`.
///
/// `silhouette`: the mean silhouette of the clusters of k-means; the largest is best, and below 0.25
/// there is hardly any structure (Kaufman and Rousseeuw). `gap`: by how much the logarithm of their
/// inertia lies below that of points drawn uniformly from the box around the clips along their principal
/// components; best is the smallest k whose gap is at least that of k + 1 less its error. `bic`: the
/// Bayesian information criterion of a mixture of normal distributions; the least is best.
/// `prediction_strength`: clips are halved (by recording, where `truth` names recordings), both halves are
/// clustered, and the centres of one predict which clips of the other belong together; best is the largest k
/// with at least 0.8. The silhouette cannot say 1, that is no clusters; the others can.
///
/// They ask different questions, so where they do not agree no number stands out; the report says so.
///
/// Source: Tibshirani, Walther and Hastie, "Estimating the number of clusters in a data set via the gap
/// statistic" (2001), as `clusGap` of R with `d.power = 2` and `spaceH0 = "scaledPCA"`; Tibshirani and Walther,
/// "Cluster validation by prediction strength" (2005), as `prediction.strength` of fpc; `silhouette_score`
/// and `GaussianMixture.bic` of scikit-learn 1.9.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChooseK {
    /// The largest number of clusters that is tried, from 2 on; at most half the number of clips.
    #[serde(default = "fifteen")]
    pub largest: NonZeroU32,
    /// The number of runs of k-means for each number of clusters.
    #[serde(default = "five")]
    pub n_init: NonZeroU32,
    /// The number of sets of uniform points for the gap statistic.
    #[serde(default = "twenty")]
    pub references: NonZeroU32,
    /// The number of times the clips are halved for the prediction strength.
    #[serde(default = "ten")]
    pub splits: NonZeroU32,
    /// The form of the covariances for the information criterion.
    #[serde(default)]
    pub covariance: Covariances,
}

/// The form of covariances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Covariances {
    /// A whole matrix for each component.
    Full,
    /// A variance for each feature of each component.
    #[default]
    Diagonal,
    /// One variance for each component.
    Spherical,
}

fn count(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("not 0")
}
fn fifteen() -> NonZeroU32 {
    count(15)
}
fn five() -> NonZeroU32 {
    count(5)
}
fn twenty() -> NonZeroU32 {
    count(20)
}
fn ten() -> NonZeroU32 {
    count(10)
}

/// The largest number of features, whose principal components are found exactly.
const MAX_FEATURES: usize = 1024;

/// The prediction strength from which clusters count as reproduced.
const STRONG: f64 = 0.8;

impl ChooseK {
    fn check_size(&self, clips: Option<usize>, width: Option<usize>) -> Result<(), OpError> {
        let largest = self.largest.get() as usize;
        if largest < 2 {
            return Err(OpError::param("largest", "one cluster leaves nothing to choose"));
        }
        if let Some(clips) = clips.filter(|clips| *clips < 2 * largest) {
            let message = format!("half of {clips} clips cannot make {largest} clusters");
            return Err(OpError::param("largest", message)
                .help(format!("try {} clusters at most, or give more clips", clips / 2)));
        }
        match width.filter(|width| *width > MAX_FEATURES) {
            None => Ok(()),
            Some(width) => {
                let message = format!("{width} features are more than {MAX_FEATURES}");
                Err(OpError::data(message).help("reduce the features first, such as by `pca`"))
            }
        }
    }
}

impl Op for ChooseK {
    const NAME: &'static str = "choose_k";
    const VERSION: u32 = 1;
    const SEEDED: bool = true;
    const INPUTS: &'static [Port] = &[
        Port::FEATURES,
        Port::optional("truth", &[Kind::Labels], "Labels that name the recording of each clip."),
    ];
    const OUTPUTS: &'static [Port] = &[Port::new(
        "selection",
        &[Kind::Selection],
        "One row a number of clusters: silhouette, gap, gap_error, bic, prediction_strength.",
    )];

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let features = inputs.first().and_then(Option::as_ref);
        self.check_size(features.and_then(|it| it.rows), features.and_then(Shape::width))?;
        Ok(vec![Shape::of(Kind::Selection).with_rows(Some(self.largest.get() as usize))])
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let x = Features::of(inputs)?;
        let k = f64::from(self.largest.get());
        let wide = 2.0 * WIDE * x.n * x.width;
        whole(2.0 * x.bytes + 8.0 * wide + WIDE * 3.0 * x.n * k + x.silhouettes())
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        let (n, d, x) = (features.rows(), features.width(), features.values());
        self.check_size(Some(n), Some(d))?;
        let groups = self.groups(inputs, ids)?;
        let numbers: Vec<usize> = (1..=self.largest.get() as usize).collect();
        let cancelled = || cx.cancel.is_cancelled();
        let total = u64::from(self.references.get()) + u64::from(self.splits.get()) + 1;
        let done = AtomicU64::new(0);
        let tick = || cx.progress.at(done.fetch_add(1, Ordering::Relaxed) + 1, total, "");

        let points = Points::new(x, d);
        let fits = numbers.par_iter().map(|k| {
            best_kmeans(&points, *k, self.n_init.get(), cx.seed, &cancelled)
                .ok_or_else(OpError::cancelled)
        });
        let fits = fits.collect::<Result<Vec<_>, _>>()?;
        let silhouettes: Vec<f64> = fits
            .iter()
            .map(|fit| {
                cx.stop_if_cancelled()?;
                let used = fit.labels.iter().any(|label| *label != fit.labels[0]);
                Ok(if used { silhouette::score(x, d, &fit.labels) } else { f64::NAN })
            })
            .collect::<Result<_, OpError>>()?;
        let bics = numbers.iter().zip(&fits).map(|(k, fit)| self.bic(x, d, *k, &fit.labels, cx));
        let bics: Vec<f64> = bics.collect::<Result<_, _>>()?;
        tick();
        let own: Vec<f64> = fits.iter().map(|fit| log_inertia(fit.inertia)).collect();
        let gaps = gap_statistic(&own, &self.references(x, d, &numbers, cx, &tick)?);
        let strengths = self.strengths(x, d, &groups, &numbers, cx, &tick)?;

        let best = |values: &[f64], sign: f64| {
            let known = values.iter().zip(&numbers).filter(|(value, _)| value.is_finite());
            // The smallest of equally good numbers.
            known.rev().max_by(|a, b| (sign * a.0).total_cmp(&(sign * b.0))).map(|(_, k)| *k)
        };
        let strong = strengths.iter().zip(&numbers).filter(|(strength, _)| **strength >= STRONG);
        let chosen = json!({
            "silhouette": best(&silhouettes, 1.0),
            "gap": by_gap(&gaps),
            "bic": best(&bics, -1.0),
            "prediction_strength": strong.map(|(_, k)| *k).next_back(),
        });
        let table = Table::new()
            .with_ints("clusters", numbers.iter().map(|k| *k as i64).collect())
            .with_reals("silhouette", silhouettes)
            .with_reals("gap", gaps.iter().map(|(gap, _)| *gap).collect())
            .with_reals("gap_error", gaps.iter().map(|(_, error)| *error).collect())
            .with_reals("bic", bics)
            .with_reals("prediction_strength", strengths);
        let selection = Artifact::table(Kind::Selection, table)
            .with_meta("chosen", chosen)
            .with_meta("clips", n)
            .with_meta("by_recording", groups.iter().enumerate().any(|(at, it)| *it != at as u32));
        Ok(Outputs::new().with("selection", selection))
    }
}

/// The logarithm of an inertia; NaN where no point is away from its centre.
fn log_inertia(inertia: f64) -> f64 {
    if inertia > 0.0 { inertia.ln() } else { f64::NAN }
}

impl ChooseK {
    /// The recording of each clip, or each clip's own number.
    fn groups(&self, inputs: &Inputs<'_>, ids: &[String]) -> Result<Vec<u32>, OpError> {
        let own = || (0..ids.len() as u32).collect();
        if inputs.optional("truth").is_none() {
            return Ok(own());
        }
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let columns = columns(inputs, &ids)?;
        let groups = columns.iter().find(|column| column.name == RECORDING);
        let groups = groups.map(|column| numbered(&column.cells));
        // Fewer than two recordings cannot be halved.
        Ok(groups.filter(|(_, names)| names.len() > 1).map_or_else(own, |(groups, _)| groups))
    }

    /// The information criterion of a mixture that starts from these clusters; NaN if it degenerates.
    fn bic(
        &self,
        x: &[f32],
        d: usize,
        k: usize,
        labels: &[u32],
        cx: &Ctx<'_>,
    ) -> Result<f64, OpError> {
        let form = match self.covariance {
            Covariances::Full => Form::Full,
            Covariances::Diagonal => Form::Diagonal,
            Covariances::Spherical => Form::Spherical,
        };
        let start = labels
            .iter()
            .flat_map(|label| (0..k as u32).map(move |it| f64::from(u8::from(it == *label))));
        let limits = Limits { reg_covar: 1e-6, tol: 1e-3, max_iter: 100 };
        match fit(x, d, start.collect(), form, limits, &|| cx.cancel.is_cancelled()) {
            Ok(fit) => {
                let (n, p) = ((x.len() / d) as f64, fit.mixture.parameters() as f64);
                Ok(p * n.ln() - 2.0 * n * fit.log_likelihood)
            }
            Err(Failure::Cancelled) => Err(OpError::cancelled()),
            Err(Failure::Degenerate) => Ok(f64::NAN),
        }
    }

    /// The logarithms of the inertia of uniform points, for each set and number of clusters.
    fn references(
        &self,
        x: &[f32],
        d: usize,
        numbers: &[usize],
        cx: &Ctx<'_>,
        tick: &(dyn Fn() + Sync),
    ) -> Result<Vec<Vec<f64>>, OpError> {
        let n = x.len() / d;
        let moments = pca::moments(x, d);
        let m = d.min(n);
        let fit = match moments.total_variance > 0.0 {
            true => pca::exact(x, &moments, m),
            false => None,
        };
        let fit = fit.ok_or_else(|| {
            OpError::data("the clips have no principal components")
                .help("give clips that differ, and normalize the features first")
        })?;
        // Distances are the same along the components as along the features.
        let box_of = |column: usize| {
            let values = || fit.latent.iter().skip(column).step_by(m).copied();
            (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
        };
        let sides: Vec<(f64, f64)> = (0..m).map(box_of).collect();
        let cancelled = || cx.cancel.is_cancelled();
        let one = |reference: u32| {
            cx.stop_if_cancelled()?;
            let mut random = Random::new(cx.seed, Purpose::Null, reference);
            let drawn: Vec<f32> = (0..n * m)
                .map(|at| {
                    let (low, high) = sides[at % m];
                    random.between(low, high) as f32
                })
                .collect();
            let points = Points::new(&drawn, m);
            let of = |k: &usize| {
                let fit = best_kmeans(&points, *k, self.n_init.get(), cx.seed, &cancelled);
                fit.map(|fit| log_inertia(fit.inertia)).ok_or_else(OpError::cancelled)
            };
            let logs = numbers.iter().map(of).collect::<Result<Vec<f64>, _>>();
            tick();
            logs
        };
        (0..self.references.get()).into_par_iter().map(one).collect()
    }

    /// The mean prediction strength for each number of clusters.
    fn strengths(
        &self,
        x: &[f32],
        d: usize,
        groups: &[u32],
        numbers: &[usize],
        cx: &Ctx<'_>,
        tick: &(dyn Fn() + Sync),
    ) -> Result<Vec<f64>, OpError> {
        let cancelled = || cx.cancel.is_cancelled();
        let classes = vec![0; groups.len()];
        let one = |split: u32| {
            cx.stop_if_cancelled()?;
            let of = stratified_group_k_fold(groups, &classes, 2, cx.seed, split);
            let halves: [Vec<f32>; 2] = [0, 1].map(|half| {
                let rows = x.chunks_exact(d).zip(&of).filter(|(_, own)| **own == half);
                rows.flat_map(|(row, _)| row).copied().collect()
            });
            let points = halves.each_ref().map(|half| Points::new(half, d));
            let of = |k: &usize| {
                // A half with fewer clips than clusters has no such clusters.
                if points.iter().any(|points| points.len() < *k) {
                    return Ok(f64::NAN);
                }
                let fit = |points| best_kmeans(points, *k, self.n_init.get(), cx.seed, &cancelled);
                let [Some(a), Some(b)] = points.each_ref().map(fit) else {
                    return Err(OpError::cancelled());
                };
                let there = nearest(&halves[1], d, &a.centres);
                let back = nearest(&halves[0], d, &b.centres);
                let sum =
                    prediction_strength(&b.labels, &there) + prediction_strength(&a.labels, &back);
                Ok(sum / 2.0)
            };
            let strengths = numbers.iter().map(of).collect::<Result<Vec<f64>, _>>();
            tick();
            strengths
        };
        let all: Result<Vec<Vec<f64>>, _> =
            (0..self.splits.get()).into_par_iter().map(one).collect();
        let all = all?;
        let mean = |at: usize| all.iter().map(|own| own[at]).sum::<f64>() / all.len() as f64;
        Ok((0..numbers.len()).map(mean).collect())
    }
}
