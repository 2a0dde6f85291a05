//! Runs on a real Slurm, which is started on this machine for each test. Without Slurm's packages, or without root, the
//! tests say that they are skipped.

use crate::{
    slurm::Slurm,
    study::{CommandOutput, STEPS, Study},
    tones,
};
use cache::{Digest, record::StepStatus};
use std::{
    collections::BTreeMap,
    env,
    fs::{self, Permissions},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Child,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

/// Waits until something is there.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{what} does not come");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A profile with one kind of workers.
pub fn profile(study: &Study, more: &str) {
    study.write(
        "lab.yaml",
        format!(
            "executor: slurm\nrun_locally_below: 0s\nheartbeat: 0.5s\n{more}workers:\n  cpu: {{ cpus: 1, memory: 400MB, time: 10m, max_workers: 4 }}\n"
        ),
    );
}

/// The number of lines of each step in the journals of a store.
pub fn lines(store: &Path) -> BTreeMap<Digest, usize> {
    let mut lines = BTreeMap::new();
    let journals = fs::read_dir(store.join("journal-v2")).expect("a folder");
    let journals = journals.map(|journal| journal.expect("a journal").path());
    for path in journals.chain([store.join("state-v2.jsonl")]) {
        for line in fs::read_to_string(path).unwrap_or_default().lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            if let Some(key) = line["key"].as_str() {
                *lines.entry(key.parse().expect("a key")).or_default() += 1;
            }
        }
    }
    lines
}

pub fn assert_each_once(study: &Study, steps: usize) {
    let lines = lines(&study.path(".engine"));
    let often: Vec<_> = lines.iter().filter(|(_, count)| **count > 1).collect();
    assert!(
        often.is_empty() && lines.len() == steps,
        "{} steps, several times: {often:?}",
        lines.len()
    );
}

/// Ends a process at once, and gives what it said.
pub fn kill(run: &mut Child) -> String {
    let _ = run.kill();
    let mut said = String::new();
    let _ = run.stderr.take().map(|mut pipe| pipe.read_to_string(&mut said));
    run.wait().expect("an end");
    said
}

/// As many short steps.
pub fn many(steps: usize) -> Study {
    let study = Study::new().pipeline(&format!(
        "name: many
steps:
  table: {{ op: matrix, path: table.csv }}
  norm: {{ op: normalize, in: table, scope: per_bin }}
  groups: {{ op: kmeans, for: {{ k: \"range(2,{})\" }}, in: norm, clusters: 2, seed: \"${{k}}\" }}
",
        steps + 2
    ));
    let rows = (0..60).map(|row| format!("{},{},{}\n", row % 7, row * row % 11, row));
    study.write("table.csv", format!("a,b,c\n{}", rows.collect::<String>()));
    profile(&study, "");
    study
}

/// A training that takes some seconds.
pub const TRAINING: &str = "name: training
steps:
  clips: { op: synth, clips_per_class: 6 }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 1.0, n_mels: 16, n_fft: 512 }
  model: { op: autoencoder, in: mel, latent: 4, epochs: 80, batch_size: 16 }
";

/// The objects of [`TRAINING`], made here once for all tests.
pub fn trained() -> &'static BTreeMap<String, Vec<u8>> {
    static TRAINED: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let here = Study::new().pipeline(TRAINING);
        here.ran();
        here.objects()
    })
}

/// A training on a cluster that has begun: the study, the driver, and the job and node of its worker.
pub fn training(slurm: &Slurm) -> (Study, Child, String, String) {
    training_with(slurm, "")
}

/// [`training`] on workers with these settings.
fn training_with(slurm: &Slurm, settings: &str) -> (Study, Child, String, String) {
    let study = Study::new().pipeline(TRAINING);
    profile(&study, "");
    let lab =
        study.read("lab.yaml").replace("max_workers: 4", &format!("max_workers: 4{settings}"));
    study.write("lab.yaml", lab);
    let run = slurm.run_command(&study, &[]).spawn().expect("a run");
    until("a checkpoint", || fs::read_dir(study.path(".engine/checkpoints-v1")).ok());
    let (job, _, node) =
        until("a worker", || slurm.jobs().into_iter().find(|(_, state, _)| state == "RUNNING"));
    (study, run, job, node)
}

/// Waits for the end of a training, which must give the bytes that it gives here.
pub fn assert_trained(study: &Study, run: Child) -> CommandOutput {
    let said = study.text_of(&run.wait_with_output().expect("an end"));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(study.objects() == *trained(), "the objects differ");
    said
}

#[test]
fn a_cluster_gives_the_same_bytes_as_this_machine() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let (here, there) = (tones::three(), tones::three());
    profile(&there, "");
    assert_eq!(here.ran(), STEPS);
    let said = slurm.run(&there);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(there.steps_that(&said, StepStatus::Ran), STEPS, "{}", said.stderr);
    assert!(said.stderr.contains("submitted "), "{}", said.stderr);
    assert!(there.objects() == here.objects(), "the objects differ");
    assert_each_once(&there, STEPS.len());
    let outputs = |study: &Study, said: &CommandOutput| -> Vec<_> {
        study.record(said).steps.into_iter().map(|step| (step.name, step.outputs)).collect()
    };
    let again = here.run();
    assert_eq!(outputs(&there, &said), outputs(&here, &again));
    // Nothing is left to do, on a cluster or here.
    let said = slurm.run(&there);
    assert!(said.code == 0 && !said.stderr.contains("submitted"), "{}", said.stderr);
    assert_eq!(there.ran(), [""; 0]);
    // What its processes have told goes with the rest that no run needs.
    let plans = || fs::read_dir(there.path(".engine/work-v1")).expect("a folder").count();
    assert_eq!(plans(), 1);
    assert!(there.engine(&["cache", "du"]).stdout.contains("plans of a cluster"));
    let gone = there.engine(&["cache", "gc", "--older-than", "0s"]);
    assert!(gone.stdout.contains("1 plan of a cluster"), "{}{}", gone.stdout, gone.stderr);
    assert_eq!(plans(), 0);
    assert!(!gone.stderr.contains("warning"), "{}", gone.stderr);
    assert_eq!(there.ran(), [""; 0]);
}

#[test]
fn two_hundred_short_steps_are_made_once_each() {
    let Some(slurm) = Slurm::start(&["cpus=3"]) else { return };
    let study = many(200);
    let said = slurm.run(&study);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_each_once(&study, 202);
    // One for what all wait for, and one for the others, unless the first worker is quicker.
    let submitted = said.stderr.matches("submitted ").count();
    assert!((1..=2).contains(&submitted), "{}", said.stderr);
}

#[test]
fn a_driver_that_is_killed_is_followed_by_another() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let study = Study::new().pipeline(TRAINING);
    profile(&study, "");
    let mut first = slurm.run_command(&study, &[]).spawn().expect("a run");
    until("a running worker", || slurm.jobs().into_iter().find(|(_, state, _)| state == "RUNNING"));
    until("a checkpoint", || fs::read_dir(study.path(".engine/checkpoints-v1")).ok());
    let said = kill(&mut first);
    assert!(said.contains("submitted 1 worker"), "{said}");
    let said = slurm.run(&study);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(!said.stderr.contains("submitted"), "what runs is found again: {}", said.stderr);
    assert_each_once(&study, 3);
}

#[test]
fn a_worker_that_has_just_ended_is_not_replaced() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let study = Study::new().pipeline(TRAINING);
    profile(&study, "");
    // Slurm tells of the running worker as late as it may: when that has ended.
    let late = r#"#!/bin/sh
listed=$(PATH=${PATH#*:} squeue "$@")
case $listed in *RUNNING*) until grep -qs "nothing is left" .engine/work-v1/*/logs/*; do sleep 0.01; done ;; esac
echo "$listed"
"#;
    study.write("bin/squeue", late);
    let may_run = Permissions::from_mode(0o755);
    fs::set_permissions(study.path("bin/squeue"), may_run).expect("a script");
    let path = format!("{}:{}", study.path("bin").display(), env::var("PATH").unwrap_or_default());
    let run = slurm.run_command(&study, &[]).env("PATH", path).output().expect("a run");
    let said = study.text_of(&run);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(said.stderr.matches("submitted").count(), 1, "{}", said.stderr);
    assert_each_once(&study, 3);
}

#[test]
fn a_node_that_loses_power_costs_what_ran_there_and_no_byte() {
    let Some(slurm) = Slurm::start(&["cpus=1"]) else { return };
    let (study, run, _, node) = training(&slurm);
    slurm.lose(&node, "power");
    assert_trained(&study, run);
}

#[test]
fn a_worker_goes_on_without_the_daemon_of_its_node() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let (study, run, _, node) = training(&slurm);
    slurm.lose(&node, "slurmd");
    assert_trained(&study, run);
    assert_each_once(&study, 3);
}

#[test]
fn a_cancelled_job_is_replaced() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let (study, run, job, _) = training(&slurm);
    slurm.ask("scancel", &[&job]);
    assert_trained(&study, run);
}

#[test]
fn a_job_that_goes_back_to_the_queue_goes_on_with_its_training() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let (study, run, job, _) = training(&slurm);
    slurm.ask("scontrol", &["requeue", &job]);
    assert_trained(&study, run);
    assert_each_once(&study, 3);
}

#[test]
fn a_preempted_job_goes_on_with_its_training() {
    // The nodes are small, and jobs of the other partition go first.
    let Some(slurm) = Slurm::start(&["cpus=1", "grace=5"]) else { return };
    let (study, run, job, node) = training_with(&slurm, ", partition: spare");
    slurm.ask("sbatch", &["-p", "main", "-w", &node, "-o", "/dev/null", "--wrap", "sleep 2"]);
    until("the end of the job on its node", || {
        let found = slurm.jobs().into_iter().find(|(id, _, _)| *id == job);
        found.is_none_or(|(_, state, _)| state != "RUNNING").then_some(())
    });
    assert_trained(&study, run);
    assert_each_once(&study, 3);
}

#[test]
fn two_drivers_share_the_work() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let study = many(30);
    let runs = [0, 1].map(|_| slurm.run_command(&study, &[]).spawn().expect("a run"));
    for run in runs {
        let said = study.text_of(&run.wait_with_output().expect("an end"));
        assert_eq!(said.code, 0, "{}", said.stderr);
        assert_eq!(study.record(&said).steps.len(), 32);
    }
    assert_each_once(&study, 32);
    assert_eq!(study.run_folders(), 2);
}

#[test]
fn drivers_that_are_killed_at_any_moment_lose_nothing() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let study = many(60);
    let mut chance = 1_u64;
    for _ in 0..20 {
        let mut run = slurm.run_command(&study, &[]).spawn().expect("a run");
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        thread::sleep(Duration::from_millis((chance >> 33) % 700));
        kill(&mut run);
    }
    let said = slurm.run(&study);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_each_once(&study, 62);
}
