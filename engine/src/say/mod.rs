//! What is said and how: progress, mistakes, text that fits the terminal; Ctrl-C.

pub mod fault;
mod few;
pub mod fold;
pub mod grid;
pub mod interrupt;
pub mod progress;
pub mod progress_json;
pub mod size;
pub mod suggest;
pub mod talk;
pub mod trace;
pub mod visible;
