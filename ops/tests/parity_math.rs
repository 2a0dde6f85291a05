//! PCA, clustering and metrics agree with scikit-learn 1.9 and SciPy 1.17.

#![allow(clippy::unwrap_used, reason = "a fixture that is not there fails its test")]

use cache::{Artifact, Kind, Table};
use ops::math::{
    contingency::{Contingency, by_first_appearance},
    dispersion::Clusters,
    kmeans::{Fit, Points, kmeans_plus_plus, lloyd},
    linkage::{Method, cut, distances, merges},
    pca,
    random::{Purpose, Random},
    silhouette,
};
use ops::{AnyOp, Detached, Inputs, find};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::BufReader;

fn path(name: &str) -> String {
    format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn reals(name: &str) -> (Vec<f64>, usize) {
    let file = npyz::NpyFile::new(BufReader::new(File::open(path(name)).unwrap())).unwrap();
    let width = file.shape().get(1).map_or(1, |&width| width as usize);
    let values = match file.dtype() {
        npyz::DType::Plain(plain) if plain.size_field() == 4 => {
            file.into_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
        }
        _ => file.into_vec::<f64>().unwrap(),
    };
    (values, width)
}

fn labels(name: &str) -> Vec<u32> {
    let file = npyz::NpyFile::new(BufReader::new(File::open(path(name)).unwrap())).unwrap();
    file.into_vec::<i32>().unwrap().into_iter().map(|label| label as u32).collect()
}

fn json(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(path(name)).unwrap()).unwrap()
}

#[track_caller]
fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0_f64, |scale, value| scale.max(value.abs())).max(1e-300);
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= tolerance * scale, "{at}: {found} {expected}");
    }
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

fn ids(n: usize) -> Vec<String> {
    (0..n).map(|row| format!("clip{row}")).collect()
}

fn matrix(values: &[f64], width: usize) -> Artifact {
    let table = Table::new().with_text("clip_id", ids(values.len() / width)).with_array(
        "features",
        [width],
        single(values),
    );
    Artifact::table(Kind::Matrix, table)
}

fn op(name: &str, params: Value) -> Box<dyn AnyOp> {
    find(name).unwrap().parse(params).unwrap()
}

#[test]
fn pca_full_is_scikit_learns() {
    let (x, d) = reals("embed/x.npy");
    let x = single(&x);
    let moments = pca::moments(&x, d);
    close(&moments.mean, &reals("embed/mean.npy").0, 1e-12);
    let fit = pca::exact(&x, &moments, 32).unwrap();
    close(&fit.explained_variance, &reals("embed/explained_variance.npy").0, 1e-12);
    close(&fit.components, &reals("embed/components.npy").0, 1e-9);
    close(&fit.latent, &reals("embed/transformed.npy").0, 1e-9);
    let ratio: Vec<f64> =
        fit.explained_variance.iter().map(|v| v / moments.total_variance).collect();
    close(&ratio, &reals("embed/explained_variance_ratio.npy").0, 1e-12);
}

#[test]
fn pca_randomized_finds_the_leading_variances() {
    let (x, d) = reals("embed/x.npy");
    let x = single(&x);
    let moments = pca::moments(&x, d);
    let fit = pca::randomized(&x, &moments, 32, 0, &mut |_| true).unwrap();
    let expected = reals("embed/explained_variance.npy").0;
    for (found, expected) in fit.explained_variance.iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-4 * expected, "{found} {expected}");
    }
}

#[test]
fn pca_op_gives_latent_spectrum_and_model() {
    let (x, d) = reals("embed/x.npy");
    let input = matrix(&x, d);
    let pca = op("pca", json!({ "solver": "full" }));
    let out = pca.run(&Inputs::new().with("features", &input), &Detached::with_seed(0)).unwrap();
    let latent = out.get("latent").unwrap().as_table().unwrap();
    let found: Vec<f64> =
        latent.array("features").unwrap().values().iter().map(|&v| v.into()).collect();
    close(&found, &reals("embed/transformed.npy").0, 1e-6);
    let spectrum = out.get("spectrum").unwrap().as_table().unwrap();
    let singular = spectrum.reals("singular_value").unwrap();
    close(singular, &reals("embed/singular_values.npy").0, 1e-12);
    let model = out.get("model").unwrap().as_tensors().unwrap();
    assert_eq!(model["components"].shape, [32, d]);
    let white = op("pca", json!({ "solver": "full", "whiten": true, "components": 5 }));
    let out = white.run(&Inputs::new().with("features", &input), &Detached::with_seed(0)).unwrap();
    let latent = out.get("latent").unwrap().as_table().unwrap().array("features").unwrap();
    for component in 0..5 {
        let column = (0..latent.rows()).map(|row| f64::from(latent.row(row)[component]));
        let variance = column.map(|v| v * v).sum::<f64>() / (latent.rows() as f64 - 1.0);
        assert!((variance - 1.0).abs() < 1e-5);
    }
}

#[test]
fn lloyd_makes_scikit_learns_iterates() {
    let (x, d) = reals("cluster/kmeans/x.npy");
    let points = Points::new(&x, d);
    let expected = json("cluster/kmeans/expected.json");
    for (name, run) in expected["runs"].as_object().unwrap() {
        let init = reals(&format!("cluster/kmeans/{}.npy", run["init"].as_str().unwrap())).0;
        let max_iter = run["max_iter"].as_u64().unwrap() as usize;
        let fit = lloyd(&points, &init, run["tol"].as_f64().unwrap(), max_iter, &|| false);
        assert_eq!(fit.labels, labels(&format!("cluster/kmeans/{name}.labels.npy")), "{name}");
        close(&fit.centres, &reals(&format!("cluster/kmeans/{name}.centers.npy")).0, 1e-12);
        assert_eq!(fit.n_iter as u64, run["n_iter"].as_u64().unwrap(), "{name}");
        let inertia = run["inertia"].as_f64().unwrap();
        assert!((fit.inertia - inertia).abs() < 1e-10 * inertia, "{name}");
    }
}

#[test]
fn kmeans_plus_plus_lands_where_scikit_learns_does() {
    let (x, d) = reals("cluster/kmeans/x.npy");
    let points = Points::new(&x, d);
    let expected = json("cluster/kmeans/expected.json");
    let one = |seed| -> Fit {
        let mut random = Random::new(seed, Purpose::KMeans, 0);
        let init = kmeans_plus_plus(&points, 11, &mut random, &|| false);
        lloyd(&points, &init, 1e-4, 300, &|| false)
    };
    let mut all: Vec<f64> = (0..50).map(|seed| one(seed).inertia).collect();
    all.sort_by(f64::total_cmp);
    let range = &expected["kmeanspp_n_init_1"];
    let at = |name: &str| range[name].as_f64().unwrap();
    assert!(all[0] > 0.999 * at("inertia_min") && all[49] < 1.05 * at("inertia_max"), "{all:?}");
    assert!((all[25] / at("inertia_median") - 1.0).abs() < 0.02, "{}", all[25]);

    let input = matrix(&x, d);
    let kmeans = op("kmeans", json!({ "clusters": 11 }));
    let most = expected["kmeanspp_n_init_10"]["inertia_max"].as_f64().unwrap();
    for seed in 0..5 {
        let cx = Detached::with_seed(seed);
        let out = kmeans.run(&Inputs::new().with("features", &input), &cx).unwrap();
        let inertia = out.get("labels").unwrap().meta["inertia"].as_f64().unwrap();
        assert!(inertia <= 1.005 * most, "{inertia}");
    }
}

#[test]
fn kmeans_agrees_with_linfa_on_separated_clusters() {
    use linfa::prelude::*;
    let mut random = Random::new(5, Purpose::Null, 0);
    let x: Vec<f64> = (0..300)
        .flat_map(|i| [random.normal() + 20.0 * f64::from(i % 3), random.normal()])
        .collect();
    let init = x[..6].to_vec();
    let fit = lloyd(&Points::new(&x, 2), &init, 0.0, 300, &|| false);
    let data = linfa::DatasetBase::from(ndarray::Array2::from_shape_vec((300, 2), x).unwrap());
    let start = ndarray::Array2::from_shape_vec((3, 2), init).unwrap();
    let model = linfa_clustering::KMeans::params(3)
        .init_method(linfa_clustering::KMeansInit::Precomputed(start))
        .n_runs(1)
        .tolerance(1e-12)
        .fit(&data)
        .unwrap();
    let theirs: Vec<u32> = model.predict(&data).iter().map(|&label| label as u32).collect();
    assert_eq!(by_first_appearance(&fit.labels).0, by_first_appearance(&theirs).0);
    assert!((model.inertia() * 300.0 / fit.inertia - 1.0).abs() < 0.01);
}

#[test]
fn agglomerative_is_scipys() {
    let (x, d) = reals("cluster/agglomerative/x.npy");
    let n = x.len() / d;
    let methods = [
        ("ward", Method::Ward),
        ("complete", Method::Complete),
        ("average", Method::Average),
        ("single", Method::Single),
    ];
    for (name, method) in methods {
        let tree = merges(distances(&x, d), n, method);
        let found: Vec<f64> = tree
            .iter()
            .flat_map(|m| [m.left as f64, m.right as f64, m.distance, m.size as f64])
            .collect();
        let (expected, _) = reals(&format!("cluster/agglomerative/{name}.linkage.npy"));
        for (found, expected) in found.chunks(4).zip(expected.chunks(4)) {
            assert_eq!([found[0], found[1], found[3]], [expected[0], expected[1], expected[3]]);
            assert!((found[2] - expected[2]).abs() < 1e-10 * expected[2]);
        }
        let expected = labels(&format!("cluster/agglomerative/{name}.labels.npy"));
        assert_eq!(cut(&tree, n, 11), expected, "{name}");
        let input = matrix(&x, d);
        let agglomerative = op("agglomerative", json!({ "clusters": 11, "linkage": name }));
        let inputs = Inputs::new().with("features", &input);
        let out = agglomerative.run(&inputs, &Detached::with_seed(0)).unwrap();
        let found = out.get("labels").unwrap().as_table().unwrap().ints("label").unwrap();
        let expected: Vec<i64> = expected.into_iter().map(i64::from).collect();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn metrics_are_scikit_learns_in_every_case() {
    let names = [
        ("silhouette", "silhouette"),
        ("calinski_harabasz", "calinski_harabasz"),
        ("davies_bouldin", "davies_bouldin"),
        ("ari", "ari"),
        ("nmi", "nmi_arithmetic"),
        ("ami", "ami_arithmetic"),
        ("homogeneity", "homogeneity"),
        ("completeness", "completeness"),
        ("v_measure", "v_measure"),
        ("fowlkes_mallows", "fowlkes_mallows"),
        ("purity", "purity"),
    ];
    for (case, expected) in json("metrics/expected.json").as_object().unwrap() {
        let file = if case == "degenerate" { "metrics/x_degenerate.npy" } else { "metrics/x.npy" };
        let (x, d) = reals(file);
        let input = matrix(&x, d);
        let table = |side: &str| {
            let labels = labels(&format!("metrics/{case}.{side}.npy"));
            let table = Table::new()
                .with_text("clip_id", ids(labels.len()))
                .with_ints("label", labels.into_iter().map(|l| i64::from(l as i32)).collect());
            Artifact::table(Kind::Labels, table)
        };
        let (clusters, truth) = (table("pred"), table("truth"));
        let inputs = Inputs::new()
            .with("features", &input)
            .with("clusters", &clusters)
            .with("truth", &truth);
        let out = op("metrics", json!({})).run(&inputs, &Detached::with_seed(0)).unwrap();
        let scores = out.get("scores").unwrap().as_table().unwrap();
        let (metrics, values) = (scores.text("metric").unwrap(), scores.reals("value").unwrap());
        for (ours, theirs) in names {
            let at = metrics.iter().position(|metric| metric == ours).unwrap();
            match expected[theirs].as_f64() {
                Some(expected) => {
                    let error = (values[at] - expected).abs();
                    assert!(error <= 1e-6 * expected.abs().max(1.0), "{case} {ours} {error}");
                }
                None => {
                    assert!(values[at].is_nan(), "{case} {ours}");
                    assert!(!scores.text("note").unwrap()[at].is_empty());
                }
            }
        }
    }
}

#[test]
fn metric_kernels_are_exact_in_double_precision() {
    let (x, d) = reals("metrics/x.npy");
    let expected = json("metrics/expected.json");
    for case in ["kmeans11", "random7", "skewed", "two", "singletons5", "single_truth"] {
        let (predicted, _) = by_first_appearance(&labels(&format!("metrics/{case}.pred.npy")));
        let (truth, _) = by_first_appearance(&labels(&format!("metrics/{case}.truth.npy")));
        let samples = silhouette::samples(&x, d, &predicted);
        close(&samples, &reals(&format!("metrics/{case}.silhouette_samples.npy")).0, 1e-12);
        let clusters = Clusters::new(&x, d, &predicted);
        let at = |name: &str| expected[case][name].as_f64().unwrap();
        close(&[clusters.calinski_harabasz()], &[at("calinski_harabasz")], 1e-11);
        close(&[clusters.davies_bouldin()], &[at("davies_bouldin")], 1e-11);
        let both = Contingency::new(&truth, &predicted);
        close(&[both.mutual_information()], &[at("mutual_info_nats")], 1e-11);
        close(&[both.adjusted_mutual_information() + 1.0], &[at("ami_arithmetic") + 1.0], 1e-10);
    }
}

#[test]
fn the_same_bytes_at_one_and_two_threads() {
    let mut random = Random::new(6, Purpose::Null, 0);
    let narrow: Vec<f64> = (0..2100 * 17).map(|_| random.normal()).collect();
    let wide: Vec<f64> = (0..1300 * 1100).map(|_| random.normal()).collect();
    let all = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (narrow, wide) = (matrix(&narrow, 17), matrix(&wide, 1100));
            let run = |name, params, input| {
                let inputs = Inputs::new().with("features", input);
                op(name, params).run(&inputs, &Detached::with_seed(1)).unwrap()
            };
            let digest = |artifact: &Artifact| artifact.digest();
            let kmeans = run("kmeans", json!({ "clusters": 7 }), &narrow);
            let labels = kmeans.get("labels").unwrap().clone();
            let inputs = Inputs::new().with("features", &narrow).with("clusters", &labels);
            let scores = op("metrics", json!({})).run(&inputs, &Detached::with_seed(1)).unwrap();
            [
                run("pca", json!({ "components": 9 }), &narrow),
                run("pca", json!({ "solver": "randomized", "components": 9 }), &wide),
                run("agglomerative", json!({ "clusters": 7 }), &narrow),
                run("agglomerative", json!({ "clusters": 7, "linkage": "average" }), &narrow),
                kmeans,
                scores,
            ]
            .map(|out| {
                let all = out.into_vec();
                all.iter().map(|(_, artifact)| digest(artifact)).collect::<Vec<_>>()
            })
        })
    };
    assert_eq!(all(1), all(2));
}

#[test]
fn odd_input_gives_results_or_clear_errors() {
    let run = |name: &str, params: Value, values: &[f64], width: usize| {
        let input = matrix(values, width);
        let inputs = Inputs::new().with("features", &input);
        op(name, params).run(&inputs, &Detached::with_seed(0))
    };
    let huge = [3e38, -3e38, 1e38, 2e38, -1e38, 3e38];
    for solver in ["full", "randomized"] {
        let params = json!({ "components": 2, "solver": solver });
        let constant = run("pca", params.clone(), &[1.0; 6], 2).unwrap_err();
        assert!(constant.message.contains("same features"), "{constant}");
        assert!(run("pca", params.clone(), &[1.0, 2.0], 2).is_err());
        let line = run("pca", params.clone(), &[0.0, 0.0, 1.0, 1.0, 2.0, 2.0], 2).unwrap();
        let table = line.get("spectrum").unwrap().as_table().unwrap();
        assert!(table.reals("explained_variance").unwrap()[1].abs() < 1e-6);
        let _ = run("pca", params, &huge, 2);
    }
    for linkage in ["ward", "complete", "average", "single"] {
        let params = json!({ "clusters": 1, "linkage": linkage });
        assert!(run("agglomerative", params.clone(), &[1.0, 2.0], 2).is_ok());
        assert!(run("agglomerative", params.clone(), &[1.0; 6], 2).is_ok());
        assert!(run("agglomerative", params, &huge, 2).is_ok());
    }
    let few = run("kmeans", json!({ "clusters": 4 }), &[1.0, 1.0, 2.0, 1.0, 2.0], 1).unwrap();
    let labels = few.get("labels").unwrap();
    assert_eq!(labels.meta["clusters_used"], 2);
    assert!(labels.meta["warning"].as_str().unwrap().contains("2 of 4"));
    assert!(run("kmeans", json!({ "clusters": 2 }), &huge, 2).is_ok());
    let most = run("kmeans", json!({ "clusters": 4 }), &[1.0; 3], 1).unwrap_err();
    assert_eq!(most.param, Some("clusters"));
    let input = matrix(&[1.0, 2.0, 3.0], 1);
    let table =
        Table::new().with_text("clip_id", ["clip0", "clip2"]).with_ints("label", vec![0, 1]);
    let clusters = Artifact::table(Kind::Labels, table);
    let inputs = Inputs::new().with("features", &input).with("clusters", &clusters);
    let missing = op("metrics", json!({})).run(&inputs, &Detached::with_seed(0)).unwrap_err();
    assert!(missing.message.contains("`clip1`"), "{missing}");
}

#[test]
fn agreement_of_several_labelings_is_scikit_learns() {
    let expected = json("metrics/agreement.json");
    let expected = expected.as_array().unwrap();
    let names = ["kmeans11.pred", "kmeans11.truth", "random7.pred", "skewed.pred"];
    let tables = names.map(|name| {
        let labels = labels(&format!("metrics/{name}.npy"));
        let numbers = labels.iter().map(|label| i64::from(*label as i32)).collect();
        let table =
            Table::new().with_text("clip_id", ids(labels.len())).with_ints("label", numbers);
        Artifact::table(Kind::Labels, table)
    });
    // In another order than they come out.
    let inputs = names.iter().zip(&tables).rev().fold(Inputs::new(), |inputs, (name, table)| {
        inputs.with(ops::ports::labelled("clusters", name), table)
    });
    let made = op("agreement", json!({})).run(&inputs, &Detached::with_seed(0)).unwrap();
    let table = made.get("agreement").unwrap().as_table().unwrap();
    assert_eq!(table.rows(), expected.len());
    for (row, pair) in expected.iter().enumerate() {
        for side in ["first", "second"] {
            assert_eq!(table.text(side).unwrap()[row], pair[side], "pair {row}");
        }
        assert_eq!(table.ints("clips").unwrap()[row], pair["clips"]);
        for measure in ["ari", "nmi", "ami"] {
            let error = table.reals(measure).unwrap()[row] - pair[measure].as_f64().unwrap();
            assert!(error.abs() < 1e-9, "pair {row}: {measure} is off by {error}");
        }
    }
}
