//! Mixtures, density-based and spectral clusterers and probes agree with scikit-learn 1.9.

#![allow(clippy::unwrap_used, reason = "a fixture that is not there fails its test")]

use cache::{Artifact, Kind, Table};
use ops::math::{
    contingency::{Contingency, by_first_appearance},
    logistic,
    mixture::{Form, Limits, fit},
};
use ops::{Detached, Inputs, find};
use serde_json::{Value, json};
use std::{fs, fs::File, io::BufReader};

fn path(name: &str) -> String {
    format!("{}/tests/fixtures/methods/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn features(name: &str) -> (Vec<f32>, usize) {
    let file = File::open(path(&format!("{name}.npy"))).unwrap();
    let file = npyz::NpyFile::new(BufReader::new(file)).unwrap();
    let width = file.shape()[1] as usize;
    (file.into_vec::<f32>().unwrap(), width)
}

fn cases(name: &str) -> Vec<Value> {
    let all: Value =
        serde_json::from_str(&fs::read_to_string(path("expected.json")).unwrap()).unwrap();
    all[name].as_array().unwrap().clone()
}

fn reals(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect()
}

fn whole(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|it| it.as_i64().unwrap()).collect()
}

#[track_caller]
fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(1e-300_f64, |scale, value| scale.max(value.abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= tolerance * scale, "{at}: {found} {expected}");
    }
}

fn matrix(x: &[f32], width: usize) -> Artifact {
    let ids = (0..x.len() / width).map(|row| format!("clip{row}"));
    let table = Table::new().with_text("clip_id", ids);
    Artifact::table(Kind::Matrix, table.with_array("features", [width], x.to_vec()))
}

/// The labels that an op gives.
fn labels(op: &str, params: Value, x: &Artifact) -> Vec<i64> {
    let op = find(op).unwrap().parse(params).unwrap();
    let made = op.run(&Inputs::new().with("features", x), &Detached::with_seed(1)).unwrap();
    made.get("labels").and_then(Artifact::as_table).unwrap().ints("label").unwrap().to_vec()
}

/// Labels numbered by first appearance, noise aside.
fn renumbered(labels: &[i64]) -> Vec<i64> {
    let clusters: Vec<i64> = labels.iter().copied().filter(|label| *label >= 0).collect();
    let mut numbers = by_first_appearance(&clusters).0.into_iter();
    labels
        .iter()
        .map(|label| if *label < 0 { -1 } else { i64::from(numbers.next().unwrap()) })
        .collect()
}

#[test]
fn mixtures_take_scikit_learns_steps() {
    let (x, d) = features("blobs");
    for case in cases("mixture") {
        let form = match case["covariance"].as_str().unwrap() {
            "full" => Form::Full,
            "diagonal" => Form::Diagonal,
            _ => Form::Spherical,
        };
        let start = whole(&case["start"]);
        let start =
            start.iter().flat_map(|own| (0..4).map(move |it| f64::from(u8::from(it == *own))));
        let max_iter = case["max_iter"].as_u64().unwrap() as usize;
        let limits = Limits { reg_covar: 1e-6, tol: 1e-6, max_iter };
        let found = fit(&x, d, start.collect(), form, limits, &|| false).unwrap();
        assert_eq!(found.n_iter as u64, case["n_iter"].as_u64().unwrap());
        close(&found.mixture.weights, &reals(&case["weights"]), 1e-9);
        close(&found.mixture.means, &reals(&case["means"]), 1e-9);
        close(&found.mixture.covariances, &reals(&case["covariances"]), 1e-9);
        close(&found.responsibilities[..80], &reals(&case["responsibilities"]), 1e-9);
        let (n, p) = (240.0_f64, found.mixture.parameters() as f64);
        let likelihood = case["log_likelihood"].as_f64().unwrap();
        close(&[found.log_likelihood], &[likelihood], 1e-10);
        let both = [p * n.ln(), 2.0 * p].map(|penalty| penalty - 2.0 * n * found.log_likelihood);
        close(&both, &[&case["bic"], &case["aic"]].map(|it| it.as_f64().unwrap()), 1e-10);
    }
}

/// Another start may end in another optimum; the best of several is as likely as scikit-learn's.
#[test]
fn the_op_of_mixtures_is_as_likely_as_scikit_learns() {
    let (x, d) = features("blobs");
    let case = cases("mixture").into_iter().find(|it| it["max_iter"] == 200).unwrap();
    let params = json!({ "clusters": 4, "n_init": 10, "max_iter": 200, "tol": 1e-6 });
    let op = find("gaussian_mixture").unwrap().parse(params).unwrap();
    let x = matrix(&x, d);
    let made = op.run(&Inputs::new().with("features", &x), &Detached::with_seed(1)).unwrap();
    let criteria = made.get("criteria").and_then(Artifact::as_table).unwrap();
    assert_eq!(criteria.text("metric").unwrap(), ["log_likelihood", "bic", "aic"]);
    let found = criteria.reals("value").unwrap();
    assert!(found[0] >= case["log_likelihood"].as_f64().unwrap() - 1e-4, "{}", found[0]);
    assert!(found[1] <= case["bic"].as_f64().unwrap() + 0.1, "{}", found[1]);
}

/// The oracle: another implementation, of full covariances alone, where components lie apart.
#[test]
fn a_mixture_of_linfa_has_the_same_means() {
    use linfa::traits::Fit;
    use ops::{Purpose, Random};
    let mut random = Random::new(1, Purpose::Null, 0);
    let truth: Vec<u32> = (0..300).map(|at| at % 3).collect();
    let x: Vec<f32> = truth
        .iter()
        .flat_map(|of| [0, 1].map(|side| if side == *of { 12.0 } else { 0.0 }))
        .map(|centre| centre + random.normal() as f32)
        .collect();
    let wide = x.iter().map(|value| f64::from(*value)).collect();
    let data = linfa::DatasetBase::from(ndarray::Array2::from_shape_vec((300, 2), wide).unwrap());
    let other = linfa_clustering::GaussianMixtureModel::params(3).n_runs(5).tolerance(1e-8);
    let other = other.fit(&data).unwrap();
    let start = truth.iter().flat_map(|own| (0..3).map(move |it| f64::from(u8::from(it == *own))));
    let limits = Limits { reg_covar: 1e-6, tol: 1e-8, max_iter: 200 };
    let ours = fit(&x, 2, start.collect(), Form::Full, limits, &|| false).unwrap();
    let mut ours: Vec<Vec<f64>> = ours.mixture.means.chunks(2).map(<[f64]>::to_vec).collect();
    let mut theirs: Vec<Vec<f64>> = other.means().outer_iter().map(|row| row.to_vec()).collect();
    let order = |a: &Vec<f64>, b: &Vec<f64>| (a[0] - a[1]).total_cmp(&(b[0] - b[1]));
    ours.sort_by(order);
    theirs.sort_by(order);
    close(&ours.concat(), &theirs.concat(), 1e-4);
}

#[test]
fn dense_regions_are_scikit_learns() {
    for case in cases("dbscan") {
        let (x, d) = features(case["x"].as_str().unwrap());
        let params = json!({ "eps": case["eps"], "min_samples": case["min_samples"] });
        let found = labels("dbscan", params, &matrix(&x, d));
        assert_eq!(found, renumbered(&whole(&case["labels"])), "{}", case["eps"]);
    }
}

#[test]
fn stable_regions_are_scikit_learns() {
    for case in cases("hdbscan") {
        let (x, d) = features(case["x"].as_str().unwrap());
        let params = json!({
            "min_cluster_size": case["min_cluster_size"], "min_samples": case["min_samples"]
        });
        let found = labels("hdbscan", params.clone(), &matrix(&x, d));
        let expected = renumbered(&whole(&case["labels"]));
        let same = found.iter().zip(&expected).filter(|(a, b)| a == b).count();
        // Many neighbours make equal distances, whose order is not defined.
        let few = case["min_samples"].as_u64().is_none_or(|it| it <= 5);
        let least = if few { found.len() } else { found.len() * 97 / 100 };
        assert!(same >= least, "{params} {}: {same} of {}", case["x"], found.len());
    }
}

#[test]
fn orderings_by_density_are_scikit_learns() {
    for case in cases("optics") {
        let (x, d) = features(case["x"].as_str().unwrap());
        let (options, core) = (&case["options"], reals(&case["core"]));
        let most = options["max_eps"].as_f64().unwrap_or(f64::INFINITY);
        let found = ops::math::optics::order(&x, d, &core, most, &|| false).unwrap();
        let order: Vec<i64> = found.points.iter().map(|point| *point as i64).collect();
        assert_eq!(order, whole(&case["order"]), "{options}");
        let expected = case["reachability"].as_array().unwrap().iter();
        let expected = expected.map(|value| value.as_f64().unwrap_or(f64::INFINITY));
        for (found, expected) in found.reachability.iter().zip(expected) {
            assert!(*found == expected || (found - expected).abs() < 1e-12, "{found} {expected}");
        }
        let from = found.predecessors.iter().map(|from| from.map_or(-1, |from| from as i64));
        let expected = whole(&case["predecessors"]);
        for (from, point) in from.zip(&found.points) {
            assert_eq!(from, expected[*point]);
        }
        let found = labels("optics", options.clone(), &matrix(&x, d));
        assert_eq!(found, renumbered(&whole(&case["labels"])), "{options} {}", case["x"]);
    }
}

#[test]
fn clusters_of_graphs_are_scikit_learns() {
    for case in cases("spectral") {
        let (x, d) = features(case["x"].as_str().unwrap());
        let rows = case["rows"].as_u64().unwrap() as usize;
        let found =
            labels("spectral", json!({ "clusters": case["clusters"] }), &matrix(&x[..rows * d], d));
        let number = |labels: &[i64]| by_first_appearance(labels).0;
        let both = Contingency::new(&number(&whole(&case["labels"])), &number(&found));
        assert!(both.adjusted_rand() > 0.98, "{}: {}", case["x"], both.adjusted_rand());
    }
}

#[test]
fn logistic_regression_gives_scikit_learns_probabilities() {
    let (x, d) = features("hard");
    let case = cases("probe").into_iter().find(|it| it["scale"] == false).unwrap();
    let classes: Vec<u32> = whole(&case["classes"]).into_iter().map(|it| it as u32).collect();
    let (expected, mut found) = (reals(&case["probabilities"]), vec![0.0; 450]);
    for fold in 0..5 {
        let rows = |test: bool| (0..150).filter(move |row| (row % 5 == fold) == test);
        let row = |at: usize| x[at * d..][..d].iter().map(|value| f64::from(*value));
        let train: Vec<f64> = rows(false).flat_map(row).collect();
        let own: Vec<u32> = rows(false).map(|row| classes[row]).collect();
        let model = logistic::fit(&train, d, &own, 3, (0.5, 1e-10, 10_000), &|| false).unwrap();
        for at in rows(true) {
            let point: Vec<f64> = row(at).collect();
            found[at * 3..][..3].copy_from_slice(&model.probabilities(&point));
        }
    }
    close(&found, &expected, 1e-6);
}

/// The same folds as scikit-learn's: each recording is a fold of its own.
#[test]
fn probes_score_as_scikit_learn_does() {
    let (x, d) = features("hard");
    for case in cases("probe") {
        let truth = Table::new()
            .with_text("clip_id", (0..150).map(|row| format!("clip{row}")))
            .with_text("label", whole(&case["classes"]).iter().map(i64::to_string))
            .with_text("group", (0..150).map(|row| format!("{}", row % 5)));
        let (x, truth) = (matrix(&x, d), Artifact::table(Kind::Labels, truth));
        let inputs = Inputs::new().with("features", &x).with("truth", &truth);
        let op = json!({ "c": 0.5, "scale": case["scale"] });
        let op = find("probe").unwrap().parse(op).unwrap();
        let made = op.run(&inputs, &Detached::with_seed(2)).unwrap();
        let scores = made.get("scores").and_then(Artifact::as_table).unwrap();
        let names = ["knn_accuracy", "knn_macro_f1", "logistic_accuracy", "logistic_macro_f1"];
        assert_eq!(scores.text("metric").unwrap()[..4], names);
        let (accuracy, macro_f1) = (reals(&case["accuracy"]), reals(&case["macro_f1"]));
        let expected = [accuracy[0], macro_f1[0], accuracy[1], macro_f1[1]];
        close(&scores.reals("value").unwrap()[..4], &expected, 1e-9);
    }
}

/// The same folds as in the fixture: each recording is a fold of its own.
#[test]
fn disentanglement_is_that_of_the_published_formulae() {
    let (x, d) = features("latent");
    for case in cases("disentanglement") {
        let table = Table::new()
            .with_text("clip_id", (0..150).map(|row| format!("clip{row}")))
            .with_text("label", whole(&case["label"]).iter().map(i64::to_string))
            .with_text("group", (0..150).map(|row| format!("{}", row % 5)))
            .with_reals("tempo", reals(&case["tempo"]))
            .with_ints("players", whole(&case["players"]));
        let (x, factors) = (matrix(&x, d), Artifact::table(Kind::Labels, table));
        let inputs = Inputs::new().with("features", &x).with("factors", &factors);
        let op = find("disentanglement").unwrap().parse(json!({})).unwrap();
        let made = op.run(&inputs, &Detached::with_seed(4)).unwrap();
        let scores = made.get("scores").and_then(Artifact::as_table).unwrap();
        close(scores.reals("value").unwrap(), &reals(&case["values"]), 1e-6);
    }
}

#[test]
fn tags_score_as_scikit_learn_does() {
    let (x, d) = features("hard");
    for case in cases("tagging") {
        let table = |labels: Vec<String>| {
            let ids = (0..labels.len()).map(|row| format!("clip{row}"));
            let groups = (0..labels.len()).map(|row| format!("{}", row % 12));
            let table = Table::new().with_text("clip_id", ids).with_text("label", labels);
            Artifact::table(Kind::Labels, table.with_text("group", groups))
        };
        let truth = table(whole(&case["classes"]).iter().map(i64::to_string).collect());
        let tags = case["true"].as_array().unwrap().iter();
        let tags = table(tags.map(|it| it.as_str().unwrap().to_owned()).collect());
        let (train, test) = (matrix(&x[..100 * d], d), matrix(&x[100 * d..], d));
        let inputs = Inputs::new().with("features", &train).with("truth", &truth);
        let inputs = inputs.with("test_features", &test).with("test_truth", &tags);
        let op = find("tagging").unwrap().parse(json!({})).unwrap();
        let made = op.run(&inputs, &Detached::with_seed(2)).unwrap();
        let scores = made.get("scores").and_then(Artifact::as_table).unwrap();
        close(scores.reals("value").unwrap(), &reals(&case["values"]), 1e-9);
        // The draws hold all recordings first.
        let resamples = made.get("resamples").and_then(Artifact::as_table).unwrap();
        let first: Vec<f64> =
            ["micro_f1", "macro_f1"].map(|name| resamples.reals(name).unwrap()[0]).to_vec();
        close(&first, &[reals(&case["values"])[2], reals(&case["values"])[5]], 1e-9);
        let wide = Inputs::new().with("features", &train).with("truth", &truth);
        let narrow = matrix(&x[..100], 1);
        let wide = wide.with("test_features", &narrow).with("test_truth", &truth);
        let error = op.run(&wide, &Detached::with_seed(2)).unwrap_err();
        assert!(error.message.contains("and those of the test 1"), "{}", error.message);
    }
}
