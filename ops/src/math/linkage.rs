//! Hierarchical clustering of points by their Euclidean distances.
//!
//! Distances are direct differences (see [`super::pairwise`]), and merges are found by the crate
//! `kodama` (Müllner 2011). Conventions are those of SciPy: points are nodes 0..n, merge m makes
//! node n + m, and merges are ordered by height.

use super::{
    contingency::by_first_appearance,
    pairwise::{LANES, Packed, Stored},
};
use rayon::prelude::*;

pub use kodama::Method;

/// One merge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Merge {
    /// The smaller node.
    pub left: usize,
    /// The larger node.
    pub right: usize,
    /// The height.
    pub distance: f64,
    /// The number of points in the new node.
    pub size: usize,
}

/// The number of pairwise distances of `n_points` points; `None` if it overflows.
pub fn distance_count(n_points: usize) -> Option<usize> {
    n_points.checked_mul(n_points.saturating_sub(1)).map(|twice| twice / 2)
}

/// The distances of all pairs (i, j), i < j, row after row.
pub fn distances<S: Stored>(x: &[S], n_features: usize) -> Vec<f64> {
    let packed = Packed::new(x.chunks_exact(n_features), n_features);
    let n = packed.len();
    let mut all = vec![0.0; distance_count(n).expect("the caller asked before")];
    let mut rows = Vec::with_capacity(n);
    let mut rest = all.as_mut_slice();
    for row in 0..n {
        let (own, next) = rest.split_at_mut(n - 1 - row);
        rows.push(own);
        rest = next;
    }
    rows.par_chunks_mut(4).enumerate().for_each(|(block, rows)| {
        let top = block * 4;
        let first = (top + 1) / LANES;
        let length = (packed.groups() - first.min(packed.groups())) * LANES;
        let mut squares = vec![0.0; 4 * length];
        let query: [Vec<f64>; 4] = std::array::from_fn(|row| {
            let row = (top + row).min(n - 1);
            x[row * n_features..][..n_features].iter().map(|&x| x.into()).collect()
        });
        packed.squares(query.each_ref().map(Vec::as_slice), first, &mut squares);
        for (at, own) in rows.iter_mut().enumerate() {
            let from = at * length + (top + at + 1) - first * LANES;
            for (distance, square) in own.iter_mut().zip(&squares[from.min(squares.len())..]) {
                *distance = square.sqrt();
            }
        }
    });
    all
}

/// The n − 1 merges of n points, from the distances of all pairs, which are overwritten.
pub fn merges(mut distances: Vec<f64>, n_points: usize, method: Method) -> Vec<Merge> {
    let tree = kodama::linkage(&mut distances, n_points, method);
    let merge = |step: &kodama::Step<f64>| Merge {
        left: step.cluster1.min(step.cluster2),
        right: step.cluster1.max(step.cluster2),
        distance: step.dissimilarity,
        size: step.size,
    };
    tree.steps().iter().map(merge).collect()
}

/// The labels of `n_clusters` clusters: all merges except the last `n_clusters` − 1, numbered by
/// first occurrence.
pub fn cut(merges: &[Merge], n_points: usize, n_clusters: usize) -> Vec<u32> {
    let kept = n_points.saturating_sub(n_clusters);
    let mut parent: Vec<usize> = (0..n_points + kept).collect();
    for (index, merge) in merges[..kept].iter().enumerate() {
        parent[merge.left] = n_points + index;
        parent[merge.right] = n_points + index;
    }
    // A parent has a larger number than its children, so one pass from the top finds all roots.
    for node in (0..parent.len()).rev() {
        parent[node] = parent[parent[node]];
    }
    let roots: Vec<u32> = parent[..n_points].iter().map(|&root| root as u32).collect();
    by_first_appearance(&roots).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::{Purpose, Random};

    #[test]
    fn distances_equal_the_obvious_loop() {
        let mut random = Random::new(3, Purpose::Null, 0);
        for (n, d) in [(1, 2), (2, 1), (9, 3), (30, 7), (33, 1)] {
            let x: Vec<f64> = (0..n * d).map(|_| random.normal()).collect();
            let mut expected = Vec::new();
            for i in 0..n {
                for j in i + 1..n {
                    let square: f64 = (0..d).map(|f| (x[i * d + f] - x[j * d + f]).powi(2)).sum();
                    expected.push(square.sqrt());
                }
            }
            assert_eq!(distances(&x, d), expected);
        }
    }

    #[test]
    fn two_pairs_far_apart_merge_first_and_cut_into_two() {
        let x = [10.0, 0.0, 1.0, 12.0];
        let tree = merges(distances(&x, 1), 4, Method::Single);
        let expected = [(1, 2, 1.0, 2), (0, 3, 2.0, 2), (4, 5, 9.0, 4)];
        let found: Vec<_> = tree.iter().map(|m| (m.left, m.right, m.distance, m.size)).collect();
        assert_eq!(found, expected);
        assert_eq!(cut(&tree, 4, 2), [0, 1, 1, 0]);
        assert_eq!(cut(&tree, 4, 4), [0, 1, 2, 3]);
        assert_eq!(cut(&tree, 4, 1), [0; 4]);
    }
}
