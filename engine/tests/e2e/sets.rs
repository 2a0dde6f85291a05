//! Rows that compare and rows that do not: other clips, other classes, noise.

use crate::{
    plans::json,
    study::{SMALL, Study},
    tones,
};
use cache::{Artifact, Kind, Table};

/// A table as a file that a program only has to copy.
pub fn ready(study: &Study, name: &str, kind: Kind, table: Table) {
    let mut bytes = Vec::new();
    let artifact = Artifact::table(kind, table.clone());
    cache::parquet::write(&mut bytes, &artifact, &table).expect("written");
    study.write(name, bytes);
}

fn ids() -> Vec<String> {
    let names = tones::LABELS.iter();
    names.flat_map(|label| (0..4).map(move |clip| format!("{label}/{clip:02}.wav"))).collect()
}

/// The small study with a program that copies a file, and a row of it.
fn with_program(kind: &str, scores: &str) -> Study {
    let program = format!(
        "  mine: {{ op: command, command: [cp, ready.parquet, \"{{out.x}}\"], outputs: {{ x: {kind} }} }}\n"
    );
    let text = SMALL.replace("  groups:", &format!("{program}  groups:"));
    let text = text.replace("report:\n", &format!("{scores}report:\n"));
    let study = Study::new().pipeline(&text);
    tones::fill(&study, 4);
    study
}

#[test]
fn rows_over_other_clips_are_marked_and_never_ranked_together() {
    let scores = "  few_groups: { op: kmeans, in: mine, clusters: 3 }
  few: { op: metrics, in: { features: mine, clusters: few_groups, truth: clips.labels } }\n";
    let mut study = with_program("matrix", scores);
    study.edit(
        "scores: scores }\n",
        "scores: scores }\n    - { row: Seven of mine, scores: few }\n",
    );
    let few: Vec<String> =
        ids().into_iter().step_by(2).chain(ids().into_iter().skip(1).take(1)).collect();
    let values: Vec<f32> = few.iter().flat_map(|id| [id.len() as f32, 1.0]).collect();
    let table = Table::new().with_text("clip_id", few).with_array("x", [2], values);
    ready(&study, "ready.parquet", Kind::Matrix, table);
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let note = "the rows of the table are over different clips (r1 over 12 clips, r2 over 7 clips)";
    assert!(said.stderr.contains(note), "{}", said.stderr);
    let shown = study.engine(&["show"]).stdout;
    let plain = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(plain.contains(note) && plain.contains("Clips"), "{shown}");
    let report = study.read("runs/small/latest/report.md");
    assert!(report.contains(&note.replacen('t', "T", 1)), "{report}");
    assert!(
        report.contains("| Clips |") && report.contains("| 12 |") && report.contains("| 7 |"),
        "{report}"
    );
    assert!(!report.contains("Of 2 rows"), "{report}");
    assert!(report.contains("over 12 clips: ") && report.contains("over 7 clips: "), "{report}");
    // As many clips, but others.
    let best = &json(&study, &["runs", "--json"])[0]["best"]["row"];
    assert_eq!(best, "PCA + K-Means");
}

#[test]
fn rows_against_other_classes_are_not_ranked_together() {
    let scores = "  other: { op: metrics, in: { features: pca, clusters: groups, truth: mine } }\n";
    let mut study = with_program("labels", scores);
    study.edit(
        "scores: scores }\n",
        "scores: scores }\n    - { row: Against mine, scores: other }\n",
    );
    let odd = (0..12).map(|clip| ["odd", "even"][clip % 2]);
    let table = Table::new().with_text("clip_id", ids()).with_text("label", odd);
    ready(&study, "ready.parquet", Kind::Labels, table);
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let note = "scored against different classes (r1 against labels, r2 against x)";
    assert!(said.stderr.contains(note), "{}", said.stderr);
    let report = study.read("runs/small/latest/report.md");
    assert!(!report.contains("Of 2 rows"), "{report}");
    for words in ["Against `labels`", "Against `x`", "| Classes |"] {
        assert!(report.contains(words), "`{words}` is not in {report}");
    }
}

#[test]
fn equal_rows_are_said_to_be_equal() {
    let mut study = tones::three();
    study.edit("scores: scores }\n", "scores: scores }\n    - { row: Again, scores: scores }\n");
    assert_eq!(study.run().code, 0);
    let report = study.read("runs/small/latest/report.md");
    let said = "Of 2 rows, **PCA + K-Means** and **Again** agree best with the labels, and equally";
    assert!(report.contains(said), "{report}");
}

#[test]
fn noise_is_counted_and_scored_as_asked() {
    let scores =
        "  noisy: { op: metrics, in: { features: pca, clusters: mine, truth: clips.labels } }\n";
    let mut study = with_program("labels", scores);
    study.edit("scores: scores }\n", "scores: scores }\n    - { row: Density, scores: noisy }\n");
    // The third of each class is noise; the others are in the cluster of their class.
    let clusters = (0..12).map(|clip| if clip % 4 == 2 { -1 } else { clip / 4 });
    let table = Table::new().with_text("clip_id", ids()).with_ints("label", clusters.collect());
    ready(&study, "ready.parquet", Kind::Labels, table);
    let numbers = |study: &Study| {
        let said = study.run();
        assert_eq!(said.code, 0, "{}", said.stderr);
        assert!(said.stderr.contains("Density: 3 of 12 clips are noise"), "{}", said.stderr);
        let csv = study.read("runs/small/latest/results.csv");
        let value = |metric: &str| -> f64 {
            let start = format!("\"Density\",\"noisy\",{metric},");
            let line = csv.lines().find_map(|line| line.strip_prefix(&start)).expect("a line");
            line.split(',').next().and_then(|value| value.parse().ok()).expect("a number")
        };
        ["n_clips", "n_clusters", "n_noise", "purity", "homogeneity"].map(value)
    };
    let close = |found: [f64; 5], expected: [f64; 5]| {
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    };
    // Noise as a cluster of three classes: 9 + 1 of 12 are in the commonest class, and H(class | cluster) is
    // ln 3 for a quarter of the clips.
    close(numbers(&study), [12.0, 4.0, 3.0, 10.0 / 12.0, 0.75]);
    study.edit(
        "truth: clips.labels } }\nreport",
        "truth: clips.labels }, noise: singletons }\nreport",
    );
    close(numbers(&study), [12.0, 6.0, 3.0, 1.0, 1.0]);
    study.edit("noise: singletons", "noise: drop");
    close(numbers(&study), [9.0, 3.0, 3.0, 1.0, 1.0]);
    let report = study.read("runs/small/latest/report.md");
    assert!(
        report.contains("Density: 3 of 12 clips are noise, in no cluster; left out"),
        "{report}"
    );
    assert!(
        report.contains("over different clips (r1 over 12 clips, r2 over 9 clips)"),
        "{report}"
    );
}

#[test]
fn two_runs_over_other_clips_are_compared_with_a_warning() {
    let mut study = tones::three();
    assert_eq!(study.run().code, 0);
    let first = study.engine(&["runs", "--json"]).stdout;
    let first: serde_json::Value = serde_json::from_str(&first).expect("a list");
    let first = first[0]["id"].as_str().expect("an id").to_owned();
    study.edit("clusters: 3", "clusters: 4");
    assert_eq!(study.run().code, 0);
    let same = study.engine(&["diff", &first, "latest"]);
    assert!(!same.stdout.contains("do not compare"), "{}", same.stdout);
    tones::fill(&study, 5);
    assert_eq!(study.run().code, 0);
    let said = "The numbers of PCA + K-Means do not compare: they are over 12 clips and over 15.";
    for words in [&["diff", &first, "latest"][..], &["diff", &first, "latest", "--md"]] {
        let found = study.engine(words).stdout;
        let plain = found.replace('\\', "").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain.contains(said), "{found}");
    }
    let cells = json(&study, &["diff", &first, "latest", "--json"]);
    assert_eq!(cells["cells"][0]["incomparable"], "over 12 clips and over 15");
    // As many clips, but one of them is another.
    let second = json(&study, &["runs", "--json"])[0]["id"].as_str().expect("an id").to_owned();
    std::fs::rename(study.path("data/bell/00.wav"), study.path("data/bell/77.wav"))
        .expect("renamed");
    assert_eq!(study.run().code, 0);
    let found = study.engine(&["diff", &second, "latest"]).stdout;
    assert!(found.contains("over different clips"), "{found}");
}

/// Noise is told wherever labels are compared or drawn.
#[test]
fn noise_is_no_cluster_in_compositions_silhouettes_and_figures() {
    let scores = "  silhouettes: { op: silhouette_samples, in: { features: pca, clusters: mine } }
  composition: { op: composition, in: { clusters: mine, truth: clips.labels } }
  other: { op: metrics, in: { features: pca, clusters: mine, truth: clips.labels } }\n";
    let mut study = with_program("labels", scores);
    study.edit(
        "scores: scores }\n",
        "scores: scores }
  figures:
    - { figure: silhouette, of: silhouettes }
    - { figure: composition, of: composition }
    - { figure: scatter, of: pca, color: mine.x }\n",
    );
    let clusters = (0..12).map(|clip| if clip % 4 == 2 { -1 } else { clip / 4 });
    let table = Table::new().with_text("clip_id", ids()).with_ints("label", clusters.collect());
    ready(&study, "ready.parquet", Kind::Labels, table);
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let report = study.read("runs/small/latest/report.md");
    for words in [
        "mine: 3 clips are noise, in no cluster; they have no silhouette.",
        "mine, by class: 3 clips are noise, in no cluster; the last row holds them.",
        "75 % of the clips lie in framed cells",
    ] {
        assert!(report.contains(words), "`{words}` is not in {report}");
    }
    let figure = |name: &str| study.read(&format!("runs/small/latest/figures/{name}.svg"));
    assert!(figure("02-composition").contains(">noise<"));
    assert!(figure("03-scatter").contains(">noise (3)<"));
    assert!(!figure("01-silhouette").contains(">-1<"));
}
