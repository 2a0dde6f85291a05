//! Squared Euclidean distances by direct differences.
//!
//! d²(x, y) = Σ_f (x_f − y_f)², with each term and the sum in double precision and features in
//! order. Unlike |x|² + |y|² − 2 x·y this is exactly 0 for equal points, and bitwise symmetric.
//! Eight points are processed at once, one a lane, so the order of a sum depends neither on the
//! vector width of the machine nor on the number of threads.

use std::array::from_fn;

/// The number of points processed at once.
pub const LANES: usize = 8;

/// A stored number; all arithmetic is done in double precision.
pub trait Stored: Copy + Default + Into<f64> + Send + Sync + 'static {
    /// The number in single precision.
    fn single(self) -> f32;
    /// The relative error of that at most.
    const SINGLE_ERROR: f64;
}

impl Stored for f32 {
    const SINGLE_ERROR: f64 = 0.0;

    fn single(self) -> f32 {
        self
    }
}

impl Stored for f64 {
    const SINGLE_ERROR: f64 = f32::EPSILON as f64 / 2.0;

    fn single(self) -> f32 {
        self as f32
    }
}

/// The squared distance of two points, as [`Packed::squares`] computes it.
pub fn square<S: Stored>(a: &[S], b: &[S]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| {
        let difference = (*a).into() - (*b).into();
        sum + difference * difference
    })
}

/// Points in groups of eight: within a group feature after feature, within a feature lane after
/// lane. The last group is padded with zeros.
#[derive(Clone, Debug)]
pub struct Packed<S> {
    n_points: usize,
    n_features: usize,
    values: Vec<S>,
}

impl<S: Stored> Packed<S> {
    /// Packs the given rows of row-major points.
    pub fn new<'a>(rows: impl ExactSizeIterator<Item = &'a [S]>, n_features: usize) -> Self {
        let n_points = rows.len();
        let mut values = vec![S::default(); n_points.div_ceil(LANES) * LANES * n_features];
        for (at, row) in rows.enumerate() {
            let group = &mut values[at / LANES * LANES * n_features..];
            for (feature, &value) in row.iter().enumerate() {
                group[feature * LANES + at % LANES] = value;
            }
        }
        Self { n_points, n_features, values }
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.n_points
    }

    /// True if there is no point.
    pub fn is_empty(&self) -> bool {
        self.n_points == 0
    }

    /// The number of groups of eight lanes.
    pub fn groups(&self) -> usize {
        self.n_points.div_ceil(LANES)
    }

    /// The features of one point.
    pub fn point(&self, index: usize) -> impl Iterator<Item = S> {
        let group = self.group(index / LANES);
        group[index % LANES..].iter().step_by(LANES).copied()
    }

    /// Replaces a point.
    pub fn replace(&mut self, index: usize, point: &[S]) {
        let size = LANES * self.n_features;
        let group = &mut self.values[index / LANES * size + index % LANES..];
        for (to, &from) in group.iter_mut().step_by(LANES).zip(point) {
            *to = from;
        }
    }

    fn group(&self, index: usize) -> &[S] {
        let size = LANES * self.n_features;
        &self.values[index * size..][..size]
    }

    /// The squared distances of `ROWS` rows to the points from group `first` on, one line for each
    /// row. A line has `out.len() / ROWS` values, which is a whole number of groups.
    pub fn squares<const ROWS: usize>(&self, rows: [&[f64]; ROWS], first: usize, out: &mut [f64]) {
        dispatch!(squares_avx512, squares_avx2, squares_plain, (self, rows, first, out));
    }

    /// Sums the distances of four rows to the points of the groups from `first` on: returns the
    /// sums of each row, and adds to `lanes`, which has a number for each lane of these groups, the
    /// sums of the first `real` rows.
    pub fn distance_sums_both(
        &self,
        rows: [&[f64]; 4],
        real: usize,
        first: usize,
        lanes: &mut [f64],
    ) -> [f64; 4] {
        dispatch!(both_avx512, both_avx2, both_plain, (self, rows, real, first, lanes))
    }

    /// The nearest of the row-major `centres` for each point of the groups from `first` on, with
    /// its squared distance. The first of equally near ones counts.
    pub fn nearest(&self, centres: &[f64], first: usize, labels: &mut [u32], squares: &mut [f64]) {
        dispatch!(
            nearest_avx512,
            nearest_avx2,
            nearest_plain,
            (self, centres, first, labels, squares)
        );
    }
}

versions!(squares_body, squares_avx512, squares_avx2, squares_plain, [S: Stored, const ROWS: usize],
    (points: &Packed<S>, rows: [&[f64]; ROWS], first: usize, out: &mut [f64]));
versions!(both_body, both_avx512, both_avx2, both_plain, [S: Stored],
    (points: &Packed<S>, rows: [&[f64]; 4], real: usize, first: usize, lanes: &mut [f64])
    -> [f64; 4]);
versions!(nearest_body, nearest_avx512, nearest_avx2, nearest_plain, [S: Stored],
    (points: &Packed<S>, centres: &[f64], first: usize, labels: &mut [u32], squares: &mut [f64]));

#[inline(always)]
fn group_squares<S: Stored, const ROWS: usize>(
    group: &[S],
    rows: [&[f64]; ROWS],
) -> [[f64; LANES]; ROWS] {
    let n_features = group.len() / LANES;
    let rows = rows.map(|row| &row[..n_features]);
    let mut sums = [[0.0; LANES]; ROWS];
    for (feature, lanes) in group.chunks_exact(LANES).enumerate() {
        let points: [f64; LANES] = from_fn(|lane| lanes[lane].into());
        for (sums, row) in sums.iter_mut().zip(&rows) {
            let value = row[feature];
            for (sum, point) in sums.iter_mut().zip(&points) {
                let difference = point - value;
                *sum += difference * difference;
            }
        }
    }
    sums
}

/// The lane position and value of the least factor · d², where the factor of a point of weight w is
/// 2 w `weight` / (w + `weight`), among the first `active` points except `own`. `None` if no value
/// is below `limit`.
pub fn nearest_weighted(
    points: &Packed<f64>,
    weights: &[f64],
    (own, active): (usize, usize),
    row: &[f64],
    limit: f64,
) -> Option<(usize, f64)> {
    dispatch!(
        weighted_avx512,
        weighted_avx2,
        weighted_plain,
        (points, weights, (own, active), row, limit)
    )
}

versions!(weighted_body, weighted_avx512, weighted_avx2, weighted_plain, [],
    (points: &Packed<f64>, weights: &[f64], which: (usize, usize), row: &[f64], limit: f64)
    -> Option<(usize, f64)>);

#[inline(always)]
fn weighted_body(
    points: &Packed<f64>,
    weights: &[f64],
    (own, active): (usize, usize),
    row: &[f64],
    limit: f64,
) -> Option<(usize, f64)> {
    let weight = weights[own];
    let mut best = [limit; LANES];
    let mut arg = [u64::MAX; LANES];
    for index in 0..active.div_ceil(LANES) {
        let [mut squares] = group_squares(points.group(index), [row]);
        let weights = &weights[index * LANES..][..LANES];
        for (square, w) in squares.iter_mut().zip(weights) {
            *square *= 2.0 * w * weight / (w + weight);
        }
        if own / LANES == index {
            squares[own % LANES] = f64::INFINITY;
        }
        let inactive = squares.iter_mut().skip(active.saturating_sub(index * LANES));
        inactive.for_each(|square| *square = f64::INFINITY);
        for lane in 0..LANES {
            let nearer = squares[lane] < best[lane];
            best[lane] = if nearer { squares[lane] } else { best[lane] };
            arg[lane] = if nearer { index as u64 } else { arg[lane] };
        }
    }
    let found = (0..LANES).filter(|&lane| arg[lane] != u64::MAX);
    found
        .map(|lane| (arg[lane] as usize * LANES + lane, best[lane]))
        .min_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)))
}

#[inline(always)]
fn squares_body<S: Stored, const ROWS: usize>(
    points: &Packed<S>,
    rows: [&[f64]; ROWS],
    first: usize,
    out: &mut [f64],
) {
    let length = out.len() / ROWS;
    for index in 0..length / LANES {
        let squares = group_squares(points.group(first + index), rows);
        for (row, squares) in squares.iter().enumerate() {
            out[row * length + index * LANES..][..LANES].copy_from_slice(squares);
        }
    }
}

#[inline(always)]
fn both_body<S: Stored>(
    points: &Packed<S>,
    rows: [&[f64]; 4],
    real: usize,
    first: usize,
    lanes: &mut [f64],
) -> [f64; 4] {
    let counts: [f64; 4] = from_fn(|row| if row < real { 1.0 } else { 0.0 });
    let mut sums = [[0.0; LANES]; 4];
    for (index, lanes) in lanes.chunks_exact_mut(LANES).enumerate() {
        let mut distances = group_squares(points.group(first + index), rows);
        for row in &mut distances {
            row.iter_mut().for_each(|square| *square = square.sqrt());
        }
        let valid = points.n_points - (first + index) * LANES;
        if valid < LANES {
            distances.iter_mut().for_each(|row| row[valid..].fill(0.0));
        }
        for ((sums, row), count) in sums.iter_mut().zip(&distances).zip(counts) {
            for lane in 0..LANES {
                sums[lane] += row[lane];
                lanes[lane] += row[lane] * count;
            }
        }
    }
    sums.map(|lanes| {
        ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6]))
            + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
    })
}

#[inline(always)]
fn nearest_body<S: Stored>(
    points: &Packed<S>,
    centres: &[f64],
    first: usize,
    labels: &mut [u32],
    squares: &mut [f64],
) {
    let width = points.n_features;
    for (index, (labels, out)) in
        labels.chunks_mut(LANES).zip(squares.chunks_mut(LANES)).enumerate()
    {
        let group = points.group(first + index);
        let mut best = [f64::INFINITY; LANES];
        let mut arg = [0_u64; LANES];
        let mut take = |found: &[f64; LANES], centre: usize| {
            for lane in 0..LANES {
                let nearer = found[lane] < best[lane];
                best[lane] = if nearer { found[lane] } else { best[lane] };
                arg[lane] = if nearer { centre as u64 } else { arg[lane] };
            }
        };
        let mut fours = centres.chunks_exact(4 * width);
        let mut centre = 0;
        for four in fours.by_ref() {
            let rows: [&[f64]; 4] = from_fn(|row| &four[row * width..][..width]);
            for found in &group_squares(group, rows) {
                take(found, centre);
                centre += 1;
            }
        }
        for row in fours.remainder().chunks_exact(width) {
            take(&group_squares(group, [row])[0], centre);
            centre += 1;
        }
        for (label, arg) in labels.iter_mut().zip(arg) {
            *label = arg as u32;
        }
        out.copy_from_slice(&best[..out.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::{Purpose, Random};

    fn naive(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + (b - a) * (b - a))
    }

    #[test]
    fn squares_sums_and_nearest_equal_the_obvious_loops() {
        let mut random = Random::new(1, Purpose::Null, 0);
        for (n, d, k) in [(1, 1, 1), (7, 3, 2), (8, 5, 4), (29, 11, 6), (64, 2, 13)] {
            let x: Vec<f64> = (0..n * d).map(|_| random.normal()).collect();
            let centres: Vec<f64> = (0..k * d).map(|_| random.normal()).collect();
            let packed = Packed::new(x.chunks_exact(d), d);
            let row = &centres[..d];
            let mut squares = vec![0.0; packed.groups() * LANES];
            packed.squares([row], 0, &mut squares);
            let expected: Vec<f64> = x.chunks_exact(d).map(|point| naive(row, point)).collect();
            assert_eq!(squares[..n], expected[..]);
            let mut lanes = vec![0.0; packed.groups() * LANES];
            let sums = packed.distance_sums_both([row; 4], 2, 0, &mut lanes);
            let total: f64 = expected.iter().map(|square| square.sqrt()).sum();
            assert!(sums.iter().all(|sum| (sum - total).abs() <= 1e-12 * total));
            for (lane, square) in lanes.iter().zip(&expected) {
                assert_eq!(*lane, square.sqrt() + square.sqrt());
            }
            let (mut labels, mut nearest) = (vec![0; n], vec![0.0; n]);
            packed.nearest(&centres, 0, &mut labels, &mut nearest);
            for (i, point) in x.chunks_exact(d).enumerate() {
                let all: Vec<f64> = centres.chunks_exact(d).map(|c| naive(c, point)).collect();
                let least = all.iter().copied().fold(f64::INFINITY, f64::min);
                assert_eq!(nearest[i], least);
                assert_eq!(labels[i] as usize, all.iter().position(|&v| v == least).unwrap());
            }
        }
    }

    #[test]
    fn both_versions_give_the_same_bits() {
        let mut random = Random::new(2, Purpose::Null, 0);
        let x: Vec<f32> = (0..37 * 19).map(|_| random.normal() as f32).collect();
        let row: Vec<f64> = (0..19).map(|_| random.normal()).collect();
        let packed = Packed::new(x.chunks_exact(19), 19);
        let rows = [row.as_slice(); 4];
        let (mut lanes, mut plain) = (vec![0.0; 40], vec![0.0; 40]);
        let dispatched = packed.distance_sums_both(rows, 3, 0, &mut lanes);
        assert_eq!(dispatched, both_plain(&packed, rows, 3, 0, &mut plain));
        assert_eq!(lanes, plain);
    }
}
