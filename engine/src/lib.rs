//! Spec → Plan → Run → Record → Report: from a pipeline's text to a finished study.

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
