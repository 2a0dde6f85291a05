//! The op `metrics`: scores of clusters by their geometry and by known classes.

use crate::math::contingency::{by_first_appearance, classes};
use crate::measures::{MEASURES, Measure, ScoredClusters};
use crate::memory::{Features, whole};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{
    Array, Column, Kind, Shape,
    metric::{CLIPS, TRUTH, artifact, clip_set_digest, labelled_set_digest},
    missing::is_noise,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Scores of clusters: how compact and separate they are, and how well they agree with classes.
///
/// From `features` and `clusters`: `silhouette`, the mean of (b − a) / max(a, b) with a and b the mean
/// distances to the own and the nearest other cluster; `calinski_harabasz`, the variance between
/// over that within; `davies_bouldin`, spread over separation (lower is better);
/// `effective_dimension`, (Σλ)² / Σλ² of the eigenvalues of the features' covariance: in how many
/// directions the clips spread at all.
///
/// With `truth`: `ari` (adjusted Rand index), `nmi` (mutual information over the arithmetic mean of
/// the entropies), `ami` (the same adjusted for chance), `homogeneity`, `completeness`, `v_measure`,
/// `fowlkes_mallows`, `purity` (the share of clips in their cluster's most frequent class) and
/// `purity_majority` (the share of the most frequent class, which a single cluster would reach).
///
/// `ari_deviation` is how far from 0 chance takes the ARI of so few clips: its standard deviation over
/// all groups of the same sizes.
///
/// Rows are matched by `clip_id`: the clips of `features` count, others at the other ports do not.
/// A score that is not defined is NaN, and its note says why. Noise, clips that a method such as
/// DBSCAN puts into no cluster (the cluster `-1` or an empty one), is counted as `n_noise`, and
/// treated as `noise` says. Clips without a label count for the scores of the clusters by themselves,
/// and not for those beside `truth`.
///
/// Source: `sklearn.metrics` of scikit-learn 1.9, within 1e-6; the variance of the ARI: Fowlkes and
/// Mallows, "A method for comparing two hierarchical clusterings" (1983).
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// The treatment of noise: `cluster` scores it as one more cluster, as scikit-learn's functions do,
    /// so that all rows are of the same clips; `drop` leaves it out, so that a row is of fewer clips
    /// and compares with no other; `singletons` makes each of its clips a cluster of its own.
    #[serde(default)]
    pub noise: Noise,
}

/// The treatment of clips that are in no cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// It is one more cluster.
    #[default]
    Cluster,
    /// It is left out.
    Drop,
    /// Each clip is a cluster of its own.
    Singletons,
}

impl Noise {
    /// The treatment of noise in words.
    fn description(self) -> &'static str {
        match self {
            Noise::Cluster => "scored as one more cluster",
            Noise::Drop => "left out of the scores",
            Noise::Singletons => "each scored as a cluster of its own",
        }
    }
}

/// The port with the clustered features, for ops that score clusters.
pub(crate) const CLUSTERED: Port = Port::new(
    "features",
    &[Kind::Matrix, Kind::Spectrogram],
    "The clustered features: one row of numbers a clip.",
);

/// The output port of ops that score clusters.
pub(crate) const SCORES: Port = Port::new(
    "scores",
    &[Kind::Scores],
    "One row a score: metric, value, note, and what the metric is.",
);

impl Op for Metrics {
    const NAME: &'static str = "metrics";
    const VERSION: u32 = 2;
    const METRICS: &'static [Measure] = MEASURES;
    const INPUTS: &'static [Port] = &[
        CLUSTERED,
        Port::new("clusters", &[Kind::Labels], "The cluster of each clip."),
        Port::optional("truth", &[Kind::Labels], "The class of each clip."),
    ];
    const OUTPUTS: &'static [Port] = &[SCORES];

    fn check(&self, _inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        Ok(vec![Shape::of(Kind::Scores)])
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let x = Features::of(inputs)?;
        whole(x.bytes + x.scoring())
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        let mut names = labels_of(inputs, "clusters", "features", ids)?;
        let noise = names.iter().filter(|name| is_noise(name)).count();
        let all: Vec<usize> = (0..ids.len()).collect();
        let (kept, features) = match self.noise {
            Noise::Drop if noise > 0 => {
                let kept: Vec<usize> =
                    all.into_iter().filter(|&row| !is_noise(&names[row])).collect();
                let features = features_of(features, &kept);
                (kept, features)
            }
            _ => (all, features.clone()),
        };
        if self.noise == Noise::Singletons {
            let named = names.iter_mut().enumerate().filter(|(_, name)| is_noise(name));
            // No other cluster has such a name.
            named.for_each(|(row, name)| *name = format!("-1\0{row}"));
        }
        let (clusters, _) = by_first_appearance(&rows_of(&names, &kept));
        let truth = inputs.optional("truth").map(|_| labels_of(inputs, "truth", "features", ids));
        let truth = truth.transpose()?;
        let numbers = truth.as_ref().and_then(|truth| classes(&rows_of(truth, &kept)));
        cx.stop_if_cancelled()?;
        let width = features.width();
        let scored =
            ScoredClusters::new(features.values(), width, &clusters, numbers.as_deref(), noise);
        let mut scores = scored.scores();
        for score in scores.iter_mut().filter(|score| score.metric.name == "n_noise") {
            score.note = self.noise.description().to_owned();
        }
        cx.stop_if_cancelled()?;
        let clips = rows_of(ids, &kept);
        let scores = artifact(&scores).with_meta(CLIPS, clip_set_digest(clips.iter().copied()));
        let scores = match truth {
            Some(truth) => {
                let classes = clips.into_iter().zip(rows_of(&truth, &kept));
                scores.with_meta(TRUTH, labelled_set_digest(classes))
            }
            None => scores,
        };
        Ok(Outputs::new().with("scores", scores))
    }
}

/// The features of some rows.
pub(crate) fn features_of(features: &Array, rows: &[usize]) -> Array {
    let values = rows.iter().flat_map(|&row| features.row(row)).copied();
    Array::new([features.width()], values.collect::<Vec<f32>>())
}

/// The labels of some rows.
fn rows_of<'l>(labels: &'l [String], rows: &[usize]) -> Vec<&'l str> {
    rows.iter().map(|&row| labels[row].as_str()).collect()
}

/// The class of each clip, numbered by first occurrence, if there are classes; single clips may
/// have none.
pub(crate) fn truth_of(inputs: &Inputs<'_>, ids: &[String]) -> Result<Option<Vec<u32>>, OpError> {
    let Some(_) = inputs.optional("truth") else { return Ok(None) };
    Ok(classes(&labels_of(inputs, "truth", "features", ids)?))
}

/// The label of each clip, in the order of `ids`, which come from port `of`, as text, so that whole
/// numbers and text are compared alike.
pub(crate) fn labels_of(
    inputs: &Inputs<'_>,
    port: &str,
    of: &str,
    ids: &[String],
) -> Result<Vec<String>, OpError> {
    let table = inputs.table(port)?;
    let missing = |name: &str| OpError::data(format!("port `{port}` has no column `{name}`"));
    let known = table.text("clip_id").ok_or_else(|| missing("clip_id"))?;
    let labels: Vec<String> = match table.column("label") {
        Some(Column::Text(labels)) => labels.clone(),
        Some(Column::Int(labels)) => labels.iter().map(i64::to_string).collect(),
        _ => return Err(missing("label").help("labels are text or whole numbers")),
    };
    let mut rows = HashMap::with_capacity(known.len());
    for (row, id) in known.iter().enumerate() {
        if let Some(before) = rows.insert(id, row)
            && labels[before] != labels[row]
        {
            return Err(OpError::data(format!(
                "port `{port}` gives clip `{id}` both `{}` and `{}`",
                labels[before], labels[row]
            )));
        }
    }
    let label = |id: &String| {
        rows.get(id).map(|&row| labels[row].clone()).ok_or_else(|| {
            OpError::data(format!("clip `{id}` of `{of}` is missing at port `{port}`"))
                .help("connect labels made from the same clips")
        })
    };
    ids.iter().map(label).collect()
}
