//! The fuzzy neighbour graph of UMAP (McInnes, Healy & Melville 2018).
//!
//! Point i is joined to its neighbour j by p(j|i) = exp(−max(0, d(i, j) − ρ_i) / σ_i), where ρ_i
//! is the distance to the nearest point that does not coincide with it, and σ_i is such that Σ_j
//! p(j|i) = log₂ k. Source: `smooth_knn_dist` and `fuzzy_simplicial_set` of umap-learn 0.5.12.

/// The parameters ρ and σ of each point.
#[derive(Clone, Debug)]
pub struct Bandwidths {
    /// The distance to the nearest point that does not coincide; 0 if all neighbours do.
    pub rho: Vec<f64>,
    /// The distance over which a weight falls to 1/e.
    pub sigma: Vec<f64>,
}

impl Bandwidths {
    /// Computes them from `each` distances a point, to itself first and then to its neighbours.
    pub fn new(distances: &[f64], each: usize) -> Self {
        const MIN_SCALE: f64 = 1e-3;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let overall = mean(distances);
        let (mut rho, mut sigma) = (Vec::new(), Vec::new());
        for own in distances.chunks_exact(each) {
            let nearest = own.iter().copied().find(|&distance| distance > 0.0).unwrap_or(0.0);
            // A bandwidth of zero would separate a point from all but its nearest neighbours.
            let scale = if nearest > 0.0 { mean(own) } else { overall };
            rho.push(nearest);
            let target = (each as f64).log2();
            sigma.push(bandwidth(&own[1..], nearest, target, scale).max(MIN_SCALE * scale));
        }
        Self { rho, sigma }
    }
}

/// The σ for which the weights of points at these distances sum to `target`, by bisection from a
/// guess.
fn bandwidth(distances: &[f64], rho: f64, target: f64, guess: f64) -> f64 {
    const STEPS: usize = 64;
    const ENOUGH: f64 = 1e-5;
    let (mut low, mut high, mut sigma) = (0.0, f64::INFINITY, guess);
    for _ in 0..STEPS {
        let bond = |distance: &f64| (-(distance - rho).max(0.0) / sigma).exp();
        let sum: f64 = distances.iter().map(bond).sum();
        if (sum - target).abs() < ENOUGH {
            break;
        }
        if sum > target {
            high = sigma
        } else {
            low = sigma
        }
        sigma = if high.is_infinite() { sigma * 2.0 } else { (low + high) / 2.0 };
    }
    sigma
}

/// A weighted symmetric graph: the edges of point i are at `starts[i]..starts[i + 1]`.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The index of the first edge of each point, and the end of the last.
    pub starts: Vec<usize>,
    /// The other end of each edge, increasing within a point.
    pub ends: Vec<u32>,
    /// The weight of each edge, above 0 and at most 1.
    pub weights: Vec<f64>,
}

impl Graph {
    /// Combines the weights p and q of both directions: mix · (p + q − p q) + (1 − mix) · p q.
    pub fn new(indices: &[u32], distances: &[f64], widths: &Bandwidths, mix: f64) -> Self {
        let n = widths.rho.len();
        let each = indices.len() / n.max(1);
        let mut bonds = Vec::with_capacity(2 * indices.len());
        for (from, (ends, distances)) in
            indices.chunks_exact(each).zip(distances.chunks_exact(each)).enumerate()
        {
            let (rho, sigma) = (widths.rho[from], widths.sigma[from]);
            for (&to, distance) in ends.iter().zip(distances).skip(1) {
                let beyond = distance - rho;
                let bond =
                    if beyond <= 0.0 || sigma == 0.0 { 1.0 } else { (-beyond / sigma).exp() };
                bonds.push((from as u32, to, bond, 0.0));
                bonds.push((to, from as u32, 0.0, bond));
            }
        }
        bonds.sort_unstable_by_key(|bond| (bond.0, bond.1));
        let edges = bonds.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).map(|pair| {
            let out: f64 = pair.iter().map(|bond| bond.2).sum();
            let back: f64 = pair.iter().map(|bond| bond.3).sum();
            (pair[0].0, pair[0].1, mix * (out + back - out * back) + (1.0 - mix) * out * back)
        });
        Self::of(n, edges)
    }

    /// A graph of `n` points with edges sorted by both their ends, each given in both directions;
    /// edges of weight 0 are left out.
    pub fn of(n: usize, edges: impl Iterator<Item = (u32, u32, f64)>) -> Self {
        let mut graph = Self { starts: vec![0], ends: Vec::new(), weights: Vec::new() };
        for (from, to, weight) in edges.filter(|edge| edge.2 > 0.0) {
            graph.starts.resize(from as usize + 1, graph.ends.len());
            graph.ends.push(to);
            graph.weights.push(weight);
        }
        graph.starts.resize(n + 1, graph.ends.len());
        graph
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// True if there is no point.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The edges of a point.
    pub fn edges(&self, point: usize) -> impl Iterator<Item = (usize, f64)> {
        let own = self.starts[point]..self.starts[point + 1];
        let ends = self.ends[own.clone()].iter().map(|&end| end as usize);
        ends.zip(self.weights[own].iter().copied())
    }

    /// The number of connected components.
    pub fn components(&self) -> usize {
        let mut seen = vec![false; self.len()];
        let mut parts = 0;
        for start in 0..self.len() {
            if seen[start] {
                continue;
            }
            parts += 1;
            seen[start] = true;
            let mut open = vec![start];
            while let Some(point) = open.pop() {
                for (end, _) in self.edges(point) {
                    if !std::mem::replace(&mut seen[end], true) {
                        open.push(end);
                    }
                }
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_three_points_hangs_together() {
        let widths = Bandwidths::new(&[0.0, 1.0, 0.0, 1.0, 0.0, 2.0], 2);
        assert_eq!(widths.rho, [1.0, 1.0, 2.0]);
        let graph = Graph::new(&[0, 1, 1, 0, 2, 1], &[0.0, 1.0, 0.0, 1.0, 0.0, 2.0], &widths, 1.0);
        assert_eq!(graph.starts, [0, 1, 3, 4]);
        assert_eq!(graph.ends, [1, 0, 2, 1]);
        assert_eq!(graph.weights, [1.0; 4]);
        assert_eq!(graph.components(), 1);
    }
}
