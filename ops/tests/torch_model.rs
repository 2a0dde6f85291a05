//! A trained model in PyTorch: the same tensors give the same latents.
//!
//! `TORCH_PYTHON=python cargo test -p ops --test torch_model -- --ignored`, where that Python has
//! PyTorch and numpy.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failure stops the test")]

use cache::{Artifact, Data, Kind, Table};
use npyz::WriterBuilder;
use ops::{Detached, Inputs};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

fn write_npy(path: &Path, shape: &[usize], values: &[f32]) {
    let file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let shape: Vec<u64> = shape.iter().map(|n| *n as u64).collect();
    let mut writer =
        npyz::WriteOptions::new().default_dtype().shape(&shape).writer(file).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
}

#[test]
#[ignore = "needs a Python with PyTorch, named by TORCH_PYTHON"]
fn pytorch_loads_a_model_and_gets_the_same_latents() {
    let python = std::env::var("TORCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let cases = [
        ("beta_vae", [128, 130], json!({ "epochs": 1, "batch_size": 8 })),
        ("autoencoder", [37, 22], json!({ "epochs": 3, "channels": [4, 8], "batch_norm": true })),
        ("beta_vae", [9, 50], json!({ "epochs": 3, "channels": [4], "kernel": 4, "stride": 3 })),
    ];
    for (op, size, params) in cases {
        let clips = 24;
        let values: Vec<f32> = (0..clips * size[0] * size[1])
            .map(|i| (i as f32 * 0.37).sin() + (i % 7) as f32 * 0.1)
            .collect();
        let table = Table::new()
            .with_text("clip_id", (0..clips).map(|i| i.to_string()))
            .with_array("features", size, values.clone());
        let input = Artifact::table(Kind::Spectrogram, table);
        let op = ops::find(op).unwrap().parse(params).unwrap();
        let inputs = Inputs::new().with("features", &input);
        let outputs = op.run(&inputs, &Detached::with_seed(1)).unwrap();

        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write_npy(&at("features.npy"), &[clips, size[0], size[1]], &values);
        let latent = outputs.get("latent").unwrap().as_table().unwrap().array("features").unwrap();
        write_npy(&at("latent.npy"), &[clips, latent.width()], latent.values());
        let model = outputs.get("model").unwrap();
        let Data::Tensors(tensors) = &model.data else { panic!("not tensors") };
        let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
            .iter()
            .map(|(name, t)| {
                let bytes = t.values.iter().flat_map(|value| value.to_le_bytes()).collect();
                (name.clone(), t.shape.clone(), bytes)
            })
            .collect();
        let views = bytes.iter().map(|(name, shape, bytes)| {
            (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
        });
        let facts = HashMap::from([("engine".to_owned(), json!(model.meta).to_string())]);
        safetensors::serialize_to_file(views, Some(facts), &at("model.safetensors")).unwrap();

        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch/same_latents.py");
        let files = ["model.safetensors", "features.npy", "latent.npy"].map(at);
        let output = Command::new(&python).arg(script).args(files).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        println!("{said}");
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
}
