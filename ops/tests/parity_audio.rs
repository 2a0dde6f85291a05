//! Decoding agrees with soundfile, log-mel spectrograms with librosa.

use ops::audio::decode::{Signal, decode, probe};
use std::{fs, path::PathBuf};

mod audio_fixtures;
use audio_fixtures::{Difference, clips, log_mel, npy, path};

fn read(name: &str) -> Vec<u8> {
    fs::read(path(name)).expect("a fixture")
}

fn decoded(name: &str) -> (Signal, Vec<f32>) {
    let signal = decode(&read(name)).expect(name);
    let (shape, expected) = npy(&format!("{name}.decoded.npy"));
    assert_eq!(signal.channels as u64, shape[1], "{name}");
    assert_eq!(signal.samples.len(), expected.len(), "{name}");
    (signal, expected)
}

#[test]
fn uncompressed_samples_are_those_of_soundfile() {
    let names = ["u8", "i16", "i24", "i32", "f32", "f64", "extensible24", "extensible_f64"];
    let wavs = names.iter().chain(&["eight", "odd_chunks"]).map(|name| format!("{name}.wav"));
    for name in wavs.chain(["i16.aiff".to_owned(), "sound.flac".to_owned()]) {
        let (signal, expected) = decoded(&name);
        assert_eq!(signal.samples, expected, "{name}");
        let probe = probe(&read(&name)).expect(&name);
        assert_eq!(probe.frames as usize * signal.channels, expected.len(), "{name}");
        assert_eq!(
            (probe.sample_rate, usize::from(probe.channels), probe.silent),
            (signal.sample_rate, signal.channels, false),
            "{name}"
        );
    }
}

/// MP3 and Vorbis define samples up to rounding; the length is that of libsndfile to the sample.
#[test]
fn lossy_samples_are_those_of_soundfile_within_rounding() {
    for name in ["sound.ogg", "sound.mp3"] {
        let (signal, expected) = decoded(name);
        let worst = Difference::of(&signal.samples, &expected).max;
        assert!(worst < 2e-6, "{name}: {worst:e}");
    }
}

/// Equal samples in: single precision of the transform leaves less than 1e-4 dB, and ten times as much where no
/// `top_db` hides what is close to silence.
#[test]
fn log_mel_without_resampling() {
    let (image, expected) =
        (log_mel("rate22050.wav", r#"{"duration": 0.7}"#), npy("rate22050.wav.log_mel.npy").1);
    let difference = Difference::of(&image, &expected);
    assert!(difference.max < 1e-4, "{difference:?}");

    let params = r#"{"duration": 0.5, "n_fft": 1000, "hop_length": 300, "win_length": 700, "n_mels": 40,
        "fmin": 60, "fmax": 8000, "ref": 1, "top_db": null}"#;
    let (image, expected) =
        (log_mel("rate22050.wav", params), npy("rate22050.wav.other_log_mel.npy").1);
    let difference = Difference::of(&image, &expected);
    assert!(difference.max < 1e-3, "{difference:?}");
}

/// At 2:1 the filter is soxr's own.
#[test]
fn log_mel_with_resampling_by_two() {
    for (name, params) in
        [("stereo.wav", r#"{"ref": 1}"#), ("rate44100.wav", r#"{"duration": 0.7}"#)]
    {
        let (image, expected) = (log_mel(name, params), npy(&format!("{name}.log_mel.npy")).1);
        let difference = Difference::of(&image, &expected);
        assert!(difference.max < 1e-3, "{name}: {difference:?}");
    }
}

#[test]
fn log_mel_with_resampling_by_any_ratio() {
    for rate in [8_000, 11_025, 16_000, 32_000, 48_000, 96_000] {
        let name = format!("rate{rate}.wav");
        let (image, expected) =
            (log_mel(&name, r#"{"duration": 0.7}"#), npy(&format!("{name}.log_mel.npy")).1);
        let difference = Difference::of(&image, &expected);
        println!("{rate} {difference:?}");
        assert!(difference.mean < 0.01 && difference.max < 0.3, "{name}: {difference:?}");
    }
}

#[test]
fn one_failing_clip_is_named() {
    let missing = clips(&["file:0000000000000000000000000000000000000000000000000000000000000000"]);
    let error = audio_fixtures::run("log_mel", "{}", &[("clips", &missing)]).expect_err("no file");
    assert!(error.message.contains("clip `0`"), "{error}");
    let _: PathBuf = path("x");
}
