//! Changes of speed that keep the pitch, and of pitch that keep the speed: the phase vocoder.

use super::resample::Resampler;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::num_complex::Complex;
use std::{
    f64::consts::{PI, TAU},
    sync::Arc,
};

/// The length of a frame, and the samples from one to the next.
const N_FFT: usize = 2_048;
const HOP: usize = N_FFT / 4;

/// A phase vocoder with its plans, shared by threads. It computes in double precision: the phases that it
/// adds up grow to a hundred thousand.
pub struct Vocoder {
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
    window: Vec<f64>,
}

/// The spectrum of a frame, as magnitudes and phases.
struct Polar {
    frame: Option<usize>,
    sizes: Vec<f64>,
    phases: Vec<f64>,
}

impl Default for Vocoder {
    fn default() -> Self {
        let mut planner = RealFftPlanner::new();
        Self {
            forward: planner.plan_fft_forward(N_FFT),
            inverse: planner.plan_fft_inverse(N_FFT),
            window: (0..N_FFT).map(|n| 0.5 - 0.5 * (TAU * n as f64 / N_FFT as f64).cos()).collect(),
        }
    }
}

impl Vocoder {
    /// The number of samples of a signal at another speed.
    pub fn length(samples: usize, rate: f64) -> usize {
        (samples as f64 / rate).round_ties_even() as usize
    }

    /// The signal `rate` times as fast, with the same pitch.
    ///
    /// The magnitudes of the frames between two of the signal's are interpolated; the phases go on by
    /// what they go on between these two.
    ///
    /// Source: `librosa.effects.time_stretch`, after M. Dolson (1986) and D. Ellis.
    pub fn stretch(&self, signal: &[f32], rate: f64) -> Vec<f32> {
        let frames = 1 + signal.len() / HOP;
        let length = Self::length(signal.len(), rate);
        let steps = ((frames as f64 / rate).ceil() as usize).min((length + N_FFT).div_ceil(HOP));
        let bins = N_FFT / 2 + 1;
        let none = || Polar { frame: None, sizes: vec![0.0; bins], phases: vec![0.0; bins] };
        let (mut own, mut next) = (none(), none());
        let mut points = self.forward.make_output_vec();
        let mut samples = self.forward.make_input_vec();
        let (mut sums, mut weights) = (vec![0.0; length], vec![0.0; length]);
        self.analyse(signal, 0, &mut own);
        let mut phases = own.phases.clone();
        for step in 0..steps {
            let time = step as f64 * rate;
            let (frame, share) = (time as usize, time.fract());
            if next.frame == Some(frame) {
                std::mem::swap(&mut own, &mut next);
            }
            self.analyse(signal, frame, &mut own);
            self.analyse(signal, frame + 1, &mut next);
            for (bin, point) in points.iter_mut().enumerate() {
                let size = (1.0 - share) * own.sizes[bin] + share * next.sizes[bin];
                *point = Complex::from_polar(size, phases[bin]);
                let advance = HOP as f64 * PI * bin as f64 / (bins - 1) as f64;
                let more = next.phases[bin] - own.phases[bin] - advance;
                phases[bin] += advance + more - TAU * (more / TAU).round_ties_even();
            }
            points[0].im = 0.0;
            points[bins - 1].im = 0.0;
            self.inverse.process(&mut points, &mut samples).expect("the ends are real");
            // Frames are centred: the first begins half a frame before the signal.
            let start = step * HOP;
            for (at, (sample, weight)) in samples.iter().zip(&self.window).enumerate() {
                let Some(place) = (start + at).checked_sub(N_FFT / 2) else { continue };
                let Some(sum) = sums.get_mut(place) else { break };
                *sum += sample * weight / N_FFT as f64;
                weights[place] += weight * weight;
            }
        }
        let both = sums.iter().zip(&weights);
        both.map(|(sum, weight)| match *weight > f64::MIN_POSITIVE {
            true => (sum / weight) as f32,
            false => *sum as f32,
        })
        .collect()
    }

    /// Fills in a frame of a signal; those after its end are silent.
    fn analyse(&self, signal: &[f32], frame: usize, polar: &mut Polar) {
        if polar.frame == Some(frame) {
            return;
        }
        polar.frame = Some(frame);
        if frame > signal.len() / HOP {
            polar.sizes.fill(0.0);
            polar.phases.fill(0.0);
            return;
        }
        let sample =
            |n: usize| (frame * HOP + n).checked_sub(N_FFT / 2).and_then(|at| signal.get(at));
        let weighed = |(n, weight)| sample(n).map_or(0.0, |sample| f64::from(*sample) * weight);
        let mut samples: Vec<f64> = self.window.iter().enumerate().map(weighed).collect();
        let mut points = self.forward.make_output_vec();
        self.forward.process(&mut samples, &mut points).expect("lengths fit");
        for (bin, point) in points.iter().enumerate() {
            polar.sizes[bin] = point.norm();
            // The sign of a zero means nothing.
            polar.phases[bin] = if point.norm() == 0.0 { 0.0 } else { point.arg() };
        }
    }
}

/// A change of pitch by some octaves.
pub struct PitchShift {
    vocoder: Vocoder,
    rate: f64,
    /// None where the speed stays.
    resampler: Option<Resampler>,
}

/// The most octaves up or down.
pub const MAX_OCTAVES: f64 = 4.0;

impl PitchShift {
    /// Plans a change by this many octaves, up to [`MAX_OCTAVES`] up or down.
    pub fn new(octaves: f64) -> Self {
        let rate = 2.0_f64.powf(-octaves.clamp(-MAX_OCTAVES, MAX_OCTAVES));
        let (up, down) = ratio(rate);
        // Rates in Hz that a resampler takes.
        let by = 1_000_u32.div_ceil(up.min(down));
        let resampler = (up != down)
            .then(|| Resampler::new(down * by, up * by).expect("both rates are within the limits"));
        Self { vocoder: Vocoder::default(), rate, resampler }
    }

    /// The signal with another pitch, and of the same length: it is stretched, then resampled.
    ///
    /// Source: `librosa.effects.pitch_shift`.
    pub fn process(&self, signal: &[f32]) -> Vec<f32> {
        let stretched = self.vocoder.stretch(signal, self.rate);
        let Some(resampler) = &self.resampler else { return stretched };
        let mut shifted = vec![0.0; signal.len()];
        resampler.process(&stretched, &mut resampler.scratch(), &mut shifted);
        shifted
    }
}

/// The fraction nearest to a ratio, with terms up to 30,000: the error over a minute is below a tenth of a
/// sample.
fn ratio(of: f64) -> (u32, u32) {
    const MAX_TERM: u32 = 30_000;
    let (mut before, mut own) = ((0, 1), (1, 0));
    let mut rest = of;
    loop {
        let whole = rest.floor();
        let next = |before: u32, own: u32| f64::from(before) + whole * f64::from(own);
        let (up, down) = (next(before.0, own.0), next(before.1, own.1));
        if up.max(down) > f64::from(MAX_TERM) {
            return own;
        }
        (before, own) = (own, (up as u32, down as u32));
        if (rest - whole).abs() < 1e-9 {
            return own;
        }
        rest = 1.0 / (rest - whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64, samples: usize) -> Vec<f32> {
        (0..samples).map(|n| (0.5 * (TAU * hz * n as f64 / 8_000.0).sin()) as f32).collect()
    }

    /// The frequency of a tone, from the times at which it passes zero.
    fn hz(signal: &[f32]) -> f64 {
        let middle = &signal[4_096..signal.len() - 4_096];
        let turns = middle.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
        turns as f64 * 8_000.0 / middle.len() as f64
    }

    #[test]
    fn a_tone_is_as_much_higher_as_it_should_be() {
        for steps in [-12.0_f64, -5.0, 0.0, 3.0, 7.5] {
            let shifted = PitchShift::new(steps / 12.0).process(&tone(500.0, 24_000));
            assert_eq!(shifted.len(), 24_000);
            let expected = 500.0 * 2.0_f64.powf(steps / 12.0);
            assert!((hz(&shifted) - expected).abs() < 1.0, "{steps}: {}", hz(&shifted));
        }
    }

    #[test]
    fn another_speed_keeps_the_pitch() {
        for rate in [0.5, 0.9, 1.0, 1.5] {
            let stretched = Vocoder::default().stretch(&tone(500.0, 24_000), rate);
            assert_eq!(stretched.len(), (24_000.0_f64 / rate).round() as usize);
            assert!((hz(&stretched) - 500.0).abs() < 1.0, "{rate}: {}", hz(&stretched));
        }
        assert!(Vocoder::default().stretch(&[], 2.0).is_empty());
    }

    #[test]
    fn fractions_are_near() {
        assert_eq!(ratio(0.5), (1, 2));
        assert_eq!(ratio(1.0), (1, 1));
        for of in [2.0_f64.powf(1.0 / 12.0), 2.0_f64.powf(-7.3 / 12.0), 15.9, 0.07] {
            let (up, down) = ratio(of);
            assert!((f64::from(up) / f64::from(down) / of - 1.0).abs() < 2e-8, "{of}: {up}/{down}");
        }
    }
}
