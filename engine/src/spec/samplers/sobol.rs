//! The sampler `sobol`: points that fill the space evenly.

use super::{
    Keys, Proposal, Sampler,
    draws::Draws,
    settings::{N, OVER, SEED, SamplerSettings},
};
use crate::spec::{
    node::{Key, Node},
    points::Reader,
    search::History,
    sweep::error,
};
use ops::{Purpose, Random};

/// Points that fill the space evenly.
pub struct Sobol(SamplerSettings);

impl Sampler for Sobol {
    const NAME: &'static str = "sobol";
    const DOC: &'static str =
        "Points that fill the space evenly (Sobol): `{ n: 16, seed: 0, over: … }`.";
    const KEYS: Keys = Keys::Settings(&[N, SEED, OVER]);

    fn read(reader: &mut Reader<'_>, key: &Key, node: Node) -> Option<Self> {
        let settings = SamplerSettings::read::<Self>(reader, key, node)?;
        let count = settings.over.len();
        if count > SOBOL_DIMENSIONS {
            let message = format!("`sobol` varies at most {SOBOL_DIMENSIONS} parameters");
            reader.cx.push(
                error(message)
                    .at_key(key, format!("these are {count}"))
                    .help("`random` varies any number"),
            );
            return None;
        }
        Some(Self(settings))
    }

    fn propose(&self, reader: &mut Reader<'_>, _history: &History<'_>) -> Option<Proposal> {
        let mut draws = Draws::new(reader, &self.0);
        draws.fill(reader, draws.n, places(self.0.seed, self.0.over.len()))?;
        Some(Proposal::all(draws.finish(reader)))
    }
}

/// The number of parameters for which Sobol's sequence is tabulated here.
const SOBOL_DIMENSIONS: usize = JOE_KUO.len() + 1;

/// Primitive polynomials and initial direction numbers of the dimensions from the second on: degree,
/// inner coefficients, m. Source: S. Joe and F. Y. Kuo, "Constructing Sobol sequences with better
/// two-dimensional projections", SIAM J. Sci. Comput. 30 (2008), the table `new-joe-kuo-6`.
const JOE_KUO: &[(usize, u32, &[u32])] = &[
    (1, 0, &[1]),
    (2, 1, &[1, 3]),
    (3, 1, &[1, 3, 1]),
    (3, 2, &[1, 1, 1]),
    (4, 1, &[1, 1, 3, 3]),
    (4, 4, &[1, 3, 5, 13]),
    (5, 2, &[1, 1, 5, 5, 17]),
    (5, 4, &[1, 1, 5, 5, 5]),
    (5, 7, &[1, 1, 7, 11, 19]),
    (5, 11, &[1, 1, 5, 1, 1]),
    (5, 13, &[1, 1, 1, 3, 11]),
    (5, 14, &[1, 3, 5, 5, 31]),
    (6, 1, &[1, 3, 3, 9, 7, 49]),
    (6, 13, &[1, 1, 1, 15, 21, 21]),
    (6, 16, &[1, 3, 1, 13, 27, 49]),
];

const BITS: usize = 30;

/// Positions that fill the unit cube evenly: Sobol's sequence in the order of Gray codes, moved by
/// a digital shift that depends on the seed. A longer sequence begins with the shorter one.
fn places(seed: u64, dimensions: usize) -> impl Iterator<Item = Vec<f64>> {
    let mut random = Random::new(seed, Purpose::Sweep, u32::MAX);
    let shifts: Vec<u32> = (0..dimensions).map(|_| random.bits() >> (32 - BITS)).collect();
    // The middle of a cell is used, so that no coordinate is 0.
    let place = |(x, shift): (u32, &u32)| (f64::from(x ^ shift) + 0.5) / f64::from(1u32 << BITS);
    sequence(dimensions).map(move |point| point.into_iter().zip(&shifts).map(place).collect())
}

/// The sequence itself, as whole numbers below 2^30.
fn sequence(dimensions: usize) -> impl Iterator<Item = Vec<u32>> {
    let directions: Vec<Vec<u32>> = (0..dimensions).map(directions).collect();
    let mut point = vec![0; dimensions];
    (0..1_usize << BITS).map(move |index| {
        let bit = (index.trailing_ones() as usize).min(BITS - 1);
        let next = point.iter().zip(&directions).map(|(x, v)| x ^ v[bit]).collect();
        std::mem::replace(&mut point, next)
    })
}

/// Direction numbers of a dimension, from the recurrence of its polynomial.
fn directions(dimension: usize) -> Vec<u32> {
    let Some((degree, inner, m)) = dimension.checked_sub(1).map(|at| JOE_KUO[at]) else {
        return (0..BITS).map(|bit| 1 << (BITS - 1 - bit)).collect();
    };
    let mut v: Vec<u32> = m.iter().enumerate().map(|(at, m)| m << (BITS - 1 - at)).collect();
    for at in degree..BITS {
        let mut next = v[at - degree] ^ (v[at - degree] >> degree);
        for k in (1..degree).filter(|k| inner >> (degree - 1 - k) & 1 == 1) {
            next ^= v[at - k];
        }
        v.push(next);
    }
    v
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_scipy() {
        // scipy.stats.qmc.Sobol(16, scramble=False, bits=30).random(8) * 2**30
        let text = include_str!("../../../tests/sobol.txt");
        let theirs: Vec<Vec<u32>> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split(' ').map(|x| x.parse().expect("a number")).collect())
            .collect();
        assert_eq!(theirs.len(), 64);
        assert_eq!(sequence(SOBOL_DIMENSIONS).take(64).collect::<Vec<_>>(), theirs);
    }

    #[test]
    fn places_are_even_and_within() {
        for seed in 0..5 {
            let points: Vec<Vec<f64>> = places(seed, 2).take(64).collect();
            // Of 64 points each of the 8 × 8 cells holds one, for any shift.
            let mut cells: Vec<(u32, u32)> =
                points.iter().map(|it| ((it[0] * 8.0) as u32, (it[1] * 8.0) as u32)).collect();
            cells.sort_unstable();
            cells.dedup();
            assert_eq!(cells.len(), 64);
        }
        let random = crate::spec::samplers::random::places(0, 3);
        assert!(random.take(100).flatten().all(|u| (0.0..1.0).contains(&u)));
    }
}
