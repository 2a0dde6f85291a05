//! Excerpts that are read together are those that are read one by one.

#[expect(dead_code, reason = "the tests of decoding use more of it")]
mod audio_fixtures;

use audio_fixtures::{clips, features, path};
use cache::Digest;
use ops::{Ctx, Detached, Inputs, Locate};
use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

/// A file that counts how often it is asked for, once for each time that it is opened.
struct Counted(Digest, PathBuf, AtomicUsize);

impl Locate for Counted {
    fn path_of(&self, content: &Digest) -> Option<PathBuf> {
        self.2.fetch_add(1, Ordering::Relaxed);
        (*content == self.0).then(|| self.1.clone())
    }
}

/// Images of these parts of a file, and how often it opened the file.
fn made(file: PathBuf, parts: &[String]) -> (Vec<f32>, usize) {
    let digest = Digest::of(&fs::read(&file).expect("a fixture"));
    let files = Counted(digest, file, AtomicUsize::new(0));
    let cx = Ctx { files: &files, ..Detached::with_seed(0) };
    let audio: Vec<_> = parts.iter().map(|part| format!("file:{digest}{part}")).collect();
    let clips = clips(&audio.iter().map(String::as_str).collect::<Vec<_>>());
    let params = serde_json::json!({ "duration": 0.1 });
    let op = ops::find("log_mel").expect("an op").parse(params).expect("parameters");
    let inputs = Inputs::new().with("clips", &clips);
    let outputs = op.run(&inputs, &cx).expect("a recording").into_vec().remove(0).1;
    (features(&outputs), files.2.load(Ordering::Relaxed))
}

/// Windows that overlap, in no order, some beyond the end; many more than are worked on at a time.
fn windows() -> Vec<String> {
    let window = |at: u32| {
        let start = f64::from(at * 37 % 60) * 0.005;
        format!("#t={start:.3},{:.3}", start + 0.04 + f64::from(at % 3) * 0.03)
    };
    (0..60).map(window).collect()
}

#[test]
fn parts_of_a_recording_are_the_same_together_and_alone() {
    let parts = windows();
    for name in ["sound.flac", "sound.mp3", "sound.ogg", "i16.aiff", "stereo.wav", "eight.wav"] {
        let (together, opened) = made(path(name), &parts);
        assert_eq!(opened, 1, "{name}");
        let alone = parts.iter().flat_map(|part| {
            let (image, opened) = made(path(name), std::slice::from_ref(part));
            assert_eq!(opened, 1);
            image
        });
        assert!(together.iter().zip(alone).all(|(a, b)| a.to_bits() == b.to_bits()), "{name}");
    }
}

/// Excerpts with a change are read together as well.
#[test]
fn changed_parts_are_the_same_together_and_alone() {
    let file = path("sound.flac");
    let digest = Digest::of(&fs::read(&file).expect("a fixture"));
    let files = Counted(digest, file, AtomicUsize::new(0));
    let cx = Ctx { files: &files, ..Detached::with_seed(0) };
    let audio =
        windows().into_iter().take(6).map(|part| format!("mp3:64/pitch:0.25/file:{digest}{part}"));
    let audio: Vec<_> = audio.collect();
    let op = ops::find("log_mel").expect("an op");
    let op = op.parse(serde_json::json!({ "duration": 0.1 })).expect("parameters");
    let image = |audio: &[&str]| {
        let clips = clips(audio);
        let outputs = op.run(&Inputs::new().with("clips", &clips), &cx).expect("a recording");
        features(&outputs.into_vec().remove(0).1)
    };
    let together = image(&audio.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(files.2.load(Ordering::Relaxed), 1);
    let alone: Vec<f32> = audio.iter().flat_map(|audio| image(&[audio])).collect();
    assert_eq!(together, alone);
}

/// A decoder skips the same for all parts.
#[test]
fn parts_of_a_damaged_recording_are_the_same_together_and_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["sound.flac", "sound.mp3"] {
        let mut bytes = fs::read(path(name)).expect("a fixture");
        let middle = bytes.len() / 2;
        bytes[middle..middle + 300].fill(0x55);
        let file = folder.path().join(name);
        fs::write(&file, bytes).expect("a file");
        let parts = &windows()[..20];
        let together = made(file.clone(), parts).0;
        let alone = parts.iter().flat_map(|part| made(file.clone(), std::slice::from_ref(part)).0);
        assert!(together.iter().zip(alone).all(|(a, b)| a.to_bits() == b.to_bits()), "{name}");
    }
}

#[test]
fn the_first_part_that_cannot_be_read_is_named() {
    let digest = Digest::of(b"nothing");
    let audio: Vec<_> = (0..9).map(|at| format!("file:{digest}#t={at},{}", at + 1)).collect();
    let clips = clips(&audio.iter().map(String::as_str).collect::<Vec<_>>());
    let op = ops::find("log_mel").expect("an op").parse(serde_json::json!({})).expect("defaults");
    let error = op.run(&Inputs::new().with("clips", &clips), &Detached::with_seed(0));
    let error = error.expect_err("no file");
    assert!(error.message.contains("clip `0`"), "{error}");
}
