//! The messages to the user: progress, diagnostics, text that fits the terminal; and Ctrl-C.

pub mod console;
pub mod diagnostic;
pub mod events;
mod few;
pub mod fold;
pub mod grid;
pub mod interrupt;
pub mod located;
pub mod size;
pub mod suggest;
pub mod trace;
pub mod visible;
