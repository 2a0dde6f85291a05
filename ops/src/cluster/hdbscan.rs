//! The op `hdbscan`: dense regions at any density, and noise.

use super::{MADE_BY, made_by, slow_by_pairs, with_noise};
use crate::math::{
    density::{spanning_tree, stable_clusters},
    neighbors::Neighbors,
};
use crate::memory::{Features, WIDE, whole};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Kind, Shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Clusters as the most stable dense regions, whatever their density; other clips are noise, −1.
///
/// Clips are joined by their mutual reachability, the largest of their distance and of the distances
/// c of both to their `min_samples`-th neighbour (themselves the first). As density λ = 1 / distance
/// grows, clusters split or lose clips; a cluster counts from `min_cluster_size` clips on. Taken are
/// those with the largest stability Σ (λ of leaving − λ of birth) that do not overlap (excess of
/// mass). Clusters are numbered by their first clip. `metrics` counts noise, and says how it is
/// treated.
///
/// Distances are computed when they are needed, so memory does not grow with their number.
///
/// Source: `sklearn.cluster.HDBSCAN` of scikit-learn 1.9: the same labels if it sorted by a stable
/// method. All data have equal mutual reachabilities, since all distances of a clip below its c
/// become c; here the first clips are joined first, there any.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hdbscan {
    /// The fewest clips of a cluster, at least 2.
    #[serde(default = "five")]
    #[schemars(range(min = 2))]
    pub min_cluster_size: u32,
    /// The number of nearest clips that measure the density around a clip, itself included; as many
    /// as `min_cluster_size` if not given. More make more noise.
    #[serde(default)]
    pub min_samples: Option<NonZeroU32>,
}

fn five() -> u32 {
    5
}

impl Hdbscan {
    fn samples(&self) -> usize {
        self.min_samples.map_or(self.min_cluster_size, NonZeroU32::get) as usize
    }

    fn check_size(&self, clips: Option<usize>) -> Result<(), OpError> {
        if self.min_cluster_size < 2 {
            let message =
                format!("`min_cluster_size` is {}, not at least 2", self.min_cluster_size);
            return Err(OpError::param("min_cluster_size", message));
        }
        let few = clips.filter(|clips| *clips < self.samples());
        few.map_or(Ok(()), |clips| {
            let message = format!("a clip of {clips} has no {}th neighbour", self.samples());
            Err(OpError::param("min_samples", message)
                .help(format!("take at most {clips} for `min_samples` and `min_cluster_size`")))
        })
    }
}

impl Op for Hdbscan {
    const NAME: &'static str = "hdbscan";
    const TITLE: &'static str = "HDBSCAN";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[Port::FEATURES];
    const OUTPUTS: &'static [Port] =
        &[Port::new("labels", &[Kind::Labels], "The cluster of each clip, −1 for noise.")];

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let rows = inputs.first().and_then(Option::as_ref).and_then(|shape| shape.rows);
        self.check_size(rows)?;
        Ok(vec![Shape::of(Kind::Labels).with_rows(rows)])
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let x = Features::of(inputs)?;
        whole(x.bytes + x.neighbors(self.samples() as f64) + 16.0 * WIDE * x.n)
    }

    fn slow(&self, inputs: &[Option<Shape>]) -> Option<String> {
        slow_by_pairs(inputs)
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        self.check_size(Some(ids.len()))?;
        let (x, width) = (features.values(), features.width());
        let cancelled = || cx.cancel.is_cancelled();
        let near = Neighbors::new(x, width, self.samples(), &cancelled);
        let core = near.ok_or_else(OpError::cancelled)?.core_distances();
        cx.progress.at(1, 2, "densities");
        let tree = spanning_tree(x, width, &core, &cancelled).ok_or_else(OpError::cancelled)?;
        cx.progress.at(2, 2, "tree");
        let labels = stable_clusters(&tree, ids.len(), self.min_cluster_size as usize);
        let labels = with_noise(ids, &labels).with_meta(MADE_BY, made_by(self));
        Ok(Outputs::new().with("labels", labels))
    }
}
