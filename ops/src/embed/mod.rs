//! Embeddings: from features to low-dimensional representations.

pub mod autoencoder;
pub mod beta_vae;
mod layout;
pub mod onnx;
pub mod pca;
pub mod reconstruction;
pub mod tsne;
pub mod umap;
