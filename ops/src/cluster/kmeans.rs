//! The op `kmeans`: k-means clustering.

use super::{MADE_BY, made_by};
use crate::fitted::{self, Fitted, MODEL};
use crate::math::{
    contingency::by_first_appearance,
    kmeans::{Fit, Points, kmeans_plus_plus, lloyd, random_rows},
    random::{Purpose, Random},
};
use crate::memory::{Features, whole};
use crate::params::NonNegative;
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{
    Array, Artifact, Kind, Shape, Table,
    tensors::{Tensor, Tensors},
};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

/// K-means clusters of the clips' features.
///
/// Minimises the inertia Σ |x − c|², the squared distances of all clips to the centres of their
/// clusters: `n_init` times starting centres and Lloyd's iterations, of which the run with the
/// least inertia counts (the first of equal ones). Clusters are numbered by the first clip they
/// hold. Where there are fewer different clips than `clusters`, some clusters stay without clips:
/// the metadata of `labels` say how many are used, and `warning` says why.
///
/// The metadata of `labels` hold `inertia`, `n_iter`, `converged` and `clusters_used`; `model` holds
/// the centres in the order of the labels, those without clips last.
///
/// With a `model` at the input each clip belongs to the nearest of its centres (the first of equally
/// near ones) and keeps its number; nothing is fitted.
///
/// Source: `sklearn.cluster.KMeans` of scikit-learn 1.9 with `algorithm="lloyd"`: the same iterates
/// from the same centres.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kmeans {
    /// The number of clusters; at most the number of clips.
    pub clusters: NonZeroU32,
    /// The starting centres of each run.
    #[serde(default)]
    pub init: Init,
    /// The number of runs from other starting centres.
    #[serde(default = "default_n_init")]
    pub n_init: NonZeroU32,
    /// The most iterations of a run.
    #[serde(default = "default_max_iter")]
    pub max_iter: NonZeroU32,
    /// A run ends when the squared shifts of all centres together are at most this times the mean
    /// variance of the features; 0 waits until no clip changes its cluster.
    #[serde(default = "default_tol")]
    pub tol: NonNegative,
}

fn default_n_init() -> NonZeroU32 {
    NonZeroU32::new(10).expect("10 is not 0")
}

fn default_max_iter() -> NonZeroU32 {
    NonZeroU32::new(300).expect("300 is not 0")
}

fn default_tol() -> NonNegative {
    NonNegative::try_from(1e-4).expect("1e-4 is not negative")
}

/// The starting centres of a run of k-means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Init {
    /// Greedy k-means++: clips far from the centres so far, the best of several draws.
    #[default]
    #[serde(rename = "k-means++")]
    PlusPlus,
    /// Clips drawn at random.
    #[serde(rename = "random")]
    Random,
}

impl Kmeans {
    fn check_size(&self, clips: Option<usize>) -> Result<(), OpError> {
        check_clusters(self.clusters.get() as usize, clips)
    }
}

/// Checks that there are not more clusters than clips.
pub(super) fn check_clusters(clusters: usize, clips: Option<usize>) -> Result<(), OpError> {
    match clips.filter(|&clips| clips < clusters) {
        None => Ok(()),
        Some(clips) => Err(OpError::param(
            "clusters",
            format!("{clips} clips cannot make {clusters} clusters"),
        )
        .help(format!("ask for {clips} clusters or fewer, or give more clips"))),
    }
}

impl Op for Kmeans {
    const NAME: &'static str = "kmeans";
    const TITLE: &'static str = "K-Means";
    const VERSION: u32 = 2;
    const SEEDED: bool = true;
    const INPUTS: &'static [Port] = &[Port::FEATURES, MODEL];
    const OUTPUTS: &'static [Port] = &[
        Port::new("labels", &[Kind::Labels], "The cluster of each clip, from 0."),
        Port::new("model", &[Kind::Model], "The centres."),
    ];

    fn learns(&self) -> bool {
        true
    }

    fn warnings(&self, inputs: &[Option<Shape>]) -> Vec<OpError> {
        fitted::unused(self, inputs, &["clusters"])
    }

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let rows = inputs.first().and_then(Option::as_ref).and_then(|shape| shape.rows);
        if !fitted::is_applied(inputs) {
            self.check_size(rows)?;
        }
        Ok(vec![Shape::of(Kind::Labels).with_rows(rows), Shape::of(Kind::Model)])
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let x = Features::of(inputs)?;
        // The clips are copied for the search of the nearest centre.
        whole(2.0 * x.bytes + 64.0 * x.n)
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        if let Some(model) = Fitted::of(inputs)? {
            cx.stop_if_cancelled()?;
            return self.apply(&model, ids, features);
        }
        self.check_size(Some(features.rows()))?;
        let points = Points::new(features.values(), features.width());
        let k = self.clusters.get() as usize;
        let runs = self.n_init.get();
        let done = AtomicU64::new(0);
        let cancelled = || cx.cancel.is_cancelled();
        let one = |restart: u32| -> Result<(u32, Fit), OpError> {
            cx.stop_if_cancelled()?;
            let mut random = Random::new(cx.seed, Purpose::KMeans, restart);
            let init = match self.init {
                Init::PlusPlus => kmeans_plus_plus(&points, k, &mut random, &cancelled),
                Init::Random => random_rows(&points, k, &mut random),
            };
            cx.stop_if_cancelled()?;
            let max_iter = self.max_iter.get() as usize;
            let fit = lloyd(&points, &init, self.tol.get(), max_iter, &cancelled);
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            cx.progress.at(done, u64::from(runs), "run");
            Ok((restart, fit))
        };
        // The earlier of two restarts with equal inertia wins, in whatever order they finish.
        let better = |a: (u32, Fit), b: (u32, Fit)| {
            let key = |run: &(u32, Fit)| (run.1.inertia, run.0);
            if key(&b) < key(&a) { b } else { a }
        };
        let best = (0..runs)
            .into_par_iter()
            .map(one)
            .try_reduce_with(|a, b| Ok(better(a, b)))
            .expect("there is at least one run")?;
        cx.stop_if_cancelled()?;
        Ok(outputs(self, ids, features.width(), &best.1))
    }
}

impl Kmeans {
    /// The clusters of a model.
    fn apply(
        &self,
        model: &Fitted<'_>,
        ids: &[String],
        features: &Array,
    ) -> Result<Outputs, OpError> {
        let centres = model.tensor("centres", 2)?;
        let [k, d] = centres.shape[..] else { unreachable!("it has two axes") };
        model.check_clusters(k, self.clusters.get() as usize)?;
        model.check_width(d, features.width())?;
        let nearest = |point: &[f32]| {
            let squares = centres.values.chunks_exact(d).map(|centre| {
                let apart = centre.iter().zip(point).map(|(a, b)| f64::from(*a) - f64::from(*b));
                apart.map(|apart| apart * apart).sum::<f64>()
            });
            let nearest = squares.zip(0_i64..).min_by(|a, b| a.0.total_cmp(&b.0));
            nearest.expect("there is at least one centre")
        };
        let found: Vec<(f64, i64)> = features.values().par_chunks_exact(d).map(nearest).collect();
        let table = Table::new()
            .with_text("clip_id", ids.iter().cloned())
            .with_ints("label", found.iter().map(|(_, label)| *label).collect());
        let used: HashSet<i64> = found.iter().map(|(_, label)| *label).collect();
        let labels = Artifact::table(Kind::Labels, table)
            .with_meta(MADE_BY, made_by(self))
            .with_meta("inertia", found.iter().map(|(square, _)| square).sum::<f64>())
            .with_meta("clusters_used", used.len());
        Ok(Outputs::new().with("labels", labels).with("model", model.artifact()))
    }
}

fn outputs(op: &Kmeans, ids: &[String], d: usize, fit: &Fit) -> Outputs {
    let k = fit.centres.len() / d;
    let (labels, mut order) = by_first_appearance(&fit.labels);
    let used = order.len();
    order.extend((0..k as u32).filter(|label| !fit.labels.contains(label)));
    let centres = order
        .iter()
        .flat_map(|&old| fit.centres[old as usize * d..][..d].iter().map(|&c| c as f32))
        .collect();
    let labels = Table::new()
        .with_text("clip_id", ids.iter().cloned())
        .with_ints("label", labels.into_iter().map(i64::from).collect());
    let mut labels = Artifact::table(Kind::Labels, labels)
        .with_meta(MADE_BY, made_by(op))
        .with_meta("inertia", fit.inertia)
        .with_meta("n_iter", fit.n_iter)
        .with_meta("converged", fit.converged)
        .with_meta("clusters_used", used);
    if used < k {
        let warning =
            format!("only {used} of {k} clusters hold clips: there are too few different clips");
        labels = labels.with_meta("warning", warning);
    }
    let centres = Tensor { shape: vec![k, d], values: centres };
    let model = Tensors::from([("centres".to_owned(), centres)]);
    Outputs::new().with("labels", labels).with("model", Artifact::tensors(Kind::Model, model))
}
