//! Spec → Plan → Run → Record → Report: from a pipeline's text to a finished study.

pub mod catalog;
pub mod cli;
pub mod commands;
pub mod devices;
pub mod expect;
pub mod export;
pub mod fault;
pub mod fetch;
pub mod fold;
pub mod interrupt;
pub mod keys;
pub mod outside;
pub mod pipeline;
pub mod progress;
pub mod run;
pub mod runs;
pub mod scan;
pub mod schema;
pub mod spec;
pub mod state;
pub mod suggest;
pub mod synth;
