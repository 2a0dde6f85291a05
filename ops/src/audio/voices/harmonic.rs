//! Additive synthesis of a harmonic tone with breath noise: strings, winds, organ and voice.

use super::{BLOCK, Envelope, MAX_PARTIAL, Phase, RATE_HZ, Vibrato, noise, sine};

/// The largest number of partials of a tone.
pub const PARTIALS: usize = 32;

/// A tone at whole multiples of one pitch.
#[derive(Clone, Debug)]
pub struct Harmonic {
    /// Pitch in hertz.
    pub hz: f64,
    /// Amplitudes of the partials at the start of the note.
    pub from: [f32; PARTIALS],
    /// Amplitudes at the end, to which it glides: two vowels for a voice.
    pub to: [f32; PARTIALS],
    /// The vibrato.
    pub vibrato: Vibrato,
    /// The tremolo: depth (0..1) and cycles a second.
    pub tremolo: (f64, f64),
    /// The envelope of the loudness.
    pub envelope: Envelope,
    /// Level of the breath or bow noise.
    pub breath: f32,
    /// The coefficient of the one-pole low-pass on the noise (0..1).
    pub breath_colour: f32,
}

impl Harmonic {
    /// Adds the tone to `out`; `key` is the seed of its noise.
    ///
    /// Partials come from sin(kθ) = 2 cos θ · sin((k−1)θ) − sin((k−2)θ).
    pub fn play(&self, key: u32, out: &mut [f32]) {
        let length = out.len() as f64 / RATE_HZ;
        let highest = self.hz * (1.0 + self.vibrato.cents / 1200.0);
        let sounding = |amplitudes: &[f32; PARTIALS]| {
            amplitudes.iter().rposition(|&amplitude| amplitude != 0.0).map_or(0, |last| last + 1)
        };
        let sounding = sounding(&self.from).max(sounding(&self.to));
        let partials = ((MAX_PARTIAL * RATE_HZ / highest) as usize).min(sounding);
        let mut phase = Phase::new(f64::from(key) / 4_294_967_296.0);
        let mut low = 0.0_f32;
        let mut level = 0.0_f32;
        for (number, out) in out.chunks_mut(BLOCK).enumerate() {
            let t = (number * BLOCK) as f64 / RATE_HZ;
            let end = t + BLOCK as f64 / RATE_HZ;
            let cycles = phase.block(self.hz * self.vibrato.at(t));
            let glide = ((1.5 * t / length) as f32 - 0.25).clamp(0.0, 1.0);
            let mut tone = [0.0_f32; BLOCK];
            let mut before = [0.0_f32; BLOCK];
            let mut now = cycles.map(sine);
            let twice_cos = cycles.map(|cycles| 2.0 * sine(cycles + 0.25));
            for (from, to) in self.from.iter().zip(&self.to).take(partials) {
                let amplitude = from + (to - from) * glide;
                for at in 0..BLOCK {
                    tone[at] += amplitude * now[at];
                    let next = twice_cos[at] * now[at] - before[at];
                    before[at] = now[at];
                    now[at] = next;
                }
            }
            let (depth, rate) = self.tremolo;
            let swing = 1.0 + depth * f64::from(sine((rate * end) as f32));
            let target = (self.envelope.at(end, length) * swing) as f32;
            let slope = (target - level) / BLOCK as f32;
            for (at, out) in out.iter_mut().enumerate() {
                let white = noise(key, (number * BLOCK + at) as u32);
                low += self.breath_colour * (white - low);
                *out += (level + slope * at as f32) * (tone[at] + self.breath * low);
            }
            level = target;
        }
    }
}
