//! The op `umap`: a layout that keeps neighbours together.

use super::layout as layout_of;
use crate::math::{
    approximate::Approximate,
    fuzzy::{Bandwidths, Graph},
    layout::{self, Descent},
    neighbors::Neighbors,
    random::{Purpose, Random},
    spectral,
};
use crate::memory::{Features, whole};
use crate::params::{Fraction, NonNegative, Positive};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::Shape;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Uniform manifold approximation and projection: a layout in which neighbours stay neighbours.
///
/// Each clip is joined to its `n_neighbors` nearest by p(j|i) = exp(−max(0, d − ρ) / σ) with ρ the distance to the nearest and Σ_j p(j|i) = log₂ `n_neighbors`; both
/// directions are joined to p + q − p q. In the layout, clips at distance d are close by
/// 1 / (1 + a d^(2b)), where a and b follow from `min_dist` and `spread`. From spectral coordinates of the
/// graph, or principal components where it falls into parts, stochastic gradient descent brings
/// joined clips together and pushes clips away from random ones.
///
/// The nearest clips are found exactly up to `exact_up_to` clips. Of more, each clip is compared with
/// those in the cells of k-means nearest to it, and with the neighbours of its neighbours: the
/// metadata have the share of the true neighbours that were found as `neighbor_recall`, measured on
/// `neighbor_recall_clips` clips.
///
/// Distances between groups, their sizes and their densities mean little; who is near whom means
/// something, as far as `trustworthiness` says: it stands in the metadata, for as many neighbours as
/// `n_neighbors` but fewer than half of the clips, and is 1 where all neighbours in the layout are
/// neighbours in truth, 0.5 by chance. Of more than 20,000 clips 2,000 are looked at for it, which the
/// metadata say. The layout is for looking at; cluster the features instead.
///
/// Source: McInnes, Healy and Melville, UMAP, 2018; parameters and defaults of umap-learn 0.5. The
/// layout is not its to the digit; trustworthiness is within 0.01.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Umap {
    /// The number of neighbours of a clip, itself included, at least 2; more show more of the whole.
    /// Fewer clips than that are all neighbours.
    #[serde(default = "default_n_neighbors")]
    #[schemars(range(min = 2))]
    pub n_neighbors: u32,
    /// Coordinates of the layout, from 1 to 32.
    #[serde(default = "default_n_components")]
    #[schemars(range(max = 32))]
    pub n_components: NonZeroU32,
    /// The least distance between clips in the layout, at most `spread`.
    #[serde(default = "default_min_dist")]
    pub min_dist: NonNegative,
    /// The scale of the layout.
    #[serde(default = "default_one")]
    pub spread: Positive,
    /// The distance between two clips.
    #[serde(default)]
    pub metric: Metric,
    /// The number of passes over the edges; if left out, 500 for fewer than 10,000 clips and else
    /// 200.
    #[serde(default)]
    pub n_epochs: Option<NonZeroU32>,
    /// Random clips each acting edge pushes away from, at most 1,000.
    #[serde(default = "default_negative_sample_rate")]
    #[schemars(range(max = 1000))]
    pub negative_sample_rate: u32,
    /// The step size at the start; it falls to 0.
    #[serde(default = "default_one")]
    pub learning_rate: Positive,
    /// 1 joins clips of which either counts the other among its neighbours, 0 those of which both do.
    #[serde(default = "default_set_op_mix_ratio")]
    pub set_op_mix_ratio: Fraction,
    /// The most clips whose neighbours are found exactly, which takes time with their square.
    #[serde(default = "default_exact_up_to")]
    pub exact_up_to: u32,
}

/// The distance between two clips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// √Σ (x − y)².
    #[default]
    Euclidean,
    /// 1 − cos of the angle between them.
    Cosine,
}

fn default_n_neighbors() -> u32 {
    15
}
fn default_n_components() -> NonZeroU32 {
    NonZeroU32::new(2).expect("2 is not 0")
}
fn default_min_dist() -> NonNegative {
    NonNegative::try_from(0.1).expect("0.1 is not negative")
}
fn default_one() -> Positive {
    Positive::try_from(1.0).expect("1 is above 0")
}
fn default_negative_sample_rate() -> u32 {
    5
}
fn default_exact_up_to() -> u32 {
    20_000
}
fn default_set_op_mix_ratio() -> Fraction {
    Fraction::try_from(1.0).expect("1 is a fraction")
}

/// The largest number of coordinates of a layout.
const MAX_COMPONENTS: u32 = 32;
/// The extent of the initial coordinates.
const EXTENT: f64 = 10.0;
/// Bytes for each clip of the vectors of the spectral initialisation: about a hundred and fifty
/// numbers of 8 bytes.
const SPECTRUM: f64 = 1200.0;
/// The noise that separates points that coincide at the start.
const NOISE: f64 = 1e-4;

impl Umap {
    /// The parameters a and b of the similarity curve.
    fn curve(&self) -> Result<[f64; 2], OpError> {
        let (min_dist, spread) = (self.min_dist.get(), self.spread.get());
        if min_dist > spread {
            let message = format!("`min_dist` is {min_dist}, above `spread`, {spread}");
            return Err(OpError::param("min_dist", message)
                .help("clips keep `min_dist` and fade over `spread`: give a larger `spread`"));
        }
        let curve = layout::find_ab_params(spread, min_dist);
        let fits = curve.iter().all(|&value| (value as f32).is_normal() && value > 0.0);
        fits.then_some(curve).ok_or_else(|| {
            OpError::param("spread", format!("no curve of closeness has a `spread` of {spread}"))
                .help("the default, 1, suits nearly all data")
        })
    }

    fn check_params(&self, rows: Option<usize>) -> Result<(), OpError> {
        let outside = |name, value: u32, limits: &str| {
            Err(OpError::param(name, format!("`{name}` is {value}, but it goes {limits}")))
        };
        if self.n_neighbors < 2 {
            return outside("n_neighbors", self.n_neighbors, "from 2");
        }
        if self.n_components.get() > MAX_COMPONENTS {
            return outside("n_components", self.n_components.get(), "from 1 to 32");
        }
        if self.negative_sample_rate > 1000 {
            return outside("negative_sample_rate", self.negative_sample_rate, "up to 1000");
        }
        layout_of::need_two(rows)?;
        self.curve().map(|_| ())
    }

    /// Computes a layout in `DIMS` coordinates, of which those beyond `n_components` stay 0, so
    /// that a few compiled sizes are sufficient.
    fn lay_out<const DIMS: usize>(
        &self,
        graph: &Graph,
        start: &[f64],
        cx: &Ctx<'_>,
    ) -> Result<Vec<f32>, OpError> {
        let used = self.n_components.get() as usize;
        let mut positions = vec![[0.0; DIMS]; graph.len()];
        for (position, start) in positions.iter_mut().zip(start.chunks_exact(used)) {
            position.iter_mut().zip(start).for_each(|(x, &start)| *x = start as f32);
        }
        let usual = if graph.len() < 10_000 { 500 } else { 200 };
        let epochs = self.n_epochs.map_or(usual, NonZeroU32::get);
        let how = Descent {
            curve: self.curve()?,
            epochs,
            negatives: self.negative_sample_rate,
            learning_rate: self.learning_rate.get(),
            seed: cx.seed,
        };
        let done = layout::descend(graph, &mut positions, &how, &mut |epoch| {
            cx.progress.at(epoch.into(), epochs.into(), "epoch");
            !cx.cancel.is_cancelled()
        });
        if !done {
            return Err(OpError::cancelled());
        }
        let layout: Vec<f32> = positions.iter().flat_map(|point| &point[..used]).copied().collect();
        let sound = layout.iter().all(|value| value.is_finite());
        sound.then_some(layout).ok_or_else(layout_of::diverged)
    }
}

impl Op for Umap {
    const NAME: &'static str = "umap";
    const TITLE: &'static str = "UMAP";
    const VERSION: u32 = 4;
    const SEEDED: bool = true;
    const INPUTS: &'static [Port] = &[Port::FEATURES];
    const OUTPUTS: &'static [Port] = &[layout_of::EMBEDDING];

    fn learns(&self) -> bool {
        true
    }

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let rows = inputs.first().and_then(Option::as_ref).and_then(|shape| shape.rows);
        self.check_params(rows)?;
        Ok(vec![layout_of::shape(rows, self.n_components.get() as usize)])
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let x = Features::of(inputs)?;
        let each = x.n.min(f64::from(self.n_neighbors));
        let held = if self.metric == Metric::Cosine { 2.0 * x.bytes } else { x.bytes };
        // The neighbours; the edges between them as a list for sorting and as a graph; the graph
        // and the vectors of its spectrum.
        let edges = 24.0 * x.n * each;
        let start = layout_of::components_memory(&x, f64::from(self.n_components.get()));
        let near = match x.n > f64::from(self.exact_up_to) {
            true => x.approximate_neighbors(each),
            false => x.neighbors(each),
        };
        let work = near.max(4.0 * edges).max(edges + SPECTRUM * x.n);
        whole(held + work.max(edges + start))
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        let (width, n) = (features.width(), ids.len());
        self.check_params(Some(n))?;
        let each = n.min(self.n_neighbors as usize);
        let unit = match self.metric {
            Metric::Euclidean => None,
            Metric::Cosine => Some(directions(ids, features.values(), width)?),
        };
        let x = unit.as_deref().unwrap_or(features.values());
        let cancelled = || cx.cancel.is_cancelled();
        let found = if n > self.exact_up_to as usize {
            Approximate::new(x, width, each, cx.seed, &cancelled)
        } else {
            let near = Neighbors::new(x, width, each, &cancelled);
            near.map(|near| Approximate { near, recall: 1.0, sampled: n })
        };
        let Approximate { near, recall, sampled } = found.ok_or_else(OpError::cancelled)?;
        // For unit vectors |x − y|² = 2 (1 − cos).
        let distance = |&square: &f64| match self.metric {
            Metric::Euclidean => square.sqrt(),
            Metric::Cosine => square / 2.0,
        };
        let distances: Vec<f64> = near.squares.iter().map(distance).collect();
        let widths = Bandwidths::new(&distances, each);
        let mix = self.set_op_mix_ratio.get();
        let graph = Graph::new(&near.indices, &distances, &widths, mix);
        cx.stop_if_cancelled()?;
        let count = self.n_components.get() as usize;
        let (init, start) = start(&graph, x, width, count, cx.seed);
        let layout = match count {
            1 | 2 => self.lay_out::<2>(&graph, &start, cx),
            3 | 4 => self.lay_out::<4>(&graph, &start, cx),
            5..=8 => self.lay_out::<8>(&graph, &start, cx),
            _ => self.lay_out::<32>(&graph, &start, cx),
        }?;
        let k = (each - 1).min((n - 1) / 2);
        let embedding =
            layout_of::embedding(self, ids, (x, width), (layout, count), k).with_meta("init", init);
        let embedding = if sampled < n {
            let embedding = embedding.with_meta("neighbor_recall", recall);
            embedding.with_meta("neighbor_recall_clips", sampled)
        } else {
            embedding
        };
        Ok(Outputs::new().with("embedding", embedding))
    }
}

/// Each row divided by its norm.
fn directions(ids: &[String], x: &[f32], width: usize) -> Result<Vec<f32>, OpError> {
    let mut unit = Vec::with_capacity(x.len());
    for (id, row) in ids.iter().zip(x.chunks_exact(width)) {
        let length = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        if length == 0.0 {
            let message = format!("clip `{id}` has only zeros, which have no direction");
            return Err(OpError::data(message).help("use `metric: euclidean`"));
        }
        unit.extend(row.iter().map(|&x| (f64::from(x) / length) as f32));
    }
    Ok(unit)
}

/// The initial layout with `count` coordinates a point, and its description.
fn start(
    graph: &Graph,
    x: &[f32],
    width: usize,
    count: usize,
    seed: u64,
) -> (&'static str, Vec<f64>) {
    let mut random = Random::new(seed, Purpose::Layout, 1);
    let found = spectral::layout(graph, count, seed).map(|start| ("spectral", start));
    let found = found.or_else(|| Some(("pca", layout_of::components(x, width, count, seed)?)));
    let (init, mut start) = found.unwrap_or_else(|| {
        ("random", (0..graph.len() * count).map(|_| random.uniform()).collect())
    });
    for column in 0..count {
        let own = || start.iter().skip(column).step_by(count).copied();
        let (low, high) = (own().fold(f64::MAX, f64::min), own().fold(f64::MIN, f64::max));
        let scale = if high > low { EXTENT / (high - low) } else { 0.0 };
        for value in start.iter_mut().skip(column).step_by(count) {
            *value = (*value - low) * scale + NOISE * random.normal();
        }
    }
    (init, start)
}
