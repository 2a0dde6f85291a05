//! The sampler `tpe`, the tree-structured Parzen estimator: it proposes points from the results so
//! far.
//!
//! Source: J. Bergstra, R. Bardenet, Y. Bengio and B. Kégl, "Algorithms for hyper-parameter
//! optimization", NeurIPS 24 (2011). Each parameter is on its own, as in their paper.

use super::{
    Keys, Proposal, Sampler,
    distribution::ParamDistribution,
    draws::Draws,
    random,
    settings::{N, OVER, SEED, SamplerSettings, Setting, SettingType},
};
use crate::spec::{
    node::{Key, Node},
    points::{Point, Reader},
    search::History,
};
use ops::{Purpose, Random};

/// Draws some points at random, then batches where good points are dense and bad points are not.
pub struct Tpe {
    settings: SamplerSettings,
    start: usize,
    batch: usize,
}

impl Sampler for Tpe {
    const NAME: &'static str = "tpe";
    const DOC: &'static str = "Points chosen by the results of those before, where good ones lie (needs `objective`): \
         `{ n: 40, start: 10, batch: 5, over: … }`.";
    const KEYS: Keys = Keys::Settings(&[
        Setting { doc: "The number of points in all.", ..N },
        Setting {
            name: "start",
            doc: "The number of points that are drawn at random, before results count; 10.",
            takes: SettingType::Count(1),
            required: false,
        },
        Setting {
            name: "batch",
            doc: "The number of points that run before the next are chosen; 5.",
            takes: SettingType::Count(1),
            required: false,
        },
        SEED,
        OVER,
    ]);
    const SEARCHES: bool = true;

    fn read(reader: &mut Reader<'_>, key: &Key, node: Node) -> Option<Self> {
        let settings = SamplerSettings::read::<Self>(reader, key, node)?;
        let count = |name, default| {
            settings.count(name).map_or(default, |(n, _)| usize::try_from(*n).unwrap_or(usize::MAX))
        };
        let (start, batch) = (count("start", 10), count("batch", 5));
        Some(Self { settings, start, batch })
    }

    fn propose(&self, reader: &mut Reader<'_>, history: &History<'_>) -> Option<Proposal> {
        let SamplerSettings { seed, over, .. } = &self.settings;
        let random = || random::places(*seed, over.len());
        let choices: Vec<usize> = over.iter().map(ParamDistribution::choices).collect();
        let mut draws = Draws::new(reader, &self.settings);
        draws.fill(reader, self.start.min(draws.n), random())?;
        loop {
            let before = draws.points.len();
            if before == draws.n {
                break;
            }
            let Some(scores) = history.scores(reader, &draws.points) else {
                return Some(Proposal { points: draws.points, more: true, resource: None });
            };
            let places: Vec<_> = draws.points.iter().map(|it| place(reader, over, it)).collect();
            let known = Parzen::new(&places, &scores, &choices);
            let wanted = before.saturating_add(self.batch).min(draws.n);
            draws.draw(reader, wanted, known.proposals(*seed, before as u32))?;
            // Few distinct proposals come from a small space: then all other points are compared.
            if draws.points.len() < wanted && !draws.all().is_empty() {
                let mut others = draws.all().to_vec();
                others.sort_by(|a, b| known.gain(b).total_cmp(&known.gain(a)));
                draws.draw(reader, wanted, others.into_iter())?;
            }
            draws.draw(reader, wanted, random())?;
            if draws.points.len() == before {
                break;
            }
        }
        Some(Proposal::all(draws.finish(reader)))
    }
}

/// The position of a point in the unit cube.
fn place(reader: &Reader<'_>, over: &[ParamDistribution], point: &Point) -> Vec<f64> {
    let axes = reader.axes.iter().zip(over).zip(point);
    axes.map(|((axis, distribution), at)| distribution.place(&axis.values[*at])).collect()
}

/// The share of points that count as good.
const GOOD: f64 = 0.25;
/// The number of candidates that are drawn for one position.
const CANDIDATES: usize = 24;
/// The number of positions that are proposed; equal proposals count once.
const PROPOSALS: u32 = 64;

/// A model of a space: the density of its good points, and the density of the others.
///
/// The best quarter of the points (at least one) make a density l of each parameter, the others a
/// density g. A parameter with `choices` has a list of that many values, and its densities are
/// shares. A parameter with 0 choices is a number from 0 to 1, and its densities are mixtures of
/// normal kernels, each as wide as the distance to its farther neighbour, with one more kernel that
/// is flat.
struct Parzen {
    densities: Vec<(Density, Density)>,
}

impl Parzen {
    fn new(places: &[Vec<f64>], scores: &[f64], choices: &[usize]) -> Self {
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        let count = ((places.len() as f64 * GOOD).ceil() as usize).min(places.len());
        let (good, bad) = order.split_at(count);
        let density = |axis: usize, of: &[usize]| {
            Density::new(of.iter().map(|&at| places[at][axis]).collect(), choices[axis])
        };
        let densities = (0..choices.len()).map(|axis| (density(axis, good), density(axis, bad)));
        Self { densities: densities.collect() }
    }

    /// The logarithm of l/g: the greater it is, the more promising is the position.
    fn gain(&self, place: &[f64]) -> f64 {
        let gain = |(u, (l, g)): (&f64, &(Density, Density))| (l.at(*u) / g.at(*u)).ln();
        place.iter().zip(&self.densities).map(gain).sum()
    }

    /// The proposed positions in the unit cube: each has the greatest l/g of 24 candidates from l.
    fn proposals(&self, seed: u64, round: u32) -> impl Iterator<Item = Vec<f64>> {
        (0..PROPOSALS).map(move |proposal| {
            // Points drawn at random have the indices from 0 on.
            let index = (1 << 31) | (round * PROPOSALS + proposal);
            let mut random = Random::new(seed, Purpose::Sweep, index);
            let candidates = (0..CANDIDATES).map(|_| {
                let place: Vec<f64> =
                    self.densities.iter().map(|(l, _)| l.draw(&mut random)).collect();
                let gain = self.gain(&place);
                (place, gain)
            });
            let best = candidates.max_by(|a, b| a.1.total_cmp(&b.1));
            best.map(|(place, _)| place).unwrap_or_default()
        })
    }
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
        // The kernels have a least width, so that draws differ.
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
            let known = Parzen::new(&places, &scores, &[0, 4]);
            places.extend(known.proposals(0, round).take(5));
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
        let propose = || {
            let known = Parzen::new(&places, &[f64::NEG_INFINITY; 2], &[0]);
            known.proposals(1, 0).collect::<Vec<_>>()
        };
        assert!(propose().iter().flatten().all(|u| (0.0..=1.0).contains(u)));
        assert_eq!(propose(), propose());
    }
}
