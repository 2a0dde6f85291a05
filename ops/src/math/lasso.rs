//! Linear regression with an L1 penalty (the lasso), by coordinate descent.

/// The largest change of a weight at which the descent ends, and the most rounds of it.
const TOL: f64 = 1e-10;
const MAX_ROUNDS: usize = 10_000;

/// Products of columns, from which any number of targets can be fitted.
#[derive(Clone, Debug)]
pub struct Columns {
    width: usize,
    rows: usize,
    /// XᵀX / n, row-major.
    gram: Vec<f64>,
}

impl Columns {
    /// The products of the columns of row-major, centred points.
    pub fn new(x: &[f64], width: usize) -> Self {
        let rows = x.len() / width;
        let mut gram = vec![0.0; width * width];
        for row in x.chunks_exact(width) {
            for (line, a) in gram.chunks_exact_mut(width).zip(row) {
                line.iter_mut().zip(row).for_each(|(sum, b)| *sum += a * b);
            }
        }
        gram.iter_mut().for_each(|sum| *sum /= rows as f64);
        Self { width, rows, gram }
    }

    /// The weights w that minimise ‖y − Xw‖² / 2n + α·Σ|w| for a centred target.
    pub fn fit(&self, x: &[f64], y: &[f64], alpha: f64) -> Vec<f64> {
        let (d, n) = (self.width, self.rows as f64);
        let mut toward = vec![0.0; d];
        for (row, y) in x.chunks_exact(d).zip(y) {
            toward.iter_mut().zip(row).for_each(|(sum, x)| *sum += x * y / n);
        }
        let mut weights = vec![0.0; d];
        for _ in 0..MAX_ROUNDS {
            let mut change = 0.0_f64;
            for at in 0..d {
                let line = &self.gram[at * d..][..d];
                let own = line[at];
                if own <= 0.0 {
                    continue;
                }
                let others: f64 = line.iter().zip(&weights).map(|(a, w)| a * w).sum();
                let free = toward[at] - others + own * weights[at];
                let new = free.signum() * (free.abs() - alpha).max(0.0) / own;
                change = change.max((new - weights[at]).abs());
                weights[at] = new;
            }
            if change <= TOL {
                break;
            }
        }
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_column_is_shrunk_by_the_penalty_and_constant_ones_have_no_weight() {
        let (x, y) = ([-1.0, 0.0, 1.0, 0.0], [-2.0, 2.0]);
        let fit = |alpha| Columns::new(&x, 2).fit(&x, &y, alpha);
        assert_eq!(fit(0.0), [2.0, 0.0]);
        assert_eq!(fit(0.5), [1.5, 0.0]);
        assert_eq!(fit(3.0), [0.0, 0.0]);
    }
}
