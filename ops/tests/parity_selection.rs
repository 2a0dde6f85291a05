//! Criteria for the number of clusters and the consensus of clusterings agree with scikit-learn 1.9 and
//! SciPy 1.17.

#![allow(clippy::unwrap_used, reason = "a fixture that is not there fails its test")]

use cache::{Artifact, Kind, Table};
use ops::{
    Detached, Inputs, Outputs, find, math::contingency::by_first_appearance, ports::labelled,
};
use serde_json::{Value, json};
use std::{fs, fs::File, io::BufReader};

fn path(name: &str) -> String {
    format!("{}/tests/fixtures/methods/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn expected(name: &str) -> Value {
    let all = fs::read_to_string(path("expected.json")).unwrap();
    serde_json::from_str::<Value>(&all).unwrap()[name][0].clone()
}

fn reals(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect()
}

fn ids(n: usize) -> Table {
    Table::new().with_text("clip_id", (0..n).map(|row| format!("clip{row}")))
}

fn blobs() -> Artifact {
    let file = npyz::NpyFile::new(BufReader::new(File::open(path("blobs.npy")).unwrap())).unwrap();
    let width = file.shape()[1] as usize;
    let x = file.into_vec::<f32>().unwrap();
    Artifact::table(Kind::Matrix, ids(x.len() / width).with_array("features", [width], x))
}

fn run(op: &str, params: Value, inputs: &Inputs<'_>) -> Outputs {
    find(op).unwrap().parse(params).unwrap().run(inputs, &Detached::with_seed(3)).unwrap()
}

fn column(outputs: &Outputs, port: &str, name: &str) -> Vec<f64> {
    outputs.get(port).and_then(Artifact::as_table).unwrap().reals(name).unwrap().to_vec()
}

/// Reference points are other draws here than in NumPy, so gaps agree within their errors.
#[test]
fn criteria_are_those_of_scikit_learn_and_of_the_definition() {
    let x = blobs();
    let params = json!({ "largest": 7, "n_init": 20, "references": 60, "splits": 8 });
    let made = run("choose_k", params, &Inputs::new().with("features", &x));
    let of = |name: &str| column(&made, "selection", name);
    let case = expected("selection");
    // From five clusters on, runs of k-means end in several optima, also among scikit-learn's.
    for (found, expected) in of("silhouette")[1..4].iter().zip(reals(&case["silhouette"])) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
    for (found, expected) in of("bic")[..4].iter().zip(reals(&case["bic"])) {
        assert!((found - expected).abs() < 1e-6 * expected.abs(), "{found} {expected}");
    }
    let rows = of("gap").into_iter().zip(of("gap_error"));
    let cases = reals(&case["gap"]).into_iter().zip(reals(&case["deviation"]));
    for ((gap, error), (expected, deviation)) in rows.zip(cases) {
        // Five standard errors of the difference of two means of 60 draws.
        let tolerance = 5.0 * deviation * (2.0_f64 / 60.0).sqrt();
        assert!((gap - expected).abs() < tolerance, "{gap} {expected} {tolerance}");
        assert!(error > 0.7 * deviation && error < 1.4 * deviation, "{error} {deviation}");
    }
    let meta = &made.get("selection").unwrap().meta;
    for (criterion, k) in [("silhouette", 2), ("gap", 4), ("bic", 4)] {
        assert_eq!(meta["chosen"][criterion], k, "{meta:?}");
    }
    assert_eq!(of("prediction_strength")[0], 1.0);
}

#[test]
fn one_cloud_has_one_cluster_by_those_that_can_say_so() {
    use ops::math::random::{Purpose, Random};
    let mut random = Random::new(5, Purpose::Null, 9);
    let x: Vec<f32> = (0..600).map(|_| random.normal() as f32).collect();
    let x = Artifact::table(Kind::Matrix, ids(200).with_array("features", [3], x));
    let made = run("choose_k", json!({ "largest": 6 }), &Inputs::new().with("features", &x));
    let meta = &made.get("selection").unwrap().meta;
    for criterion in ["gap", "bic", "prediction_strength"] {
        assert_eq!(meta["chosen"][criterion], 1, "{meta:?}");
    }
}

#[test]
fn coassociation_and_its_clusters_are_those_of_numpy_and_scipy() {
    let case = expected("consensus");
    let runs: Vec<Artifact> = case["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| {
            let labels: Vec<i64> = reals(run).into_iter().map(|it| it as i64).collect();
            Artifact::table(Kind::Labels, ids(labels.len()).with_ints("label", labels))
        })
        .collect();
    let ports =
        runs.iter().enumerate().map(|(at, run)| (labelled("clusters", &at.to_string()), run));
    let inputs = ports.fold(Inputs::new(), |inputs, (port, run)| inputs.with(port, run));
    let made = run("consensus", json!({ "clusters": 4 }), &inputs);
    let matrix = made.get("coassociation").unwrap();
    let shares = matrix.as_table().unwrap().array("features").unwrap();
    for (found, expected) in shares.row(3).iter().zip(reals(&case["row"])) {
        assert!((f64::from(*found) - expected).abs() < 1e-7, "{found} {expected}");
    }
    let ambiguous = matrix.meta["ambiguous"].as_f64().unwrap();
    assert!((ambiguous - case["ambiguous"].as_f64().unwrap()).abs() < 1e-12);
    // Ties may merge in another order, but at the same heights.
    let heights = column(&made, "linkage", "distance");
    for (found, expected) in heights.iter().zip(reals(&case["heights"])) {
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }
    let labels = made.get("labels").and_then(Artifact::as_table).unwrap().ints("label").unwrap();
    let expected: Vec<i64> = reals(&case["labels"]).into_iter().map(|it| it as i64).collect();
    let numbers = |labels: &[i64]| by_first_appearance(labels).0;
    assert_eq!(numbers(labels), numbers(&expected));
}
