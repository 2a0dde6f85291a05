//! Spectral embedding: the leading eigenvectors of a normalised graph of neighbours.
//!
//! Source: Ng, Jordan and Weiss 2001; `sklearn.manifold.spectral_embedding` (1.9). Eigenvectors are
//! found by a block Krylov method with restarts (Golub and Underwood 1977), whose blocks are wider
//! than the eigenspaces of graphs in several parts, and by a dense solver for few points.

use super::{
    kmeans::Cancelled,
    matmul::{Matrix, multiply},
    neighbors::Neighbors,
    orthogonal::orthonormal_columns,
    random::Random,
    symmetric::eigen,
};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// The number of points up to which all eigenvectors are computed.
const FEW: usize = 300;

/// The number of further vectors in a block.
const EXTRA: usize = 8;

/// The number of blocks between restarts.
const BLOCKS: usize = 8;

/// The most restarts.
const RESTARTS: usize = 200;

/// The length of a residual at which an eigenvector is exact enough: the error of an eigenvalue is about its square.
/// `orthonormal_columns` drops directions shorter than 1e-7 of a block, so no residual becomes smaller than that.
const RESIDUAL: f64 = 1e-6;

/// A symmetric graph with D⁻¹ᐟ² A D⁻¹ᐟ² as its matrix.
pub struct Graph {
    /// The neighbours of each point with their entries of the matrix.
    rows: Vec<Vec<(u32, f64)>>,
    /// The roots of the degrees.
    roots: Vec<f64>,
}

impl Graph {
    /// The graph of nearest neighbours: A = (C + Cᵀ) / 2 with C_ij = 1 where j is one of the
    /// neighbours of i. A point is no neighbour of its own.
    pub fn new(near: &Neighbors) -> Self {
        let mut rows: Vec<BTreeMap<u32, f64>> = vec![BTreeMap::new(); near.rows().len()];
        for (row, (indices, _)) in near.rows().enumerate() {
            for &other in indices.iter().filter(|other| **other != row as u32) {
                *rows[row].entry(other).or_insert(0.0) += 0.5;
                *rows[other as usize].entry(row as u32).or_insert(0.0) += 0.5;
            }
        }
        let root = |row: &BTreeMap<u32, f64>| {
            let degree: f64 = row.values().sum();
            if degree > 0.0 { degree.sqrt() } else { 1.0 }
        };
        let roots: Vec<f64> = rows.iter().map(root).collect();
        let normalised = |(row, own): (BTreeMap<u32, f64>, &f64)| {
            row.into_iter().map(|(at, weight)| (at, weight / own / roots[at as usize])).collect()
        };
        Self { rows: rows.into_iter().zip(&roots).map(normalised).collect(), roots }
    }

    /// The product of (M + I) / 2, whose eigenvalues are not negative, with a block of columns.
    fn apply(&self, block: &[f64], width: usize) -> Vec<f64> {
        let mut product = vec![0.0; block.len()];
        product.par_chunks_mut(width).zip(&self.rows).enumerate().for_each(|(row, (out, near))| {
            out.copy_from_slice(&block[row * width..][..width]);
            for (at, weight) in near {
                let other = &block[*at as usize * width..][..width];
                out.iter_mut().zip(other).for_each(|(out, value)| *out += weight * value);
            }
            out.iter_mut().for_each(|out| *out *= 0.5);
        });
        product
    }

    /// The first `k` eigenvectors, each divided by the roots of the degrees: a row of `k` numbers
    /// for each point, and whether they are exact. `None` if `cancelled` returns true.
    pub fn embedding(
        &self,
        k: usize,
        random: &mut Random,
        cancelled: Cancelled<'_>,
    ) -> Option<(Vec<f64>, bool)> {
        let n = self.rows.len();
        let width = (k + EXTRA).min(n);
        let (block, width, exact) = if n <= FEW || width * BLOCKS >= n {
            let identity: Vec<f64> =
                (0..n * n).map(|at| f64::from(u8::from(at / n == at % n))).collect();
            let (_, vectors) = eigen(&self.apply(&identity, n), n)?;
            let columns = (0..n).flat_map(|row| (0..k).map(move |at| (row, at)));
            (columns.map(|(row, at)| vectors[at * n + row]).collect(), k, true)
        } else {
            self.krylov(k, width, random, cancelled)?
        };
        let rows = block.chunks_exact(width).zip(&self.roots);
        Some((
            rows.flat_map(|(row, root)| row[..k].iter().map(move |it| it / root)).collect(),
            exact,
        ))
    }

    /// A block of columns that begins with the first `k` eigenvectors, and its width.
    fn krylov(
        &self,
        k: usize,
        width: usize,
        random: &mut Random,
        cancelled: Cancelled<'_>,
    ) -> Option<(Vec<f64>, usize, bool)> {
        let n = self.rows.len();
        let start: Vec<f64> = (0..n * width).map(|_| random.normal()).collect();
        let mut block = orthonormal_columns(start, n, width, &[]);
        for _ in 0..RESTARTS {
            let mut basis = vec![block];
            let mut products = Vec::new();
            loop {
                if cancelled() {
                    return None;
                }
                let last = basis.last().expect("the block of the start");
                let product = self.apply(last, last.len() / n);
                let next = match basis.len() < BLOCKS {
                    true => orthonormal_columns(product.clone(), n, product.len() / n, &basis),
                    false => Vec::new(),
                };
                products.push(product);
                if next.is_empty() {
                    break;
                }
                basis.push(next);
            }
            let (basis, products) = (beside(&basis, n), beside(&products, n));
            let all = basis.len() / n;
            let mut projected = vec![0.0; all * all];
            let (left, right) = (Matrix::new(&basis, all), Matrix::new(&products, all));
            multiply(&mut projected, left.transposed(), right, false);
            for row in 0..all {
                for column in 0..row {
                    let mean =
                        f64::midpoint(projected[row * all + column], projected[column * all + row]);
                    (projected[row * all + column], projected[column * all + row]) = (mean, mean);
                }
            }
            let (values, vectors) = eigen(&projected, all)?;
            let kept = width.min(all);
            let turn = || Matrix::new(&vectors[..kept * all], all).transposed();
            let (mut turned, mut applied) = (vec![0.0; n * kept], vec![0.0; n * kept]);
            multiply(&mut turned, left, turn(), false);
            multiply(&mut applied, right, turn(), false);
            let residual = |at: usize| {
                let rows = turned.chunks_exact(kept).zip(applied.chunks_exact(kept));
                rows.map(|(own, image)| (image[at] - values[at] * own[at]).powi(2))
                    .sum::<f64>()
                    .sqrt()
            };
            if kept < k {
                return None;
            }
            if (0..k).all(|at| residual(at) <= RESIDUAL) {
                return Some((turned, kept, true));
            }
            block = turned;
        }
        let width = block.len() / n;
        Some((block, width, false))
    }
}

/// Blocks of columns side by side.
fn beside(blocks: &[Vec<f64>], n: usize) -> Vec<f64> {
    (0..n)
        .flat_map(|row| {
            blocks.iter().flat_map(move |block| {
                let width = block.len() / n;
                block[row * width..][..width].iter().copied()
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::random::Purpose;

    #[test]
    fn few_and_many_points_give_the_same_space() {
        let mut random = Random::new(3, Purpose::Null, 0);
        let n = 400;
        let x: Vec<f32> = (0..2 * n).map(|_| random.normal() as f32).collect();
        let near = Neighbors::new(&x, 2, 8, &|| false).expect("neighbours");
        let graph = Graph::new(&near);
        let dense = eigen(&graph.apply(&identity(n), n), n).expect("eigenvalues").0;
        let (block, width, exact) = graph.krylov(4, 12, &mut random, &|| false).expect("vectors");
        assert!(exact);
        let image = graph.apply(&block, width);
        for (at, expected) in dense.iter().take(4).enumerate() {
            let column = |block: &[f64]| -> Vec<f64> {
                block.iter().skip(at).step_by(width).copied().collect()
            };
            let (own, image) = (column(&block), column(&image));
            let value: f64 = own.iter().zip(&image).map(|(a, b)| a * b).sum();
            assert!((value - expected).abs() < 1e-8, "{at}: {value} {expected}");
        }
    }

    fn identity(n: usize) -> Vec<f64> {
        (0..n * n).map(|at| f64::from(u8::from(at / n == at % n))).collect()
    }
}
