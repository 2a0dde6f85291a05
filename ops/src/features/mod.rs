//! Features: from clips to spectrograms and vectors.

mod columns;
pub mod deform;
pub mod log_mel;
mod log_mel_reference;
mod log_mel_warnings;
pub mod matrix;
pub mod mfcc;
pub mod normalize;
pub mod shuffle;
