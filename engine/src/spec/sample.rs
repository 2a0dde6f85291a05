//! Points drawn from ranges: at random, and by Sobol's sequence.

use super::node::{Node, Value};
use ops::{Purpose, Random};

/// What a parameter may be.
#[derive(Clone, Debug)]
pub enum Spread {
    /// One of these values.
    Among(Vec<Node>),
    /// A number of a range, all alike: least, most, where it is written.
    Uniform(f64, f64, Node),
    /// A number of a range whose logarithm is uniform.
    LogUniform(f64, f64, Node),
}

impl Spread {
    /// `uniform(0, 1)` or `loguniform(0.1, 10)`; `None` where the text is neither.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(node: &Node) -> Option<Result<Self, String>> {
        let (name, arguments) = node.text()?.trim().strip_suffix(')')?.split_once('(')?;
        let name = name.trim();
        if !["uniform", "loguniform"].contains(&name) {
            return None;
        }
        let numbers: Result<Vec<f64>, _> =
            arguments.split(',').map(|number| number.trim().parse()).collect();
        let Ok([low, high]) = numbers.as_deref() else {
            return Some(Err(format!("`{name}` takes two numbers, the least and the most")));
        };
        let (low, high) = (*low, *high);
        Some(match name {
            _ if !(low.is_finite() && high.is_finite() && low < high) => {
                Err(format!("the first number of `{name}` must be below the second"))
            }
            "uniform" => Ok(Self::Uniform(low, high, node.clone_bare())),
            _ if low <= 0.0 => Err("the numbers of `loguniform` must be above 0".to_owned()),
            _ => Ok(Self::LogUniform(low, high, node.clone_bare())),
        })
    }

    /// The value at a place from 0 to 1. Numbers are rounded to four digits, so that they can be
    /// read in the names of steps.
    pub fn at(&self, u: f64) -> Node {
        let (value, node) = match self {
            Self::Among(values) => {
                let at = (u * values.len() as f64) as usize;
                return values[at.min(values.len() - 1)].clone();
            }
            Self::Uniform(low, high, node) => (low + (high - low) * u, node),
            Self::LogUniform(low, high, node) => (low * (high / low).powf(u), node),
        };
        let rounded = format!("{value:.3e}").parse().unwrap_or(value);
        Node { value: Value::Real(rounded), ..node.clone_bare() }
    }
}

impl Spread {
    /// How many values it lists; 0 for a range.
    pub fn choices(&self) -> usize {
        match self {
            Self::Among(values) => values.len(),
            Self::Uniform(..) | Self::LogUniform(..) => 0,
        }
    }

    /// The place of a value that [`Spread::at`] gave: of a list the middle of its share.
    pub fn place(&self, value: &Node) -> f64 {
        let number = match value.value {
            Value::Real(number) => number,
            Value::Int(number) => number as f64,
            _ => 0.0,
        };
        let place = match self {
            Self::Among(values) => {
                let at = values.iter().position(|it| it.plain() == value.plain()).unwrap_or(0);
                (at as f64 + 0.5) / values.len() as f64
            }
            Self::Uniform(low, high, _) => (number - low) / (high - low),
            Self::LogUniform(low, high, _) => (number / low).ln() / (high / low).ln(),
        };
        place.clamp(0.0, 1.0)
    }
}

/// `n` points of the unit cube, each coordinate on its own.
pub fn random(seed: u64, n: usize, dimensions: usize) -> Vec<Vec<f64>> {
    let point = |index| {
        let mut random = Random::new(seed, Purpose::Sweep, index);
        (0..dimensions).map(|_| random.uniform()).collect()
    };
    (0..n as u32).map(point).collect()
}

/// How many parameters Sobol's sequence is tabulated for here.
pub const SOBOL_DIMENSIONS: usize = JOE_KUO.len() + 1;

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

/// `n` points that fill the unit cube evenly: Sobol's sequence in the order of Gray codes, moved by
/// a digital shift that the seed names. A longer sequence begins with the shorter one.
pub fn sobol(seed: u64, n: usize, dimensions: usize) -> Vec<Vec<f64>> {
    let mut random = Random::new(seed, Purpose::Sweep, u32::MAX);
    let shifts: Vec<u32> = (0..dimensions).map(|_| random.bits() >> (32 - BITS)).collect();
    // The middle of a cell, so that no place is 0.
    let place = |(x, shift): (u32, &u32)| (f64::from(x ^ shift) + 0.5) / f64::from(1u32 << BITS);
    let points = sequence(n, dimensions).into_iter();
    points.map(|point| point.into_iter().zip(&shifts).map(place).collect()).collect()
}

/// The sequence itself, as whole numbers below 2^30.
fn sequence(n: usize, dimensions: usize) -> Vec<Vec<u32>> {
    let directions: Vec<Vec<u32>> = (0..dimensions).map(directions).collect();
    let mut point = vec![0; dimensions];
    let mut points = Vec::with_capacity(n);
    for index in 0..n {
        points.push(point.clone());
        let bit = (index.trailing_ones() as usize).min(BITS - 1);
        point.iter_mut().zip(&directions).for_each(|(x, v)| *x ^= v[bit]);
    }
    points
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
        let text = include_str!("../../tests/sobol.txt");
        let theirs: Vec<Vec<u32>> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split(' ').map(|x| x.parse().expect("a number")).collect())
            .collect();
        assert_eq!(theirs.len(), 64);
        assert_eq!(sequence(64, SOBOL_DIMENSIONS), theirs);
    }

    #[test]
    fn places_are_even_and_within() {
        for seed in 0..5 {
            let points = sobol(seed, 64, 2);
            // Of 64 points each of the 8 × 8 cells holds one, whatever the shift.
            let mut cells: Vec<(u32, u32)> =
                points.iter().map(|it| ((it[0] * 8.0) as u32, (it[1] * 8.0) as u32)).collect();
            cells.sort_unstable();
            cells.dedup();
            assert_eq!(cells.len(), 64);
        }
        assert!(random(0, 100, 3).iter().flatten().all(|u| (0.0..1.0).contains(u)));
    }

    #[test]
    fn values_and_places_are_inverse() {
        let bare = Node::new(Value::Null, 0..0);
        let values = (1..5).map(|it| Node::new(Value::Int(it), 0..0)).collect();
        for spread in [
            Spread::Among(values),
            Spread::Uniform(-2.0, 3.0, bare.clone()),
            Spread::LogUniform(0.01, 100.0, bare),
        ] {
            for u in [0.1, 0.35, 0.6, 0.9] {
                let again = spread.at(spread.place(&spread.at(u)));
                assert_eq!(again.plain(), spread.at(u).plain());
            }
        }
    }
}
