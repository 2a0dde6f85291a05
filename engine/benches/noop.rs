//! Runs in which nothing changed, whole processes: the shape of the published comparison of build
//! tools, N steps as N/5 independent chains of five, each chain with a source file of its own.
//!
//! The studies are made once and kept in `target/tmp/`. The first run of 10,000 steps takes a
//! minute, because each step is on the disk before the next one reads it.

mod study;

use cache::FileIndex;
use divan::{Bencher, counter::BytesCount};
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};
use study::{RUN, engine, study};

fn main() {
    divan::main();
}

/// As many steps, in chains of five.
fn chains(steps: usize) -> PathBuf {
    study(&format!("noop-{steps}"), |folder| {
        let mut text = "name: noop\nsteps:\n".to_owned();
        for chain in 0..steps / 5 {
            let table = folder.join(format!("data/{chain}.csv"));
            fs::write(table, format!("a,b\n1,{chain}\n2,3\n4,9\n")).expect("a table");
            let _ = write!(
                text,
                "  a{chain}: {{ op: matrix, path: data/{chain}.csv }}
  b{chain}: {{ op: normalize, in: a{chain} }}
  c{chain}: {{ op: normalize, in: b{chain}, scope: per_bin }}
  d{chain}: {{ op: normalize, in: c{chain}, method: min_max }}
  e{chain}: {{ op: normalize, in: d{chain}, scope: per_clip, method: min_max }}
"
            );
        }
        text
    })
}

const STEPS: [usize; 3] = [100, 1_000, 10_000];

#[divan::bench(args = STEPS, sample_count = 20, sample_size = 1)]
fn run(bencher: Bencher<'_, '_>, steps: usize) {
    let folder = chains(steps);
    bencher.bench_local(|| engine(&folder, &RUN));
}

/// A run that looks into every step and writes a report, although all of them are there.
#[divan::bench(args = STEPS, sample_count = 20, sample_size = 1)]
fn run_looking(bencher: Bencher<'_, '_>, steps: usize) {
    let folder = chains(steps);
    bencher.bench_local(|| engine(&folder, &[&RUN[..], &["--log-format", "json"]].concat()));
}

#[divan::bench(args = [1_000], sample_count = 20, sample_size = 1)]
fn explain(bencher: Bencher<'_, '_>, steps: usize) {
    let folder = chains(steps);
    bencher.bench_local(|| engine(&folder, &["explain", "study.yaml", "e7"]));
}

#[divan::bench(args = STEPS, sample_count = 20, sample_size = 1)]
fn plan(bencher: Bencher<'_, '_>, steps: usize) {
    let folder = chains(steps);
    bencher.bench_local(|| engine(&folder, &["plan", "study.yaml"]));
}

/// A study of as many recordings.
#[divan::bench(args = [6_705], sample_count = 20, sample_size = 1)]
fn run_over_clips(bencher: Bencher<'_, '_>, clips: usize) {
    let folder = study(&format!("noop-clips-{clips}"), |folder| {
        for clip in 0..clips {
            let data = (0..2000_u32).flat_map(|at| ((at * (clip as u32 + 1)) as u16).to_le_bytes());
            let path = folder.join(format!("data/{:02}/{clip:05}.wav", clip % 11));
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, wav(&data.collect::<Vec<u8>>())).expect("a recording");
        }
        "name: clips
steps:
  clips: { op: audio_folder, path: data }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 0.25, n_fft: 256, n_mels: 16 }
"
        .to_owned()
    });
    bencher.bench_local(|| engine(&folder, &RUN));
}

/// Sixteen bits, one channel, 8 kHz.
fn wav(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u32).to_le_bytes();
    let whole = (data.len() as u32 + 36).to_le_bytes();
    let format: &[u8] = b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data";
    [b"RIFF", &whole[..], format, &length, data].concat()
}

/// A file that no index knows yet, on one core.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn hash_a_file(bencher: Bencher<'_, '_>) {
    const BYTES: usize = 256 << 20;
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hashed.bin");
    let bytes: Vec<u8> = (0..BYTES).map(|at| ((at * at) >> 7) as u8).collect();
    fs::write(&path, bytes).expect("a file");
    let hash = || FileIndex::default().digest(&path).expect("a digest");
    bencher.counter(BytesCount::new(BYTES)).bench_local(hash);
}
