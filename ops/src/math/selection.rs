//! Criteria for the number of clusters.

use super::{
    kmeans::{Cancelled, Fit, Points, kmeans_plus_plus, lloyd},
    pairwise::Stored,
    random::{Purpose, Random},
};

/// The best of `n_init` runs of k-means, the first of equal ones; the same as the op `kmeans` finds
/// with its defaults.
pub fn best_kmeans<S: Stored>(
    points: &Points<'_, S>,
    clusters: usize,
    n_init: u32,
    seed: u64,
    cancelled: Cancelled<'_>,
) -> Option<Fit> {
    let mut best: Option<Fit> = None;
    for restart in 0..n_init {
        let mut random = Random::new(seed, Purpose::KMeans, restart);
        let init = kmeans_plus_plus(points, clusters, &mut random, cancelled);
        if cancelled() {
            return None;
        }
        let fit = lloyd(points, &init, 1e-4, 300, cancelled);
        if best.as_ref().is_none_or(|best| fit.inertia < best.inertia) {
            best = Some(fit);
        }
    }
    best.filter(|_| !cancelled())
}

/// The gap statistic for each number of clusters, and its error s, from the logarithms of the inertia of
/// the data and of each reference: `references[b][k]`.
pub fn gap_statistic(data: &[f64], references: &[Vec<f64>]) -> Vec<(f64, f64)> {
    let count = references.len() as f64;
    let of = |(at, own): (usize, &f64)| {
        let values = || references.iter().map(|reference| reference[at]);
        let mean = values().sum::<f64>() / count;
        let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        (mean - own, (variance * (1.0 + 1.0 / count)).sqrt())
    };
    data.iter().enumerate().map(of).collect()
}

/// The number that the gap statistic names: the smallest k with gap(k) ≥ gap(k + 1) − s(k + 1). `None`
/// if there is none below the largest.
pub fn by_gap(gaps: &[(f64, f64)]) -> Option<usize> {
    gaps.windows(2).position(|pair| pair[0].0 >= pair[1].0 - pair[1].1).map(|at| at + 1)
}

/// The prediction strength: of each cluster of the test points, the share of its pairs whose points
/// have the same nearest centre of the training points; the least of these shares. Clusters of one
/// point have no pairs.
pub fn prediction_strength(own: &[u32], predicted: &[u32]) -> f64 {
    let clusters = own.iter().chain(predicted).max().map_or(0, |most| *most as usize + 1);
    let mut counts = vec![0_u64; clusters * clusters];
    for (own, predicted) in own.iter().zip(predicted) {
        counts[*own as usize * clusters + *predicted as usize] += 1;
    }
    let pairs = |count: u64| (count * count.saturating_sub(1)) as f64;
    let shares = counts.chunks_exact(clusters.max(1)).filter_map(|counts| {
        let all = pairs(counts.iter().sum());
        (all > 0.0).then(|| counts.iter().map(|count| pairs(*count)).sum::<f64>() / all)
    });
    shares.fold(1.0, f64::min)
}

/// The nearest of the centres to each point; of equally near ones the first.
pub fn nearest(points: &[f32], width: usize, centres: &[f64]) -> Vec<u32> {
    let of = |point: &[f32]| {
        let squares = centres.chunks_exact(width).map(|centre| {
            point.iter().zip(centre).map(|(x, c)| (f64::from(*x) - c).powi(2)).sum::<f64>()
        });
        squares.zip(0_u32..).min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0, |(_, at)| at)
    };
    points.chunks_exact(width).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_their_errors_by_hand() {
        let found = gap_statistic(&[2.0, 1.0], &[vec![3.0, 1.5], vec![5.0, 1.5]]);
        assert_eq!(found, [(2.0, 1.5_f64.sqrt()), (0.5, 0.0)]);
        assert_eq!(by_gap(&found), Some(1));
        assert_eq!(by_gap(&[(0.1, 0.0), (0.5, 0.1), (0.4, 0.05)]), Some(2));
        assert_eq!(by_gap(&[(0.1, 0.0), (0.5, 0.1)]), None);
    }

    #[test]
    fn prediction_strength_by_hand() {
        assert_eq!(prediction_strength(&[0, 0, 1, 1], &[5, 5, 2, 2]), 1.0);
        // Of three pairs of the first cluster one is together, of the one pair of the other all.
        assert_eq!(prediction_strength(&[0, 0, 0, 1, 1], &[0, 0, 1, 1, 1]), 1.0 / 3.0);
        assert_eq!(prediction_strength(&[0, 1, 2], &[0, 0, 0]), 1.0);
    }
}
