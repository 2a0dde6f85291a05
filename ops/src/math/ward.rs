//! Ward's clustering from the means of clusters, without a matrix of distances.
//!
//! The distance of clusters a and b is √(2|a|·|b| / (|a| + |b|)) |x̄_a − x̄_b|, so that only means and sizes
//! are needed, and memory grows with the number of points rather than of pairs. Merges are found by
//! chains of nearest neighbours (Murtagh 1983; Müllner 2011), which is exact, since a merge never
//! reduces the distance to other clusters.

use super::{
    linkage::Merge,
    pairwise::{LANES, Packed, Stored, nearest_weighted},
};

/// The n − 1 merges of row-major points, numbered and ordered as in SciPy. `None` if `cancelled`,
/// which is called now and then, returns true.
pub fn merges<S: Stored>(
    x: &[S],
    n_features: usize,
    cancelled: &dyn Fn() -> bool,
) -> Option<Vec<Merge>> {
    let means: Vec<f64> = x.iter().map(|&x| x.into()).collect();
    let mut means = Packed::new(means.chunks_exact(n_features), n_features);
    let n = means.len();
    // Clusters are stored in positions 0..active; each is named by one of its points.
    let mut sizes = vec![1.0; n.next_multiple_of(LANES)];
    let mut names: Vec<usize> = (0..n).collect();
    let mut places: Vec<usize> = (0..n).collect();
    let mut chain: Vec<usize> = Vec::new();
    let mut found: Vec<(usize, usize, f64)> = Vec::with_capacity(n.saturating_sub(1));
    let factor = |a: f64, b: f64| 2.0 * b * a / (b + a);
    for active in (2..=n).rev() {
        if active % 256 == 0 && cancelled() {
            return None;
        }
        if chain.is_empty() {
            chain.push(names[0]);
        }
        let (a, b, square) = loop {
            let tip = chain[chain.len() - 1];
            let own = places[tip];
            let row: Vec<f64> = means.point(own).collect();
            let back = chain.len().checked_sub(2).map(|at| chain[at]);
            // Among equal distances the one back along the chain is taken, or the chain might never
            // end.
            let limit = back.map_or(f64::INFINITY, |back| {
                let other = means.point(places[back]);
                let square = row.iter().zip(other).fold(0.0, |sum, (a, b)| sum + (b - a) * (b - a));
                square * factor(sizes[own], sizes[places[back]])
            });
            match (nearest_weighted(&means, &sizes, (own, active), &row, limit), back) {
                (Some((place, _)), _) => chain.push(names[place]),
                (None, Some(back)) => {
                    chain.truncate(chain.len() - 2);
                    break (back, tip, limit);
                }
                // All distances overflow, so any order is as good.
                (None, None) => {
                    chain.clear();
                    break (tip, names[usize::from(own == 0)], f64::INFINITY);
                }
            }
        };
        found.push((a, b, square));
        let (to, gone) = (places[a], places[b]);
        let (size_a, size_b) = (sizes[to], sizes[gone]);
        let total = size_a + size_b;
        let mean: Vec<f64> = means
            .point(to)
            .zip(means.point(gone))
            .map(|(a, b)| a + (b - a) * (size_b / total))
            .collect();
        means.replace(to, &mean);
        sizes[to] = total;
        let last: Vec<f64> = means.point(active - 1).collect();
        means.replace(gone, &last);
        sizes[gone] = sizes[active - 1];
        names[gone] = names[active - 1];
        places[names[gone]] = gone;
    }
    Some(in_order(found, n))
}

/// Sorts merges by height and numbers their nodes.
fn in_order(mut found: Vec<(usize, usize, f64)>, n: usize) -> Vec<Merge> {
    found.sort_by(|a, b| a.2.total_cmp(&b.2));
    let mut parent: Vec<usize> = (0..2 * n - 1).collect();
    let mut sizes = vec![1; 2 * n - 1];
    let root = |parent: &mut Vec<usize>, mut node: usize| {
        while parent[node] != node {
            parent[node] = parent[parent[node]];
            node = parent[node];
        }
        node
    };
    let mut merges = Vec::with_capacity(n - 1);
    for (index, (a, b, square)) in found.into_iter().enumerate() {
        let (a, b) = (root(&mut parent, a), root(&mut parent, b));
        let node = n + index;
        (parent[a], parent[b]) = (node, node);
        sizes[node] = sizes[a] + sizes[b];
        merges.push(Merge {
            left: a.min(b),
            right: a.max(b),
            distance: square.sqrt(),
            size: sizes[node],
        });
    }
    merges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::{
        linkage::{Method, distances, merges as by_distances},
        random::{Purpose, Random},
    };

    #[test]
    fn merges_equal_those_from_all_distances() {
        let mut random = Random::new(4, Purpose::Null, 0);
        for (n, d) in [(1, 1), (2, 3), (9, 2), (64, 5), (257, 3)] {
            let x: Vec<f64> = (0..n * d).map(|_| random.normal()).collect();
            let found = merges(&x, d, &|| false).unwrap();
            let expected = by_distances(distances(&x, d), n, Method::Ward);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found.distance - expected.distance).abs() < 1e-9 * expected.distance);
                assert_eq!((found.left, found.right), (expected.left, expected.right));
                assert_eq!(found.size, expected.size);
            }
        }
    }

    #[test]
    fn equal_points_merge_at_height_zero_first() {
        let found = merges(&[1.0_f32, 5.0, 1.0, 5.0, 1.0], 1, &|| false).unwrap();
        let heights: Vec<f64> = found.iter().map(|merge| merge.distance).collect();
        assert_eq!(heights[..3], [0.0; 3]);
        assert!((heights[3] - (2.4_f64).sqrt() * 4.0).abs() < 1e-12);
    }
}
