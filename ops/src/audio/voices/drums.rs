//! A drum kit: kick, snare and hat.

use super::{RATE_HZ, noise, score::Song, sine};
use crate::math::random::Random;

/// Adds a pattern in the tempo of the song.
pub fn play(song: &Song, random: &mut Random, out: &mut [f32]) {
    let step = 0.5 * song.beat * RATE_HZ;
    let mut count = random.below(4);
    let mut at = random.between(0.0, step);
    while (at as usize) < out.len() {
        let out = &mut out[at as usize..];
        let key = random.bits();
        let hits: [bool; 3] = std::array::from_fn(|_| random.uniform() < song.drums);
        if count.is_multiple_of(2) && hits[0] {
            kick(out);
        }
        if count % 4 == 2 && hits[1] {
            burst(key, 0.5, 0.9991, 0.5, out);
        }
        if hits[2] {
            burst(key ^ 1, 0.2, 0.9985, 1.0, out);
        }
        at += step;
        count += 1;
    }
}

/// Adds a falling sine.
fn kick(out: &mut [f32]) {
    let (mut level, mut cycles, mut sweep) = (1.2_f32, 0.0_f32, 190.0_f32);
    for out in out.iter_mut().take(8000) {
        *out += level * sine(cycles);
        cycles += (48.0 + sweep) / RATE_HZ as f32;
        level *= 0.9995;
        sweep *= 0.9990;
    }
}

/// Adds decaying noise; `bright` takes differences of neighbouring samples, which boosts the high
/// frequencies.
fn burst(key: u32, level: f32, shrink: f32, bright: f32, out: &mut [f32]) {
    let (mut level, mut last) = (level, 0.0);
    for (at, out) in out.iter_mut().take(6000).enumerate() {
        let white = noise(key, at as u32);
        *out += level * (white - bright * last);
        last = white;
        level *= shrink;
    }
}
