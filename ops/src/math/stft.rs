//! The power spectrum of a signal, frame by frame.

use super::power::{self, PowerSpectrum};
use std::f64::consts::TAU;

/// A short-time Fourier transform. Frame `i` is centred on sample `i · hop` of the signal, with
/// zeros before and after the signal, under a periodic Hann window w(n) = ½ − ½ cos(2πn / length),
/// which is centred in the frame.
///
/// Source: `librosa.stft(center=True, pad_mode="constant", window="hann")`.
pub struct Stft {
    hop: usize,
    /// The start of the window in a frame, with its zeros left out.
    window_start: usize,
    window: Vec<f64>,
    spectrum: PowerSpectrum,
}

/// The buffers of one thread for one [`Stft`].
pub struct Scratch {
    frame: Vec<f64>,
    spectrum: power::Scratch,
}

impl Stft {
    /// Plans frames of `n_fft` samples, `hop` apart, under a window of `window` samples.
    ///
    /// # Panics
    /// If a number is zero or the window is longer than the frame.
    pub fn new(n_fft: usize, hop: usize, window: usize) -> Self {
        assert!(
            hop > 0 && window > 0 && window <= n_fft,
            "BUG: frames of {n_fft}, {hop}, {window}"
        );
        let hann = |n: usize| 0.5 - 0.5 * (TAU * n as f64 / window as f64).cos();
        Self {
            hop,
            window_start: (n_fft - window) / 2,
            window: (0..window).map(hann).collect(),
            spectrum: PowerSpectrum::new(n_fft),
        }
    }

    /// The number of frames of a signal with `length` samples.
    pub fn frames(&self, length: usize) -> usize {
        1 + length / self.hop
    }

    /// The number of frequencies in a frame: `n_fft / 2 + 1`.
    pub fn bins(&self) -> usize {
        self.spectrum.bins()
    }

    /// Allocates the buffers of one thread.
    pub fn scratch(&self) -> Scratch {
        Scratch { frame: vec![0.0; self.spectrum.n_fft()], spectrum: self.spectrum.scratch() }
    }

    /// Computes the squared magnitude at each frequency of one frame. Returns false, with `power`
    /// unchanged, if all samples of the frame are zero.
    pub fn power(
        &self,
        signal: &[f32],
        frame: usize,
        scratch: &mut Scratch,
        power: &mut [f32],
    ) -> bool {
        let n_fft = self.spectrum.n_fft();
        // The position in the padded signal, which has n_fft / 2 zeros before its first sample.
        let start = frame * self.hop + self.window_start;
        let lead = (n_fft / 2).saturating_sub(start).min(self.window.len());
        let from = (start + lead).saturating_sub(n_fft / 2).min(signal.len());
        let count = (self.window.len() - lead).min(signal.len() - from);
        let sound = &signal[from..from + count];
        if sound.iter().all(|&x| x == 0.0) {
            return false;
        }
        let head = self.window_start + lead;
        scratch.frame[..head].fill(0.0);
        scratch.frame[head + count..].fill(0.0);
        apply_window(sound, &self.window[lead..], &mut scratch.frame[head..head + count]);
        self.spectrum.process(&scratch.frame, &mut scratch.spectrum, power);
        true
    }
}

/// Computes `target` = `sound` · `window`.
fn apply_window(sound: &[f32], window: &[f64], target: &mut [f64]) {
    dispatch!(apply_window_avx512, apply_window_avx2, apply_window_plain, (sound, window, target))
}

versions!(apply_window_body, apply_window_avx512, apply_window_avx2, apply_window_plain, [],
    (sound: &[f32], window: &[f64], target: &mut [f64]));

#[inline(always)]
fn apply_window_body(sound: &[f32], window: &[f64], target: &mut [f64]) {
    for ((target, &x), &weight) in target.iter_mut().zip(sound).zip(window) {
        *target = f64::from(x) * weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, in double precision.
    fn by_definition(
        signal: &[f32],
        n_fft: usize,
        hop: usize,
        window: usize,
        frame: usize,
    ) -> Vec<f64> {
        let at = |n: usize| {
            let place = (frame * hop + n).checked_sub(n_fft / 2)?;
            let inside = n.checked_sub((n_fft - window) / 2).filter(|&n| n < window)?;
            let hann = 0.5 - 0.5 * (TAU * inside as f64 / window as f64).cos();
            Some(f64::from(*signal.get(place)?) * hann)
        };
        let frame: Vec<f64> = (0..n_fft).map(|n| at(n).unwrap_or(0.0)).collect();
        (0..=n_fft / 2)
            .map(|k| {
                let angle = |n: usize| TAU * (k * n % n_fft) as f64 / n_fft as f64;
                let re: f64 = frame.iter().enumerate().map(|(n, x)| x * angle(n).cos()).sum();
                let im: f64 = frame.iter().enumerate().map(|(n, x)| x * angle(n).sin()).sum();
                re * re + im * im
            })
            .collect()
    }

    #[test]
    fn power_equals_the_definition() {
        let signal: Vec<f32> = (0..700).map(|n| ((n * n) as f32 * 0.01).sin()).collect();
        for (n_fft, hop, window) in [(256, 64, 256), (256, 100, 150), (255, 64, 255), (16, 3, 9)] {
            let stft = Stft::new(n_fft, hop, window);
            let (mut scratch, mut power) = (stft.scratch(), vec![0.0; stft.bins()]);
            for frame in 0..stft.frames(signal.len()) {
                assert!(stft.power(&signal, frame, &mut scratch, &mut power));
                let expected = by_definition(&signal, n_fft, hop, window, frame);
                let top = expected.iter().fold(0.0_f64, |a, &b| a.max(b));
                for (fast, expected) in power.iter().zip(&expected) {
                    // Single precision of what is kept, and double of what it is computed in.
                    let apart = (f64::from(*fast) - expected).abs();
                    assert!(apart < 1e-7 * expected + 1e-26 * top, "{n_fft} {frame}: {apart:e}");
                }
            }
        }
    }

    #[test]
    fn a_frame_without_sound_is_said_to_be_silent() {
        let stft = Stft::new(64, 16, 64);
        let (mut scratch, mut power) = (stft.scratch(), vec![0.0; stft.bins()]);
        let mut signal = vec![0.0; 200];
        signal[10] = 1.0;
        let has_sound: Vec<bool> = (0..stft.frames(200))
            .map(|frame| stft.power(&signal, frame, &mut scratch, &mut power))
            .collect();
        assert!(
            has_sound[0] && has_sound[1] && has_sound[2] && !has_sound[3..].contains(&true),
            "{has_sound:?}"
        );
        assert!(!stft.power(&[], 0, &mut scratch, &mut power));
    }
}
