//! From clips to spectrograms and vectors.

mod columns;
pub mod log_mel;
pub mod matrix;
pub mod mfcc;
pub mod normalize;
pub mod shuffle;
