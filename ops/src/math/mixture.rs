//! Gaussian mixtures by expectation–maximisation, equal to scikit-learn's step by step.
//!
//! Source: Dempster, Laird and Rubin 1977; `sklearn.mixture.GaussianMixture` (1.9), including its
//! regularisation and stopping rule. Sums go over blocks of points in a fixed order.

use super::kmeans::Cancelled;
use rayon::prelude::*;

/// The number of points of a block, which one thread works on.
const BLOCK: usize = 256;

/// The form of the covariances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A matrix for each component.
    Full,
    /// A variance for each component and feature.
    Diagonal,
    /// A variance for each component.
    Spherical,
}

/// A fitted mixture.
#[derive(Clone, Debug)]
pub struct Mixture {
    form: Form,
    n_features: usize,
    /// The weight of each component.
    pub weights: Vec<f64>,
    /// The mean of each component, one after the other.
    pub means: Vec<f64>,
    /// The covariance of each component: a matrix, variances, or one variance.
    pub covariances: Vec<f64>,
    /// The lower triangles L of LLᵀ = Σ of each component, or the roots of the variances.
    roots: Vec<f64>,
}

/// The result of a fit.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The mixture.
    pub mixture: Mixture,
    /// The probability of each component for each point, point after point.
    pub responsibilities: Vec<f64>,
    /// The mean log-likelihood of a point.
    pub log_likelihood: f64,
    /// The mean log-likelihood at the last step, by which runs are compared.
    pub bound: f64,
    /// The number of steps.
    pub n_iter: usize,
    /// True if it ended before the limit of steps.
    pub converged: bool,
}

/// The limits of a fit.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Added to every variance.
    pub reg_covar: f64,
    /// The fit ends when the mean log-likelihood changes by less.
    pub tol: f64,
    /// The most steps.
    pub max_iter: usize,
}

/// The reason why there is no fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `cancelled` returned true.
    Cancelled,
    /// A covariance is not positive definite, or a likelihood is not a number.
    Degenerate,
}

/// Fits a mixture to row-major points from these responsibilities on.
///
/// # Errors
/// When it is cancelled or degenerates.
pub fn fit(
    x: &[f32],
    n_features: usize,
    start: Vec<f64>,
    form: Form,
    limits: Limits,
    cancelled: Cancelled<'_>,
) -> Result<Fit, Failure> {
    let n = x.len() / n_features;
    let mut responsibilities = start;
    let mut mixture =
        Mixture::estimate(x, n_features, &responsibilities, form, limits.reg_covar, cancelled)?;
    let (mut bound, mut n_iter, mut converged) = (f64::NEG_INFINITY, 0, false);
    while n_iter < limits.max_iter && !converged {
        n_iter += 1;
        let before = bound;
        bound = mixture.expect(x, &mut responsibilities, cancelled)? / n as f64;
        mixture =
            Mixture::estimate(x, n_features, &responsibilities, form, limits.reg_covar, cancelled)?;
        converged = (bound - before).abs() < limits.tol;
    }
    let log_likelihood = mixture.expect(x, &mut responsibilities, cancelled)? / n as f64;
    Ok(Fit { mixture, responsibilities, log_likelihood, bound, n_iter, converged })
}

impl Mixture {
    /// The number of components.
    pub fn components(&self) -> usize {
        self.weights.len()
    }

    /// The number of free parameters, by which information criteria penalise.
    pub fn parameters(&self) -> usize {
        let (k, d) = (self.components(), self.n_features);
        let covariances = match self.form {
            Form::Full => k * d * (d + 1) / 2,
            Form::Diagonal => k * d,
            Form::Spherical => k,
        };
        k * d + covariances + k - 1
    }

    /// The M step: weights, means and covariances from responsibilities.
    fn estimate(
        x: &[f32],
        d: usize,
        responsibilities: &[f64],
        form: Form,
        reg_covar: f64,
        cancelled: Cancelled<'_>,
    ) -> Result<Self, Failure> {
        let n = x.len() / d;
        let k = responsibilities.len() / n;
        // Weights and sums of each block, added in the order of the blocks.
        let blocks = x.par_chunks(BLOCK * d).zip(responsibilities.par_chunks(BLOCK * k));
        let of_blocks: Vec<Vec<f64>> = blocks
            .map(|(x, shares)| {
                let mut sums = vec![0.0; k * (d + 1)];
                for (point, shares) in x.chunks_exact(d).zip(shares.chunks_exact(k)) {
                    for (share, sums) in shares.iter().zip(sums.chunks_exact_mut(d + 1)) {
                        sums[d] += share;
                        sums.iter_mut()
                            .zip(point)
                            .for_each(|(sum, x)| *sum += share * f64::from(*x));
                    }
                }
                sums
            })
            .collect();
        let sums = added(of_blocks);
        if cancelled() {
            return Err(Failure::Cancelled);
        }
        let counts: Vec<f64> =
            sums.chunks_exact(d + 1).map(|sums| sums[d] + 10.0 * f64::EPSILON).collect();
        let means: Vec<f64> = sums
            .chunks_exact(d + 1)
            .zip(&counts)
            .flat_map(|(sums, count)| sums[..d].iter().map(move |sum| sum / count))
            .collect();
        let size = if form == Form::Full { d * d } else { d };
        let mut covariances = vec![0.0; k * size];
        for component in 0..k {
            if cancelled() {
                return Err(Failure::Cancelled);
            }
            let mean = &means[component * d..][..d];
            let of_blocks: Vec<Vec<f64>> = x
                .par_chunks(BLOCK * d)
                .zip(responsibilities.par_chunks(BLOCK * k))
                .map(|(x, shares)| {
                    let mut sums = vec![0.0; size];
                    let mut away = vec![0.0; d];
                    for (point, shares) in x.chunks_exact(d).zip(shares.chunks_exact(k)) {
                        let share = shares[component];
                        // Most points have no share in most components.
                        if share == 0.0 {
                            continue;
                        }
                        for ((away, x), mean) in away.iter_mut().zip(point).zip(mean) {
                            *away = f64::from(*x) - mean;
                        }
                        match form {
                            Form::Full => outer(&mut sums, &away, share),
                            _ => sums
                                .iter_mut()
                                .zip(&away)
                                .for_each(|(sum, away)| *sum += share * away * away),
                        }
                    }
                    sums
                })
                .collect();
            let own = &mut covariances[component * size..][..size];
            for (own, sum) in own.iter_mut().zip(added(of_blocks)) {
                *own = sum / counts[component];
            }
            if form == Form::Full {
                for row in 0..d {
                    (row + 1..d).for_each(|column| own[row * d + column] = own[column * d + row]);
                    own[row * d + row] += reg_covar;
                }
            } else {
                own.iter_mut().for_each(|own| *own += reg_covar);
            }
        }
        if form == Form::Spherical {
            let mean = |own: &[f64]| own.iter().sum::<f64>() / d as f64;
            covariances = covariances.chunks_exact(d).map(mean).collect();
        }
        let total: f64 = counts.iter().sum();
        let weights = counts.iter().map(|count| count / total).collect();
        Self::new(form, d, weights, means, covariances)
    }

    /// A mixture of components with these weights, means and covariances.
    ///
    /// # Errors
    /// When a covariance is not positive definite.
    pub fn new(
        form: Form,
        n_features: usize,
        weights: Vec<f64>,
        means: Vec<f64>,
        covariances: Vec<f64>,
    ) -> Result<Self, Failure> {
        let d = n_features;
        let roots: Vec<f64> = match form {
            Form::Full => {
                let mut roots = covariances.clone();
                for root in roots.chunks_exact_mut(d * d) {
                    cholesky(root, d).ok_or(Failure::Degenerate)?;
                }
                roots
            }
            _ => covariances.iter().map(|variance| variance.sqrt()).collect(),
        };
        if roots.iter().any(|root| !root.is_finite()) {
            return Err(Failure::Degenerate);
        }
        Ok(Self { form, n_features, weights, means, covariances, roots })
    }

    /// Computes the responsibilities and the likelihood of points that the mixture need not have been fitted on.
    ///
    /// # Errors
    /// When it is cancelled, or when a point has no likelihood.
    pub fn evaluate(self, x: &[f32], cancelled: Cancelled<'_>) -> Result<Fit, Failure> {
        let n = x.len() / self.n_features;
        let mut responsibilities = vec![0.0; n * self.components()];
        let log_likelihood = self.expect(x, &mut responsibilities, cancelled)? / n as f64;
        let (bound, n_iter, converged) = (log_likelihood, 0, true);
        Ok(Fit { mixture: self, responsibilities, log_likelihood, bound, n_iter, converged })
    }

    /// The E step: the responsibilities of points; returns the sum of their log-likelihoods.
    fn expect(
        &self,
        x: &[f32],
        responsibilities: &mut [f64],
        cancelled: Cancelled<'_>,
    ) -> Result<f64, Failure> {
        let (k, d) = (self.components(), self.n_features);
        let half_tau = 0.5 * d as f64 * std::f64::consts::TAU.ln();
        // ln w − d/2 ln 2π − Σ ln of the roots' diagonal.
        let fixed: Vec<f64> = (0..k)
            .map(|component| {
                let ln_root: f64 = match self.form {
                    Form::Full => {
                        let root = &self.roots[component * d * d..][..d * d];
                        (0..d).map(|at| root[at * d + at].ln()).sum()
                    }
                    Form::Diagonal => {
                        self.roots[component * d..][..d].iter().map(|root| root.ln()).sum()
                    }
                    Form::Spherical => d as f64 * self.roots[component].ln(),
                };
                self.weights[component].ln() - half_tau - ln_root
            })
            .collect();
        let sums: Option<Vec<f64>> = x
            .par_chunks(BLOCK * d)
            .zip(responsibilities.par_chunks_mut(BLOCK * k))
            .map(|(x, shares)| {
                if cancelled() {
                    return None;
                }
                let mut away = vec![0.0; d];
                let mut sum = 0.0;
                for (point, shares) in x.chunks_exact(d).zip(shares.chunks_exact_mut(k)) {
                    for (component, share) in shares.iter_mut().enumerate() {
                        *share = fixed[component] - 0.5 * self.square(component, point, &mut away);
                    }
                    // Large negative numbers would vanish without the shift.
                    let most = shares.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let total: f64 = shares.iter().map(|share| (share - most).exp()).sum();
                    let ln_total = most + total.ln();
                    shares.iter_mut().for_each(|share| *share = (*share - ln_total).exp());
                    sum += ln_total;
                }
                Some(sum)
            })
            .collect();
        let sum: f64 = sums.ok_or(Failure::Cancelled)?.into_iter().sum();
        if sum.is_finite() { Ok(sum) } else { Err(Failure::Degenerate) }
    }

    /// The squared Mahalanobis distance of a point to the mean of a component.
    fn square(&self, component: usize, point: &[f32], away: &mut [f64]) -> f64 {
        let d = self.n_features;
        let mean = &self.means[component * d..][..d];
        for ((away, x), mean) in away.iter_mut().zip(point).zip(mean) {
            *away = f64::from(*x) - mean;
        }
        match self.form {
            Form::Full => {
                // Forward substitution: |y|² with L y = x − μ.
                let root = &self.roots[component * d * d..][..d * d];
                let mut square = 0.0;
                for row in 0..d {
                    let line = &root[row * d..][..=row];
                    let known: f64 = line[..row].iter().zip(&*away).map(|(l, y)| l * y).sum();
                    away[row] = (away[row] - known) / line[row];
                    square += away[row] * away[row];
                }
                square
            }
            Form::Diagonal => {
                let roots = &self.roots[component * d..][..d];
                away.iter().zip(roots).map(|(away, root)| (away / root).powi(2)).sum()
            }
            Form::Spherical => {
                let root = self.roots[component];
                away.iter().map(|away| (away / root).powi(2)).sum()
            }
        }
    }
}

/// The sum of vectors of the same length, in order.
fn added(vectors: Vec<Vec<f64>>) -> Vec<f64> {
    let mut vectors = vectors.into_iter();
    let mut sum = vectors.next().unwrap_or_default();
    for vector in vectors {
        sum.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value);
    }
    sum
}

/// Adds `share` times the lower triangle of the outer product of a vector with itself.
fn outer(sums: &mut [f64], away: &[f64], share: f64) {
    for (row, (line, value)) in sums.chunks_exact_mut(away.len()).zip(away).enumerate() {
        let factor = share * value;
        line.iter_mut().zip(&away[..=row]).for_each(|(sum, other)| *sum += factor * other);
    }
}

/// Replaces a symmetric matrix by its lower Cholesky factor; `None` if it is not positive definite.
fn cholesky(matrix: &mut [f64], d: usize) -> Option<()> {
    for row in 0..d {
        for column in 0..=row {
            let (before, rest) = matrix.split_at(row * d);
            let line = &rest[..d];
            let other = if column == row { line } else { &before[column * d..][..d] };
            let known: f64 = line[..column].iter().zip(other).map(|(a, b)| a * b).sum();
            let left = line[column] - known;
            matrix[row * d + column] = match column == row {
                true if left > 0.0 => left.sqrt(),
                true => return None,
                false => left / other[column],
            };
        }
    }
    Some(())
}
