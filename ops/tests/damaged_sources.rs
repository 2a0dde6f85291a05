//! Sources with recordings that are damaged or of impossible rates, and what steps warn of.

use cache::{Artifact, Digest, FileEntry, Table};
use ops::{Ctx, Detached, Inputs, OpError, Outputs, Warnings, find};
use serde_json::{Value, json};
use std::{fs, path::Path, sync::Mutex};

/// Records the warnings.
#[derive(Default)]
struct RecordedWarnings(Mutex<Vec<String>>);

impl Warnings for RecordedWarnings {
    fn warn(&self, message: &str) {
        self.0.lock().expect("one thread").push(message.to_owned());
    }
}

/// Half a second of 16 bits.
fn wav(rate: u32) -> Vec<u8> {
    let samples: Vec<u8> = (0..rate.max(100) / 2)
        .flat_map(|at| ((at * 7_919 % 20_000) as i16).to_le_bytes())
        .collect();
    let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    bytes.extend([rate, 2 * rate].map(u32::to_le_bytes).concat());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend((samples.len() as u32).to_le_bytes());
    bytes.extend(samples);
    bytes
}

fn entries(root: &Path, files: &[(&str, Vec<u8>)]) -> Vec<FileEntry> {
    let entry = |(name, bytes): &(&str, Vec<u8>)| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, bytes).expect("a file");
        let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
        FileEntry { name: (*name).to_owned(), path, digest, size }
    };
    files.iter().map(entry).collect()
}

fn run(
    params: Value,
    files: &[FileEntry],
    warnings: &RecordedWarnings,
) -> Result<Outputs, OpError> {
    let op = find("audio_folder").expect("an op").parse(params).map_err(|error| error.message);
    let cx = Ctx { warnings, ..Detached::with_seed(0) };
    op.expect("parameters").run(&Inputs::new().with_files(files), &cx)
}

fn clips(outputs: &Outputs) -> &Table {
    outputs.get("clips").and_then(Artifact::as_table).expect("a table")
}

#[test]
fn damage_fails_or_is_kept_and_told() {
    let root = tempfile::tempdir().expect("a folder");
    let whole = wav(8_000);
    let files = [
        ("a/cut.wav", whole[..4_044].to_vec()),
        ("a/whole.wav", whole.clone()),
        ("b/c.wav", wav(8_000)),
    ];
    let files = entries(root.path(), &files);
    let warnings = RecordedWarnings::default();
    let error = run(json!({ "path": "data" }), &files, &warnings).expect_err("damage");
    assert!(error.message.contains("`a/cut.wav`: the file is cut short"), "{error}");
    assert!(error.message.contains("0.250 of 0.500 s can be decoded"), "{error}");
    assert!(error.help.is_some_and(|help| help.contains("on_damage: keep")));
    let kept =
        run(json!({ "path": "data", "on_damage": "keep" }), &files, &warnings).expect("clips");
    assert_eq!(clips(&kept).ints("frames").expect("frames"), [2_000, 4_000, 4_000]);
    let warnings = warnings.0.into_inner().expect("one thread");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].starts_with("`a/cut.wav` is kept although it is damaged: "),
        "{warnings:?}"
    );
}

#[test]
fn rates_that_no_step_can_convert_are_found_all_at_once() {
    let root = tempfile::tempdir().expect("a folder");
    let files = [1, 300, 999, 1_000, 8_000].map(|rate| (format!("a/{rate}.wav"), wav(rate)));
    let files: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let files = entries(root.path(), &files);
    let error =
        run(json!({ "path": "data" }), &files, &RecordedWarnings::default()).expect_err("rates");
    assert!(error.message.starts_with("3 of 5 recordings cannot be used"), "{error}");
    for rate in [1, 300, 999] {
        let text =
            format!("`a/{rate}.wav`: has a sample rate of {rate} Hz, outside 1000 to 1000000 Hz");
        assert!(error.message.contains(&text), "{error}");
    }
}

/// Counts of empty filters are librosa's.
#[test]
fn parameters_of_spectrograms_are_warned_of() {
    let warnings = |params: Value| {
        let op = find("log_mel").expect("an op").parse(params).map_err(|error| error.message);
        let warnings = op.expect("parameters").warnings(&[None]);
        warnings.into_iter().map(|warning| (warning.param, warning.message)).collect::<Vec<_>>()
    };
    assert_eq!(warnings(json!({})), []);
    let empty = warnings(json!({ "n_mels": 200, "n_fft": 256 }));
    assert_eq!(empty[0].0, Some("n_mels"));
    assert!(empty[0].1.starts_with("57 of 200 mel bands are empty"), "{empty:?}");
    let long = warnings(json!({ "duration": 0.05 }));
    let text = "a frame of 2048 samples is longer than a clip of 1103";
    assert_eq!(long, [(Some("n_fft"), text.to_owned())]);
}

#[test]
fn clips_below_the_rate_or_shorter_than_a_frame_or_all_too_quiet_are_warned_of() {
    let table = Table::new()
        .with_text("clip_id", ["x", "y"])
        .with_text("audio", ["synth:0/0/0", "synth:0/1/0"])
        .with_ints("frames", vec![132_300, 500])
        .with_ints("sample_rate", vec![44_100, 8_000])
        .with_ints("channels", vec![2, 2]);
    let clips = Artifact::table(cache::Kind::Clips, table);
    let warnings = RecordedWarnings::default();
    let cx = Ctx { warnings: &warnings, ..Detached::with_seed(0) };
    let op = find("log_mel").expect("an op").parse(json!({ "amin": 1e9 }));
    let op = op.map_err(|error| error.message).expect("parameters");
    op.run(&Inputs::new().with("clips", &clips), &cx).expect("images");
    let warnings = warnings.0.into_inner().expect("one thread");
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(
        warnings[0]
            .starts_with("1 of 2 clips (the first is `y`) have a sample rate below 22050 Hz")
    );
    assert!(warnings[1].starts_with("1 of 2 clips (the first is `y`) are shorter than a frame"));
    assert!(
        warnings[2]
            .starts_with("the images of 2 of 2 clips (the first is `x`) hold a single value")
    );
}
