//! Networks in ONNX files give the numbers of onnxruntime; `fixtures/onnx/make.py` wrote them.

use cache::{Artifact, Digest, FileEntry, Kind, Table};
use ops::{Detached, Inputs, OpError, find};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

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

/// What a network makes of the images of the fixture.
fn run(file: &str, bytes: Option<&[u8]>, params: Value) -> Result<Vec<f32>, OpError> {
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join(file);
    let bytes = bytes.map_or_else(|| fs::read(path(file)).expect("a fixture"), <[u8]>::to_vec);
    fs::write(&own, &bytes).expect("a file");
    let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
    let files = [FileEntry { name: file.to_owned(), path: own, digest, size }];
    let images = Table::new().with_text("clip_id", (0..5).map(|row| format!("c{row}"))).with_array(
        "features",
        [16, 12],
        numbers(&expected()["images"]),
    );
    let images = Artifact::table(Kind::Spectrogram, images);
    let mut all = json!({ "path": file });
    all.as_object_mut().expect("a map").extend(params.as_object().expect("a map").clone());
    let op = find("onnx").expect("the op").parse(all).expect("parameters");
    let inputs = Inputs::new().with("features", &images).with_files(&files);
    let made = op.run(&inputs, &Detached::with_seed(0))?;
    let table = made.get("vectors").and_then(Artifact::as_table).expect("a table");
    Ok(table.array("features").expect("features").values().to_vec())
}

#[test]
fn tensors_are_those_of_onnxruntime() {
    let expected = expected();
    for (name, file, params) in [
        ("latent", "encoder.onnx", json!({})),
        ("mean", "encoder.onnx", json!({ "output": "hidden" })),
        ("mean_std", "encoder.onnx", json!({ "output": "hidden", "pool": "mean_std" })),
        ("max", "encoder.onnx", json!({ "output": "hidden", "pool": "max" })),
        ("transposed", "encoder.onnx", json!({ "output": "hidden", "transpose": true })),
        ("vectors", "dense.onnx", json!({})),
    ] {
        let (found, expected) = (run(file, None, params).expect(name), numbers(&expected[name]));
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-5, "{name}: {found} {expected}");
        }
    }
}

#[test]
fn what_is_no_network_is_refused_with_its_reason() {
    let says = |file, bytes: Option<&[u8]>, params, what: &str| {
        let fault = run(file, bytes, params).expect_err(what);
        assert!(fault.message.contains(what), "{fault}");
    };
    let whole = fs::read(path("encoder.onnx")).expect("a fixture");
    says("encoder.onnx", None, json!({ "output": "nothing" }), "has no tensor `nothing`");
    says("encoder.onnx", Some(b"clip_id,x\n"), json!({}), "`encoder.onnx` is");
    for length in (0..whole.len() - 40).step_by(7) {
        let cut = run("encoder.onnx", Some(&whole[..length]), json!({}));
        assert!(cut.is_err(), "{length} bytes of {}", whole.len());
    }
}
