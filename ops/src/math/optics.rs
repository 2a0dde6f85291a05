//! The ordering of points by density (OPTICS), and the clusters at the valleys of its reachability.
//!
//! Source: Ankerst, Breunig, Kriegel and Sander 1999; `sklearn.cluster.OPTICS` (1.9), whose two
//! corrections of the paper and whose ends of steep regions are followed here.

use super::{
    kmeans::Cancelled,
    pairwise::{LANES, Packed},
};

/// The points in their order, with what is known of each place.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordering {
    /// The points, in the order in which they are reached.
    pub points: Vec<usize>,
    /// The reachability at each place of the order; infinite where a new region begins.
    pub reachability: Vec<f64>,
    /// The point from which the one at each place was reached.
    pub predecessors: Vec<Option<usize>>,
}

/// Rounds to 15 decimals as NumPy does, so that distances that differ by rounding are equal.
fn rounded(distance: f64) -> f64 {
    let scaled = distance * 1e15;
    if scaled.is_finite() { scaled.round_ties_even() / 1e15 } else { distance }
}

/// Orders points: next is the one with the smallest reachability max(core of p, distance to p) from
/// any point p before it, the first of equal ones. `core` holds the distance of each point to its
/// `min_samples`-th neighbour. `None` if `cancelled` returns true.
pub fn order(
    x: &[f32],
    n_features: usize,
    core: &[f64],
    max_distance: f64,
    cancelled: Cancelled<'_>,
) -> Option<Ordering> {
    let packed = Packed::new(x.chunks_exact(n_features), n_features);
    let n = packed.len();
    let core: Vec<f64> = core
        .iter()
        .map(|core| if *core > max_distance { f64::INFINITY } else { rounded(*core) })
        .collect();
    let (mut reach, mut from) = (vec![f64::INFINITY; n], vec![None; n]);
    let mut squares = vec![0.0; packed.groups() * LANES];
    let mut left: Vec<usize> = (0..n).collect();
    let mut made = Ordering {
        points: Vec::with_capacity(n),
        reachability: Vec::with_capacity(n),
        predecessors: Vec::with_capacity(n),
    };
    let mut next = 0;
    while !left.is_empty() {
        if made.points.len().is_multiple_of(64) && cancelled() {
            return None;
        }
        let point = left.remove(next);
        made.points.push(point);
        made.reachability.push(reach[point]);
        made.predecessors.push(from[point]);
        if core[point].is_finite() {
            let row: Vec<f64> =
                x[point * n_features..][..n_features].iter().map(|it| f64::from(*it)).collect();
            packed.squares([&row], 0, &mut squares);
            for other in left.iter().copied() {
                let distance = squares[other].sqrt();
                let through = rounded(distance.max(core[point]));
                if distance <= max_distance && through < reach[other] {
                    (reach[other], from[other]) = (through, Some(point));
                }
            }
        }
        next = 0;
        for (place, point) in left.iter().enumerate() {
            if reach[*point] < reach[left[next]] {
                next = place;
            }
        }
    }
    Some(made)
}

/// A steep descent of the reachability, with the largest value seen since.
struct Descent {
    start: usize,
    end: usize,
    between: f64,
}

impl Ordering {
    /// The cluster of each point by the ξ method, or `None` for noise: a cluster lies between a descent
    /// and an ascent of the reachability by the factor 1 − ξ. Of nested clusters the innermost count.
    pub fn clusters(&self, xi: f64, min_samples: usize, least: usize) -> Vec<Option<usize>> {
        let mut labels = vec![None; self.points.len()];
        let mut count = 0;
        for (start, end) in self.valleys(xi, min_samples, least) {
            if labels[start..=end].iter().all(Option::is_none) {
                labels[start..=end].fill(Some(count));
                count += 1;
            }
        }
        let mut of = vec![None; labels.len()];
        for (point, label) in self.points.iter().zip(labels) {
            of[*point] = label;
        }
        of
    }

    /// The first and last places of all clusters, inner ones before those around them.
    fn valleys(&self, xi: f64, min_samples: usize, least: usize) -> Vec<(usize, usize)> {
        let keep = 1.0 - xi;
        let n = self.points.len();
        let mut plot = self.reachability.clone();
        plot.push(f64::INFINITY);
        let ratio: Vec<f64> = (0..n).map(|at| plot[at] / plot[at + 1]).collect();
        let of = |fits: &dyn Fn(f64) -> bool| ratio.iter().map(|it| fits(*it)).collect::<Vec<_>>();
        let (steep_up, steep_down) = (of(&|it| it <= keep), of(&|it| it >= 1.0 / keep));
        let (up, down) = (of(&|it| it < 1.0), of(&|it| it > 1.0));
        let (mut descents, mut found): (Vec<Descent>, Vec<(usize, usize)>) = Default::default();
        let (mut index, mut between) = (0, 0.0_f64);
        for at in (0..n).filter(|at| steep_up[*at] || steep_down[*at]) {
            if at < index {
                continue;
            }
            between = plot[index..=at].iter().copied().fold(between, f64::max);
            if between.is_infinite() {
                descents.clear();
            }
            descents.retain(|it| between <= plot[it.start] * keep);
            descents.iter_mut().for_each(|it| it.between = it.between.max(between));
            if steep_down[at] {
                let end = region_end(&steep_down, &up, at, min_samples);
                descents.push(Descent { start: at, end, between: 0.0 });
                index = end + 1;
            } else {
                let end = region_end(&steep_up, &down, at, min_samples);
                index = end + 1;
                let ends = descents.iter().rev().filter_map(|descent| {
                    let (first, last) = self.valley(&plot, descent, (at, end), keep)?;
                    let is_long = last + 1 >= first + least;
                    (is_long && first <= descent.end && last >= at).then_some((first, last))
                });
                found.extend(ends);
            }
            between = plot[index];
        }
        found
    }

    /// The cluster between a descent and an ascent.
    fn valley(
        &self,
        plot: &[f64],
        descent: &Descent,
        (ascent, end): (usize, usize),
        keep: f64,
    ) -> Option<(usize, usize)> {
        let (mut first, mut last) = (descent.start, end);
        let (high, after) = (plot[descent.start], plot[end + 1]);
        if after * keep < descent.between {
            return None;
        }
        if high * keep >= after {
            while plot[first + 1] > after && first < descent.end {
                first += 1;
            }
        } else if after * keep >= high {
            while last > ascent && plot[last - 1] > high {
                last -= 1;
            }
        }
        // The end must have been reached from within.
        while first < last {
            let inside = &self.points[first..last];
            if plot[first] > plot[last]
                || self.predecessors[last].is_some_and(|from| inside.contains(&from))
            {
                return Some((first, last));
            }
            last -= 1;
        }
        None
    }
}

/// The end of a steep region: it holds at most `most` places in a row that are not steep, none of
/// which goes the other way.
fn region_end(steep: &[bool], other_way: &[bool], start: usize, most: usize) -> usize {
    let (mut end, mut flat) = (start, 0);
    for at in start..steep.len() {
        if steep[at] {
            (end, flat) = (at, 0);
        } else if other_way[at] {
            break;
        } else {
            flat += 1;
            if flat > most {
                break;
            }
        }
    }
    end
}
