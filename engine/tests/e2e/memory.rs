//! Steps that take more memory than there is are refused before they start.

use crate::study::{Said, Study};

/// A model whose decoder makes images of 1024 × 1024, on a few clips.
const GROWN: &str = "steps:
  clips: { op: synth, clips_per_class: 2 }
  mel: { op: log_mel, in: clips }
  model: { op: autoencoder, in: mel, epochs: 1, latent: 2, channels: [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2], timeout: 60s }
";

fn refused(said: &Said) {
    assert_eq!(said.code, 2, "{}", said.stderr);
    let words = said.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("step `model`: it would take about"), "{words}");
    assert!(words.contains("of memory, and there are 300 MB"), "{words}");
    assert!(words.contains("resources: { memory: 8GB }"), "{words}");
}

#[test]
fn what_does_not_fit_is_refused_by_plan_and_run() {
    let mut study = Study::new().pipeline(GROWN);
    study.write("study.yaml", GROWN);
    refused(&study.engine(&["plan", "study.yaml", "--memory", "300MB"]));
    refused(&study.engine(&["plan", "study.yaml", "--json", "--memory", "300MB"]));
    refused(&study.run_with(&["--dry-run", "--memory", "300MB"]));
    refused(&study.run_with(&["--memory", "300MB"]));
    let plan = study.engine(&["plan", "study.yaml", "--only", "mel", "--memory", "300MB"]);
    assert_eq!(plan.code, 0, "{}", plan.stderr);
    // What the pipeline says of a step is believed.
    study.edit("timeout: 60s", "resources: { memory: 200MB }");
    let plan = study.engine(&["plan", "study.yaml", "--memory", "300MB"]);
    assert_eq!(plan.code, 2, "the file is still the old one");
    study.write("study.yaml", study.text());
    let plan = study.engine(&["plan", "study.yaml", "--memory", "300MB"]);
    assert_eq!(plan.code, 0, "{}", plan.stderr);
}

#[test]
fn a_decoder_beyond_all_machines_is_a_fault_of_the_pipeline() {
    for (channels, stride) in [(13, 2), (20, 2), (60, 2), (8, 32)] {
        let more = format!("channels: [{}], stride: {stride}, ", ["2"].repeat(channels).join(", "));
        let at = GROWN.find("channels").expect("channels");
        let end = GROWN.find("timeout").expect("a timeout");
        let study = Study::new().pipeline(&format!("{}{more}{}", &GROWN[..at], &GROWN[end..]));
        let said = study.run();
        assert_eq!(said.code, 2, "{}", said.stderr);
        assert!(said.stderr.contains("the decoder mirrors"), "{}", said.stderr);
        assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
        assert!(!study.path(".engine").exists(), "nothing was run");
    }
}
