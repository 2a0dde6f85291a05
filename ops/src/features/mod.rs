//! From clips to spectrograms and vectors.

pub mod log_mel;
pub mod mfcc;
pub mod normalize;
