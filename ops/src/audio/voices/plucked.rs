//! Plucked strings: a burst of noise in a feedback loop that damps high partials first.

use super::{Envelope, RATE_HZ, noise};

/// A plucked string.
///
/// y\[n\] = damp · ½ (y\[n − p\] + y\[n − p − 1\]), p the period in samples.
/// Source: Karplus and Strong, Digital Synthesis of Plucked-String and Drum Timbres, 1983.
#[derive(Clone, Debug)]
pub struct Plucked {
    /// Pitch in hertz.
    pub hz: f64,
    /// The factor for each pass through the loop.
    pub damp: f32,
    /// The number of times the burst is smoothed: more for a softer pluck.
    pub softness: u32,
    /// The gain into the nonlinearity of an amplifier; 0 for none.
    pub drive: f32,
    /// The envelope of the loudness.
    pub envelope: Envelope,
}

impl Plucked {
    /// Adds the string to `out`; `key` is the seed of its burst.
    pub fn play(&self, key: u32, out: &mut [f32], scratch: &mut Vec<f32>) {
        let length = out.len() as f64 / RATE_HZ;
        let period = ((RATE_HZ / self.hz - 0.5).round() as usize).max(4);
        scratch.clear();
        scratch.resize(out.len() + period + 1, 0.0);
        for (at, sample) in scratch[..=period].iter_mut().enumerate() {
            *sample = noise(key, (at % period) as u32);
        }
        for _ in 0..self.softness {
            let first = scratch[0];
            for at in 0..period {
                scratch[at] = 0.5 * (scratch[at] + scratch[at + 1]);
            }
            scratch[period] = 0.5 * (scratch[period] + first);
        }
        let peak = scratch[..=period].iter().fold(1e-9_f32, |peak, x| peak.max(x.abs()));
        let half = 0.5 * self.damp;
        let mut start = period + 1;
        // One period at a time: within a period, no sample depends on another.
        while start < scratch.len() {
            let (past, next) = scratch.split_at_mut(start);
            let past = &past[start - period - 1..];
            for (next, pair) in next.iter_mut().zip(past.windows(2)) {
                *next = half * (pair[0] + pair[1]);
            }
            start += period;
        }
        let string = &scratch[period + 1..];
        let mut level = 0.0_f32;
        for (number, (out, string)) in
            out.chunks_mut(super::BLOCK).zip(string.chunks(super::BLOCK)).enumerate()
        {
            let end = ((number + 1) * super::BLOCK) as f64 / RATE_HZ;
            let target = self.envelope.at(end, length) as f32;
            let slope = (target - level) / super::BLOCK as f32;
            for (at, (out, string)) in out.iter_mut().zip(string).enumerate() {
                let mut x = string / peak;
                if self.drive > 0.0 {
                    let driven = self.drive * x;
                    x = driven / (1.0 + driven.abs());
                }
                *out += (level + slope * at as f32) * x;
            }
            level = target;
        }
    }
}
