//! From clips to spectrograms and vectors.
pub mod matrix;
