//! The spectral layout of a graph: its smoothest coordinates that are not constant.
//!
//! With W the weights and D their sums at each point, these are the eigenvectors of D^(−1/2) W
//! D^(−1/2) for the largest eigenvalues below 1. They are found by Lanczos iteration with full
//! reorthogonalisation against all earlier vectors, the trivial one D^(1/2) 1 first. All sums have
//! a fixed order, so the bytes do not depend on the number of threads.

use super::{
    fuzzy::Graph,
    orthogonal::flip_signs,
    random::{Purpose, Random},
    symmetric::eigen,
};
use rayon::prelude::*;

/// The number of Lanczos vectors after which the iteration ends even if it has not converged, since
/// an initial layout need not be exact.
const MAX_VECTORS: usize = 256;
/// The number of vectors between two computations of the eigenvalues.
const LOOK: usize = 32;
/// The length below which a vector consists of rounding errors only.
const NOTHING: f64 = 1e-10;
/// The residual at which an eigenvector is accepted, as in umap-learn.
const ENOUGH: f64 = 1e-4;

/// Computes `count` coordinates a point, row-major, each of unit length over all points. `None` if
/// the graph has too few points or is not connected.
pub fn layout(graph: &Graph, count: usize, seed: u64) -> Option<Vec<f64>> {
    let n = graph.len();
    if n < 2 * count + 2 || graph.components() != 1 {
        return None;
    }
    let degree = |point: usize| graph.edges(point).map(|(_, weight)| weight).sum::<f64>();
    let roots: Vec<f64> = (0..n).map(|point| degree(point).sqrt()).collect();
    let mut random = Random::new(seed, Purpose::Layout, 0);
    let mut next: Vec<f64> = (0..n).map(|_| random.between(-1.0, 1.0)).collect();
    let mut basis = vec![normalized(roots.clone())?];
    let (mut diagonal, mut beside): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    let last = MAX_VECTORS.min(n - 1);
    let vectors = loop {
        let m = diagonal.len();
        let mut length = orthogonalize(&mut next, &basis);
        if length < NOTHING {
            // The Krylov space is exhausted, as with a double eigenvalue; a new random start
            // continues it.
            next.fill_with(|| random.between(-1.0, 1.0));
            orthogonalize(&mut next, &basis);
            length = 0.0;
        }
        if m == last || (m >= LOOK.max(2 * count) && m % LOOK == 0) {
            let (_, vectors) = eigen(&tridiagonal(&diagonal, &beside), m)?;
            let settled = |k: usize| (length * vectors[k * m + m - 1]).abs() < ENOUGH;
            if m == last || (0..count).all(settled) {
                break vectors;
            }
        }
        if m > 0 {
            beside.push(length);
        }
        basis.push(normalized(std::mem::take(&mut next))?);
        let newest = basis.last().expect("a vector was just added");
        next = (0..n)
            .into_par_iter()
            .with_min_len(512)
            .map(|point| {
                let term = |(end, weight): (usize, f64)| weight * newest[end] / roots[end];
                graph.edges(point).map(term).sum::<f64>() / roots[point]
            })
            .collect();
        diagonal.push(dot(&next, newest));
    };
    let m = diagonal.len();
    if m < count {
        return None;
    }
    let mut columns = vec![0.0; count * n];
    for (k, column) in columns.chunks_exact_mut(n).enumerate() {
        for (weight, vector) in vectors[k * m..][..m].iter().zip(&basis[1..]) {
            column.iter_mut().zip(vector).for_each(|(sum, x)| *sum += weight * x);
        }
    }
    flip_signs(&mut columns, n);
    Some((0..n * count).map(|at| columns[at % count * n + at / count]).collect())
}

/// Removes the components of a vector along others, and returns the length of the rest.
fn orthogonalize(vector: &mut [f64], basis: &[Vec<f64>]) -> f64 {
    // Two passes are enough: the rounding errors of the first are removed by the second.
    for _ in 0..2 {
        for before in basis {
            let along = dot(vector, before);
            vector.par_iter_mut().zip(before).with_min_len(4096).for_each(|(x, b)| *x -= along * b);
        }
    }
    dot(vector, vector).sqrt()
}

fn tridiagonal(diagonal: &[f64], beside: &[f64]) -> Vec<f64> {
    let m = diagonal.len();
    let mut matrix = vec![0.0; m * m];
    for at in 0..m {
        matrix[at * m + at] = diagonal[at];
        if at + 1 < m {
            matrix[at * m + at + 1] = beside[at];
            matrix[(at + 1) * m + at] = beside[at];
        }
    }
    matrix
}

fn normalized(mut vector: Vec<f64>) -> Option<Vec<f64>> {
    let length = dot(&vector, &vector).sqrt();
    vector.iter_mut().for_each(|x| *x /= length);
    (length.is_finite() && length > 0.0).then_some(vector)
}

/// The inner product, summed in eight lanes that are added in order.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut lanes = [0.0; 8];
    for (a, b) in a.0.iter().zip(b.0) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    let rest = a.1.iter().zip(b.1).map(|(a, b)| a * b);
    lanes.into_iter().chain(rest).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_becomes_a_circle() {
        let n = 40_u32;
        let graph = Graph {
            starts: (0..=n as usize).map(|point| 2 * point).collect(),
            ends: (0..n).flat_map(|i| [(i + n - 1) % n, (i + 1) % n]).collect(),
            weights: vec![1.0; 2 * n as usize],
        };
        let layout = layout(&graph, 2, 3).unwrap();
        let radius = (2.0 / f64::from(n)).sqrt();
        for point in layout.chunks_exact(2) {
            assert!((point[0].hypot(point[1]) - radius).abs() < 1e-3, "{point:?}");
        }
    }
}
