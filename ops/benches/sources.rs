//! The time that a synthesised clip takes.

use ops::audio::synth::{CLASSES, render};

fn main() {
    divan::main();
}

/// One clip of each class.
#[divan::bench(args = 0..11_u32, sample_count = 10)]
fn render_clip(bencher: divan::Bencher, class: u32) {
    assert!(class < CLASSES.len() as u32);
    bencher.bench(|| render(0, class, 1));
}
