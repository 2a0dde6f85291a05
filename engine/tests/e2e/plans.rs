//! Predictions of a run: plan, explain, graph, and parts of a pipeline.

use crate::{
    study::{STEPS, Study},
    tones,
};
use cache::{CacheKey, Digest};
use serde_json::Value;

/// Standard output as JSON.
pub fn json(study: &Study, arguments: &[&str]) -> Value {
    let said = study.engine(arguments);
    assert_eq!(said.code, 0, "{arguments:?}: {}", said.stderr);
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}", said.stdout))
}

/// A listing with each entry on one line and without predictions, which differ from run to run.
pub fn unfolded(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let starts = ["hit ", "run ", "maybe ", "skip ", "nothing "];
        let head = starts.iter().any(|head| line.starts_with(head))
            || line.starts_with(|first: char| first.is_ascii_digit()) && line.contains(" steps ");
        match lines.last_mut().filter(|_| !head) {
            Some(last) => last.push_str(&format!(" {words}")),
            None => lines.push(words),
        }
    }
    let cut = |line: String| match (line.find(" (~"), line.find(" (no history")) {
        (Some(at), _) | (_, Some(at)) => format!("{} (…)\n", &line[..at]),
        _ => format!("{}\n", line.split(';').next().unwrap_or(&line)),
    };
    lines.into_iter().map(cut).collect()
}

fn planned<'v>(plan: &'v Value, step: &str) -> &'v Value {
    let steps = plan["steps"].as_array().expect("steps");
    steps.iter().find(|it| it["step"] == step).unwrap_or_else(|| panic!("{step}: {plan}"))
}

fn reason<'v>(plan: &'v Value, step: &str) -> &'v str {
    planned(plan, step)["reason"].as_str().expect("a reason")
}

#[test]
fn a_step_that_looks_at_every_pair_of_many_rows_is_announced() {
    let study = Study::new().pipeline(
        "name: small\nsteps:\n  data: { op: matrix, path: data.csv }\n  dense: { op: hdbscan, in: data }\n",
    );
    let rows = (0..20_001).map(|row| format!("c{row},{}\n", f64::from(row % 977) + 0.1));
    study.write("data.csv", format!("clip_id,u\n{}", rows.collect::<String>()));
    let said = "dense: it looks at every pair of its 20001 rows";
    let unknown = study.engine(&["plan", "study.yaml"]);
    assert!(!unknown.stderr.contains(said), "nobody knows the rows yet: {}", unknown.stderr);
    assert_eq!(study.run_with(&["--only", "data"]).code, 0);
    let planned = study.engine(&["plan", "study.yaml"]);
    assert!(planned.stderr.contains(said), "{}", planned.stderr);
    let ran = study.run();
    assert!(ran.code == 0 && ran.stderr.contains(said), "{}", ran.stderr);
    for done in [study.engine(&["plan", "study.yaml"]), study.run()] {
        assert!(!done.stderr.contains(said), "it does not run again: {}", done.stderr);
    }
}

#[test]
fn new_files_are_counted_and_followed_down() {
    let study = tones::three();
    study.run();
    tones::fill(&study, 5);
    let plan = json(&study, &["plan", "study.yaml", "--json"]);
    assert_eq!(reason(&plan, "clips"), "3 new files");
    assert_eq!(planned(&plan, "clips")["status"], "run");
    for (step, input) in [("mel", "clips.clips"), ("groups", "pca.latent")] {
        assert_eq!(planned(&plan, step)["status"], "maybe");
        let expected = format!("input `{input}` may change: `clips` has 3 new files");
        assert_eq!(reason(&plan, step), expected);
    }
    let said = study.run();
    let record = study.record(&said);
    let reason = |step: &str| record.step(step).expect("a step").reason.clone();
    assert_eq!(reason("clips"), "3 new files");
    for (step, input) in [("mel", "clips.clips"), ("groups", "pca.latent")] {
        let expected = format!("input `{input}` changed because `clips` has 3 new files");
        // A step that works row by row says how many rows it spared.
        let said = reason(step);
        assert_eq!(said.split(';').next(), Some(expected.as_str()), "{said}");
    }
}

#[test]
fn what_happened_to_one_file_is_told_by_its_name() {
    let study = tones::three();
    study.run();
    let clips = || {
        let plan = json(&study, &["plan", "study.yaml", "--json"]);
        reason(&plan, "clips").to_owned()
    };
    let mut tone = tones::tone(0, 0);
    tone[100] += 0.1;
    study.write("data/bell/00.wav", tones::wav(&tone));
    assert_eq!(clips(), "1 changed file (`bell/00.wav`)");
    tones::fill(&study, 4);
    std::fs::rename(study.path("data/bell/00.wav"), study.path("data/bell/09.wav")).expect("moved");
    assert_eq!(clips(), "1 renamed file (`bell/00.wav`)");
    std::fs::remove_file(study.path("data/bell/09.wav")).expect("removed");
    assert_eq!(clips(), "1 removed file (`bell/00.wav`)");
}

#[test]
fn a_cause_may_lie_several_steps_up() {
    let study = tones::three();
    study.run();
    let plan = json(&study, &["plan", "study.yaml", "--set", "mel.n_mels=12", "--json"]);
    assert_eq!(reason(&plan, "mel"), "`n_mels` 16 → 12");
    assert_eq!(
        reason(&plan, "scores"),
        "input `pca.latent` may change: `mel` has `n_mels` 16 → 12"
    );
    let said = study.run_with(&["--set", "mel.n_mels=12", "--set", "clusters=4"]);
    let record = study.record(&said);
    assert_eq!(
        record.step("groups").expect("a step").reason,
        "`clusters` 3 → 4, input `pca.latent` changed because `mel` has `n_mels` 16 → 12"
    );
}

#[test]
fn a_step_that_must_run_whatever_it_reads_is_not_a_maybe() {
    let study = tones::three();
    study.run();
    let set = ["--set", "mel.n_mels=12", "--set", "clusters=4", "--json"];
    let plan = json(&study, &[&["plan", "study.yaml"][..], &set].concat());
    assert_eq!(planned(&plan, "groups")["status"], "run");
    assert_eq!(reason(&plan, "groups"), "`clusters` 3 → 4");
    assert_eq!(planned(&plan, "norm")["status"], "maybe");
}

#[test]
fn costs_follow_from_history_and_size() {
    let study = tones::three();
    study.run_with(&["--dry-run"]);
    let fresh = json(&study, &["plan", "study.yaml", "--json"]);
    assert!(planned(&fresh, "mel")["predicted"]["seconds"].is_null(), "{fresh}");
    let record = study.record(&study.run());
    let took = |step: &str| record.step(step).expect("a step").seconds;
    let predicted = |plan: &Value, step: &str, what: &str| {
        planned(plan, step)["predicted"][what].as_f64().unwrap_or_else(|| panic!("{step}: {plan}"))
    };
    let same = json(&study, &["plan", "study.yaml", "--set", "clusters=4", "--json"]);
    assert_eq!(predicted(&same, "groups", "seconds"), took("groups"));
    let bytes = std::fs::metadata(study.object_of(&study.run(), "mel", "features"));
    let bytes = bytes.expect("an object").len() as f64;
    tones::fill(&study, 8);
    let twice = json(&study, &["plan", "study.yaml", "--json"]);
    // `mel` works row by row, and half of the rows were cached.
    for (step, expected) in [("clips", 2.0), ("mel", 1.0), ("norm", 2.0), ("pca", 2.0)] {
        let ratio = predicted(&twice, step, "seconds") / took(step);
        assert!((ratio - expected).abs() < 1e-6, "{step}: {ratio}");
    }
    assert!((predicted(&twice, "mel", "disk") / bytes - 2.0).abs() < 1e-3);
    assert!(predicted(&twice, "mel", "memory") > 24.0 * 16.0 * 4.0);
}

#[test]
fn a_plan_ends_with_what_all_of_it_takes() {
    let study = tones::three();
    study.run();
    let plan = study.engine(&["plan", "study.yaml", "--set", "clusters=5"]);
    let total = plan.stdout.lines().skip(STEPS.len()).collect::<Vec<_>>().join(" ");
    for part in ["1 of 6 steps to run, and perhaps 1 more; about ", " on disk", " in memory"] {
        assert!(total.contains(part), "{part}: {total}");
    }
}

#[test]
fn explain_makes_the_key_that_a_run_makes() {
    let study = tones::three();
    let record = study.record(&study.run());
    for step in STEPS {
        let explained = json(&study, &["explain", "study.yaml", step, "--json"]);
        let recorded = record.step(step).expect("a step");
        let key: Digest = serde_json::from_value(explained["key"].clone()).expect("a digest");
        assert_eq!(Some(key), recorded.key, "{step}");
        let fields: CacheKey = serde_json::from_value(explained["fields"].clone()).expect("a key");
        assert_eq!(fields.digest(), key, "{step}");
        assert_eq!(explained["status"], "hit");
        for (port, digest) in &recorded.outputs {
            assert_eq!(explained["outputs"][port]["digest"], digest.to_string(), "{step}.{port}");
        }
    }
    let changed = ["explain", "study.yaml", "groups", "--set", "clusters=5", "--json"];
    let explained = json(&study, &changed);
    assert_eq!(explained["reason"], "`clusters` 3 → 5");
    let nearest = record.step("groups").expect("a step").key.expect("a key");
    assert_eq!(explained["nearest"]["key"], nearest.to_string());
    let record = study.record(&study.run_with(&["--set", "clusters=5"]));
    let key = record.step("groups").expect("a step").key.expect("a key");
    assert_eq!(explained["key"], key.to_string());
}

#[test]
fn an_explanation_reads_well() {
    let study = tones::three();
    study.run();
    let said = study.engine(&["explain", "study.yaml", "groups", "--set", "clusters=5"]);
    // What differs from machine to machine: times, and the memory of a process.
    let kept = |line: &&str| !line.starts_with("took") && !line.starts_with("predicted");
    let text: Vec<_> = said.stdout.lines().filter(kept).collect();
    insta::assert_snapshot!("explain", text.join("\n"));
    let unknown = study.engine(&["explain", "study.yaml", "grups"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (2, ""));
    assert_eq!(unknown.stderr, "error: there is no step `grups`; did you mean `groups`?\n");
    let before = study.engine(&["explain", "study.yaml", "scores", "--set", "clusters=5"]);
    assert!(before.stdout.contains("known when all that it reads is there"), "{}", before.stdout);
    let source = study.engine(&["explain", "study.yaml", "clips"]).stdout;
    assert!(source.contains("files     12, "), "{source}");
}

#[test]
fn until_leaves_out_only_what_comes_after() {
    let mut study = tones::three();
    study.edit("  pca:", "  other: { op: normalize, in: mel, scope: none }\n  pca:");
    study.edit("scope: none", "scope: per_clip");
    assert_eq!(study.ran_with(&["--until", "norm"]), ["clips", "mel", "norm", "other"]);
    assert_eq!(study.ran_with(&["--until", "groups", "--only", "groups"]), ["pca", "groups"]);
    assert_eq!(study.ran(), ["scores"]);
    let plan = study.engine(&["plan", "study.yaml", "--until", "norm"]).stdout;
    assert!(plan.contains("skip   pca"), "{plan}");
    let wrong = study.engine(&["run", "study.yaml", "--until", "nrom"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("did you mean `norm`?"), "{}", wrong.stderr);
}

/// Instances of a `for`, and variants of a sweep.
const MANY: &str = "name: many
steps:
  clips: { op: synth, clips_per_class: 2 }
  mel: { op: log_mel, in: clips }
  pca: { op: pca, in: mel, components: 2 }
  mfcc: { op: mfcc, in: mel }
  groups: { op: kmeans, for: { x: [pca, mfcc] }, in: \"${x}\", clusters: 3 }
  scores: { op: metrics, for: { x: [pca, mfcc] }, in: { features: \"${x}\", clusters: \"groups@${x}\" } }
sweep: { grid: { pca.components: [2, 4] } }
report:
  table:
    - { row: PCA, scores: scores@pca }
    - { row: MFCC, scores: scores@mfcc }
";

#[test]
fn a_graph_shows_instances_as_one_or_each_by_itself() {
    let study = Study::new();
    study.write("many.yaml", MANY);
    let mut all = String::new();
    for arguments in [
        &["graph", "many.yaml"][..],
        &["graph", "many.yaml", "--expand"],
        &["graph", "many.yaml", "--format", "dot"],
        &["graph", "many.yaml", "--format", "dot", "--expand"],
    ] {
        let said = study.engine(arguments);
        assert_eq!(said.code, 0, "{}", said.stderr);
        all.push_str(&format!("$ engine {}\n{}\n", arguments.join(" "), said.stdout));
    }
    insta::assert_snapshot!("graph", all);
}
