//! The messages to the user: progress, diagnostics, text that fits the terminal; and Ctrl-C.

pub mod diagnostic;
mod few;
pub mod fold;
pub mod grid;
pub mod interrupt;
pub mod logging;
pub mod progress;
pub mod progress_json;
pub mod size;
pub mod suggest;
pub mod trace;
pub mod visible;
