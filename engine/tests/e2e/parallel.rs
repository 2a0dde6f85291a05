//! Steps at the same time: those that do not wait for each other do, as far as resources reach.

use crate::study::{CommandOutput, Study};

/// Two programs that read the same and know nothing of each other.
const TWO: &str = "name: two
steps:
  data: { op: matrix, path: data.csv }
  one: { op: command, command: [sh, one.sh, \"{in.x}\", \"{out.y}\"], in: { x: data }, outputs: { y: matrix }, timeout: 20s }
  two: { op: command, command: [sh, two.sh, \"{in.x}\", \"{out.y}\"], in: { x: data }, outputs: { y: matrix }, timeout: 20s }
";

/// The pipeline with both scripts, where `HERE` is a folder that both can write.
fn study(one: &str, two: &str) -> Study {
    let study = Study::new().pipeline(TWO).threads(2);
    study.write("data.csv", "clip_id,u,v\na,0,1\nb,0.5,1\n");
    let here = study.path("").display().to_string();
    study.write("one.sh", one.replace("HERE", &here));
    study.write("two.sh", two.replace("HERE", &here));
    study
}

const COPY: &str = "cp \"$1\" \"$2\"\n";

#[test]
fn steps_that_need_each_other_to_run_do_both_run() {
    // Each says that it is there and waits for the other: one after the other would never end.
    let meet = |own: &str, other: &str| {
        format!("touch HERE/{own}; until test -e HERE/{other}; do sleep 0.01; done; {COPY}")
    };
    let study = study(&meet("a", "b"), &meet("b", "a"));
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(study.ran(), [""; 0]);
}

/// Fails if the other is at it, too.
const ALONE: &str = "mkdir HERE/lock || exit 1; sleep 0.2; rmdir HERE/lock; cp \"$1\" \"$2\"\n";

#[test]
fn steps_that_take_all_threads_run_one_after_the_other() {
    let mut study = study(ALONE, ALONE);
    study.edit("timeout: 20s", "resources: { threads: 2 }");
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
}

#[test]
fn steps_that_take_most_of_the_memory_run_one_after_the_other() {
    let mut study = study(ALONE, ALONE);
    study.edit("timeout: 20s", "resources: { memory: 600MB }");
    let said = study.run_with(&["--memory", "1GB"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
}

#[test]
fn a_gpu_is_given_to_one_step_at_a_time() {
    let told = format!("test \"$CUDA_VISIBLE_DEVICES\" = 3 || exit 2; {ALONE}");
    let mut study = study(&told, &told);
    study.edit("timeout: 20s", "resources: { gpu: 1 }");
    let said = study.run_with(&["--gpus", "3"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
}

#[test]
fn the_record_and_the_report_say_for_how_long_a_gpu_was_held() {
    let study =
        study(&format!("test \"$CUDA_VISIBLE_DEVICES\" = 0,1 || exit 2; sleep 0.2; {COPY}"), COPY);
    let report = |study: &Study, said: &CommandOutput| {
        study.read(said.stdout.lines().next().expect("a report"))
    };
    let said = study.run_with(&["--only", "two"]);
    assert!(!report(&study, &said).contains("GPU"), "no step has held one");
    let study = study.pipeline(&TWO.replacen("timeout: 20s", "resources: { gpu: 2 }", 1));
    for held in ["ran", "a hit"] {
        let said = study.run_with(&["--gpus", "0,1"]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        let record = study.record(&said);
        let step = |name: &str| record.step(name).expect("a step");
        let (one, two) = (step("one"), step("two"));
        assert!((one.gpu_seconds - 2.0 * one.seconds).abs() < 1e-9, "{held}: {one:?}");
        assert!(one.gpu_seconds >= 0.4, "it sleeps with two of them");
        assert_eq!(two.gpu_seconds, 0.0);
        assert!(report(&study, &said).contains("| CPU | GPU | Key |"), "{held}");
        assert!(!serde_json::to_string(two).expect("JSON").contains("gpu_seconds"), "{held}");
    }
}

#[test]
fn a_step_that_needs_more_gpus_than_there_are_is_told_so() {
    let mut study = study(COPY, COPY);
    study.edit("timeout: 20s", "resources: { gpu: 2 }");
    let said = study.run_with(&["--gpus", "0"]);
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("it needs 2 GPUs, and there is 1"), "{}", said.stderr);
}

#[test]
fn a_failed_step_lets_the_other_end_and_starts_none_after_it() {
    // The file is there before its program has ended, and that is before the run knows.
    let wait = format!("until test -e HERE/failed; do sleep 0.01; done; sleep 2; {COPY}");
    let study = study("touch HERE/failed; exit 1", &wait);
    let text = format!("{TWO}  after: {{ op: normalize, in: two.y }}\n");
    let study = study.pipeline(&text);
    let said = study.run();
    assert_eq!(said.code, 1, "{}", said.stderr);
    let record = study.record(&said);
    let status = |name: &str| record.step(name).map(|step| step.status);
    use cache::record::StepStatus::{Failed, Ran, Skipped};
    assert_eq!((status("one"), status("two")), (Some(Failed), Some(Ran)));
    assert_eq!(status("after"), Some(Skipped));
    let going = study.run_with(&["--keep-going"]);
    assert_eq!(going.code, 3, "{}", going.stderr);
    assert_eq!(study.record(&going).step("after").map(|step| step.status), Some(Ran));
}

/// Says that it is there and waits for the other: one after the other would never end.
fn meet(own: &str, other: &str) -> String {
    let there = format!("touch HERE/{own}; until test -e HERE/{other}; do sleep 0.01; done");
    format!("test \"$CUDA_VISIBLE_DEVICES\" = 3 || exit 2; {there}; {COPY}")
}

#[test]
fn steps_that_say_what_they_take_of_a_gpu_share_it() {
    let mut study = study(&meet("a", "b"), &meet("b", "a"));
    study.edit("timeout: 20s", "resources: { gpu_memory: 1GB }");
    let said = study.run_with(&["--gpus", "3"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
}

#[test]
fn no_more_steps_share_a_gpu_than_are_allowed() {
    let mut study = study(ALONE, ALONE);
    study.edit("timeout: 20s", "resources: { gpu_memory: 1GB }");
    let said = study.run_with(&["--gpus", "3", "--gpu-steps", "1"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
}

#[test]
fn steps_that_share_spread_over_two_gpus() {
    // Each notes its GPU, waits for the other's note and fails if both are the same.
    let spread = |own: &str, other: &str| {
        format!(
            "echo \"$CUDA_VISIBLE_DEVICES\" > HERE/{own}.part; mv HERE/{own}.part HERE/{own}; \
             until test -e HERE/{other}; do sleep 0.01; done; \
             ! cmp -s HERE/{own} HERE/{other} || exit 2; {COPY}"
        )
    };
    let mut study = study(&spread("a", "b"), &spread("b", "a"));
    study.edit("timeout: 20s", "resources: { gpu_memory: 1GB }");
    let said = study.run_with(&["--gpus", "0,1"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
}
