//! Hierarchical density-based clustering (HDBSCAN*): the tree of clusters at all densities, and the
//! most stable of them.
//!
//! Source: Campello, Moulavi and Sander 2013; McInnes and Healy 2017; `sklearn.cluster.HDBSCAN`
//! (1.9) with excess of mass and without a single cluster.

use super::{
    kmeans::Cancelled,
    pairwise::{LANES, Packed},
};
use rayon::prelude::*;

/// The number of points from which a search uses all threads.
const MANY: usize = 8192;

/// An edge of a spanning tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// One point.
    pub from: usize,
    /// The other point.
    pub to: usize,
    /// The mutual reachability of both.
    pub distance: f64,
}

/// The points that are not in a growing tree yet, in their order, and a few that have come into it since.
struct Open {
    points: Packed<f32>,
    indices: Vec<usize>,
    /// The least mutual reachability from each point to one of the tree, and which one that is.
    nearest: Vec<f64>,
    sources: Vec<usize>,
    in_tree: Vec<bool>,
    gone: usize,
}

impl Open {
    /// Inserts a point into the tree. Once an eighth of the points is in it, they are skipped.
    fn insert(&mut self, place: usize, x: &[f32], n_features: usize) {
        self.in_tree[place] = true;
        self.gone += 1;
        if 8 * self.gone <= self.indices.len() {
            return;
        }
        let in_tree = std::mem::take(&mut self.in_tree);
        remove_taken(&mut self.indices, &in_tree);
        remove_taken(&mut self.nearest, &in_tree);
        remove_taken(&mut self.sources, &in_tree);
        let row = |index: &usize| &x[index * n_features..][..n_features];
        self.points = Packed::new(self.indices.iter().map(row), n_features);
        self.in_tree = vec![false; self.indices.len()];
        self.gone = 0;
    }
}

/// Removes what is in the tree.
fn remove_taken<T>(values: &mut Vec<T>, in_tree: &[bool]) {
    let mut in_tree = in_tree.iter();
    values.retain(|_| in_tree.next() == Some(&false));
}

/// The places from the first one on, with their squared distances, reaches and sources.
type Chunk<'a> = ((&'a mut [f64], &'a mut [f64]), &'a mut [usize]);

/// The minimum spanning tree of points by their mutual reachability max(c_i, c_j, d_ij), by Prim's
/// algorithm from the first point on; edges are sorted by distance. `core` holds the c. `None` if
/// `cancelled` returns true.
pub fn spanning_tree(
    x: &[f32],
    n_features: usize,
    core: &[f64],
    cancelled: Cancelled<'_>,
) -> Option<Vec<Edge>> {
    let n = core.len();
    let mut open = Open {
        points: Packed::new(x.chunks_exact(n_features), n_features),
        indices: (0..n).collect(),
        nearest: vec![f64::INFINITY; n],
        sources: vec![0; n],
        in_tree: vec![false; n],
        gone: 0,
    };
    let mut squares = vec![0.0; open.points.groups() * LANES];
    let mut edges = Vec::with_capacity(n.saturating_sub(1));
    let mut place = 0;
    for step in 1..n {
        if step % 64 == 0 && cancelled() {
            return None;
        }
        let current = open.indices[place];
        open.insert(place, x, n_features);
        let row: Vec<f64> =
            x[current * n_features..][..n_features].iter().map(|value| f64::from(*value)).collect();
        let Open { points, indices, nearest, sources, in_tree, .. } = &mut open;
        // Of equally near points the first counts, so a search by chunks finds the same one.
        let search = |chunk: usize, (at, ((squares, nearest), sources)): (usize, Chunk<'_>)| {
            let first = at * chunk;
            points.squares([&row], first / LANES, squares);
            let mut best = (f64::INFINITY, usize::MAX);
            for (place, (nearest, source)) in (first..).zip(nearest.iter_mut().zip(sources)) {
                if in_tree[place] {
                    continue;
                }
                let distance = squares[place - first].sqrt();
                let reach = distance.max(core[current]).max(core[indices[place]]);
                if reach < *nearest {
                    (*nearest, *source) = (reach, current);
                }
                if *nearest < best.0 {
                    best = (*nearest, place);
                }
            }
            best
        };
        let least = |a: (f64, usize), b: (f64, usize)| if b.0 < a.0 { b } else { a };
        let squares = &mut squares[..points.groups() * LANES];
        let (distance, found) = if points.len() >= MANY {
            let chunk = (MANY / 4).next_multiple_of(LANES);
            let chunks = squares.par_chunks_mut(chunk).zip(nearest.par_chunks_mut(chunk));
            let chunks = chunks.zip(sources.par_chunks_mut(chunk)).enumerate();
            let found: Vec<_> = chunks.map(|part| search(chunk, part)).collect();
            found.into_iter().fold((f64::INFINITY, usize::MAX), least)
        } else {
            search(0, (0, ((squares, nearest), sources)))
        };
        // Distances that overflow reach no point; any of those left will do.
        let is_open = |is_in: &bool| !is_in;
        place = if found < points.len() { found } else { in_tree.iter().position(is_open)? };
        edges.push(Edge { from: sources[place], to: indices[place], distance });
    }
    edges.sort_by(|a, b| a.distance.total_cmp(&b.distance));
    Some(edges)
}

/// A cluster of the condensed tree.
struct Cluster {
    parent: usize,
    birth: f64,
    stability: f64,
    children: Vec<usize>,
}

/// The most stable clusters of at least `least` points in a spanning tree with sorted edges: the
/// cluster of each of `n` points, or `None` for noise.
///
/// λ = 1 / distance grows with density. A split into two sides of at least `least` points makes two
/// clusters; smaller sides fall out of theirs. The stability of a cluster is Σ (λ of leaving − λ of
/// birth) over its points; a cluster is taken if it is at least as stable as those below it
/// together.
pub fn stable_clusters(edges: &[Edge], n: usize, least: usize) -> Vec<Option<usize>> {
    let tree = single_linkage(edges, n);
    if tree.is_empty() {
        return vec![None; n];
    }
    let size = |node: usize| if node < n { 1 } else { tree[node - n].2 };
    let mut clusters =
        vec![Cluster { parent: 0, birth: 0.0, stability: 0.0, children: Vec::new() }];
    let mut of = vec![0; n];
    // Nodes with the cluster to which they belong, from the root down.
    let mut open = vec![(2 * n - 2, 0)];
    while let Some((node, cluster)) = open.pop() {
        if node < n {
            continue;
        }
        let (left, right, _, distance) = tree[node - n];
        let lambda = if distance > 0.0 { 1.0 / distance } else { f64::INFINITY };
        let sides = [left, right];
        if sides.iter().all(|side| size(*side) >= least) {
            for side in sides {
                clusters[cluster].stability += stability(lambda, &clusters[cluster], size(side));
                let own = clusters.len();
                clusters[cluster].children.push(own);
                let (birth, children) = (lambda, Vec::new());
                clusters.push(Cluster { parent: cluster, birth, stability: 0.0, children });
                open.push((side, own));
            }
            continue;
        }
        for side in sides {
            if size(side) >= least {
                open.push((side, cluster));
                continue;
            }
            clusters[cluster].stability += stability(lambda, &clusters[cluster], size(side));
            let mut inside = vec![side];
            while let Some(node) = inside.pop() {
                match node < n {
                    true => of[node] = cluster,
                    false => inside.extend([tree[node - n].0, tree[node - n].1]),
                }
            }
        }
    }
    let mut is_taken = vec![true; clusters.len()];
    // A single cluster of everything is none.
    is_taken[0] = false;
    for at in (1..clusters.len()).rev() {
        let below: f64 = clusters[at].children.iter().map(|child| clusters[*child].stability).sum();
        if below > clusters[at].stability {
            is_taken[at] = false;
            clusters[at].stability = below;
        }
    }
    // Of nested clusters the outermost is taken; parents come before children.
    let mut outermost: Vec<Option<usize>> = vec![None; clusters.len()];
    for at in 1..clusters.len() {
        outermost[at] = outermost[clusters[at].parent].or(is_taken[at].then_some(at));
    }
    of.into_iter().map(|cluster| outermost[cluster]).collect()
}

/// The stability from points that leave a cluster at a density.
fn stability(lambda: f64, cluster: &Cluster, points: usize) -> f64 {
    // Equal points are infinitely dense from their birth on.
    if lambda == cluster.birth { 0.0 } else { (lambda - cluster.birth) * points as f64 }
}

/// The merges of a spanning tree: both nodes, the size and the distance. Points are the nodes
/// 0..n, and merge m makes node n + m.
fn single_linkage(edges: &[Edge], n: usize) -> Vec<(usize, usize, usize, f64)> {
    let mut parents: Vec<usize> = (0..2 * n.max(1) - 1).collect();
    let mut sizes = vec![1; parents.len()];
    let find = |parents: &mut Vec<usize>, mut node: usize| {
        while parents[node] != node {
            parents[node] = parents[parents[node]];
            node = parents[node];
        }
        node
    };
    let mut tree = Vec::with_capacity(edges.len());
    for (edge, made) in edges.iter().zip(n..) {
        let (left, right) = (find(&mut parents, edge.from), find(&mut parents, edge.to));
        (parents[left], parents[right]) = (made, made);
        sizes[made] = sizes[left] + sizes[right];
        tree.push((left, right, sizes[made], edge.distance));
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_dense_groups_and_a_point_far_from_both() {
        let x: Vec<f32> = vec![0.0, 0.1, 0.2, 0.3, 90.0, 9.0, 9.1, 9.2, 9.3];
        let tree = spanning_tree(&x, 1, &[0.1; 9], &|| false).expect("a tree");
        assert_eq!(tree.len(), 8);
        assert!(tree.windows(2).all(|pair| pair[0].distance <= pair[1].distance));
        let found = stable_clusters(&tree, 9, 3);
        assert_eq!(found[4], None);
        assert!(found[0].is_some() && found[5].is_some() && found[0] != found[5]);
        assert!(found[..4].iter().all(|it| *it == found[0]));
        assert_eq!(stable_clusters(&[], 1, 2), [None]);
    }
}
