//! Common parts of the synthesiser's voices: a fast sine, noise, envelopes, vibrato.
//!
//! Voices work in blocks: pitch and loudness are computed once for each block, and the samples in
//! between come from recurrences, so that no transcendental function is called for a sample.

pub mod drums;
pub mod fm;
pub mod harmonic;
pub mod instruments;
pub mod plucked;
pub mod score;
pub mod struck;

/// Frames a second of all synthesised clips.
pub const RATE: u32 = 44_100;

/// The number of frames between two updates of pitch and loudness.
pub const BLOCK: usize = 64;

pub(crate) const RATE_HZ: f64 = RATE as f64;

/// The highest frequency of a partial, as a fraction of the sample rate.
pub(crate) const MAX_PARTIAL: f64 = 0.45;

/// sin(2π·`cycles`), with an error of at most 1.2e-7 for up to a few hundred cycles.
///
/// x·(1 − 4x²) has the zeros of the sine on [−½, ½]; the rest is an even polynomial, fitted by
/// least squares at Chebyshev points.
pub fn sine(cycles: f32) -> f32 {
    let x = cycles - nearest(cycles);
    let square = x * x;
    let even = ((3.058_982_6 * square - 9.531_045) * square + 16.761_004) * square - 16.208_672;
    x * (1.0 - 4.0 * square) * (even * square + 6.283_182_6)
}

/// The nearest whole number, for numbers up to 2²². Adding 1.5 · 2²³ leaves no bit for a fraction,
/// which rounds without a branch or a call.
pub(crate) fn nearest(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    (x + ROUND) - ROUND
}

/// White noise in [−1, 1): a hash of the position, so that it needs no state.
///
/// Source: the 32-bit mixer `lowbias32` of C. Wellons.
pub fn noise(key: u32, at: u32) -> f32 {
    let mut x = at.wrapping_mul(0x9E37_79B9) ^ key;
    x = (x ^ (x >> 16)).wrapping_mul(0x7FEB_352D);
    x = (x ^ (x >> 15)).wrapping_mul(0x846C_A68B);
    (x ^ (x >> 16)) as i32 as f32 / 2_147_483_648.0
}

/// The envelope of a note: attack, decay to a plateau, and release.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    /// Seconds from silence to the peak.
    pub attack: f64,
    /// Seconds from the peak to the plateau.
    pub decay: f64,
    /// The level of the plateau; the peak is 1.
    pub sustain: f64,
    /// Seconds of the release.
    pub release: f64,
}

impl Envelope {
    /// The level `t` seconds into a note of `length` seconds.
    pub fn at(&self, t: f64, length: f64) -> f64 {
        let rise = (t / self.attack).min(1.0);
        let fall = ((t - self.attack) / self.decay).clamp(0.0, 1.0);
        let end = ((length - t) / self.release).clamp(0.0, 1.0);
        rise * (1.0 - (1.0 - self.sustain) * fall) * end
    }
}

/// The vibrato of a note, with the glide at its start.
#[derive(Clone, Copy, Debug)]
pub struct Vibrato {
    /// Depth in cents, reached after a quarter of a second.
    pub cents: f64,
    /// Cycles a second.
    pub rate: f64,
    /// The phase at the start of the note, in cycles.
    pub phase: f64,
    /// The deviation from the pitch at the start of the note, in cents.
    pub scoop: f64,
}

impl Vibrato {
    /// The factor on the pitch, `t` seconds into a note.
    pub fn at(&self, t: f64) -> f64 {
        let onset = (4.0 * t).min(1.0);
        let wave = f64::from(sine((self.rate * t + self.phase) as f32));
        // A scoop lasts 60 ms; a parabola is as good as an exponential.
        let scoop = self.scoop * (1.0 - t / 0.06).max(0.0).powi(2);
        ((self.cents * onset * wave + scoop) / 1200.0).exp2()
    }
}

/// The phase of a note, block after block.
pub(crate) struct Phase(f64);

impl Phase {
    pub(crate) fn new(cycles: f64) -> Self {
        Self(cycles)
    }

    /// The phases of one block in cycles, at a pitch of `hz`.
    pub(crate) fn block(&mut self, hz: f64) -> [f32; BLOCK] {
        let step = hz / RATE_HZ;
        let (start, slope) = (self.0 as f32, step as f32);
        self.0 = (self.0 + step * BLOCK as f64).fract();
        std::array::from_fn(|at| start + slope * at as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_is_a_sine() {
        for step in -4000..4000 {
            let cycles = step as f32 / 1013.0;
            let exact = (std::f64::consts::TAU * f64::from(cycles)).sin();
            assert!((f64::from(sine(cycles)) - exact).abs() < 2e-6, "{cycles}");
        }
    }

    #[test]
    fn noise_is_white_and_bounded() {
        let n = 1 << 14;
        let x: Vec<f64> = (0..n).map(|at| f64::from(noise(7, at))).collect();
        assert!(x.iter().all(|x| (-1.0..1.0).contains(x)));
        let mean = x.iter().sum::<f64>() / f64::from(n);
        let power = x.iter().map(|x| x * x).sum::<f64>() / f64::from(n);
        let lag = x.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.02 && (power - 1.0 / 3.0).abs() < 0.01 && lag.abs() < 0.01);
    }

    #[test]
    fn an_envelope_starts_and_ends_in_silence() {
        let envelope = Envelope { attack: 0.1, decay: 0.1, sustain: 0.5, release: 0.2 };
        assert_eq!(envelope.at(0.0, 1.0), 0.0);
        assert_eq!(envelope.at(0.1, 1.0), 1.0);
        assert_eq!(envelope.at(0.5, 1.0), 0.5);
        assert_eq!(envelope.at(1.0, 1.0), 0.0);
    }
}
