//! From vectors to groups.

pub mod agglomerative;
pub mod kmeans;
