//! Files in a place where they do not belong: links, pipes, devices, folders; a standard output
//! that is full; a folder that is no store.

use crate::{study::Study, tones};
use cache::record::StepStatus;
use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::{Pid, Signal, kill_process},
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};
use walkdir::WalkDir;

/// Only what hangs waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a command to its end, and fails where it has none.
fn ended(study: &Study, command: &mut Command) -> crate::study::CommandOutput {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let pid = Pid::from_child(&child);
    let (sender, receiver) = std::sync::mpsc::channel();
    let waiting = thread::spawn(move || {
        let output = child.wait_with_output();
        let _ = sender.send(());
        output
    });
    if receiver.recv_timeout(PATIENCE).is_err() {
        let _ = kill_process(pid, Signal::KILL);
        panic!("it hangs: {command:?}");
    }
    study.text_of(&waiting.join().expect("no panic").expect("an output"))
}

fn pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).expect("a named pipe");
}

fn content(root: &Path) -> BTreeMap<std::path::PathBuf, Option<Vec<u8>>> {
    let entries = WalkDir::new(root).into_iter().map(|entry| entry.expect("readable").into_path());
    entries.map(|path| (path.clone(), fs::read(path).ok())).collect()
}

#[test]
fn no_command_touches_what_a_link_in_the_store_leads_to() {
    let study = tones::three();
    study.run();
    let victim = study.path("victim");
    for folder in [
        "tmp-v1", "leases-v1", "journal-v2", "checkpoints-v1", "logs-v1", "figures-v1", "objects-v1",
    ] {
        let (place, aside) = (study.path(format!(".engine/{folder}")), study.path("aside"));
        fs::create_dir_all(&victim).expect("a folder");
        for name in ["mine.txt", "12-0", &"ab".repeat(32), &format!("{}.log", "ab".repeat(32))] {
            fs::write(victim.join(name), "mine").expect("a file");
        }
        let _ = fs::rename(&place, &aside);
        symlink(&victim, &place).expect("a link");
        let before = content(&victim);
        for command in [
            &["cache", "du"][..],
            &["cache", "gc", "--older-than", "0s"],
            &["cache", "verify"],
            &["run", "study.yaml"],
            &["runs"],
        ] {
            let said = study.engine(command);
            assert_eq!(said.code, 2, "{command:?}: {}", said.stderr);
            let link = format!("`.engine/{folder}` is a symbolic link");
            assert!(said.stderr.contains(&link), "{command:?}: {}", said.stderr);
        }
        assert_eq!(content(&victim), before, "{folder}");
        fs::remove_file(&place).expect("the link");
        let _ = fs::rename(&aside, &place);
    }
    // The store as a whole may lie elsewhere.
    fs::rename(study.path(".engine"), study.path("elsewhere")).expect("moved");
    symlink(study.path("elsewhere"), study.path(".engine")).expect("a link");
    assert_eq!(study.ran(), [""; 0]);
}

#[test]
fn whatever_has_an_objects_name_is_rebuilt() {
    for sort in ["pipe", "device", "folder", "link"] {
        let study = tones::three();
        let first = study.run();
        let objects = study.objects();
        let path = study.object_of(&first, "scores", "scores");
        fs::remove_file(&path).expect("an object");
        match sort {
            "pipe" => pipe(&path),
            "device" => symlink("/dev/zero", &path).expect("a link"),
            "folder" => fs::create_dir_all(path.join("mine")).expect("a folder"),
            _ => symlink(study.path("study.yaml"), &path).expect("a link"),
        }
        let said = ended(&study, &mut study.run_command(&[]));
        assert_eq!(said.code, 0, "{sort}: {}", said.stderr);
        assert_eq!(study.steps_that(&said, StepStatus::Ran), ["scores"], "{}", said.stderr);
        assert!(said.stderr.contains("is damaged: it is a "), "{sort}: {}", said.stderr);
        let (name, bytes) = (path.file_name().expect("a name"), fs::read(&path).expect("rebuilt"));
        assert_eq!(objects[&name.to_string_lossy().into_owned()], bytes, "{sort}");
        assert_eq!(study.read("study.yaml"), study.text(), "{sort}");
    }
}

#[test]
fn a_pipe_in_a_files_place_hangs_nothing() {
    let study = tones::three();
    let said = study.run();
    let folder = study.path(said.stdout.trim()).parent().expect("a folder").to_owned();
    let record = folder.join("record.json");
    for (path, commands) in [
        (study.path(".engine/journal-v1.jsonl"), &[&["run", "study.yaml"][..], &["runs"]][..]),
        (study.path(".engine/state-v2.jsonl"), &[&["plan", "study.yaml"], &["cache", "du"]]),
        (study.path("study.yaml"), &[&["run", "study.yaml"], &["graph", "study.yaml"]]),
        (record, &[&["show", "small"], &["diff", "small", "small"], &["cache", "gc"]]),
    ] {
        let aside = study.path("aside");
        let _ = fs::rename(&path, &aside);
        pipe(&path);
        for command in commands {
            let said = ended(&study, &mut study.command(command));
            assert!([1, 2].contains(&said.code), "{command:?}: {} {}", said.code, said.stderr);
            let why = "it is a named pipe, not a regular file";
            assert!(said.stderr.contains(why), "{command:?}: {}", said.stderr);
        }
        fs::remove_file(&path).expect("the pipe");
        let _ = fs::rename(&aside, &path);
    }
    // These can be made again, and are.
    for path in [study.index_of_files(), study.path(".engine/runs-v1")] {
        let _ = fs::remove_file(&path);
        pipe(&path);
        let said = ended(&study, &mut study.run_command(&[]));
        assert_eq!(said.code, 0, "{}: {}", path.display(), said.stderr);
    }
}

#[test]
fn a_full_standard_output_is_no_success() {
    if !Path::new("/dev/full").exists() {
        eprintln!("SKIPPED: there is no `/dev/full`");
        return;
    }
    let study = tones::three();
    study.run();
    for arguments in [
        &["show"][..],
        &["show", "--report"],
        &["runs"],
        &["why", "latest", "r1.ari"],
        &["plan", "study.yaml"],
        &["explain", "study.yaml", "pca"],
        &["graph", "study.yaml"],
        &["schema"],
        &["ops"],
        &["ops", "pca"],
        &["diff", "latest", "latest"],
        &["cache", "du"],
        &["cache", "verify"],
        &["completions", "bash"],
        &["run", "study.yaml"],
        &["run", "study.yaml", "--dry-run"],
        &["report"],
        &["--help"],
        &["--version"],
        &["devices"],
    ] {
        let full = fs::File::options().write(true).open("/dev/full").expect("a device");
        let output = study.command(arguments).stdout(full).output().expect("starts");
        let said = study.text_of(&output);
        assert_eq!(said.code, 1, "{arguments:?}: {}", said.stderr);
        let why = "error: cannot write to standard output: no space left on device";
        assert!(said.stderr.contains(why), "{arguments:?}: {}", said.stderr);
        // A reader that has gone away is no fault.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = study.command(arguments).stdout(writer).output().expect("starts");
        let said = study.text_of(&output);
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.stderr);
        assert!(!said.stderr.contains("standard output"), "{arguments:?}: {}", said.stderr);
    }
}

#[test]
fn who_only_looks_writes_nothing_in_a_strange_folder() {
    let study = tones::three();
    study.write("study.yaml", study.text());
    let before = content(&study.path("."));
    for arguments in [
        &["plan", "study.yaml"][..],
        &["plan", "study.yaml", "--json"],
        &["run", "study.yaml", "--dry-run"],
        &["explain", "study.yaml", "pca"],
        &["graph", "study.yaml"],
        &["runs"],
        &["show"],
        &["cache", "du"],
        &["plan", "study.yaml", "--store", "data"],
    ] {
        study.engine(arguments);
        assert_eq!(content(&study.path(".")), before, "{arguments:?}");
    }
    for arguments in [&["run", "study.yaml"][..], &["plan", "study.yaml"], &["cache", "du"]] {
        let said = study.engine(&[arguments, &["--store", "study.yaml"]].concat());
        assert_eq!(said.code, 2, "{arguments:?}: {}", said.stderr);
        assert!(
            said.stderr.contains("`study.yaml` cannot be a store: it is a file"),
            "{}",
            said.stderr
        );
    }
}
