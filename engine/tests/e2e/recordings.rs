//! Intervals over recordings and columns that explain the clusters, in the report of a study whose
//! labels name recordings.

use crate::study::Study;

const STUDY: &str = "name: small
seeds: [0, 1]
steps:
  clips: { op: synth, clips_per_class: 6, seed: 0 }
  mel: { op: log_mel, in: clips, sample_rate: 8000, duration: 0.5, n_fft: 256, hop_length: 128, n_mels: 16 }
  pca: { op: pca, in: mel, components: 3, seed: 0 }
  groups: { op: kmeans, in: pca, clusters: 3, n_init: 1, init: random }
  tree: { op: agglomerative, in: pca, clusters: 4 }
  told: { op: probe, in: { features: pca, truth: clips.labels }, folds: 2, seed: 0 }
  scores: { op: metrics, in: { features: pca, clusters: groups, truth: clips.labels } }
  ward: { op: metrics, in: { features: pca, clusters: tree, truth: clips.labels }, noise: singletons }
report:
  table:
    - { row: K-Means, scores: scores }
    - { row: Ward, scores: ward }
";

fn report(study: &Study) -> String {
    let said = study.run();
    assert_eq!(said.code, 0, "{}", said.stderr);
    study.read("runs/small/latest/report.md")
}

#[test]
fn a_table_says_which_recordings_it_rests_on() {
    let mut study = Study::new().pipeline(STUDY).threads(2);
    let whole = report(&study);
    let (_, section) = whole.split_once("## What this table rests on").expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    assert!(section.contains("66 clips of 22 recordings."), "{section}");
    let intervals =
        section.lines().filter(|line| line.starts_with("| K-Means") && line.contains("\\["));
    assert!(intervals.count() >= 1, "{section}");
    assert!(section.contains(" minus | ARI ↑"), "{section}");
    assert!(section.contains("| AMI of clusters and | the class | group |"), "{section}");
    assert!(whole.contains(" ± "), "{whole}");
    let (_, probes) = whole.split_once("## What the features tell").expect("the section");
    assert!(
        probes.contains("| `told` | ") && probes.contains("66 clips of 22 recordings."),
        "{probes}"
    );

    study.edit("report:\n", "report:\n  uncertainty: recordings\n");
    let recordings = report(&study);
    let table = recordings.split("## What this table rests on").next().unwrap_or_default();
    assert!(!table.contains(" ± ") && recordings.contains("66 clips of 22 recordings."));

    study.edit("uncertainty: recordings", "uncertainty: seeds");
    let seeds = report(&study);
    assert!(seeds.contains(" ± ") && !seeds.contains("rests on"), "{seeds}");
}

#[test]
fn few_recordings_have_no_interval() {
    let study = Study::new().pipeline(&STUDY.replace("clips_per_class: 6", "clips_per_class: 1"));
    let few = report(&study);
    // Eleven recordings are just enough.
    assert!(few.contains("11 clips of 11 recordings."), "{few}");
    let mut list = "path,label,group\n".to_owned();
    crate::tones::fill(&study, 4);
    for (at, label) in crate::tones::LABELS.iter().enumerate() {
        for clip in 0..4 {
            list.push_str(&format!(
                "data/{label}/{clip:02}.wav,{label},take {}\n",
                (at + clip) % 4
            ));
        }
    }
    study.write("list.csv", &list);
    let text = STUDY
        .replace("synth, clips_per_class: 6, seed: 0", "manifest, path: list.csv")
        .replace("clusters: 4", "clusters: 3")
        .replace("duration: 0.5", "duration: 0.25");
    let study = study.pipeline(&text);
    let few = report(&study);
    let said = "12 clips of 4 recordings: no interval is honest for fewer than 10 recordings.";
    assert!(few.contains(said), "{few}");
}

#[test]
fn factors_name_recordings_and_a_figure_of_one_seed_leaves_no_step_unread() {
    let text = STUDY
        .replace("  mel:", "  factors: { op: synth_factors, in: clips }\n  mel:")
        .replace("truth: clips.labels", "truth: factors")
        .replace("  told:", "  map: { op: umap, in: pca, n_neighbors: 5 }\n  told:");
    let figure = "  figures:\n    - { figure: scatter, of: map, color: groups }\n";
    let whole = report(&Study::new().pipeline(&format!("{text}{figure}")).threads(2));
    assert!(whole.contains("## What this table rests on"), "{whole}");
    assert!(whole.contains("| AMI of clusters and | the class | group | genre |"), "{whole}");
    assert!(!whole.to_lowercase().contains("nothing reads"), "{whole}");
}
