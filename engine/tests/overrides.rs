//! `--set`: what it changes, and what it says when it cannot.

use engine::{model::Pipeline, spec::load_with, ui::diagnostic::Diagnostics};
use std::path::Path;

const TEXT: &str = "vars: { data: here, k: 3 }
steps:
  clips: { op: audio_folder, path: \"${data}\" }
  mel: { op: log_mel, in: clips }
  groups: { op: kmeans, for: { x: [mel] }, in: \"${x}\", clusters: \"${k}\" }
";

fn load(sets: &[&str]) -> Result<Pipeline, Diagnostics> {
    let overrides: Vec<_> = sets.iter().map(|set| set.parse().expect("NAME=VALUE")).collect();
    load_with(Path::new("a.yaml"), TEXT.to_owned(), &overrides, ops::OPS, |_| None)
        .map(|(pipeline, _)| pipeline)
}

fn param(sets: &[&str], step: &str, name: &str) -> String {
    let pipeline = load(sets).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let step = pipeline.steps.iter().find(|it| it.name == step).expect("a step");
    step.op.params()[name].to_string()
}

#[test]
fn sets_variables_and_parameters() {
    assert_eq!(param(&["k=5"], "groups@mel", "clusters"), "5");
    assert_eq!(param(&["groups.clusters=7"], "groups@mel", "clusters"), "7");
    assert_eq!(param(&["+groups.n_init=2"], "groups@mel", "n_init"), "2");
    assert_eq!(param(&["mel.n_mels=64"], "mel", "n_mels"), "64");
    // A folder may have the name of a number.
    assert_eq!(param(&["data=2024"], "clips", "path"), "\"2024\"");
    assert_eq!(param(&["data=a: b # c"], "clips", "path"), "\"a: b # c\"");
}

#[test]
fn says_what_it_cannot_set() {
    for (set, words) in [
        ("dat=x", "did you mean `data`?"),
        ("group.clusters=3", "did you mean `groups`?"),
        ("groups@mel.clusters=3", "--set groups.clusters=VALUE"),
        ("groups.cluster=3", "did you mean `clusters`?"),
        ("groups.clusters=many", "from `--set groups.clusters=many`"),
        ("mel=3", "`mel` is a step"),
        ("data=[a", "never closed"),
    ] {
        let Err(diagnostics) = load(&[set]) else { panic!("{set} was taken") };
        let shown = diagnostics
            .to_string()
            .split_whitespace()
            .filter(|word| *word != "|")
            .collect::<Vec<_>>()
            .join(" ");
        assert!(shown.contains(words), "{set}: {shown}");
    }
}
