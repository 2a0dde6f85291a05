//! Common parts of the ops that compute layouts of clips in a few coordinates.

use crate::cluster::{MADE_BY, made_by};
use crate::math::neighbors::{sampled, trustworthiness};
use crate::math::pca;
use crate::memory::Features;
use crate::{Op, OpError, Port};
use cache::{Artifact, Kind, Shape, Table};

/// The output port of such an op.
pub(super) const EMBEDDING: Port =
    Port::new("embedding", &[Kind::Matrix], "The clips in the coordinates of the layout.");

/// The shape of an embedding with `count` coordinates.
pub(super) fn shape(rows: Option<usize>, count: usize) -> Shape {
    Shape::of(Kind::Matrix).with_rows(rows).with_row(Some(vec![count]))
}

/// The embedding of the rows of `x`, with its trustworthiness for `k` neighbours in the metadata.
pub(super) fn embedding<O: Op>(
    op: &O,
    ids: &[String],
    (x, width): (&[f32], usize),
    (layout, count): (Vec<f32>, usize),
    k: usize,
) -> Artifact {
    let trust = (k > 0).then(|| trustworthiness(x, width, &layout, count, k));
    let table = Table::new().with_text("clip_id", ids.iter().cloned()).with_array(
        "features",
        [count],
        layout,
    );
    let embedding = Artifact::table(Kind::Matrix, table)
        .with_meta(MADE_BY, made_by(op))
        .with_meta("trustworthiness", trust)
        .with_meta("trustworthiness_neighbors", k);
    let some = sampled(ids.len()).len();
    if some < ids.len() { embedding.with_meta("trustworthiness_clips", some) } else { embedding }
}

/// Checks that there are at least two clips.
pub(super) fn need_two(rows: Option<usize>) -> Result<(), OpError> {
    match rows {
        Some(..2) => {
            Err(OpError::data("one clip has no neighbours").help("give at least two clips"))
        }
        _ => Ok(()),
    }
}

/// The error of a layout whose coordinates became infinite.
pub(super) fn diverged() -> OpError {
    OpError::param("learning_rate", "the layout left the range of numbers")
        .help("use a smaller `learning_rate`")
}

/// The size up to which computing all eigenvalues takes less than a second.
const EXACT: usize = 1000;

/// The bytes that [`components`] takes besides the clips.
pub(super) fn components_memory(x: &Features, count: f64) -> f64 {
    pca::memory(x.n, x.width, count, x.n.min(x.width) <= EXACT as f64)
}

/// The clips in the coordinates of their first principal components; `None` if there are too few.
pub(super) fn components(x: &[f32], width: usize, count: usize, seed: u64) -> Option<Vec<f64>> {
    let side = width.min(x.len() / width);
    let moments = pca::moments(x, width);
    if side < count || moments.total_variance.is_nan() || moments.total_variance <= 0.0 {
        return None;
    }
    let fit = match side {
        ..=EXACT => pca::exact(x, &moments, count),
        _ => pca::randomized(x, &moments, count, seed, &mut |_| true),
    };
    fit.map(|fit| fit.latent).filter(|latent| latent.iter().all(|value| value.is_finite()))
}
