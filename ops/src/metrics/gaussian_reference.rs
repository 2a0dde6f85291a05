//! The op `gaussian_reference`: the scores of clusters in a cloud without structure.

use crate::cluster::MADE_BY;
use crate::math::{
    contingency::by_first_appearance,
    random::{Purpose, Random},
    symmetric,
};
use crate::measures::ScoredClusters;
use crate::memory::{Features, whole};
use crate::metrics::metrics::SCORES;
use crate::{Ctx, Entry, Inputs, Op, OpError, Outputs, Port};
use cache::{Array, Artifact, Kind, Shape, Table, missing::is_noise};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The scores of clusters of a structureless cloud: the reference for intrinsic metrics.
///
/// Draws as many points as there are clips from N(0, diag(λ)), λ the eigenvalues of the covariance of
/// `features`: a cloud of the same size and the same effective dimension (Σλ)² / Σλ², but without any
/// clusters. The op that made `clusters` is run on it with the same parameters, and the result is
/// scored. Silhouette, Calinski–Harabasz and Davies–Bouldin of real clusters say something only by
/// their distance from these: a line cut into 11 pieces scores a silhouette of 0.52.
///
/// Source: the reference distribution of the gap statistic (Tibshirani, Walther and Hastie, 2001), with a
/// normal in place of a uniform; scores as `metrics`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GaussianReference {}

/// The largest number of features for which the eigenvalues of the covariance are computed.
pub(crate) const MAX_FEATURES: usize = 512;

impl Op for GaussianReference {
    const NAME: &'static str = "gaussian_reference";
    const VERSION: u32 = 2;
    const SEEDED: bool = true;
    const INPUTS: &'static [Port] = &[
        Port::new(
            "features",
            &[Kind::Matrix],
            "The clustered features: one row of numbers a clip.",
        ),
        Port::new("clusters", &[Kind::Labels], "The clusters, made by an op of the engine."),
    ];
    const OUTPUTS: &'static [Port] = &[SCORES];

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let width = inputs.first().and_then(Option::as_ref).and_then(Shape::width);
        match width.filter(|width| *width > MAX_FEATURES) {
            Some(width) => Err(too_wide(width)),
            None => Ok(vec![Shape::of(Kind::Scores)]),
        }
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let x = Features::of(inputs)?;
        // The method is known only from the clusters; it ran in its own memory before.
        whole(2.0 * x.bytes + x.bytes.max(x.scoring()))
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        if features.width() > MAX_FEATURES {
            return Err(too_wide(features.width()));
        }
        let method = Method::of(inputs.get("clusters")?, cx)?;
        let cloud = cloud(features.values(), features.width(), cx.seed)?;
        let points = points(ids, features.width(), cloud);
        cx.stop_if_cancelled()?;
        let (labels, noise) = method.cut(&points, cx)?;
        let array = points.as_table().and_then(|table| table.array("features"));
        let array = array.expect("the cloud has features");
        let scored = ScoredClusters::new(array.values(), array.width(), &labels, None, noise);
        Ok(Outputs::new().with("scores", scored.artifact()))
    }
}

/// The op that made some clusters, with its parameters.
pub(crate) struct Method {
    entry: &'static Entry,
    params: serde_json::Value,
}

impl Method {
    /// Reads the method from the metadata of the clusters.
    pub(crate) fn of(clusters: &Artifact, cx: &Ctx<'_>) -> Result<Self, OpError> {
        let made = clusters.meta.get(MADE_BY).and_then(|made| {
            let entry = cx.find(made.get("op")?.as_str()?)?;
            // The metadata omit defaults.
            let params = made.get("params")?.clone();
            let whole = entry.parse(params.clone()).map_or(params, |op| op.params());
            Some(Self { entry, params: whole })
        });
        made.ok_or_else(|| {
            OpError::data("port `clusters` does not say which op made it").help(
                "connect the labels of a step that clusters features alone, not those of a file or \
                     of a network",
            )
        })
    }

    /// The number of clusters in its parameters, if they have one.
    pub(crate) fn clusters(&self) -> Option<u64> {
        self.params.get(CLUSTERS)?.as_u64()
    }

    /// The same method with another number of clusters.
    pub(crate) fn with_clusters(&self, clusters: u64) -> Self {
        let mut params = self.params.clone();
        params[CLUSTERS] = clusters.into();
        Self { entry: self.entry, params }
    }

    /// Clusters points by this method; labels are numbered by first occurrence, noise as one more
    /// cluster, and its clips are counted.
    pub(crate) fn cut(
        &self,
        points: &Artifact,
        cx: &Ctx<'_>,
    ) -> Result<(Vec<u32>, usize), OpError> {
        let op = self.entry.parse(self.params.clone()).map_err(|error| {
            OpError::data(format!(
                "`{}` takes no such parameters: {}",
                self.entry.name, error.message
            ))
        })?;
        let made = op.run(&Inputs::new().with(self.entry.inputs[0].name, points), cx)?;
        let labels = made
            .get(self.entry.outputs[0].name)
            .and_then(Artifact::as_table)
            .and_then(|table| table.ints("label"))
            .ok_or_else(|| OpError::data(format!("`{}` makes no clusters", self.entry.name)))?;
        let noise = labels.iter().filter(|label| is_noise(&label.to_string())).count();
        Ok((by_first_appearance(labels).0, noise))
    }
}

/// The parameter of clustering ops for the number of clusters.
const CLUSTERS: &str = "clusters";

/// Points as an artifact.
pub(crate) fn points(ids: &[String], width: usize, values: Vec<f32>) -> Artifact {
    let points = Table::new()
        .with_text("clip_id", ids.iter().cloned())
        .with("features", cache::Column::Array(Array::new([width], values)));
    Artifact::table(Kind::Matrix, points)
}

fn too_wide(width: usize) -> OpError {
    OpError::data(format!("features of {width} numbers are too wide for a reference cloud"))
        .help(format!("cluster at most {MAX_FEATURES} numbers a clip, for instance after `pca`"))
}

/// Points drawn from N(0, diag(λ)), row-major, as many as rows in `x`; λ are the eigenvalues of the
/// covariance of `x`.
pub(crate) fn cloud(x: &[f32], n_features: usize, seed: u64) -> Result<Vec<f32>, OpError> {
    let covariance = covariance(x, n_features);
    let (eigenvalues, _) = symmetric::eigen(&covariance, n_features)
        .ok_or_else(|| OpError::data("the features are too large for a covariance"))?;
    if eigenvalues[0] <= 0.0 {
        return Err(OpError::data(
            "all clips have the same features, so there is no cloud to draw",
        ));
    }
    let deviations: Vec<f64> = eigenvalues.iter().map(|lambda| lambda.max(0.0).sqrt()).collect();
    let mut points = vec![0.0; x.len()];
    points.par_chunks_exact_mut(n_features).enumerate().for_each(|(row, point)| {
        let mut random = Random::new(seed, Purpose::Null, row as u32);
        for (value, deviation) in point.iter_mut().zip(&deviations) {
            *value = (deviation * random.normal()) as f32;
        }
    });
    Ok(points)
}

/// The covariance of rows (divided by n − 1), summed in a fixed order for any number of threads.
fn covariance(x: &[f32], n_features: usize) -> Vec<f64> {
    let n = (x.len() / n_features) as f64;
    let mut mean = vec![0.0; n_features];
    for row in x.chunks_exact(n_features) {
        mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += f64::from(*x) / n);
    }
    let mut covariance = vec![0.0; n_features * n_features];
    let scale = (n - 1.0).max(1.0);
    covariance.par_chunks_exact_mut(n_features).enumerate().for_each(|(i, entries)| {
        for row in x.chunks_exact(n_features) {
            let left = (f64::from(row[i]) - mean[i]) / scale;
            for ((entry, x), mean) in entries.iter_mut().zip(row).zip(&mean) {
                *entry += left * (f64::from(*x) - mean);
            }
        }
    });
    covariance
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Detached;
    use crate::math::dispersion::effective_dimension;

    fn line(n: usize) -> Artifact {
        let mut random = Random::new(3, Purpose::Null, 999);
        let values = (0..n).flat_map(|_| [random.normal() as f32, 0.0]).collect();
        let ids = (0..n).map(|row| row.to_string());
        let table = Table::new().with_text("clip_id", ids).with_array("features", [2], values);
        Artifact::table(Kind::Matrix, table)
    }

    #[test]
    fn a_line_in_eleven_pieces_scores_half_a_silhouette() {
        let features = line(3000);
        let cx = Detached::with_seed(0);
        let entry = crate::find("kmeans").unwrap();
        let kmeans = entry.parse(serde_json::json!({ "clusters": 11 })).unwrap();
        let made = kmeans.run(&Inputs::new().with("features", &features), &cx).unwrap();
        let inputs =
            Inputs::new().with("features", &features).with("clusters", made.get("labels").unwrap());
        let scores = GaussianReference {}.run(&inputs, &cx).unwrap();
        let table = scores.get("scores").unwrap().as_table().unwrap();
        let at = table.text("metric").unwrap().iter().position(|name| name == "silhouette");
        let silhouette = table.reals("value").unwrap()[at.unwrap()];
        // 0.519 for n = 6,705; the optimum hardly depends on n.
        assert!((silhouette - 0.52).abs() < 0.02, "{silhouette}");
    }

    #[test]
    fn the_cloud_has_the_effective_dimension_of_the_features() {
        let mut random = Random::new(5, Purpose::Null, 1);
        let scales = [3.0, 2.0, 1.0, 0.1];
        let x: Vec<f32> =
            (0..4000).flat_map(|_| scales.map(|scale| (scale * random.normal()) as f32)).collect();
        let drawn = cloud(&x, 4, 1).unwrap();
        let (real, drawn) = (effective_dimension(&x, 4), effective_dimension(&drawn, 4));
        assert!((real - drawn).abs() < 0.1, "{real} {drawn}");
    }

    #[test]
    fn equal_clips_are_refused() {
        assert!(cloud(&[1.0; 12], 3, 0).is_err());
    }
}
