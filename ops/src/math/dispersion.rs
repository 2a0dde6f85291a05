//! The dispersion of points within and between clusters (Calinski–Harabasz, Davies–Bouldin), and
//! the effective dimension of points. Source of the first two: scikit-learn 1.9.

use super::{
    matmul::{Matrix, multiply},
    pairwise::{Stored, square},
};
use rayon::prelude::*;

/// Sizes, centres and spreads of clusters.
pub struct Clusters {
    n_features: usize,
    sizes: Vec<f64>,
    centres: Vec<f64>,
    mean: Vec<f64>,
    /// The sum of the squared distances of all points to their cluster centres.
    within: f64,
    /// The mean distance of the points of each cluster to its centre.
    spread: Vec<f64>,
}

impl Clusters {
    /// Measures points whose labels are numbered from 0 without gaps.
    pub fn new<S: Stored>(x: &[S], n_features: usize, labels: &[u32]) -> Self {
        let n_clusters = labels.iter().max().map_or(0, |&most| most as usize + 1);
        let mut sizes = vec![0.0; n_clusters];
        let mut centres = vec![0.0; n_clusters * n_features];
        for (row, &label) in x.chunks_exact(n_features).zip(labels) {
            sizes[label as usize] += 1.0;
            let centre = &mut centres[label as usize * n_features..][..n_features];
            centre.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x.into());
        }
        let mut mean = vec![0.0; n_features];
        for (centre, size) in centres.chunks_exact_mut(n_features).zip(&sizes) {
            for (sum, mean) in centre.iter_mut().zip(&mut mean) {
                *mean += *sum / labels.len() as f64;
                *sum /= size;
            }
        }
        let mut spread = vec![0.0; n_clusters];
        let mut within = 0.0;
        for (row, &label) in x.chunks_exact(n_features).zip(labels) {
            let centre = &centres[label as usize * n_features..][..n_features];
            let square = row.iter().zip(centre).fold(0.0, |sum, (&x, c)| {
                let difference = x.into() - c;
                sum + difference * difference
            });
            within += square;
            spread[label as usize] += square.sqrt();
        }
        spread.iter_mut().zip(&sizes).for_each(|(sum, size)| *sum /= size);
        Self { n_features, sizes, centres, mean, within, spread }
    }

    /// The Calinski–Harabasz index (B / (k − 1)) / (W / (n − k)), with B and W the squared
    /// dispersion between and within the k clusters; 1 if W is 0.
    pub fn calinski_harabasz(&self) -> f64 {
        let between: f64 = self
            .centres
            .chunks_exact(self.n_features)
            .zip(&self.sizes)
            .map(|(centre, size)| size * square(centre, &self.mean))
            .sum();
        let (n, k) = (self.sizes.iter().sum::<f64>(), self.sizes.len() as f64);
        if self.within == 0.0 { 1.0 } else { between * (n - k) / (self.within * (k - 1.0)) }
    }

    /// The Davies–Bouldin index: the mean over clusters of max_j (s_i + s_j) / |c_i − c_j|, with s
    /// the mean distance to the own centre; 0 if all s are 0 or all centres coincide.
    pub fn davies_bouldin(&self) -> f64 {
        const ZERO: f64 = 1e-8;
        let centres: Vec<&[f64]> = self.centres.chunks_exact(self.n_features).collect();
        let mut apart = false;
        let worst = |(i, centre): (usize, &&[f64])| {
            let mut worst = 0.0_f64;
            for (j, other) in centres.iter().enumerate() {
                let distance = square(centre, other).sqrt();
                apart |= distance > ZERO;
                if distance > 0.0 {
                    worst = worst.max((self.spread[i] + self.spread[j]) / distance);
                }
            }
            worst
        };
        let sum: f64 = centres.iter().enumerate().map(worst).sum();
        if !apart || self.spread.iter().all(|&spread| spread <= ZERO) {
            return 0.0;
        }
        sum / centres.len() as f64
    }
}

/// The effective dimension of points: the participation ratio (Σλ)² / Σλ² of the eigenvalues of
/// their covariance, from 1 (a line) to the number of features (a ball). NaN if all points
/// coincide.
///
/// It needs no eigenvalues: Σλ is the trace and Σλ² the sum of all squared entries, of the
/// covariance or of the matrix of inner products of the centred points, whichever is smaller.
pub fn effective_dimension<S: Stored>(x: &[S], n_features: usize) -> f64 {
    const BLOCK: usize = 256;
    let n = x.len() / n_features;
    let mut mean = vec![0.0; n_features];
    for row in x.chunks_exact(n_features) {
        mean.iter_mut().zip(row).for_each(|(mean, &x)| *mean += x.into());
    }
    mean.iter_mut().for_each(|mean| *mean /= n as f64);
    let centred = |rows: &[S]| -> Vec<f64> {
        let centre = |row: &[S]| -> Vec<f64> {
            row.iter().zip(&mean).map(|(&x, mean)| x.into() - mean).collect()
        };
        rows.chunks_exact(n_features).flat_map(centre).collect()
    };
    let blocks: Vec<&[S]> = x.chunks(BLOCK * n_features).collect();
    let squared = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>();
    if n_features <= n {
        // The covariance, summed over blocks of rows in a fixed number of parts.
        let parts: Vec<Vec<f64>> = blocks
            .par_chunks(blocks.len().div_ceil(8).max(1))
            .map(|blocks| {
                let mut part = vec![0.0; n_features * n_features];
                for rows in blocks {
                    let rows = centred(rows);
                    let rows = Matrix::new(&rows, n_features);
                    multiply(&mut part, rows.transposed(), rows, true);
                }
                part
            })
            .collect();
        let mut covariance = vec![0.0; n_features * n_features];
        for part in parts {
            covariance.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        let trace: f64 = covariance.iter().step_by(n_features + 1).sum();
        return trace * trace / squared(&covariance);
    }
    let pairs: Vec<(usize, usize)> =
        (0..blocks.len()).flat_map(|i| (i..blocks.len()).map(move |j| (i, j))).collect();
    let parts: Vec<(f64, f64)> = pairs
        .par_iter()
        .map(|&(i, j)| {
            let (a, b) = (centred(blocks[i]), centred(blocks[j]));
            let mut product = vec![0.0; (a.len() / n_features) * (b.len() / n_features)];
            let (a, b) = (Matrix::new(&a, n_features), Matrix::new(&b, n_features));
            multiply(&mut product, a, b.transposed(), false);
            let all = squared(&product);
            if i < j {
                return (0.0, 2.0 * all);
            }
            let side = blocks[i].len() / n_features;
            (product.iter().step_by(side + 1).sum(), all)
        })
        .collect();
    let trace: f64 = parts.iter().map(|part| part.0).sum();
    trace * trace / parts.iter().map(|part| part.1).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_dimension_of_a_line_a_square_and_a_point() {
        assert!((effective_dimension(&[0.0, 0.0, 1.0, 2.0, 2.0, 4.0], 2) - 1.0).abs() < 1e-12);
        let square = [1.0_f32, 1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0];
        assert!((effective_dimension(&square, 2) - 2.0).abs() < 1e-12);
        assert!(effective_dimension(&[3.0_f32; 8], 2).is_nan());
    }

    #[test]
    fn effective_dimension_is_the_same_from_either_side() {
        let x: Vec<f64> = (0..600 * 5).map(|i| f64::from(i * i % 97)).collect();
        let tall = effective_dimension(&x, 5);
        // The same points padded with zeros to as many columns as rows, so that the other matrix is
        // smaller.
        let wide: Vec<f64> = x
            .chunks_exact(5)
            .flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(0.0, 700)))
            .collect();
        assert!((effective_dimension(&wide, 705) - tall).abs() < 1e-9 * tall);
    }
}
