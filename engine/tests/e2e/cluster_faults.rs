//! Faults of a cluster: all that it refuses, loses or ends is one clear error, or costs nothing that is finished.

use crate::{
    cluster::{TRAINING, assert_each_once, assert_trained, many, profile, training, until},
    slurm::Slurm,
    study::Study,
    tones,
};
use cache::Store;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

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
        ("max_workers: 4", "max_workers: 4, partition: none", "nvalid partition"),
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
    let said = study.text_of(&command.env("PATH", "/nowhere").output().expect("the binary starts"));
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("there is no program `sbatch` here"), "{}", said.stderr);
    assert!(!study.path("runs").exists());
    let mut command = study.run_command(&["--on", "lab.yaml", "--dry-run"]);
    let said = study.text_of(&command.env("PATH", "/nowhere").output().expect("the binary starts"));
    assert_eq!(said.code, 0, "{}", said.stderr);
    for line in [
        "#SBATCH --array=1-4",
        "#SBATCH --cpus-per-task=1",
        "#SBATCH --mem=382M",
        "#SBATCH --time=10",
    ] {
        assert!(said.stdout.contains(line), "{line}: {}", said.stdout);
    }
    // A plan says the same in few words, and for programs.
    let said = study.engine(&["plan", "study.yaml", "--on", "lab.yaml"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let told = said.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let jobs = "at most 4 jobs `cpu` on Slurm, each with 1 processor, 400 MB, for at most 10 min 00 s: 5 steps of an unknown time";
    assert!(told.contains(jobs), "{}", said.stdout);
    let mut command = study.command(&["plan", "study.yaml", "--executor", "slurm", "--json"]);
    let said = study
        .text_of(&command.env("ENGINE_PROFILE", "lab.yaml").output().expect("the binary starts"));
    let plan: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    let asked = &plan["workers"][0];
    assert_eq!(
        (&asked["jobs"], &asked["memory"], &asked["seconds"], &asked["steps"]),
        (&4.into(), &400_000_000_u64.into(), &600.into(), &5.into())
    );
    assert!(!study.path("runs").exists());
}

#[test]
fn a_step_asks_for_the_time_that_it_states() {
    let study = Study::new().pipeline(
        "name: long
steps:
  table: { op: matrix, path: table.csv, resources: { time: 90m, memory: 100MB } }
",
    );
    study.write("table.csv", "a,b\n1,2\n3,4\n");
    let lab = |time: &str| {
        let kind = format!("{{ cpus: 1, memory: 400MB, {time} }}");
        study.write("lab.yaml", format!("executor: slurm\nworkers:\n  cpu: {kind}\n"));
        study.run_with(&["--on", "lab.yaml", "--dry-run"])
    };
    for (time, line) in [
        // The worker leaves two minutes before its end.
        ("time: auto", "#SBATCH --time=92\n"),
        ("time: 10m, max_time: 2h", "#SBATCH --time=92\n"),
        ("time: 3h", "#SBATCH --time=180\n"),
    ] {
        let said = lab(time);
        assert!(
            said.code == 0 && said.stdout.contains(line),
            "{time}: {}{}",
            said.stdout,
            said.stderr
        );
    }
    let said = lab("time: 1h");
    let words = "it needs 1 processor, 100 MB of memory, 1 h 30 min";
    let told = said
        .stderr
        .split_whitespace()
        .filter(|word| !["│", "|"].contains(word))
        .collect::<Vec<_>>()
        .join(" ");
    assert!(said.code == 2 && told.contains(words), "{}", said.stderr);
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
            "executor: slurm\nworkers: { cpu: { cpus: 1, max_time: 10s } }\n",
            "`max_time` of `cpu` must be at least a minute",
        ),
        (
            "executor: slurm\nworkers: { cpu: { cpus: 0, time: 1h } }\n",
            "`cpus` of `cpu` must be at least 1",
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
    let left = study.text_of(&left);
    for (said, arguments) in [(2, vec!["runs"]), (1, vec!["show"]), (1, vec!["show", "training"])] {
        let told = study.engine(&arguments);
        let text = if said == 1 { &told.stdout } else { &told.stderr };
        let stands = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            told.code == 0 && stands.contains("of 3 steps done"),
            "{}{}",
            told.stdout,
            told.stderr
        );
        assert!(stands.contains("`training` is at work on a cluster (jobs "), "{stands}");
    }
    let listed: serde_json::Value =
        serde_json::from_str(&study.engine(&["runs", "--json"]).stdout).expect("JSON");
    assert_eq!(listed[0]["status"], "running", "{listed}");
    assert_eq!(listed[0]["cluster"]["steps"], 3, "{listed}");
    assert_eq!(left.code, 0, "{}", left.stderr);
    assert!(left.stderr.contains("the workers go on"), "{}", left.stderr);
    assert!(!slurm.jobs().is_empty());
    let mut cancel = study.command(&["cancel", "training"]);
    let said = study.text_of(
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
fn nodes_that_cannot_run_steps_are_named_with_the_reason() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let lab = |more: &str| {
        let study = many(3);
        profile(&study, &more.replace("DIR", &study.path("").display().to_string()));
        study
    };
    let study = lab("program: /nowhere/engine\n");
    let said = slurm.run(&study);
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stderr.contains("/nowhere/engine: No such file or directory"), "{}", said.stderr);
    let study = lab("paths: { DIR/table.csv: /nowhere/table.csv }\n");
    let said = slurm.run(&study);
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stderr.contains("this node does not see `/nowhere/table.csv`"), "{}", said.stderr);
    until("the end of all jobs", || slurm.jobs().is_empty().then_some(()));
}

#[test]
fn a_controller_that_is_gone_stops_no_worker() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let (study, run, _, _) = training(&slurm);
    slurm.lose_controller();
    assert_trained(&study, run);
    assert_each_once(&study, 3);
}

#[test]
fn a_job_that_will_never_start_is_told_with_the_reason_of_slurm() {
    let Some(slurm) = Slurm::start(&["nodes=1"]) else { return };
    let study = many(3);
    let lab = study.read("lab.yaml").replace("max_workers: 4", "max_workers: 4, options: [--hold]");
    study.write("lab.yaml", lab);
    let said = slurm.run(&study);
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stderr.contains("will never start: Slurm says `JobHeldUser`"), "{}", said.stderr);
    until("the end of all jobs", || slurm.jobs().is_empty().then_some(()));
}

#[test]
fn an_interrupted_driver_leaves_its_workers_or_cancels_them() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let study = Study::new().pipeline(TRAINING);
    profile(&study, "");
    for (arguments, goes_on) in [(&[][..], true), (&["--cancel-on-interrupt"], false)] {
        let run = slurm.run_command(&study, arguments).spawn().expect("a run");
        // From then on the driver answers an interrupt.
        until("a run", || fs::read_dir(study.path("runs/training")).ok()?.next().map(drop));
        thread::sleep(Duration::from_millis(300));
        until("a worker", || slurm.jobs().into_iter().find(|(_, state, _)| state == "RUNNING"));
        until("a checkpoint", || fs::read_dir(study.path(".engine/checkpoints-v1")).ok());
        kill_process(Pid::from_child(&run), Signal::INT).expect("a living process");
        let said = study.text_of(&run.wait_with_output().expect("an end"));
        assert_eq!(said.code, 130, "{}", said.stderr);
        assert_eq!(said.stderr.contains("the workers go on"), goes_on, "{}", said.stderr);
        assert!(!goes_on || !slurm.jobs().is_empty());
    }
    until("the end of all jobs", || slurm.jobs().is_empty().then_some(()));
    let said = slurm.run(&study);
    assert_eq!(said.code, 0, "{}", said.stderr);
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
fn at_a_terminal_an_interrupted_driver_asks() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no `script`, which gives a program a terminal");
        return;
    }
    let study = Study::new().pipeline(TRAINING);
    profile(&study, "");
    for (answer, goes_on) in [("\n", true), ("c\n", false)] {
        let run = slurm.run_command(&study, &[]);
        let words = std::iter::once(run.get_program()).chain(run.get_args());
        let line: Vec<String> =
            words.map(|word| format!("'{}'", word.to_str().expect("text"))).collect();
        let mut terminal = Command::new("script");
        terminal.args(["-qefc", &line.join(" "), "shown.txt"]).current_dir(study.path(""));
        for (name, value) in run.get_envs().filter_map(|(name, value)| Some((name, value?))) {
            terminal.env(name, value);
        }
        let terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let mut terminal = terminal.expect("a terminal");
        let mut keys = terminal.stdin.take().expect("a pipe");
        let shows = |words: &str| {
            let shown = fs::read_to_string(study.path("shown.txt")).unwrap_or_default();
            shown.contains(words).then_some(())
        };
        // From then on the driver answers an interrupt.
        until("a run", || fs::read_dir(study.path("runs/training")).ok()?.next().map(drop));
        thread::sleep(Duration::from_millis(300));
        until("a worker", || slurm.jobs().into_iter().find(|(_, state, _)| state == "RUNNING"));
        until("a checkpoint", || fs::read_dir(study.path(".engine/checkpoints-v1")).ok());
        keys.write_all(b"\x03").expect("an open terminal");
        until("a question", || shows("press Enter to leave the workers"));
        keys.write_all(answer.as_bytes()).expect("an open terminal");
        let ended = terminal.wait().expect("an end");
        assert_eq!(ended.code(), Some(130));
        assert_eq!(shows("the workers go on").is_some(), goes_on);
        assert!(!goes_on || !slurm.jobs().is_empty());
    }
    until("the end of all jobs", || slurm.jobs().is_empty().then_some(()));
}
