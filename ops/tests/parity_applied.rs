//! Models that are fitted on some clips and applied to others agree with scikit-learn 1.9.

#![allow(clippy::unwrap_used, reason = "a fixture that is not there fails its test")]

use cache::{Artifact, Kind, Table, tensors::Tensor};
use ops::{Detached, Inputs, Outputs, find};
use serde_json::{Value, json};
use std::{fs, fs::File, io::BufReader};

const WIDTH: usize = 5;

fn path(name: &str) -> String {
    format!("{}/tests/fixtures/methods/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn values(name: &str) -> Vec<f32> {
    let file = File::open(path(name)).unwrap();
    npyz::NpyFile::new(BufReader::new(file)).unwrap().into_vec::<f32>().unwrap()
}

/// The first and the second half of the clips.
fn halves() -> (Artifact, Artifact) {
    let all = values("blobs.npy");
    let (first, second) = all.split_at(120 * WIDTH);
    (matrix(first), matrix(second))
}

fn expected() -> Value {
    let all = fs::read_to_string(path("expected.json")).unwrap();
    serde_json::from_str::<Value>(&all).unwrap()["applied"][0].clone()
}

fn reals(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect()
}

#[track_caller]
fn close(found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1e-300_f64, |scale, value| scale.max(value.abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let found = f64::from(*found);
        assert!((found - expected).abs() <= tolerance * scale, "{at}: {found} {expected}");
    }
}

fn matrix(x: &[f32]) -> Artifact {
    let ids = (0..x.len() / WIDTH).map(|row| format!("clip{row}"));
    let table = Table::new().with_text("clip_id", ids);
    Artifact::table(Kind::Matrix, table.with_array("features", [WIDTH], x.to_vec()))
}

fn run(op: &str, params: Value, x: &Artifact, model: Option<&Artifact>) -> Outputs {
    let op = find(op).unwrap().parse(params).unwrap();
    let inputs = Inputs::new().with("features", x);
    let inputs = model.iter().fold(inputs, |inputs, model| inputs.with("model", model));
    op.run(&inputs, &Detached::with_seed(1)).unwrap()
}

fn features<'o>(outputs: &'o Outputs, port: &str) -> &'o [f32] {
    outputs.get(port).and_then(Artifact::as_table).unwrap().array("features").unwrap().values()
}

fn labels(outputs: &Outputs) -> Vec<i64> {
    let table = outputs.get("labels").and_then(Artifact::as_table).unwrap();
    table.ints("label").unwrap().to_vec()
}

fn whole(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|it| it.as_i64().unwrap()).collect()
}

fn tensor(shape: &[usize], values: &Value) -> Tensor {
    let values = reals(values).into_iter().map(|it| it as f32).collect();
    Tensor { shape: shape.to_vec(), values }
}

#[test]
fn scales_are_those_of_scikit_learns_transform() {
    let (_, second) = halves();
    // One feature of it is the same for all clips.
    let first = matrix(&values("first.npy"));
    for method in ["z_score", "min_max"] {
        let params = json!({ "method": method, "scope": "per_bin" });
        let fit = run("normalize", params, &first, None);
        let made = run("normalize", json!({}), &second, fit.get("model"));
        close(features(&made, "features"), &reals(&expected()[method]), 1e-6);
    }
}

/// Single precision of the model leaves less than 1e-6.
#[test]
fn a_model_applied_to_its_own_clips_gives_what_its_fit_gave() {
    let (first, _) = halves();
    let cases = [
        ("normalize", json!({}), "features"),
        ("normalize", json!({ "scope": "per_bin", "method": "min_max" }), "features"),
        ("pca", json!({ "components": 3, "whiten": true }), "latent"),
        ("gaussian_mixture", json!({ "clusters": 3 }), "responsibilities"),
    ];
    for (op, params, port) in cases {
        let fit = run(op, params.clone(), &first, None);
        let made = run(op, params, &first, fit.get("model"));
        let wide: Vec<f64> = features(&fit, port).iter().map(|it| f64::from(*it)).collect();
        close(features(&made, port), &wide, if port == "responsibilities" { 1e-5 } else { 1e-6 });
        let digest = |outputs: &Outputs| outputs.get("model").unwrap().digest();
        assert_eq!(digest(&fit), digest(&made), "{op}: the model is handed on");
    }
    let params = json!({ "clusters": 4 });
    let fit = run("kmeans", params.clone(), &first, None);
    assert_eq!(labels(&fit), labels(&run("kmeans", params, &first, fit.get("model"))));
    let network = json!({ "latent": 2, "channels": [2], "epochs": 2 });
    for op in ["autoencoder", "beta_vae"] {
        let fit = run(op, network.clone(), &first, None);
        let made = run(op, json!({}), &first, fit.get("model"));
        assert_eq!(features(&fit, "latent"), features(&made, "latent"), "{op}");
        let history = made.get("history").and_then(Artifact::as_table).unwrap();
        assert_eq!(history.rows(), 0, "{op}");
    }
}

#[test]
fn components_are_scikit_learns() {
    let (first, second) = halves();
    for case in expected()["pca"].as_array().unwrap() {
        let params = json!({ "components": 3, "whiten": case["whiten"] });
        let fit = run("pca", params, &first, None);
        let made = run("pca", json!({}), &second, fit.get("model"));
        // scikit-learn's signs are another rule's.
        let found = features(&made, "latent");
        let expected = reals(&case["latent"]);
        for component in 0..3 {
            let column = |at: usize| component + 3 * at;
            let same = f64::from(found[column(0)]) * expected[column(0)] > 0.0;
            let sign = if same { 1.0 } else { -1.0 };
            let (one, other): (Vec<f32>, Vec<f64>) =
                (0..120).map(|at| (found[column(at)], sign * expected[column(at)])).unzip();
            close(&one, &other, 2e-6);
        }
    }
}

#[test]
fn clusters_are_scikit_learns() {
    let (_, second) = halves();
    let case = &expected()["kmeans"];
    let model = [("centres".to_owned(), tensor(&[4, WIDTH], &case["centres"]))].into();
    let model = Artifact::tensors(Kind::Model, model);
    let made = run("kmeans", json!({ "clusters": 4 }), &second, Some(&model));
    assert_eq!(labels(&made), whole(&case["labels"]));
}

#[test]
fn mixtures_say_of_other_clips_what_scikit_learns_say() {
    let (_, second) = halves();
    for case in expected()["mixture"].as_array().unwrap() {
        let shape: Vec<usize> = whole(&case["shape"]).into_iter().map(|it| it as usize).collect();
        let model = [
            ("weights".to_owned(), tensor(&[4], &case["weights"])),
            ("means".to_owned(), tensor(&[4, WIDTH], &case["means"])),
            ("covariances".to_owned(), tensor(&shape, &case["covariances"])),
        ];
        let model = Artifact::tensors(Kind::Model, model.into());
        let made = run("gaussian_mixture", json!({ "clusters": 4 }), &second, Some(&model));
        assert_eq!(labels(&made), whole(&case["labels"]));
        close(features(&made, "responsibilities"), &reals(&case["responsibilities"]), 1e-5);
        let table = made.get("criteria").and_then(Artifact::as_table).unwrap();
        let scores = table.text("metric").unwrap().iter().zip(table.reals("value").unwrap());
        for (name, value) in scores.filter(|(name, _)| *name != "aic") {
            let expected = case[name].as_f64().unwrap();
            assert!((value - expected).abs() < 1e-6 * expected.abs(), "{name}: {value} {expected}");
        }
    }
}

#[test]
fn a_model_that_does_not_fit_is_refused() {
    let (first, second) = halves();
    let says = |op: &str, params: Value, model: &Artifact, text: &str| {
        let op = find(op).unwrap().parse(params).unwrap();
        let inputs = Inputs::new().with("features", &second).with("model", model);
        let error = op.run(&inputs, &Detached::with_seed(1)).unwrap_err();
        assert!(error.message.contains(text) && error.help.is_some(), "{error:?}");
    };
    let pca = run("pca", json!({ "components": 3 }), &first, None);
    let pca = pca.get("model").unwrap();
    says("normalize", json!({}), pca, "holds no `shift`");
    says("kmeans", json!({ "clusters": 3 }), pca, "holds no `centres`");
    says("beta_vae", json!({}), pca, "does not say of which network it is");
    let groups = run("kmeans", json!({ "clusters": 3 }), &first, None);
    let groups = groups.get("model").unwrap();
    says("kmeans", json!({ "clusters": 4 }), groups, "has 3 clusters, not 4");
    let plain = json!({ "latent": 2, "channels": [2], "epochs": 1 });
    let plain = run("autoencoder", plain, &first, None);
    says("beta_vae", json!({}), plain.get("model").unwrap(), "is of a plain autoencoder");
    let narrow = [("centres".to_owned(), Tensor { shape: vec![3, 2], values: vec![0.0; 6] })];
    let narrow = Artifact::tensors(Kind::Model, narrow.into());
    says("kmeans", json!({ "clusters": 3 }), &narrow, "is of 2 features, and these clips have 5");
}
