//! Data for studies: a download, and a corpus written as files.

pub mod fetch;
pub mod synth;
