//! The engine, from a pipeline's text to a finished study: spec → plan → run → record → report.

#![forbid(unsafe_code)]

pub mod catalog;
pub mod cli;
pub mod commands;
pub mod data;
pub mod devices;
pub mod pipeline;
pub mod plan;
pub mod record;
pub mod run;
pub mod schema;
pub mod spec;
pub mod ui;
