//! Stopped and killed: what is finished is kept, and nothing half is ever read.

use crate::{
    study::{STEPS, Study},
    tones,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

/// Long enough that a signal comes before its end on any machine.
const LONG: &str = "name: long
steps:
  clips: { op: synth, clips_per_class: 10 }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 1.0, n_mels: 16, n_fft: 512 }
  more: { op: synth, clips_per_class: 3000 }
  long: { op: log_mel, in: more, n_mels: 16, n_fft: 512 }
";

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("a living process");
}

#[test]
fn an_interrupted_run_ends_soon_and_goes_on_later() {
    let study = Study::new().pipeline(LONG);
    let mut run = study
        .run_command(&[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a run");
    let mut stderr = BufReader::new(run.stderr.take().expect("a pipe"));
    let mut said = String::new();
    let ended =
        |said: &str, step| said.lines().any(|line| line.contains(step) && line.contains("ran"));
    while !(ended(&said, " more ") && ended(&said, " mel ")) {
        assert_ne!(stderr.read_line(&mut said).expect("text"), 0, "{said}");
    }
    // Within the long step: between its start and this moment lies at least one clip.
    std::thread::sleep(Duration::from_millis(200));
    signal(&run, Signal::INT);
    let asked = Instant::now();
    std::io::Read::read_to_string(&mut stderr, &mut said).expect("text");
    let output = run.wait_with_output().expect("an end");
    assert!(asked.elapsed() < Duration::from_secs(20), "it took {:?}", asked.elapsed());
    let ended = study.text_of(&output);
    assert_eq!(ended.code, 130, "{said}");
    assert!(said.contains("stopping; what is finished is kept"), "{said}");
    assert!(!said.contains("error"), "{said}");
    let record = study.record(&ended);
    assert_eq!(record.status, cache::record::RunStatus::Interrupted);
    let report = study.read("runs/long/latest/report.md");
    assert!(report.contains("This run was interrupted"), "{report}");

    let study = study.pipeline(&LONG.replace("3000", "10"));
    assert_eq!(study.ran(), ["long"], "the rest was finished before");
}

#[test]
fn what_a_stopped_run_did_not_come_to_is_counted() {
    let many = "  many: { op: pca, for: { k: \"range(1,41)\" }, in: long, components: \"${k}\" }\n";
    let study = Study::new().pipeline(&format!("{LONG}{many}"));
    let mut command = study.run_command(&[]);
    let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a run");
    let mut stderr = BufReader::new(run.stderr.take().expect("a pipe"));
    let mut said = String::new();
    while !said.lines().any(|line| line.contains(" more ") && line.contains("ran")) {
        assert_ne!(stderr.read_line(&mut said).expect("text"), 0, "{said}");
    }
    signal(&run, Signal::INT);
    std::io::Read::read_to_string(&mut stderr, &mut said).expect("text");
    assert_eq!(study.text_of(&run.wait_with_output().expect("an end")).code, 130, "{said}");
    assert!(said.contains(" steps were skipped: the run was interrupted"), "{said}");
    assert!(!said.contains("many@"), "{said}");
}

#[test]
fn a_killed_run_leaves_nothing_half() {
    let undisturbed = tones::three();
    let started = Instant::now();
    assert_eq!(undisturbed.ran(), STEPS);
    let (whole, objects) = (started.elapsed(), undisturbed.objects());
    let mut cut_short = 0;
    for instant in 0..20 {
        let study = tones::three();
        let mut run = study
            .run_command(&[])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a run");
        std::thread::sleep(whole.mul_f64(f64::from(instant) / 20.0));
        // It may have ended by itself.
        let _ = run.kill();
        cut_short += u32::from(run.wait().expect("an end").code().is_none());
        let said = study.run();
        assert_eq!(said.code, 0, "after {instant}/20: {}", said.stderr);
        assert!(!said.stderr.contains("damaged"), "after {instant}/20: {}", said.stderr);
        assert!(study.objects() == objects, "after {instant}/20 the objects differ");
        assert_eq!(study.ran(), [""; 0]);
    }
    assert!(cut_short > 0, "every run ended before it was killed");
}
