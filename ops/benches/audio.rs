//! Recordings to log-mel spectrograms: the whole, and its parts. `AUDIO_BENCH_DIR` may name a
//! folder of WAV files to take instead of noise.

use divan::{Bencher, counter::ItemsCount};
use ops::{
    Ctx, Detached, Inputs, Op,
    audio::decode::{decode, probe},
    features::{log_mel::LogMel, mfcc::Mfcc, normalize::Normalize},
    math::{mel::MelBank, resample::Resampler, stft::Stft},
};
use std::{collections::HashMap, fs, path::PathBuf};

#[path = "../tests/audio_fixtures/mod.rs"]
#[allow(dead_code, missing_docs, clippy::unwrap_used)]
mod audio_fixtures;
use audio_fixtures::{FilesByDigest, clips};

fn main() {
    divan::main();
}

/// 3 s of noise, 44.1 kHz, stereo, 16 bits.
fn wav() -> Vec<u8> {
    let mut state = 1_u32;
    let data: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        [(state >> 16) as u8, (state >> 24) as u8]
    })
    .take(2 * 132_300)
    .flatten()
    .collect();
    let format =
        [&[1, 0, 2, 0][..], &44_100_u32.to_le_bytes(), &176_400_u32.to_le_bytes(), &[4, 0, 16, 0]];
    let length = (data.len() as u32).to_le_bytes();
    [b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0", &format.concat()[..], b"data", &length, &data].concat()
}

/// Files and their digests.
fn files() -> Vec<(cache::Digest, PathBuf)> {
    let folder = std::env::var_os("AUDIO_BENCH_DIR").map(PathBuf::from);
    let paths: Vec<PathBuf> = match folder {
        Some(folder) => {
            let folders = fs::read_dir(folder).expect("a folder").flatten();
            let files = folders.filter_map(|one| fs::read_dir(one.path()).ok()).flatten().flatten();
            files.map(|file| file.path()).collect()
        }
        None => {
            let path = std::env::temp_dir().join("engine-bench-noise.wav");
            fs::write(&path, wav()).expect("a temporary file");
            vec![path]
        }
    };
    paths.into_iter().map(|p| (cache::Digest::of(&fs::read(&p).expect("a file")), p)).collect()
}

#[divan::bench(args = [1, 2], sample_count = 5)]
fn decode_resample_log_mel(bencher: Bencher<'_, '_>, threads: usize) {
    let files = files();
    let names: Vec<String> = files.iter().map(|(digest, _)| format!("file:{digest}")).collect();
    let names: Vec<&str> = (0..110).map(|n| names[n % names.len()].as_str()).collect();
    let (clips, known) = (clips(&names), FilesByDigest(HashMap::from_iter(files)));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    let log_mel: LogMel = serde_json::from_str("{}").expect("all parameters have defaults");
    bencher.counter(ItemsCount::new(names.len())).bench(|| {
        let cx = Ctx { files: &known, ..Detached::with_seed(0) };
        pool.install(|| log_mel.run(&Inputs::new().with("clips", &clips), &cx).expect("clips"))
    });
}

#[divan::bench]
fn probe_one(bencher: Bencher<'_, '_>) {
    let wav = wav();
    bencher.bench(|| probe(&wav).expect("a recording"));
}

#[divan::bench]
fn decode_one(bencher: Bencher<'_, '_>) {
    let wav = wav();
    bencher.bench(|| decode(&wav).expect("a recording"));
}

#[divan::bench(args = [44_100, 48_000, 96_000, 16_000])]
fn resample_3s(bencher: Bencher<'_, '_>, rate: u32) {
    let signal = decode(&wav()).expect("a recording").samples;
    let plan = Resampler::new(rate, 22_050).expect("ordinary rates");
    let (mut scratch, mut out) = (plan.scratch(), vec![0.0; 66_150]);
    bencher.bench_local(|| plan.process(&signal[..3 * rate as usize / 2], &mut scratch, &mut out));
}

#[divan::bench]
fn mel_power_3s(bencher: Bencher<'_, '_>) {
    let signal = decode(&wav()).expect("a recording").samples;
    let (stft, bank) =
        (Stft::new(2_048, 512, 2_048), MelBank::new(22_050.0, 2_048, 128, 0.0, 11_025.0));
    let (mut scratch, mut power, mut mels) =
        (stft.scratch(), vec![0.0; stft.bins()], vec![0.0; 128]);
    bencher.bench_local(|| {
        for frame in 0..130 {
            stft.power(&signal[..66_150], frame, &mut scratch, &mut power);
            bank.apply(&power, &mut mels);
        }
        mels[0]
    });
}

fn images() -> cache::Artifact {
    let values =
        (0..440 * 16_640).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 16) as f32 / -820.0);
    let table = cache::Table::new()
        .with_text("clip_id", (0..440).map(|n| n.to_string()))
        .with_array("features", [128, 130], values.collect());
    cache::Artifact::table(cache::Kind::Spectrogram, table)
}

#[divan::bench(args = ["global", "per_bin", "per_clip"])]
fn normalize_440x16640(bencher: Bencher<'_, '_>, scope: &str) {
    let images = images();
    let op: Normalize =
        serde_json::from_str(&format!(r#"{{"scope": "{scope}"}}"#)).expect("a scope");
    bencher.bench(|| op.run(&Inputs::new().with("features", &images), &Detached::with_seed(0)));
}

#[divan::bench]
fn mfcc_440x16640(bencher: Bencher<'_, '_>) {
    let images = images();
    let op: Mfcc = serde_json::from_str("{}").expect("defaults");
    bencher.bench(|| op.run(&Inputs::new().with("features", &images), &Detached::with_seed(0)));
}
