//! The layout of UMAP: points joined by an edge of the graph attract each other, random pairs
//! repel.
//!
//! The similarity of two points at distance d in the layout is q = 1 / (1 + a d^(2b)). An edge
//! of weight w acts in the fraction w / max(w) of all epochs. Its ends then move towards each other
//! along the gradient of log q, and away from a few random points along that of log(1 − q), each
//! coordinate by at most 4 times the learning rate, which falls to 0. Source:
//! `optimize_layout_euclidean` of umap-learn 0.5.12, with sequential edges replaced by blocks of
//! points.
//!
//! The layout does not depend on the number of threads. In each epoch all points are first
//! repelled by random points, drawn from counters, at their positions before the epoch; this is
//! computed on all threads. Then each edge moves both its ends, in an order in which neighbouring
//! edges have no end in common, so that eight of them are computed at once. Both ends must move by
//! the same amount: if each moves separately, trustworthiness falls by half a percentage point.

use super::{
    fuzzy::Graph,
    random::{LANES, Purpose, philox_lanes},
};
use rayon::prelude::*;

/// The number of points in a task of a thread.
const AT_ONCE: usize = 128;
/// The largest step of a coordinate, in learning rates.
const CLIP: f32 = 4.0;

/// The parameters of the optimisation.
#[derive(Clone, Copy, Debug)]
pub struct Descent {
    /// The parameters a and b of the similarity curve.
    pub curve: [f64; 2],
    /// The number of passes over the edges.
    pub epochs: u32,
    /// The number of random points that repel for each edge.
    pub negatives: u32,
    /// The step size at the start.
    pub learning_rate: f64,
    /// The seed of the random points.
    pub seed: u64,
}

/// The parameters a and b for which 1 / (1 + a x^(2b)) fits best, over 300 steps up to 3 ·
/// `spread`, the curve that is 1 up to `min_dist` and then exp(−(x − min_dist) / spread). Source:
/// `find_ab_params`.
pub fn find_ab_params(spread: f64, min_dist: f64) -> [f64; 2] {
    const STEPS: usize = 300;
    let points: Vec<(f64, f64)> = (1..STEPS)
        .map(|step| {
            // In units of the spread, so that the fit is equally well conditioned for any spread.
            let x = 3.0 * step as f64 / (STEPS - 1) as f64;
            (x.ln(), (-(x - min_dist / spread).max(0.0)).exp())
        })
        .collect();
    // Levenberg–Marquardt in ln a and b.
    let residuals = |[ln_a, b]: [f64; 2]| {
        points.iter().map(move |&(ln_x, y)| {
            let grown = (ln_a + 2.0 * b * ln_x).exp();
            let q = 1.0 / (1.0 + grown);
            let slope = if grown.is_finite() { -q * q * grown } else { 0.0 };
            (q - y, [slope, slope * 2.0 * ln_x])
        })
    };
    let cost = |at| residuals(at).map(|(r, _)| r * r).sum::<f64>();
    let (mut at, mut damping) = ([0.0, 1.0], 1e-3);
    let mut least = cost(at);
    for _ in 0..200 {
        let (mut h, mut g) = ([0.0; 3], [0.0; 2]);
        for (r, [da, db]) in residuals(at) {
            h = [h[0] + da * da, h[1] + da * db, h[2] + db * db];
            g = [g[0] + da * r, g[1] + db * r];
        }
        let (h0, h2) = (h[0] * (1.0 + damping), h[2] * (1.0 + damping));
        let determinant = h0 * h2 - h[1] * h[1];
        let step = [h2 * g[0] - h[1] * g[1], h0 * g[1] - h[1] * g[0]].map(|s| s / determinant);
        let next = [at[0] - step[0], at[1] - step[1]];
        let found = cost(next);
        if found < least {
            (at, least, damping) = (next, found, damping / 10.0);
        } else {
            damping *= 10.0;
        }
        if damping > 1e12 {
            break;
        }
    }
    // a x^(2b) with x in units of the spread.
    [(at[0] - 2.0 * at[1] * spread.ln()).exp(), at[1]]
}

/// Moves the points, with `DIMS` coordinates each; `positions` has one entry for each point of the
/// graph. `tick` is called after each epoch with the number of finished epochs; if it returns
/// false, the optimisation stops and returns false.
pub fn descend<const DIMS: usize>(
    graph: &Graph,
    positions: &mut [[f32; DIMS]],
    how: &Descent,
    tick: &mut dyn FnMut(u32) -> bool,
) -> bool {
    let forces = Forces::new(graph, how);
    let mut repulsions = vec![[0.0; DIMS]; positions.len()];
    for epoch in 1..how.epochs {
        let rate = (how.learning_rate * (1.0 - f64::from(epoch) / f64::from(how.epochs))) as f32;
        repulsions.par_chunks_mut(AT_ONCE).enumerate().for_each(|(part, repulsions)| {
            forces.repulsion(positions, part * AT_ONCE, epoch, repulsions);
        });
        for (position, repulsion) in positions.iter_mut().zip(&repulsions) {
            position.iter_mut().zip(repulsion).for_each(|(x, repulsion)| *x += rate * repulsion);
        }
        forces.attract(positions, epoch, rate);
        if !tick(epoch) {
            return false;
        }
    }
    true
}

/// The forces on the points.
struct Forces<'a> {
    graph: &'a Graph,
    /// The fraction of epochs in which each edge of the graph acts, in units of 2^−32.
    shares: Vec<u64>,
    /// Both ends of each edge and its fraction, in sets in which no point occurs twice.
    sets: Vec<Vec<(u32, u32, u64)>>,
    a: f32,
    b: f32,
    negatives: u32,
    seed: u64,
}

impl<'a> Forces<'a> {
    fn new(graph: &'a Graph, how: &Descent) -> Self {
        let most = graph.weights.iter().copied().fold(0.0, f64::max);
        let share = |weight: &f64| (weight / most * (1_u64 << 32) as f64).round() as u64;
        let shares: Vec<u64> = graph.weights.iter().map(share).collect();
        let mut sets = Vec::new();
        let mut taken: Vec<Vec<u64>> = vec![Vec::new(); graph.len()];
        for from in 0..graph.len() {
            let own = graph.starts[from]..graph.starts[from + 1];
            for (&to, &share) in graph.ends[own.clone()].iter().zip(&shares[own]) {
                let to = to as usize;
                if from < to {
                    let set = free(&taken[from], &taken[to]);
                    for end in [from, to] {
                        let words = &mut taken[end];
                        words.resize(words.len().max(set / 64 + 1), 0);
                        words[set / 64] |= 1 << (set % 64);
                    }
                    sets.resize(sets.len().max(set + 1), Vec::new());
                    sets[set].push((from as u32, to as u32, share));
                }
            }
        }
        let [a, b] = how.curve.map(|value| value as f32);
        Self { graph, shares, sets, a, b, negatives: how.negatives, seed: how.seed }
    }

    /// The displacement of the points from `first` on by the repulsion of random points.
    fn repulsion<const DIMS: usize>(
        &self,
        positions: &[[f32; DIMS]],
        first: usize,
        epoch: u32,
        repulsions: &mut [[f32; DIMS]],
    ) {
        dispatch!(
            repulsion_avx512,
            repulsion_avx2,
            repulsion_plain,
            (self, positions, first, epoch, repulsions)
        );
    }

    /// Moves the ends of all edges that act in this epoch towards each other.
    fn attract<const DIMS: usize>(&self, positions: &mut [[f32; DIMS]], epoch: u32, rate: f32) {
        dispatch!(
            attraction_avx512,
            attraction_avx2,
            attraction_plain,
            (self, positions, epoch, rate)
        );
    }
}

/// The first set that contains neither of two points.
fn free(a: &[u64], b: &[u64]) -> usize {
    let word = |words: &[u64], at: usize| words.get(at).copied().unwrap_or(0);
    let open = |at: usize| !(word(a, at) | word(b, at));
    let at = (0..).find(|&at| open(at) != 0).expect("there is no end of sets");
    at * 64 + open(at).trailing_zeros() as usize
}

/// True if an edge acts: in the epochs in which the running sum of its fraction passes a whole
/// number.
#[inline(always)]
fn acts(share: u64, epoch: u32) -> bool {
    let sum = |epochs: u32| (u64::from(epochs) * share) >> 32;
    sum(epoch - 1) != sum(epoch)
}

versions!(repulsion_body, repulsion_avx512, repulsion_avx2, repulsion_plain, [const DIMS: usize],
    (forces: &Forces<'_>, positions: &[[f32; DIMS]], first: usize, epoch: u32,
     repulsions: &mut [[f32; DIMS]]));
versions!(attraction_body, attraction_avx512, attraction_avx2, attraction_plain, [const DIMS: usize],
    (forces: &Forces<'_>, positions: &mut [[f32; DIMS]], epoch: u32, rate: f32));

#[inline(always)]
fn repulsion_body<const DIMS: usize>(
    forces: &Forces<'_>,
    positions: &[[f32; DIMS]],
    first: usize,
    epoch: u32,
    repulsions: &mut [[f32; DIMS]],
) {
    for (at, repulsion) in repulsions.iter_mut().enumerate() {
        let index = first + at;
        let own = &forces.shares[forces.graph.starts[index]..forces.graph.starts[index + 1]];
        let acting = own.iter().filter(|share| acts(**share, epoch)).count();
        let drawn = acting as u32 * forces.negatives;
        let mut sums = [[0.0_f32; LANES]; DIMS];
        for block in 0..drawn.div_ceil(4 * LANES as u32) {
            let counter = [block * LANES as u32, epoch, index as u32, Purpose::Layout as u32];
            let words = philox_lanes(counter, forces.seed);
            let left = drawn - block * 4 * LANES as u32;
            for (word, left) in words.iter().zip((0..=left).rev().step_by(LANES)) {
                let mut others = [[0.0_f32; LANES]; DIMS];
                for lane in 0..LANES {
                    let other = (u64::from(word[lane]) * positions.len() as u64) >> 32;
                    for dim in 0..DIMS {
                        others[dim][lane] = positions[other as usize][dim];
                    }
                }
                repulsion_lanes(forces, &positions[index], &others, left, &mut sums);
            }
        }
        *repulsion = sums.map(|lanes| lanes.iter().sum());
    }
}

/// Adds the repulsion from eight points, of which only the first `count` are used.
#[inline(always)]
fn repulsion_lanes<const DIMS: usize>(
    forces: &Forces<'_>,
    point: &[f32; DIMS],
    others: &[[f32; LANES]; DIMS],
    count: u32,
    sums: &mut [[f32; LANES]; DIMS],
) {
    let (a, b) = (forces.a, forces.b);
    for lane in 0..LANES {
        let mut square = 0.0;
        for dim in 0..DIMS {
            let apart = point[dim] - others[dim][lane];
            square += apart * apart;
        }
        let repulsion = 2.0 * b / ((0.001 + square) * (1.0 + a * power(square, b)));
        let repulsion = if (lane as u32) < count { repulsion } else { 0.0 };
        for dim in 0..DIMS {
            let apart = point[dim] - others[dim][lane];
            sums[dim][lane] += (repulsion * apart).clamp(-CLIP, CLIP);
        }
    }
}

#[inline(always)]
fn attraction_body<const DIMS: usize>(
    forces: &Forces<'_>,
    positions: &mut [[f32; DIMS]],
    epoch: u32,
    rate: f32,
) {
    for set in &forces.sets {
        let mut ends = [[0_usize; LANES]; 2];
        let mut count = 0;
        for &(from, to, share) in set {
            if acts(share, epoch) {
                (ends[0][count], ends[1][count]) = (from as usize, to as usize);
                count += 1;
                if count == LANES {
                    attraction_lanes(forces, positions, &ends, count, rate);
                    count = 0;
                }
            }
        }
        attraction_lanes(forces, positions, &ends, count, rate);
    }
}

/// Moves the ends of eight edges, of which only the first `count` are used, once for each
/// direction.
#[inline(always)]
fn attraction_lanes<const DIMS: usize>(
    forces: &Forces<'_>,
    positions: &mut [[f32; DIMS]],
    ends: &[[usize; LANES]; 2],
    count: usize,
    rate: f32,
) {
    let (a, b) = (forces.a, forces.b);
    let mut both = [[[0.0_f32; LANES]; DIMS]; 2];
    for (side, ends) in both.iter_mut().zip(ends) {
        for lane in 0..LANES {
            for dim in 0..DIMS {
                side[dim][lane] = positions[ends[lane]][dim];
            }
        }
    }
    let [from, to] = &mut both;
    for _ in 0..2 {
        for lane in 0..LANES {
            let mut square = 0.0;
            for dim in 0..DIMS {
                let apart = from[dim][lane] - to[dim][lane];
                square += apart * apart;
            }
            let grown = power(square, b);
            let attraction = 2.0 * a * b * grown / (square * (1.0 + a * grown));
            let attraction = if square > 0.0 { attraction } else { 0.0 };
            for dim in 0..DIMS {
                let apart = from[dim][lane] - to[dim][lane];
                let step = rate * (attraction * apart).clamp(-CLIP, CLIP);
                from[dim][lane] -= step;
                to[dim][lane] += step;
            }
        }
    }
    for (side, ends) in both.iter().zip(ends) {
        for lane in 0..count {
            for dim in 0..DIMS {
                positions[ends[lane]][dim] = side[dim][lane];
            }
        }
    }
}

/// x^b for x ≥ 0, with a relative error below 1e-6, by additions and products alone.
#[inline(always)]
fn power(x: f32, b: f32) -> f32 {
    // x = m 2^e with m from √½ to √2.
    let e = (x.to_bits().wrapping_sub(0x3f35_04f3) as i32) >> 23;
    let m = f32::from_bits(x.to_bits().wrapping_sub((e as u32) << 23));
    let t = (m - 1.0) / (m + 1.0);
    let t2 = t * t;
    let series = 2.885_39 + t2 * (0.961_796_7 + t2 * (0.577_078 + t2 * 0.412_198_6));
    let y = (b * (e as f32 + t * series)).clamp(-125.0, 125.0);
    // Rounds to the nearest whole number through the rounding of a sum, which also leaves it in the
    // last bits.
    const WHOLE: f32 = 12_582_912.0;
    let whole = y + WHOLE;
    let f = y - (whole - WHOLE);
    let series = 0.240_226_5 + f * (0.055_504_11 + f * (0.009_618_129 + f * 0.001_333_356));
    let part = 1.0 + f * (std::f32::consts::LN_2 + f * series);
    let exponent = whole.to_bits().wrapping_sub(WHOLE.to_bits()).wrapping_add(127);
    part * f32::from_bits(exponent << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_those_of_the_library() {
        for x in [1e-12_f32, 1e-6, 0.5, 0.99, 1.0, 1.5, 7.0, 400.0, 1e9] {
            for b in [0.3_f32, 0.895, 1.0, 1.9] {
                let (found, expected) = (power(x, b), f64::from(x).powf(f64::from(b)));
                assert!(
                    (f64::from(found) / expected - 1.0).abs() < 1e-5,
                    "{x}^{b}: {found} {expected}"
                );
            }
        }
        assert!(power(0.0, 0.9) < 1e-30);
    }

    #[test]
    fn the_default_curve() {
        let [a, b] = find_ab_params(1.0, 0.1);
        assert!((a - 1.576_943).abs() < 1e-5 && (b - 0.895_061).abs() < 1e-5, "{a} {b}");
    }
}
