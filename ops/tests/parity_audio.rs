//! Decoding agrees with soundfile, log-mel spectrograms with librosa.

use cache::{Artifact, Kind, Table};
use ops::{
    audio::{
        damage::OnDamage,
        decode::{Decoder, Signal, decode, probe, probe_excerpts},
        excerpt::Excerpt,
    },
    math::resample::Resampler,
};
use std::fs;

mod audio_fixtures;
use audio_fixtures::{Difference, clips, features, log_mel, log_mel_of, npy, path, run};

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
    let wavs =
        names.iter().chain(&["eight", "odd_chunks", "ima"]).map(|name| format!("{name}.wav"));
    for name in wavs.chain(["i16.aiff".to_owned(), "sound.flac".to_owned()]) {
        let (signal, expected) = decoded(&name);
        let worst = Difference::of(&signal.samples, &expected).max;
        assert!(worst == 0.0, "{name}: {worst:e}");
        let probe = probe(&read(&name)).expect(&name);
        assert_eq!(probe.frames as usize * signal.channels, expected.len(), "{name}");
        assert_eq!(
            (probe.sample_rate, usize::from(probe.channels), probe.silent),
            (signal.sample_rate, signal.channels, false),
            "{name}"
        );
    }
}

/// An excerpt holds the samples of the whole from frame ⌊start · rate⌋ to before ⌊end · rate⌋, as
/// `soundfile.read(start=…, stop=…)` gives them.
#[test]
fn an_excerpt_is_a_part_of_the_whole() {
    for name in
        ["i16.wav", "f32.wav", "eight.wav", "i16.aiff", "sound.flac", "sound.mp3", "sound.ogg"]
    {
        let bytes = read(name);
        let whole = decode(&bytes).expect(name);
        let (channels, rate) = (whole.channels, whole.sample_rate);
        let frames = whole.samples.len() / channels;
        let seconds = frames as f64 / f64::from(rate);
        let part = |start: f64, end: Option<f64>| {
            let text = |time: f64| time.to_string();
            let end = end.map(text);
            Excerpt::new(Some(&text(start)), end.as_deref()).expect("an excerpt")
        };
        let excerpts = [
            part(0.0, None),
            part(seconds / 3.0, Some(seconds / 2.0)),
            part(seconds * 0.9, Some(2.0 * seconds)),
            part(2.0 * seconds, None),
        ];
        let probes = probe_excerpts(&bytes, OnDamage::Fail, &excerpts).expect(name);
        for (excerpt, probe) in excerpts.iter().zip(&probes.excerpts) {
            let (start, end) = excerpt.frames(rate);
            let end = end.map_or(frames, |end| frames.min(end as usize));
            let expected = &whole.samples[frames.min(start as usize) * channels..end * channels];
            assert_eq!(probe.frames as usize * channels, expected.len(), "{name} {excerpt}");
            assert_eq!(probe.silent, expected.iter().all(|it| *it == 0.0), "{name} {excerpt}");
            let (mut found, mut block) = (Vec::new(), Vec::new());
            let mut decoder = Decoder::open(&bytes).expect(name);
            decoder.cut(*excerpt);
            while decoder.next(&mut block).expect(name) {
                found.extend_from_slice(&block);
            }
            assert_eq!(found, expected, "{name} {excerpt}");
            let (mut mono, mut own) = (Vec::new(), Vec::new());
            let mut decoder = Decoder::open(&bytes).expect(name);
            decoder.cut(*excerpt);
            decoder.mono(1000, &mut mono).expect(name);
            let expected = expected[..expected.len().min(1000 * channels)].to_vec();
            Signal { samples: expected, ..whole }.mono(&mut own);
            assert_eq!(mono, own, "{name} {excerpt}");
        }
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

#[test]
fn encoded_samples_are_those_of_ffmpeg_from_the_first_to_the_last() {
    // Of Microsoft's ADPCM libsndfile rounds a predictor down where its definition divides.
    for name in ["ms_adpcm.wav", "ends.m4a", "edited.m4a", "stream.aac", "begins.ogg"] {
        let (signal, expected) = decoded(name);
        let worst = Difference::of(&signal.samples, &expected).max;
        assert!(worst < 5e-5, "{name}: {worst:e}");
        let probe = probe(&read(name)).expect(name);
        assert_eq!(probe.frames as usize * signal.channels, expected.len(), "{name}");
    }
}

#[test]
fn channels_that_are_coupled_twice_are_refused() {
    let refused = decode(&read("surround.ogg")).expect_err("six channels").to_string();
    assert!(refused.contains("Vorbis of 6 channels is not read"), "{refused}");
}

/// Equal samples in: the transform is in double precision, as librosa's, and what is kept in single.
#[test]
fn log_mel_without_resampling() {
    let (image, expected) =
        (log_mel("rate22050.wav", r#"{"duration": 0.7}"#), npy("rate22050.wav.log_mel.npy").1);
    let difference = Difference::of(&image, &expected);
    assert!(difference.max < 2e-5, "{difference:?}");

    let params = r#"{"duration": 0.5, "n_fft": 1000, "hop_length": 300, "win_length": 700, "n_mels": 40,
        "fmin": 60, "fmax": 8000, "ref": 1, "top_db": null}"#;
    let (image, expected) =
        (log_mel("rate22050.wav", params), npy("rate22050.wav.other_log_mel.npy").1);
    let difference = Difference::of(&image, &expected);
    assert!(difference.max < 2e-5, "{difference:?}");
}

/// Beside a tone all else is quiet, and no `top_db` hides it.
#[test]
fn what_is_quiet_beside_a_tone_is_that_of_librosa() {
    for name in ["tone", "triad", "glide"] {
        for n_fft in [2048, 1000] {
            let params = format!(
                r#"{{"duration": {}, "n_fft": {n_fft}, "hop_length": 400, "n_mels": 40, "ref": 1, "top_db": null}}"#,
                6000.0 / 22050.0
            );
            let image = log_mel(&format!("{name}.wav"), &params);
            let expected = npy(&format!("{name}.wav.{n_fft}.npy")).1;
            let difference = Difference::of(&image, &expected);
            assert!(difference.max < 2e-5, "{name} {n_fft}: {difference:?}");
        }
    }
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
        assert!(difference.mean < 1e-4 && difference.max < 1e-2, "{name}: {difference:?}");
    }
}

/// Noise, a tone and a plucked string that start and end in the middle of a sound, sample by
/// sample: the start is where a chain of filters differs from one, at each kind of chain.
#[test]
fn samples_are_those_of_soxr_from_the_first_to_the_last() {
    for rate in [
        4_000, 8_000, 11_025, 16_000, 24_000, 32_000, 37_800, 44_100, 48_000, 88_200, 96_000,
        192_000,
    ] {
        let signal = decode(&read(&format!("abrupt{rate}.wav"))).expect("a fixture");
        let (shape, expected) = npy(&format!("abrupt{rate}.wav.22050.npy"));
        let plan = Resampler::new(rate, 22_050).expect("ordinary rates");
        for (channel, expected) in expected.chunks_exact(shape[1] as usize).enumerate() {
            let mono: Vec<f32> = signal.samples.iter().skip(channel).step_by(3).copied().collect();
            let mut out = vec![f32::NAN; plan.length(mono.len())];
            plan.process(&mono, &mut plan.scratch(), &mut out);
            let difference = Difference::of(&out, expected);
            assert!(difference.max < 5e-5, "{rate} {channel}: {difference:?}");
        }
    }
}

#[test]
fn one_failing_clip_is_named() {
    let missing = clips(&["synth:0/0/0", &format!("file:{}", "0".repeat(64))]);
    let error = run("log_mel", "{}", &[("clips", &missing)]).expect_err("no file");
    assert!(error.message.contains("clip `1`"), "{error}");
}

#[test]
fn silence_is_0_db_against_its_own_maximum() {
    let wav =
        [b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0", &22_050_u32.to_le_bytes()[..]].concat();
    let wav = [&wav[..], &44_100_u32.to_le_bytes(), b"\x02\0\x10\0data\x02\0\0\0\0\0"].concat();
    assert!(probe(&wav).expect("a recording").silent);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("silence.wav");
    fs::write(&file, wav).expect("a file");
    assert!(log_mel_of(&file, "{}").iter().all(|&x| x == 0.0));
    assert!(log_mel_of(&file, r#"{"ref": 1}"#).iter().all(|&x| (x + 100.0).abs() < 1e-4));
}

#[test]
fn the_same_bytes_at_any_number_of_threads() {
    let names: Vec<String> = (0..7).map(|index| format!("synth:1/{index}/{index}")).collect();
    let clips = clips(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let digest = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let mel = run("log_mel", "{}", &[("clips", &clips)]).expect("clips");
            let norm = run("normalize", "{}", &[("features", &mel)]).expect("images");
            let bins =
                run("normalize", r#"{"scope": "per_bin"}"#, &[("features", &mel)]).expect("images");
            let mfcc = run("mfcc", "{}", &[("features", &norm)]).expect("images");
            (mel.digest(), norm.digest(), bins.digest(), mfcc.digest())
        })
    };
    assert_eq!(digest(1), digest(3));
}

fn images(values: Vec<f32>) -> Artifact {
    let table =
        Table::new().with_text("clip_id", ["a", "b", "c"]).with_array("features", [40, 18], values);
    Artifact::table(Kind::Spectrogram, table).with_meta("unit", "dB")
}

#[test]
fn cepstra_are_those_of_librosa() {
    let images = images(npy("images.npy").1);
    for (params, expected) in [
        (r#"{"pool": "none"}"#, "images.mfcc.npy"),
        (r#"{"pool": "none", "lifter": 22}"#, "images.mfcc_lifter22.npy"),
        ("{}", "images.mfcc_mean_std.npy"),
    ] {
        let cepstra = run("mfcc", params, &[("features", &images)]).expect(params);
        let difference = Difference::of(&features(&cepstra), &npy(expected).1);
        // Coefficients go to hundreds.
        assert!(difference.max < 1e-3, "{params}: {difference:?}");
    }
}

#[test]
fn scales_are_those_of_numpy() {
    let images = images(npy("images.npy").1);
    for method in ["z_score", "min_max"] {
        for scope in ["global", "per_bin", "per_clip"] {
            let params = format!(r#"{{"method": "{method}", "scope": "{scope}"}}"#);
            let scaled = run("normalize", &params, &[("features", &images)]).expect(&params);
            assert_eq!((scaled.kind, &scaled.meta), (images.kind, &images.meta));
            let expected = npy(&format!("images.{method}.{scope}.npy")).1;
            let difference = Difference::of(&features(&scaled), &expected);
            assert!(difference.max < 1e-6, "{params}: {difference:?}");
        }
    }
}

#[test]
fn unfit_features_give_clear_errors() {
    let mut values = npy("images.npy").1;
    values[1_000] = f32::NAN;
    for op in ["normalize", "mfcc"] {
        let error = run(op, "{}", &[("features", &images(values.clone()))]).expect_err("NaN");
        assert!(error.message.contains("clip `b`"), "{error}");
    }
    let flat = images(vec![-80.0; 3 * 40 * 18]);
    let error = run("normalize", "{}", &[("features", &flat)]).expect_err("equal values");
    assert_eq!(error.message, "all values are -80");
    for params in [r#"{"scope": "per_bin"}"#, r#"{"scope": "per_clip", "method": "min_max"}"#] {
        let scaled = run("normalize", params, &[("features", &flat)]).expect(params);
        assert!(features(&scaled).iter().all(|&x| x == 0.0));
    }
}

#[test]
fn silly_parameters_are_refused() {
    for name in ["n_fft", "hop_length", "n_mels", "win_length"] {
        let parsed = ops::find("log_mel").expect("an op").parse(serde_json::json!({ name: 0 }));
        assert_eq!(parsed.err().expect(name).path, [name]);
    }
    let clips = clips(&["synth:0/0/0"]);
    for params in [
        r#"{"n_fft": 4000000000}"#,
        r#"{"n_mels": 4000000000}"#,
        r#"{"sample_rate": 0}"#,
        r#"{"duration": 1e300}"#,
        r#"{"duration": 1e-9}"#,
        r#"{"fmax": 20000}"#,
        r#"{"fmin": 11025}"#,
        r#"{"win_length": 4096}"#,
    ] {
        let error = run("log_mel", params, &[("clips", &clips)]).expect_err(params);
        assert!(error.param.is_some(), "{params}: {error}");
    }
    for params in [
        r#"{"top_db": null, "amin": 1e-300}"#,
        r#"{"amin": 1e300, "ref": 1e300}"#,
        r#"{"n_mels": 4096, "n_fft": 2}"#,
    ] {
        let image = run("log_mel", params, &[("clips", &clips)]).expect(params);
        assert!(features(&image).iter().all(|x| x.is_finite()), "{params}");
    }
}
