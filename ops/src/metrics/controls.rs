//! The op `controls`: baselines with which clusters are compared.

use crate::math::shuffle;
use crate::measures::ScoredClusters;
use crate::memory::{Features, whole};
use crate::metrics::{
    gaussian_reference::{MAX_FEATURES, Method, cloud, points},
    metrics::{CLUSTERED, SCORES, truth_of},
};
use crate::{Companion, Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{
    Kind, Shape,
    metric::{Metric, Score, artifact},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Baselines for clusters: scores of the same method on nothing, and with other numbers of
/// clusters.
///
/// The op that made `clusters` runs again, with the same parameters, on three things.
///
/// `gaussian.*`: points of a normal cloud of as many clips and the same effective dimension, as of
/// `gaussian_reference`. `shuffled.*`: the features of the clips with each column in a random order
/// of its own, which keeps what each number looks like and takes away what belongs together; with
/// `truth` also `shuffled.ari`, which is that of chance. `k=N.*`: the clips themselves in N clusters.
/// Each has `silhouette`, `calinski_harabasz` and `davies_bouldin`; the last with `truth` also `ari`,
/// `nmi` and `purity`.
///
/// A pipeline with `report: { companions: true }` gets one such step for each row of its table. Clusters
/// that no op of the engine made have no method that could run again, and no such scores.
///
/// Source: permuted columns as of N. Speed, "Permutation tests", and the null references of the gap
/// statistic (Tibshirani, Walther and Hastie, 2001); scores as `metrics`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Controls {
    /// Other numbers of clusters to try; half as many and twice as many if not given.
    #[serde(default)]
    pub k: Vec<NonZeroU32>,
}

impl Op for Controls {
    const NAME: &'static str = "controls";
    const VERSION: u32 = 2;
    const SEEDED: bool = true;
    const COMPANION: Option<Companion> = Some(Companion::Baselines);
    const INPUTS: &'static [Port] = &[
        CLUSTERED,
        Port::new("clusters", &[Kind::Labels], "The clusters."),
        Port::optional("truth", &[Kind::Labels], "The class of each clip."),
    ];
    const OUTPUTS: &'static [Port] = &[SCORES];

    fn check(&self, _inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        Ok(vec![Shape::of(Kind::Scores)])
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let x = Features::of(inputs)?;
        // The drawn points, the same as the input of the method, and the method or the scoring. The
        // method is known only from the clusters; it ran in its own memory before.
        whole(3.0 * x.bytes + x.bytes.max(x.scoring()))
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        let (values, width) = (features.values(), features.width());
        let Ok(method) = Method::of(inputs.get("clusters")?, cx) else {
            let note = "the clusters do not say which op made them, so it cannot run again";
            let whole =
                Score { metric: Metric::new(WHOLE, WHOLE), value: f64::NAN, note: note.to_owned() };
            return Ok(Outputs::new().with("scores", artifact(&[whole])));
        };
        let truth = truth_of(inputs, ids)?;
        let truth = truth.as_deref();
        let mut found = Vec::new();
        let mut rate = |name: &str, x: &[f32], method: &Method, truth| {
            cx.stop_if_cancelled()?;
            let cut = method.cut(&points(ids, width, x.to_vec()), cx)?;
            found.extend(scores(name, x, width, &cut, truth));
            Ok::<_, OpError>(())
        };
        if width <= MAX_FEATURES {
            rate("gaussian", &cloud(values, width, cx.seed)?, &method, None)?;
        }
        rate("shuffled", &shuffled(values, width, cx.seed), &method, truth)?;
        for k in self.numbers(&method, ids.len()) {
            rate(&format!("k={k}"), values, &method.with_clusters(k), truth)?;
        }
        Ok(Outputs::new().with("scores", artifact(&found)))
    }
}

/// The name of the score without a value that is given if there are no others.
const WHOLE: &str = "controls.silhouette";

impl Controls {
    /// The numbers of clusters to try, limited to those that so many clips allow.
    fn numbers(&self, method: &Method, clips: usize) -> Vec<u64> {
        let Some(own) = method.clusters() else { return Vec::new() };
        let mut numbers: Vec<u64> = match &self.k[..] {
            [] => vec![own / 2, own * 2],
            given => given.iter().map(|k| u64::from(k.get())).collect(),
        };
        numbers.retain(|k| (2..clips as u64).contains(k) && *k != own);
        numbers
    }
}

/// The scores that tables show, with `name` before their names. They are no columns of tables
/// themselves.
fn scores(
    name: &str,
    x: &[f32],
    width: usize,
    (labels, noise): &(Vec<u32>, usize),
    truth: Option<&[u32]>,
) -> Vec<Score> {
    let mut scores = ScoredClusters::new(x, width, labels, truth, *noise).scores();
    scores.retain(|score| score.metric.is_shown);
    for Score { metric, .. } in &mut scores {
        metric.name = format!("{name}.{}", metric.name).into();
        metric.title = format!("{} ({name})", metric.title).into();
        metric.is_shown = false;
    }
    scores
}

/// Rows with each column permuted at random.
fn shuffled(x: &[f32], width: usize, seed: u64) -> Vec<f32> {
    // The rows of the Gaussian cloud use the indices from 0 on.
    shuffle::columns(x, width, seed, 1 << 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::{Purpose, Random};
    use crate::{Detached, cluster::kmeans::Kmeans};
    use cache::{Artifact, Table};

    /// Two distant clouds on a diagonal, with their true labels.
    fn clouds() -> (Artifact, Artifact) {
        let mut random = Random::new(1, Purpose::Null, 5);
        let ids: Vec<String> = (0..60).map(|clip| clip.to_string()).collect();
        let values = (0..120)
            .map(|at| (if at / 2 % 2 == 0 { 20.0 } else { -20.0 }) + random.normal() as f32)
            .collect();
        let labels = Table::new()
            .with_text("clip_id", ids.iter().cloned())
            .with_ints("label", (0..60).map(|clip| clip % 2).collect());
        (points(&ids, 2, values), Artifact::table(Kind::Labels, labels))
    }

    fn scored() -> Vec<(String, f64)> {
        let (features, truth) = clouds();
        let cx = Detached::with_seed(0);
        let kmeans: Kmeans = serde_json::from_value(serde_json::json!({ "clusters": 2 })).unwrap();
        let made = kmeans.run(&Inputs::new().with("features", &features), &cx).unwrap();
        let clusters = made.get("labels").expect("labels");
        let inputs = Inputs::new()
            .with("features", &features)
            .with("clusters", clusters)
            .with("truth", &truth);
        let out = Controls::default().run(&inputs, &cx).expect("scores");
        let table = out.get("scores").and_then(Artifact::as_table).expect("a table");
        let names = table.text("metric").expect("names").to_vec();
        names.into_iter().zip(table.reals("value").expect("values").to_vec()).collect()
    }

    #[test]
    fn clusters_are_beyond_what_nothing_gives() {
        let scored = scored();
        let value =
            |name: &str| scored.iter().find(|(metric, _)| metric == name).expect("a score").1;
        assert!(value("gaussian.silhouette") < 0.8 && value("shuffled.silhouette") < 0.8);
        assert!(value("shuffled.ari").abs() < 0.2, "{}", value("shuffled.ari"));
        assert!(value("k=4.ari") < 0.9 && value("k=4.silhouette") < 0.8);
        assert!(!scored.iter().any(|(metric, _)| metric.starts_with("k=1.")));
    }

    #[test]
    fn clusters_from_elsewhere_have_no_controls() {
        let (features, truth) = clouds();
        let inputs = Inputs::new().with("features", &features).with("clusters", &truth);
        let out = Controls::default().run(&inputs, &Detached::with_seed(0)).unwrap();
        let table = out.get("scores").and_then(Artifact::as_table).unwrap();
        assert!(table.reals("value").unwrap()[0].is_nan());
    }

    #[test]
    fn shuffling_keeps_each_column() {
        let x: Vec<f32> = (0..12).map(|it| it as f32).collect();
        let mut made = shuffled(&x, 3, 7);
        assert_ne!(made, x);
        assert_eq!(made, shuffled(&x, 3, 7));
        for column in 0..3 {
            let mut values: Vec<f32> = made.iter().skip(column).step_by(3).copied().collect();
            values.sort_by(f32::total_cmp);
            assert_eq!(values, [0, 3, 6, 9].map(|row| (row + column) as f32));
        }
        made.clear();
        assert!(shuffled(&made, 3, 7).is_empty());
    }
}
