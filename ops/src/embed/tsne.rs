//! The op `tsne`: a layout that preserves small neighbourhoods.

use super::layout as layout_of;
use crate::math::{
    neighbors::Neighbors,
    random::{Purpose, Random},
    tsne::{self, Descent},
};
use crate::memory::{Features, whole};
use crate::params::Positive;
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::Shape;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// t-distributed stochastic neighbour embedding: a layout that keeps small neighbourhoods.
///
/// Close in the features are p(j|i) ∝ exp(−β_i d²), of the entropy ln(`perplexity`), made symmetric
/// to P; close in the layout is Q ∝ 1 / (1 + d²). From principal components, gradient descent lowers the
/// divergence Σ P ln(P / Q), with P larger by `early_exaggeration` in the first 250 steps. P is kept
/// for 3 · `perplexity` neighbours, found exactly; Q is exact, so a step takes time with the square
/// of the number of clips: for many more than 20,000 use `umap`.
///
/// Sizes of groups and distances between them mean little. The metadata hold `trustworthiness` as
/// `umap` has it, for 15 neighbours but fewer than half of the clips, the `divergence` at the end and
/// the `perplexity` used, at most a third of the other clips.
///
/// Source: `sklearn.manifold.TSNE` of scikit-learn 1.9 with `init="pca"`. The layout is not its to
/// the digit; divergence and trustworthiness are as good.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tsne {
    /// Coordinates of the layout, from 1 to 3.
    #[serde(default = "default_n_components")]
    #[schemars(range(max = 3))]
    pub n_components: NonZeroU32,
    /// The effective number of neighbours of a clip; usually from 5 to 50.
    #[serde(default = "default_perplexity")]
    pub perplexity: Positive,
    /// The factor by which attraction is larger in the first 250 steps.
    #[serde(default = "default_early_exaggeration")]
    pub early_exaggeration: Positive,
    /// The step size; if left out, the number of clips over 4 · `early_exaggeration`, at least 50.
    #[serde(default)]
    pub learning_rate: Option<Positive>,
    /// Steps of gradient descent.
    #[serde(default = "default_max_iter")]
    pub max_iter: NonZeroU32,
}

fn default_n_components() -> NonZeroU32 {
    NonZeroU32::new(2).expect("2 is not 0")
}
fn default_perplexity() -> Positive {
    Positive::try_from(30.0).expect("30 is above 0")
}
fn default_early_exaggeration() -> Positive {
    Positive::try_from(12.0).expect("12 is above 0")
}
fn default_max_iter() -> NonZeroU32 {
    NonZeroU32::new(1000).expect("1000 is not 0")
}

/// The number of neighbours by which a layout is scored.
const JUDGES: usize = 15;
/// The standard deviation of the initial coordinates.
const START: f64 = 1e-4;

impl Tsne {
    fn check_params(&self, rows: Option<usize>) -> Result<(), OpError> {
        let count = self.n_components.get();
        if count > 3 {
            let message = format!("`n_components` is {count}, but it goes from 1 to 3");
            return Err(OpError::param("n_components", message));
        }
        if self.perplexity.get() < 1.0 {
            let message = format!("a `perplexity` of {} is below 1", self.perplexity.get());
            return Err(OpError::param("perplexity", message).help("usual are 5 to 50"));
        }
        layout_of::need_two(rows)
    }

    /// The layout, and its final divergence.
    fn lay_out<const DIMS: usize>(
        &self,
        x: &[f32],
        width: usize,
        perplexity: f64,
        cx: &Ctx<'_>,
    ) -> Result<(Vec<f32>, f64), OpError> {
        let n = x.len() / width;
        let each = n.min((3.0 * perplexity) as usize + 2);
        let near = Neighbors::new(x, width, each, &|| cx.cancel.is_cancelled());
        let graph = tsne::closeness(&near.ok_or_else(OpError::cancelled)?, perplexity);
        let mut positions = start::<DIMS>(x, width, cx.seed);
        let exaggeration = self.early_exaggeration.get();
        let usual = (n as f64 / exaggeration / 4.0).max(50.0);
        let iterations = self.max_iter.get();
        let how = Descent {
            iterations,
            early_exaggeration: exaggeration,
            learning_rate: self.learning_rate.map_or(usual, Positive::get),
        };
        let divergence = tsne::descend(&graph, &mut positions, &how, &mut |done| {
            cx.progress.at(done.into(), iterations.into(), "step");
            !cx.cancel.is_cancelled()
        });
        let divergence = divergence.ok_or_else(OpError::cancelled)?;
        let layout = positions.concat();
        if layout.iter().any(|value| !value.is_finite()) {
            return Err(layout_of::diverged());
        }
        Ok((layout, divergence))
    }
}

impl Op for Tsne {
    const NAME: &'static str = "tsne";
    const TITLE: &'static str = "t-SNE";
    const VERSION: u32 = 3;
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
        let each = x.n.min(3.0 * self.perplexity.get() + 2.0);
        // The neighbours, or else the edges between them as a list for sorting and as a graph.
        let start = layout_of::components_memory(&x, f64::from(self.n_components.get()));
        whole(x.bytes + x.neighbors(each).max(80.0 * x.n * each).max(start))
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, features) = inputs.features("features")?;
        let (x, width, n) = (features.values(), features.width(), ids.len());
        self.check_params(Some(n))?;
        let perplexity = self.perplexity.get().min((n as f64 - 1.0) / 3.0).max(1.0);
        let count = self.n_components.get() as usize;
        let (layout, divergence) = match count {
            1 => self.lay_out::<1>(x, width, perplexity, cx),
            2 => self.lay_out::<2>(x, width, perplexity, cx),
            _ => self.lay_out::<3>(x, width, perplexity, cx),
        }?;
        let k = JUDGES.min((n - 1) / 2);
        let embedding = layout_of::embedding(self, ids, (x, width), (layout, count), k)
            .with_meta("divergence", divergence)
            .with_meta("perplexity", perplexity);
        Ok(Outputs::new().with("embedding", embedding))
    }
}

/// The initial layout: the first principal components or random points, scaled to the standard
/// deviation `START`.
fn start<const DIMS: usize>(x: &[f32], width: usize, seed: u64) -> Vec<[f32; DIMS]> {
    let n = x.len() / width;
    let mut random = Random::new(seed, Purpose::Layout, 2);
    let found = layout_of::components(x, width, DIMS, seed);
    let start = found.unwrap_or_else(|| (0..n * DIMS).map(|_| random.normal()).collect());
    let first = || start.iter().step_by(DIMS);
    let mean = first().sum::<f64>() / n as f64;
    let deviation = (first().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
    let scale = START / deviation.max(f64::MIN_POSITIVE);
    start.as_chunks::<DIMS>().0.iter().map(|row| row.map(|value| (value * scale) as f32)).collect()
}
