//! K-means: greedy k-means++ and Lloyd's iterations, equal to scikit-learn's step by step.
//!
//! It minimises the inertia Σ_i |x_i − c_{l(i)}|² over centres c and labels l. Source: Lloyd
//! 1982, Arthur & Vassilvitskii 2007; scikit-learn 1.9 (`algorithm="lloyd"`), including its
//! tolerance, stopping rules and treatment of empty clusters.

use super::{
    pairwise::{LANES, Packed, Stored},
    random::Random,
};
use rayon::prelude::*;

/// Returns true if the work shall stop.
pub type Cancelled<'a> = &'a (dyn Fn() -> bool + Sync);

/// The number of products between two checks for cancellation: a few milliseconds.
const PIECE: usize = 1 << 22;

/// Points prepared for many runs.
pub struct Points<'a, S> {
    values: &'a [S],
    n_points: usize,
    n_features: usize,
    packed: Packed<S>,
    mean_variance: f64,
}

/// The result of one run of Lloyd's iterations.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The cluster of each point.
    pub labels: Vec<u32>,
    /// The centres, row-major.
    pub centres: Vec<f64>,
    /// The sum of the squared distances of the points to their centres.
    pub inertia: f64,
    /// The number of iterations.
    pub n_iter: usize,
    /// True if it ended before the limit of iterations.
    pub converged: bool,
}

impl<'a, S: Stored> Points<'a, S> {
    /// Prepares row-major points of `n_features` features.
    pub fn new(values: &'a [S], n_features: usize) -> Self {
        let packed = Packed::new(values.chunks_exact(n_features), n_features);
        let n_points = packed.len();
        let n = n_points as f64;
        let mut mean = vec![0.0; n_features];
        for row in values.chunks_exact(n_features) {
            row.iter().zip(&mut mean).for_each(|(&x, mean)| *mean += x.into());
        }
        mean.iter_mut().for_each(|mean| *mean /= n);
        let mut squares = vec![0.0; n_features];
        for row in values.chunks_exact(n_features) {
            for ((&x, mean), square) in row.iter().zip(&mean).zip(&mut squares) {
                let x: f64 = x.into();
                *square += (x - mean) * (x - mean);
            }
        }
        let mean_variance = squares.iter().map(|s| s / n).sum::<f64>() / n_features as f64;
        Self { values, n_points, n_features, packed, mean_variance }
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.n_points
    }

    /// True if there is no point.
    pub fn is_empty(&self) -> bool {
        self.n_points == 0
    }

    fn row(&self, index: usize) -> impl Iterator<Item = f64> {
        self.values[index * self.n_features..][..self.n_features].iter().map(|&x| x.into())
    }

    fn square(&self, index: usize, centre: &[f64]) -> f64 {
        self.row(index).zip(centre).fold(0.0, |sum, (x, c)| sum + (x - c) * (x - c))
    }
}

/// `n_clusters` starting centres by greedy k-means++: each further centre is the one with the least
/// inertia among 2 + ⌊ln n_clusters⌋ points, which are drawn with probability proportional to the
/// squared distance to the nearest centre so far. There are fewer centres if `cancelled` returns
/// true meanwhile.
pub fn kmeans_plus_plus<S: Stored>(
    points: &Points<'_, S>,
    n_clusters: usize,
    random: &mut Random,
    cancelled: Cancelled<'_>,
) -> Vec<f64> {
    let (n, d) = (points.n_points, points.n_features);
    let trials = 2 + (n_clusters as f64).ln() as usize;
    let padded = points.packed.groups() * LANES;
    let first: Vec<f64> = points.row(random.below(n as u32) as usize).collect();
    let mut nearest = vec![0.0; padded];
    points.packed.squares([&first], 0, &mut nearest);
    let mut centres = first;
    let mut found = vec![0.0; padded];
    let mut best = vec![0.0; padded];
    let mut potential: f64 = nearest[..n].iter().sum();
    for _ in 1..n_clusters {
        if cancelled() {
            break;
        }
        let mut cumulated = Vec::with_capacity(n);
        let mut sum = 0.0;
        cumulated.extend(nearest[..n].iter().map(|square| {
            sum += square;
            sum
        }));
        let mut least = f64::INFINITY;
        let mut chosen: Vec<f64> = Vec::with_capacity(d);
        for _ in 0..trials {
            let at = random.uniform() * potential;
            let index = cumulated.partition_point(|&sum| sum < at).min(n - 1);
            let candidate: Vec<f64> = points.row(index).collect();
            points.packed.squares([&candidate], 0, &mut found);
            let mut left = 0.0;
            for (found, nearest) in found[..n].iter_mut().zip(&nearest) {
                *found = found.min(*nearest);
                left += *found;
            }
            if left < least || chosen.is_empty() {
                least = left;
                chosen = candidate;
                std::mem::swap(&mut best, &mut found);
            }
        }
        std::mem::swap(&mut nearest, &mut best);
        potential = least;
        centres.extend(chosen);
    }
    centres
}

/// `n_clusters` distinct rows as starting centres, drawn uniformly.
pub fn random_rows<S: Stored>(
    points: &Points<'_, S>,
    n_clusters: usize,
    random: &mut Random,
) -> Vec<f64> {
    let order = random.permutation(points.n_points);
    order.iter().take(n_clusters).flat_map(|&row| points.row(row as usize)).collect()
}

/// Runs Lloyd's iterations from the row-major centres `init`.
///
/// They end when no label changes, when the summed squared shift of all centres is at most `tol`
/// times the mean variance of the features, or after `max_iter` iterations. They also end when
/// `cancelled` returns true, which is checked between small pieces of work; the fit is then
/// invalid. Unless no label changed, the labels are computed again from the last centres. A cluster
/// without points takes over the point farthest from its own centre.
pub fn lloyd<S: Stored>(
    points: &Points<'_, S>,
    init: &[f64],
    tol: f64,
    max_iter: usize,
    cancelled: Cancelled<'_>,
) -> Fit {
    let tolerance = tol * points.mean_variance;
    let mut centres = init.to_vec();
    let mut labels = vec![0; points.n_points];
    let mut squares = vec![0.0; points.n_points];
    let mut before = vec![u32::MAX; points.n_points];
    let (mut strict, mut converged, mut n_iter) = (false, false, 0);
    while n_iter < max_iter && !converged && !cancelled() {
        n_iter += 1;
        let (mut sums, mut counts) = assign(points, &centres, &mut labels, &mut squares, cancelled);
        relocate_empty(points, &labels, &squares, &mut sums, &mut counts);
        average(&mut sums, &counts, points.n_features);
        let shift: f64 = sums.iter().zip(&centres).map(|(new, old)| (new - old).powi(2)).sum();
        centres = sums;
        strict = labels == before;
        converged = strict || shift <= tolerance;
        before.copy_from_slice(&labels);
    }
    if !strict {
        assign(points, &centres, &mut labels, &mut squares, cancelled);
    }
    let inertia = inertia(points, &centres, &labels);
    Fit { labels, centres, inertia, n_iter, converged }
}

/// Labels every point with its nearest centre; returns the sums and counts of the clusters.
fn assign<S: Stored>(
    points: &Points<'_, S>,
    centres: &[f64],
    labels: &mut [u32],
    squares: &mut [f64],
    cancelled: Cancelled<'_>,
) -> (Vec<f64>, Vec<f64>) {
    let d = points.n_features;
    let n_clusters = centres.len() / d;
    // Blocks depend on the data alone, so that sums have a fixed order for any number of threads.
    let block = 1024.max(4 * n_clusters).next_multiple_of(LANES);
    let piece = (PIECE / centres.len().max(1)).clamp(LANES, block).next_multiple_of(LANES);
    let parts: Vec<_> = labels
        .par_chunks_mut(block)
        .zip(squares.par_chunks_mut(block))
        .enumerate()
        .map(|(index, (labels, squares))| {
            let pieces = labels.chunks_mut(piece).zip(squares.chunks_mut(piece));
            for (at, (labels, squares)) in pieces.enumerate() {
                if cancelled() {
                    break;
                }
                let first = (index * block + at * piece) / LANES;
                points.packed.nearest(centres, first, labels, squares);
            }
            let mut sums = vec![0.0; centres.len()];
            let mut counts = vec![0.0; n_clusters];
            let rows = points.values[index * block * d..].chunks_exact(d);
            for (&label, row) in labels.iter().zip(rows) {
                counts[label as usize] += 1.0;
                let sums = &mut sums[label as usize * d..][..d];
                sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x.into());
            }
            (sums, counts)
        })
        .collect();
    let mut sums = vec![0.0; centres.len()];
    let mut counts = vec![0.0; n_clusters];
    for (part, part_counts) in parts {
        sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        counts.iter_mut().zip(part_counts).for_each(|(count, part)| *count += part);
    }
    (sums, counts)
}

fn relocate_empty<S: Stored>(
    points: &Points<'_, S>,
    labels: &[u32],
    squares: &[f64],
    sums: &mut [f64],
    counts: &mut [f64],
) {
    let empty: Vec<usize> = (0..counts.len()).filter(|&cluster| counts[cluster] == 0.0).collect();
    if empty.is_empty() || squares.iter().all(|&square| square == 0.0) {
        return;
    }
    let d = points.n_features;
    let mut farthest: Vec<usize> = (0..labels.len()).collect();
    farthest.sort_by(|&a, &b| squares[b].total_cmp(&squares[a]));
    for (cluster, point) in empty.into_iter().zip(farthest) {
        let old = labels[point] as usize;
        for (feature, x) in points.row(point).enumerate() {
            sums[old * d + feature] -= x;
            sums[cluster * d + feature] = x;
        }
        counts[cluster] = 1.0;
        counts[old] -= 1.0;
    }
}

/// Divides sums by counts; a cluster that is still empty gets the centre of the largest one.
fn average(sums: &mut [f64], counts: &[f64], n_features: usize) {
    let mut largest = 0;
    for (cluster, &count) in counts.iter().enumerate() {
        if count > 0.0 {
            let mean = &mut sums[cluster * n_features..][..n_features];
            mean.iter_mut().for_each(|sum| *sum /= count);
        }
        if count > counts[largest] {
            largest = cluster;
        }
    }
    for (cluster, &count) in counts.iter().enumerate() {
        if count == 0.0 {
            let from = largest * n_features;
            sums.copy_within(from..from + n_features, cluster * n_features);
        }
    }
}

fn inertia<S: Stored>(points: &Points<'_, S>, centres: &[f64], labels: &[u32]) -> f64 {
    let d = points.n_features;
    let own =
        |(index, &label): (usize, &u32)| points.square(index, &centres[label as usize * d..][..d]);
    labels.iter().enumerate().map(own).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::Purpose;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const N: usize = 4000;
    const D: usize = 64;

    fn values() -> Vec<f32> {
        let mut random = Random::new(1, Purpose::KMeans, 0);
        (0..N * D).map(|_| random.uniform() as f32).collect()
    }

    #[test]
    fn the_choice_of_many_centres_stops_between_two_of_them() {
        let (values, asked) = (values(), AtomicUsize::new(0));
        let stop = || asked.fetch_add(1, Ordering::Relaxed) == 3;
        let mut random = Random::new(2, Purpose::KMeans, 0);
        let centres = kmeans_plus_plus(&Points::new(&values, D), 500, &mut random, &stop);
        assert_eq!(centres.len(), 4 * D);
    }

    #[test]
    fn an_iteration_over_many_centres_asks_between_pieces_and_ends_at_once() {
        let (values, asked) = (values(), AtomicUsize::new(0));
        let (points, k) = (Points::new(&values, D), 500);
        let init = random_rows(&points, k, &mut Random::new(2, Purpose::KMeans, 0));
        let never = || asked.fetch_add(1, Ordering::Relaxed) == usize::MAX;
        lloyd(&points, &init, 0.0, 1, &never);
        let in_all = asked.swap(0, Ordering::Relaxed);
        assert!(in_all > N * k * D / PIECE, "asked {in_all} times");
        let soon = || asked.fetch_add(1, Ordering::Relaxed) >= 3;
        lloyd(&points, &init, 0.0, 300, &soon);
        // Each block of each of two rounds checks once more; no other piece is started.
        assert!(asked.load(Ordering::Relaxed) < 12, "asked {asked:?} times");
    }
}
