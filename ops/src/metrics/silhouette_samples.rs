//! The op `silhouette_samples`: the silhouette of each clip in its cluster.

use super::metrics::{CLUSTERED, features_of, labels_of};
use crate::math::{contingency::by_first_appearance, silhouette};
use crate::memory::{Features, whole};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Artifact, Kind, Shape, Table, missing::is_noise};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The silhouette of each clip: how much nearer it lies to its own cluster than to any other.
///
/// s = (b − a) / max(a, b), where a is the mean distance of a clip to the others of its cluster and
/// b the smallest mean distance to another cluster: 1 deep inside, 0 between two clusters, below 0
/// where another cluster is nearer. A clip alone in its cluster has 0. The mean of all stands in the
/// metadata; without noise it is the `silhouette` of `metrics`.
///
/// Noise, clips that are in no cluster (the cluster `-1` or an empty one), is no cluster here: it has
/// no silhouette (NaN), others are not compared with it, and the metadata count it as `noise`.
///
/// Rows are matched by `clip_id`: the clips of `features` count.
///
/// Source: `sklearn.metrics.silhouette_samples` of scikit-learn 1.9, within 1e-6.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SilhouetteSamples {}

impl Op for SilhouetteSamples {
    const NAME: &'static str = "silhouette_samples";
    const VERSION: u32 = 2;
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

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let x = Features::of(inputs)?;
        whole(x.bytes + x.silhouettes())
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        let names = labels_of(inputs, "clusters", "features", ids)?;
        let kept: Vec<usize> = (0..ids.len()).filter(|&row| !is_noise(&names[row])).collect();
        let noise = ids.len() - kept.len();
        let clustered: Vec<&str> = kept.iter().map(|&row| names[row].as_str()).collect();
        let (labels, found) = by_first_appearance(&clustered);
        if found.is_empty() {
            return Err(OpError::data("every clip is noise, and silhouettes compare clusters")
                .help("choose parameters of the clustering step that find clusters"));
        }
        if found.len() < 2 {
            return Err(OpError::data("there is one cluster, and silhouettes compare clusters")
                .help("ask the clustering step for at least 2 clusters"));
        }
        cx.stop_if_cancelled()?;
        let width = features.width();
        let found = match noise {
            0 => silhouette::samples(features.values(), width, &labels),
            _ => silhouette::samples(features_of(features, &kept).values(), width, &labels),
        };
        let mean = found.iter().sum::<f64>() / found.len() as f64;
        let mut values = vec![f64::NAN; ids.len()];
        kept.iter().zip(found).for_each(|(&row, silhouette)| values[row] = silhouette);
        let table = Table::new()
            .with_text("clip_id", ids.iter().cloned())
            .with_text("cluster", names)
            .with_reals("silhouette", values);
        let artifact = Artifact::table(Kind::Silhouettes, table)
            .with_meta("silhouette", mean)
            .with_meta("noise", noise);
        Ok(Outputs::new().with("silhouettes", artifact))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Detached;
    use cache::Column;

    fn run(x: &[f32], labels: &[i64]) -> Result<Artifact, OpError> {
        let ids = || (0..x.len()).map(|row| row.to_string());
        let features = cache::Array::new([1], x.to_vec());
        let table = Table::new().with_text("clip_id", ids());
        let points =
            Artifact::table(Kind::Matrix, table.clone().with("features", Column::Array(features)));
        let labels = Artifact::table(Kind::Labels, table.with_ints("label", labels.to_vec()));
        let inputs = Inputs::new().with("features", &points).with("clusters", &labels);
        let made = SilhouetteSamples {}.run(&inputs, &Detached::with_seed(0))?;
        Ok(made.get("silhouettes").expect("a port").clone())
    }

    #[test]
    fn noise_has_no_silhouette_and_changes_no_other() {
        let made = run(&[0.0, 1.0, 5.0, 10.0, 12.0, 40.0], &[0, 0, -1, 1, 1, -1]).expect("values");
        let values = made.as_table().and_then(|table| table.reals("silhouette")).expect("values");
        // (b − a) / b with a the distance in the pair and b the mean distance to the other pair.
        let expected = [10.0 / 11.0, 9.0 / 10.0, f64::NAN, 7.5 / 9.5, 9.5 / 11.5, f64::NAN];
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-9 || value.is_nan() && expected.is_nan());
        }
        assert_eq!(made.meta["noise"], 2);
        let mean = (10.0 / 11.0 + 0.9 + 7.5 / 9.5 + 9.5 / 11.5) / 4.0;
        assert!((made.meta["silhouette"].as_f64().expect("a mean") - mean).abs() < 1e-9);
    }

    #[test]
    fn noise_is_no_second_cluster() {
        let message = |labels| run(&[0.0, 1.0, 2.0], labels).expect_err("too few").message;
        assert!(message(&[0, 0, -1]).contains("there is one cluster"));
        assert!(message(&[-1, -1, -1]).contains("every clip is noise"));
    }
}
