//! One file a command.

pub mod devices;
pub mod export;
pub mod fetch;
pub mod ops;
pub mod plan;
pub mod prepare;
pub mod run;
pub mod show;
pub mod synth;
