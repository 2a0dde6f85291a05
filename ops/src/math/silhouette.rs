//! The silhouette (Rousseeuw 1987): s = (b − a) / max(a, b), where a is the mean Euclidean distance
//! of a point to the others of its cluster and b the smallest mean distance to another cluster. The
//! only point of a cluster has s = 0. Source: `sklearn.metrics.silhouette_samples`.

use super::pairwise::{LANES, Packed, Stored};
use rayon::prelude::*;

/// The largest number of sums that are held at once.
pub(crate) const MAX_SUMS: usize = 1 << 25;

/// The silhouette of every point, for labels numbered from 0 without gaps, with at least two
/// clusters.
///
/// Each distance is computed once and counts for both its ends; the sums are computed in parts that
/// depend on the data alone.
pub fn samples<S: Stored>(x: &[S], n_features: usize, labels: &[u32]) -> Vec<f64> {
    let n_clusters = labels.iter().max().map_or(0, |&most| most as usize + 1);
    let mut members = vec![Vec::new(); n_clusters];
    for (index, &label) in labels.iter().enumerate() {
        members[label as usize].push(index);
    }
    let row = |index: usize| &x[index * n_features..][..n_features];
    let clusters: Vec<Packed<S>> = members
        .par_iter()
        .map(|members| Packed::new(members.iter().map(|&index| row(index)), n_features))
        .collect();
    // The first lane of each cluster, and the number of all lanes.
    let mut lanes = 0;
    let mut starts = Vec::with_capacity(n_clusters);
    for cluster in &clusters {
        starts.push(lanes);
        lanes += cluster.groups() * LANES;
    }
    let blocks: Vec<(usize, usize)> = clusters
        .iter()
        .enumerate()
        .flat_map(|(cluster, points)| (0..points.len()).step_by(4).map(move |at| (cluster, at)))
        .collect();
    // One line of sums for each cluster: the distances of the point in each lane to the points of
    // the cluster.
    let parts = (MAX_SUMS / (n_clusters * lanes).max(1)).clamp(1, 16);
    let sums = (0..parts)
        .into_par_iter()
        .map(|part| {
            let mut sums = vec![0.0; n_clusters * lanes];
            for &(own, at) in blocks.iter().skip(part).step_by(parts) {
                let real = (clusters[own].len() - at).min(4);
                let query: [Vec<f64>; 4] = std::array::from_fn(|index| {
                    let index = members[own][at + index.min(real - 1)];
                    row(index).iter().map(|&x| x.into()).collect()
                });
                let query = query.each_ref().map(Vec::as_slice);
                for cluster in own..n_clusters {
                    // Within its own group of lanes a row counts alone; after it, distances count
                    // for both ends.
                    let points = &clusters[cluster];
                    let first = if cluster == own { at / LANES + 1 } else { 0 };
                    let skipped = own * lanes + starts[cluster] + first * LANES;
                    let length = (points.groups() - first) * LANES;
                    let others = &mut sums[skipped..][..length];
                    let mut found = points.distance_sums_both(query, real, first, others);
                    if cluster == own {
                        let mut unused = [0.0; LANES];
                        let near = points.distance_sums_both(query, 0, first - 1, &mut unused);
                        found.iter_mut().zip(near).for_each(|(found, near)| *found += near);
                    }
                    let to = cluster * lanes + starts[own] + at;
                    sums[to..][..real].iter_mut().zip(found).for_each(|(sum, f)| *sum += f);
                }
            }
            sums
        })
        .collect::<Vec<_>>()
        .into_iter()
        .reduce(|mut total, part| {
            total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
            total
        })
        .unwrap_or_default();
    let mut all = vec![0.0; labels.len()];
    for (own, members) in members.iter().enumerate().filter(|(_, members)| members.len() > 1) {
        for (at, &index) in members.iter().enumerate() {
            let sum = |cluster: usize| sums[cluster * lanes + starts[own] + at];
            let a = sum(own) / (members.len() as f64 - 1.0);
            let b = (0..n_clusters)
                .filter(|&cluster| cluster != own)
                .map(|cluster| sum(cluster) / clusters[cluster].len() as f64)
                .fold(f64::INFINITY, f64::min);
            // 0/0 if a point coincides with all points of two clusters.
            let s = (b - a) / a.max(b);
            all[index] = if s.is_nan() { 0.0 } else { s };
        }
    }
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
