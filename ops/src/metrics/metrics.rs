//! The op `metrics`: how good clusters are, by themselves and beside known classes.

use crate::math::{
    contingency::{Contingency, by_first_appearance, classes},
    dispersion::{Clusters, effective_dimension},
    silhouette,
};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Artifact, Column, Kind, Shape, Table};
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
/// Rows are matched by `clip_id`: the clips of `features` count, others at the other ports do not.
/// A score that is not defined is NaN, and its note says why. Clips without a label count for the
/// scores of the clusters by themselves, and not for those beside `truth`.
///
/// Source: `sklearn.metrics` of scikit-learn 1.9, within 1e-6.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metrics {}

/// The features that clusters were made of, for ops that judge clusters.
pub(crate) const CLUSTERED: Port = Port::new(
    "features",
    &[Kind::Matrix, Kind::Spectrogram],
    "What was clustered: one row of numbers a clip.",
);

/// What ops give that judge clusters.
pub(crate) const SCORES: Port =
    Port::new("scores", &[Kind::Scores], "One row a score: metric, value, note.");

impl Op for Metrics {
    const NAME: &'static str = "metrics";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[
        CLUSTERED,
        Port::new("clusters", &[Kind::Labels], "The cluster of each clip."),
        Port::optional("truth", &[Kind::Labels], "The class of each clip."),
    ];
    const OUTPUTS: &'static [Port] = &[SCORES];

    fn check(&self, _inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        Ok(vec![Shape::of(Kind::Scores)])
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        let (clusters, _) = by_first_appearance(&labels_of(inputs, "clusters", "features", ids)?);
        let truth = truth_of(inputs, ids)?;
        cx.stop_if_cancelled()?;
        let mut scores = intrinsic(features.values(), features.width(), &clusters);
        if let Some(truth) = truth {
            scores.extend(extrinsic(&Contingency::new(&truth, &clusters)));
        }
        cx.stop_if_cancelled()?;
        Ok(Outputs::new().with("scores", Score::table(scores)))
    }
}

/// One score; where its value is NaN, the note says why.
#[derive(Clone, Debug)]
pub struct Score {
    /// The name.
    pub metric: &'static str,
    /// The value.
    pub value: f64,
    /// Why there is none, or nothing.
    pub note: String,
}

impl Score {
    fn new(metric: &'static str, value: f64) -> Self {
        Self { metric, value, note: String::new() }
    }

    /// The artifact: one row a score.
    pub fn table(scores: Vec<Self>) -> Artifact {
        scores_table(scores.into_iter().map(|it| (it.metric.to_owned(), it.value, it.note)))
    }
}

/// The artifact of scores: name, value, note.
pub(crate) fn scores_table(scores: impl IntoIterator<Item = (String, f64, String)>) -> Artifact {
    let (mut names, mut values, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for (name, value, note) in scores {
        names.push(name);
        values.push(value);
        notes.push(note);
    }
    let table = Table::new()
        .with_text("metric", names)
        .with_reals("value", values)
        .with_text("note", notes);
    Artifact::table(Kind::Scores, table)
}

/// The class of each clip, numbered by first appearance, if classes are known; of some clips they
/// may not be.
pub(crate) fn truth_of(inputs: &Inputs<'_>, ids: &[String]) -> Result<Option<Vec<u32>>, OpError> {
    let Some(_) = inputs.optional("truth") else { return Ok(None) };
    Ok(classes(&labels_of(inputs, "truth", "features", ids)?))
}

/// The label of each clip, in the order of `ids`, which come from port `of`, as text: whole numbers
/// and text compare alike.
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

/// Scores of the clusters by themselves, for row-major points and labels numbered from 0 by first
/// appearance.
pub fn intrinsic(x: &[f32], n_features: usize, labels: &[u32]) -> Vec<Score> {
    let n = labels.len();
    let k = labels.iter().max().map_or(0, |&most| most as usize + 1);
    let mut scores = vec![Score::new("n_clips", n as f64), Score::new("n_clusters", k as f64)];
    let names = ["silhouette", "calinski_harabasz", "davies_bouldin"];
    if (2..n).contains(&k) {
        let clusters = Clusters::new(x, n_features, labels);
        let silhouette = silhouette::score(x, n_features, labels);
        let values = [silhouette, clusters.calinski_harabasz(), clusters.davies_bouldin()];
        scores.extend(names.iter().zip(values).map(|(name, value)| Score::new(name, value)));
    } else {
        let note = match k {
            1 => "there is one cluster; it needs at least 2".to_owned(),
            _ => format!("there are as many clusters as clips ({n}); it needs fewer"),
        };
        let undefined = |&metric| Score { metric, value: f64::NAN, note: note.clone() };
        scores.extend(names.iter().map(undefined));
    }
    let mut dimension = Score::new("effective_dimension", effective_dimension(x, n_features));
    if dimension.value.is_nan() {
        dimension.note = "all clips have the same features".to_owned();
    }
    scores.push(dimension);
    scores
}

/// Scores of the clusters beside the classes.
pub fn extrinsic(both: &Contingency) -> Vec<Score> {
    let (homogeneity, completeness, v_measure) = both.homogeneity_completeness_v();
    let named = [
        ("n_classes", both.n_classes() as f64),
        ("ari", both.adjusted_rand()),
        ("nmi", both.normalized_mutual_information()),
        ("ami", both.adjusted_mutual_information()),
        ("homogeneity", homogeneity),
        ("completeness", completeness),
        ("v_measure", v_measure),
        ("fowlkes_mallows", both.fowlkes_mallows()),
        ("purity", both.purity()),
        ("purity_majority", both.majority()),
    ];
    named.map(|(metric, value)| Score::new(metric, value)).to_vec()
}
