//! Threads and processes: neither changes a byte.

use crate::{study::STEPS, tones};
use cache::record::StepStatus;
use std::process::Stdio;

#[test]
fn one_thread_and_two_give_the_same_objects() {
    let pipeline = crate::study::SMALL
        .replace("op: audio_folder, path: \"${data}\"", "op: synth, clips_per_class: 3");
    let pipeline = pipeline.replace("sample_rate: 8000", "sample_rate: 22050");
    let pipeline = pipeline.replace(
        "  scores:",
        "  tree: { op: agglomerative, in: pca, clusters: 3 }\n  mfcc: { op: mfcc, in: mel }\n  scores:",
    );
    let objects = |threads| {
        let study = crate::study::Study::new().pipeline(&pipeline).threads(threads);
        let ran = study.ran();
        assert_eq!(ran.len(), 9, "{ran:?}");
        study.objects()
    };
    let (one, two, five) = (objects(1), objects(2), objects(5));
    assert!(one.len() >= 10, "{} objects", one.len());
    assert!(one == two && two == five, "the objects differ");
}

#[test]
fn two_processes_share_the_work() {
    for _ in 0..5 {
        let study = tones::three();
        let start = || {
            let mut command = study.run_command(&[]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("the binary starts")
        };
        let both = [start(), start()].map(|run| {
            let said = study.text_of(&run.wait_with_output().expect("an end"));
            assert_eq!(said.code, 0, "{}", said.stderr);
            said
        });
        let mut ran: Vec<_> =
            both.iter().flat_map(|said| study.steps_that(said, StepStatus::Ran)).collect();
        ran.sort_by_key(|name| STEPS.iter().position(|step| step == name));
        assert_eq!(ran, STEPS, "each step once in all");
        assert_ne!(both[0].stdout, both[1].stdout, "each run has a folder of its own");
    }
}
