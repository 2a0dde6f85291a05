//! The power spectrum of real numbers: squared magnitudes of their Fourier transform.

use rustfft::{Fft, FftPlanner, num_complex::Complex};
use std::{f64::consts::TAU, sync::Arc};

/// |Σ x(n) e^(−2πikn/N)|² for k = 0 … ⌊N/2⌋, computed in double precision: what single precision
/// leaves of a loud tone in the other frequencies is louder than what is there.
///
/// For an even N, pairs of neighbouring samples form N/2 complex numbers. Of their transform Z,
/// E = (Z(k) + Z*(N/2 − k)) / 2 and O = −i (Z(k) − Z*(N/2 − k)) / 2 are the transforms of the even
/// and the odd samples, so that X(k) = E + e^(−2πik/N) O and X(N/2 − k) = (E − e^(−2πik/N) O)*.
pub struct PowerSpectrum {
    length: usize,
    fft: Arc<dyn Fft<f64>>,
    /// e^(−2πik/N) for each pair of frequencies, k from 1.
    twiddles: Vec<Complex<f64>>,
}

/// The buffers of one thread for one [`PowerSpectrum`].
pub struct Scratch {
    points: Vec<Complex<f64>>,
    work: Vec<Complex<f64>>,
}

impl PowerSpectrum {
    /// Plans the transform of `length` samples.
    ///
    /// # Panics
    /// If `length` is zero.
    pub fn new(length: usize) -> Self {
        assert!(length > 0, "BUG: a transform of nothing");
        let points = if length.is_multiple_of(2) { length / 2 } else { length };
        let twiddle = |k: usize| {
            let angle = -TAU * k as f64 / length as f64;
            Complex::from_polar(1.0, angle)
        };
        let pairs = if length.is_multiple_of(2) { (points - 1) / 2 } else { 0 };
        Self {
            length,
            fft: FftPlanner::new().plan_fft_forward(points),
            twiddles: (1..=pairs).map(twiddle).collect(),
        }
    }

    /// The number of samples in a transform.
    pub fn n_fft(&self) -> usize {
        self.length
    }

    /// The number of frequencies.
    pub fn bins(&self) -> usize {
        self.length / 2 + 1
    }

    /// Allocates the buffers of one thread.
    pub fn scratch(&self) -> Scratch {
        let none = Complex::default();
        Scratch {
            points: vec![none; self.fft.len()],
            work: vec![none; self.fft.get_inplace_scratch_len()],
        }
    }

    /// Writes the power of `samples` at each frequency.
    pub fn process(&self, samples: &[f64], scratch: &mut Scratch, power: &mut [f32]) {
        let Scratch { points, work } = scratch;
        if !self.length.is_multiple_of(2) {
            for (point, &sample) in points.iter_mut().zip(samples) {
                *point = Complex::new(sample, 0.0);
            }
            self.fft.process_with_scratch(points, work);
            power
                .iter_mut()
                .zip(&*points)
                .for_each(|(power, point)| *power = point.norm_sqr() as f32);
            return;
        }
        for (point, &[even, odd]) in points.iter_mut().zip(samples.as_chunks().0) {
            *point = Complex::new(even, odd);
        }
        self.fft.process_with_scratch(points, work);
        let half = points.len();
        power[0] = (points[0].re + points[0].im).powi(2) as f32;
        power[half] = (points[0].re - points[0].im).powi(2) as f32;
        if half.is_multiple_of(2) {
            power[half / 2] = points[half / 2].norm_sqr() as f32;
        }
        let pairs = self.twiddles.len();
        let (low, high) = power.split_at_mut(half - pairs);
        let (first, last) = (&points[1..=pairs], &points[half - pairs..]);
        let (low, high) = (&mut low[1..=pairs], &mut high[..pairs]);
        dispatch!(pairs_avx512, pairs_avx2, pairs_plain, (first, last, &self.twiddles, low, high));
    }
}

/// The power at k and at N/2 − k, from Z in ascending order, Z in descending order, and
/// e^(−2πik/N). It is a separate function without indexing, so that a compiler can vectorise it.
#[inline(always)]
fn pairs(
    first: &[Complex<f64>],
    last: &[Complex<f64>],
    twiddles: &[Complex<f64>],
    low: &mut [f32],
    high: &mut [f32],
) {
    let points = first.iter().zip(last.iter().rev()).zip(twiddles);
    for ((low, high), ((a, b), w)) in low.iter_mut().zip(high.iter_mut().rev()).zip(points) {
        let (e_re, e_im) = (a.re + b.re, a.im - b.im);
        let (o_re, o_im) = (a.im + b.im, b.re - a.re);
        let (t_re, t_im) = (w.re * o_re - w.im * o_im, w.re * o_im + w.im * o_re);
        *low = (0.25 * ((e_re + t_re).powi(2) + (e_im + t_im).powi(2))) as f32;
        *high = (0.25 * ((e_re - t_re).powi(2) + (e_im - t_im).powi(2))) as f32;
    }
}

versions!(pairs, pairs_avx512, pairs_avx2, pairs_plain, [], (
    first: &[Complex<f64>],
    last: &[Complex<f64>],
    twiddles: &[Complex<f64>],
    low: &mut [f32],
    high: &mut [f32]
));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_equals_the_definition() {
        for length in [1, 2, 3, 4, 6, 7, 8, 10, 30, 100, 128] {
            let samples: Vec<f64> = (0..length).map(|n| ((n * n + 1) as f64).sin()).collect();
            let spectrum = PowerSpectrum::new(length);
            let mut power = vec![f32::NAN; spectrum.bins()];
            spectrum.process(&samples, &mut spectrum.scratch(), &mut power);
            for (k, &power) in power.iter().enumerate() {
                let point: Complex<f64> = (0..length)
                    .map(|n| {
                        let angle = -TAU * (k * n % length) as f64 / length as f64;
                        Complex::from_polar(samples[n], angle)
                    })
                    .sum();
                let expected = point.norm_sqr();
                let apart = (f64::from(power) - expected).abs();
                assert!(apart < 1e-7 * expected + 1e-24, "{length} {k}: {apart:e}");
            }
        }
    }
}
