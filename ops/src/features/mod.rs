//! From clips to spectrograms and vectors.
