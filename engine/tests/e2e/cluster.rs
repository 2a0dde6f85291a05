//! Runs on a real Slurm, which is started on this machine for each test. Without Slurm's packages, or without root, the
//! tests say that they are skipped.

use crate::{
    slurm::Slurm,
    study::{STEPS, Said, Study},
    tones,
};
use cache::{Digest, Store, record::StepStatus};
use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::Path,
    process::Child,
    thread,
    time::{Duration, Instant},
};

/// Waits until something is there.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
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
fn profile(study: &Study, more: &str) {
    study.write(
        "lab.yaml",
        format!(
            "executor: slurm\nshort: 0s\nbeat: 0.5s\n{more}workers:\n  cpu: {{ cpus: 1, memory: 400MB, time: 10m, at_most: 4 }}\n"
        ),
    );
}

/// How often each step stands in the journals of a store.
fn lines(store: &Path) -> BTreeMap<Digest, usize> {
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

fn assert_each_once(study: &Study, steps: usize) {
    let lines = lines(&study.path(".engine"));
    let often: Vec<_> = lines.iter().filter(|(_, count)| **count > 1).collect();
    assert!(
        often.is_empty() && lines.len() == steps,
        "{} steps, several times: {often:?}",
        lines.len()
    );
}

/// Ends a process at once, and gives what it said.
fn kill(run: &mut Child) -> String {
    let _ = run.kill();
    let mut said = String::new();
    let _ = run.stderr.take().map(|mut pipe| pipe.read_to_string(&mut said));
    run.wait().expect("an end");
    said
}

/// As many short steps.
fn many(steps: usize) -> Study {
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
const TRAINING: &str = "name: training
steps:
  clips: { op: synth, clips_per_class: 6 }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 1.0, n_mels: 16, n_fft: 512 }
  model: { op: autoencoder, in: mel, latent: 4, epochs: 100, batch_size: 16 }
";

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
    let outputs = |study: &Study, said: &Said| -> Vec<_> {
        study.record(said).steps.into_iter().map(|step| (step.name, step.outputs)).collect()
    };
    let again = here.run();
    assert_eq!(outputs(&there, &said), outputs(&here, &again));
    // Nothing is left to do, on a cluster or here.
    let said = slurm.run(&there);
    assert!(said.code == 0 && !said.stderr.contains("submitted"), "{}", said.stderr);
    assert_eq!(there.ran(), [""; 0]);
}

#[test]
fn two_hundred_short_steps_are_made_once_each() {
    let Some(slurm) = Slurm::start(&["cpus=3"]) else { return };
    let study = many(200);
    let began = Instant::now();
    let said = slurm.run(&study);
    assert_eq!(said.code, 0, "{}", said.stderr);
    eprintln!("202 steps in {:?}", began.elapsed());
    assert_each_once(&study, 202);
    assert_eq!(
        said.stderr.matches("submitted ").count(),
        2,
        "one for what all wait for: {}",
        said.stderr
    );
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
fn a_node_that_loses_power_costs_what_ran_there_and_no_byte() {
    let Some(slurm) = Slurm::start(&["cpus=1"]) else { return };
    let (here, there) = (Study::new().pipeline(TRAINING), Study::new().pipeline(TRAINING));
    profile(&there, "");
    here.ran();
    let run = slurm.run_command(&there, &[]).spawn().expect("a run");
    until("a checkpoint", || fs::read_dir(there.path(".engine/checkpoints-v1")).ok());
    let (_, _, node) =
        until("a worker", || slurm.jobs().into_iter().find(|(_, _, node)| !node.is_empty()));
    slurm.lose(&node, "power");
    let said = there.said(&run.wait_with_output().expect("an end"));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(there.objects() == here.objects(), "the objects differ");
}

#[test]
fn a_cancelled_job_is_replaced() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let (here, there) = (Study::new().pipeline(TRAINING), Study::new().pipeline(TRAINING));
    profile(&there, "");
    here.ran();
    let run = slurm.run_command(&there, &[]).spawn().expect("a run");
    until("a checkpoint", || fs::read_dir(there.path(".engine/checkpoints-v1")).ok());
    let (job, _, _) =
        until("a worker", || slurm.jobs().into_iter().find(|(_, state, _)| state == "RUNNING"));
    slurm.ask("scancel", &[&job]);
    let said = there.said(&run.wait_with_output().expect("an end"));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(there.objects() == here.objects(), "the objects differ");
}

#[test]
fn two_drivers_share_the_work() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let study = many(30);
    let runs = [0, 1].map(|_| slurm.run_command(&study, &[]).spawn().expect("a run"));
    for run in runs {
        let said = study.said(&run.wait_with_output().expect("an end"));
        assert_eq!(said.code, 0, "{}", said.stderr);
        assert_eq!(study.record(&said).steps.len(), 32);
    }
    assert_each_once(&study, 32);
    assert_eq!(study.run_folders(), 2);
}

#[test]
fn a_step_that_fails_on_a_node_is_explained_as_ever() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let mut study = tones::three();
    study.edit("clusters: 3", "clusters: 100");
    let here = study.run();
    let there = tones::three().pipeline(study.text());
    profile(&there, "");
    let said = slurm.run(&there);
    assert_eq!(said.code, here.code, "{}", said.stderr);
    let error = |text: &str| text[text.find("run::").expect("an error")..].to_owned();
    assert_eq!(error(&said.stderr), error(&here.stderr));
    until("the end of all jobs", || slurm.jobs().is_empty().then_some(()));
}

#[test]
fn what_slurm_refuses_is_said_in_its_own_words_before_anything_runs() {
    let Some(slurm) = Slurm::start(&["nodes=1"]) else { return };
    for (from, to, words) in [
        ("400MB", "1TB", "Requested node configuration is not available"),
        ("at_most: 4", "at_most: 4, partition: none", "nvalid partition"),
    ] {
        let study = many(3);
        let lab = study.read("lab.yaml").replace(from, to);
        study.write("lab.yaml", lab);
        let said = slurm.run(&study);
        assert_eq!(said.code, 2, "{}", said.stderr);
        assert!(
            said.stderr.contains("`sbatch` says: ") && said.stderr.contains(words),
            "{}",
            said.stderr
        );
        assert!(!study.path("runs").exists());
    }
}

#[test]
fn a_machine_without_slurm_says_so_and_a_dry_run_needs_none() {
    let study = many(3);
    let mut command = study.run_command(&["--on", "lab.yaml"]);
    let said = study.said(&command.env("PATH", "/nowhere").output().expect("the binary starts"));
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("there is no program `sbatch` here"), "{}", said.stderr);
    assert!(!study.path("runs").exists());
    let mut command = study.run_command(&["--on", "lab.yaml", "--dry-run"]);
    let said = study.said(&command.env("PATH", "/nowhere").output().expect("the binary starts"));
    assert_eq!(said.code, 0, "{}", said.stderr);
    for line in [
        "#SBATCH --array=1-4",
        "#SBATCH --cpus-per-task=1",
        "#SBATCH --mem=382M",
        "#SBATCH --time=10",
    ] {
        assert!(said.stdout.contains(line), "{line}: {}", said.stdout);
    }
    assert!(!study.path("runs").exists());
}

#[test]
fn a_profile_with_faults_is_refused() {
    let study = many(3);
    for (text, words) in [
        ("executor: pbs\nworkers: {}\n", "`executor` must be `slurm`, not `pbs`"),
        ("executor: slurm\nworkers: {}\n", "`workers` names no kind of workers"),
        (
            "executor: slurm\nworkers: { cpu: { cpus: 1, time: soon } }\n",
            "in `workers.cpu.time`: `soon` is no time",
        ),
        (
            "executor: slurm\nworkers: { cpu: { cpus: 1, time: 1h, partion: x } }\n",
            "unknown field `partion`",
        ),
        (
            "executor: slurm\nworkers: { cpu: { cpus: 0, time: 1h } }\n",
            "`cpus` and `at_most` of at least 1",
        ),
    ] {
        study.write("lab.yaml", text);
        let said = study.run_with(&["--on", "lab.yaml"]);
        assert_eq!(said.code, 2, "{text}: {}", said.stderr);
        assert!(said.stderr.contains(words), "{text}: {}", said.stderr);
    }
    let said = study.run_with(&["--on", "absent.yaml"]);
    assert!(said.code == 2 && said.stderr.contains("cannot read `absent.yaml`"), "{}", said.stderr);
    let said = study.run_with(&["--executor", "slurm"]);
    assert!(said.code == 2 && said.stderr.contains("ENGINE_PROFILE"), "{}", said.stderr);
}

#[test]
fn workers_that_nobody_has_asked_for_again_are_cancelled() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let study = Study::new().pipeline(TRAINING);
    profile(&study, "");
    let left = slurm.run_command(&study, &["--detach"]).output().expect("the binary starts");
    let left = study.said(&left);
    assert_eq!(left.code, 0, "{}", left.stderr);
    assert!(left.stderr.contains("the workers go on"), "{}", left.stderr);
    assert!(!slurm.jobs().is_empty());
    let mut cancel = study.command(&["cancel", "training"]);
    let said = study.said(
        &cancel.env("SLURM_CONF", slurm.configuration()).output().expect("the binary starts"),
    );
    assert!(
        said.code == 0 && said.stdout.contains("cancelled the workers of `training`"),
        "{}",
        said.stderr
    );
    until("the end of all jobs", || slurm.jobs().is_empty().then_some(()));
    let store = Store::open(&study.path(".engine")).expect("a store");
    assert!(store.claims().is_empty(), "no lease is left");
    drop(store);
    let said = slurm.run(&study);
    assert_eq!(said.code, 0, "{}", said.stderr);
}

#[test]
fn nodes_that_see_the_store_each_in_its_own_way_agree() {
    let Some(slurm) = Slurm::start_apart(&["nodes=3"]) else { return };
    let study = many(60);
    for name in ["table.csv", "lab.yaml"] {
        fs::copy(study.path(name), slurm.shared().join(name)).expect("a file");
    }
    fs::write(slurm.shared().join("study.yaml"), study.text()).expect("a pipeline");
    let said = slurm.run_apart();
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("62 ran, 0 cached of 62 steps"), "{}", said.stderr);
    let lines = lines(&slurm.shared().join(".engine"));
    let twice = lines.values().filter(|count| **count > 1).count();
    assert!(lines.len() == 62 && twice < 6, "{} steps, {twice} of them twice", lines.len());
}

#[test]
fn a_step_that_outgrows_its_worker_gets_a_larger_one() {
    let Some(slurm) = Slurm::start(&["nodes=1"]) else { return };
    let study = Study::new().pipeline(
        "name: large
steps:
  table: { op: matrix, path: table.npy, resources: { memory: 20MB } }
",
    );
    let head = "{'descr': '<f4', 'fortran_order': False, 'shape': (1500000, 32), }";
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{head:<117}\n").bytes());
    bytes.extend((0..48_000_000_u32).flat_map(|at| ((at % 1000) as f32).to_le_bytes()));
    study.write("table.npy", bytes);
    let profile = "executor: slurm\nshort: 0s\nbeat: 0.5s\nworkers:\n  cpu: { cpus: 1, memory: 100MB, time: 10m }\n";
    study.write("lab.yaml", profile);
    let said = slurm.run(&study);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(
        said.stderr.contains("it died with 100 MB of memory; once more with 200 MB"),
        "{}",
        said.stderr
    );
    study.write("lab.yaml", profile.replace("time: 10m", "time: 10m, most_memory: 150MB"));
    let mut again = slurm.run_command(&study, &["--force", "table"]);
    let said = study.said(&again.output().expect("the binary starts"));
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(
        said.stderr.contains("`table` needs more than 150 MB of memory, which is the most"),
        "{}",
        said.stderr
    );
}

#[test]
fn a_training_goes_on_beyond_the_time_of_a_worker() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let pipeline = TRAINING.replace("epochs: 100", "epochs: 400").replace("mel:", "mel: ");
    let there = Study::new().pipeline(&pipeline);
    there.write(
        "lab.yaml",
        "executor: slurm\nshort: 0s\nbeat: 0.5s\nworkers:\n  cpu: { cpus: 1, memory: 400MB, time: 1m, options: [\"--signal=B:TERM@50\"] }\n",
    );
    let said = slurm.run(&there);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.matches("submitted ").count() >= 2, "{}", said.stderr);
    assert_each_once(&there, 3);
    let here = Study::new().pipeline(&pipeline);
    here.ran();
    assert!(there.objects() == here.objects(), "the objects differ");
}
