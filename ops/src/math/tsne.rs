//! t-SNE (van der Maaten & Hinton 2008): a layout whose similarities are close to those of the
//! points.
//!
//! The similarity of the points is p(j|i) ∝ exp(−β_i d²), with β_i such that the entropy of p(·|i)
//! is the logarithm of the perplexity, and P = (p(j|i) + p(i|j)) / 2n; that of the layout is Q ∝ 1
//! / (1 + d²). Gradient descent with momentum and gains reduces the divergence Σ P ln(P / Q). P is
//! computed for near neighbours only, as in the Barnes–Hut variants. The repulsion between all
//! pairs is summed exactly, sixteen points at a time, so that the bytes of a layout do not depend
//! on the number of threads. Source: `sklearn.manifold.TSNE`.

use super::{fuzzy::Graph, neighbors::Neighbors};
use rayon::prelude::*;

/// The number of repelling points processed at once.
const LANES: usize = 16;
/// The number of points in a task of a thread.
const AT_ONCE: usize = 32;
/// The number of iterations with exaggerated attraction and low momentum.
const EARLY: u32 = 250;

/// The parameters of the optimisation.
#[derive(Clone, Copy, Debug)]
pub struct Descent {
    /// The number of steps of gradient descent.
    pub iterations: u32,
    /// The factor on the attraction at the start.
    pub early_exaggeration: f64,
    /// The step size.
    pub learning_rate: f64,
}

/// The joint similarity P of points and their neighbours, in both directions and with sum 1.
pub fn closeness(near: &Neighbors, perplexity: f64) -> Graph {
    let rows: Vec<Vec<f64>> = near
        .squares
        .par_chunks_exact(near.each)
        .map(|squares| conditional(&squares[1..], perplexity.ln()))
        .collect();
    let n = rows.len() as f64;
    let mut bonds = Vec::with_capacity(2 * near.indices.len());
    for (from, ((ends, _), row)) in near.rows().zip(&rows).enumerate() {
        for (&to, &p) in ends[1..].iter().zip(row).filter(|(_, p)| **p > 0.0) {
            bonds.push((from as u32, to, p / (2.0 * n)));
            bonds.push((to, from as u32, p / (2.0 * n)));
        }
    }
    // Both halves of an edge are equal, or one of them is missing, so their order does not matter.
    bonds.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)));
    let edges = bonds.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1));
    Graph::of(
        rows.len(),
        edges.map(|pair| (pair[0].0, pair[0].1, pair.iter().map(|bond| bond.2).sum())),
    )
}

/// The similarities p(j|i) of neighbours at these squared distances, with the given entropy in nats
/// or the closest possible one.
fn conditional(squares: &[f64], entropy: f64) -> Vec<f64> {
    const STEPS: usize = 100;
    const ENOUGH: f64 = 1e-5;
    // Only differences matter, and the scale is that of the data.
    let least = squares.iter().copied().fold(f64::INFINITY, f64::min);
    let mean = squares.iter().map(|square| square - least).sum::<f64>() / squares.len() as f64;
    let scale = if mean > 0.0 { mean } else { 1.0 };
    let (mut low, mut high, mut beta) = (0.0, f64::INFINITY, 1.0);
    let mut p = Vec::new();
    for _ in 0..STEPS {
        p = squares.iter().map(|square| (-beta * (square - least) / scale).exp()).collect();
        let sum: f64 = p.iter().sum();
        p.iter_mut().for_each(|p| *p /= sum);
        let found: f64 = p.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
        if (found - entropy).abs() < ENOUGH {
            break;
        }
        if found > entropy {
            low = beta
        } else {
            high = beta
        }
        beta = if high.is_infinite() { beta * 2.0 } else { (low + high) / 2.0 };
    }
    p
}

/// Moves points from their initial positions, `DIMS` coordinates each, and returns the final
/// divergence Σ P ln(P / Q). `tick` is called after each iteration with the number of finished
/// ones. `None` if it returns false.
pub fn descend<const DIMS: usize>(
    graph: &Graph,
    positions: &mut [[f32; DIMS]],
    how: &Descent,
    tick: &mut dyn FnMut(u32) -> bool,
) -> Option<f64> {
    let n = positions.len();
    let mut layout = Layout::new(positions);
    let mut repulsions = vec![Repulsion { force: [0.0; DIMS], sum: 0.0 }; n];
    let (mut speeds, mut gains) = (vec![[0.0_f32; DIMS]; n], vec![[1.0_f32; DIMS]; n]);
    for iteration in 0..how.iterations {
        let early = iteration < EARLY;
        let exaggeration = if early { how.early_exaggeration } else { 1.0 };
        let momentum = if early { 0.5 } else { 0.8 };
        let total = layout.repulsion(&mut repulsions);
        let moves = speeds.par_iter_mut().zip(&mut gains).zip(&repulsions).enumerate();
        moves.with_min_len(AT_ONCE).for_each(|(point, ((speed, gain), repulsion))| {
            let attraction = attraction(graph, positions, point);
            for dim in 0..DIMS {
                let repulsion = f64::from(repulsion.force[dim]) / total;
                let slope = (4.0 * (exaggeration * attraction[dim] - repulsion)) as f32;
                let turned = slope * speed[dim] < 0.0;
                gain[dim] = if turned { gain[dim] + 0.2 } else { gain[dim] * 0.8 }.max(0.01);
                let rate = how.learning_rate as f32;
                speed[dim] = momentum * speed[dim] - rate * gain[dim] * slope;
            }
        });
        for (position, speed) in positions.iter_mut().zip(&speeds) {
            position.iter_mut().zip(speed).for_each(|(x, step)| *x += step);
        }
        layout = Layout::new(positions);
        if !tick(iteration + 1) {
            return None;
        }
    }
    let total = layout.repulsion(&mut repulsions);
    let divergence = |point: usize| {
        let term =
            |(end, p): (usize, f64)| p * (p * total / closeness_of(positions, point, end)).ln();
        graph.edges(point).map(term).sum::<f64>()
    };
    Some((0..n).map(divergence).sum())
}

/// The unnormalised similarity 1 / (1 + d²) of two points of the layout.
fn closeness_of<const DIMS: usize>(positions: &[[f32; DIMS]], a: usize, b: usize) -> f64 {
    let apart = positions[a].iter().zip(&positions[b]).map(|(a, b)| f64::from(a - b));
    1.0 / (1.0 + apart.map(|x| x * x).sum::<f64>())
}

/// The attraction of one point: Σ_j P_ij (y_i − y_j) / (1 + d²).
fn attraction<const DIMS: usize>(
    graph: &Graph,
    positions: &[[f32; DIMS]],
    point: usize,
) -> [f64; DIMS] {
    let mut sums = [0.0; DIMS];
    for (end, p) in graph.edges(point) {
        let weight = p * closeness_of(positions, point, end);
        for dim in 0..DIMS {
            sums[dim] += weight * f64::from(positions[point][dim] - positions[end][dim]);
        }
    }
    sums
}

/// The repulsion of one point: Σ_j (y_i − y_j) / (1 + d²)², and Σ_j 1 / (1 + d²) without itself.
#[derive(Clone, Copy)]
struct Repulsion<const DIMS: usize> {
    force: [f32; DIMS],
    sum: f64,
}

/// Coordinates in separate arrays, padded with points so far away that they repel nothing.
struct Layout<const DIMS: usize> {
    columns: [Vec<f32>; DIMS],
}

impl<const DIMS: usize> Layout<DIMS> {
    const NOWHERE: f32 = 1e18;

    fn new(positions: &[[f32; DIMS]]) -> Self {
        let filled = positions.len().next_multiple_of(LANES);
        let columns = std::array::from_fn(|dim| {
            let mut column: Vec<f32> = positions.iter().map(|position| position[dim]).collect();
            column.resize(filled, Self::NOWHERE);
            column
        });
        Self { columns }
    }

    /// Computes the repulsion of all points and returns the sum of all similarities.
    fn repulsion(&self, repulsions: &mut [Repulsion<DIMS>]) -> f64 {
        repulsions.par_chunks_mut(AT_ONCE).enumerate().for_each(|(part, repulsions)| {
            self.repulsion_from(part * AT_ONCE, repulsions);
        });
        repulsions.iter().map(|repulsion| repulsion.sum).sum()
    }

    fn repulsion_from(&self, first: usize, repulsions: &mut [Repulsion<DIMS>]) {
        dispatch!(repulsion_avx512, repulsion_avx2, repulsion_plain, (self, first, repulsions));
    }
}

versions!(repulsion_body, repulsion_avx512, repulsion_avx2, repulsion_plain, [const DIMS: usize],
    (layout: &Layout<DIMS>, first: usize, repulsions: &mut [Repulsion<DIMS>]));

#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "a block is taken of each column")]
fn repulsion_body<const DIMS: usize>(
    layout: &Layout<DIMS>,
    first: usize,
    repulsions: &mut [Repulsion<DIMS>],
) {
    let lanes: [&[[f32; LANES]]; DIMS] =
        std::array::from_fn(|dim| layout.columns[dim].as_chunks::<LANES>().0);
    for (at, repulsion) in repulsions.iter_mut().enumerate() {
        let own: [f32; DIMS] = std::array::from_fn(|dim| layout.columns[dim][first + at]);
        let mut forces = [[0.0_f32; LANES]; DIMS];
        let mut sums = [0.0_f32; LANES];
        for block in 0..lanes[0].len() {
            let others: [&[f32; LANES]; DIMS] = std::array::from_fn(|dim| &lanes[dim][block]);
            for lane in 0..LANES {
                let mut square = 1.0;
                for dim in 0..DIMS {
                    let apart = own[dim] - others[dim][lane];
                    square += apart * apart;
                }
                let close = 1.0 / square;
                sums[lane] += close;
                for dim in 0..DIMS {
                    forces[dim][lane] += close * close * (own[dim] - others[dim][lane]);
                }
            }
        }
        repulsion.force = forces.map(|lanes| lanes.iter().sum());
        // The sum includes the point itself, at distance 0.
        repulsion.sum = sums.iter().map(|&sum| f64::from(sum)).sum::<f64>() - 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_perplexity_is_met() {
        let squares: Vec<f64> = (1..90).map(|at| f64::from(at) * 1e6).collect();
        let p = conditional(&squares, 30_f64.ln());
        let entropy: f64 = p.iter().map(|p| -p * p.ln()).sum();
        assert!((entropy - 30_f64.ln()).abs() < 1e-4, "{entropy}");
        assert!(conditional(&[0.0; 5], 2.0).iter().all(|p| (p - 0.2).abs() < 1e-12));
    }

    #[test]
    fn two_pairs_part() {
        let near = Neighbors::new(&[0.0, 0.1, 5.0, 5.1], 1, 4, &|| false).expect("not cancelled");
        let graph = closeness(&near, 1.2);
        let total: f64 = (0..4).flat_map(|point| graph.edges(point)).map(|edge| edge.1).sum();
        assert!((total - 1.0).abs() < 1e-12);
        let mut positions = [[0.01_f32, 0.0], [0.0, 0.01], [-0.01, 0.0], [0.0, -0.01]];
        let how = Descent { iterations: 400, early_exaggeration: 4.0, learning_rate: 1.0 };
        let divergence = descend(&graph, &mut positions, &how, &mut |_| true).expect("finished");
        let apart = |a: usize, b: usize| 1.0 / closeness_of(&positions, a, b) - 1.0;
        assert!(divergence.is_finite() && apart(0, 1) < apart(0, 2) && apart(2, 3) < apart(1, 3));
    }
}
