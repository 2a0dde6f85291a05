//! The op `optics`: dense regions inside others, and noise.

use super::{MADE_BY, made_by, slow_by_pairs, with_noise};
use crate::math::{neighbors::Neighbors, optics::order};
use crate::memory::{Features, WIDE, whole};
use crate::params::{Fraction, Positive};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Kind, Shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Clusters as valleys in an ordering of the clips by density; other clips are noise, −1.
///
/// The ordering goes on with the clip of the smallest reachability, max(distance to a clip before
/// it, distance of that clip to its `min_samples`-th neighbour, itself the first). A cluster lies where
/// the reachability falls by the factor 1 − `xi` and rises by it again; of clusters inside each other
/// the innermost count. Clusters are numbered by their first clip. `metrics` counts noise, and says how
/// it is treated.
///
/// Distances are computed when they are needed, so memory does not grow with their number.
///
/// Source: `sklearn.cluster.OPTICS` of scikit-learn 1.9 with `cluster_method="xi"`, the same labels.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Optics {
    /// The number of nearest clips that measure the density around a clip, itself included; at least 2.
    #[serde(default = "five")]
    #[schemars(range(min = 2))]
    pub min_samples: u32,
    /// The least steepness of the sides of a cluster: the share by which the reachability falls and rises.
    #[serde(default = "steepness")]
    pub xi: Fraction,
    /// The fewest clips of a cluster, at least 2; as many as `min_samples` if not given.
    #[serde(default)]
    #[schemars(range(min = 2))]
    pub min_cluster_size: Option<u32>,
    /// The largest distance between neighbours; none if not given.
    #[serde(default)]
    pub max_eps: Option<Positive>,
}

fn five() -> u32 {
    5
}

fn steepness() -> Fraction {
    Fraction::try_from(0.05).expect("from 0 to 1")
}

impl Optics {
    fn check_sizes(&self, clips: Option<usize>) -> Result<(), OpError> {
        let sizes =
            [("min_samples", Some(self.min_samples)), ("min_cluster_size", self.min_cluster_size)];
        for (name, size) in sizes {
            let Some(size) = size else { continue };
            if size < 2 {
                return Err(OpError::param(name, format!("`{name}` is {size}, not at least 2")));
            }
            if let Some(clips) = clips.filter(|clips| *clips < size as usize) {
                let message = format!("`{name}` is {size}, and there are {clips} clips");
                return Err(OpError::param(name, message).help(format!("take at most {clips}")));
            }
        }
        if !(0.0..1.0).contains(&self.xi.get()) || self.xi.get() == 0.0 {
            let message = format!("`xi` is {}, not between 0 and 1", self.xi.get());
            return Err(OpError::param("xi", message).help("take a small share such as 0.05"));
        }
        Ok(())
    }
}

impl Op for Optics {
    const NAME: &'static str = "optics";
    const TITLE: &'static str = "OPTICS";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[Port::FEATURES];
    const OUTPUTS: &'static [Port] =
        &[Port::new("labels", &[Kind::Labels], "The cluster of each clip, −1 for noise.")];

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let rows = inputs.first().and_then(Option::as_ref).and_then(|shape| shape.rows);
        self.check_sizes(rows)?;
        Ok(vec![Shape::of(Kind::Labels).with_rows(rows)])
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let x = Features::of(inputs)?;
        whole(x.bytes + x.neighbors(f64::from(self.min_samples)) + 8.0 * WIDE * x.n)
    }

    fn slow(&self, inputs: &[Option<Shape>]) -> Option<String> {
        slow_by_pairs(inputs)
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        self.check_sizes(Some(ids.len()))?;
        let (x, width) = (features.values(), features.width());
        let cancelled = || cx.cancel.is_cancelled();
        let samples = self.min_samples as usize;
        let near = Neighbors::new(x, width, samples, &cancelled);
        let core = near.ok_or_else(OpError::cancelled)?.core_distances();
        cx.progress.at(1, 2, "densities");
        let most = self.max_eps.map_or(f64::INFINITY, Positive::get);
        let order = order(x, width, &core, most, &cancelled).ok_or_else(OpError::cancelled)?;
        cx.progress.at(2, 2, "order");
        let least = self.min_cluster_size.unwrap_or(self.min_samples) as usize;
        let labels = order.clusters(self.xi.get(), samples, least);
        let labels = with_noise(ids, &labels).with_meta(MADE_BY, made_by(self));
        Ok(Outputs::new().with("labels", labels))
    }
}
