//! Data for studies: a download, and a synthetic corpus written as files.

pub mod fetch;
pub mod synth;
