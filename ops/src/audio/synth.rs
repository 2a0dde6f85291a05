//! Stand-in until the synthesiser is here: one sine a clip.

use super::decode::Signal;

/// A sine whose pitch depends on class and index.
pub fn render(seed: u64, class: u32, index: u32) -> Signal {
    let pitch = 110.0 * (1.0 + f64::from(class) + f64::from(index) * 0.01 + (seed % 7) as f64);
    let sample = |frame: u32| {
        (std::f64::consts::TAU * pitch * f64::from(frame) / 22_050.0).sin() as f32 * 0.5
    };
    Signal { sample_rate: 22_050, channels: 1, samples: (0..66_150).map(sample).collect() }
}
