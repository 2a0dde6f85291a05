//! Faults that were found in other engines: each of these accepted a tampered file, handed out a
//! damaged one, or could not go on after a signal.

use crate::{
    damage::in_a_page,
    study::{STEPS, Study},
    tones,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::Stdio,
};

fn append_a_line(path: &Path) {
    let mut file = fs::OpenOptions::new().append(true).open(path).expect("an object");
    file.write_all(b"tampered\n").expect("written");
}

#[test]
fn a_line_appended_to_an_intermediate_or_final_output_is_noticed_and_taken_back() {
    for (step, port) in [("norm", "features"), ("pca", "latent"), ("scores", "scores")] {
        let study = tones::three();
        let first = study.run();
        let objects = study.objects();
        append_a_line(&study.object_of(&first, step, port));
        let plan = study.engine(&["plan", "study.yaml"]).stdout;
        assert!(!plan.contains("nothing to run"), "{plan}");
        let said = study.run();
        assert_eq!(said.code, 0, "{}", said.stderr);
        assert!(said.stderr.contains(&format!("{step}.{port}: object `")), "{}", said.stderr);
        assert!(study.objects() == objects, "{step}: the tampered bytes are still there");
        assert_eq!(study.ran(), [""; 0]);
    }
}

#[test]
fn a_final_output_of_the_same_length_and_time_is_noticed() {
    let study = tones::three();
    let first = study.run();
    let objects = study.objects();
    let path = study.object_of(&first, "scores", "scores");
    let (mut bytes, before) =
        (fs::read(&path).expect("an object"), fs::metadata(&path).expect("it"));
    let page = in_a_page(&bytes);
    bytes[page] ^= 1;
    fs::write(&path, bytes).expect("written");
    let file = fs::File::options().write(true).open(&path).expect("an object");
    file.set_modified(before.modified().expect("a time")).expect("another time");
    assert_eq!(study.ran(), ["scores"]);
    assert!(study.objects() == objects);
}

#[test]
fn a_damaged_object_is_never_handed_out_though_all_else_is_deleted() {
    let study = tones::three();
    let first = study.run();
    let objects = study.objects();
    let kept = study.object_of(&first, "pca", "latent");
    for path in study.object_files().into_iter().filter(|path| *path != kept) {
        fs::remove_file(path).expect("an object");
    }
    let mut bytes = fs::read(&kept).expect("an object");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 16;
    fs::write(&kept, bytes).expect("written");
    let out = study.engine(&["export", "latest", "pca.latent", "--to", "latent.csv"]);
    assert_eq!(out.code, 1, "{}", out.stderr);
    assert!(out.stderr.contains("is damaged") && !study.path("latent.csv").exists());
    fs::remove_dir_all(study.path("runs")).expect("the runs");
    assert_eq!(study.ran(), STEPS);
    assert!(study.objects() == objects);
}

#[test]
fn a_copied_store_runs_nothing_and_reads_each_object_once() {
    let study = tones::three();
    study.ran();
    for path in study.object_files() {
        let bytes = fs::read(&path).expect("an object");
        fs::remove_file(&path).expect("removed");
        fs::write(&path, bytes).expect("a copy");
    }
    assert_eq!(study.ran(), [""; 0]);
}

#[test]
fn a_request_to_end_in_the_midst_of_many_steps_costs_no_finished_step() {
    let mut pipeline = "name: many\nsteps:\n  table: { op: matrix, path: table.csv }\n".to_owned();
    for seed in 1..400 {
        pipeline.push_str(&format!(
            "  g{seed}: {{ op: kmeans, in: table, clusters: 2, seed: {seed} }}\n"
        ));
    }
    let study = Study::new().pipeline(&pipeline);
    study.write("table.csv", "a,b\n1,2\n3,5\n8,13\n");
    let mut command = study.run_command(&[]);
    let mut run =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let (mut said, mut piece) = (String::new(), [0; 64]);
    let mut stderr = run.stderr.take().expect("a pipe");
    while said.lines().count() < 20 {
        let length = stderr.read(&mut piece).expect("text");
        assert_ne!(length, 0, "{said}");
        said.push_str(&String::from_utf8_lossy(&piece[..length]));
    }
    kill_process(Pid::from_child(&run), Signal::TERM).expect("a living process");
    stderr.read_to_string(&mut said).expect("text");
    let ended = run.wait_with_output().expect("an end");
    assert_eq!(ended.status.code(), Some(130), "{said}");
    let finished = said.lines().filter(|line| line.contains(" ran  ")).count();
    assert!((20..400).contains(&finished), "{finished}");
    assert_eq!(study.ran().len(), 400 - finished, "exactly the others");
    assert_eq!(study.ran(), [""; 0]);
}

#[test]
fn all_typos_are_shown_at_once_with_what_was_meant() {
    let study = Study::new().pipeline(
        "name: typos
steps:
  clips: { op: synth, clips_per_clas: 3 }
  mel: { op: logmel, in: clips }
  norm: { op: normalize, in: clip }
",
    );
    let said = study.run();
    assert_eq!(said.code, 2);
    for (place, meant) in [
        ("study.yaml:3:", "did you mean `clips_per_class`?"),
        ("study.yaml:4:", "did you mean `log_mel`?"),
        ("study.yaml:5:", "did you mean `clips`?"),
    ] {
        assert!(said.stderr.contains(place) && said.stderr.contains(meant), "{}", said.stderr);
    }
}
