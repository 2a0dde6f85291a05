//! The numbers that figures show agree with scikit-learn 1.9, SciPy 1.17 and umap-learn 0.5.12.

#![allow(clippy::unwrap_used, reason = "a fixture that is not there fails its test")]

use cache::{Artifact, Kind, Table};
use ops::math::{
    assignment::assign,
    fuzzy::{Bandwidths, Graph},
    layout,
    neighbors::{Neighbors, trustworthiness},
    numpy,
    random::{Purpose, Random},
};
use ops::{Detached, Inputs, OpError, Outputs, find};
use serde_json::{Value, json};
use std::fs;

/// Neighbours by which layouts are judged.
const NEIGHBORS: usize = 15;
const LAYOUTS: [&str; 3] = ["mixture", "swiss_roll", "digits"];

fn bytes(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The rows of an array, and how many numbers each has.
fn rows(name: &str) -> (Vec<f32>, usize) {
    let (_, width, values) = numpy::read_matrix(&bytes(&format!("{name}.npy"))).unwrap();
    (values.into_single(), width)
}

fn expected() -> Value {
    serde_json::from_slice(&bytes("figures/expected.json")).unwrap()
}

fn ids(n: usize) -> impl Iterator<Item = String> {
    (0..n).map(|row| format!("clip{row}"))
}

fn matrix(x: &[f32], width: usize) -> Artifact {
    let table = Table::new().with_text("clip_id", ids(x.len() / width)).with_array(
        "features",
        [width],
        x.to_vec(),
    );
    Artifact::table(Kind::Matrix, table)
}

fn run(name: &str, params: Value, inputs: &Inputs<'_>, seed: u64) -> Result<Outputs, OpError> {
    let op = find(name).unwrap().parse(params).unwrap();
    op.run(inputs, &Detached::with_seed(seed))
}

/// The coordinates an op lays out rows in.
fn laid_out(name: &str, params: Value, x: &[f32], width: usize, seed: u64) -> (Artifact, Vec<f32>) {
    let input = matrix(x, width);
    let made = run(name, params, &Inputs::new().with("features", &input), seed).unwrap();
    let embedding = made.get("embedding").unwrap().clone();
    let values = embedding.as_table().unwrap().array("features").unwrap().values().to_vec();
    assert!(values.iter().all(|value| value.is_finite()));
    (embedding, values)
}

#[test]
fn assignments_gain_as_much_as_scipys() {
    for case in expected()["assignments"].as_array().unwrap() {
        let columns = case["columns"].as_u64().unwrap() as usize;
        let gains = case["gains"].as_array().unwrap().iter();
        let gains: Vec<f64> = gains.map(|gain| gain.as_f64().unwrap()).collect();
        let found = assign(&gains, columns);
        let pairs: Vec<_> =
            found.iter().enumerate().filter_map(|(row, column)| Some((row, (*column)?))).collect();
        assert_eq!(pairs.len(), columns.min(gains.len() / columns));
        let mut seen: Vec<usize> = pairs.iter().map(|pair| pair.1).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), pairs.len(), "a column twice");
        let total: f64 = pairs.iter().map(|(row, column)| gains[row * columns + column]).sum();
        assert_eq!(total, case["total"].as_f64().unwrap());
    }
}

#[test]
fn silhouettes_are_scikit_learns() {
    let (x, width) = rows("metrics/x");
    let features = matrix(&x, width);
    for case in ["kmeans11", "random7", "skewed", "two", "singletons5"] {
        let (labels, _) = rows(&format!("metrics/{case}.pred"));
        let table = Table::new()
            .with_text("clip_id", ids(labels.len()))
            .with_ints("label", labels.iter().map(|&label| label as i64).collect());
        let clusters = Artifact::table(Kind::Labels, table);
        let inputs = Inputs::new().with("features", &features).with("clusters", &clusters);
        let made = run("silhouette_samples", json!({}), &inputs, 0).unwrap();
        let table = made.get("silhouettes").unwrap().as_table().unwrap();
        let (expected, _) = rows(&format!("metrics/{case}.silhouette_samples"));
        for (found, expected) in table.reals("silhouette").unwrap().iter().zip(expected) {
            assert!((found - f64::from(expected)).abs() < 1e-6, "{case}: {found} {expected}");
        }
        let clusters = table.text("cluster").unwrap();
        assert!(clusters.iter().zip(&labels).all(|(own, label)| *own == label.to_string()));
    }
}

#[test]
fn trust_is_scikit_learns() {
    let (x, width) = rows("figures/swiss_roll");
    let (layout, _) = rows("figures/swiss_roll.tsne");
    let found = trustworthiness(&x, width, &layout, 2, NEIGHBORS);
    let expected = expected()["layouts"]["swiss_roll"]["tsne_trustworthiness"].as_f64().unwrap();
    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
}

#[test]
fn the_graph_of_neighbours_is_umap_learns() {
    let (mut x, width) = rows("figures/mixture");
    // Without the rows given twice: of equally near neighbours either may be taken.
    x.truncate(x.len() - 20 * width);
    let near = Neighbors::new(&x, width, NEIGHBORS, &|| false).unwrap();
    let distances: Vec<f64> = near.squares.iter().map(|square| square.sqrt()).collect();
    let widths = Bandwidths::new(&distances, NEIGHBORS);
    let close = |found: &[f64], name: &str| {
        for (found, expected) in found.iter().zip(rows(name).0) {
            assert!((found / f64::from(expected) - 1.0).abs() < 1e-4, "{name}: {found} {expected}");
        }
    };
    close(&widths.rho, "figures/mixture.rhos");
    close(&widths.sigma, "figures/mixture.sigmas");
    let graph = Graph::new(&near.indices, &distances, &widths, 1.0);
    let (edges, _) = rows("figures/mixture.graph");
    let found =
        (0..graph.len()).flat_map(|from| graph.edges(from).map(move |(to, w)| (from, to, w)));
    let found: Vec<_> = found.collect();
    assert_eq!(found.len(), edges.len() / 3);
    for ((from, to, weight), edge) in found.into_iter().zip(edges.chunks_exact(3)) {
        assert_eq!([from as f32, to as f32], edge[..2]);
        assert!((weight - f64::from(edge[2])).abs() < 1e-4, "{from} {to}: {weight} {}", edge[2]);
    }
}

#[test]
fn curves_of_closeness_are_umap_learns() {
    for case in expected()["curves"].as_array().unwrap() {
        let at = |name: &str| case[name].as_f64().unwrap();
        let found = layout::find_ab_params(at("spread"), at("min_dist"));
        for (found, expected) in found.iter().zip(case["ab"].as_array().unwrap()) {
            let expected = expected.as_f64().unwrap();
            assert!((found / expected - 1.0).abs() < 1e-4, "{case}: {found}");
        }
    }
}

#[test]
fn layouts_of_umap_are_as_trustworthy_as_umap_learns() {
    for name in LAYOUTS {
        let (x, width) = rows(&format!("figures/{name}"));
        let theirs = &expected()["layouts"][name]["umap_trustworthiness"];
        let theirs = theirs.as_array().unwrap().iter().map(|trust| trust.as_f64().unwrap());
        let best = theirs.fold(0.0, f64::max);
        for seed in 0..3 {
            for params in [json!({}), json!({ "exact_up_to": 0 })] {
                let is_exact = params.as_object().unwrap().is_empty();
                let (embedding, layout) = laid_out("umap", params, &x, width, seed);
                let ours = trustworthiness(&x, width, &layout, 2, NEIGHBORS);
                assert!(ours > best - 0.01, "{name}, seed {seed}: {ours} {best}");
                let said = embedding.meta["trustworthiness"].as_f64().unwrap();
                assert_eq!(said, trustworthiness(&x, width, &layout, 2, NEIGHBORS - 1));
                let recall = embedding.meta.get("neighbor_recall");
                assert_eq!(recall.is_none(), is_exact);
                assert!(recall.is_none_or(|recall| recall.as_f64().unwrap() > 0.95), "{recall:?}");
            }
        }
    }
}

#[test]
fn layouts_of_tsne_diverge_as_little_as_scikit_learns() {
    for name in LAYOUTS {
        let (x, width) = rows(&format!("figures/{name}"));
        let theirs = &expected()["layouts"][name];
        let theirs = |what: &str| theirs[what].as_f64().unwrap();
        let (embedding, layout) = laid_out("tsne", json!({}), &x, width, 0);
        let ours = trustworthiness(&x, width, &layout, 2, NEIGHBORS);
        assert!(ours > theirs("tsne_trustworthiness") - 0.005, "{name}: {ours}");
        let divergence = embedding.meta["divergence"].as_f64().unwrap();
        // Both keep the same neighbours in P, so neither can be far below the other.
        let ratio = divergence / theirs("tsne_kl");
        assert!((0.9..1.05).contains(&ratio), "{name}: {divergence}, {ratio} of theirs");
    }
}

#[test]
fn layouts_have_the_same_bytes_at_any_number_of_threads() {
    let (x, width) = rows("figures/mixture");
    let all = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let params = [
            ("umap", json!({ "n_epochs": 40 })),
            ("umap", json!({ "n_epochs": 40, "metric": "cosine", "n_components": 3 })),
            ("umap", json!({ "n_epochs": 40, "exact_up_to": 0 })),
            ("tsne", json!({ "max_iter": 40 })),
        ];
        pool.install(|| params.map(|(op, params)| laid_out(op, params, &x, width, 1).0.digest()))
    };
    let one = all(1);
    assert_eq!(one, all(2));
    assert_eq!(one, all(3));
}

#[test]
fn layouts_of_few_equal_and_far_apart_clips() {
    // Two far clouds have no edge between them, and start from principal components.
    let mut random = Random::new(4, Purpose::Null, 0);
    let far: Vec<f32> =
        (0..80 * 3).map(|at| random.normal() as f32 + if at < 120 { 0.0 } else { 1e4 }).collect();
    let (embedding, layout) = laid_out("umap", json!({}), &far, 3, 0);
    assert_eq!(embedding.meta["init"], "pca");
    let middle = |rows: &[f32]| rows.iter().step_by(2).sum::<f32>() / rows.len() as f32 * 2.0;
    assert!((middle(&layout[..80]) - middle(&layout[80..])).abs() > 2.0);
    assert!(embedding.meta["trustworthiness"].as_f64().unwrap() > 0.9);
    // Clips that coincide stay near each other.
    let mut twice = far[..120].to_vec();
    twice.extend_from_slice(&far[..120]);
    let (_, layout) = laid_out("umap", json!({ "min_dist": 0.01 }), &twice, 3, 0);
    let apart = |a: usize, b: usize| {
        (layout[2 * a] - layout[2 * b]).hypot(layout[2 * a + 1] - layout[2 * b + 1])
    };
    let pairs = (0..40).map(|row| apart(row, row + 40)).sum::<f32>();
    let others = (0..40).map(|row| apart(row, (row + 20) % 40)).sum::<f32>();
    assert!(pairs < others / 2.0, "{pairs} {others}");
    // Fewer clips than neighbours, all of them equal, and two.
    for op in ["umap", "tsne"] {
        for x in [&far[..12], &[1.5; 30], &far[..6]] {
            laid_out(op, json!({ "n_components": 3 }), x, 3, 0);
        }
        let one = matrix(&far[..3], 3);
        let refused = run(op, json!({}), &Inputs::new().with("features", &one), 0).unwrap_err();
        assert_eq!(refused.message, "one clip has no neighbours");
    }
    let wide = find("umap").unwrap().parse(json!({ "min_dist": 2.0 })).unwrap();
    assert_eq!(wide.check(&[None]).unwrap_err().param, Some("min_dist"));
}
