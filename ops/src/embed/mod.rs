//! From features to low-dimensional representations.

pub mod autoencoder;
pub mod beta_vae;
pub mod pca;
pub mod reconstruction;
pub mod tsne;
pub mod umap;
