//! Struck strings: decaying partials, stretched by the stiffness of the string.

use super::{Envelope, MAX_PARTIAL, RATE_HZ, noise};
use crate::math::random::Random;

/// The number of partials of a string.
const PARTIALS: usize = 12;

/// A struck string.
///
/// Partial k lies at k·f·√(1 + B k²) and decays with a time constant of `ring` / (1 + k/3).
/// Source: Fletcher, Blackham and Stratton, Quality of Piano Tones, 1962.
#[derive(Clone, Debug)]
pub struct Struck {
    /// Pitch in hertz.
    pub hz: f64,
    /// Inharmonicity B.
    pub stiffness: f64,
    /// Seconds in which the first partial falls to 1/e.
    pub ring: f64,
    /// The slope of the amplitudes over the number of the partial: k^-slope.
    pub slope: f64,
    /// Level of the hammer's knock.
    pub knock: f32,
    /// The envelope of the loudness.
    pub envelope: Envelope,
}

impl Struck {
    /// Adds the string to `out`; `random` gives the phases, `key` is the seed of the knock.
    pub fn play(&self, random: &mut Random, key: u32, out: &mut [f32]) {
        let length = out.len() as f64 / RATE_HZ;
        let (mut real, mut imaginary) = ([0.0_f32; PARTIALS], [0.0_f32; PARTIALS]);
        let (mut turn_real, mut turn_imaginary) = ([0.0_f32; PARTIALS], [0.0_f32; PARTIALS]);
        for at in 0..PARTIALS {
            let k = (at + 1) as f64;
            let hz = self.hz * k * (1.0 + self.stiffness * k * k).sqrt();
            let start = std::f64::consts::TAU * random.uniform();
            if hz > MAX_PARTIAL * RATE_HZ {
                continue;
            }
            let amplitude = k.powf(-self.slope);
            let shrink = (-(1.0 + k / 3.0) / (self.ring * RATE_HZ)).exp();
            let angle = std::f64::consts::TAU * hz / RATE_HZ;
            real[at] = (amplitude * start.cos()) as f32;
            imaginary[at] = (amplitude * start.sin()) as f32;
            turn_real[at] = (shrink * angle.cos()) as f32;
            turn_imaginary[at] = (shrink * angle.sin()) as f32;
        }
        let mut level = 0.0_f32;
        for (number, out) in out.chunks_mut(super::BLOCK).enumerate() {
            let first = number * super::BLOCK;
            let end = (first + super::BLOCK) as f64 / RATE_HZ;
            let target = self.envelope.at(end, length) as f32;
            let slope = (target - level) / super::BLOCK as f32;
            for (at, out) in out.iter_mut().enumerate() {
                let mut lanes = [0.0_f32; 4];
                for k in 0..PARTIALS {
                    let next = real[k] * turn_real[k] - imaginary[k] * turn_imaginary[k];
                    imaginary[k] = real[k] * turn_imaginary[k] + imaginary[k] * turn_real[k];
                    real[k] = next;
                    lanes[k % 4] += next;
                }
                let mut x = (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
                let since = (first + at) as f32;
                if since < 900.0 {
                    x += self.knock * noise(key, since as u32) * (1.0 - since / 900.0);
                }
                *out += (level + slope * at as f32) * x;
            }
            level = target;
        }
    }
}
