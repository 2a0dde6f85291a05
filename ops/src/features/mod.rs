//! From clips to spectrograms and vectors.

pub mod log_mel;
