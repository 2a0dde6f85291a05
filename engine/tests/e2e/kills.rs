//! Killed at any instant: nothing that was finished is lost, and the next run simply goes on.

use crate::study::Study;
use cache::Store;
use std::{
    fs,
    io::Read,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

/// Nine quick steps; another seed makes six of them new.
const MANY: &str = "name: many
vars: { seed: 0 }
steps:
  table: { op: matrix, path: table.csv }
  norm: { op: normalize, in: table, scope: per_bin }
  pca: { op: pca, in: norm, components: 2 }
  groups: { op: kmeans, for: { k: [2, 3, 4, 5, 6, 7] }, in: pca, clusters: \"${k}\", seed: \"${seed}\" }
";

/// As many instants as fit into this time, up to so many.
const TIME: Duration = Duration::from_secs(20);
const INSTANTS: u32 = 300;

fn many() -> Study {
    let study = Study::in_memory().pipeline(MANY);
    let rows = (0..60).map(|row| format!("{},{},{}\n", row % 7, row * row % 11, row));
    study.write("table.csv", format!("a,b,c\n{}", rows.collect::<String>()));
    study
}

fn start(study: &Study, arguments: &[&str]) -> Child {
    let mut command = study.run_command(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("the binary starts")
}

#[test]
fn hundreds_of_kills_lose_nothing_that_was_finished() {
    let study = many();
    let began = Instant::now();
    assert_eq!(study.ran().len(), 9);
    let whole = began.elapsed();
    let (mut known, mut cut_short, mut chance) = (9, 0, 1_u64);
    for instant in 0..INSTANTS {
        if began.elapsed() > TIME {
            break;
        }
        // Three tries at each seed: the second and third find some of it done.
        let seed = format!("seed={}", 1 + instant / 3);
        let mut run = start(&study, &["--set", &seed]);
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(whole.mul_f64((chance >> 40) as f64 / f64::from(1 << 24)));
        // It may have ended by itself.
        let _ = run.kill();
        let mut said = String::new();
        run.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
        cut_short += u32::from(run.wait().expect("an end").code().is_none());

        let store = Store::open(&study.path(".engine")).expect("no repair is needed");
        let history = store.history();
        let finished = said.lines().filter(|line| line.contains(" ran  ")).count();
        assert!(history.len() >= known + finished, "finished steps are lost after: {said}");
        known = history.len();
        for step in history {
            for object in step.outputs.values() {
                store.verify(&object.digest).expect("what is named is whole");
            }
        }
        let unfinished = fs::read_dir(study.path(".engine/tmp-v1")).expect("a folder").count();
        assert_eq!(unfinished, 0, "what was half written is swept");
    }
    assert!(cut_short > 0, "every run ended before it was killed");
    let last = study.run_with(&["--set", "seed=100000"]);
    assert_eq!(last.code, 0, "{}", last.stderr);
    assert!(!last.stderr.contains("damaged"), "{}", last.stderr);
    assert_eq!(study.ran_with(&["--set", "seed=100000"]), [""; 0]);
}

/// A step that takes seconds.
const LONG: &str = "name: long
steps:
  more: { op: synth, clips_per_class: 60 }
  long: { op: log_mel, in: more, n_mels: 16, n_fft: 512 }
";

/// Starts a run and reads what it says up to some words.
fn start_until(study: &Study, words: &str) -> (Child, String) {
    let mut run = start(study, &[]);
    let said = read_until(&mut run, words);
    (run, said)
}

fn read_until(run: &mut Child, words: &str) -> String {
    let (mut said, mut byte) = (Vec::new(), [0]);
    let stderr = run.stderr.as_mut().expect("a pipe");
    while !String::from_utf8_lossy(&said).contains(words) {
        assert_ne!(stderr.read(&mut byte).expect("text"), 0, "{}", String::from_utf8_lossy(&said));
        said.push(byte[0]);
    }
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn the_lock_of_a_killed_run_is_taken_over() {
    let study = Study::new().pipeline(LONG);
    let (mut first, _) = start_until(&study, " more ");
    let owner = format!("process {} on ", first.id());
    let (mut second, said) = start_until(&study, "waiting for it");
    assert!(said.contains(&owner), "{said}");
    first.kill().expect("a living process");
    first.wait().expect("an end");
    let mut said = String::new();
    second.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    assert_eq!(second.wait().expect("an end").code(), Some(0), "{said}");
    assert!(said.contains(" long ") && said.contains(" ran "), "{said}");
}

#[test]
fn a_waiting_run_ends_at_the_first_request() {
    let study = Study::new().pipeline(LONG);
    let (mut first, _) = start_until(&study, " more ");
    let (mut second, _) = start_until(&study, "waiting for it");
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&second),
        rustix::process::Signal::INT,
    )
    .expect("a living process");
    let code = second.wait().expect("an end").code();
    let still_running = first.try_wait().expect("a state").is_none();
    assert_eq!(code, Some(130));
    assert!(still_running, "it did not wait for the other to end");
    first.kill().expect("a living process");
    first.wait().expect("an end");
}

#[test]
fn a_store_that_is_taken_away_is_said_and_nothing_is_lost() {
    let study = Study::new().pipeline(LONG);
    let (mut run, _) = start_until(&study, " more ");
    fs::rename(study.path(".engine"), study.path("elsewhere")).expect("moved");
    let mut said = String::new();
    run.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    assert_eq!(run.wait().expect("an end").code(), Some(1), "{said}");
    assert!(said.contains("the store `.engine` is no longer there"), "{said}");
    assert!(!study.path(".engine").exists());
    assert_eq!(study.ran_with(&["--store", "elsewhere"]), ["long"]);
}
