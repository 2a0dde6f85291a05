//! What groups are worth.

#[expect(clippy::module_inception, reason = "the file of an op bears its name")]
pub mod metrics;
