//! The metrics of clusters. A metric is a [`Measure`] in a file of this module and a line in
//! [`MEASURES`]; names, columns, published values, objectives and figures follow from it.

pub(crate) mod criteria;
pub(crate) mod disentangled;
mod entropies;
mod geometry;
mod pairs;
pub(crate) mod probes;
mod purity;
mod sizes;
pub(crate) mod tagging;

use crate::math::{contingency::Contingency, dispersion::Clusters};
use cache::{
    Artifact,
    metric::{Direction, Metric, Score, artifact},
};

/// A metric with its computation. The fields are those of [`Metric`].
#[expect(missing_docs, reason = "each field is the one of `Metric`")]
pub struct Measure {
    pub name: &'static str,
    pub title: &'static str,
    pub direction: Option<Direction>,
    pub decimals: usize,
    pub uses_labels: bool,
    pub is_shown: bool,
    pub chance: Option<f64>,
    /// Other names in publications.
    pub short: &'static [&'static str],
    value: Computed,
}

/// The computation of a metric.
enum Computed {
    /// From all that is known: the value, or the reason why it is undefined; `None` if it does not apply.
    Scored(fn(&ScoredClusters<'_>) -> Value),
    /// From how many clips of each class are in each cluster. These can be resampled, too.
    Counts(fn(&Contingency) -> f64),
}

/// All metrics, in the order of their scores: sizes, geometry, agreement with the classes.
pub const MEASURES: &[Measure] = &[
    sizes::N_CLIPS,
    sizes::N_CLUSTERS,
    sizes::N_NOISE,
    geometry::SILHOUETTE,
    geometry::CALINSKI_HARABASZ,
    geometry::DAVIES_BOULDIN,
    geometry::EFFECTIVE_DIMENSION,
    sizes::N_CLASSES,
    pairs::ARI,
    pairs::ARI_DEVIATION,
    entropies::NMI,
    entropies::AMI,
    entropies::HOMOGENEITY,
    entropies::COMPLETENESS,
    entropies::V_MEASURE,
    pairs::FOWLKES_MALLOWS,
    purity::PURITY,
    purity::PURITY_MAJORITY,
];

/// The description of the metric with that name.
pub fn known(name: &str) -> Option<Metric> {
    MEASURES.iter().find(|it| it.name == name).map(Measure::metric)
}

/// The metrics that follow from how many clips of each class are in each cluster: names and computations.
pub(crate) fn of_counts() -> impl Iterator<Item = (&'static str, fn(&Contingency) -> f64)> {
    MEASURES.iter().filter_map(|it| match it.value {
        Computed::Counts(value) => Some((it.name, value)),
        Computed::Scored(_) => None,
    })
}

type Value = Option<Result<f64, String>>;

impl Measure {
    /// A metric with three decimals, without a direction, that is not shown by default.
    const fn new(
        name: &'static str,
        title: &'static str,
        value: fn(&ScoredClusters<'_>) -> Value,
    ) -> Self {
        Self {
            name,
            title,
            direction: None,
            decimals: 3,
            uses_labels: false,
            is_shown: false,
            chance: None,
            short: &[],
            value: Computed::Scored(value),
        }
    }

    /// A metric of the agreement with the classes, for which larger is better.
    const fn of_labels(
        name: &'static str,
        title: &'static str,
        value: fn(&ScoredClusters<'_>) -> Value,
    ) -> Self {
        let direction = Some(Direction::Maximize);
        Self { direction, uses_labels: true, ..Self::new(name, title, value) }
    }

    /// A metric of the agreement with the classes that follows from the counts alone.
    const fn of_counts(
        name: &'static str,
        title: &'static str,
        value: fn(&Contingency) -> f64,
    ) -> Self {
        Self { value: Computed::Counts(value), ..Self::of_labels(name, title, |_| None) }
    }

    /// The description of the metric.
    pub fn metric(&self) -> Metric {
        Metric {
            name: self.name.into(),
            title: self.title.into(),
            direction: self.direction,
            decimals: self.decimals,
            uses_labels: self.uses_labels,
            is_shown: self.is_shown,
            chance: self.chance,
        }
    }
}

/// The clusters that are scored.
pub struct ScoredClusters<'a> {
    /// Row-major points.
    x: &'a [f32],
    n_features: usize,
    /// The cluster of each point, numbered from 0 by first appearance.
    clusters: &'a [u32],
    /// The number of clusters.
    k: usize,
    /// The number of clips that are noise.
    noise: usize,
    /// Sizes, centres and dispersion, if there are clusters to compare.
    spread: Option<Clusters>,
    /// The contingency of clusters and classes, if these are known.
    both: Option<Contingency>,
}

impl<'a> ScoredClusters<'a> {
    /// Prepares points, their clusters and, if known, their classes; both are numbered from 0 by
    /// first occurrence. `noise` of the points belong to no cluster.
    pub fn new(
        x: &'a [f32],
        n_features: usize,
        clusters: &'a [u32],
        truth: Option<&[u32]>,
        noise: usize,
    ) -> Self {
        let n = clusters.len();
        let k = clusters.iter().max().map_or(0, |&most| most as usize + 1);
        let spread = (2..n).contains(&k).then(|| Clusters::new(x, n_features, clusters));
        let both = truth.map(|truth| Contingency::new(truth, clusters));
        Self { x, n_features, clusters, k, noise, spread, both }
    }

    /// The scores.
    pub fn scores(&self) -> Vec<Score> {
        let score = |measure: &Measure| {
            let value = match measure.value {
                Computed::Scored(value) => value(self),
                Computed::Counts(value) => self.by_labels(value),
            };
            let (value, note) = match value? {
                Ok(value) => (value, String::new()),
                Err(note) => (f64::NAN, note),
            };
            Some(Score { metric: measure.metric(), value, note })
        };
        MEASURES.iter().filter_map(score).collect()
    }

    /// The scores as an artifact.
    pub fn artifact(&self) -> Artifact {
        artifact(&self.scores())
    }

    /// A value of the clusters' own geometry, if there are at least two clusters and fewer than
    /// clips.
    fn by_geometry(&self, value: impl Fn(&Clusters) -> f64) -> Value {
        Some(match (&self.spread, self.k) {
            (Some(spread), _) => Ok(value(spread)),
            (None, 0) => Err("no clip is in a cluster".to_owned()),
            (None, 1) => Err("there is one cluster; it needs at least 2".to_owned()),
            (None, _) => Err(format!(
                "there are as many clusters as clips ({}); it needs fewer",
                self.clusters.len()
            )),
        })
    }

    /// A value of the agreement with the classes.
    fn by_labels(&self, value: impl Fn(&Contingency) -> f64) -> Value {
        let both = self.both.as_ref()?;
        Some(match self.clusters.len() {
            0 => Err("no clip is in a cluster".to_owned()),
            _ => Ok(value(both)),
        })
    }
}
