//! The constant-Q transform: spectra whose bins are spaced as the notes of a scale are.

use super::{
    resample::{self, Resampler},
    vector_norm::Norm,
};
use realfft::{RealFftPlanner, RealToComplex};
use rustfft::{FftPlanner, num_complex::Complex};
use std::{f64::consts::TAU, sync::Arc};

/// The bandwidth of a Hann window in bins.
const HANN_BANDWIDTH: f64 = 1.500_183_105_468_75;

/// The most halvings at once: no resampler goes further down.
const MAX_HALVINGS: i64 = 9;

/// The numbers that decide a transform.
#[derive(Clone, Copy, Debug)]
pub struct Bins {
    /// Frames a second.
    pub sample_rate: f64,
    /// Samples from one frame to the next.
    pub hop: usize,
    /// The frequency of the lowest bin in Hz.
    pub fmin: f64,
    /// The number of bins.
    pub count: usize,
    /// Bins an octave.
    pub per_octave: usize,
    /// The factor of the length of all filters.
    pub filter_scale: f64,
    /// The norm to which filters are brought.
    pub norm: Option<Norm>,
    /// The share of each filter's magnitudes that is left out, smallest ones first.
    pub sparsity: f64,
    /// True if bins are divided by the square root of the length of their filter.
    pub scale: bool,
}

impl Bins {
    /// The frequency of a bin in Hz.
    pub fn frequency(&self, bin: usize) -> f64 {
        2.0_f64.powf(bin as f64 / self.per_octave as f64) * self.fmin
    }

    /// The number of periods in a filter.
    fn q(&self) -> f64 {
        let step = 2.0_f64.powf(2.0 / self.per_octave as f64);
        self.filter_scale * (step + 1.0) / (step - 1.0)
    }

    /// The frequency in Hz up to which the highest filter reaches.
    pub fn highest(&self) -> f64 {
        self.frequency(self.count - 1) * (1.0 + 0.5 * HANN_BANDWIDTH / self.q())
    }

    /// The length of the lowest filter in samples.
    pub fn longest(&self) -> f64 {
        self.q() * self.sample_rate / self.fmin
    }

    /// The number of times the sample rate can be halved before any filter is applied.
    fn early_halvings(&self, octaves: usize) -> u32 {
        let spare = ((self.sample_rate / 2.0 / self.highest()).log2().ceil() as i64 - 2).max(0);
        let hops = (i64::from(self.hop.trailing_zeros()) - octaves as i64 + 1).max(0);
        spare.min(hops).min(MAX_HALVINGS) as u32
    }
}

/// The pitch class of each bin of an octave that begins at `fmin`, of which the first is C. A class has as
/// many bins as every other, its note in their middle.
///
/// Source: `librosa.filters.cq_to_chroma`.
pub fn pitch_classes(fmin: f64, per_octave: usize, classes: usize) -> Vec<usize> {
    let each = per_octave / classes;
    let semitones = (12.0 * (fmin / 440.0).log2() + 69.0).rem_euclid(12.0);
    let first = (semitones * classes as f64 / 12.0).round_ties_even() as usize;
    let class = |bin: usize| ((bin + each / 2) % per_octave / each + first) % classes;
    (0..per_octave).map(class).collect()
}

/// A transform with all its filters, shared by threads.
///
/// The bins of the highest octave are products of a Fourier transform of each frame with those of
/// their filters, complex tones of `q` periods under a periodic Hann window; then the signal is halved
/// with the resampler, and so is the hop while it is even, for the next octave.
///
/// Source: `librosa.cqt`, after J. Brown (1991) and C. Schörkhuber and A. Klapuri (2010).
pub struct ConstantQ {
    bins: usize,
    early: Option<(Resampler, f32)>,
    halving: Resampler,
    octaves: Vec<Octave>,
    /// The factor of each bin.
    factors: Vec<f32>,
}

/// The places and the weights of the spectrum of a filter.
type Filter = Vec<(u32, Complex<f64>)>;

/// The filters of one octave.
struct Octave {
    hop: usize,
    fft: Arc<dyn RealToComplex<f64>>,
    /// The bins, lowest first.
    filters: Vec<Filter>,
    /// True if the signal is halved afterwards.
    halves: bool,
}

/// The buffers of one thread.
#[derive(Default)]
pub struct Scratch {
    resampling: Option<[resample::Scratch; 2]>,
    signal: Vec<f32>,
    other: Vec<f32>,
    frame: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
    work: Vec<Complex<f64>>,
}

impl ConstantQ {
    /// Plans a transform.
    pub fn new(of: &Bins) -> Self {
        let down = |by: u32| {
            let made = Resampler::new(by * resample::MIN_RATE, resample::MIN_RATE);
            made.expect("both rates are within the limits")
        };
        let per_octave = of.per_octave.min(of.count);
        let count = of.count.div_ceil(of.per_octave);
        let early = of.early_halvings(count);
        let rate = of.sample_rate / f64::from(1_u32 << early);
        let factor = 1_u32 << early;
        let (mut own, mut hop, mut end) = (rate, of.hop >> early, of.count);
        let (mut planner, mut real) = (FftPlanner::new(), RealFftPlanner::new());
        let octaves = (0..count).map(|_| {
            let bins = end.saturating_sub(per_octave)..end;
            end = bins.start;
            let (n_fft, filters) = filters(of, bins, own, (rate / own).sqrt(), &mut planner);
            let halves = hop.is_multiple_of(2);
            let octave = Octave { hop, fft: real.plan_fft_forward(n_fft), filters, halves };
            if halves {
                (own, hop) = (own / 2.0, hop / 2);
            }
            octave
        });
        let octaves = octaves.collect();
        let lengths = (0..of.count).map(|bin| of.q() * rate / of.frequency(bin));
        let factors = match of.scale {
            true => lengths.map(|length| (1.0 / length.sqrt()) as f32).collect(),
            false => vec![1.0; of.count],
        };
        // What is halved grows by √2, and by as much again if lengths do not make up for it.
        let growth = if of.scale { f64::from(factor).sqrt() } else { f64::from(factor) } as f32;
        let early = (early > 0).then(|| (down(factor), growth));
        Self { bins: of.count, early, halving: down(2), octaves, factors }
    }

    /// Writes the magnitudes of a signal, bin after bin, as many frames of each as fit.
    pub fn magnitudes(&self, signal: &[f32], scratch: &mut Scratch, out: &mut [f32]) {
        let frames = out.len() / self.bins;
        let Scratch { resampling, signal: own, other, frame, spectrum, work } = scratch;
        let [first, next] = resampling.get_or_insert_with(|| {
            let first = self.early.as_ref().map_or(&self.halving, |(first, _)| first);
            [first.scratch(), self.halving.scratch()]
        });
        match &self.early {
            Some((resampler, growth)) => halved(resampler, *growth, signal, first, own),
            None => signal.clone_into(own),
        }
        let mut end = self.bins;
        for octave in &self.octaves {
            let n_fft = octave.fft.len();
            let from = end - octave.filters.len();
            frame.resize(n_fft, 0.0);
            spectrum.resize(n_fft / 2 + 1, Complex::default());
            work.resize(octave.fft.get_scratch_len(), Complex::default());
            for at in 0..frames {
                let has_sound = copy_frame(own, at * octave.hop, frame);
                if has_sound {
                    octave.fft.process_with_scratch(frame, spectrum, work).expect("lengths fit");
                }
                for (bin, filter) in (from..).zip(&octave.filters) {
                    let product =
                        |&(place, weight): &(u32, Complex<f64>)| weight * spectrum[place as usize];
                    let sum: Complex<f64> = filter.iter().map(product).sum();
                    let size = if has_sound { sum.norm() as f32 * self.factors[bin] } else { 0.0 };
                    out[bin * frames + at] = size;
                }
            }
            end = from;
            if octave.halves {
                halved(&self.halving, std::f32::consts::SQRT_2, own, next, other);
                std::mem::swap(own, other);
            }
        }
    }
}

/// Resamples a signal and multiplies it.
fn halved(
    resampler: &Resampler,
    by: f32,
    signal: &[f32],
    scratch: &mut resample::Scratch,
    out: &mut Vec<f32>,
) {
    out.clear();
    out.resize(resampler.length(signal.len()), 0.0);
    resampler.process(signal, scratch, out);
    out.iter_mut().for_each(|sample| *sample *= by);
}

/// Copies the samples around a place, zeros beyond the ends; false if all are zero.
fn copy_frame(signal: &[f32], middle: usize, frame: &mut [f64]) -> bool {
    let half = frame.len() / 2;
    let lead = half.saturating_sub(middle).min(frame.len());
    let from = (middle + lead).saturating_sub(half).min(signal.len());
    let count = (frame.len() - lead).min(signal.len() - from);
    frame.fill(0.0);
    let sound = frame[lead..lead + count].iter_mut().zip(&signal[from..from + count]);
    sound.for_each(|(place, sample)| *place = f64::from(*sample));
    frame.iter().any(|&sample| sample != 0.0)
}

/// The length of the transform, and the spectra of the filters of these bins at a sample rate.
fn filters(
    of: &Bins,
    bins: std::ops::Range<usize>,
    rate: f64,
    factor: f64,
    planner: &mut FftPlanner<f64>,
) -> (usize, Vec<Filter>) {
    let length = |bin: usize| of.q() * rate / of.frequency(bin);
    let n_fft = (length(bins.start).ceil() as usize).next_power_of_two();
    let fft = planner.plan_fft_forward(n_fft);
    let filter = |bin: usize| {
        let length = length(bin);
        let (from, to) = ((-length / 2.0).floor() as i64, (length / 2.0).floor() as i64);
        let count = (to - from) as usize;
        let hann = |n: usize| match count {
            1 => 1.0,
            _ => 0.5 - 0.5 * (TAU * n as f64 / count as f64).cos(),
        };
        let tone = |n: i64| Complex::from_polar(1.0, n as f64 * TAU * of.frequency(bin) / rate);
        let taps: Vec<Complex<f64>> =
            (from..to).enumerate().map(|(n, place)| tone(place) * hann(n)).collect();
        let norm = of.norm.map_or(1.0, |norm| norm.of(taps.iter().map(|tap| tap.norm())));
        let mut spectrum = vec![Complex::default(); n_fft];
        let lead = (n_fft - count.min(n_fft)) / 2;
        for (target, tap) in spectrum[lead..].iter_mut().zip(&taps) {
            *target = tap / norm * (length / n_fft as f64 * factor);
        }
        fft.process(&mut spectrum);
        spectrum.truncate(n_fft / 2 + 1);
        largest(&spectrum, of.sparsity)
    };
    (n_fft, bins.map(filter).collect())
}

/// The largest numbers of a spectrum with their places; those left out have at most this share of all
/// magnitudes.
fn largest(spectrum: &[Complex<f64>], left_out: f64) -> Filter {
    let mut sizes: Vec<f64> = spectrum.iter().map(|it| it.norm()).collect();
    let all: f64 = sizes.iter().sum();
    sizes.sort_by(f64::total_cmp);
    let mut sum = 0.0;
    let least = sizes.into_iter().find(|size| {
        sum += size / all;
        sum >= left_out
    });
    let least = least.unwrap_or(0.0);
    let kept = spectrum.iter().enumerate().filter(|(_, it)| it.norm() >= least);
    kept.map(|(place, it)| (place as u32, *it)).collect()
}
