//! Spectral embedding: the leading eigenvectors of a normalised graph of neighbours.
//!
//! Source: Ng, Jordan and Weiss 2001; `sklearn.manifold.spectral_embedding` (1.9). Eigenvectors are
//! found by subspace iteration with Chebyshev filters (Zhou, Saad, Tiago and Chelikowsky 2006), in a
//! block, since the graph may have several parts and then has equal eigenvalues, and by a dense solver
//! for few points.

use super::{
    kmeans::Cancelled,
    matmul::{Matrix, multiply},
    neighbors::Neighbors,
    orthogonal::orthonormal_columns,
    random::Random,
    symmetric::eigen,
};
use rayon::prelude::*;
use std::{array::from_fn, collections::BTreeMap};

/// The number of points up to which all eigenvectors are computed.
const FEW: usize = 300;

/// The least number of further vectors in a block: the next eigenvalues bound what a filter damps.
pub const EXTRA: usize = 8;

/// The number of columns that are computed at once.
pub const LANES: usize = 8;

/// The most filters.
const FILTERS: usize = 100;

/// The highest degree of a filter.
const DEGREE: f64 = 100.0;

/// The factor by which a filter amplifies the largest eigenvalue against what it damps. More would leave nothing of the
/// other vectors of a block beside the first before they are orthogonalised.
const GAIN: f64 = 1e4;

/// The number of rows that one thread takes at least.
const ROWS: usize = 256;

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

    /// Puts (`scale` · ((M + I) / 2 − `centre`) · `block`) − `back` · `out` into `out`; the eigenvalues of
    /// (M + I) / 2 are not negative.
    fn step(&self, block: &[f64], width: usize, factors: Factors, out: &mut [f64]) {
        let rows = out.par_chunks_mut(ROWS * width).zip(self.rows.par_chunks(ROWS)).enumerate();
        rows.for_each(|(part, (out, near))| {
            step_rows(near, (block, width), part * ROWS, factors, out);
        });
    }

    /// The product of (M + I) / 2 with a block of columns.
    fn apply(&self, block: &[f64], width: usize) -> Vec<f64> {
        let mut product = vec![0.0; block.len()];
        let factors = Factors { scale: 1.0, centre: 0.0, back: 0.0 };
        self.step(block, width, factors, &mut product);
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
        let width = (k + EXTRA).next_multiple_of(LANES);
        let (block, width, exact) = if n <= FEW || width * LANES >= n {
            let identity: Vec<f64> =
                (0..n * n).map(|at| f64::from(u8::from(at / n == at % n))).collect();
            let (_, vectors) = eigen(&self.apply(&identity, n), n)?;
            let columns = (0..n).flat_map(|row| (0..k).map(move |at| (row, at)));
            (columns.map(|(row, at)| vectors[at * n + row]).collect(), k, true)
        } else {
            self.filtered(k, width, random, cancelled)?
        };
        let rows = block.chunks_exact(width).zip(&self.roots);
        Some((
            rows.flat_map(|(row, root)| row[..k].iter().map(move |it| it / root)).collect(),
            exact,
        ))
    }

    /// A block of columns that begins with the first `k` eigenvectors, and its width.
    fn filtered(
        &self,
        k: usize,
        width: usize,
        random: &mut Random,
        cancelled: Cancelled<'_>,
    ) -> Option<(Vec<f64>, usize, bool)> {
        let n = self.rows.len();
        let start: Vec<f64> = (0..n * width).map(|_| random.normal()).collect();
        let mut block = orthonormal_columns(start, n, width, &[]);
        for filter in 0.. {
            let width = block.len() / n;
            if cancelled() || width < k {
                return None;
            }
            let (turned, values, image) = best_within(&block, &self.apply(&block, width), width)?;
            block = turned;
            let is_exact = residuals(&block, &image, &values).take(k).all(|it| it <= RESIDUAL);
            if is_exact || filter == FILTERS {
                return Some((block, width, is_exact));
            }
            // What lies below the last eigenvalue of the block is damped.
            let top = values[width - 1].clamp(0.01, 1.0 - 1e-9);
            block = orthonormal_columns(self.damp(block, image, top, cancelled)?, n, width, &[]);
        }
        unreachable!("the loop returns")
    }

    /// The Chebyshev polynomial of (M + I) / 2 that is small from 0 to `top` and 1 at 1, applied to a block, whose
    /// product with (M + I) / 2 is `image`. `None` if `cancelled` returns true.
    fn damp(
        &self,
        mut block: Vec<f64>,
        image: Vec<f64>,
        top: f64,
        cancelled: Cancelled<'_>,
    ) -> Option<Vec<f64>> {
        let width = block.len() / self.rows.len();
        let (half, reach) = (top / 2.0, 2.0 / top - 1.0);
        let degree = (GAIN.acosh() / reach.acosh()).clamp(2.0, DEGREE) as usize;
        // The values at 1 of two polynomials in a row are divided out, so that none overflows.
        let mut sigma = 1.0 / reach;
        let first = sigma;
        let mut next = image;
        next.iter_mut()
            .zip(&block)
            .for_each(|(next, own)| *next = (*next - half * own) * sigma / half);
        for _ in 1..degree {
            if cancelled() {
                return None;
            }
            let following = 1.0 / (2.0 / first - sigma);
            let factors =
                Factors { scale: 2.0 * following / half, centre: half, back: sigma * following };
            self.step(&next, width, factors, &mut block);
            std::mem::swap(&mut next, &mut block);
            sigma = following;
        }
        Some(next)
    }
}

/// The numbers of a step of the recurrence of Chebyshev polynomials.
#[derive(Clone, Copy)]
struct Factors {
    scale: f64,
    centre: f64,
    back: f64,
}

fn step_rows(
    near: &[Vec<(u32, f64)>],
    block: (&[f64], usize),
    first: usize,
    factors: Factors,
    out: &mut [f64],
) {
    dispatch!(step_avx512, step_avx2, step_plain, (near, block, first, factors, out));
}

versions!(step_body, step_avx512, step_avx2, step_plain, [],
    (near: &[Vec<(u32, f64)>], block: (&[f64], usize), first: usize, factors: Factors, out: &mut [f64]));

#[inline(always)]
fn step_body(
    near: &[Vec<(u32, f64)>],
    (block, width): (&[f64], usize),
    first: usize,
    Factors { scale, centre, back }: Factors,
    out: &mut [f64],
) {
    for (at, (near, out)) in near.iter().zip(out.chunks_exact_mut(width)).enumerate() {
        let own = &block[(first + at) * width..][..width];
        let mut column = 0;
        let (whole, rest) = out.as_chunks_mut::<LANES>();
        for out in whole {
            let own: [f64; LANES] = from_fn(|lane| own[column + lane]);
            let mut sums = [0.0; LANES];
            for (other, weight) in near {
                let other = &block[*other as usize * width + column..][..LANES];
                sums.iter_mut().zip(other).for_each(|(sum, value)| *sum += weight * value);
            }
            for ((out, own), sum) in out.iter_mut().zip(own).zip(sums) {
                *out = scale * (0.5 * (own + sum) - centre * own) - back * *out;
            }
            column += LANES;
        }
        // A block is narrower than whole lanes only where the space is exhausted.
        for (out, column) in rest.iter_mut().zip(column..) {
            let term =
                |(other, weight): &(u32, f64)| weight * block[*other as usize * width + column];
            let sum: f64 = near.iter().map(term).sum();
            *out = scale * (0.5 * (own[column] + sum) - centre * own[column]) - back * *out;
        }
    }
}

/// The approximate eigenvectors within the span of orthonormal columns (Rayleigh and Ritz), whose products with the
/// matrix are `image`: the columns turned, the eigenvalues, largest first, and the products turned.
fn best_within(
    block: &[f64],
    image: &[f64],
    width: usize,
) -> Option<(Vec<f64>, Vec<f64>, Vec<f64>)> {
    let mut projected = vec![0.0; width * width];
    let left = Matrix::new(block, width);
    multiply(&mut projected, left.transposed(), Matrix::new(image, width), false);
    for row in 0..width {
        for column in 0..row {
            let (here, there) = (row * width + column, column * width + row);
            let mean = f64::midpoint(projected[here], projected[there]);
            (projected[here], projected[there]) = (mean, mean);
        }
    }
    let (values, vectors) = eigen(&projected, width)?;
    let turned = |block: &[f64]| {
        let mut turned = vec![0.0; block.len()];
        let parts = turned.par_chunks_mut(ROWS * width).zip(block.par_chunks(ROWS * width));
        parts.for_each(|(out, rows)| {
            multiply(
                out,
                Matrix::new(rows, width),
                Matrix::new(&vectors, width).transposed(),
                false,
            );
        });
        turned
    };
    Some((turned(block), values, turned(image)))
}

/// The length of the residual of each approximate eigenvector.
fn residuals(block: &[f64], image: &[f64], values: &[f64]) -> impl Iterator<Item = f64> {
    let width = values.len();
    let mut squares = vec![0.0; width];
    for (own, image) in block.chunks_exact(width).zip(image.chunks_exact(width)) {
        for ((square, value), (own, image)) in
            squares.iter_mut().zip(values).zip(own.iter().zip(image))
        {
            *square += (image - value * own).powi(2);
        }
    }
    squares.into_iter().map(f64::sqrt)
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
        let (block, width, exact) = graph.filtered(4, 16, &mut random, &|| false).expect("vectors");
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
