//! Waits and long work that SIGTERM ends: a clusterer in the middle of its work, and a file whose
//! time stamp never settles. Programs, locks and pipes have tests beside what they are.

use crate::study::Study;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A limit far above the two seconds that a stop may take and far below the minutes of the work.
const LIMIT: Duration = Duration::from_secs(30);

/// The exit code of a run after one SIGTERM; it must end by itself.
fn code_after_a_request(mut run: Child) -> Option<i32> {
    kill_process(Pid::from_child(&run), Signal::TERM).expect("a living process");
    let asked = Instant::now();
    while asked.elapsed() < LIMIT {
        if let Some(status) = run.try_wait().expect("a state") {
            return status.code();
        }
        thread::sleep(Duration::from_millis(10));
    }
    run.kill().expect("a living process");
    run.wait().expect("an end");
    panic!("it goes on after SIGTERM");
}

/// Starts a run and waits until its log of events says that a step has started.
fn start_until(study: &Study, step: &str) -> Child {
    let mut command = study.run_command(&["--log-format", "json"]);
    let events = std::fs::File::create(study.path("events")).expect("a file");
    let run = command.stdout(Stdio::null()).stderr(events).spawn().expect("a run");
    let started = |line: &str| line.contains("step_started") && line.contains(step);
    while !study.read("events").lines().any(started) {
        thread::sleep(Duration::from_millis(10));
    }
    run
}

/// A matrix of rows that look random, as NumPy writes it.
fn matrix(rows: usize, width: usize) -> Vec<u8> {
    let head = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
    let head = format!("{head:117}\n");
    let mut bytes = b"\x93NUMPY\x01\0".to_vec();
    bytes.extend((head.len() as u16).to_le_bytes());
    bytes.extend(head.as_bytes());
    let value = |at: usize| ((at.wrapping_mul(2_654_435_761) >> 9) % 100_003) as f32;
    bytes.extend((0..rows * width).flat_map(|at| value(at).to_le_bytes()));
    bytes
}

#[test]
fn thousands_of_clusters_of_many_clips() {
    let study = Study::new().pipeline(
        "name: many
steps:
  table: { op: matrix, path: table.npy }
  groups: { op: kmeans, in: table, clusters: 5000, n_init: 20 }
",
    );
    study.write("table.npy", matrix(100_000, 16));
    let run = start_until(&study, "groups");
    // Within the choice of the first centres, or within the first iterations.
    thread::sleep(Duration::from_millis(500));
    assert_eq!(code_after_a_request(run), Some(130));
}

#[test]
fn a_script_whose_time_stamp_lies_in_the_future() {
    let study = Study::new().pipeline(
        "name: early
steps:
  early: { op: command, command: [sh, make.sh, \"{out.y}\"], outputs: { y: matrix } }
",
    );
    study.write("make.sh", "touch started; sleep 600");
    let script = std::fs::File::options().write(true).open(study.path("make.sh")).expect("a file");
    let later = std::time::SystemTime::now() + Duration::from_secs(86_400);
    script.set_modified(later).expect("a time");
    let run = start_until(&study, "early");
    assert_eq!(code_after_a_request(run), Some(130));
}
