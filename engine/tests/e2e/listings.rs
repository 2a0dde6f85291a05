//! The listings of the binary: ops, schema, plan, help.

use crate::{
    plans::unfolded,
    study::{STEPS, Study},
    tones,
};
use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

#[test]
fn every_op_has_a_page() {
    let study = Study::new();
    let list = study.engine(&["ops"]);
    assert_eq!(list.code, 0);
    for entry in ops::OPS {
        assert!(list.stdout.contains(entry.name), "{}", entry.name);
        let page = study.engine(&["ops", entry.name]);
        assert_eq!(page.code, 0);
        for part in ["Outputs", "Parameters", "In a pipeline"] {
            assert!(page.stdout.contains(part), "{}: {part}", entry.name);
        }
    }
    let wrong = study.engine(&["ops", "kmaens"]);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (2, ""));
    assert_eq!(wrong.stderr, "error: there is no op `kmaens`; did you mean `kmeans`?\n");
    let far = study.engine(&["ops", "zzz"]);
    assert_eq!(far.stderr, "error: there is no op `zzz`; `engine ops` lists them\n");
}

#[test]
fn lines_fit_a_narrow_terminal() {
    let study = tones::three();
    study.run();
    for arguments in [
        &["ops"][..],
        &["ops", "pca"],
        &["ops", "log_mel"],
        &["plan", "study.yaml", "--set", "clusters=5"],
        &["explain", "study.yaml", "pca"],
        &["explain", "study.yaml", "scores", "--set", "clusters=5"],
        &["runs"],
        &["show"],
        &["diff", "latest", "latest"],
        &["why", "latest", "r1.ari"],
        &["--help"],
        &["run", "--help"],
        &["why", "--help"],
        &["help", "figures"],
        &["help", "report"],
        &["help", "step"],
        &["help", "sweep"],
    ] {
        let said =
            study.command(arguments).env("COLUMNS", "60").output().expect("the binary starts");
        let said = study.text_of(&said);
        for line in said.stdout.lines() {
            // A single word that is too long, such as a path or an example, is left whole.
            let folds =
                line.trim_start().contains(' ') && !line.contains('{') && !line.contains("engine ");
            assert!(line.chars().count() <= 60 || !folds, "{arguments:?}: {line}");
        }
    }
}

#[test]
fn help_describes_commands_and_parts_of_a_pipeline() {
    let study = Study::new();
    let help = |words: &[&str]| study.engine(&[&["help"], words].concat()).stdout;
    assert_eq!(help(&[]), study.engine(&["--help"]).stdout);
    assert_eq!(help(&["cache", "gc"]), study.engine(&["cache", "gc", "--help"]).stdout);
    for (topic, keys) in [
        ("figures", &["scatter", "of (matrix, one or several)", "caption"][..]),
        ("report", &["Usage: engine report", "companions", "reference"]),
        ("step", &["retries", "gpu_memory"]),
        ("sweep", &["halving", "resource (required)", "objective"]),
    ] {
        let text = help(&[topic]);
        for key in keys {
            assert!(text.contains(key), "`{key}` is not in the help about {topic}:\n{text}");
        }
        assert!(!text.contains("engine step"), "the hidden command is shown");
    }
    let said = study.engine(&["help", "figurs"]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("did you mean `engine help figures`?"), "{}", said.stderr);
}

#[test]
fn the_schema_is_json() {
    let schema = Study::new().engine(&["schema"]);
    let json: serde_json::Value = serde_json::from_str(&schema.stdout).expect("JSON");
    assert!(json["definitions"]["op.pca"].is_object());
}

#[test]
fn a_plan_says_what_would_run_and_why() {
    let study = tones::three();
    study.run();
    let plan = study.engine(&["plan", "study.yaml", "--set", "clusters=5"]);
    assert_eq!(plan.code, 0, "{}", plan.stderr);
    insta::assert_snapshot!("plan", unfolded(&plan.stdout));
    assert_eq!(study.run_with(&["--dry-run", "--set", "clusters=5"]).stdout, plan.stdout);
    let fresh = tones::three();
    fresh.run_with(&["--dry-run"]);
    let plan = fresh.engine(&["plan", "study.yaml"]).stdout;
    let plan = unfolded(&plan);
    let lines: Vec<_> = plan.lines().collect();
    assert_eq!(lines.len(), STEPS.len() + 1, "{plan}");
    for (line, step) in lines.iter().zip(STEPS) {
        assert!(line.starts_with("run ") && line.contains(step), "{line}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let study = Study::new();
    for arguments in [&["ops"][..], &["schema"], &["ops", "pca"]] {
        let mut command = study.command(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let mut stdout = BufReader::with_capacity(16, child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("a line");
        drop(stdout);
        let output = child.wait_with_output().expect("an end");
        let said = study.text_of(&output);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{arguments:?}");
    }
}
