//! Pure kernels on slices: no op, no file, no clock.

pub mod contingency;
pub mod dispersion;
pub mod kmeans;
pub mod linkage;
pub mod matmul;
pub mod orthogonal;
pub mod pairwise;
pub mod pca;
pub mod random;
pub mod silhouette;
pub mod symmetric;
pub mod ward;
