//! One file a command.

pub mod cache;
pub mod cache_gc;
pub mod cache_verify;
pub mod export;
pub mod fetch;
pub mod ops;
pub mod plan;
pub mod prepare;
pub mod run;
pub mod show;
pub mod synth;
