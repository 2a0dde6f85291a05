//! Frequency modulation: a tone that is brighter when it is louder, as brass instruments.

use super::{BLOCK, Envelope, Phase, RATE_HZ, Vibrato, sine};

/// A carrier and a modulator.
///
/// sin(2π·carrier + I(t)·sin(2π·ratio·carrier)); the index I follows the envelope.
/// Source: Chowning, The Synthesis of Complex Audio Spectra by Means of Frequency Modulation, 1973.
#[derive(Clone, Debug)]
pub struct Fm {
    /// Pitch in hertz.
    pub hz: f64,
    /// The modulator's pitch over the carrier's.
    pub ratio: f32,
    /// The highest modulation index, in radians.
    pub index: f64,
    /// The vibrato.
    pub vibrato: Vibrato,
    /// The envelope of the loudness.
    pub envelope: Envelope,
}

impl Fm {
    /// Adds the tone to `out`.
    pub fn play(&self, out: &mut [f32]) {
        let length = out.len() as f64 / RATE_HZ;
        // Above this index the sidebands would pass the highest frequency (Carson's rule).
        let room = (0.4 * RATE_HZ / self.hz - 1.0) / f64::from(self.ratio) - 1.0;
        let index = self.index.min(room.max(0.0)) / std::f64::consts::TAU;
        let mut phase = Phase::new(0.0);
        let mut level = 0.0_f32;
        for (number, out) in out.chunks_mut(BLOCK).enumerate() {
            let t = (number * BLOCK) as f64 / RATE_HZ;
            let end = t + BLOCK as f64 / RATE_HZ;
            let cycles = phase.block(self.hz * self.vibrato.at(t));
            let target = self.envelope.at(end, length) as f32;
            let slope = (target - level) / BLOCK as f32;
            for (at, out) in out.iter_mut().enumerate() {
                let loudness = level + slope * at as f32;
                let bend = index as f32 * loudness * sine(self.ratio * cycles[at]);
                *out += loudness * sine(cycles[at] + bend);
            }
            level = target;
        }
    }
}
