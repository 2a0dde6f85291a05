//! Networks that ONNX Runtime runs.

use crate::study::{CommandOutput, Study};
use std::{env, fs, path::Path};

const PIPELINE: &str = "name: t
steps:
  x: { op: matrix, path: x.csv }
  vectors: { op: onnx, in: x, path: net.onnx, runtime: onnxruntime }
";

/// A study with a network that takes vectors of 192 numbers.
fn study() -> Study {
    let study = Study::new().pipeline(PIPELINE);
    let network = concat!(env!("CARGO_MANIFEST_DIR"), "/../ops/tests/fixtures/onnx/dense.onnx");
    study.write("net.onnx", fs::read(network).expect("a network"));
    let names: Vec<String> = (0..192).map(|at| format!("x{at}")).collect();
    let row = |clip: usize| {
        let values = (0..192).map(|at| format!("{}", (clip * 7 + at * 3) % 11));
        format!("c{clip},{}\n", values.collect::<Vec<_>>().join(","))
    };
    let rows: String = (0..5).map(row).collect();
    study.write("x.csv", format!("clip_id,{}\n{rows}", names.join(",")));
    study.write("study.yaml", study.text());
    study
}

/// Runs the engine with the library that a variable leads to.
fn run_with(
    study: &Study,
    arguments: &[&str],
    variable: &str,
    path: impl AsRef<Path>,
) -> CommandOutput {
    let mut command = study.command(arguments);
    command.env_remove("ORT_DYLIB_PATH").env(variable, path.as_ref());
    study.text_of(&command.output().expect("the engine"))
}

#[test]
fn a_library_that_is_not_there_is_an_error_of_the_plan() {
    let study = study();
    let said = run_with(&study, &["plan", "study.yaml"], "ORT_DYLIB_PATH", "none.so");
    assert_ne!(said.code, 0);
    for part in ["`none.so` does not exist", "study.yaml:4:", "ORT_DYLIB_PATH"] {
        assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
    }
}

#[test]
fn a_library_is_found_in_the_virtual_environment_and_named_if_it_is_none() {
    let study = study();
    let file = "venv/lib/python3.12/site-packages/onnxruntime/capi/libonnxruntime.so.1.20";
    study.write(file, "text");
    let said = run_with(&study, &["run", "study.yaml"], "VIRTUAL_ENV", study.path("venv"));
    assert_ne!(said.code, 0);
    // A long path is folded at its folders.
    for part in ["ONNX Runtime cannot be used", "onnxruntime/capi/libonnxruntime.so.1.20"] {
        assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
    }
}

/// The library is a file of the step: another one is another key, and a check computes the step with it anew.
#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn the_content_of_the_library_is_part_of_the_key() {
    let Some(library) = env::var_os("ORT_DYLIB_PATH") else {
        eprintln!("SKIPPED: ONNX Runtime; name its library in ORT_DYLIB_PATH");
        return;
    };
    let study = study();
    let bytes = fs::read(library).expect("a library");
    study.write("first.so", &bytes);
    study.write("second.so", [&bytes[..], b"\0"].concat());
    let run = |library: &str, arguments: &[&str]| {
        let said = run_with(&study, arguments, "ORT_DYLIB_PATH", study.path(library));
        assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
        said.stdout + &said.stderr
    };
    run("first.so", &["run", "study.yaml"]);
    assert!(run("first.so", &["run", "study.yaml"]).contains("nothing to run"));
    let verified = run("first.so", &["cache", "verify", "--recompute"]);
    assert!(verified.contains("2 steps"), "{verified}");
    let again = run("second.so", &["run", "study.yaml"]);
    assert!(again.contains("vectors") && !again.contains("nothing to run"), "{again}");
}
