//! The silhouette (Rousseeuw 1987): s = (b − a) / max(a, b), where a is the mean Euclidean distance
//! of a point to the others of its cluster and b the smallest mean distance to another cluster.
//! A point alone in its cluster has s = 0. Source: `sklearn.metrics.silhouette_samples`.

use super::pairwise::{Packed, Stored};
use rayon::prelude::*;

/// The silhouette of every point, for labels numbered from 0 without gaps, at least two of them.
pub fn samples<S: Stored>(x: &[S], n_features: usize, labels: &[u32]) -> Vec<f64> {
    let n_clusters = labels.iter().max().map_or(0, |&most| most as usize + 1);
    let mut members = vec![Vec::new(); n_clusters];
    for (row, &label) in x.chunks_exact(n_features).zip(labels) {
        members[label as usize].push(row);
    }
    let clusters: Vec<Packed<S>> =
        members.into_par_iter().map(|rows| Packed::new(rows.into_iter(), n_features)).collect();
    let mut all = vec![0.0; labels.len()];
    all.par_chunks_mut(4).enumerate().for_each(|(block, own)| {
        let query: [Vec<f64>; 4] = std::array::from_fn(|row| {
            let row = (block * 4 + row).min(labels.len() - 1);
            x[row * n_features..][..n_features].iter().map(|&x| x.into()).collect()
        });
        let query = query.each_ref().map(Vec::as_slice);
        let mut within = [0.0; 4];
        let mut between = [f64::INFINITY; 4];
        for (cluster, points) in clusters.iter().enumerate() {
            let sums = points.distance_sums(query);
            for (row, sum) in sums.into_iter().enumerate().take(own.len()) {
                if labels[block * 4 + row] as usize == cluster {
                    within[row] = sum / (points.len() as f64 - 1.0);
                } else {
                    between[row] = between[row].min(sum / points.len() as f64);
                }
            }
        }
        for (row, silhouette) in own.iter_mut().enumerate() {
            let (a, b) = (within[row], between[row]);
            let s = (b - a) / a.max(b);
            // A cluster of one gives 0/0, as does a point that coincides with two clusters.
            let alone = clusters[labels[block * 4 + row] as usize].len() == 1;
            *silhouette = if alone || s.is_nan() { 0.0 } else { s };
        }
    });
    all
}

/// The mean silhouette of all points.
pub fn score<S: Stored>(x: &[S], n_features: usize, labels: &[u32]) -> f64 {
    let all = samples(x, n_features, labels);
    all.iter().sum::<f64>() / all.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pairs_and_a_point_alone() {
        let found = samples(&[0.0, 1.0, 10.0, 12.0, 40.0], 1, &[0, 0, 1, 1, 2]);
        let expected = [10.0 / 11.0, 9.0 / 10.0, (9.5 - 2.0) / 9.5, (11.5 - 2.0) / 11.5, 0.0];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn points_that_all_coincide_have_zero() {
        assert_eq!(samples(&[1.0_f32; 6], 2, &[0, 0, 1]), [0.0; 3]);
    }
}
