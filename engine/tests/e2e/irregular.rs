//! Irregular files in the place of regular ones: each is named, and nothing waits for it.

use crate::{study::Study, tones};
use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::{Pid, Signal, kill_process},
};
use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, symlink},
        net::UnixListener,
        process::CommandExt,
    },
    path::Path,
    process::Stdio,
};

fn pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).expect("a named pipe");
}

/// Runs a study that must end by itself and names what it found.
fn refused(study: &Study, code: i32, parts: &[&str]) {
    let said = study.run();
    assert_eq!(said.code, code, "{}", said.stderr);
    for part in parts {
        assert!(said.stderr.contains(part), "`{part}` is not in {}", said.stderr);
    }
}

#[test]
fn among_recordings_all_are_named_at_once() {
    let study = tones::three();
    pipe(&study.path("data/bell/pipe.wav"));
    symlink("/dev/zero", study.path("data/bell/zero.flac")).expect("a link");
    let _socket = UnixListener::bind(study.path("data/bell/socket.mp3")).expect("a socket");
    let parts =
        ["pipe.wav`: it is a named pipe", "zero.flac`: it is a device", "socket.mp3`: it is"];
    refused(&study, 2, &parts);
    let mut study = Study::new();
    study.edit("audio_folder", "manifest");
    study.edit("data: data", "data: list.csv");
    study.write("list.csv", "path,label\npipe.wav,a\n");
    pipe(&study.path("pipe.wav"));
    refused(&study, 2, &["pipe.wav`: it is a named pipe"]);
}

#[test]
fn in_place_of_a_list_a_table_an_archive_or_a_script() {
    for (op, name) in [
        ("manifest, path", "list.csv"),
        ("matrix, path", "own.parquet"),
        ("irmas, path", "irmas.zip"),
        ("command, command: [cp, x, \"{out.y}\"], outputs: { y: matrix }, files", "[part.sh]"),
    ] {
        let study =
            Study::new().pipeline(&format!("name: odd\nsteps:\n  odd: {{ op: {op}: {name} }}\n"));
        pipe(&study.path(name.trim_matches(['[', ']'])));
        refused(&study, 2, &["it is a named pipe, not a regular file"]);
    }
}

#[test]
fn in_place_of_the_pipeline() {
    let study = Study::new();
    pipe(&study.path("pipe.yaml"));
    for path in ["pipe.yaml", "/dev/zero"] {
        let said = study.engine(&["run", path]);
        assert_eq!(said.code, 2, "{}", said.stderr);
        assert!(said.stderr.contains("not a regular file"), "{}", said.stderr);
    }
}

#[test]
fn as_what_a_program_makes() {
    for made in ["mkfifo \"$1\"", "ln -s /dev/zero \"$1\"", "mkdir \"$1\""] {
        let study = Study::new().pipeline(
            "name: odd\nsteps:\n  odd: { op: command, command: [sh, make.sh, \"{out.y}\"], outputs: { y: matrix } }\n",
        );
        study.write("make.sh", made);
        refused(&study, 1, &["`{out.y}` of `sh` cannot be read: it is a"]);
    }
}

#[test]
fn what_appears_after_the_files_were_listed_ends_the_step_too() {
    let mut study = tones::three();
    study.edit(
        "  mel:",
        "  gate: { op: command, command: [sh, gate.sh, \"{in.c}\", \"{out.c}\"], in: { c: clips }, outputs: { c: clips } }\n  mel:",
    );
    study.edit("in: clips, s", "in: gate, s");
    let script = "rm data/bell/00.wav; mkfifo data/bell/00.wav; cp \"$1\" \"$2\"";
    study.write("gate.sh", script);
    refused(&study, 1, &["it is a named pipe"]);
    assert!(fs::metadata(study.path("data/bell/00.wav")).is_ok(), "it stays where it is");
}

#[test]
fn a_file_that_grows_beyond_the_limit_of_the_system_is_an_error_in_words() {
    let study = tones::three();
    study.write("study.yaml", study.text());
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", "ulimit -f 4; exec \"$0\" run study.yaml --threads 1"]);
    let shell = shell.arg(env!("CARGO_BIN_EXE_engine")).current_dir(study.path(""));
    let said = study.text_of(&shell.output().expect("a shell"));
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stderr.contains("too large"), "{}", said.stderr);
}

#[test]
fn threads_that_cannot_be_started_are_an_error_in_words() {
    let study = tones::three();
    study.write("study.yaml", study.text());
    fs::copy(env!("CARGO_BIN_EXE_engine"), study.path("engine")).expect("the binary");
    fs::set_permissions(study.path(""), fs::Permissions::from_mode(0o777)).expect("a folder");
    let mut shell = std::process::Command::new("/bin/sh");
    shell
        .args(["-c", "{ ulimit -p 1 || ulimit -u 1; } 2>/dev/null; exec ./engine run study.yaml"])
        .current_dir(study.path(""));
    // The limit is none for the superuser.
    if rustix::process::getuid().is_root() {
        shell.uid(65_534);
    }
    let Ok(output) = shell.output() else { return };
    let said = study.text_of(&output);
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stderr.contains("the system starts no more threads"), "{}", said.stderr);
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
}

#[test]
fn a_run_that_waits_for_nothing_but_a_program_stops_at_once() {
    let study = Study::new().pipeline(
        "name: slow\nsteps:\n  slow: { op: command, command: [sh, slow.sh, \"{out.y}\"], outputs: { y: matrix } }\n",
    );
    study.write(
        "slow.sh",
        "trap '' TERM INT; exec >/dev/null 2>&1; touch started; sleep 600 & wait",
    );
    let run = study.run_command(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let run = run.expect("a run");
    while !study.path("started").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&run), Signal::TERM).expect("a living process");
    let said = study.text_of(&run.wait_with_output().expect("an end"));
    assert_eq!(said.code, 130, "{}", said.stderr);
}
