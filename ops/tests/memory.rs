//! The memory that ops estimate against what they take, each in a process of its own.
//!
//! The test runs itself once more for each case: the peak of a process is that of all it ever did.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod peak;

use cache::{Artifact, Kind, Table};
use ops::{Detached, Inputs, find};
use peak::peak;
use serde_json::{Value, json};
use std::{env, process::Command};

/// The variable that names the case that this process is for.
const CASE: &str = "MEMORY_OF_CASE";

struct Case {
    op: &'static str,
    params: Value,
    /// Clips, and the shape of each.
    rows: usize,
    row: &'static [usize],
}

fn cases() -> Vec<Case> {
    let case = |op, params, rows, row| Case { op, params, rows, row };
    let models = json!({ "latent": 8, "epochs": 1, "examples": 8 });
    let with = |more: Value| {
        let mut params = models.clone();
        let all = params.as_object_mut().expect("a map");
        all.extend(more.as_object().expect("a map").clone());
        params
    };
    vec![
        case("log_mel", json!({ "n_mels": 512, "hop_length": 64 }), 55, &[]),
        // Where the features are wide, and where edges are many.
        case("tsne", json!({ "max_iter": 1 }), 800, &[32_000]),
        case("tsne", json!({ "max_iter": 1, "perplexity": 100 }), 6000, &[8]),
        case("umap", json!({ "n_epochs": 1 }), 800, &[32_000]),
        case("umap", json!({ "n_epochs": 1, "metric": "cosine" }), 800, &[32_000]),
        case("umap", json!({ "n_epochs": 1, "n_neighbors": 100 }), 12_000, &[4]),
        case("umap", json!({ "n_epochs": 1 }), 20_000, &[4]),
        case("umap", json!({ "n_epochs": 1 }), 40_000, &[64]),
        case("umap", json!({ "n_epochs": 1, "n_neighbors": 100 }), 30_000, &[4]),
        case("pca", json!({ "components": 8 }), 600, &[40_000]),
        case("pca", json!({ "components": 8, "solver": "full" }), 4000, &[900]),
        case("pca", json!({ "components": 40, "solver": "randomized" }), 1500, &[30_000]),
        case("agglomerative", json!({ "clusters": 4 }), 8000, &[200]),
        case("agglomerative", json!({ "clusters": 4, "linkage": "average" }), 8000, &[8]),
        // Where the features are wide, where there are many columns for a covariance, and where
        // there are many clips.
        case("metrics", json!({}), 600, &[32_000]),
        case("metrics", json!({}), 4000, &[2500]),
        case("metrics", json!({}), 30_000, &[4]),
        case("silhouette_samples", json!({}), 1200, &[32_000]),
        case("silhouette_samples", json!({}), 30_000, &[4]),
        case("controls", json!({}), 600, &[32_000]),
        case("controls", json!({}), 20_000, &[200]),
        case("gaussian_reference", json!({}), 20_000, &[400]),
        case("kmeans", json!({ "clusters": 4, "n_init": 1, "max_iter": 2 }), 20_000, &[1000]),
        case("gaussian_mixture", json!({ "clusters": 16, "max_iter": 2 }), 60_000, &[64]),
        case("gaussian_mixture", json!({ "clusters": 3, "max_iter": 1 }), 2000, &[600]),
        case("hdbscan", json!({ "min_samples": 50 }), 12_000, &[16]),
        case("optics", json!({ "min_samples": 50 }), 12_000, &[16]),
        case("spectral", json!({ "clusters": 8, "n_init": 1 }), 6000, &[16]),
        case("idec", json!({ "clusters": 8, "epochs": 1, "n_init": 1 }), 400, &[128, 128]),
        case("idec", json!({ "clusters": 8, "epochs": 1, "n_init": 1 }), 6000, &[64, 64]),
        // Wide clips, large images inside, and many weights.
        case("autoencoder", with(json!({ "channels": [2], "batch_size": 4 })), 1200, &[128, 256]),
        case(
            "autoencoder",
            with(json!({ "channels": [32, 32], "batch_size": 64 })),
            128,
            &[128, 128],
        ),
        case(
            "autoencoder",
            with(json!({ "channels": [2, 2, 2, 2, 2, 2, 2, 2, 2], "batch_size": 64 })),
            64,
            &[16, 16],
        ),
        case(
            "autoencoder",
            with(json!({ "channels": [8, 256], "latent": 64, "batch_size": 8 })),
            16,
            &[128, 128],
        ),
        case(
            "beta_vae",
            with(json!({ "beta": 1, "channels": [32, 32], "batch_norm": true, "batch_size": 32 })),
            64,
            &[128, 128],
        ),
    ]
}

/// The input of the op of a case.
fn input(case: &Case) -> Artifact {
    if case.row.is_empty() {
        let synth = find("synth").expect("an op");
        let op = synth.parse(json!({ "clips_per_class": case.rows / 11 })).expect("parameters");
        let made = op.run(&Inputs::new(), &Detached::with_seed(0)).expect("clips");
        return made.get("clips").expect("a port").clone();
    }
    let width: usize = case.row.iter().product();
    let value = |at: usize| ((at.wrapping_mul(2_654_435_761) >> 7) % 1009) as f32 / 1009.0;
    let ids = (0..case.rows).map(|row| row.to_string());
    let values = (0..case.rows * width).map(value).collect();
    let table =
        Table::new().with_text("clip_id", ids).with_array("features", case.row.to_vec(), values);
    let kind = if case.row.len() == 1 { Kind::Matrix } else { Kind::Spectrogram };
    Artifact::table(kind, table)
}

/// Ten clusters of the clips of a case, as the quickest clusterer writes them.
fn clusters(case: &Case) -> Artifact {
    let labels = Table::new()
        .with_text("clip_id", (0..case.rows).map(|row| row.to_string()))
        .with_ints("label", (0..case.rows as i64).map(|row| row * 7 % 10).collect());
    let method = json!({ "op": "kmeans", "version": 2, "params": { "clusters": 10, "n_init": 1, "max_iter": 2 } });
    Artifact::table(Kind::Labels, labels).with_meta("made_by", method)
}

/// The default network for the clips of a case, made of some of them.
fn network(case: &Case) -> Artifact {
    let few = Case { rows: 2, params: Value::Null, ..*case };
    let op = find("autoencoder").expect("an op").parse(json!({ "epochs": 0 })).expect("parameters");
    let inputs = input(&few);
    let made = op.run(&Inputs::new().with("features", &inputs), &Detached::with_seed(0));
    made.expect("a model").get("model").expect("a port").clone()
}

#[test]
fn estimates_are_right_within_a_factor_of_two() {
    if let Ok(number) = env::var(CASE) {
        let case = &cases()[number.parse::<usize>().expect("a number")];
        let op = find(case.op).expect("an op").parse(case.params.clone()).expect("parameters");
        let input = input(case);
        let clusters = clusters(case);
        let mut inputs = Inputs::new().with(op.inputs()[0].name, &input);
        if op.inputs().iter().any(|port| port.name == "clusters") {
            inputs = inputs.with("clusters", &clusters);
        }
        let model =
            op.inputs().iter().any(|port| port.name == "autoencoder").then(|| network(case));
        if let Some(model) = &model {
            inputs = inputs.with("autoencoder", model);
        }
        op.run(&inputs, &Detached::with_seed(0)).expect("outputs");
        println!("peak {}", peak().expect("a peak"));
        return;
    }
    if peak().is_none() {
        eprintln!("SKIPPED: the system does not tell the peak of a process");
        return;
    }
    let mut wrong = Vec::new();
    for (number, case) in cases().iter().enumerate() {
        let op = find(case.op).expect("an op").parse(case.params.clone()).expect("parameters");
        let kind = op.inputs()[0].kinds[0];
        let row = (!case.row.is_empty()).then(|| case.row.to_vec());
        let shape = cache::Shape::of(kind).with_rows(Some(case.rows)).with_row(row);
        let said = op.memory(&[Some(shape)]).expect("an estimate") as f64;
        let this = env::current_exe().expect("this test");
        let run = Command::new(this)
            .args(["--nocapture", "--test-threads=1"])
            .env(CASE, number.to_string())
            .output();
        let text = String::from_utf8(run.expect("a run").stdout).expect("text");
        let took = text.split_once("peak ").and_then(|(_, rest)| rest.split_whitespace().next());
        let took: f64 = took.unwrap_or_else(|| panic!("{text}")).parse().expect("a number");
        let line = format!(
            "{} {} on {} × {:?}: said {:.0} MB, took {:.0} MB",
            case.op,
            case.params,
            case.rows,
            case.row,
            said / 1e6,
            took / 1e6
        );
        println!("{line}");
        if !(0.5..=2.0).contains(&(said / took)) {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
