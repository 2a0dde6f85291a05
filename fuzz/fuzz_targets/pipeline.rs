//! Any text as a pipeline: it is read or refused, without a panic, in bounded time and memory.

#![no_main]

use engine::{
    ui::diagnostic::{RenderStyle, render},
    spec::load_with,
};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|text: &str| {
    if let Err(diagnostics) = load_with(Path::new("fuzz.yaml"), text.to_owned(), &[], ops::OPS, |_| None) {
        render(&diagnostics.source, &diagnostics.diagnostics, &RenderStyle::plain(80));
    }
});
