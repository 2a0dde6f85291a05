//! The op `composition`: the classes of which clusters consist.

use super::metrics::labels_of;
use crate::math::assignment::assign;
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{
    Artifact, Kind, Shape, Table,
    missing::{NOISE, is_noise},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The number of clips of each class in each cluster, with clusters beside the classes they match.
///
/// One row a pair: `cluster`, `class`, `count`, `share_of_cluster` (count over the clips of the
/// cluster), `share_of_class` (count over the clips of the class) and `matched` (1 for a cluster
/// and the class it is matched with). Classes are in the order of their names. Clusters are matched
/// one to one with classes so that the counts of the pairs sum to the most possible, and stand in
/// the order of their classes; those left over follow by their number. So on a heatmap of the rows
/// agreement lies on the diagonal. The metadata hold `accuracy`, the share of clips in matched
/// pairs.
///
/// Noise, clips that are in no cluster (the cluster `-1` or an empty one), is matched with no class. Its
/// rows are the last and are named `-1`, the metadata count its clips as `noise`, and for `accuracy`
/// they are in no matched pair.
///
/// Rows are matched by `clip_id`: the clips of `clusters` count.
///
/// Source: `sklearn.metrics.cluster.contingency_matrix` and
/// `scipy.optimize.linear_sum_assignment(maximize=True)`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Composition {}

/// The largest number of pairs of cluster and class.
const MAX_PAIRS: usize = 1 << 20;

impl Op for Composition {
    const NAME: &'static str = "composition";
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[
        Port::new("clusters", &[Kind::Labels], "The cluster of each clip."),
        Port::new("truth", &[Kind::Labels], "The class of each clip."),
    ];
    const OUTPUTS: &'static [Port] =
        &[Port::new("composition", &[Kind::Composition], "One row a pair of cluster and class.")];

    fn check(&self, _inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        Ok(vec![Shape::of(Kind::Composition)])
    }

    fn run(&self, inputs: &Inputs<'_>, _cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let ids = inputs
            .table("clusters")?
            .text("clip_id")
            .ok_or_else(|| OpError::data("port `clusters` has no column `clip_id`"))?;
        if ids.is_empty() {
            return Err(OpError::data("port `clusters` holds no clips"));
        }
        let clusters = labels_of(inputs, "clusters", "clusters", ids)?;
        let truth = labels_of(inputs, "truth", "clusters", ids)?;
        // A clip without a label has no class.
        let labelled = clusters.into_iter().zip(truth).filter(|(_, class)| !class.is_empty());
        let (mut clusters, truth): (Vec<_>, Vec<_>) = labelled.unzip();
        clusters.iter_mut().filter(|it| is_noise(it)).for_each(|it| NOISE.clone_into(it));
        if truth.is_empty() {
            return Err(OpError::data("no clip at port `truth` has a label")
                .help("connect labels of which at least some are known"));
        }
        let counts = Counts::new(&clusters, &truth)?;
        Ok(Outputs::new().with("composition", counts.artifact()))
    }
}

/// The counts of each pair, with clusters in the order of the classes to which they are matched.
struct Counts {
    clusters: Vec<String>,
    classes: Vec<String>,
    /// The counts, cluster after cluster.
    counts: Vec<i64>,
    /// The class to which each cluster is matched.
    matched: Vec<Option<usize>>,
}

impl Counts {
    fn new(clusters: &[String], truth: &[String]) -> Result<Self, OpError> {
        let (of_cluster, cluster_names) = by_name(clusters);
        let (of_class, classes) = by_name(truth);
        let width = classes.len();
        if cluster_names.len().saturating_mul(width) > MAX_PAIRS {
            return Err(OpError::data(format!(
                "{} clusters of {width} classes are too many to set side by side",
                cluster_names.len()
            ))
            .help("connect clusters and classes, not a label for every clip"));
        }
        let mut counts = vec![0; cluster_names.len() * width];
        for (cluster, class) in of_cluster.iter().zip(&of_class) {
            counts[cluster * width + class] += 1;
        }
        let noise = cluster_names.iter().position(|name| name == NOISE);
        let is_cluster = |cluster: &usize| Some(*cluster) != noise;
        let clusters: Vec<usize> = (0..cluster_names.len()).filter(is_cluster).collect();
        let of = |&cluster: &usize| &counts[cluster * width..][..width];
        let gains: Vec<f64> = clusters.iter().flat_map(of).map(|&count| count as f64).collect();
        let mut matched = vec![None; cluster_names.len()];
        for (&cluster, class) in clusters.iter().zip(assign(&gains, width)) {
            matched[cluster] = class;
        }
        let mut order = clusters;
        order.sort_by_key(|&cluster| (matched[cluster].unwrap_or(usize::MAX), cluster));
        order.extend(noise);
        Ok(Self {
            clusters: order.iter().map(|&cluster| cluster_names[cluster].clone()).collect(),
            counts: order.iter().flat_map(|&at| &counts[at * width..][..width]).copied().collect(),
            matched: order.iter().map(|&cluster| matched[cluster]).collect(),
            classes,
        })
    }

    fn artifact(&self) -> Artifact {
        let width = self.classes.len();
        let rows = self.counts.chunks_exact(width);
        let of_cluster: Vec<i64> = rows.clone().map(|row| row.iter().sum()).collect();
        let of_class = |class: usize| rows.clone().map(|row| row[class]).sum::<i64>();
        let of_class: Vec<i64> = (0..width).map(of_class).collect();
        let pairs: Vec<_> =
            (0..of_cluster.len()).flat_map(|c| (0..width).map(move |k| (c, k))).collect();
        let share = |of: &dyn Fn((usize, usize)) -> i64| {
            let shares = pairs.iter().zip(&self.counts);
            shares.map(|(&pair, &count)| count as f64 / of(pair) as f64).collect()
        };
        let matched: Vec<i64> =
            pairs.iter().map(|&(c, k)| i64::from(self.matched[c] == Some(k))).collect();
        let hits: i64 =
            matched.iter().zip(&self.counts).map(|(matched, count)| matched * count).sum();
        let accuracy = hits as f64 / of_cluster.iter().sum::<i64>() as f64;
        let table = Table::new()
            .with_text("cluster", pairs.iter().map(|&(c, _)| self.clusters[c].as_str()))
            .with_text("class", pairs.iter().map(|&(_, k)| self.classes[k].as_str()))
            .with_ints("count", self.counts.clone())
            .with_reals("share_of_cluster", share(&|(c, _)| of_cluster[c]))
            .with_reals("share_of_class", share(&|(_, k)| of_class[k]))
            .with_ints("matched", matched);
        let noise = self.clusters.iter().zip(&of_cluster).find(|(name, _)| *name == NOISE);
        Artifact::table(Kind::Composition, table)
            .with_meta("accuracy", accuracy)
            .with_meta("noise", noise.map_or(0, |(_, clips)| *clips))
    }
}

/// Labels as numbers in the order of their names, and the names; whole numbers are sorted by value.
fn by_name(labels: &[String]) -> (Vec<usize>, Vec<String>) {
    let key = |label: &String| (label.parse::<i64>().unwrap_or(i64::MAX), label.clone());
    let mut names: BTreeMap<_, usize> = labels.iter().map(|label| (key(label), 0)).collect();
    names.values_mut().enumerate().for_each(|(at, number)| *number = at);
    let numbers = labels.iter().map(|label| names[&key(label)]).collect();
    (numbers, names.into_keys().map(|(_, name)| name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<const N: usize>(labels: [&str; N]) -> Vec<String> {
        labels.map(str::to_owned).to_vec()
    }

    #[test]
    fn clusters_stand_in_the_order_of_their_classes() {
        let clusters = text(["10", "10", "2", "2", "2", "7", "10"]);
        let truth = text(["a", "a", "b", "b", "a", "b", "b"]);
        let counts = Counts::new(&clusters, &truth).unwrap();
        assert_eq!(counts.clusters, ["10", "2", "7"]);
        assert_eq!(counts.matched, [Some(0), Some(1), None]);
        assert_eq!(counts.counts, [2, 1, 1, 2, 0, 1]);
        let artifact = counts.artifact();
        assert_eq!(artifact.meta["accuracy"], 4.0 / 7.0);
        let table = artifact.as_table().unwrap();
        let third = 1.0 / 3.0;
        let shares = table.reals("share_of_cluster").unwrap();
        assert_eq!(shares, [2.0 * third, third, third, 2.0 * third, 0.0, 1.0]);
        assert_eq!(table.reals("share_of_class").unwrap()[..2], [2.0 * third, 0.25]);
    }

    #[test]
    fn noise_is_matched_with_no_class_and_stands_last() {
        // Most of class a is noise; a cluster of one clip has it nevertheless.
        let clusters = text(["-1", "-1", "-1", "0", "1", "1", "-1"]);
        let truth = text(["a", "a", "a", "a", "b", "b", "b"]);
        let counts = Counts::new(&clusters, &truth).unwrap();
        assert_eq!(counts.clusters, ["0", "1", "-1"]);
        assert_eq!(counts.matched, [Some(0), Some(1), None]);
        assert_eq!(counts.counts, [1, 0, 0, 2, 3, 1]);
        let artifact = counts.artifact();
        assert_eq!(
            (&artifact.meta["accuracy"], &artifact.meta["noise"]),
            (&(3.0 / 7.0).into(), &4.into())
        );
        let all = Counts::new(&text(["-1", "-1"]), &text(["a", "b"])).unwrap();
        assert_eq!((&all.clusters[..], &all.matched[..]), (&text(["-1"])[..], &[None][..]));
        assert_eq!(all.artifact().meta["accuracy"], 0.0);
    }

    #[test]
    fn numbers_go_by_value_and_names_after_them() {
        assert_eq!(by_name(&text(["x", "10", "9"])).1, ["9", "10", "x"]);
    }
}
