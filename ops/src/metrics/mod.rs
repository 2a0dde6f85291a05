//! Metrics: scores and properties of groups.

pub mod agreement;
pub mod composition;
pub mod controls;
pub mod gaussian_reference;
#[expect(clippy::module_inception, reason = "the file of an op bears its name")]
pub mod metrics;
pub mod silhouette_samples;
