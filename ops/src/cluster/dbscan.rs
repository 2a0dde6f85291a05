//! The op `dbscan`: clusters as dense regions, and noise.

use super::{MADE_BY, made_by, with_noise};
use crate::math::neighbors::each_row;
use crate::memory::{Features, whole};
use crate::params::Positive;
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Kind, Shape};
use linfa::{Float, ParamGuard, traits::Transformer};
use linfa_clustering::Dbscan as Linfa;
use linfa_nn::{
    BuildError, NearestNeighbour, NearestNeighbourIndex, NnError,
    distance::{Distance, L2Dist},
};
use ndarray::{ArrayBase, ArrayView1, ArrayView2, Data, Ix2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Clusters as dense regions of clips; clips between them are noise, −1.
///
/// A clip with at least `min_samples` clips within `eps`, itself included, is a core of a cluster;
/// clips within `eps` of a core belong to its cluster, to the first one where there are several.
/// Distances are Euclidean. Clusters are numbered by their first clip. `metrics` counts noise, and
/// says how it is treated.
///
/// Whatever `eps` is must be known beforehand: distances depend on the features, their number and
/// their scale. `hdbscan` needs no such number.
///
/// Source: `sklearn.cluster.DBSCAN` of scikit-learn 1.9, the same labels; computed by the crate
/// `linfa-clustering`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dbscan {
    /// The largest distance between neighbours.
    pub eps: Positive,
    /// The number of clips within `eps` that make a clip a core, itself included; at least 2.
    #[serde(default = "five")]
    #[schemars(range(min = 2))]
    pub min_samples: u32,
}

fn five() -> u32 {
    5
}

/// The largest number of pairs of neighbours that are held: 8 GiB.
const MAX_PAIRS: usize = 1 << 31;

impl Dbscan {
    fn check_samples(&self) -> Result<(), OpError> {
        if self.min_samples >= 2 {
            return Ok(());
        }
        let message = format!("`min_samples` is {}, not at least 2", self.min_samples);
        Err(OpError::param("min_samples", message).help("with 1 every clip is a core"))
    }
}

impl Op for Dbscan {
    const NAME: &'static str = "dbscan";
    const TITLE: &'static str = "DBSCAN";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[Port::FEATURES];
    const OUTPUTS: &'static [Port] =
        &[Port::new("labels", &[Kind::Labels], "The cluster of each clip, −1 for noise.")];

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        self.check_samples()?;
        let rows = inputs.first().and_then(Option::as_ref).and_then(|shape| shape.rows);
        Ok(vec![Shape::of(Kind::Labels).with_rows(rows)])
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let x = Features::of(inputs)?;
        // The features packed for the search, and in double precision; neighbours depend on `eps`.
        whole(4.0 * x.bytes + 64.0 * x.n)
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        self.check_samples()?;
        let (ids, features) = inputs.features("features")?;
        let (x, width) = (features.values(), features.width());
        let cancelled = || cx.cancel.is_cancelled();
        let eps = self.eps.get();
        let is_near = move |square: &f64| square.sqrt() <= eps;
        let count = |_: usize, line: &[f64]| line.iter().filter(|it| is_near(it)).count();
        let counts = each_row(x, width, &cancelled, count).ok_or_else(OpError::cancelled)?;
        let pairs: usize = counts.iter().sum();
        if pairs > MAX_PAIRS {
            let share = pairs as f64 / (ids.len() as f64).powi(2) * 100.0;
            return Err(OpError::param(
                "eps",
                format!("{share:.0} % of all pairs of clips lie within `eps`"),
            )
            .help("lower `eps`; neighbours of so many clips do not fit into memory"));
        }
        cx.progress.at(1, 2, "neighbours");
        let near = |_: usize, line: &[f64]| -> Vec<u32> {
            let near = line.iter().enumerate().filter(|(_, square)| is_near(square));
            near.map(|(at, _)| at as u32).collect()
        };
        let near = each_row(x, width, &cancelled, near).ok_or_else(OpError::cancelled)?;
        let wide: Vec<f64> = x.iter().map(|value| f64::from(*value)).collect();
        let points = ArrayView2::from_shape((ids.len(), width), &wide).expect("whole rows");
        let samples = self.min_samples as usize;
        let params = Linfa::params_with::<f64, _, _>(samples, L2Dist, Near(Arc::new(near)));
        let params = params.tolerance(eps).check();
        let params = params.map_err(|error| OpError::data(error.to_string().to_lowercase()))?;
        let labels: Vec<Option<usize>> = params.transform(&points).to_vec();
        cx.stop_if_cancelled()?;
        let labels = with_noise(ids, &labels).with_meta(MADE_BY, made_by(self));
        Ok(Outputs::new().with("labels", labels))
    }
}

/// The neighbours of each point, found by all threads beforehand. Trees do not help in dozens of
/// dimensions, and linfa asks from one thread.
#[derive(Clone, Debug)]
struct Near(Arc<Vec<Vec<u32>>>);

struct Index<'a, F: Float> {
    near: Near,
    points: ArrayView2<'a, F>,
}

impl NearestNeighbour for Near {
    fn from_batch_with_leaf_size<'a, F: Float, DT: Data<Elem = F>, D: 'a + Distance<F>>(
        &self,
        batch: &'a ArrayBase<DT, Ix2>,
        _leaf_size: usize,
        _dist_fn: D,
    ) -> Result<Box<dyn 'a + Send + Sync + NearestNeighbourIndex<F>>, BuildError> {
        Ok(Box::new(Index { near: self.clone(), points: batch.view() }))
    }
}

impl<F: Float> NearestNeighbourIndex<F> for Index<'_, F> {
    fn k_nearest(
        &self,
        _point: ArrayView1<'_, F>,
        _k: usize,
    ) -> Result<Vec<(ArrayView1<'_, F>, usize)>, NnError> {
        unreachable!("BUG: DBSCAN asks for ranges alone")
    }

    /// The neighbours of a row of the points themselves, which its address tells.
    fn within_range(
        &self,
        point: ArrayView1<'_, F>,
        _range: F,
    ) -> Result<Vec<(ArrayView1<'_, F>, usize)>, NnError> {
        let from = point.as_ptr() as usize - self.points.as_ptr() as usize;
        let row = from / size_of::<F>() / self.points.ncols();
        let near = self.near.0[row].iter().map(|at| *at as usize);
        Ok(near.map(|at| (self.points.row(at), at)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Detached, metrics::gaussian_reference::points};
    use cache::Artifact;

    #[test]
    fn regions_are_clusters_and_what_lies_between_is_noise() {
        let ids: Vec<String> = (0..9).map(|clip| clip.to_string()).collect();
        let values = vec![9.0, 0.0, 0.5, 1.0, 5.0, 10.0, 10.4, 9.6, -40.0];
        let x = points(&ids, 1, values);
        let op: Dbscan =
            serde_json::from_value(serde_json::json!({ "eps": 1.0, "min_samples": 3 })).unwrap();
        let made = op.run(&Inputs::new().with("features", &x), &Detached::with_seed(0)).unwrap();
        let labels = made.get("labels").and_then(Artifact::as_table).unwrap();
        assert_eq!(labels.ints("label").unwrap(), [0, 1, 1, 1, -1, 0, 0, 0, -1]);
        assert_eq!(made.get("labels").unwrap().meta["noise"], 2);
    }
}
