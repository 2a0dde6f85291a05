//! Speed of PCA, clustering and metrics at the size of IRMAS: 6,705 clips.

use cache::{Artifact, Kind, Table};
use divan::{Bencher, black_box};
use ops::math::{
    contingency::Contingency,
    dispersion::{Clusters, effective_dimension},
    kmeans::{Points, kmeans_plus_plus, lloyd},
    linkage::{Method, distances, merges},
    pca,
    random::{Purpose, Random},
    silhouette, ward,
};
use ops::{Detached, Inputs, find};

const CLIPS: usize = 6705;
const LATENT: usize = 32;

fn main() {
    divan::main();
}

/// Eleven overlapping normal clouds whose columns spread less and less, and their numbers.
fn clouds(width: usize) -> (Vec<f32>, Vec<u32>) {
    let mut random = Random::new(0, Purpose::Null, 0);
    let centres: Vec<f64> = (0..11 * width).map(|_| 1.2 * random.normal()).collect();
    let mut x = Vec::with_capacity(CLIPS * width);
    let mut labels = Vec::with_capacity(CLIPS);
    for _ in 0..CLIPS {
        let label = random.below(11);
        labels.push(label);
        for column in 0..width {
            let spread = 2.0 / (1.0 + column as f64).sqrt();
            let value = centres[label as usize * width + column] + random.normal();
            x.push((spread * value) as f32);
        }
    }
    (x, labels)
}

#[divan::bench(sample_count = 3)]
fn pca_randomized_6705x16640(bencher: Bencher) {
    let (x, _) = clouds(16_640);
    bencher.bench_local(|| {
        let moments = pca::moments(&x, 16_640);
        black_box(pca::randomized(&x, &moments, 32, 0, &mut |_| true))
    });
}

#[divan::bench(sample_count = 10)]
fn kmeans_6705x32(bencher: Bencher) {
    let (x, _) = clouds(LATENT);
    bencher.bench_local(|| {
        let points = Points::new(&x, LATENT);
        for restart in 0..10 {
            let mut random = Random::new(0, Purpose::KMeans, restart);
            let init = kmeans_plus_plus(&points, 11, &mut random, &|| false);
            black_box(lloyd(&points, &init, 1e-4, 300, &|| false));
        }
    });
}

#[divan::bench(sample_count = 10)]
fn ward_6705x32(bencher: Bencher) {
    let (x, _) = clouds(LATENT);
    bencher.bench_local(|| black_box(ward::merges(&x, LATENT, &|| false)));
}

#[divan::bench(sample_count = 5)]
fn complete_6705x32(bencher: Bencher) {
    let (x, _) = clouds(LATENT);
    let method = Method::Complete;
    bencher.bench_local(|| black_box(merges(distances(&x, LATENT), CLIPS, method)));
}

/// An op on clouds, as a pipeline runs it.
fn op_6705x32(bencher: Bencher, name: &str) {
    let (x, _) = clouds(LATENT);
    let ids = (0..CLIPS).map(|row| row.to_string());
    let table = Table::new().with_text("clip_id", ids).with_array("features", [LATENT], x);
    let input = Artifact::table(Kind::Matrix, table);
    let op = find(name).and_then(|entry| entry.parse(serde_json::json!({})).ok());
    let op = op.expect("an op without required parameters");
    bencher.bench_local(|| {
        let inputs = Inputs::new().with("features", &input);
        black_box(op.run(&inputs, &Detached::with_seed(0)).expect("clouds are sound"))
    });
}

#[divan::bench(sample_count = 3)]
fn umap_6705x32(bencher: Bencher) {
    op_6705x32(bencher, "umap");
}

#[divan::bench(sample_count = 1)]
fn tsne_6705x32(bencher: Bencher) {
    op_6705x32(bencher, "tsne");
}

#[divan::bench(sample_count = 10)]
fn metrics_6705x32(bencher: Bencher) {
    let (x, labels) = clouds(LATENT);
    bencher.bench_local(|| {
        black_box(silhouette::score(&x, LATENT, &labels));
        let clusters = Clusters::new(&x, LATENT, &labels);
        black_box((clusters.calinski_harabasz(), clusters.davies_bouldin()));
        black_box(effective_dimension(&x, LATENT));
        let both = Contingency::new(&labels, &labels);
        black_box((both.adjusted_rand(), both.adjusted_mutual_information()));
    });
}
