//! Programs as steps, by scripts of the plain shell that every system has.

use crate::study::Study;
use cache::record::{RunStatus, StepStatus};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    process::{Command, Stdio},
    time::Duration,
};

/// Numbers from a file go through a script, and what comes out is clustered.
const PIPELINE: &str = "name: mine
steps:
  data: { op: matrix, path: data.csv }
  mine: { op: command, command: [sh, model.sh, \"{in.x}\", \"{out.y}\"], in: { x: data }, outputs: { y: matrix } }
  groups: { op: kmeans, in: mine, clusters: 2 }
";
const COPY: &str = "cp \"$1\" \"$2\"\n";

/// The pipeline with a script.
fn study(script: &str) -> Study {
    let study = Study::new().pipeline(PIPELINE);
    study.write("data.csv", "clip_id,u,v\na,0,1\nb,0.5,1\nc,9,9\nd,9,8\n");
    study.write("model.sh", script);
    study
}

#[test]
fn a_program_is_a_step_whose_script_is_in_its_key() {
    let mut study = study(COPY);
    assert_eq!(study.ran(), ["data", "mine", "groups"]);
    assert_eq!(study.ran(), [""; 0]);
    study.write("model.sh", format!("# The same, said otherwise.\n{COPY}"));
    assert_eq!(study.ran(), ["mine"], "equal bytes end there");
    study.edit("outputs:", "params: { k: 3 }, outputs:");
    assert_eq!(study.ran(), ["mine"]);
    study.edit("outputs:", "files: [part.sh], outputs:");
    let absent = study.run();
    assert_eq!(absent.code, 2, "{}", absent.stderr);
    assert!(absent.stderr.contains("`part.sh` does not exist"), "{}", absent.stderr);
    study.write("part.sh", "one");
    assert_eq!(study.ran(), ["mine"]);
    study.write("part.sh", "two");
    assert_eq!(study.ran(), ["mine"]);
    study.edit("op: command", "seed: 5, op: command");
    assert_eq!(study.ran(), ["mine"]);
    study.write("data.csv", "clip_id,u,v\na,0,1\nb,0.5,1\nc,9,9\nd,9,7\n");
    assert_eq!(study.ran(), ["data", "mine", "groups"]);
}

#[test]
fn a_program_sees_little_of_the_environment() {
    let script = "test -z \"$SECRET\" && test \"$KNOWN\" = yes && test \"$ENGINE_SEED\" = 7 &&
        test \"$ENGINE_PARAMS\" = '{\"k\":3,\"name\":\"a b\"}' && test -d \"$TMPDIR\" &&
        test \"$3/$4\" = '3/a b-7' && env && cp \"$1\" \"$2\"";
    let mut study = study(script);
    study.edit(
        "\"{out.y}\"],",
        "\"{out.y}\", \"{param.k}\", \"{param.name}-{seed}\"], seed: 7, params: { name: a b, k: 3 }, env: [KNOWN],",
    );
    let mut command = study.run_command(&[]);
    let output = command.env("SECRET", "1").env("KNOWN", "yes").output().expect("the binary");
    let said = study.text_of(&output);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let key = study.record(&said).step("mine").expect("a step").key.expect("a key");
    let log = study.read(&format!(".engine/logs-v1/{key}.log"));
    let mut names: Vec<_> = log.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    // The shell adds its own.
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_", "LANG", "HOME"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["ENGINE_PARAMS", "ENGINE_SEED", "KNOWN", "PATH", "TMPDIR"]);
}

#[test]
fn a_failing_program_shows_the_end_of_its_log() {
    let study = study("echo one; echo 'no such column' >&2; exit 3");
    let said = study.run();
    assert_eq!(said.code, 1, "{}", said.stderr);
    for part in ["`sh` ended with exit code 3", "  one\n", "  no such column\n", "its whole log"] {
        assert!(said.stderr.contains(part), "`{part}` is not in {}", said.stderr);
    }
    let record = study.record(&said);
    assert_eq!(record.status, RunStatus::Failed);
    assert_eq!(study.steps_that(&said, StepStatus::Skipped), ["groups"]);
}

#[test]
fn what_a_program_makes_is_looked_at() {
    for (script, kind, expected) in [
        ("true", "matrix", "`sh` made no file at `{out.y}`, and printed nothing"),
        ("echo hello > \"$2\"", "matrix", "`{out.y}` of `sh` is not the Parquet that is read here"),
        (COPY, "labels", "`{out.y}` of `sh` has no column `label`"),
        (COPY, "scores", "`{out.y}` of `sh` has no column of text `metric`"),
        ("kill -9 $$", "matrix", "`sh` ended with signal 9"),
    ] {
        let mut study = study(script);
        study.edit("y: matrix", &format!("y: {kind}"));
        study.edit("  groups: { op: kmeans, in: mine, clusters: 2 }\n", "");
        let said = study.run();
        assert_eq!(said.code, 1, "{script}: {}", said.stderr);
        assert!(said.stderr.contains(expected), "{script}: {}", said.stderr);
    }
    let mut study = study(COPY);
    study.edit("[sh, ", "[no-such-program, ");
    let said = study.run();
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("cannot start `no-such-program`"), "{}", said.stderr);
}

#[test]
fn a_program_without_inputs_is_a_source() {
    let study = study(COPY);
    let said = study.run();
    std::fs::copy(study.object_of(&said, "data", "features"), study.path("ready.parquet"))
        .expect("a copy");
    let study = study.pipeline(
        "name: source\nsteps:\n  data: { op: command, command: [cp, ready.parquet, \"{out.x}\"], outputs: { x: matrix } }\n",
    );
    let made = study.run();
    assert_eq!(made.code, 0, "{}", made.stderr);
    let digest =
        |said, step: &str, port: &str| study.record(said).step(step).expect("a step").outputs[port];
    assert_eq!(digest(&made, "data", "x"), digest(&said, "data", "features"));
    assert_eq!(study.ran(), [""; 0]);
}

#[test]
fn retries_help_a_program_that_fails_once() {
    let once = "if test -e tried; then cp \"$1\" \"$2\"; else touch tried; exit 1; fi";
    let mut study = study(once);
    assert_eq!(study.run().code, 1, "nobody asked to try again");
    std::fs::remove_file(study.path("tried")).expect("it tried");
    study.edit("op: command", "retries: 1, op: command");
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("trying again"), "{}", said.stderr);
    assert_eq!(study.steps_that(&said, StepStatus::Ran), ["mine", "groups"]);
}

/// Waits for ten minutes, beside a process that it started and that leaves traces.
const SLOW: &str =
    "(while :; do touch alive; sleep 0.1; done) & echo waiting; touch started; sleep 600";

/// True if the process that the slow program started still leaves traces.
fn is_alive(study: &Study) -> bool {
    let _ = std::fs::remove_file(study.path("alive"));
    std::thread::sleep(Duration::from_secs(1));
    study.path("alive").exists()
}

#[test]
fn a_timeout_ends_a_program_and_what_it_started() {
    let mut study = study(SLOW);
    study.edit("op: command", "timeout: 0.3, op: command");
    let said = study.run();
    assert_eq!(said.code, 1, "{}", said.stderr);
    for part in ["mine: the end of its log\n  waiting\n", "it ran longer than its timeout of 0.3 s"]
    {
        assert!(said.stderr.contains(part), "`{part}` is not in {}", said.stderr);
    }
    assert!(!is_alive(&study), "a process of the program lives on");
    study.write("model.sh", COPY);
    assert_eq!(study.ran(), ["mine", "groups"]);
}

#[test]
fn an_interrupt_ends_a_program_and_what_it_started() {
    let study = study(SLOW);
    let run = study.run_command(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let run = run.expect("a run");
    while !study.path("started").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&run), Signal::INT).expect("a living process");
    let said = study.text_of(&run.wait_with_output().expect("an end"));
    assert_eq!(said.code, 130, "{}", said.stderr);
    assert_eq!(study.record(&said).status, RunStatus::Interrupted);
    assert!(!is_alive(&study), "a process of the program lives on");
}

#[test]
fn a_killed_engine_leaves_no_program_behind() {
    let study = study(SLOW);
    let temporary = study.path("tmp");
    std::fs::create_dir(&temporary).expect("a folder");
    let mut command = study.run_command(&[]);
    command.env("TMPDIR", &temporary).stdout(Stdio::null()).stderr(Stdio::null());
    let mut run = command.spawn().expect("a run");
    while !study.path("started").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    run.kill().expect("a living process");
    run.wait().expect("an end");
    let left = || std::fs::read_dir(&temporary).expect("a folder").count();
    // The guard has to hear of it first; a program that lives on fails the test after a while.
    let tries = (0..60).find(|_| !is_alive(&study) && left() == 0);
    assert!(tries.is_some(), "a process of the program lives on, or its folder is there");
}

/// A process in a session of its own, whose parent is gone and whose environment is empty.
const DETACHED: &str =
    "setsid sh -c 'env -i sh -c \"while :; do touch alive; sleep 0.1; done\" &' &
    while ! test -e alive; do sleep 0.05; done; touch started";

#[test]
fn what_a_program_leaves_in_a_session_of_its_own_ends_with_it() {
    let study = study(&format!("{DETACHED}; {COPY}"));
    assert_eq!(study.run().code, 0);
    assert!(!is_alive(&study), "a process of the program lives on");
    let mut slow = Study::new().pipeline(study.text());
    slow.write("data.csv", study.read("data.csv"));
    slow.write("model.sh", format!("{DETACHED}; sleep 600"));
    slow.edit("op: command", "timeout: 1, op: command");
    assert_eq!(slow.run().code, 1);
    assert!(!is_alive(&slow), "a process of the program lives on");
}

/// In a container the session may have begun outside, and has the number 0 inside.
#[test]
#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
fn programs_run_in_a_container_of_which_the_session_is_no_part() {
    let contained = |listing: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--pid", "--fork", listing]);
        unshare
    };
    for listing in ["--mount-proc", "--mount"] {
        if !contained(listing).arg("true").status().is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: `unshare` makes no container here");
            return;
        }
        let study = study(&format!("{DETACHED}; {COPY}"));
        let said = study.run_by(contained(listing));
        assert_eq!(said.code, 0, "{}", said.stderr);
        assert!(!is_alive(&study), "a process of the program lives on");
    }
}

#[test]
fn of_what_a_program_prints_head_and_tail_are_kept() {
    let print = "echo first; i=0; while test $i -lt 60; do head -c 1000000 /dev/zero | tr '\\0' x; i=$((i+1)); done; echo; echo last; exit 3";
    let study = study(print);
    let said = study.run();
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert_eq!(said.stderr.matches("last\n").count(), 1, "{}", said.stderr);
    let logs = std::fs::read_dir(study.path(".engine/logs-v1")).expect("logs");
    let log = std::fs::read(logs.flatten().next().expect("a log").path()).expect("a log");
    assert!(log.starts_with(b"first\n") && log.ends_with(b"\nlast\n"));
    assert!(log.len() < 3 << 20, "{} bytes", log.len());
    let cut = b" bytes are left out here]";
    assert!(log.windows(cut.len()).any(|piece| piece == cut));
}

#[test]
fn what_a_failing_program_printed_is_shown_once() {
    let mut study = study("echo Traceback-of-it >&2; exit 3");
    for retries in [0, 2] {
        let said = study.run();
        assert_eq!(said.code, 1, "{}", said.stderr);
        assert_eq!(said.stderr.matches("Traceback-of-it").count(), 1, "{}", said.stderr);
        if retries == 0 {
            study.edit("op: command", "retries: 2, op: command");
        }
    }
}

/// The pipeline whose program runs in an environment.
fn within(environment: &str) -> Study {
    let mut study = study(COPY);
    study.edit("outputs:", &format!("environment: {{ {environment} }}, outputs:"));
    study
}

/// Runs with these programs on PATH: one of that name that notes its words and starts what follows `sh`.
fn with_fake(study: &Study, name: &str) -> crate::study::CommandOutput {
    use std::os::unix::fs::PermissionsExt;
    let script = format!(
        "#!/bin/sh\necho \"$@\" > {name}.words\nwhile [ \"$1\" != sh ]; do shift; done\nexec \"$@\"\n"
    );
    study.write(&format!("bin/{name}"), script);
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(study.path(format!("bin/{name}")), executable).expect("executable");
    let path = format!("{}:/usr/bin:/bin", study.path("bin").display());
    study.text_of(&study.run_command(&[]).env("PATH", path).output().expect("the binary starts"))
}

#[test]
fn a_program_runs_in_conda_and_in_a_container() {
    let mut study = within("conda: env.yaml");
    study.write("env.yaml", "# Ours.\nname: audio  # the third\ndependencies: [python=3.13]\n");
    let said = with_fake(&study, "conda");
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(study.steps_that(&said, StepStatus::Ran), ["data", "mine", "groups"]);
    let words = study.read("conda.words");
    assert!(words.starts_with("run --no-capture-output --name audio sh model.sh "), "{words}");
    // The content of the file is part of the key.
    assert_eq!(study.steps_that(&with_fake(&study, "conda"), StepStatus::Ran), [""; 0]);
    study.write("env.yaml", "name: audio\ndependencies: [python=3.12]\n");
    assert_eq!(study.steps_that(&with_fake(&study, "conda"), StepStatus::Ran), ["mine"]);
    study.write("env.yaml", "dependencies: []\n");
    let said = with_fake(&study, "conda");
    assert!(said.code == 1 && said.stderr.contains("has no line `name:`"), "{}", said.stderr);

    study.edit("conda: env.yaml", "container: \"docker://python:3.13\"");
    let said = with_fake(&study, "apptainer");
    assert_eq!(study.steps_that(&said, StepStatus::Ran), ["mine"], "{}", said.stderr);
    let words = study.read("apptainer.words");
    assert!(
        words.starts_with("exec --bind ") && words.contains(" docker://python:3.13 sh model.sh "),
        "{words}"
    );
    // An image that is a file counts by its content.
    study.edit("docker://python:3.13", "python.sif");
    study.write("python.sif", "an image");
    assert_eq!(study.steps_that(&with_fake(&study, "apptainer"), StepStatus::Ran), ["mine"]);
    study.write("python.sif", "another image");
    assert_eq!(study.steps_that(&with_fake(&study, "apptainer"), StepStatus::Ran), ["mine"]);
}

#[test]
fn an_environment_whose_program_is_absent_is_explained() {
    for (environment, words) in [
        ("python: packages.txt", "`environment: { python: … }` takes `uv`, which is not on PATH"),
        ("conda: packages.txt", "takes `conda`, which is not on PATH"),
        ("container: image.sif", "takes `apptainer`, which is not on PATH"),
    ] {
        let study = within(environment);
        study.write("packages.txt", "name: none\n");
        let empty = study.path("empty");
        let said = study.run_command(&[]).env("PATH", empty).output().expect("the binary starts");
        let said = study.text_of(&said);
        assert!(said.code == 1 && said.stderr.contains(words), "{}", said.stderr);
    }
    let said = within("python: absent.txt").run();
    assert!(
        said.code == 2 && said.stderr.contains("`absent.txt` does not exist"),
        "{}",
        said.stderr
    );
    let said = within("pyhton: packages.txt").run();
    assert!(said.code == 2 && said.stderr.contains("python"), "{}", said.stderr);
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
fn a_program_runs_with_the_packages_of_a_file() {
    let there = |name: &str| std::process::Command::new(name).arg("--version").output().is_ok();
    if !there("uv") || !there("python3") {
        eprintln!(
            "SKIPPED: there is no uv or no python3, so no program runs with packages of its own"
        );
        return;
    }
    let study = within("python: packages.txt");
    // No package, so nothing is downloaded; but the environment is one of its own.
    let script =
        "python -c 'import sys; assert sys.prefix != sys.base_prefix' && cp \"$1\" \"$2\"\n";
    study.write("model.sh", script);
    study.write("packages.txt", "# none\n");
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(study.ran(), [""; 0]);
    study.write("packages.txt", "# none at all\n");
    assert_eq!(study.ran(), ["mine"]);
}
