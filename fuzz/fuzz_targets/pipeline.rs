//! Any text as a pipeline: it is read or refused, without a panic, in bounded time and memory.
//!
//!     mkdir -p fuzz/corpus/pipeline
//!     cp pipelines/*.yaml engine/tests/bad/*.yaml fuzz/corpus/pipeline/
//!     cargo +nightly fuzz run pipeline -- -rss_limit_mb=2048 -timeout=10

#![no_main]

use engine::{
    fault::{Look, render},
    spec::load_with,
};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|text: &str| {
    if let Err(faults) = load_with(Path::new("fuzz.yaml"), text.to_owned(), &[], ops::OPS, |_| None) {
        render(&faults.source, &faults.faults, &Look::plain(80));
    }
});
