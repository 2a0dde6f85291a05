//! The commands of the engine, one in each file.

pub mod cache;
pub mod cache_gc;
pub mod cache_verify;
pub mod cancel;
pub mod completions;
pub mod details;
pub mod devices;
pub mod diff;
pub mod explain;
pub mod export;
pub mod fetch;
pub mod graph;
pub mod init;
pub mod ops;
pub mod plan;
pub mod prepare;
pub mod report;
pub mod run;
pub mod runs;
pub mod show;
pub mod step;
pub mod synth;
pub mod up_to_date;
pub mod watch;
pub mod why;
pub mod worker;
