//! Near duplicates: rows that are almost equal up to their level.
//!
//! The distance of two rows is 1 − cos of the angle between them, after the mean row is
//! subtracted from both and the mean of each from itself. So neither the common part of all rows
//! nor the loudness of a recording counts. Rows are compared in two steps. Sums over runs of
//! columns, each divided by the root of the run's length, are an orthogonal projection, which does
//! not increase distances. Pairs that are far apart in the projection are therefore skipped, and
//! only the others are compared in full.

use super::neighbors::each_row;
use rayon::prelude::*;

/// The largest number of columns after the projection.
const NARROW: usize = 256;

/// An earlier row to which a row is a near duplicate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NearDuplicate {
    /// The earlier row.
    pub row: usize,
    /// The distance: 1 − cos of the angle between both rows.
    pub distance: f64,
}

/// The nearest earlier row of each row, if it is within `limit`; the first of equally near ones. A
/// row that is constant after the mean row is subtracted has none. `None` if `cancelled` returns
/// true.
pub fn near_duplicates(
    x: &[f32],
    n_features: usize,
    limit: f64,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Option<Vec<Option<NearDuplicate>>> {
    let n = (x.len() / n_features) as f64;
    let mut shared = vec![0.0; n_features];
    for row in x.chunks_exact(n_features) {
        shared.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x) / n);
    }
    let rest = |row: usize| {
        let row = x[row * n_features..][..n_features].iter().zip(&shared);
        let mut rest: Vec<f64> = row.map(|(&x, mean)| f64::from(x) - mean).collect();
        let mean = rest.iter().sum::<f64>() / n_features as f64;
        rest.iter_mut().for_each(|x| *x -= mean);
        let length = rest.iter().map(|x| x * x).sum::<f64>().sqrt();
        rest.iter_mut().for_each(|x| *x /= length);
        (length > 0.0).then_some(rest)
    };
    let run = n_features.div_ceil(NARROW);
    let width = n_features.div_ceil(run);
    let shade = |row: usize| match rest(row) {
        Some(rest) => {
            let sum = |run: &[f64]| run.iter().sum::<f64>() / (run.len() as f64).sqrt();
            rest.chunks(run).map(sum).collect()
        }
        None => vec![f64::NAN; width],
    };
    let shades: Vec<f64> = (0..x.len() / n_features).into_par_iter().flat_map_iter(shade).collect();
    // For unit vectors |x − y|² = 2 (1 − cos); the margin is for rounding.
    let most = 2.0 * limit + 1e-9;
    each_row(&shades, width, cancelled, |row, squares| {
        let mut own = None;
        let mut best: Option<NearDuplicate> = None;
        for (other, _) in squares[..row].iter().enumerate().filter(|(_, square)| **square <= most) {
            let (Some(own), Some(rest)) = (own.get_or_insert_with(|| rest(row)), rest(other))
            else {
                continue;
            };
            let square: f64 = own.iter().zip(&rest).map(|(a, b)| (a - b) * (a - b)).sum();
            let found = NearDuplicate { row: other, distance: square / 2.0 };
            if found.distance <= best.map_or(limit, |best| best.distance)
                && best.is_none_or(|best| found.distance < best.distance)
            {
                best = Some(found);
            }
        }
        best
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::{Purpose, Random};

    #[test]
    fn louder_copies_are_near_and_others_are_not() {
        let mut random = Random::new(0, Purpose::Null, 0);
        let width = 700;
        let mut x: Vec<f32> =
            (0..6 * width).map(|at| random.normal() as f32 + (at % 9) as f32).collect();
        let copy: Vec<f32> = x[width..2 * width].iter().map(|x| x + 3.0).collect();
        x.extend(copy);
        x.extend(vec![0.0; width]);
        let found = near_duplicates(&x, width, 0.02, &|| false).unwrap();
        assert!(found[..6].iter().all(Option::is_none) && found[7].is_none());
        let copy = found[6].unwrap();
        assert!(copy.row == 1 && copy.distance < 1e-3, "{copy:?}");
        let all = near_duplicates(&x, width, 2.0, &|| false).unwrap();
        assert!(all[0].is_none() && all[1..].iter().all(Option::is_some));
    }
}
