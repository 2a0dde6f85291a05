//! Workers with too little memory or time for a step: it asks for more, and not for the same again.

use crate::{
    cluster::{TRAINING, assert_each_once, lines},
    slurm::Slurm,
    study::Study,
};

/// A program that holds memory for longer than Slurm needs to look at it, and copies its input.
fn hungry(megabytes: u32) -> String {
    format!(
        "(head -c {megabytes}000000 /dev/zero; sleep 4) | tail -n 1 > /dev/null && cp {{in.features}} {{out.features}}"
    )
}

fn copying(steps: &str) -> Study {
    let study = Study::new().pipeline(&format!(
        "name: copying\nsteps:\n  table: {{ op: matrix, path: table.csv }}\n{steps}"
    ));
    study.write("table.csv", "a,b\n1,2\n3,4\n5,7\n");
    study
}

fn step(name: &str, from: &str, program: &str, more: &str) -> String {
    format!(
        "  {name}: {{ op: command, in: {{ features: {from} }}, command: [sh, -c, \"{program}\"], outputs: {{ features: matrix }}, {more} }}\n"
    )
}

#[test]
fn a_step_that_outgrows_its_worker_gets_a_larger_one() {
    outgrow(&["nodes=1"], 90);
}

#[test]
fn a_step_that_the_kernel_ends_for_want_of_memory_gets_a_larger_worker() {
    // There, the worker lives on: its control group tells that the kernel has ended the program of a step. It does not
    // count what programs share.
    outgrow(&["nodes=1", "cgroup=1"], 120);
}

fn outgrow(settings: &[&str], megabytes: u32) {
    let Some(slurm) = Slurm::start(settings) else { return };
    let study = copying(&step("large", "table", &hungry(megabytes), "resources: { memory: 20MB }"));
    let profile = "executor: slurm\nrun_locally_below: 0s\nheartbeat: 0.5s\nworkers:\n  cpu: { cpus: 1, memory: 100MB, time: 10m }\n";
    study.write("lab.yaml", profile);
    let said = slurm.run(&study);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let words = "large: it died with 100 MB of memory; once more with 150 MB";
    assert!(said.stderr.contains(words), "{}", said.stderr);
    study.write("lab.yaml", profile.replace("time: 10m", "time: 10m, max_memory: 100MB"));
    let mut again = slurm.run_command(&study, &["--force", "large"]);
    let said = study.text_of(&again.output().expect("the binary starts"));
    assert_eq!(said.code, 1, "{}", said.stderr);
    let words = "step `large`: it needs more than 100 MB of memory, which is the most";
    assert!(said.stderr.contains(words), "{}", said.stderr);
}

#[test]
fn a_step_that_is_not_done_in_time_asks_for_more_as_often_as_it_may() {
    ask_for_more_time(2);
}

#[test]
fn a_step_that_was_given_up_keeps_no_worker_from_the_others() {
    // If the only worker there is began with it once more, the run would not end.
    ask_for_more_time(1);
}

/// Runs steps that take longer than a worker has, with at most so many workers.
fn ask_for_more_time(max_workers: usize) {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let copy = |seconds: u32| format!("sleep {seconds}; cp {{in.features}} {{out.features}}");
    let steps = [
        step("first", "table", &copy(4), "retries: 0"),
        step("patient", "first", &copy(10), "retries: 1"),
        step("short", "table", &copy(11), "retries: 0"),
    ];
    let study = copying(&steps.concat());
    // Of a minute, the shortest time that Slurm knows, a worker uses eight seconds.
    study.write(
        "lab.yaml",
        format!(
            "executor: slurm\nrun_locally_below: 0s\nheartbeat: 0.5s\ngrace_period: 52s\nworkers:\n  cpu: {{ cpus: 1, memory: 400MB, time: 1m, max_workers: {max_workers} }}\n"
        ),
    );
    let mut run = slurm.run_command(&study, &["--keep-going"]);
    let said = study.text_of(&run.output().expect("the binary starts"));
    assert_eq!(said.code, 3, "{}", said.stderr);
    for words in [
        "patient: it was not done within 1 min 00 s; once more with 2 min 00 s",
        "step `short`: it was not done within 1 min 00 s, the time of a worker `cpu`",
    ] {
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    }
    // The worker with two minutes may have been at `short` already when it was given up.
    let made = lines(&study.path(".engine"));
    assert!(made.len() >= 3 && made.values().all(|count| *count == 1), "{made:?}");
}

#[test]
fn a_training_goes_on_beyond_the_time_of_a_worker() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let pipeline = TRAINING.replace("epochs: 80", "epochs: 250");
    let there = Study::new().pipeline(&pipeline);
    there.write(
        "lab.yaml",
        "executor: slurm\nrun_locally_below: 0s\nheartbeat: 0.5s\ngrace_period: 55s\nworkers:\n  cpu: { cpus: 1, memory: 400MB, time: 1m }\n",
    );
    let said = slurm.run(&there);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.matches("submitted ").count() >= 3, "twice at its end: {}", said.stderr);
    assert_each_once(&there, 3);
    let here = Study::new().pipeline(&pipeline);
    here.ran();
    assert!(there.objects() == here.objects(), "the objects differ");
}
