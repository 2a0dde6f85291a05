//! Every kind of figure, drawn from a small example and compared with a golden file.
//!
//! With `FIGURES_TO=folder` the drawings are written there too, as SVG and PNG, to be looked at.

use crate::study::{Study, clips, noise, scattered};
use cache::{
    Artifact, Kind, Table,
    record::{Row, Sweep},
};
use reports::figures::{FIGURES, Rendered};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// Draws, compares with the golden file, and tells every kind that was drawn.
pub fn golden(
    study: &Study,
    name: &str,
    figure: &str,
    inputs: &[(&str, &[&str])],
    options: Value,
) -> Rendered {
    let drawn = study.draw(figure, inputs, options.clone()).expect("drawn");
    if let Ok(folder) = std::env::var("FIGURES_TO") {
        let folder = Path::new(&folder);
        fs::create_dir_all(folder).expect("a folder");
        fs::write(folder.join(format!("{name}.svg")), &drawn.svg).expect("written");
        fs::write(folder.join(format!("{name}.png")), &drawn.png).expect("written");
    }
    insta::assert_snapshot!(name, format!("{}\n{}", drawn.caption, drawn.svg));
    // What was kept is what was drawn.
    let kept = study.draw(figure, inputs, options).expect("kept");
    assert_eq!((&kept.svg, &kept.png), (&drawn.svg, &drawn.png));
    drawn
}

#[test]
fn scatter_plots_stand_side_by_side() {
    let study = scattered();
    let drawn = golden(
        &study,
        "scatter",
        "scatter",
        &[("of", &["map"]), ("color", &["clips", "groups"])],
        json!({}),
    );
    let points = drawn.points.expect("points");
    assert_eq!((points.clips.len(), points.panels.len(), points.facts.len()), (220, 2, 2));
    assert!(!drawn.svg.contains("<script>"), "labels are escaped");
    let one = [("of", &["map"] as &[&str]), ("color", &["clips"])];
    let drawn = golden(&study, "scatter_one", "scatter", &one, json!({}));
    assert_eq!(drawn.title, "UMAP of pca, coloured by instrument");
}

#[test]
fn clusters_take_the_colours_of_their_classes() {
    let mut study = Study::new();
    let n = 40;
    let ids = || Table::new().with_text("clip_id", clips(n));
    let places = (0..2 * n).map(|at| noise(at, 5) as f32).collect();
    study.step("map", Artifact::table(Kind::Matrix, ids().with_array("features", [2], places)));
    // Ten clips of each of three classes have no class of their own cluster's number; the last ten are
    // the fourth class, of which the clusters 7 and 8 have six and four.
    let class = |at: usize| ["a", "b", "c", "d"][at / 10];
    let cluster = |at: usize| [5, 1, 3, if at < 36 { 7 } else { 8 }][at / 10];
    study.step("clips", Artifact::table(Kind::Labels, ids().with_text("label", (0..n).map(class))));
    let labels = ids().with_ints("label", (0..n).map(cluster).collect());
    study.step("groups", Artifact::table(Kind::Labels, labels));
    let dots = |svg: &str, color: &str| {
        let own = svg.lines().filter(|line| line.contains("stroke-linecap"));
        let own = own.filter(|line| line.contains(color));
        own.map(|line| line.matches("h0").count()).sum::<usize>()
    };
    let colors = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"];
    let both = [("of", &["map"] as &[&str]), ("color", &["clips", "groups"])];
    let drawn = study.draw("scatter", &both, json!({})).expect("drawn");
    // Each colour also has a dot in the legend of each panel that shows it.
    assert_eq!(colors.map(|color| dots(&drawn.svg, color)), [22, 22, 22, 18, 5, 0]);
    assert!(drawn.caption.contains("has the colour and the shape of the class"));
    let alone = [("of", &["map"] as &[&str]), ("color", &["groups"])];
    let drawn = study.draw("scatter", &alone, json!({})).expect("drawn");
    assert_eq!(colors.map(|color| dots(&drawn.svg, color)), [11, 11, 11, 7, 5, 0]);
    assert!(!drawn.caption.contains("matched"));
}

#[test]
fn spectrograms_have_decibels_hertz_and_seconds() {
    let mut study = Study::new();
    let (bands, frames, n) = (32, 40, 6);
    let level = |at: usize, smooth: f64| {
        let (clip, band, frame) = (at / (bands * frames), at / frames % bands, at % frames);
        let partial = (band as f64 * (0.7 + clip as f64 * 0.1)).sin().powi(2);
        let decay = (frame as f64 * -0.05).exp();
        (-80.0 + 75.0 * partial.powf(smooth) * decay + 6.0 * noise(at, 3)) as f32
    };
    let decibels: Vec<f32> = (0..n * bands * frames).map(|at| level(at, 1.0)).collect();
    let scaled =
        |values: &[f32]| values.iter().map(|value| (value + 60.0) / 20.0).collect::<Vec<_>>();
    let made: Vec<f32> = (0..n * bands * frames).map(|at| level(at, 0.4)).collect();
    let facts = |table| {
        Artifact::table(Kind::Spectrogram, table)
            .with_meta("sample_rate", 22050)
            .with_meta("hop_length", 512)
            .with_meta("fmin", 0.0)
            .with_meta("fmax", 11025.0)
    };
    let before = Table::new().with_text("clip_id", clips(n)).with_array(
        "features",
        [bands, frames],
        decibels.clone(),
    );
    study.step("mel", facts(before));
    let pairs = Table::new()
        .with_text("clip_id", clips(n))
        .with_array("features", [bands, frames], scaled(&made))
        .with_array("original", [bands, frames], scaled(&decibels));
    study.step("vae", facts(pairs));
    let inputs: [(&str, &[&str]); 2] = [("of", &["vae"]), ("decibels", &["mel"])];
    let drawn = golden(&study, "reconstruction", "reconstruction", &inputs, json!({"clips": 3}));
    assert!(drawn.svg.contains(">dB<") && drawn.svg.contains("Hz (Mel)"));
    let scaled = study.draw("reconstruction", &inputs[..1], json!({})).expect("drawn");
    assert!(!scaled.svg.contains(">dB<"), "without the levels before, there are no decibels");
}

#[test]
fn a_composition_shows_its_counts() {
    let mut study = Study::new();
    let (clusters, classes) =
        (["3", "0", "1", "2"], ["cel", "cla", "flu", "a long class name & more"]);
    let counts: Vec<i64> = vec![40, 3, 0, 2, 5, 31, 8, 0, 1, 2, 28, 14, 0, 9, 11, 22];
    let share =
        |at: usize| counts[at] as f64 / counts[at / 4 * 4..][..4].iter().sum::<i64>() as f64;
    let table = Table::new()
        .with_text("cluster", (0..16).map(|at| clusters[at / 4]))
        .with_text("class", (0..16).map(|at| classes[at % 4]))
        .with_ints("count", counts.clone())
        .with_reals("share_of_cluster", (0..16).map(share).collect())
        .with_reals("share_of_class", (0..16).map(share).collect())
        .with_ints("matched", (0..16).map(|at| i64::from(at / 4 == at % 4)).collect());
    let artifact = Artifact::table(Kind::Composition, table).with_meta("accuracy", 0.6875);
    let (artifact, twice) = (artifact.clone(), artifact);
    study.step("pca", Artifact::table(Kind::Matrix, Table::new()));
    study.step("groups@pca{seed=0}", Artifact::table(Kind::Labels, Table::new()));
    study.by("K-Means", &[("features", "pca.out")]);
    for (name, truth) in [("made_of@pca{seed=0}", "clips.speaker"), ("again", "clips.labels")] {
        study.step(name, if name == "again" { twice.clone() } else { artifact.clone() });
        study.by("composition", &[("clusters", "groups@pca{seed=0}.out"), ("truth", truth)]);
        if name != "again" {
            study.step("clips", Artifact::table(Kind::Labels, Table::new()));
            study.by("list", &[]);
        }
    }
    let drawn = golden(
        &study,
        "composition",
        "composition",
        &[("of", &["made_of@pca{seed=0}"])],
        json!({}),
    );
    assert_eq!(drawn.title, "K-Means of pca, by speaker");
    // The clusters 3, 0, 1 and 2 are matched with the classes in their order.
    for color in ["#0072b2", "#e69f00", "#009e73", "#d55e00"] {
        let dots = drawn.svg.lines().filter(|line| line.contains("h0") && line.contains(color));
        assert_eq!(dots.count(), 2, "{color} marks a class and its cluster");
    }
    let two: [(&str, &[&str]); 1] = [("of", &["made_of@pca{seed=0}", "again"])];
    let both = study.draw("composition", &two, json!({})).expect("drawn").svg;
    assert!(
        both.contains(">K-Means of pca, by speaker<")
            && both.contains(">K-Means of pca, by class<")
    );
    assert!(!both.contains("@pca") && !both.contains("seed="), "no names of steps");
}

fn history(beta: f64, epochs: usize) -> Artifact {
    let falling = |at: usize, from: f64, to: f64| to + (from - to) * (-0.25 * at as f64).exp();
    let column = |from, to| (0..epochs).map(|at| falling(at, from, to)).collect::<Vec<_>>();
    let kl = 40.0 / (1.0 + beta);
    let table = Table::new()
        .with_ints("epoch", (1..=epochs as i64).collect())
        .with_reals("loss", column(16000.0, 300.0 * (1.0 + beta)))
        .with_reals("reconstruction", column(15000.0, 250.0 + 60.0 * beta))
        .with_reals("kl", column(0.1, kl))
        .with_reals("beta", vec![beta; epochs])
        .with_reals("validation", column(16500.0, 380.0 * (1.0 + beta)));
    Artifact::table(Kind::History, table)
}

#[test]
fn trainings_are_curves_and_points() {
    let mut study = Study::new();
    for beta in [1.0, 4.0, 16.0] {
        study.step(&format!("vae{{beta={beta}}}"), history(beta, 30));
    }
    let all: &[&str] = &["vae{beta=1}", "vae{beta=4}", "vae{beta=16}"];
    golden(&study, "curves", "curves", &[("of", all)], json!({}));
    golden(&study, "rate_distortion", "rate_distortion", &[("of", all)], json!({}));
}

fn diagnostics(units: usize, in_use: usize, beta: Option<f64>) -> Artifact {
    let strength = |at: usize| if at < in_use { 3.0 / (1.0 + at as f64) } else { 0.002 };
    let order = |at: usize| (at * 7) % units;
    let table = Table::new()
        .with_ints("unit", (0..units as i64).collect())
        .with_reals(
            "kl",
            (0..units).map(|at| beta.map_or(f64::NAN, |_| strength(order(at)))).collect(),
        )
        .with_reals("variance_of_mean", (0..units).map(|at| strength(order(at)).min(1.0)).collect())
        .with_ints("active", (0..units).map(|at| i64::from(order(at) < in_use)).collect());
    let artifact =
        Artifact::table(Kind::Diagnostics, table).with_meta("active_units", in_use as f64);
    match beta {
        Some(beta) => artifact.with_meta("effective_beta", beta),
        None => artifact,
    }
}

#[test]
fn units_and_the_spectrum_they_stand_against() {
    let mut study = Study::new();
    study.step("vae", diagnostics(16, 5, Some(4.0)));
    study.step("ae", diagnostics(16, 16, None));
    study.step("strict", diagnostics(16, 1, Some(2080.0)));
    let n = 32;
    let variances: Vec<f64> = (0..n).map(|at| 3000.0 / f64::from(1 + at * at)).collect();
    let table = Table::new()
        .with_ints("component", (0..i64::from(n)).collect())
        .with_reals("explained_variance", variances);
    study.step("pca", Artifact::table(Kind::Diagnostics, table));
    golden(&study, "units", "units", &[("of", &["vae", "ae"])], json!({}));
    let inputs: [(&str, &[&str]); 2] = [("of", &["pca"]), ("models", &["vae", "strict"])];
    let drawn = golden(&study, "pca_spectrum", "pca_spectrum", &inputs, json!({}));
    assert!(drawn.caption.contains("Forecast, not a result"));
    let refused = study.draw("pca_spectrum", &[("of", &["pca"]), ("models", &["ae"])], json!({}));
    assert_eq!(refused.expect_err("no β"), "`ae` has no effective β: it is not variational");
}

#[test]
fn silhouettes_stand_cluster_by_cluster() {
    let mut study = Study::new();
    let n = 330;
    let value = |at: usize| (0.25 + 0.1 * (at % 5) as f64 + 0.7 * noise(at, 9)).clamp(-1.0, 1.0);
    let table = Table::new()
        .with_text("clip_id", clips(n))
        .with_text("cluster", (0..n).map(|at| (at % 5 + at % 2 * 5).to_string()))
        .with_reals("silhouette", (0..n).map(value).collect());
    study.step("widths", Artifact::table(Kind::Silhouettes, table));
    golden(&study, "silhouette", "silhouette", &[("of", &["widths"])], json!({}));
}

#[test]
fn a_dendrogram_shows_the_last_merges() {
    let mut study = Study::new();
    let clips = 40_i64;
    // Pairs of neighbours, then pairs of pairs, and what is left over last.
    let (mut nodes, mut merges) = ((0..clips).map(|at| (at, 1)).collect::<Vec<_>>(), Vec::new());
    while nodes.len() > 1 {
        let (a, b) = (nodes.remove(0), nodes.remove(0));
        let size = a.1 + b.1;
        let height = (size as f64).sqrt() + 0.01 * merges.len() as f64;
        nodes.push((clips + merges.len() as i64, size));
        merges.push((a.0, b.0, height, size));
    }
    let table = Table::new()
        .with_ints("left", merges.iter().map(|it| it.0).collect())
        .with_ints("right", merges.iter().map(|it| it.1).collect())
        .with_reals("distance", merges.iter().map(|it| it.2).collect())
        .with_ints("size", merges.iter().map(|it| it.3).collect());
    study.step("tree", Artifact::table(Kind::Linkage, table));
    golden(&study, "dendrogram", "dendrogram", &[("of", &["tree"])], json!({"leaves": 12}));
}

#[test]
fn specifications_are_sorted_above_their_choices() {
    let mut study = Study::new();
    let mut shown = Vec::new();
    for (scope, first) in [("global", 0.30), ("per_bin", 0.42)] {
        for (components, more) in [(8, 0.0), (16, 0.06), (32, 0.02)] {
            for (row, own) in [("K-Means", 0.0), ("Ward", 0.04)] {
                let point = vec![
                    ("norm.scope".to_owned(), json!(scope)),
                    ("pca.components".to_owned(), json!(components)),
                ];
                let step = format!("{row}{{scope={scope},components={components}}}");
                let table = Table::new()
                    .with_text("metric", ["ari"])
                    .with_reals("value", vec![first + more + own])
                    .with_text("note", [""]);
                study.step(&step, Artifact::table(Kind::Scores, table));
                study.record.table.push(Row {
                    title: row.to_owned(),
                    scores: step,
                    point: point.clone(),
                    ..Row::default()
                });
                if shown.is_empty() {
                    shown = point;
                }
            }
        }
    }
    let axes = vec!["norm.scope".to_owned(), "pca.components".to_owned()];
    study.record.sweep =
        Some(Sweep { axes, shown, seeds: vec![0], variants: 6, ..Sweep::default() });
    golden(&study, "specification_curve", "specification_curve", &[], json!({"metric": "ari"}));
}

#[test]
fn criteria_stand_over_the_number_of_clusters() {
    let mut study = Study::new();
    let table = Table::new()
        .with_ints("clusters", (1..=8).collect())
        .with_reals("silhouette", vec![f64::NAN, 0.3, 0.42, 0.5, 0.46, 0.41, 0.4, 0.38])
        .with_reals("gap", vec![0.1, 0.3, 0.5, 0.72, 0.7, 0.68, 0.67, 0.66])
        .with_reals("gap_error", vec![0.03; 8])
        .with_reals("bic", vec![9800.0, 9500.0, 9300.0, 9100.0, 9080.0, 9120.0, 9180.0, 9250.0])
        .with_reals("prediction_strength", vec![1.0, 0.9, 0.85, 0.95, 0.6, 0.5, 0.4, 0.3]);
    let chosen = json!({ "silhouette": 4, "gap": 4, "bic": 5, "prediction_strength": 4 });
    study.step("k", Artifact::table(Kind::Selection, table).with_meta("chosen", chosen));
    let drawn = golden(&study, "selection", "selection", &[("of", &["k"])], json!({}));
    assert!(drawn.caption.contains("4 clusters stand out"), "{}", drawn.caption);
}

#[test]
fn clips_that_are_together_are_bright_squares() {
    let mut study = Study::new();
    let n = 12;
    let share = |at: usize| match (at / n % 3, at % n % 3) {
        (a, b) if a == b => 1.0 - (at / n / 3) as f32 * 0.05,
        _ => 0.1,
    };
    let table = Table::new().with_text("clip_id", clips(n)).with_array(
        "features",
        [n],
        (0..n * n).map(share).collect(),
    );
    let matrix = Artifact::table(Kind::Matrix, table);
    study.step("pairs", matrix.with_meta("clusterings", 10).with_meta("ambiguous", 0.25));
    // First clips 0, 3, 6 and 9, then 1, 4, 7 and 10, then the rest, and then all of them.
    let merges: [(i64, i64); 11] = [
        (0, 3),
        (6, 12),
        (9, 13),
        (1, 4),
        (7, 15),
        (10, 16),
        (2, 5),
        (8, 18),
        (11, 19),
        (14, 17),
        (20, 21),
    ];
    let tree = Table::new()
        .with_ints("left", merges.iter().map(|it| it.0).collect())
        .with_ints("right", merges.iter().map(|it| it.1).collect())
        .with_reals("distance", vec![0.5; 11])
        .with_ints("size", vec![2; 11]);
    study.step("tree", Artifact::table(Kind::Linkage, tree));
    let inputs: &[(&str, &[&str])] = &[("of", &["pairs"]), ("order", &["tree"])];
    golden(&study, "coassociation", "coassociation", inputs, json!({}));
}

#[test]
fn every_kind_has_a_golden_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/looks/snapshots");
    for kind in FIGURES.iter().filter(|kind| kind.name != "picture") {
        let file = folder.join(format!("looks__figures__{}.snap", kind.name));
        assert!(file.is_file(), "no golden file of `{}`", kind.name);
    }
}

#[test]
fn damaged_inputs_are_refused_in_words() {
    let mut study = Study::new();
    let cycle = Table::new()
        .with_ints("left", vec![0, 3])
        .with_ints("right", vec![1, 3])
        .with_reals("distance", vec![1.0, 2.0])
        .with_ints("size", vec![2, 4]);
    study.step("tree", Artifact::table(Kind::Linkage, cycle));
    study.step("empty", Artifact::table(Kind::Matrix, Table::new()));
    let refused = |figure, step: &str| {
        study.draw(figure, &[("of", &[step])], json!({})).err().unwrap_or_default()
    };
    assert_eq!(refused("dendrogram", "tree"), "its merges do not make a tree");
    assert_eq!(refused("scatter", "empty"), "`empty.out` has fewer than two features");
    assert_eq!(refused("scatter", "nothing"), "`nothing.out` was not made");
    for kind in FIGURES {
        let _ = study.draw(kind.name, &[("of", &["empty"])], json!({}));
        let _ = study.draw(kind.name, &[("of", &["tree"])], json!({}));
        let _ = study.draw(kind.name, &[], json!({}));
    }
}
