//! `engine cache`: what takes room, what may go, and what is intact and reproducible.

use crate::{
    study::{STEPS, Study},
    tones,
};
use std::fs;

/// A study whose source needs no files.
const SYNTHETIC: &str = "name: synthetic
steps:
  clips: { op: synth, clips_per_class: 2 }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 0.25, n_fft: 256, n_mels: 16 }
  norm: { op: normalize, in: mel }
  pca: { op: pca, in: norm, components: 3 }
";

#[test]
fn what_takes_room_is_shown_by_op_and_by_kind() {
    let study = Study::new().pipeline(SYNTHETIC);
    study.ran();
    let said = study.engine(&["cache", "du"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    for part in ["by op", "log_mel", "by kind", "spectrogram", "matrix", "checkpoints", "in all"] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    assert!(!said.stdout.contains("no step names it"), "{}", said.stdout);
    let none = study.engine(&["cache", "du", "--store", "mistyped"]);
    assert_eq!(none.code, 2);
    assert!(none.stderr.contains("there is no store `mistyped`"), "{}", none.stderr);
    assert!(!study.path("mistyped").exists());
}

#[test]
fn the_state_is_a_handful_of_files_however_many_steps() {
    let study = Study::new().pipeline(SYNTHETIC);
    study.ran();
    let files = |folder: &str| {
        let entries = fs::read_dir(study.path(folder)).expect("a folder");
        entries.filter(|entry| entry.as_ref().is_ok_and(|it| it.path().is_file())).count()
    };
    let few = files(".engine");
    assert!(few <= 6, "{few} files");
    for clusters in 2..12 {
        study.ran_with(&["--set", &format!("pca.components={clusters}")]);
    }
    assert_eq!(files(".engine"), few);
    assert_eq!((files(".engine/leases-v1"), files(".engine/tmp-v1")), (0, 0));
}

#[test]
fn what_no_kept_run_needs_goes_and_nothing_else() {
    let mut study = Study::new().pipeline(SYNTHETIC);
    study.ran();
    let needed = study.objects();
    study.edit("components: 3", "components: 2");
    study.ran();
    let both = study.objects();
    assert!(both.len() > needed.len());
    let newest = fs::read_link(study.path("runs/synthetic/latest")).expect("a link");
    fs::remove_dir_all(study.path("runs/synthetic").join(newest)).expect("the newest run");

    let recent = study.engine(&["cache", "gc"]).stdout;
    assert!(recent.contains("removed 0 objects") && recent.contains("too recently"), "{recent}");
    let plan = study.engine(&["cache", "gc", "--older-than", "0s", "--dry-run"]).stdout;
    assert!(plan.starts_with("would remove ") && !plan.contains(" 0 objects"), "{plan}");
    assert!(study.objects() == both, "a dry run removes nothing");
    let ample = study.engine(&["cache", "gc", "--older-than", "0s", "--budget", "1GB"]).stdout;
    assert!(ample.starts_with("removed 0 objects"), "{ample}");
    let small = study.engine(&["cache", "gc", "--older-than", "0s", "--budget", "1kB"]);
    assert_eq!(small.code, 0, "{}", small.stderr);
    assert!(small.stdout.contains("that is more than 1.0 kB"), "{}", small.stdout);
    assert!(study.objects() == needed, "what the kept run needs is there");
    study.edit("components: 2", "components: 3");
    assert_eq!(study.ran(), [""; 0]);
    study.edit("components: 3", "components: 2");
    let again = study.run();
    assert!(!again.stderr.contains("missing"), "what was removed is forgotten: {}", again.stderr);
}

#[test]
fn a_folder_without_runs_empties_no_store() {
    let study = Study::new().pipeline(SYNTHETIC);
    study.ran();
    let objects = study.objects();
    let said = study.engine(&["cache", "gc", "--older-than", "0s", "--out", "elsewhere"]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("there are no runs below `elsewhere`"), "{}", said.stderr);
    assert!(study.objects() == objects);
}

#[test]
fn nothing_goes_while_another_process_uses_the_store() {
    let study = Study::new().pipeline(SYNTHETIC);
    study.ran();
    let store = cache::Store::open(&study.path(".engine")).expect("a store");
    let said = study.engine(&["cache", "gc", "--older-than", "0s"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("another process uses this store"), "{}", said.stderr);
    drop(store);
    assert_eq!(study.engine(&["cache", "gc", "--older-than", "0s"]).code, 0);
}

#[test]
fn rot_that_leaves_no_trace_is_found_by_reading_all() {
    let study = tones::three();
    let first = study.run();
    let sound = study.engine(&["cache", "verify"]);
    assert_eq!(sound.code, 0);
    assert!(sound.stdout.contains("all are what their names say"), "{}", sound.stdout);
    let path = study.object_of(&first, "norm", "features");
    let mut bytes = fs::read(&path).expect("an object");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("written");
    fs::remove_file(study.object_of(&first, "scores", "scores")).expect("removed");
    let said = study.engine(&["cache", "verify"]);
    assert_eq!(said.code, 1);
    assert!(said.stdout.contains("1 damaged, 1 missing"), "{}", said.stdout);
    assert_eq!(study.ran(), ["norm", "scores"]);
    assert_eq!(study.engine(&["cache", "verify"]).code, 0);
}

#[test]
fn computing_again_proves_the_same_bytes() {
    let study = tones::three();
    study.ran();
    let whole = study.engine(&["cache", "verify", "--recompute", "study.yaml"]);
    assert_eq!(whole.code, 0, "{}\n{}", whole.stdout, whole.stderr);
    let all = STEPS.len();
    let proved =
        format!("computed {all} of {all} steps again: {all} gave the same bytes, 0 did not");
    assert!(whole.stdout.starts_with(&proved), "{}", whole.stdout);
    let sample = study.engine(&["cache", "verify", "--recompute", "--sample", "1%", "study.yaml"]);
    assert!(sample.stdout.starts_with(&format!("computed 1 of {all} ")), "{}", sample.stdout);
}

#[test]
fn steps_that_read_files_are_computed_again_where_these_lie_still() {
    let study = tones::three();
    // Files as new as this are read each time, so the store does not note where they lie.
    std::thread::sleep(std::time::Duration::from_millis(100));
    study.ran();
    let all = STEPS.len();
    let said = study.engine(&["cache", "verify", "--recompute"]);
    assert_eq!(said.code, 0, "{}", said.stdout);
    let proved = format!("computed {all} of {all} steps again: {all} gave the same bytes");
    assert!(said.stdout.starts_with(&proved), "{}", said.stdout);

    fs::rename(study.path("data"), study.path("elsewhere")).expect("moved");
    let moved = study.engine(&["cache", "verify", "--recompute"]);
    assert_eq!(moved.code, 0, "{}", moved.stdout);
    assert!(moved.stdout.contains("not proved, 1: files that it read are not"), "{}", moved.stdout);
    assert!(moved.stdout.contains("(audio_folder"), "{}", moved.stdout);
}

#[test]
fn where_nothing_was_computed_nothing_is_proved() {
    let study = Study::new().pipeline(
        "name: only
steps:
  table: { op: matrix, path: table.csv }
",
    );
    study.write("table.csv", "a,b\n1,2\n3,4\n");
    std::thread::sleep(std::time::Duration::from_millis(100));
    study.ran();
    assert_eq!(study.engine(&["cache", "verify", "--recompute"]).code, 0);
    study.write("table.csv", "a,b\n1,2\n3,5\n");
    let said = study.engine(&["cache", "verify", "--recompute"]);
    assert_eq!(said.code, 1, "{}", said.stdout);
    assert!(said.stdout.contains("so nothing is proved"), "{}", said.stdout);
}

#[test]
fn logs_lists_of_files_and_figures_go_with_the_runs_that_need_them() {
    let mut study = tones::three();
    study.edit("report:\n", "report:\n  figures: [{ figure: scatter, of: pca }]\n");
    study.ran();
    let files = || {
        let folders = ["figures-v1", "sources-v1", "logs-v1"];
        let count = |folder: &str| {
            let entries = fs::read_dir(study.path(".engine").join(folder)).into_iter().flatten();
            entries.map(|it| it.expect("an entry").path()).collect::<Vec<_>>()
        };
        folders.map(count).map(|mut files| {
            files.sort();
            files
        })
    };
    let kept = files();
    assert_eq!((kept[0].len(), kept[1].len()), (2, 1), "{kept:?}");
    fs::remove_file(study.path("data/bell/00.wav")).expect("removed");
    study.ran();
    study.write(".engine/figures-v1/.tmpAbCdEf", "half a figure");
    let newest = fs::read_link(study.path("runs/small/latest")).expect("a link");
    fs::remove_dir_all(study.path("runs/small").join(newest)).expect("the newest run");
    let listed = study.engine(&["cache", "du"]).stdout;
    for part in ["lists of source files", "figures", "unfinished files"] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    let plan = study.engine(&["cache", "gc", "--older-than", "0s", "--dry-run"]).stdout;
    for part in ["1 list of files", "2 figures", "1 unfinished file"] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    assert_ne!(files(), kept);
    assert_eq!(study.engine(&["cache", "gc", "--older-than", "0s"]).code, 0);
    assert_eq!(files(), kept, "what the kept run needs is there, and nothing else");
}

#[test]
fn a_result_that_was_not_computed_is_found_out() {
    let study = Study::new().pipeline(SYNTHETIC);
    study.ran();
    // Somebody writes another matrix and a journal that says it is the result.
    let store = cache::Store::open(&study.path(".engine")).expect("a store");
    let mut step = store
        .history()
        .into_iter()
        .find(|step| step.cache_key.op == "pca")
        .expect("a finished step");
    let other = store.get(&step.outputs["latent"].digest).expect("an artifact");
    let forged = store.put(&other.with_meta("forged", true)).expect("kept");
    step.outputs.insert("latent".to_owned(), forged);
    store.commit(step).expect("committed");
    drop(store);
    assert_eq!(study.engine(&["cache", "verify"]).code, 0, "it is what its name says");
    let said = study.engine(&["cache", "verify", "--recompute"]);
    assert_eq!(said.code, 1, "{}", said.stdout);
    assert!(said.stdout.contains("other bytes at latent"), "{}", said.stdout);
}

#[test]
fn the_file_of_a_result_is_found_by_name_and_by_digest() {
    let study = Study::new().pipeline(SYNTHETIC);
    let first = study.run();
    let of_run = study.engine(&["cache", "path", "latest", "pca.latent"]);
    assert_eq!(of_run.code, 0, "{}", of_run.stderr);
    let path = study.object_of(&first, "pca", "latent");
    assert!(study.path(of_run.stdout.trim()) == path, "{}", of_run.stdout);
    let digest = path.file_stem().expect("a name").to_string_lossy().into_owned();
    assert_eq!(study.engine(&["cache", "path", &digest[..16]]).stdout, of_run.stdout);
    for (arguments, words) in [
        (&["cache", "path", "zz"][..], "is not the beginning of a digest"),
        (&["cache", "path", "latest", "pcaa"], "did you mean `pca`?"),
        (&["cache", "path", &"0".repeat(64)], "no object's digest begins with"),
    ] {
        let said = study.engine(arguments);
        assert_eq!(said.code, 2);
        assert!(said.stderr.contains(words), "{}", said.stderr);
    }
}
