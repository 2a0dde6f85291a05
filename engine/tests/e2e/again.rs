//! The second run: what a change touches runs again, and nothing else.

use crate::{study::STEPS, tones};
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

#[test]
fn the_second_run_executes_nothing_and_says_so() {
    let study = tones::three();
    assert_eq!(study.ran(), STEPS);
    let second = study.run();
    assert_eq!(second.code, 0);
    assert!(second.stderr.contains("nothing to run: all 6 steps were cached"), "{}", second.stderr);
    assert_eq!(study.ran(), [""; 0]);
    let plan = study.engine(&["plan", "study.yaml"]).stdout;
    assert!(plan.ends_with("nothing to run: the results of all 6 steps are there\n"), "{plan}");
}

#[test]
fn another_number_of_clusters_runs_only_what_needs_it() {
    let mut study = tones::three();
    study.ran();
    study.edit("clusters: 3", "clusters: 4");
    assert_eq!(study.ran(), ["groups", "scores"]);
    assert_eq!(study.ran_with(&["--set", "clusters=2"]), ["groups", "scores"]);
    assert_eq!(
        study.ran_with(&["--set", "clusters=3"]),
        [""; 0],
        "it was there from the first run"
    );
}

#[test]
fn another_seed_runs_only_what_is_random() {
    let mut study = tones::three();
    study.ran();
    study.edit("name: small", "name: small\nseeds: [7]");
    let ran = study.ran();
    assert!(!ran.iter().any(|step| ["clips", "mel", "norm"].contains(&step.as_str())), "{ran:?}");
    assert!(ran.contains(&"groups".to_owned()), "{ran:?}");
}

#[test]
fn names_comments_and_the_order_of_keys_run_nothing() {
    let mut study = tones::three();
    study.ran();
    study.edit("in: norm, components: 3", "components: 3, in: norm");
    study.edit("name: small", "# A comment.\nname: another");
    study.edit("pca", "latent");
    study.edit("op: latent", "op: pca");
    study.edit("n_mels: 16", "n_mels: 16, top_db: 80");
    assert_eq!(study.ran(), [""; 0]);
}

#[test]
fn a_touched_recording_runs_nothing() {
    let study = tones::three();
    study.ran();
    let wav = File::options().write(true).open(study.path("data/bell/00.wav")).expect("a file");
    wav.set_modified(SystemTime::now() + Duration::from_secs(60)).expect("another time");
    assert_eq!(study.ran(), [""; 0]);
    tones::fill(&study, 4);
    assert_eq!(study.ran(), [""; 0], "the same bytes, written anew");
}

#[test]
fn one_changed_sample_runs_the_features_onward() {
    let study = tones::three();
    study.ran();
    let mut tone = tones::tone(0, 0);
    tone[100] += 0.1;
    study.write("data/bell/00.wav", tones::wav(&tone));
    assert_eq!(study.ran(), STEPS);
    study.write("data/bell/00.wav", tones::wav(&tones::tone(0, 0)));
    assert_eq!(study.ran(), [""; 0], "its results are kept");
}

#[test]
fn a_change_that_keeps_size_and_time_is_seen() {
    let study = tones::three();
    study.ran();
    let path = study.path("data/bell/00.wav");
    let before = fs::metadata(&path).expect("a file").modified().expect("a time");
    let mut tone = tones::tone(0, 0);
    tone[100] += 0.1;
    study.write("data/bell/00.wav", tones::wav(&tone));
    File::options().write(true).open(&path).expect("a file").set_modified(before).expect("a time");
    assert_eq!(study.ran(), STEPS);
}

#[test]
fn moved_data_runs_nothing() {
    let study = tones::three();
    study.ran();
    fs::rename(study.path("data"), study.path("elsewhere")).expect("a moved folder");
    assert_eq!(study.ran_with(&["--set", "data=elsewhere"]), [""; 0]);
    let whole = study.path("elsewhere").display().to_string();
    assert_eq!(study.ran_with(&["--set", &format!("data={whole}")]), [""; 0]);
}

#[test]
fn what_is_made_again_with_the_same_bytes_runs_nothing_after_it() {
    let study = tones::three();
    study.ran();
    assert_eq!(study.ran_with(&["--force", "clips"]), ["clips"]);
    assert_eq!(study.ran_with(&["--force", "mel", "--force", "pca"]), ["mel", "pca"]);
}

#[test]
fn a_rule_that_leaves_nothing_out_runs_only_the_source() {
    let mut study = tones::three();
    study.ran();
    study.edit("path: \"${data}\"", "path: \"${data}\", on_error: skip");
    assert_eq!(study.ran(), ["clips"]);
}

#[test]
fn only_some_steps_can_be_asked_for() {
    let study = tones::three();
    assert_eq!(study.ran_with(&["--only", "norm"]), ["clips", "mel", "norm"]);
    assert_eq!(study.ran(), ["pca", "groups", "scores"]);
}
