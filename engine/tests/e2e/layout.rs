//! The files that a run leaves behind, and its exit code.

use crate::{
    study::{STEPS, Study},
    tones,
};
use cache::record::{RunStatus, StepStatus};
use serde_json::Value;
use std::fs;

#[test]
fn a_run_has_a_folder_of_its_own() {
    let study = tones::three();
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let report = said.stdout.strip_suffix('\n').expect("one line");
    let id = report.strip_prefix("runs/small/").and_then(|rest| rest.strip_suffix("/report.md"));
    let id = id.unwrap_or_else(|| panic!("{report}"));
    for file in ["report.md", "results.csv", "record.json"] {
        assert!(study.path(format!("runs/small/{id}/{file}")).is_file(), "{file}");
    }
    let latest = study.path("runs/small/latest");
    assert_eq!(fs::read_link(&latest).expect("a link").to_str(), Some(id));
    study.run();
    assert_ne!(
        fs::read_link(&latest).expect("a link").to_str(),
        Some(id),
        "it points to the newest"
    );
    assert_eq!(study.run_folders(), 2);
    let elsewhere = study.run_with(&["--out", "there", "--store", "kept"]);
    assert!(elsewhere.stdout.starts_with("there/small/"), "{}", elsewhere.stdout);
    assert!(study.path("kept/objects-v1").is_dir());
}

#[test]
fn the_record_says_all_of_every_step() {
    let study = tones::three();
    study.run();
    let record: Value =
        serde_json::from_str(&study.read("runs/small/latest/record.json")).expect("JSON");
    assert_eq!(record["version"], 1);
    assert_eq!(record["status"], "done");
    assert_eq!(record["pipeline"], "small");
    let steps = record["steps"].as_array().expect("steps");
    let names: Vec<_> = steps.iter().filter_map(|step| step["name"].as_str()).collect();
    assert_eq!(names, STEPS);
    for step in steps {
        for field in ["name", "op", "params", "key", "status", "reason", "outputs", "seconds"] {
            assert!(!step[field].is_null(), "{field} of {step}");
        }
        assert_eq!(step["status"], "ran");
        let outputs = step["outputs"].as_object().expect("outputs");
        assert!(!outputs.is_empty());
        assert!(
            outputs.values().all(|digest| digest.as_str().is_some_and(|text| text.len() == 64))
        );
    }
    let pca = &steps[3];
    assert_eq!((&pca["op"], &pca["params"]["components"]), (&"pca".into(), &3.into()));
    assert_eq!(
        pca["inputs"].as_object().expect("inputs").values().next(),
        Some(&"norm.features".into())
    );
    let csv = study.read("runs/small/latest/results.csv");
    assert!(
        csv.starts_with("row,step,metric,value,published,without_clusters,note,point,seed\n"),
        "{csv}"
    );
    assert!(csv.contains("\"PCA + K-Means\",\"scores\",ari,"), "{csv}");
}

#[test]
fn a_run_starts_before_it_ends() {
    let study = tones::three();
    let before = jiff::Timestamp::now().as_second();
    let said = study.run_with(&["--set", "clusters=4"]);
    let after = jiff::Timestamp::now().as_second();
    let started: jiff::Timestamp = study.record(&said).started.parse().expect("a time");
    assert!((before..=after).contains(&started.as_second()), "{before} {started} {after}");
}

#[test]
fn a_failed_step_stops_the_run() {
    let mut study = tones::three();
    study.edit("clusters: 3", "clusters: 50");
    let said = study.run();
    assert_eq!(said.code, 2, "too many clusters are bad input: {}", said.stderr);
    let record = study.record(&said);
    assert_eq!(record.status, RunStatus::Failed);
    assert_eq!(study.steps_that(&said, StepStatus::Failed), ["groups"]);
    assert_eq!(study.steps_that(&said, StepStatus::Skipped), ["scores"]);
    insta::assert_snapshot!("failed", above_steps(&study.read("runs/small/latest/report.md")));
}

/// A report up to its steps: what follows differs from machine to machine.
fn above_steps(report: &str) -> &str {
    &report[..report.find("## Steps").expect("a section of steps")]
}

#[test]
fn a_report_is_read_from_the_top() {
    let study = tones::three();
    study.run();
    insta::assert_snapshot!("report", above_steps(&study.read("runs/small/latest/report.md")));
}

#[test]
fn keep_going_does_what_does_not_depend_on_it() {
    let mut study = tones::three();
    study.edit(
        "  scores:",
        "  many: { op: kmeans, in: pca, clusters: 50 }\n  lost: { op: metrics, in: { features: pca, clusters: many } }\n  scores:",
    );
    let said = study.run_with(&["--keep-going"]);
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert!(said.stderr.contains("step `many`"), "{}", said.stderr);
    assert_eq!(study.record(&said).status, RunStatus::Partial);
    assert_eq!(study.steps_that(&said, StepStatus::Failed), ["many"]);
    assert_eq!(study.steps_that(&said, StepStatus::Skipped), ["lost"]);
    insta::assert_snapshot!("partial", above_steps(&study.read("runs/small/latest/report.md")));
    assert_eq!(study.ran_with(&["--only", "scores"]), [""; 0]);
}

#[test]
fn a_step_that_cannot_write_fails_with_code_one() {
    let study = tones::three();
    study.write("store", "a file where a folder should be");
    let said = study.run_with(&["--store", "store"]);
    assert_eq!(said.code, 2, "a file is no store: {}", said.stderr);
    assert!(said.stderr.contains("`store`"), "{}", said.stderr);
    study.write("taken", "");
    let said = study.run_with(&["--out", "taken"]);
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stderr.contains("`taken`"), "{}", said.stderr);
}

#[test]
fn nothing_is_written_by_a_bad_pipeline_a_plan_or_a_dry_run() {
    let mut study = tones::three();
    for arguments in [&["--dry-run"][..], &["--set", "data=nowhere"], &["--set", "nothing=1"]] {
        study.run_with(arguments);
        assert_eq!(study.run_folders(), 0, "{arguments:?}");
    }
    study.engine(&["plan", "study.yaml"]);
    assert_eq!(study.run_folders(), 0);
    study.edit("op: pca", "op: pcaa");
    assert_eq!(study.run().code, 2);
    assert_eq!(study.run_folders(), 0);
}

#[test]
fn an_empty_study_has_no_rows() {
    let study =
        Study::new().pipeline("name: one\nsteps: { clips: { op: synth, clips_per_class: 1 } }\n");
    assert_eq!(study.ran(), ["clips"]);
    assert!(study.read("runs/one/latest/report.md").contains("no rows"));
}
