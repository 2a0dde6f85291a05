//! The op `agglomerative`: hierarchical clustering.

use super::kmeans::check_clusters;
use super::{MADE_BY, linkage_of, made_by};
use crate::math::{
    linkage::{Method, cut, distance_count, distances, merges},
    ward,
};
use crate::memory::{Features, WIDE, whole};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Artifact, Kind, Shape, Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// The largest number of distances that are held at once: 16 GiB.
const MAX_DISTANCES: usize = 1 << 31;

/// The largest number of features for which Ward's distances are computed from means whenever they
/// are needed, which is faster than storing them.
const FEW_FEATURES: usize = 128;

/// Hierarchical clusters of the clips' features.
///
/// Every clip starts as its own cluster; the two nearest clusters merge until `clusters` are left.
/// Distances are Euclidean, in double precision. `linkage` says how far apart two clusters are; for
/// `ward` it is √(2|a||b| / (|a| + |b|)) times the distance of their means. Clusters are numbered
/// by the first clip they hold. The output `linkage` holds all merges, up to one cluster.
///
/// It holds the distances of all pairs at once, n (n − 1) / 2 numbers of 8 bytes; `ward` needs none
/// of them where there are at most 128 features.
///
/// Source: `sklearn.cluster.AgglomerativeClustering` (1.9) and `scipy.cluster.hierarchy.linkage`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agglomerative {
    /// The number of clusters; at most the number of clips.
    pub clusters: NonZeroU32,
    /// The distance between two clusters.
    #[serde(default)]
    pub linkage: Linkage,
}

/// The distance between two clusters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Linkage {
    /// The rise of the inertia if they are merged.
    #[default]
    Ward,
    /// The largest distance between two of their clips.
    Complete,
    /// The mean distance between their clips.
    Average,
    /// The smallest distance between two of their clips.
    Single,
}

impl Linkage {
    fn method(self) -> Method {
        match self {
            Linkage::Ward => Method::Ward,
            Linkage::Complete => Method::Complete,
            Linkage::Average => Method::Average,
            Linkage::Single => Method::Single,
        }
    }
}

impl Agglomerative {
    /// True if means are sufficient, without the distances of all pairs.
    fn by_means(&self, features: Option<usize>) -> bool {
        self.linkage == Linkage::Ward && features.is_none_or(|width| width <= FEW_FEATURES)
    }

    fn check_size(&self, clips: Option<usize>, features: Option<usize>) -> Result<(), OpError> {
        check_clusters(self.clusters.get() as usize, clips)?;
        let Some(n) = clips.filter(|_| !self.by_means(features)) else { return Ok(()) };
        if distance_count(n).is_some_and(|count| count <= MAX_DISTANCES) {
            return Ok(());
        }
        let gib = n as f64 * (n as f64 - 1.0) / 2.0 * 8.0 / (1_u64 << 30) as f64;
        Err(OpError::data(format!("the distances of all pairs of {n} clips need {gib:.0} GiB"))
            .help("hierarchical clustering holds them all; take at most 65,536 clips or `kmeans`"))
    }
}

impl Op for Agglomerative {
    const NAME: &'static str = "agglomerative";
    const TITLE: &'static str = "agglomerative clustering";
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[Port::FEATURES];
    const OUTPUTS: &'static [Port] = &[
        Port::new("labels", &[Kind::Labels], "The cluster of each clip, from 0."),
        Port::new("linkage", &[Kind::Linkage], "All merges, as SciPy writes them."),
    ];

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let features = inputs.first().and_then(Option::as_ref);
        let rows = features.and_then(|shape| shape.rows);
        self.check_size(rows, features.and_then(Shape::width))?;
        let merges = rows.map(|rows| rows.saturating_sub(1));
        Ok(vec![
            Shape::of(Kind::Labels).with_rows(rows),
            Shape::of(Kind::Linkage).with_rows(merges),
        ])
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let x = Features::of(inputs)?;
        whole(match self.by_means(Some(x.width as usize)) {
            // The means of all clusters in double precision, twice while they are copied.
            true => x.bytes + 2.0 * WIDE * x.n * x.width,
            false => 2.0 * x.bytes + WIDE * x.n * x.n / 2.0,
        })
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        let n = features.rows();
        self.check_size(Some(n), Some(features.width()))?;
        cx.stop_if_cancelled()?;
        let tree = if self.by_means(Some(features.width())) {
            let cancelled = || cx.cancel.is_cancelled();
            ward::merges(features.values(), features.width(), &cancelled)
                .ok_or_else(OpError::cancelled)?
        } else {
            let distances = distances(features.values(), features.width());
            cx.progress.at(1, 2, "distances");
            cx.stop_if_cancelled()?;
            merges(distances, n, self.linkage.method())
        };
        cx.progress.at(2, 2, "merges");
        let labels = cut(&tree, n, self.clusters.get() as usize);
        let labels = Table::new()
            .with_text("clip_id", ids.iter().cloned())
            .with_ints("label", labels.into_iter().map(i64::from).collect());
        Ok(Outputs::new()
            .with("labels", Artifact::table(Kind::Labels, labels).with_meta(MADE_BY, made_by(self)))
            .with("linkage", linkage_of(&tree)))
    }
}
