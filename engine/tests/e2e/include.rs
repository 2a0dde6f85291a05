//! `include:`: steps of other files, what lies over them, and what is said of their faults.

use crate::{study::Study, tones};
use std::fs;

/// The steps up to the features.
const FEATURES: &str = "# What ten studies share.
vars: { data: data, bands: 8 }
steps:
  clips: { op: audio_folder, path: \"${data}\" }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 0.25, n_fft: 256, hop_length: 128, n_mels: \"${bands}\" }
  norm: { op: normalize, in: mel }
";

/// The study, which has more bands and another scope.
const STUDY: &str = "name: small
include: [shared/features.yaml]
vars: { bands: 16 }
steps:
  norm: { scope: per_bin }
  pca: { op: pca, in: norm, components: 3 }
  groups: { op: kmeans, in: pca, clusters: 3 }
  scores: { op: metrics, in: { features: pca, clusters: groups, truth: clips.labels } }
report: { table: [ { row: PCA, scores: scores } ] }
";

/// The same in one file.
const WHOLE: &str = "name: small
steps:
  clips: { op: audio_folder, path: data }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 0.25, n_fft: 256, hop_length: 128, n_mels: 16 }
  norm: { op: normalize, in: mel, scope: per_bin }
  pca: { op: pca, in: norm, components: 3 }
  groups: { op: kmeans, in: pca, clusters: 3 }
  scores: { op: metrics, in: { features: pca, clusters: groups, truth: clips.labels } }
report: { table: [ { row: PCA, scores: scores } ] }
";

fn study() -> Study {
    let study = Study::new().pipeline(STUDY);
    tones::fill(&study, 4);
    study.write("shared/features.yaml", FEATURES);
    study
}

#[test]
fn an_included_step_is_the_step_with_the_keys_that_lie_over_it() {
    let mut study = study();
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let record = study.record(&said);
    let param = |step: &str, name: &str| record.step(step).expect("a step").params[name].clone();
    assert_eq!((param("mel", "n_mels"), param("norm", "scope")), (16.into(), "per_bin".into()));
    // The same keys as those of one file.
    let results = study.read("runs/small/latest/results.csv");
    study = study.pipeline(WHOLE);
    assert_eq!(study.ran(), [""; 0]);
    assert_eq!(study.read("runs/small/latest/results.csv"), results);

    study = study.pipeline(STUDY);
    let explained = study.engine(&["explain", "study.yaml", "mel"]);
    assert!(explained.code == 0 && explained.stdout.contains("n_mels"), "{}", explained.stderr);
    let plan = study.engine(&["plan", "study.yaml", "--set", "mel.n_mels=12"]);
    assert!(plan.code == 0 && plan.stdout.contains("n_mels"), "{}{}", plan.stdout, plan.stderr);
    // A run that found everything is not asked again, until an included file changes.
    assert_eq!(study.ran(), [""; 0]);
    assert_eq!(study.ran(), [""; 0]);
    study.write("shared/features.yaml", FEATURES.replace("hop_length: 128", "hop_length: 64"));
    assert!(study.ran().contains(&"mel".to_owned()));
}

#[test]
fn files_include_others_and_each_is_read_once() {
    let study = study();
    study.write("shared/base.yaml", FEATURES);
    study.write("shared/features.yaml", "include: base.yaml\nsteps: { mel: { n_fft: 512 } }\n");
    study.write("more.yaml", "include: [shared/../shared/base.yaml]\nsteps: { map: { op: pca, in: norm, components: 2 } }\n");
    let study = study
        .pipeline(&STUDY.replace("[shared/features.yaml]", "[shared/features.yaml, more.yaml]"));
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let record = study.record(&said);
    assert!(record.step("map").is_some());
    assert_eq!(record.step("mel").expect("a step").params["n_fft"], 512);
}

#[test]
fn faults_are_told_at_their_place_in_their_file() {
    let study = study();
    let says = |include: &str, features: &str, words: &[&str]| {
        study.write("shared/features.yaml", features);
        study.write("study.yaml", STUDY.replace("[shared/features.yaml]", include));
        let said = study.engine(&["run", "study.yaml"]);
        assert_eq!(said.code, 2, "{}", said.stderr);
        assert!(!said.stderr.contains("has no `op`"), "one fault, once: {}", said.stderr);
        for word in words {
            assert!(said.stderr.contains(word), "`{word}` is not in {}", said.stderr);
        }
        said.stderr
    };
    let one = "[shared/features.yaml]";
    let place = "shared/features.yaml:5:14";
    says(one, &FEATURES.replace("log_mel", "log_mell"), &["did you mean `log_mel`?", place]);
    says(one, &FEATURES.replace("hop_length: 128", "hop_length: -1"), &["shared/features.yaml:5:"]);
    says(one, "steps: [", &["shared/features.yaml:1:"]);
    // A fault of the study that is about an included step.
    let both = says(
        one,
        &FEATURES.replace("mel:", "mell:"),
        &["there is no step `mel`", "features.yaml:6:30"],
    );
    assert!(both.contains("mell"), "{both}");
    says("[absent.yaml]", FEATURES, &["`absent.yaml`: it does not exist", "study.yaml:2:11"]);
    says("[shared]", FEATURES, &["`shared`: it is a folder"]);
    says("[3]", FEATURES, &["`include` takes paths of YAML files, not `3`"]);
    says("[\"${x}.yaml\"]", FEATURES, &["variables are not known yet"]);
    says(one, "report: {}", &["an included file has no section `report`"]);
    says(one, "include: ../study.yaml", &["`../study.yaml` includes itself", "features.yaml:1:10"]);
    study.write("other.yaml", "\nsteps:\n  mel: { op: log_mel, in: clips }\n");
    let twice = says(
        "[shared/features.yaml, other.yaml]",
        FEATURES,
        &["two included files have `mel`", "other.yaml:3:3"],
    );
    assert!(twice.contains("`shared/features.yaml`, line 5: first here"), "{twice}");
    study.write("long.yaml", "#".repeat((1 << 20) + 1));
    says("[long.yaml]", FEATURES, &["it is longer than 1 MiB"]);
    fs::create_dir_all(study.path("deep")).expect("a folder");
    for at in 0..20 {
        study.write(&format!("deep/{at}.yaml"), format!("include: [{}.yaml]\n", at + 1));
    }
    says("[deep/0.yaml]", FEATURES, &["include each other in turn"]);
}

#[test]
fn events_name_the_included_file() {
    let study = study();
    study.write("shared/features.yaml", FEATURES.replace("log_mel", "log_mell"));
    let said = study.run_with(&["--log-format", "json"]);
    assert_eq!(said.code, 2);
    let file = study.path("shared/features.yaml");
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    let line = said.stderr.lines().find(|line| line.contains("log_mell")).expect("an event");
    let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert!(event["file"].as_str().is_some_and(|file| file.ends_with(&name)), "{line}");
    assert_eq!((&event["line"], &event["column"]), (&5.into(), &14.into()), "{line}");
}
