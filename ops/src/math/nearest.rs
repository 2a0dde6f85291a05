//! The nearest of many points, of which few are compared exactly.
//!
//! Squared distances in single precision, of which a machine computes twice as many at once, rule out most
//! points: their error has a bound, and a point that is too far by more than that is not computed again.
//! Those left are compared by direct differences in double precision, as in [`super::pairwise`], so what is
//! found is what a search of all pairs finds, bit for bit.

use super::pairwise::{LANES, Stored, square};
use rayon::prelude::*;
use std::array::from_fn;
use std::collections::BinaryHeap;

/// The number of points of a group, whose coarse distances are computed at once.
const WIDTH: usize = 16;
/// The number of rows whose coarse distances are computed at once.
const ROWS: usize = 4;
/// The number of rows that one thread takes at once: each tile of points is read once for all of them.
const BLOCK: usize = 64;
/// The number of values of a tile, which stays in the cache of a core.
const TILE: usize = 64 * 1024;
/// The unit roundoff of single precision.
const ROUNDOFF: f64 = f32::EPSILON as f64 / 2.0;

/// The nearest ones to a point among those offered; of equally near ones the first.
pub(super) struct Nearest {
    of: usize,
    most: usize,
    /// Squared distances as bits, which for non-negative numbers have the order of the values.
    heap: BinaryHeap<(u64, u32)>,
    farthest: (u64, u32),
}

impl Nearest {
    /// None so far, for a point that counts as one of its `each` neighbours.
    pub(super) fn new(of: usize, each: usize) -> Self {
        let most = each - 1;
        let farthest = if most == 0 { (0, 0) } else { (u64::MAX, u32::MAX) };
        Self { of, most, heap: BinaryHeap::with_capacity(most), farthest }
    }

    /// The point.
    pub(super) fn of(&self) -> usize {
        self.of
    }

    /// The points found, with their squared distances, the nearest first.
    pub(super) fn into_sorted(self) -> impl Iterator<Item = (f64, u32)> {
        self.heap.into_sorted_vec().into_iter().map(|(bits, index)| (f64::from_bits(bits), index))
    }

    /// Offers points with these squared distances, of which the nearest are kept; `index` tells which they are.
    /// None of them may have been offered before.
    pub(super) fn offer(&mut self, squares: &[f64], index: impl Fn(usize) -> u32) {
        for (group, squares) in squares.chunks(LANES).enumerate() {
            // Most groups hold nothing near, which is seen of all lanes at once.
            let limit = f64::from_bits(self.farthest.0);
            let is_near = |found, square: &f64| found | (*square <= limit);
            if self.farthest.0 != u64::MAX && !squares.iter().fold(false, is_near) {
                continue;
            }
            for (at, square) in (group * LANES..).zip(squares) {
                self.insert(*square, index(at));
            }
        }
    }

    /// Inserts a point if it is near. True if the farthest of those found is another one now.
    fn insert(&mut self, square: f64, index: u32) -> bool {
        let found = (square.to_bits(), index);
        if found >= self.farthest || index as usize == self.of {
            return false;
        }
        if self.heap.len() < self.most {
            self.heap.push(found);
        } else if let Some(mut last) = self.heap.peek_mut() {
            *last = found;
        }
        let is_full = self.heap.len() == self.most;
        if is_full {
            self.farthest = self.heap.peek().copied().unwrap_or_default();
        }
        is_full
    }
}

/// Points prepared for the exact search of the nearest ones to others.
pub(super) struct ExactIndex<'a, S> {
    points: &'a [S],
    n_features: usize,
    /// Groups of [`WIDTH`] points: within a group feature after feature, within a feature point after point.
    coarse: Vec<f32>,
    largest_norm: f64,
}

impl<'a, S: Stored> ExactIndex<'a, S> {
    /// Row-major points.
    pub(super) fn new(points: &'a [S], n_features: usize) -> Self {
        let group = WIDTH * n_features;
        let n_groups = (points.len() / n_features).div_ceil(WIDTH);
        let mut coarse = vec![0.0; n_groups * group];
        for (rows, group) in points.chunks(group).zip(coarse.chunks_exact_mut(group)) {
            for (at, row) in rows.chunks_exact(n_features).enumerate() {
                let to = group[at..].iter_mut().step_by(WIDTH);
                to.zip(row).for_each(|(to, value)| *to = value.single());
            }
        }
        let largest_norm = points.chunks_exact(n_features).map(norm).fold(0.0, f64::max);
        Self { points, n_features, coarse, largest_norm }
    }

    /// The `each` − 1 nearest points to each of these rows of `others`, which is row-major. `itself` says which of
    /// the points a row is, that is not its own neighbour. `None` if `cancelled` returns true.
    pub(super) fn nearest_to(
        &self,
        others: &[S],
        rows: &[usize],
        itself: impl Fn(usize) -> usize + Sync,
        each: usize,
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Option<Vec<Nearest>> {
        let start = |&row: &usize| {
            Search::new(
                &others[row * self.n_features..][..self.n_features],
                itself(row),
                each,
                self,
            )
        };
        let blocks: Option<Vec<Vec<Nearest>>> = rows
            .par_chunks(BLOCK)
            .map(|rows| self.search(rows.iter().map(start).collect(), cancelled))
            .collect();
        Some(blocks?.into_iter().flatten().collect())
    }

    fn search(
        &self,
        mut searches: Vec<Search<'_, S>>,
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Option<Vec<Nearest>> {
        let group = WIDTH * self.n_features;
        let tile = (TILE / group).max(1);
        let mut squares = vec![0.0; ROWS * tile * WIDTH];
        for (at, groups) in self.coarse.chunks(tile * group).enumerate() {
            if cancelled() {
                return None;
            }
            let first = at * tile * WIDTH;
            for searches in searches.chunks_mut(ROWS) {
                let rows: [&[f32]; ROWS] =
                    from_fn(|at| &searches[at.min(searches.len() - 1)].coarse[..]);
                let length = groups.len() / self.n_features;
                coarse_squares(groups, rows, &mut squares[..ROWS * length]);
                for (search, squares) in searches.iter_mut().zip(squares.chunks_exact(length)) {
                    search.scan(squares, first, self);
                }
            }
        }
        Some(searches.into_iter().map(|search| search.nearest).collect())
    }
}

/// The search for what is near one row.
struct Search<'a, S> {
    row: &'a [S],
    coarse: Vec<f32>,
    nearest: Nearest,
    /// The largest distance that rounding of the row and of a point to single precision adds.
    slack: f64,
    /// The coarse squared distance beyond which a point is not among the nearest.
    limit: f32,
}

impl<'a, S: Stored> Search<'a, S> {
    fn new(row: &'a [S], itself: usize, each: usize, exact: &ExactIndex<'_, S>) -> Self {
        // Single precision holds no square below 1e-45, so a sum of them may lack that for each feature.
        let least = 1e-22 * (row.len() as f64).sqrt();
        let slack = S::SINGLE_ERROR * (norm(row) + exact.largest_norm) + least;
        let coarse = row.iter().map(|value| value.single()).collect();
        let nearest = Nearest::new(itself, each);
        // A search for none finds none near.
        let limit = if each > 1 { f32::INFINITY } else { -1.0 };
        Self { row, coarse, nearest, slack, limit }
    }

    /// Scans the points from `first` on, which have these coarse squared distances.
    fn scan(&mut self, squares: &[f32], first: usize, exact: &ExactIndex<'_, S>) {
        for (group, squares) in squares.chunks_exact(WIDTH).enumerate() {
            // Most groups hold nothing near, which is seen of all lanes at once. NaN counts as near.
            if squares.iter().fold(true, |far, square| far & (*square > self.limit)) {
                continue;
            }
            let points = exact.points.chunks_exact(exact.n_features);
            for ((coarse, index), point) in
                squares.iter().zip(first + group * WIDTH..).zip(points.skip(first + group * WIDTH))
            {
                let is_far = *coarse > self.limit;
                if !is_far && self.nearest.insert(square(self.row, point), index as u32) {
                    self.limit = self.limit();
                }
            }
        }
    }

    /// The least coarse squared distance that only points have which are farther than those found. Differences, squares
    /// and sums each have a relative error of the unit roundoff u at most, so for d features a coarse squared distance is
    /// at most (1 + u)^(d + 3) times that of the rounded points.
    fn limit(&self) -> f32 {
        let farthest = f64::from_bits(self.nearest.farthest.0).sqrt() + self.slack;
        let error = (1.0 + ROUNDOFF).powi(self.row.len() as i32 + 4);
        ((farthest * farthest * error) as f32).next_up()
    }
}

fn norm<S: Stored>(row: &[S]) -> f64 {
    row.iter().map(|value| (*value).into().powi(2)).sum::<f64>().sqrt()
}

/// The coarse squared distances of [`ROWS`] rows to the points of groups, one line for each row.
fn coarse_squares(groups: &[f32], rows: [&[f32]; ROWS], out: &mut [f32]) {
    dispatch!(coarse_avx512, coarse_avx2, coarse_plain, (groups, rows, out));
}

versions!(coarse_body, coarse_avx512, coarse_avx2, coarse_plain, [],
    (groups: &[f32], rows: [&[f32]; ROWS], out: &mut [f32]));

#[inline(always)]
fn coarse_body(groups: &[f32], rows: [&[f32]; ROWS], out: &mut [f32]) {
    let n_features = rows[0].len();
    let length = out.len() / ROWS;
    for (at, group) in groups.chunks_exact(WIDTH * n_features).enumerate() {
        let mut sums = [[0.0_f32; WIDTH]; ROWS];
        let rows = rows.map(|row| &row[..n_features]);
        for (feature, points) in group.chunks_exact(WIDTH).enumerate() {
            for (sums, row) in sums.iter_mut().zip(&rows) {
                let value = row[feature];
                for (sum, point) in sums.iter_mut().zip(points) {
                    let difference = point - value;
                    *sum += difference * difference;
                }
            }
        }
        for (line, sums) in out.chunks_exact_mut(length).zip(&sums) {
            line[at * WIDTH..][..WIDTH].copy_from_slice(sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::pairwise::Packed;
    use proptest::prelude::*;

    /// A search that compares every pair exactly.
    fn brute_force<S: Stored>(
        others: &[S],
        x: &[S],
        d: usize,
        each: usize,
    ) -> Vec<Vec<(u64, u32)>> {
        let points = Packed::new(x.chunks_exact(d), d);
        let found = |row: &[S]| {
            let row: Vec<f64> = row.iter().map(|value| (*value).into()).collect();
            let mut squares = vec![0.0; points.groups() * LANES];
            points.squares([&row], 0, &mut squares);
            let squares = squares[..points.len()].iter().map(|square| square.to_bits());
            let mut all: Vec<(u64, u32)> = squares.zip(0..).collect();
            all.sort_unstable();
            all.truncate(each);
            all
        };
        others.chunks_exact(d).map(found).collect()
    }

    fn indexed<S: Stored>(others: &[S], x: &[S], d: usize, each: usize) -> Vec<Vec<(u64, u32)>> {
        let rows: Vec<usize> = (0..others.len() / d).collect();
        let found =
            ExactIndex::new(x, d).nearest_to(others, &rows, |_| usize::MAX, each + 1, &|| false);
        let bits = |(square, index): (f64, u32)| (square.to_bits(), index);
        let found = found.expect("it is not cancelled").into_iter();
        found.map(|nearest| nearest.into_sorted().map(bits).collect()).collect()
    }

    proptest! {
        /// Far from the origin single precision tells no points apart; very large and very small ones leave its range.
        #[test]
        fn what_is_found_is_what_a_search_of_all_pairs_finds(
            steps in prop::collection::vec(-40_i32..40, 3..600),
            d in 1_usize..4,
            each in 1_usize..6,
            scale in prop::sample::select(vec![1.0, 1e-3, 1e-30, 1e-44, 1e18, 1e38]),
            offset in prop::sample::select(vec![0.0, 1.0, 1e6, -1e9]),
        ) {
            let n = steps.len() / d * d;
            let each = each.min(n / d);
            // Many are equal, and differ by what only double precision shows.
            let x: Vec<f64> = steps[..n].iter().zip(0_u32..)
                .map(|(step, at)| (offset + f64::from(*step) + f64::from(at % 3) * 1e-9) * scale).collect();
            let few = &x[..(9 * d).min(n)];
            prop_assert_eq!(indexed(few, &x, d, each), brute_force(few, &x, d, each));
            let x: Vec<f32> = x.iter().map(|value| *value as f32).collect();
            let few = &x[..(9 * d).min(n)];
            prop_assert_eq!(indexed(few, &x, d, each), brute_force(few, &x, d, each));
        }
    }

    #[test]
    fn tiles_and_blocks_hide_nothing() {
        let mut random = crate::math::random::Random::new(5, crate::math::random::Purpose::Null, 0);
        let (n, d) = (700, 600);
        let x: Vec<f64> = (0..n * d).map(|_| random.normal()).collect();
        assert!(TILE / (WIDTH * d) * WIDTH < n && BLOCK < n);
        assert_eq!(indexed(&x, &x, d, 7), brute_force(&x, &x, d, 7));
        assert!(ExactIndex::new(&x, d).nearest_to(&x, &[0], |row| row, 2, &|| true).is_none());
    }
}
