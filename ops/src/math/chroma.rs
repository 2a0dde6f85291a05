//! Filters from the bins of a transform to pitch classes.

use super::{tuning::octaves, vector_norm::Norm};
use crate::params::Positive;

/// The numbers that decide a bank of filters.
#[derive(Clone, Copy, Debug)]
pub struct Bank {
    /// Frames a second.
    pub sample_rate: f64,
    /// The length of a transform.
    pub n_fft: usize,
    /// The number of pitch classes.
    pub n_chroma: usize,
    /// The octave that weighs most, above 27.5 Hz, and the width around it; all weigh the same without.
    pub octaves: Option<(f64, f64)>,
    /// True if the first class is C, otherwise A.
    pub base_c: bool,
}

impl Bank {
    /// The filters for a tuning in fractions of a class, one after the other: a bump of Gaussian form
    /// around each class, columns of norm 1, then weights of octaves.
    ///
    /// Source: `librosa.filters.chroma`, after D. Ellis.
    pub fn filters(&self, tuning: f64) -> Vec<f32> {
        let Bank { sample_rate, n_fft, n_chroma, .. } = *self;
        let (bins, classes) = (n_fft / 2 + 1, n_chroma as f64);
        let correction = tuning / classes;
        let place = |bin: usize| {
            let hz = |bin: usize| bin as f64 * sample_rate / n_fft as f64;
            match bin {
                // A made-up place of 0 Hz, 1.5 octaves below the first bin.
                0 => classes * (octaves(hz(1)) - correction) - 1.5 * classes,
                _ => classes * (octaves(hz(bin)) - correction),
            }
        };
        let half = (classes / 2.0).round_ties_even();
        let turn = if self.base_c { 3 * (n_chroma / 12) } else { 0 };
        let mut filters = vec![0.0; n_chroma * bins];
        let two = Norm::Power(Positive::try_from(2.0).expect("2 is above 0"));
        let mut column = vec![0.0; n_chroma];
        for bin in 0..bins {
            let own = place(bin);
            let width = if bin + 1 < n_fft { (place(bin + 1) - own).max(1.0) } else { 1.0 };
            for (class, weight) in column.iter_mut().enumerate() {
                let far = own - class as f64 + half + 10.0 * classes;
                let far = far.rem_euclid(classes) - half;
                *weight = (-0.5 * (2.0 * far / width).powi(2)).exp();
            }
            two.divide(&mut column);
            let octave = self.octaves.map_or(1.0, |(centre, width)| {
                (-0.5 * ((own / classes - centre) / width).powi(2)).exp()
            });
            for (class, weight) in column.iter().enumerate() {
                let row = (class + n_chroma - turn % n_chroma) % n_chroma;
                filters[row * bins + bin] = (weight * octave) as f32;
            }
        }
        filters
    }
}
