//! Features: from clips to spectrograms and vectors.

pub mod chroma;
mod columns;
pub mod cqt;
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

/// The error of the first clip with a value that is no finite number.
fn all_finite(ids: &[String], values: &[f32]) -> Result<(), OpError> {
    let Some(at) = values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
    let id = &ids[at / (values.len() / ids.len())];
    Err(OpError::data(format!("the values of clip `{id}` are too large to compute with")))
}
