//! More recordings, fewer, others: only new rows are computed, and the bytes are those of a full run.

use crate::{
    study::{CommandOutput, STEPS, Study},
    tones,
};
use std::fs;

/// The number of rows of the features that were there already, and the reason why the step ran.
fn reused(study: &Study, said: &CommandOutput) -> (usize, String) {
    let record = study.record(said);
    let step = record.step("mel").expect("a step");
    (step.rows_reused, step.reason.clone())
}

/// The digests of the outputs, by a study that has made nothing before.
fn undisturbed(study: &Study) -> Vec<String> {
    let fresh = study.run_with(&["--store", "fresh"]);
    assert_eq!(fresh.code, 0, "{}", fresh.stderr);
    let made = digests(study, &fresh);
    fs::remove_dir_all(study.path("fresh")).expect("the other store");
    made
}

fn digests(study: &Study, said: &CommandOutput) -> Vec<String> {
    let steps = study.record(said).steps.into_iter();
    steps.map(|step| format!("{} {:?}", step.name, step.outputs)).collect()
}

/// Runs, and compares what was made with what a full run makes.
fn run(study: &Study) -> CommandOutput {
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(digests(study, &said), undisturbed(study));
    said
}

#[test]
fn more_recordings_cost_no_more_than_they_are() {
    let study = tones::three();
    assert_eq!(reused(&study, &run(&study)).0, 0);
    tones::fill(&study, 5);
    let said = run(&study);
    let (rows, reason) = reused(&study, &said);
    assert_eq!(rows, 12);
    assert!(reason.ends_with("has 3 new files; 12 of 15 rows were cached"), "{reason}");
    assert_eq!(study.steps_that(&said, cache::record::StepStatus::Ran), STEPS);
    assert_eq!(study.ran(), [""; 0]);

    let mut tone = tones::tone(1, 2);
    tone[100] += 0.1;
    study.write("data/drone/02.wav", tones::wav(&tone));
    assert_eq!(reused(&study, &run(&study)).0, 14, "one sample changed");

    study.write("data/drone/also.wav", tones::wav(&tone));
    fs::remove_file(study.path("data/drone/02.wav")).expect("a recording");
    assert_eq!(reused(&study, &run(&study)).0, 14, "a name is part of a row");

    fs::remove_file(study.path("data/drone/also.wav")).expect("a recording");
    fs::remove_file(study.path("data/bell/00.wav")).expect("a recording");
    let (rows, reason) = reused(&study, &run(&study));
    assert_eq!(rows, 13);
    assert!(reason.ends_with("; all 13 rows were cached"), "{reason}");
}

#[test]
fn rows_are_used_again_only_where_they_are_the_same() {
    let mut study = tones::three();
    study.run();
    study.edit("n_mels: 16", "n_mels: 12");
    assert_eq!(reused(&study, &run(&study)).0, 0, "other parameters");
    tones::fill(&study, 5);
    assert_eq!(reused(&study, &study.run_with(&["--force", "mel"])).0, 0, "it was to run anew");
}

#[test]
fn unfit_recordings_are_left_out_and_looked_at_again() {
    let mut study = tones::three();
    study.edit("path: \"${data}\"", "path: \"${data}\", on_error: skip");
    study.write("data/bell/broken.wav", b"RIFF....WAVE");
    run(&study);
    tones::fill(&study, 5);
    assert_eq!(reused(&study, &run(&study)).0, 12);
    study.write("data/bell/broken.wav", tones::wav(&tones::tone(0, 7)));
    assert_eq!(reused(&study, &run(&study)).0, 15, "it is whole now");
}

#[test]
fn damaged_rows_are_not_used_again() {
    let study = tones::three();
    let first = study.run();
    let object = study.object_of(&first, "mel", "features");
    let mut bytes = fs::read(&object).expect("an object");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&object, bytes).expect("a damaged object");
    tones::fill(&study, 5);
    assert_eq!(reused(&study, &run(&study)).0, 0);
}
