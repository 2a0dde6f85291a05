//! Networks in ONNX files give the numbers of onnxruntime; `fixtures/onnx/make.py` wrote them.

use cache::{Artifact, Digest, FileEntry, Kind, Table};
use ops::{Detached, Inputs, OpError, find};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::Command};

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/onnx", name].iter().collect()
}

fn expected() -> Value {
    let text = fs::read_to_string(path("expected.json")).expect("a fixture");
    serde_json::from_str(&text).expect("JSON")
}

fn numbers(value: &Value) -> Vec<f32> {
    let numbers = value.as_array().expect("a list").iter();
    numbers.map(|it| it.as_f64().expect("a number") as f32).collect()
}

/// Runs a network on the images of the fixture.
fn run(file: &str, bytes: Option<&[u8]>, params: Value) -> Result<Vec<f32>, OpError> {
    let bytes = bytes.map_or_else(|| fs::read(path(file)).expect("a fixture"), <[u8]>::to_vec);
    let images = Table::new().with_text("clip_id", (0..5).map(|row| format!("c{row}"))).with_array(
        "features",
        [16, 12],
        numbers(&expected()["images"]),
    );
    run_on(&Artifact::table(Kind::Spectrogram, images), file, &bytes, params)
}

/// Runs a network in a file of this name on features.
fn run_on(
    features: &Artifact,
    file: &str,
    bytes: &[u8],
    params: Value,
) -> Result<Vec<f32>, OpError> {
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join(file);
    fs::write(&own, bytes).expect("a file");
    let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
    let mut files = vec![FileEntry { name: file.to_owned(), path: own, digest, size }];
    files.extend(library().map(|path| {
        let digest = Digest::of(&fs::read(&path).expect("a library"));
        FileEntry { name: String::new(), path, digest, size }
    }));
    let all = with(&json!({ "path": file }), params);
    let op = find("onnx").expect("the op").parse(all).expect("parameters");
    let inputs = Inputs::new().with("features", features).with_files(&files);
    let made = op.run(&inputs, &Detached::with_seed(0))?;
    let table = made.get("vectors").and_then(Artifact::as_table).expect("a table");
    Ok(table.array("features").expect("features").values().to_vec())
}

/// The library of ONNX Runtime, if `ORT_DYLIB_PATH` names one.
fn library() -> Option<PathBuf> {
    std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from)
}

/// The runtimes that are there.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn runtimes() -> Vec<&'static str> {
    match library() {
        Some(_) => vec!["rten", "onnxruntime"],
        None => {
            eprintln!("SKIPPED: ONNX Runtime; name its library in ORT_DYLIB_PATH");
            vec!["rten"]
        }
    }
}

#[test]
fn tensors_are_those_of_onnxruntime() {
    runtimes().into_iter().for_each(tensors_are_expected);
}

fn tensors_are_expected(runtime: &str) {
    let expected = expected();
    for (name, file, params) in [
        ("latent", "encoder.onnx", json!({})),
        ("mean", "encoder.onnx", json!({ "output": "hidden" })),
        ("mean_std", "encoder.onnx", json!({ "output": "hidden", "pool": "mean_std" })),
        ("max", "encoder.onnx", json!({ "output": "hidden", "pool": "max" })),
        ("transposed", "encoder.onnx", json!({ "output": "hidden", "transpose": true })),
        ("vectors", "dense.onnx", json!({})),
    ] {
        let params = with(&params, json!({ "runtime": runtime }));
        let (found, expected) = (run(file, None, params).expect(name), numbers(&expected[name]));
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-5, "{name}: {found} {expected}");
        }
    }
}

/// Parameters with further ones.
fn with(params: &Value, more: Value) -> Value {
    let mut all = params.clone();
    all.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
    all
}

#[test]
fn the_bytes_of_onnxruntime_do_not_depend_on_threads() {
    for runtime in runtimes() {
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let params = json!({ "output": "hidden", "pool": "none", "runtime": runtime });
            pool.expect("threads").install(|| run("encoder.onnx", None, params)).expect("vectors")
        };
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(on(1)), bits(on(3)), "{runtime}");
    }
}

#[test]
fn what_is_no_network_is_refused_with_its_reason() {
    runtimes().into_iter().for_each(refuses);
}

fn refuses(runtime: &str) {
    let says = |file, bytes: Option<&[u8]>, params, what: &str| {
        let params = with(&params, json!({ "runtime": runtime }));
        let error = run(file, bytes, params).expect_err(what);
        assert!(error.message.contains(what), "{error}");
    };
    let whole = fs::read(path("encoder.onnx")).expect("a fixture");
    says("encoder.onnx", None, json!({ "output": "nothing" }), "has no tensor `nothing`");
    says("encoder.onnx", Some(b"clip_id,x\n"), json!({}), "`encoder.onnx` is");
    for length in (0..whole.len() - 40).step_by(7) {
        let cut = run("encoder.onnx", Some(&whole[..length]), json!({ "runtime": runtime }));
        assert!(cut.is_err(), "{length} bytes of {}", whole.len());
    }
}

/// A trained encoder with its file in ONNX, and the columns of its latent vectors.
fn exported(op: &str, params: Value, features: &Artifact) -> (Vec<u8>, Vec<Vec<f32>>) {
    let op = find(op).expect("the op").parse(params).expect("parameters");
    let inputs = Inputs::new().with("features", features);
    let made = op.run(&inputs, &Detached::with_seed(3)).expect("a training");
    let bytes = ops::nn::onnx::encoder(made.get("model").expect("a model")).expect("an encoder");
    let ports = ["latent", "latent_std"].iter().filter_map(|port| made.get(port)?.as_table());
    let values = |table: &Table| table.array("features").expect("vectors").values().to_vec();
    (bytes, ports.map(values).collect())
}

#[test]
fn our_encoders_give_the_same_latent_vectors_as_onnx_files() {
    let images = numbers(&expected()["images"]);
    let ids = || (0..5).map(|row| format!("c{row}"));
    let table = |shape: &[usize]| {
        Table::new().with_text("clip_id", ids()).with_array("features", shape, images.clone())
    };
    let image = Artifact::table(Kind::Spectrogram, table(&[16, 12]));
    let vector = Artifact::table(Kind::Matrix, table(&[192]));
    let small =
        json!({ "channels": [3, 4], "latent": 3, "epochs": 2, "batch_size": 2, "examples": 1 });
    let with = |more: Value| with(&small, more);
    for (name, params, features) in [
        ("autoencoder", small.clone(), &image),
        ("autoencoder", with(json!({ "kernel": 4, "stride": 3 })), &vector),
        ("beta_vae", with(json!({ "batch_norm": true })), &image),
        ("beta_vae", with(json!({ "kernel": 5 })), &vector),
    ] {
        let (bytes, columns) = exported(name, params.clone(), features);
        for (port, expected) in ["latent", "latent_std"].iter().zip(&columns) {
            let found = run_on(features, "own.onnx", &bytes, json!({ "output": port }));
            close(&format!("{name} {params} {port}"), &found.expect("vectors"), expected);
        }
        by_onnxruntime(&bytes, features, &columns);
    }
    let other = Artifact::tensors(Kind::Model, cache::Tensors::new());
    let error = ops::nn::onnx::encoder(&other).expect_err("no network");
    assert!(error.message.contains("of no network"), "{}", error.message);
}

#[track_caller]
fn close(name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4, "{name}: {found} {expected}");
    }
}

/// Compares with onnxruntime, where `ONNX_PYTHON` (or `python3`) has it.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn by_onnxruntime(bytes: &[u8], features: &Artifact, columns: &[Vec<f32>]) {
    let python = std::env::var("ONNX_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let there = Command::new(&python).args(["-c", "import onnx, onnxruntime"]).output();
    if !there.is_ok_and(|it| it.status.success()) {
        eprintln!(
            "SKIPPED: `{python}` has no onnx and onnxruntime; name one that has in ONNX_PYTHON"
        );
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (model, input) = (folder.path().join("own.onnx"), folder.path().join("input.json"));
    fs::write(&model, bytes).expect("a file");
    let array = features.as_table().and_then(|table| table.array("features")).expect("features");
    let facts = json!({ "shape": array.shape(), "values": array.values() });
    fs::write(&input, facts.to_string()).expect("a file");
    let made = Command::new(&python).arg(path("run.py")).args([&model, &input]).output();
    let made = made.expect("a program");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let made = made.as_array().expect("outputs");
    assert_eq!(made.len(), columns.len());
    for (found, expected) in made.iter().zip(columns) {
        close("onnxruntime", &numbers(found), expected);
    }
}
