//! Features: from clips to spectrograms and vectors.

pub mod chroma;
pub mod chroma_cqt;
mod columns;
pub mod cqt;
mod defaults;
pub mod deform;
pub mod deltas;
pub mod log_mel;
mod log_mel_reference;
mod log_mel_warnings;
pub mod matrix;
pub mod mfcc;
pub mod normalize;
pub mod pcen;
pub mod shuffle;
mod waveforms;

use crate::OpError;
use cache::{Artifact, Data, Kind, Shape, Table};

/// The error of the first clip with a value that is no finite number.
fn all_finite(ids: &[String], values: &[f32]) -> Result<(), OpError> {
    let Some(at) = values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
    let id = &ids[at / (values.len() / ids.len())];
    Err(OpError::data(format!("the values of clip `{id}` are too large to compute with")))
}

/// The error of features that are no images.
fn no_images() -> OpError {
    OpError::data("port `features` holds no images of bands × frames")
}

/// The shape of images that stay as large as they are.
fn same_images(inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
    let input = inputs.first().cloned().flatten();
    match input.as_ref().and_then(|it| it.row.as_ref()).map(Vec::len) {
        None | Some(2) => Ok(vec![input.unwrap_or_else(|| Shape::of(Kind::Spectrogram))]),
        Some(_) => Err(no_images()),
    }
}

/// Features with other values, which may have another shape.
fn with_values(input: &Artifact, ids: &[String], shape: &[usize], values: Vec<f32>) -> Artifact {
    let table = Table::new()
        .with_text("clip_id", ids.iter().cloned())
        .with_array("features", shape, values);
    Artifact { kind: input.kind, meta: input.meta.clone(), data: Data::Table(table) }
}
