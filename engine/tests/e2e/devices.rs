//! Devices of models: what is shown, what is asked for and not there, and what the key holds.

use crate::study::Study;
use std::path::Path;

const MODEL: &str = "name: model
steps:
  clips: { op: synth, clips_per_class: 1 }
  mel: { op: log_mel, in: clips, n_mels: 8 }
  norm: { op: normalize, in: mel }
  ae: { op: autoencoder, in: norm, latent: 2, epochs: 1, channels: [2], device: cuda }
  more: { op: autoencoder, in: norm, latent: 3, epochs: 1, channels: [2] }
";

fn has_gpu() -> bool {
    ["/dev/nvidia0", "/dev/dxg"].iter().any(|path| Path::new(path).exists())
}

#[test]
fn what_is_found_and_what_is_missing_is_shown() {
    let said = Study::new().engine(&["devices"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    for word in ["CPU ", "GPU ", "driver ", "NVRTC ", "cuBLASLt ", "cuDNN ", "\nModels run on "] {
        assert!(said.stdout.contains(word), "no `{word}` in {}", said.stdout);
    }
    assert!(has_gpu() || said.stdout.contains("Models run on the CPU"), "{}", said.stdout);
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
fn a_gpu_that_is_not_there_is_a_mistake_at_its_place_and_auto_says_so_once() {
    if has_gpu() {
        eprintln!("SKIPPED: this machine has a GPU");
        return;
    }
    let mut study = Study::new().pipeline(MODEL);
    study.write("study.yaml", MODEL);
    let said = study.engine(&["plan", "study.yaml"]);
    assert_eq!(said.code, 2, "{}", said.stderr);
    for words in ["step `ae`: it asks for a GPU", "device: cuda }", "use `device: cpu`"] {
        assert!(said.stderr.contains(words), "no `{words}` in {}", said.stderr);
    }
    assert_eq!(study.run_folders(), 0);

    study.edit("device: cuda", "device: auto");
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(said.stderr.matches("device auto: no NVIDIA GPU").count(), 1, "{}", said.stderr);
    let said = study.run();
    assert!(!said.stderr.contains("device auto"), "{}", said.stderr);
    let said =
        study.engine(&["plan", "study.yaml", "--set", "ae.precision=f32", "--device", "cpu"]);
    assert!(said.stdout.contains("nothing to run"), "{}", said.stdout);
    let said = study.engine(&["plan", "study.yaml", "--set", "ae.precision=tf32"]);
    assert!(said.stdout.contains("`precision` f32 → tf32"), "{}", said.stdout);
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
fn a_trial_without_a_gpu_fails_and_says_why() {
    if has_gpu() {
        eprintln!("SKIPPED: this machine has a GPU");
        return;
    }
    let said = Study::new().engine(&["devices", "--trial"]);
    assert_eq!((said.code, said.stdout.as_str()), (1, ""), "{}", said.stderr);
    assert!(said.stderr.contains("error: no NVIDIA GPU was found"), "{}", said.stderr);
}
