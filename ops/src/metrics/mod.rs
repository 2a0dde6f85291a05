//! Metrics: scores and properties of groups.

pub mod agreement;
pub mod bootstrap;
pub mod choose_k;
pub mod composition;
mod confounds;
pub mod consensus;
pub mod controls;
pub mod disentanglement;
mod factors;
pub mod gaussian_reference;
#[expect(clippy::module_inception, reason = "the file of an op bears its name")]
pub mod metrics;
pub mod probe;
mod resamples;
pub mod silhouette_samples;
pub mod split;
pub mod tagging;
