//! The op `silhouette_samples`: the silhouette of each clip in its cluster.

use super::metrics::{CLUSTERED, labels_of};
use crate::math::{contingency::by_first_appearance, silhouette};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Artifact, Kind, Shape, Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The silhouette of each clip: how much nearer it lies to its own cluster than to any other.
///
/// s = (b − a) / max(a, b), where a is the mean distance of a clip to the others of its cluster and
/// b the smallest mean distance to another cluster: 1 deep inside, 0 between two clusters, below 0
/// where another cluster is nearer. A clip alone in its cluster has 0. The mean of all is the
/// `silhouette` of `metrics`, and stands in the metadata.
///
/// Rows are matched by `clip_id`: the clips of `features` count.
///
/// Source: `sklearn.metrics.silhouette_samples` of scikit-learn 1.9, within 1e-6.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SilhouetteSamples {}

impl Op for SilhouetteSamples {
    const NAME: &'static str = "silhouette_samples";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] =
        &[CLUSTERED, Port::new("clusters", &[Kind::Labels], "The cluster of each clip.")];
    const OUTPUTS: &'static [Port] = &[Port::new(
        "silhouettes",
        &[Kind::Silhouettes],
        "One row a clip: clip_id, cluster, silhouette.",
    )];

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let rows = inputs.first().and_then(Option::as_ref).and_then(|shape| shape.rows);
        Ok(vec![Shape::of(Kind::Silhouettes).with_rows(rows)])
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        let names = labels_of(inputs, "clusters", "features", ids)?;
        let (labels, found) = by_first_appearance(&names);
        if found.len() < 2 {
            return Err(OpError::data("there is one cluster, and silhouettes compare clusters")
                .help("ask the clustering step for at least 2 clusters"));
        }
        cx.stop_if_cancelled()?;
        let values = silhouette::samples(features.values(), features.width(), &labels);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let table = Table::new()
            .with_text("clip_id", ids.iter().cloned())
            .with_text("cluster", names)
            .with_reals("silhouette", values);
        let artifact = Artifact::table(Kind::Silhouettes, table).with_meta("silhouette", mean);
        Ok(Outputs::new().with("silhouettes", artifact))
    }
}
