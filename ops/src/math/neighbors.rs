//! The exact nearest neighbours of points, and the trustworthiness of a layout.

use super::{
    nearest::{ExactIndex, Nearest},
    pairwise::{LANES, Packed, Stored},
};
use rayon::prelude::*;
use std::array::from_fn;

/// The number of rows whose distances are computed at once.
const ROWS: usize = 4;

/// The nearest neighbours of each point, itself included, in order of distance; of equally near
/// ones the first.
#[derive(Clone, Debug)]
pub struct Neighbors {
    /// The number of neighbours of a point, including itself.
    pub each: usize,
    /// The indices, point after point.
    pub indices: Vec<u32>,
    /// The squared Euclidean distances to the neighbours.
    pub squares: Vec<f64>,
}

impl Neighbors {
    /// The neighbours of all row-major points. `each` is at least 1 and at most the number of
    /// points. `None` if `cancelled` returns true.
    pub fn new<S: Stored>(
        x: &[S],
        n_features: usize,
        each: usize,
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Option<Self> {
        let all: Vec<usize> = (0..x.len() / n_features).collect();
        Self::of_rows(x, n_features, &all, each, cancelled)
    }

    /// Does the same for some of the rows.
    pub(super) fn of_rows<S: Stored>(
        x: &[S],
        n_features: usize,
        rows: &[usize],
        each: usize,
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Option<Self> {
        let points = ExactIndex::new(x, n_features);
        let found = points.nearest_to(x, rows, |row| row, each, cancelled)?;
        Some(Self::from_nearest(found, each))
    }

    /// Puts together what was found for each point.
    pub(super) fn from_nearest(found: Vec<Nearest>, each: usize) -> Self {
        let (mut indices, mut squares) = (Vec::new(), Vec::new());
        indices.reserve_exact(found.len() * each);
        squares.reserve_exact(found.len() * each);
        for nearest in found {
            indices.push(nearest.of() as u32);
            squares.push(0.0);
            for (square, index) in nearest.into_sorted() {
                indices.push(index);
                squares.push(square);
            }
        }
        Self { each, indices, squares }
    }

    /// The neighbours of each point and their squared distances, the point itself first.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = (&[u32], &[f64])> {
        self.indices.chunks_exact(self.each).zip(self.squares.chunks_exact(self.each))
    }

    /// The distance of each point to the farthest of its neighbours, which measures the density around it.
    pub fn core_distances(&self) -> Vec<f64> {
        let farthest = |squares: &[f64]| squares.iter().copied().fold(0.0, f64::max).sqrt();
        self.rows().map(|(_, squares)| farthest(squares)).collect()
    }
}

/// The most points whose part of the trustworthiness is computed where there are more than [`MANY`].
pub const SAMPLED: usize = 2000;
/// The number of points up to which all of them count.
const MANY: usize = 20_000;

/// The points whose part of the trustworthiness of a layout of `n` is computed: all, or evenly spaced ones.
pub fn sampled(n: usize) -> Vec<usize> {
    if n <= MANY { (0..n).collect() } else { (0..SAMPLED).map(|at| at * n / SAMPLED).collect() }
}

/// The trustworthiness of a layout, which tells how far neighbours in the layout are neighbours in
/// `x` (Venna & Kaski 2001): 1 − 2 / (m k (2n − 3k − 1)) Σ_i Σ_j max(0, r(i, j) − k), where i are m of
/// the n points, j are the k nearest points to i in the layout and r is their rank by distance in `x`.
/// 1 is best; a random layout has about 0.5. All points count, or [`sampled`] ones: each costs a look at
/// all others.
///
/// `k` is below half the number of points. Source: `sklearn.manifold.trustworthiness`.
pub fn trustworthiness<S: Stored>(
    x: &[S],
    n_features: usize,
    layout: &[f32],
    n_components: usize,
    k: usize,
) -> f64 {
    let n = x.len() / n_features;
    of_sample(x, n_features, layout, n_components, k, &sampled(n))
}

fn of_sample<S: Stored>(
    x: &[S],
    n_features: usize,
    layout: &[f32],
    n_components: usize,
    k: usize,
    sampled: &[usize],
) -> f64 {
    let never = || false;
    let near = Neighbors::of_rows(layout, n_components, sampled, k + 1, &never);
    let near = near.expect("it is not cancelled");
    let beyond = |row: usize, line: &[f64]| {
        let place = sampled.binary_search(&row).expect("one of these rows");
        let own = &near.indices[place * near.each..][1..near.each];
        let rank = |&j: &u32| {
            let limit = line[j as usize];
            let nearer = line.iter().filter(|square| **square < limit).count();
            let ties = line[..j as usize].iter().filter(|square| **square == limit).count();
            // The point itself has no rank.
            let itself = usize::from(limit > 0.0 || row < j as usize);
            1 + nearer + ties - itself
        };
        own.iter().map(|j| rank(j).saturating_sub(k) as u64).sum::<u64>()
    };
    let sums = each_of(x, n_features, sampled, &never, beyond).expect("it is not cancelled");
    let (m, n, k) = (sums.len() as f64, (x.len() / n_features) as f64, k as f64);
    1.0 - 2.0 / (m * k * (2.0 * n - 3.0 * k - 1.0)) * sums.iter().sum::<u64>() as f64
}

/// The `each` points nearest to each of `others`, all row-major, in order of distance; of equally near
/// ones the first. `each` is at most the number of points. `None` if `cancelled` returns true.
pub fn nearest_to<S: Stored>(
    others: &[S],
    x: &[S],
    n_features: usize,
    each: usize,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Option<Vec<Vec<u32>>> {
    let all: Vec<usize> = (0..others.len() / n_features).collect();
    // None of the points is one of the others.
    let found = ExactIndex::new(x, n_features).nearest_to(
        others,
        &all,
        |_| usize::MAX,
        each + 1,
        cancelled,
    )?;
    let indices = |nearest: Nearest| nearest.into_sorted().map(|(_, index)| index).collect();
    Some(found.into_iter().map(indices).collect())
}

/// Calls `of` with the index of each row and its squared distances to all points, on all threads.
/// `None` if `cancelled` returns true.
pub fn each_row<S: Stored, T: Send>(
    x: &[S],
    n_features: usize,
    cancelled: &(dyn Fn() -> bool + Sync),
    of: impl Fn(usize, &[f64]) -> T + Sync,
) -> Option<Vec<T>> {
    let all: Vec<usize> = (0..x.len() / n_features).collect();
    each_of(x, n_features, &all, cancelled, of)
}

/// Does the same for these rows.
fn each_of<S: Stored, T: Send>(
    x: &[S],
    n_features: usize,
    of_rows: &[usize],
    cancelled: &(dyn Fn() -> bool + Sync),
    of: impl Fn(usize, &[f64]) -> T + Sync,
) -> Option<Vec<T>> {
    let points = Packed::new(x.chunks_exact(n_features), n_features);
    let n = points.len();
    let length = points.groups() * LANES;
    let blocks: Option<Vec<Vec<T>>> = of_rows
        .par_chunks(ROWS)
        .map_init(
            || vec![0.0; ROWS * length],
            |squares, block| {
                if cancelled() {
                    return None;
                }
                let rows: [Vec<f64>; ROWS] = from_fn(|at| {
                    let row = block[at.min(block.len() - 1)] * n_features;
                    x[row..][..n_features].iter().map(|&value| value.into()).collect()
                });
                points.squares(rows.each_ref().map(Vec::as_slice), 0, squares);
                let lines = squares.chunks_exact(length).zip(block);
                Some(lines.map(|(line, row)| of(*row, &line[..n])).collect())
            },
        )
        .collect();
    Some(blocks?.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_on_a_line_with_a_tie_and_a_pair() {
        let near = Neighbors::new(&[0.0, 1.0, 2.0, 2.0, 9.0], 1, 3, &|| false).unwrap();
        assert_eq!(near.indices, [0, 1, 2, 1, 0, 2, 2, 3, 1, 3, 2, 1, 4, 2, 3]);
        assert_eq!(near.squares[3..6], [0.0, 1.0, 1.0]);
        assert!(Neighbors::new(&[0.0, 1.0], 1, 1, &|| true).is_none());
        assert_eq!(Neighbors::new(&[0.0, 1.0], 1, 1, &|| false).unwrap().indices, [0, 1]);
    }

    #[test]
    fn the_nearest_of_other_points_with_a_tie() {
        let found = nearest_to(&[1.0, 8.0], &[2.0, 0.0, 9.0, 2.0], 1, 2, &|| false);
        assert_eq!(found, Some(vec![vec![0, 1], vec![2, 0]]));
        assert_eq!(nearest_to(&[1.0, 8.0], &[2.0], 1, 1, &|| true), None);
    }

    #[test]
    fn a_layout_like_the_points_is_trusted_and_a_swap_is_not() {
        let x: Vec<f32> = (0..12).map(|i| (i * i) as f32).collect();
        assert_eq!(trustworthiness(&x, 1, &x, 1, 3), 1.0);
        let mut swapped = x.clone();
        swapped.swap(0, 11);
        assert!(trustworthiness(&x, 1, &swapped, 1, 3) < 0.9);
    }

    #[test]
    fn some_points_tell_of_all() {
        assert_eq!(sampled(MANY).len(), MANY);
        let some = sampled(MANY + 1);
        assert_eq!(some.len(), SAMPLED);
        assert!(some.windows(2).all(|pair| pair[0] < pair[1]) && some[SAMPLED - 1] <= MANY);
        let x: Vec<f32> = (0..600).map(|at| (at as f32 * 1.3).sin()).collect();
        let layout: Vec<f32> =
            x.iter().zip(0..).map(|(v, at)| v + (at % 7) as f32 * 0.05).collect();
        let all = trustworthiness(&x, 1, &layout, 1, 5);
        let third: Vec<usize> = (0..600).step_by(3).collect();
        let sampled = of_sample(&x, 1, &layout, 1, 5, &third);
        assert!((0.5..0.999).contains(&all) && (all - sampled).abs() < 0.02, "{all} {sampled}");
    }
}
