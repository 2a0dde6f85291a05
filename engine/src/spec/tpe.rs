//! The tree-structured Parzen estimator: where to look next, given what was found.
//!
//! Source: J. Bergstra, R. Bardenet, Y. Bengio and B. Kégl, "Algorithms for hyper-parameter
//! optimization", NeurIPS 24 (2011). Each parameter is on its own, as in their paper.

use ops::{Purpose, Random};

/// The share of points that count as good.
const GOOD: f64 = 0.25;
/// How many candidates are drawn for one place.
const CANDIDATES: usize = 24;
/// How many places are proposed; of those that fall together only one counts.
const PROPOSALS: u32 = 64;

/// Places of the unit cube to look at, in the order of their promise to be run.
///
/// The best quarter of the points (at least one) make a density l of each parameter, the others a
/// density g. Of 24 draws from l the one with the greatest l/g is proposed. A parameter with
/// `choices` has a list of so many values, and its densities are shares; one with 0 choices is a
/// number from 0 to 1, and its densities are mixtures of normal kernels, each as wide as the way to
/// its farther neighbour, with one more kernel that is flat.
pub fn propose(
    places: &[Vec<f64>],
    scores: &[f64],
    choices: &[usize],
    seed: u64,
    round: u32,
) -> Vec<Vec<f64>> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let count = ((places.len() as f64 * GOOD).ceil() as usize).min(places.len());
    let (good, bad) = order.split_at(count);
    let density = |axis: usize, of: &[usize]| {
        Density::new(of.iter().map(|&at| places[at][axis]).collect(), choices[axis])
    };
    let densities: Vec<(Density, Density)> =
        (0..choices.len()).map(|axis| (density(axis, good), density(axis, bad))).collect();
    (0..PROPOSALS)
        .map(|proposal| {
            // Points drawn at random have the indices from 0 on.
            let index = (1 << 31) | (round * PROPOSALS + proposal);
            let mut random = Random::new(seed, Purpose::Sweep, index);
            let candidates = (0..CANDIDATES).map(|_| {
                let place: Vec<f64> = densities.iter().map(|(l, _)| l.draw(&mut random)).collect();
                let gain: f64 = place
                    .iter()
                    .zip(&densities)
                    .map(|(u, (l, g))| (l.at(*u) / g.at(*u)).ln())
                    .sum();
                (place, gain)
            });
            let best = candidates.max_by(|a, b| a.1.total_cmp(&b.1));
            best.map(|(place, _)| place).unwrap_or_default()
        })
        .collect()
}

/// The density of one parameter.
struct Density {
    /// Centres and widths of the kernels; none for a list.
    kernels: Vec<(f64, f64)>,
    /// The share of each choice; none for a number.
    shares: Vec<f64>,
}

impl Density {
    fn new(mut places: Vec<f64>, choices: usize) -> Self {
        if choices > 0 {
            let mut shares = vec![1.0 / choices as f64; choices];
            places.iter().for_each(|u| shares[choice(*u, choices)] += 1.0);
            let total: f64 = shares.iter().sum();
            shares.iter_mut().for_each(|share| *share /= total);
            return Self { kernels: Vec::new(), shares };
        }
        places.sort_by(f64::total_cmp);
        // No kernel is so narrow that only one point can come of it.
        let least = 1.0 / (places.len() as f64 + 2.0).min(100.0);
        let width = |at: usize| {
            let before = if at > 0 { places[at - 1] } else { 0.0 };
            let after = places.get(at + 1).copied().unwrap_or(1.0);
            (places[at] - before).max(after - places[at]).clamp(least, 1.0)
        };
        let kernels = (0..places.len()).map(|at| (places[at], width(at))).collect();
        Self { kernels, shares: Vec::new() }
    }

    fn draw(&self, random: &mut Random) -> f64 {
        if !self.shares.is_empty() {
            let mut left = random.uniform();
            let choices = self.shares.len();
            let chosen = self.shares.iter().position(|share| {
                left -= share;
                left < 0.0
            });
            return (chosen.unwrap_or(choices - 1) as f64 + 0.5) / choices as f64;
        }
        let kernel = random.below(self.kernels.len() as u32 + 1) as usize;
        let Some((centre, width)) = self.kernels.get(kernel) else { return random.uniform() };
        for _ in 0..100 {
            let u = centre + width * random.normal();
            if (0.0..=1.0).contains(&u) {
                return u;
            }
        }
        *centre
    }

    fn at(&self, u: f64) -> f64 {
        if !self.shares.is_empty() {
            return self.shares[choice(u, self.shares.len())];
        }
        let kernel = |(centre, width): &(f64, f64)| {
            let z = (u - centre) / width;
            (-0.5 * z * z).exp() / (width * std::f64::consts::TAU.sqrt())
        };
        let sum: f64 = self.kernels.iter().map(kernel).sum();
        (sum + 1.0) / (self.kernels.len() as f64 + 1.0)
    }
}

fn choice(u: f64, choices: usize) -> usize {
    ((u * choices as f64) as usize).min(choices - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bowl with its bottom at (0.7, the second of four choices).
    fn score(place: &[f64]) -> f64 {
        -(place[0] - 0.7).powi(2) - 0.1 * (choice(place[1], 4) as f64 - 1.0).powi(2)
    }

    #[test]
    fn it_looks_where_it_is_good() {
        let mut random = Random::new(0, Purpose::Sweep, 0);
        let mut places: Vec<Vec<f64>> =
            (0..10).map(|_| vec![random.uniform(), random.uniform()]).collect();
        for round in 0..6 {
            let scores: Vec<f64> = places.iter().map(|place| score(place)).collect();
            places.extend(propose(&places, &scores, &[0, 4], 0, round).into_iter().take(5));
        }
        let mean = |places: &[Vec<f64>]| {
            places.iter().map(|it| score(it)).sum::<f64>() / places.len() as f64
        };
        let (first, last) = (mean(&places[..10]), mean(&places[places.len() - 10..]));
        assert!(last > first / 4.0, "{first} -> {last}");
    }

    #[test]
    fn failures_and_few_points_are_no_trouble() {
        let places = vec![vec![0.5], vec![0.5]];
        let found = propose(&places, &[f64::NEG_INFINITY, f64::NEG_INFINITY], &[0], 1, 0);
        assert!(found.iter().flatten().all(|u| (0.0..=1.0).contains(u)));
        assert_eq!(found, propose(&places, &[f64::NEG_INFINITY; 2], &[0], 1, 0));
    }
}
