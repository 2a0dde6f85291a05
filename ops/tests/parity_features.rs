//! Chroma, constant-Q spectra, deltas, PCEN and changes of pitch and speed agree with librosa; MP3 is compared
//! with LAME.

use cache::{Artifact, Column, Digest, Kind, Table};
use ops::{
    Ctx, Detached, Inputs,
    audio::{decode::decode, recordings::Recordings},
};
use serde_json::{Value, json};
use std::{collections::HashMap, fs};

mod audio_fixtures;
use audio_fixtures::{Difference, FilesByDigest, clips, features, log_mel, npy, path, run};

/// Runs an op with these parameters on one recording.
fn made(op: &str, name: &str, params: Value) -> Vec<f32> {
    let path = path(name);
    let digest = Digest::of(&fs::read(&path).expect("a file"));
    let known = FilesByDigest(HashMap::from([(digest, path)]));
    let cx = Ctx { files: &known, ..Detached::with_seed(0) };
    let op = ops::find(op).expect("an op").parse(params).expect("parameters");
    let clips = clips(&[&format!("file:{digest}")]);
    let outputs = op.run(&Inputs::new().with("clips", &clips), &cx).expect("a recording");
    features(&outputs.into_vec().remove(0).1)
}

/// Checks that values are those expected, within a share of the largest one.
fn near(what: &str, values: &[f32], expected: &str, share: f64) {
    let expected = npy(expected).1;
    let top = expected.iter().fold(0.0_f32, |top, x| top.max(x.abs()));
    let difference = Difference::of(values, &expected);
    assert!(
        difference.max <= share * f64::from(top),
        "{what}: {difference:?} of values up to {top}"
    );
}

const CASES: [(&str, u32, f64); 5] = [
    ("chord.wav", 22_050, 0.8),
    ("stereo.wav", 22_050, 1.1),
    ("brief.wav", 22_050, 0.3),
    ("silence.wav", 22_050, 0.3),
    ("rate8000.wav", 16_000, 0.61),
];

#[test]
fn chroma_are_those_of_librosa() {
    for (name, rate, duration) in CASES {
        let params = json!({ "sample_rate": rate, "duration": duration });
        near(name, &made("chroma", name, params), &format!("{name}.chroma.npy"), 1e-4);
    }
    let params = json!({
        "duration": 0.8, "n_fft": 1001, "hop_length": 300, "win_length": 700, "n_chroma": 24, "tuning": 0.25,
        "norm": 1, "ctroct": 4, "octwidth": null, "base_c": false
    });
    near("other", &made("chroma", "chord.wav", params), "chord.wav.other_chroma.npy", 1e-4);
    let params = json!({ "duration": 0.8, "norm": null, "tuning": 0 });
    near("raw", &made("chroma", "chord.wav", params), "chord.wav.raw_chroma.npy", 1e-4);
}

#[test]
fn chroma_of_constant_q_spectra_are_those_of_librosa() {
    for (name, rate, duration) in CASES {
        let octaves = if rate == 22_050 { 7 } else { 6 };
        let params = json!({ "sample_rate": rate, "duration": duration, "n_octaves": octaves });
        near(name, &made("chroma_cqt", name, params), &format!("{name}.chroma_cqt.npy"), 1e-4);
    }
    let params = json!({
        "duration": 0.8, "hop_length": 256, "fmin": 110, "norm": 2, "threshold": 0.05, "tuning": 0.3,
        "n_chroma": 24, "n_octaves": 5, "bins_per_octave": 48
    });
    let expected = "chord.wav.other_chroma_cqt.npy";
    near("other", &made("chroma_cqt", "chord.wav", params), expected, 1e-4);
    let params = json!({ "duration": 0.8, "norm": null, "bins_per_octave": 12 });
    let expected = "chord.wav.raw_chroma_cqt.npy";
    near("raw", &made("chroma_cqt", "chord.wav", params), expected, 1e-4);
}

#[test]
fn classes_need_as_many_bands_each_and_octaves_below_half_the_rate() {
    let check = |params| {
        let op = ops::find("chroma_cqt").expect("an op").parse(params).expect("parameters");
        op.check(&[None]).expect_err("refused").param
    };
    assert_eq!(check(json!({ "bins_per_octave": 40 })), Some("bins_per_octave"));
    assert_eq!(check(json!({ "n_octaves": 9 })), Some("n_octaves"));
    assert_eq!(check(json!({ "n_octaves": 17 })), Some("n_octaves"));
    assert_eq!(check(json!({ "fmin": 0.01 })), Some("fmin"));
}

#[test]
fn constant_q_spectra_are_those_of_librosa() {
    for (name, rate, duration) in CASES {
        let bins = if rate == 22_050 { 84 } else { 72 };
        let params = json!({ "sample_rate": rate, "duration": duration, "n_bins": bins });
        near(name, &made("cqt", name, params), &format!("{name}.cqt.npy"), 1e-4);
    }
    let params = json!({
        "duration": 0.8, "hop_length": 96, "fmin": 110, "n_bins": 100, "bins_per_octave": 36, "tuning": null,
        "filter_scale": 0.7, "norm": 2, "sparsity": 0, "scale": false
    });
    near("36", &made("cqt", "chord.wav", params), "chord.wav.cqt36.npy", 1e-4);
    let params = json!({ "duration": 17001.0 / 22050.0, "n_bins": 30, "norm": "inf" });
    near("low", &made("cqt", "chord.wav", params), "chord.wav.low_cqt.npy", 1e-4);
    let params = json!({ "duration": 0.8, "unit": "dB" });
    near("dB", &made("cqt", "chord.wav", params), "chord.wav.cqt_db.npy", 1e-3);
}

/// A tone in the middle of a band is loudest there, by as much at each octave, and a tone twice as loud
/// is twice as much.
#[test]
fn the_band_of_a_tone_is_the_one_of_its_frequency() {
    let folder = tempfile::tempdir().expect("a folder");
    let tone = |hz: f64, gain: f64| {
        let samples = (0..22_050).map(|n| {
            let angle = std::f64::consts::TAU * hz * f64::from(n) / 22_050.0;
            (gain * 32_767.0 * angle.sin()).round() as i16
        });
        let data: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
        let header = [
            &b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0"[..],
            &22_050_u32.to_le_bytes(),
            &44_100_u32.to_le_bytes(),
            b"\x02\0\x10\0data",
            &(data.len() as u32).to_le_bytes(),
        ];
        let file = folder.path().join("tone.wav");
        fs::write(&file, [&header.concat()[..], &data].concat()).expect("a file");
        let image = made("cqt", file.to_str().expect("text"), json!({ "duration": 1.0 }));
        let frames = image.len() / 84;
        (0..84).map(|band| image[band * frames + frames / 2]).collect::<Vec<_>>()
    };
    let loudest = |bands: &[f32]| {
        let top = (0..84).max_by(|a, b| bands[*a].total_cmp(&bands[*b])).expect("bands");
        (top, bands[top])
    };
    for band in [24, 36, 55, 70] {
        let hz = 440.0 * 2.0_f64.powf((f64::from(band) - 45.0) / 12.0);
        let (one, two) = (tone(hz, 0.2), tone(hz, 0.4));
        assert_eq!(loudest(&one).0, band as usize);
        assert!((loudest(&two).1 / loudest(&one).1 - 2.0).abs() < 1e-2);
    }
}

/// Three images that librosa was given, with these values of the metadata.
fn images() -> Artifact {
    let table = Table::new().with_text("clip_id", ["a", "b", "c"]).with_array(
        "features",
        [40, 18],
        npy("images.npy").1,
    );
    Artifact::table(Kind::Spectrogram, table).with_meta("unit", "dB")
}

#[test]
fn deltas_are_those_of_librosa() {
    let images = images();
    for (params, expected) in [
        ("{}", "deltas"),
        (r#"{"order": 2}"#, "deltas2"),
        (r#"{"width": 5, "mode": "nearest"}"#, "deltas5"),
        (r#"{"width": 25, "order": 3, "mode": "mirror"}"#, "deltas_mirror"),
        (r#"{"width": 3, "mode": "wrap"}"#, "deltas_wrap"),
        (r#"{"mode": "constant"}"#, "deltas_constant"),
    ] {
        let made = run("deltas", params, &[("features", &images)]).expect(params);
        near(params, &features(&made), &format!("images.{expected}.npy"), 1e-5);
    }
    let stacked = run("deltas", r#"{"order": 2, "stack": true}"#, &[("features", &images)]);
    let stacked = features(&stacked.expect("images"));
    let parts = ["images.npy", "images.deltas.npy", "images.deltas2.npy"].map(|name| npy(name).1);
    for clip in 0..3 {
        for (place, part) in parts.iter().enumerate() {
            let own = &stacked[(clip * 3 + place) * 720..][..720];
            assert!(Difference::of(own, &part[clip * 720..][..720]).max < 1e-4, "{clip} {place}");
        }
    }
    let error = run("deltas", r#"{"width": 19}"#, &[("features", &images)]).expect_err("18 frames");
    assert_eq!(error.param, Some("width"), "{error}");
}

#[test]
fn pcen_is_that_of_librosa() {
    let images = images();
    for (params, expected) in [
        ("{}", "pcen"),
        (r#"{"scale": 2147483648}"#, "pcen_scaled"),
        (r#"{"power": 0}"#, "pcen_log"),
        (r#"{"bias": 0}"#, "pcen_no_bias"),
        (
            r#"{"scale": 1000, "gain": 0.8, "bias": 10, "power": 0.25, "time_constant": 0.06, "eps": 1e-3,
                "max_size": 4}"#,
            "pcen_other",
        ),
        (r#"{"b": 0.3}"#, "pcen_b"),
        (r#"{"sample_rate": 44100, "hop_length": 256, "zi": 0.01}"#, "pcen_zi"),
    ] {
        let made = run("pcen", params, &[("features", &images)]).expect(params);
        near(params, &features(&made), &format!("images.{expected}.npy"), 1e-5);
    }
    // What the spectrograms say of themselves, and what they are not.
    let told = images.clone().with_meta("sample_rate", 44_100).with_meta("hop_length", 256);
    let made = run("pcen", r#"{"zi": 0.01}"#, &[("features", &told)]).expect("images");
    near("metadata", &features(&made), "images.pcen_zi.npy", 1e-5);
    let cepstra = images.with_meta("unit", "cepstrum");
    let error = run("pcen", "{}", &[("features", &cepstra)]).expect_err("cepstra");
    assert!(error.message.contains("`cepstrum`"), "{error}");
}

/// The samples that a later step reads of a recording with this change.
fn changed(op: &str, name: &str, params: Value) -> (Artifact, Vec<f32>) {
    let path = path(name);
    let digest = Digest::of(&fs::read(&path).expect("a file"));
    let known = FilesByDigest(HashMap::from([(digest, path)]));
    let of_one = clips(&[&format!("file:{digest}")]);
    let made = run(op, &params.to_string(), &[("clips", &of_one)]).expect("clips");
    let audio = made.as_table().expect("columns").text("audio").expect("a column")[0].clone();
    let recordings = Recordings::new(&known, &Detached);
    let mut mono = Vec::new();
    let read = recordings.decode("0", &audio, &mut Vec::new(), |it| it.mono(usize::MAX, &mut mono));
    read.expect("a recording");
    (made, mono)
}

#[test]
fn another_pitch_and_another_speed_are_those_of_librosa() {
    for (name, steps, rate) in [
        ("stereo.wav", -3.0, 1.3),
        ("brief.wav", 12.0, 0.7),
        ("silence.wav", 2.0, 1.3),
        ("rate8000.wav", 4.5, 1.3),
    ] {
        let pitch = changed("pitch_shift", name, json!({ "n_steps": steps })).1;
        let difference = Difference::of(&pitch, &npy(&format!("{name}.pitch.npy")).1);
        assert!(difference.max < 1e-4, "{name} pitch: {difference:?}");
        let speed = changed("time_stretch", name, json!({ "rate": rate })).1;
        let difference = Difference::of(&speed, &npy(&format!("{name}.speed.npy")).1);
        assert!(difference.max < 1e-5, "{name} speed: {difference:?}");
    }
}

/// Quarter tones are half as far as semitones, and a change of a change is both.
#[test]
fn changes_are_told_by_what_they_do() {
    let one = changed("pitch_shift", "rate8000.wav", json!({ "n_steps": 2 }));
    let other =
        changed("pitch_shift", "rate8000.wav", json!({ "n_steps": 4, "bins_per_octave": 24 }));
    assert_eq!(one, other);
    let slower = run("time_stretch", r#"{"rate": 0.8}"#, &[("clips", &one.0)]).expect("clips");
    let audio = &slower.as_table().expect("columns").text("audio").expect("a column")[0];
    assert!(audio.starts_with("speed:0.8/pitch:0.16666666666666666/file:"), "{audio}");
    for (op, params) in [
        ("pitch_shift", r#"{"n_steps": 49}"#),
        ("pitch_shift", r#"{"n_steps": -7, "bins_per_octave": 1}"#),
        ("time_stretch", r#"{"rate": 0}"#),
        ("mp3_compression", r#"{"bit_rate": 100}"#),
    ] {
        assert!(run(op, params, &[("clips", &one.0)]).expect_err(params).param.is_some());
    }
}

/// The decibels by which a recording is above its difference from another.
fn signal_to_noise(sound: &[f32], other: &[f32]) -> f64 {
    assert_eq!(sound.len(), other.len());
    let power = |all: &mut dyn Iterator<Item = f32>| all.map(|x| f64::from(x).powi(2)).sum::<f64>();
    let noise = power(&mut sound.iter().zip(other).map(|(a, b)| a - b));
    10.0 * (power(&mut sound.iter().copied()) / noise).log10()
}

/// The signal decoded from our MP3 is at least as near to the recording as that from LAME, sample by
/// sample and in log-mel spectrograms, and the ratios are those that the op states.
#[test]
fn mp3_is_as_near_to_the_recording_as_that_of_lame() {
    for (rate, bit_rate, stated, of_lame) in
        [(44_100, 64, 22.9, 20.5), (44_100, 128, 31.5, 24.3), (16_000, 48, 29.0, 23.3)]
    {
        let name = format!("music{rate}.wav");
        let mono = |name: &str| {
            let signal = decode(&fs::read(path(name)).expect("a file")).expect("a recording");
            assert_eq!((signal.sample_rate, signal.channels), (rate, 1));
            signal.samples
        };
        let sound = mono(&name);
        let (clips, ours) = changed("mp3_compression", &name, json!({ "bit_rate": bit_rate }));
        let lame = format!("music{rate}.{bit_rate}.mp3");
        let ratios = [&ours, &mono(&lame)].map(|other| signal_to_noise(&sound, other));
        for (ratio, stated) in ratios.into_iter().zip([stated, of_lame]) {
            assert!((ratio - stated).abs() < 0.06, "{name} at {bit_rate}: {ratios:?}");
        }
        let params = json!({ "sample_rate": rate, "duration": 1.2 });
        let image = log_mel(&name, &params.to_string());
        let far = |other: &[f32]| Difference::of(other, &image).mean;
        let own = far(&changed_image(&name, &clips, &params));
        let lames = far(&log_mel(&lame, &params.to_string()));
        assert!(own < 0.05 + lames, "{name} at {bit_rate}: {own} and {lames} dB");
    }
}

/// The log-mel spectrogram of changed clips of one recording.
fn changed_image(name: &str, clips: &Artifact, params: &Value) -> Vec<f32> {
    let digest = Digest::of(&fs::read(path(name)).expect("a file"));
    let known = FilesByDigest(HashMap::from([(digest, path(name))]));
    let cx = Ctx { files: &known, ..Detached::with_seed(0) };
    let op = ops::find("log_mel").expect("an op").parse(params.clone()).expect("parameters");
    let outputs = op.run(&Inputs::new().with("clips", clips), &cx).expect("a recording");
    features(&outputs.into_vec().remove(0).1)
}

/// A recording at a rate or with a bit rate that MP3 does not have is named before it is read.
#[test]
fn mp3_has_few_sample_rates() {
    let of = |rate: i64| {
        let table = Table::new().with_text("clip_id", ["drum"]).with_text("audio", ["synth:0/1/2"]);
        Artifact::table(Kind::Clips, table.with("sample_rate", Column::Int(vec![rate])))
    };
    for (rate, bit_rate, reason) in [
        (96_000, 64, "clip `drum`: MP3 has no sample rate of 96000 Hz"),
        (44_100, 8, "clip `drum`: MP3 has no bit rate of 8 kbit/s at 44100 Hz"),
    ] {
        let params = json!({ "bit_rate": bit_rate }).to_string();
        let error = run("mp3_compression", &params, &[("clips", &of(rate))]).expect_err(reason);
        assert!(error.message.starts_with(reason) && error.help.is_some(), "{error}");
    }
    assert!(run("mp3_compression", r#"{"bit_rate": 64}"#, &[("clips", &of(8_000))]).is_ok());
}
