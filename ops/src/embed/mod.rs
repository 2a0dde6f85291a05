//! From features to low-dimensional representations.

pub mod pca;
