//! The loss of information when numbers are stored in single precision.

/// The fraction of a column's range below which a difference does not matter.
const MATTERS: f64 = 1e-5;

/// Rows whose numbers differ from each other, but not in single precision, in order. Differences
/// that are negligible compared with the range of all numbers do not count.
pub fn merged(exact: &[f64]) -> Vec<usize> {
    let rounded: Vec<f32> = exact.iter().map(|&value| value as f32).collect();
    merged_as(exact, &rounded)
}

/// The same rows for whole numbers, which may also be equal in double precision.
pub fn merged_integers(exact: &[i64]) -> Vec<usize> {
    let least = exact.iter().copied().min().unwrap_or(0);
    let above = |value: &i64| (i128::from(*value) - i128::from(least)) as f64;
    let above: Vec<f64> = exact.iter().map(above).collect();
    let rounded: Vec<f32> = exact.iter().map(|&value| value as f32).collect();
    merged_as(&above, &rounded)
}

fn merged_as(exact: &[f64], rounded: &[f32]) -> Vec<usize> {
    let (low, high) = range(exact);
    let matters = (high - low) * MATTERS;
    let mut order: Vec<usize> = (0..exact.len()).collect();
    order.sort_unstable_by(|&a, &b| exact[a].total_cmp(&exact[b]));
    let same = order.chunk_by(|&a, &b| rounded[a] == rounded[b]);
    let is_lost = |rows: &&[usize]| exact[rows[rows.len() - 1]] - exact[rows[0]] > matters;
    let mut lost: Vec<usize> = same.filter(is_lost).flatten().copied().collect();
    lost.sort_unstable();
    lost
}

fn range(values: &[f64]) -> (f64, f64) {
    let widen = |(low, high): (f64, f64), &value: &f64| (low.min(value), high.max(value));
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), widen)
}

/// Columns of row-major numbers in which rounding may make numbers equal whose difference matters.
pub fn columns_at_risk(values: &[f64], width: usize) -> Vec<usize> {
    let mut columns = vec![(f64::INFINITY, f64::NEG_INFINITY, 0.0_f64); width];
    for row in values.chunks_exact(width) {
        for ((low, high, error), &value) in columns.iter_mut().zip(row) {
            *low = low.min(value);
            *high = high.max(value);
            *error = error.max((value - f64::from(value as f32)).abs());
        }
    }
    let is_suspicious = |&at: &usize| {
        let (low, high, error) = columns[at];
        2.0 * error > (high - low) * MATTERS
    };
    (0..width).filter(is_suspicious).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_on_an_offset_merges() {
        let seconds: Vec<f64> =
            [0, 1, 2, 10, 500].iter().map(|&it| 1.7e9 + f64::from(it)).collect();
        assert_eq!(merged(&seconds), [0, 1, 2, 3]);
        assert_eq!(columns_at_risk(&seconds, 1), [0]);
        assert_eq!(merged_integers(&[1 << 24, (1 << 24) + 1, (1 << 24) + 100]), [0, 1]);
        let huge = i64::MAX - 100;
        assert_eq!(merged_integers(&[huge, huge + 1, huge + 50]), [0, 1, 2]);
        assert_eq!(merged(&[1e-46, 2e-46, 3e-46]), [0, 1, 2]);
    }

    #[test]
    fn ordinary_rounding_is_no_loss() {
        let thirds: Vec<f64> = (0..20_000).map(|at| f64::from(at) / 3e4 + 1.0 / 3.0).collect();
        assert_eq!(merged(&thirds), [] as [usize; 0]);
        let close = [0.1, 0.1 + 1e-12, 5.0, -3.0];
        assert_eq!(merged(&close), [] as [usize; 0]);
        assert_eq!(columns_at_risk(&close, 2), [] as [usize; 0]);
        assert_eq!(merged(&[7.0; 4]), [] as [usize; 0]);
        assert_eq!(merged_integers(&[0, 1, 2, 1 << 24]), [] as [usize; 0]);
    }
}
