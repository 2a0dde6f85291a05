//! Nodes and drivers that see the store each in its own way, another store, or one elsewhere.

use crate::{
    cluster::{assert_each_once, lines, many, profile},
    slurm::Slurm,
    study::{STEPS, Study},
    tones,
};
use cache::{Digest, Store, record::StepStatus};
use std::fs;

#[test]
fn nodes_that_see_the_store_each_in_its_own_way_agree() {
    let Some(slurm) = Slurm::start_apart(&["nodes=3"]) else { return };
    share(&slurm, &many(60));
    let said = Study::new().text_of(&slurm.run_apart("shared").output().expect("a shell"));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("62 ran, 0 cached of 62 steps"), "{}", said.stderr);
    assert_few_twice(&slurm, 62);
}

/// Puts a study where the nodes see it.
fn share(slurm: &Slurm, study: &Study) {
    fs::copy(study.path("table.csv"), slurm.shared().join("table.csv")).expect("a file");
    fs::write(slurm.shared().join("lab.yaml"), patient(study)).expect("a profile");
    fs::write(slurm.shared().join("study.yaml"), study.text()).expect("a pipeline");
}

/// The profile of a study, with more time until a process is taken for dead: a busy disk shows late that it lives.
fn patient(study: &Study) -> String {
    study.read("lab.yaml").replace("heartbeat: 0.5s", "heartbeat: 2s")
}

fn assert_few_twice(slurm: &Slurm, steps: usize) {
    let lines = lines(&slurm.shared().join(".engine"));
    let twice = lines.values().filter(|count| **count > 1).count();
    assert!(lines.len() == steps && twice < 6, "{} steps, {twice} of them twice", lines.len());
}

#[test]
fn two_drivers_whose_paths_to_the_store_differ_share_the_work() {
    let Some(slurm) = Slurm::start_apart(&[]) else { return };
    let study = many(30);
    share(&slurm, &study);
    let (elsewhere, there) = (slurm.folder().join("elsewhere"), slurm.folder().join("shared"));
    let paths = format!("paths: {{ {}: {} }}\n", elsewhere.display(), there.display());
    profile(&study, &paths);
    let lab = slurm.shared().join("lab-elsewhere.yaml");
    fs::write(lab, patient(&study)).expect("a profile");
    let mut drivers = [slurm.run_apart("shared"), slurm.run_apart("elsewhere")];
    let drivers = drivers.each_mut().map(|driver| driver.spawn().expect("a shell"));
    for driver in drivers {
        let said = study.text_of(&driver.wait_with_output().expect("an end"));
        assert_eq!(said.code, 0, "{}", said.stderr);
    }
    assert_few_twice(&slurm, 32);
    let plans = fs::read_dir(slurm.shared().join(".engine/work-v1")).expect("a folder").count();
    assert_eq!(plans, 1, "both drivers follow one plan");
}

#[test]
fn a_node_that_sees_another_folder_as_the_store_is_left_alone() {
    let study = many(6);
    let store = study.path(".engine");
    fs::create_dir_all(&store).expect("a folder");
    let setup = format!(
        "#!/bin/sh\n[ \"$1\" != n1 ] || mount -t tmpfs -o size=1m none '{}'\n",
        store.display()
    );
    let Some(slurm) = Slurm::start_with_setup(&[], &setup) else { return };
    let said = slurm.run(&study);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let words = "node n1 is left alone: it does not see the store `DIR/.engine`, or another folder under that path";
    assert!(said.stderr.contains(words), "{}", said.stderr);
    assert_each_once(&study, 8);
}

#[test]
fn a_worker_refuses_a_store_that_is_not_the_one_of_its_driver() {
    let study = Study::new();
    let store = Store::open(&study.path("store")).expect("a store");
    let (id, plan) = (store.identity().expect("a name"), Digest::of(b"a plan").to_string());
    store.close();
    let worker = |id: &str| {
        let id = format!("--store-id={id}");
        let task = ["--kind=cpu", "--memory=1GB", "--until=60", "--store=store", &id];
        study.engine(&[&["worker", &plan][..], &task].concat())
    };
    let said = worker("0123");
    assert_eq!(said.code, 74, "{}", said.stderr);
    assert!(said.stderr.contains("this node sees another store as `store`"), "{}", said.stderr);
    let said = worker(&id);
    assert!(said.code == 1 && said.stderr.contains("there is no plan in"), "{}", said.stderr);
}

#[test]
fn a_node_without_room_for_files_of_programs_leaves_the_steps_to_others() {
    let study = Study::new();
    let local = study.path("local");
    fs::create_dir_all(&local).expect("a folder");
    let setup = format!(
        "#!/bin/sh\n[ \"$1\" != n1 ] || mount -t tmpfs -o size=128k none '{}'\n",
        local.display()
    );
    let Some(slurm) = Slurm::start_with_setup(&[], &setup) else { return };
    let study = study.pipeline(
        "name: copies
steps:
  table: { op: matrix, path: table.csv }
  copy: { op: command, for: { n: \"range(0,8)\" }, in: { features: table }, command: [sh, -c, \"sleep 0.3; cp {in.features} {out.features}; : ${n}\"], outputs: { features: matrix } }
",
    );
    let rows =
        (0..20_000_u64).map(|row| format!("{},{}\n", row * 7919 % 10_007, row * row % 104_729));
    study.write("table.csv", format!("a,b\n{}", rows.collect::<String>()));
    profile(&study, &format!("setup: export TMPDIR={}\n", local.display()));
    let said = slurm.run(&study);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let words = "node n1 is left alone: 3 steps failed because of this node";
    assert!(said.stderr.contains(words), "{}", said.stderr);
    assert_each_once(&study, 9);
}

#[test]
fn workers_take_from_a_remote_what_the_store_does_not_have() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let (study, remote) = (tones::three(), tempfile::tempdir().expect("a folder"));
    let place = remote.path().to_str().expect("text");
    let said = study.run_with(&["--push", "--remote", place]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let objects = study.objects();
    // The remote has lost a step, so that nobody can ask for what comes after it before that is made anew.
    let mel = study.record(&said).step("mel").expect("a step").key.expect("a key").to_string();
    fs::remove_file(remote.path().join(format!("steps-v1/{}/{mel}.json", &mel[..2])))
        .expect("a step");
    fs::remove_dir_all(study.path(".engine")).expect("a store");
    profile(&study, "");
    let mut run = slurm.run_command(&study, &["--remote", place]);
    let said = study.text_of(&run.output().expect("the binary starts"));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(study.steps_that(&said, StepStatus::Ran), ["mel"], "{}", said.stderr);
    assert_eq!(study.steps_that(&said, StepStatus::Hit).len(), STEPS.len() - 1);
    assert!(study.objects() == objects, "the objects differ");
}

#[test]
fn the_first_table_is_the_same_on_a_cluster() {
    let Some(slurm) = Slurm::start(&[]) else { return };
    let text = include_str!("../../../pipelines/table1.yaml");
    let small = [
        "--set",
        "data=data",
        "--set",
        "epochs=2",
        "--set",
        "latent=4",
        "--set",
        "clusters=3",
        "--set",
        "mel.sample_rate=8000",
        "--set",
        "mel.duration=1.0",
        "--set",
        "mel.n_fft=512",
        "--set",
        "mel.n_mels=32",
        "--set",
        "cepstra.n_mfcc=8",
    ];
    let [here, there] = [(); 2].map(|()| {
        let study = Study::new().pipeline(text);
        let corpus = study.engine(&["synth", "data", "--clips-per-class", "3"]);
        assert_eq!(corpus.code, 0, "{}", corpus.stderr);
        study
    });
    let said = here.run_with(&small);
    assert_eq!(said.code, 0, "{}", said.stderr);
    profile(&there, "");
    let mut run = slurm.run_command(&there, &small);
    let on_slurm = there.text_of(&run.output().expect("the binary starts"));
    assert_eq!(on_slurm.code, 0, "{}", on_slurm.stderr);
    assert!(on_slurm.stderr.contains("submitted "), "{}", on_slurm.stderr);
    assert!(there.objects() == here.objects(), "the objects differ");
    assert_each_once(&there, here.record(&said).steps.len());
}

#[test]
fn a_store_that_was_removed_is_filled_again() {
    let Some(slurm) = Slurm::start(&["nodes=1"]) else { return };
    let study = many(3);
    for _ in 0..2 {
        let said = slurm.run(&study);
        assert_eq!(said.code, 0, "{}", said.stderr);
        assert!(said.stderr.contains("5 ran, 0 cached of 5 steps"), "{}", said.stderr);
        // Slurm still knows the jobs, whose logs were in the store.
        fs::remove_dir_all(study.path(".engine")).expect("a store");
    }
}
