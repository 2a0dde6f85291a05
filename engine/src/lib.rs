//! The engine, from a pipeline's text to a finished study: spec → plan → run → record → report.

#![forbid(unsafe_code)]

pub mod app;
pub mod catalog;
pub mod child;
pub mod cli;
pub mod commands;
pub mod data;
pub mod devices;
pub mod model;
pub mod plan;
pub mod record;
pub mod remote;
pub mod run;
pub mod schema;
pub mod spec;
pub mod ui;
