//! Models that are fitted on some recordings and applied to others, and the warnings where rows leak.

use crate::study::Study;

const STUDY: &str = "name: held
steps:
  clips: { op: synth, clips_per_class: 6, seed: 0 }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 0.5, n_fft: 256, hop_length: 128, n_mels: 16 }
  parts: { op: split, in: { rows: mel, truth: clips.labels }, folds: 2 }
  norm: { op: normalize, in: parts.train }
  pca: { op: pca, in: norm, components: 3 }
  groups: { op: kmeans, in: pca, clusters: 3 }
  norm_test: { op: normalize, in: { features: parts.test, model: norm.model } }
  pca_test: { op: pca, in: { features: norm_test, model: pca.model } }
  groups_test: { op: kmeans, in: { features: pca_test, model: groups.model }, clusters: 3 }
  scores: { op: metrics, in: { features: pca_test, clusters: groups_test, truth: clips.labels } }
report:
  table:
    - { row: held out, scores: scores }
";

const FOLDS: &str = "name: held
steps:
  clips: { op: synth, clips_per_class: 6, seed: 0 }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 0.5, n_fft: 256, hop_length: 128, n_mels: 16 }
  parts: { op: split, for: { fold: range(4) }, in: { rows: mel, truth: clips.labels }, folds: 4, fold: \"${fold}\", seed: 0 }
  pca: { op: pca, for: { fold: range(4) }, in: \"parts@${fold}.test\", components: 3 }
  groups: { op: kmeans, for: { fold: range(4) }, in: \"pca@${fold}\", clusters: 3 }
  scores: { op: metrics, for: { fold: range(4) }, in: { features: \"pca@${fold}\", clusters: \"groups@${fold}\", truth: clips.labels } }
report:
  table:
    - { row: \"fold ${fold}\", scores: \"scores@${fold}\", for: { fold: range(4) } }
";

/// The warnings of a plan.
fn warnings(study: &Study) -> String {
    study.write("study.yaml", study.text());
    let said = study.engine(&["plan", "study.yaml"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    said.stderr
}

#[test]
fn what_is_fitted_on_one_part_is_applied_to_the_other() {
    let mut study = Study::new().pipeline(STUDY);
    assert_eq!(warnings(&study), "");
    assert_eq!(study.ran().len(), 11);
    let results = study.read("runs/held/latest/results.csv");
    assert!(results.contains("held out"), "{results}");
    assert_eq!(study.ran(), [""; 0]);

    // Parameters of the fit have no effect where its model is applied.
    study.edit("model: norm.model }", "model: norm.model }, scope: per_bin");
    let said = warnings(&study);
    assert!(said.contains("`scope` has no effect where a model is applied"), "{said}");
}

#[test]
fn a_plan_warns_of_rows_that_leak() {
    let mut study = Study::new().pipeline(STUDY);
    study.edit("rows: mel,", "rows: all,");
    study.edit("  parts:", "  all: { op: normalize, in: mel }\n  parts:");
    let said = warnings(&study);
    let expected = "step `all` learns from rows that `parts` holds out afterwards";
    assert!(said.contains(expected) && said.matches("warning").count() <= 1, "{said}");
    // A clip that is scaled by itself learns nothing from others.
    study.edit("in: mel }", "in: mel, scope: per_clip }");
    assert_eq!(warnings(&study), "");

    study.edit("norm: { op: normalize, in: parts.train }", "norm: { op: normalize, in: all }");
    let said = warnings(&study);
    let expected = "`norm_test` applies the model of `norm` to rows that `parts` holds out";
    assert!(said.contains(expected), "{said}");
    study.edit("features: parts.test,", "features: all,");
    let said = warnings(&study);
    assert!(said.contains("to the very rows that it was fitted on"), "{said}");
}

#[test]
fn a_report_of_folds_opens_with_one_paragraph_and_keeps_what_each_says() {
    let study = Study::new().pipeline(FOLDS);
    study.ran();
    let report = study.read("runs/held/latest/report.md");
    let opening = report.split("## ").next().expect("an opening");
    assert!(opening.contains("4 rows that do not compare with each other"), "{opening}");
    assert!(opening.matches("\n\n").count() <= 4, "{opening}");
    for fold in 0..4 {
        assert!(opening.contains(&format!("fold {fold}** (")), "{opening}");
    }
    assert!(opening.contains("majority-class baseline"), "{opening}");
}
