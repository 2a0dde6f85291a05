//! The total correlation of latent vectors by minibatch weighted sampling (Chen et al., 2018).
//!
//! With z_i drawn from q(z | n_i), M clips in the batch of N clips, and ℓ_ijk = log q(z_ik | n_j):
//! log q(z_i) ≈ log Σⱼ exp Σₖ ℓ_ijk − log NM, log q(z_ik) ≈ log Σⱼ exp ℓ_ijk − log NM, and the total
//! correlation is the average of log q(z_i) − Σₖ log q(z_ik) over the batch. Its gradient does not
//! depend on N. Sums have a fixed order, and memory grows with M·k alone.

use rayon::prelude::*;

/// A batch of samples with the distributions that they were drawn from, row after row.
#[derive(Clone, Copy)]
pub struct Drawn<'a> {
    /// The number of latent units.
    pub units: usize,
    /// The samples.
    pub samples: &'a [f32],
    /// The latent means.
    pub means: &'a [f32],
    /// The logarithms of the latent variances.
    pub log_variances: &'a [f32],
}

/// The total correlation with its gradients.
#[derive(Clone, Debug, Default)]
pub struct Correlation {
    /// The estimate.
    pub value: f64,
    /// The gradient of the samples.
    pub samples: Vec<f32>,
    /// The gradient of the means.
    pub means: Vec<f32>,
    /// The gradient of the logarithms of the variances.
    pub log_variances: Vec<f32>,
}

impl Drawn<'_> {
    /// The distance of unit k of sample i from the mean of clip j in units of its deviation, and the
    /// logarithm of the density there.
    fn density(&self, i: usize, j: usize, k: usize) -> (f64, f64, f64) {
        let log_variance = f64::from(self.log_variances[j * self.units + k]);
        let apart =
            f64::from(self.samples[i * self.units + k]) - f64::from(self.means[j * self.units + k]);
        let precision = (-log_variance).exp();
        let log = -0.5 * (std::f64::consts::TAU.ln() + log_variance + apart * apart * precision);
        (apart, precision, log)
    }

    /// The estimate for a batch of a data set of `clips` clips.
    pub fn correlation(&self, clips: usize) -> Correlation {
        let (batch, units) = (self.samples.len() / self.units, self.units);
        let count = batch as f64;
        // The logarithms of the sums over j: of the whole vector, then of each unit.
        let sums: Vec<Vec<f64>> = (0..batch)
            .into_par_iter()
            .map(|i| {
                let logs: Vec<f64> = (0..batch)
                    .flat_map(|j| (0..units).map(move |k| self.density(i, j, k).2))
                    .collect();
                let whole = log_sum(logs.chunks_exact(units).map(|row| row.iter().sum()));
                let single = |k: usize| log_sum(logs.iter().skip(k).step_by(units).copied());
                std::iter::once(whole).chain((0..units).map(single)).collect()
            })
            .collect();
        let apart = |own: &Vec<f64>| own[0] - own[1..].iter().sum::<f64>();
        let value = sums.iter().map(apart).sum::<f64>() / count
            + (units as f64 - 1.0) * (clips as f64 * count).ln();
        // d ℓ_ijk = (share of j in the sum of the vector − share in that of the unit) / M.
        let each = |i: usize, j: usize, out: &mut dyn FnMut(usize, f64, f64, f64)| {
            let found: Vec<_> = (0..units).map(|k| self.density(i, j, k)).collect();
            let whole: f64 = found.iter().map(|it| it.2).sum();
            let share = (whole - sums[i][0]).exp();
            for (k, (apart, precision, log)) in found.into_iter().enumerate() {
                let d = (share - (log - sums[i][1 + k]).exp()) / count;
                out(k, d, apart, precision);
            }
        };
        let mut made = Correlation {
            value,
            samples: vec![0.0; batch * units],
            means: vec![0.0; batch * units],
            log_variances: vec![0.0; batch * units],
        };
        made.samples.par_chunks_exact_mut(units).enumerate().for_each(|(i, out)| {
            let mut sum = vec![0.0; units];
            for j in 0..batch {
                each(i, j, &mut |k, d, apart, precision| sum[k] -= d * apart * precision);
            }
            out.iter_mut().zip(sum).for_each(|(out, sum)| *out = sum as f32);
        });
        let rows = made.means.par_chunks_exact_mut(units);
        rows.zip(made.log_variances.par_chunks_exact_mut(units)).enumerate().for_each(
            |(j, (means, log_variances))| {
                let mut sums = vec![[0.0; 2]; units];
                for i in 0..batch {
                    each(i, j, &mut |k, d, apart, precision| {
                        sums[k][0] += d * apart * precision;
                        sums[k][1] += 0.5 * d * (apart * apart * precision - 1.0);
                    });
                }
                for (k, [mean, log_variance]) in sums.into_iter().enumerate() {
                    (means[k], log_variances[k]) = (mean as f32, log_variance as f32);
                }
            },
        );
        made
    }
}

/// log Σ exp, without overflow.
fn log_sum(logs: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = logs.clone().fold(f64::NEG_INFINITY, f64::max);
    most + logs.map(|log| (log - most).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_those_of_the_value() {
        let number = |at: usize| (at as f32 * 1.7).sin();
        let parts = [0, 40, 80].map(|from| (from..from + 12).map(number).collect::<Vec<f32>>());
        let value = |[samples, means, log_variances]: &[Vec<f32>; 3]| {
            Drawn { units: 3, samples, means, log_variances }.correlation(50)
        };
        let made = value(&parts);
        let found = [&made.samples, &made.means, &made.log_variances];
        for part in 0..3 {
            for at in 0..12 {
                let moved = |by: f32| {
                    let mut parts = parts.clone();
                    parts[part][at] += by;
                    (f64::from(parts[part][at]), value(&parts).value)
                };
                let ((a, low), (b, high)) = (moved(-1e-2), moved(1e-2));
                let slope = (high - low) / (b - a);
                assert!((slope - f64::from(found[part][at])).abs() < 1e-3, "{part} {at}: {slope}");
            }
        }
    }

    #[test]
    fn one_unit_has_no_total_correlation() {
        let values = [0.3, -1.0, 0.8];
        let drawn = Drawn { units: 1, samples: &values, means: &values, log_variances: &[0.1; 3] };
        let made = drawn.correlation(9);
        assert!(made.value.abs() < 1e-12 && made.means.iter().all(|d| d.abs() < 1e-7));
    }
}
