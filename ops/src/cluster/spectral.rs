//! The op `spectral`: clusters of a graph of neighbours.

use super::kmeans::check_clusters;
use super::{MADE_BY, made_by};
use crate::math::{
    contingency::by_first_appearance,
    kmeans::{Fit, Points, kmeans_plus_plus, lloyd},
    neighbors::Neighbors,
    random::{Purpose, Random},
    spectral_embedding::{EXTRA, Graph, LANES},
};
use crate::memory::{Features, WIDE, whole};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Artifact, Kind, Shape, Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Clusters of a graph that joins each clip with its nearest neighbours, of any form.
///
/// A = (C + Cᵀ) / 2, where C joins each clip with its `n_neighbors` nearest ones, itself the first.
/// k-means clusters the rows of D⁻¹ᐟ² V, where V are the first `clusters` eigenvectors of
/// D⁻¹ᐟ² A D⁻¹ᐟ² and D are the sums of the rows of A: parts of the graph with few edges between them
/// lie apart. Clusters are numbered by the first clip they hold.
///
/// Source: `sklearn.cluster.SpectralClustering(affinity="nearest_neighbors")` of scikit-learn 1.9;
/// von Luxburg, "A tutorial on spectral clustering" (2007).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spectral {
    /// The number of clusters; at most the number of clips.
    pub clusters: NonZeroU32,
    /// The number of neighbours that each clip is joined with, itself included; at least 2.
    #[serde(default = "ten")]
    pub n_neighbors: NonZeroU32,
    /// The number of runs of k-means from other starting centres.
    #[serde(default = "ten")]
    pub n_init: NonZeroU32,
}

fn ten() -> NonZeroU32 {
    NonZeroU32::new(10).expect("10 is not 0")
}

impl Spectral {
    fn check_size(&self, clips: Option<usize>) -> Result<(), OpError> {
        check_clusters(self.clusters.get() as usize, clips)?;
        let near = self.n_neighbors.get() as usize;
        match clips {
            _ if near < 2 => Err(OpError::param(
                "n_neighbors",
                "`n_neighbors` is 1, so that a clip is joined with none but itself",
            )),
            Some(clips) if clips < near => Err(OpError::param(
                "n_neighbors",
                format!("a clip of {clips} has no {near} neighbours"),
            )
            .help(format!("take {clips} or fewer"))),
            _ => Ok(()),
        }
    }
}

impl Op for Spectral {
    const NAME: &'static str = "spectral";
    const TITLE: &'static str = "spectral clustering";
    const VERSION: u32 = 2;
    const SEEDED: bool = true;
    const INPUTS: &'static [Port] = &[Port::FEATURES];
    const OUTPUTS: &'static [Port] = &[
        Port::new("labels", &[Kind::Labels], "The cluster of each clip, from 0."),
        Port::new("embedding", &[Kind::Matrix], "The rows of D⁻¹ᐟ² V."),
    ];

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let rows = inputs.first().and_then(Option::as_ref).and_then(|shape| shape.rows);
        self.check_size(rows)?;
        let row = Some(vec![self.clusters.get() as usize]);
        Ok(vec![
            Shape::of(Kind::Labels).with_rows(rows),
            Shape::of(Kind::Matrix).with_rows(rows).with_row(row),
        ])
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let x = Features::of(inputs)?;
        let near = f64::from(self.n_neighbors.get());
        // A block of columns and its product, each once more while they are turned.
        let columns = (self.clusters.get() as usize + EXTRA).next_multiple_of(LANES) as f64;
        whole(x.bytes + x.neighbors(near) + 100.0 * x.n * near + 4.0 * WIDE * x.n * columns)
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        self.check_size(Some(ids.len()))?;
        let cancelled = || cx.cancel.is_cancelled();
        let near = self.n_neighbors.get() as usize;
        let near = Neighbors::new(features.values(), features.width(), near, &cancelled);
        let graph = Graph::new(&near.ok_or_else(OpError::cancelled)?);
        cx.progress.at(1, 3, "graph");
        let k = self.clusters.get() as usize;
        let mut random = Random::new(cx.seed, Purpose::Mixture, u32::MAX);
        let Some((rows, exact)) = graph.embedding(k, &mut random, &cancelled) else {
            cx.stop_if_cancelled()?;
            return Err(OpError::failure("the eigenvectors of the graph were not found"));
        };
        cx.progress.at(2, 3, "eigenvectors");
        let points = Points::new(&rows, k);
        let mut best: Option<Fit> = None;
        for restart in 0..self.n_init.get() {
            let mut random = Random::new(cx.seed, Purpose::KMeans, restart);
            let init = kmeans_plus_plus(&points, k, &mut random, &cancelled);
            cx.stop_if_cancelled()?;
            let fit = lloyd(&points, &init, 1e-4, 300, &cancelled);
            cx.stop_if_cancelled()?;
            if best.as_ref().is_none_or(|best| fit.inertia < best.inertia) {
                best = Some(fit);
            }
        }
        cx.progress.at(3, 3, "clusters");
        let labels = by_first_appearance(&best.expect("at least one run").labels).0;
        let with_ids = || Table::new().with_text("clip_id", ids.iter().cloned());
        let labels = with_ids().with_ints("label", labels.into_iter().map(i64::from).collect());
        let mut labels = Artifact::table(Kind::Labels, labels).with_meta(MADE_BY, made_by(self));
        if !exact {
            labels = labels.with_meta("warning", "the eigenvectors of the graph are not exact");
        }
        let rows = rows.iter().map(|value| *value as f32).collect();
        let embedding = with_ids().with_array("features", [k], rows);
        Ok(Outputs::new()
            .with("labels", labels)
            .with("embedding", Artifact::table(Kind::Matrix, embedding)))
    }
}
