//! The report of a sweep of 200 cells, rendered again by a whole process: its figures are in the
//! store already, and nothing that is written differs from what lies there.

mod study;

use divan::Bencher;
use std::path::PathBuf;
use study::{engine, study};

fn main() {
    divan::main();
}

/// Twenty numbers of components by ten of clusters, with as many seeds in each cell.
fn sweep(seeds: usize) -> PathBuf {
    study(&format!("report-{seeds}"), |_| {
        format!(
            "name: report
seeds: {seeds}
sweep:
  grid:
    pca.components: [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]
    groups.clusters: [2, 4, 6, 8, 10, 11, 12, 14, 16, 18]
steps:
  clips: {{ op: synth, clips_per_class: 20, seed: 0 }}
  mel: {{ op: log_mel, in: clips }}
  norm: {{ op: normalize, in: mel }}
  pca: {{ op: pca, in: norm, components: 2 }}
  groups: {{ op: kmeans, in: pca, clusters: 2 }}
  scores: {{ op: metrics, in: {{ features: pca, clusters: groups, truth: clips.labels }} }}
  plane: {{ op: pca, in: norm, components: 2, seed: 0 }}
  few: {{ op: kmeans, in: plane, clusters: 11, seed: 0 }}
  tree: {{ op: agglomerative, in: plane, clusters: 11 }}
  made_of: {{ op: composition, in: {{ clusters: few, truth: clips.labels }} }}
  widths: {{ op: silhouette_samples, in: {{ features: plane, clusters: few }} }}
report:
  question: How long does the report take?
  table:
    - {{ row: PCA + K-Means, scores: scores }}
  figures:
    - {{ figure: sweep_heatmap }}
    - {{ figure: sweep_heatmap, metric: nmi }}
    - {{ figure: scatter, of: plane, color: [clips.labels, few] }}
    - {{ figure: composition, of: made_of }}
    - {{ figure: silhouette, of: widths }}
    - {{ figure: dendrogram, of: tree }}
"
        )
    })
}

#[divan::bench(args = [1, 3], sample_count = 20, sample_size = 1)]
fn report_of_200_cells(bencher: Bencher<'_, '_>, seeds: usize) {
    let folder = sweep(seeds);
    bencher.bench_local(|| engine(&folder, &["report", "latest"]));
}
