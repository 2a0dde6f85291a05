//! Shifts and scales values to mean 0 and standard deviation 1, or to the range from 0 to 1.
//!
//! Sums are computed over pieces of a fixed size and added in order, so that they do not depend
//! on the number of threads.

use rayon::prelude::*;

/// The number of values summed in one piece.
const PIECE: usize = 1 << 14;
/// The number of columns processed together, so that a part of each row stays in the cache.
const STRIP: usize = 256;

/// The map x ↦ (x − `shift`) · `factor`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    shift: f64,
    factor: f64,
}

impl Affine {
    /// The map that takes `shift` to 0 and `shift + spread` to 1. If the spread is 0, all values go
    /// to 0.
    pub fn new(shift: f64, spread: f64) -> Self {
        // Adding 0 turns −0 into 0.
        Self { shift: shift + 0.0, factor: if spread > 0.0 { 1.0 / spread } else { 0.0 } }
    }

    /// The value that goes to 0.
    pub fn shift(self) -> f64 {
        self.shift
    }

    /// The divisor of differences: 1 if the values had no spread, as in scikit-learn.
    pub fn scale(self) -> f64 {
        if self.is_constant() { 1.0 } else { 1.0 / self.factor }
    }

    /// True if the values had no spread.
    pub fn is_constant(self) -> bool {
        self.factor == 0.0
    }

    fn of(self, x: f32) -> f32 {
        ((f64::from(x) - self.shift) * self.factor) as f32
    }

    /// Maps all values.
    pub fn apply(self, values: &[f32], out: &mut [f32]) {
        out.iter_mut().zip(values).for_each(|(out, &x)| *out = self.of(x));
    }

    /// Maps each value with its own map.
    pub fn apply_each(own: &[Self], values: &[f32], out: &mut [f32]) {
        out.iter_mut().zip(values).zip(own).for_each(|((out, &x), own)| *out = own.of(x));
    }
}

/// The map to mean 0 and standard deviation 1, dividing by the number of values.
pub fn z_score(values: &[f32]) -> Affine {
    let first = values.first().copied().map_or(0.0, f64::from);
    let sums: Vec<[f64; 2]> = values.par_chunks(PIECE).map(|piece| moments(piece, first)).collect();
    let sums = sums.iter().fold([0.0; 2], |all, one| [all[0] + one[0], all[1] + one[1]]);
    from_moments(values.len(), first, sums)
}

/// The sums Σ (x − origin) and Σ (x − origin)², in four running sums each.
fn moments(values: &[f32], origin: f64) -> [f64; 2] {
    let (mut sums, mut squares) = ([0.0; 4], [0.0; 4]);
    let (chunks, rest) = values.as_chunks::<4>();
    for chunk in chunks {
        for lane in 0..4 {
            let x = f64::from(chunk[lane]) - origin;
            sums[lane] += x;
            squares[lane] += x * x;
        }
    }
    for (lane, &x) in rest.iter().enumerate() {
        let x = f64::from(x) - origin;
        sums[lane] += x;
        squares[lane] += x * x;
    }
    [sums.iter().sum(), squares.iter().sum()]
}

fn from_moments(count: usize, origin: f64, [sum, square]: [f64; 2]) -> Affine {
    let count = count.max(1) as f64;
    let mean = sum / count;
    let variance = square / count - mean * mean;
    // A deviation that is only a rounding error of equal values counts as 0.
    let negligible = 1e-14 * (square / count);
    let spread = if variance > negligible { variance.sqrt() } else { 0.0 };
    Affine::new(origin + mean, spread)
}

/// The map to 0 for the smallest value and 1 for the largest.
pub fn min_max(values: &[f32]) -> Affine {
    let range = |[low, high]: [f32; 2], &x: &f32| [low.min(x), high.max(x)];
    let none = || [f32::INFINITY, f32::NEG_INFINITY];
    let [low, high] = values
        .par_chunks(PIECE)
        .map(|piece| piece.iter().fold(none(), range))
        .reduce(none, |a, b| [a[0].min(b[0]), a[1].max(b[1])]);
    Affine::new(f64::from(low), f64::from(high) - f64::from(low))
}

/// The [`z_score`] of each column of rows of `width` values.
pub fn z_score_columns(values: &[f32], width: usize) -> Vec<Affine> {
    let rows = values.len() / width;
    columns(values, width, |strip| {
        let origins = &values[strip.clone()];
        let mut sums = vec![[0.0; 2]; strip.len()];
        for row in values.chunks_exact(width) {
            for ((sum, &x), &origin) in sums.iter_mut().zip(&row[strip.clone()]).zip(origins) {
                let x = f64::from(x) - f64::from(origin);
                sum[0] += x;
                sum[1] += x * x;
            }
        }
        let columns = sums.into_iter().zip(origins);
        columns.map(|(sums, &origin)| from_moments(rows, f64::from(origin), sums)).collect()
    })
}

/// The [`min_max`] of each column of rows of `width` values.
pub fn min_max_columns(values: &[f32], width: usize) -> Vec<Affine> {
    columns(values, width, |strip| {
        let mut ranges = vec![[f32::INFINITY, f32::NEG_INFINITY]; strip.len()];
        for row in values.chunks_exact(width) {
            for (range, &x) in ranges.iter_mut().zip(&row[strip.clone()]) {
                *range = [range[0].min(x), range[1].max(x)];
            }
        }
        let affine =
            |[low, high]: [f32; 2]| Affine::new(f64::from(low), f64::from(high) - f64::from(low));
        ranges.into_iter().map(affine).collect()
    })
}

/// The map of each column, computed strip by strip; every strip goes through all rows in order.
fn columns(
    values: &[f32],
    width: usize,
    of_strip: impl Fn(std::ops::Range<usize>) -> Vec<Affine> + Sync,
) -> Vec<Affine> {
    if values.is_empty() {
        return Vec::new();
    }
    let strips: Vec<Vec<Affine>> = (0..width.div_ceil(STRIP))
        .into_par_iter()
        .map(|strip| of_strip(strip * STRIP..((strip + 1) * STRIP).min(width)))
        .collect();
    strips.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(affine: Affine, values: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; values.len()];
        affine.apply(values, &mut out);
        out
    }

    #[test]
    fn four_values() {
        assert_eq!(mapped(z_score(&[1.0, 3.0, 1.0, 3.0]), &[1.0, 3.0]), [-1.0, 1.0]);
        assert_eq!(mapped(min_max(&[1.0, 3.0, 2.0]), &[1.0, 3.0, 2.0]), [0.0, 1.0, 0.5]);
    }

    #[test]
    fn equal_values_go_to_zero() {
        for value in [0.0, 0.1, -80.0, 1e30] {
            let values = vec![value; 50_001];
            assert!(z_score(&values).is_constant() && min_max(&values).is_constant());
            assert_eq!(mapped(z_score(&values), &values[..1]), [0.0]);
        }
    }

    #[test]
    fn a_large_offset_costs_no_precision() {
        let values: Vec<f32> = (0..10_000).map(|n| 1e6 + (n % 2) as f32).collect();
        let out = mapped(z_score(&values), &values);
        assert!((out[0] + 1.0).abs() < 1e-6 && (out[1] - 1.0).abs() < 1e-6, "{:?}", &out[..2]);
    }

    #[test]
    fn columns_equal_columns_taken_out() {
        let width = 300;
        let values: Vec<f32> = (0..7 * width).map(|n| ((n * n % 1_009) as f32).sqrt()).collect();
        let (z, m) = (z_score_columns(&values, width), min_max_columns(&values, width));
        for column in [0, 255, 256, 299] {
            let own: Vec<f32> = values.iter().skip(column).step_by(width).copied().collect();
            let far = (z[column].of(own[3]) - z_score(&own).of(own[3])).abs();
            assert!(far < 1e-6, "{column}: {far}");
            assert_eq!(m[column], min_max(&own));
        }
    }
}
