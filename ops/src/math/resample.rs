//! Sample-rate conversion that agrees with soxr's `HQ`, the resampler librosa uses.
//!
//! The filters of [`super::resample_chain`] are applied as one filter, whose response is the
//! product of theirs, by overlap-save: a block of `k · down` input samples is transformed,
//! multiplied by that response, and transformed back over `k · up` points, which removes or adds
//! the bands between the two rates. This equals the chain up to its stop bands, and costs the same
//! for any ratio. Two blocks are processed together as the real and the imaginary part of one,
//! which a real response keeps separate. If there is more than one filter, the first few outputs
//! differ and are computed filter by filter ([`super::resample_start`]).

use super::{
    resample_chain::{Filter, chain, gcd},
    resample_start::{self, Start},
};
use realfft::RealFftPlanner;
use rustfft::{Fft, FftPlanner, num_complex::Complex};
use std::sync::Arc;

/// The lowest supported sample rate in hertz.
pub const MIN_RATE: u32 = 1_000;
/// The highest supported sample rate in hertz.
pub const MAX_RATE: u32 = 1_000_000;

/// A conversion between two rates, planned once and shared by threads.
pub struct Resampler {
    up: usize,
    down: usize,
    /// The number of input samples to each side that an output depends on.
    support: usize,
    /// The number of steps of `down` input samples at each end of a block that circular filtering
    /// makes invalid.
    spoilt: usize,
    /// The number of steps of `down` input samples in a block.
    steps: usize,
    forward: Arc<dyn Fft<f32>>,
    inverse: Arc<dyn Fft<f32>>,
    /// The response at the bins of the input block; it is real, since the filter has no delay.
    response: Vec<f32>,
    /// The response for frequencies below 0, from the lowest on.
    mirrored: Vec<f32>,
    start: Start,
}

/// The buffers of one thread for one [`Resampler`].
pub struct Scratch {
    windows: [Vec<f32>; 2],
    input: Vec<Complex<f32>>,
    output: Vec<Complex<f32>>,
    work: Vec<Complex<f32>>,
    start: resample_start::Scratch,
}

impl Resampler {
    /// Plans the conversion from one rate to another, both in Hz.
    ///
    /// # Errors
    /// When a rate is outside [`MIN_RATE`] to [`MAX_RATE`].
    pub fn new(from: u32, to: u32) -> Result<Self, String> {
        for rate in [from, to] {
            if !(MIN_RATE..=MAX_RATE).contains(&rate) {
                return Err(format!(
                    "a sample rate of {rate} Hz is outside {MIN_RATE} to {MAX_RATE} Hz"
                ));
            }
        }
        let (from, to) = (from as usize, to as usize);
        let common = gcd(from, to);
        let (up, down) = (to / common, from / common);
        let filters = chain(up, down);
        let reaches = reaches(&filters);
        let support = reaches.iter().sum::<f64>();
        let spoilt = (support / down as f64).ceil() as usize;
        let steps = block_steps(up, down, spoilt);
        let mut planner = FftPlanner::new();
        let forward = planner.plan_fft_forward(steps * down);
        let inverse = planner.plan_fft_inverse(steps * up);
        let response = response(&filters, steps * down, steps * up);
        let mirrored = response[1..].iter().rev().copied().collect();
        let late = reaches[1..].iter().sum::<f64>() * up as f64 / down as f64;
        let start = Start::new(&filters, late.ceil() as usize);
        let support = support.ceil() as usize;
        Ok(Self { up, down, support, spoilt, steps, forward, inverse, response, mirrored, start })
    }

    /// Allocates the buffers of one thread.
    pub fn scratch(&self) -> Scratch {
        let (forward, inverse) = (&self.forward, &self.inverse);
        let work = forward.get_inplace_scratch_len().max(inverse.get_inplace_scratch_len());
        Scratch {
            windows: [0, 1].map(|_| vec![0.0; forward.len()]),
            input: vec![Complex::default(); forward.len()],
            output: vec![Complex::default(); inverse.len()],
            work: vec![Complex::default(); work],
            start: resample_start::Scratch::default(),
        }
    }

    /// The number of output samples for `length` input samples: `length · to / from`, rounded up.
    pub fn length(&self, length: usize) -> usize {
        (length as u128 * self.up as u128).div_ceil(self.down as u128) as usize
    }

    /// The number of input samples that determine the first `made` output samples exactly.
    pub fn reach(&self, made: usize) -> usize {
        let steps = self.steps - 2 * self.spoilt;
        let pairs = made.div_ceil(2 * steps * self.up).max(1);
        // Up to the end of the second window of the last pair, with a margin for the rounding of
        // lengths.
        let blocks = (2 * pairs).saturating_mul(steps) + self.steps;
        blocks.saturating_mul(self.down).max(self.start.reach()) + self.down
    }

    /// Converts `signal`, taken as silent before and after, into the start of `out`, as far as it
    /// fits; returns the number of samples. As in librosa the last sample is 0 if soxr, which
    /// rounds the length to the nearest number, gives one less than [`Self::length`].
    pub fn process(&self, signal: &[f32], scratch: &mut Scratch, out: &mut [f32]) -> usize {
        let length = self.length(signal.len()).min(out.len());
        let rounded = (2 * signal.len() as u128 * self.up as u128 + self.down as u128)
            / (2 * self.down as u128);
        let made = length.min(rounded as usize);
        let steps = self.steps - 2 * self.spoilt;
        let (kept, lead, first) = (steps * self.up, self.spoilt * self.down, self.spoilt * self.up);
        let Scratch { windows: [one, other], input, output, work, start } = scratch;
        for (pair, targets) in out[..made].chunks_mut(2 * kept).enumerate() {
            let place = 2 * pair * steps * self.down;
            copy_window(signal, place, lead, one);
            copy_window(signal, place + steps * self.down, lead, other);
            join(one, other, input);
            self.forward.process_with_scratch(input, work);
            self.filter(input, output);
            self.inverse.process_with_scratch(output, work);
            let (one, other) = targets.split_at_mut(kept.min(targets.len()));
            part(&output[first..], one, other);
        }
        self.start.process(signal, start, &mut out[..made]);
        self.silence(signal, &mut out[..made]);
        out[made..length].fill(0.0);
        length
    }

    /// Sets to zero what depends on silence alone: a transform spreads the rounding of loud samples over a block.
    fn silence(&self, signal: &[f32], out: &mut [f32]) {
        // The first sample that is not zero and not before the support of an output.
        let mut sound = 0;
        for (place, sample) in out.iter_mut().enumerate() {
            let centre = place * self.down / self.up;
            sound = sound.max(centre.saturating_sub(self.support)).min(signal.len());
            sound += signal[sound..].iter().take_while(|sample| **sample == 0.0).count();
            if sound == signal.len() || sound > centre + 1 + self.support {
                *sample = 0.0;
            }
        }
    }

    /// Computes the spectrum of the output from that of the input.
    fn filter(&self, input: &[Complex<f32>], output: &mut [Complex<f32>]) {
        let above = self.response.len();
        let below = above - 1;
        let (end_in, end_out) = (input.len() - below, output.len() - below);
        multiply(&mut output[..above], input, &self.response);
        output[above..end_out].fill(Complex::default());
        multiply(&mut output[end_out..], &input[end_in..], &self.mirrored);
    }
}

/// Joins two signals to one of complex numbers.
fn join(re: &[f32], im: &[f32], points: &mut [Complex<f32>]) {
    dispatch!(join_avx512, join_avx2, join_plain, (re, im, points))
}

/// Splits a signal of complex numbers into two; the second may be shorter.
fn part(points: &[Complex<f32>], re: &mut [f32], im: &mut [f32]) {
    dispatch!(part_avx512, part_avx2, part_plain, (points, re, im))
}

/// Computes `output` = `input` · `gains`.
fn multiply(output: &mut [Complex<f32>], input: &[Complex<f32>], gains: &[f32]) {
    dispatch!(multiply_avx512, multiply_avx2, multiply_plain, (output, input, gains))
}

versions!(join_body, join_avx512, join_avx2, join_plain, [],
    (re: &[f32], im: &[f32], points: &mut [Complex<f32>]));
versions!(part_body, part_avx512, part_avx2, part_plain, [],
    (points: &[Complex<f32>], re: &mut [f32], im: &mut [f32]));
versions!(multiply_body, multiply_avx512, multiply_avx2, multiply_plain, [],
    (output: &mut [Complex<f32>], input: &[Complex<f32>], gains: &[f32]));

#[inline(always)]
fn join_body(re: &[f32], im: &[f32], points: &mut [Complex<f32>]) {
    for ((point, &re), &im) in points.iter_mut().zip(re).zip(im) {
        *point = Complex::new(re, im);
    }
}

#[inline(always)]
fn part_body(points: &[Complex<f32>], re: &mut [f32], im: &mut [f32]) {
    re.iter_mut().zip(points).for_each(|(sample, point)| *sample = point.re);
    im.iter_mut().zip(points).for_each(|(sample, point)| *sample = point.im);
}

#[inline(always)]
fn multiply_body(output: &mut [Complex<f32>], input: &[Complex<f32>], gains: &[f32]) {
    for ((output, &input), &gain) in output.iter_mut().zip(input).zip(gains) {
        *output = input * gain;
    }
}

/// Fills `window` with the signal from `start - lead` on, with zeros outside the signal.
fn copy_window(signal: &[f32], start: usize, lead: usize, window: &mut [f32]) {
    let zeros = lead.saturating_sub(start).min(window.len());
    let from = (start + zeros).saturating_sub(lead).min(signal.len());
    let count = (window.len() - zeros).min(signal.len() - from);
    window[..zeros].fill(0.0);
    window[zeros..zeros + count].copy_from_slice(&signal[from..from + count]);
    window[zeros + count..].fill(0.0);
}

/// The rate of each filter's input, relative to that of the first.
fn rates(filters: &[Filter]) -> impl Iterator<Item = f64> {
    filters.iter().scan(1.0, |rate, filter| {
        let own = *rate;
        *rate *= filter.up as f64 / filter.down as f64;
        Some(own)
    })
}

/// The reach of each filter to each side, in input samples of the whole chain.
fn reaches(filters: &[Filter]) -> Vec<f64> {
    rates(filters).zip(filters).map(|(rate, filter)| filter.reach / rate).collect()
}

/// The product of all responses at the bins of a block of `inputs` samples, divided by `inputs` for
/// the transform back. It is limited to the bins of a block of `outputs` and to frequencies below
/// the Nyquist frequency of each filter.
fn response(filters: &[Filter], inputs: usize, outputs: usize) -> Vec<f32> {
    let shared = inputs.min(outputs).div_ceil(2);
    let mut product = vec![1.0 / inputs as f64; shared];
    let mut planner = RealFftPlanner::<f64>::new();
    for (rate, filter) in rates(filters).zip(filters) {
        // The kernel is sampled finely enough to avoid aliasing from its stop band.
        let oversampled = (4.0 * rate).ceil() as usize;
        let step = rate / oversampled as f64;
        let size = inputs * oversampled;
        let plan = planner.plan_fft_forward(size);
        let mut taps = plan.make_input_vec();
        taps[0] = filter.tap(0.0) * step;
        for at in 1..=(filter.reach / step) as usize {
            let tap = filter.tap(at as f64 * step) * step;
            taps[at] = tap;
            taps[size - at] = tap;
        }
        let mut bins = plan.make_output_vec();
        plan.process(&mut taps, &mut bins).expect("buffers have the planned lengths");
        product.iter_mut().zip(&bins).for_each(|(product, bin)| *product *= bin.re);
    }
    product.into_iter().map(|gain| gain as f32).collect()
}

/// The number of steps in a block with the least cost for each valid step.
fn block_steps(up: usize, down: usize, spoilt: usize) -> usize {
    const LARGE: usize = 1 << 13;
    let least = 2 * spoilt + 1;
    let most = (LARGE / up.max(down)).max(least + 4);
    let cost = |steps: usize| {
        let transform = |size: usize| size as f64 * (size as f64).log2();
        (transform(steps * up) + transform(steps * down)) / (steps - 2 * spoilt) as f64
    };
    (least..=most)
        .filter(|&steps| is_smooth(steps) || most == least + 4)
        .min_by(|&a, &b| cost(a).total_cmp(&cost(b)))
        .unwrap_or(least)
}

/// True if a number has no prime factor above 3, which are the fastest lengths of a transform.
fn is_smooth(mut number: usize) -> bool {
    for factor in [2, 3] {
        while number.is_multiple_of(factor) {
            number /= factor;
        }
    }
    number == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resample(signal: &[f32], from: u32, to: u32) -> Vec<f32> {
        let plan = Resampler::new(from, to).expect("ordinary rates");
        let mut out = vec![f32::NAN; plan.length(signal.len())];
        let made = plan.process(signal, &mut plan.scratch(), &mut out);
        assert_eq!(made, out.len());
        out
    }

    /// The definition: filter by filter, each output the sum over the input around its time.
    fn by_definition(signal: &[f32], from: usize, to: usize) -> Vec<f64> {
        let common = gcd(from, to);
        let (up, down) = (to / common, from / common);
        let signal: Vec<f64> = signal.iter().copied().map(f64::from).collect();
        let wanted = (signal.len() * up).div_ceil(down);
        let mut made = chain(up, down).iter().fold(signal, |signal, filter| {
            let length = (signal.len() * filter.up).div_ceil(filter.down);
            // The next filter does receive the ringing of a filter after the end.
            let ringing = (filter.reach * filter.up as f64 / filter.down as f64) as usize;
            let output = |n: usize| {
                let time = (n * filter.down) as f64 / filter.up as f64;
                let first = (time - filter.reach).max(0.0) as usize;
                let last = ((time + filter.reach) as usize + 1).min(signal.len());
                let near = first.min(last)..last;
                near.map(|k| signal[k] * filter.tap(time - k as f64)).sum()
            };
            (0..length + ringing).map(output).collect()
        });
        made.truncate(wanted);
        made
    }

    fn noise(length: usize) -> Vec<f32> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn blocks_equal_the_definition() {
        let signal = noise(1_500);
        for from in [48_000, 16_000, 8_000, 22_049, 96_000, 37_800, 4_000, 44_100, 88_200, 99_991] {
            let fast = resample(&signal, from, 22_050);
            let expected = by_definition(&signal, from as usize, 22_050);
            let worst = fast.iter().zip(&expected).take(expected.len() - 1);
            let worst = worst.map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
            // Single precision, and an attenuation of 127 dB.
            assert!(worst < 4e-6, "{from}: {worst:e}");
        }
    }

    #[test]
    fn silence_stays_silent_beyond_the_reach_of_the_filter() {
        for (from, to) in [(44_100, 22_050), (48_000, 22_050), (8_000, 22_050)] {
            let mut signal = noise(20_000);
            signal[6_000..14_000].fill(0.0);
            let made = resample(&signal, from, to);
            let expected = by_definition(&signal, from as usize, to as usize);
            let silent = made.iter().zip(&expected).filter(|(made, _)| **made == 0.0);
            assert!(silent.clone().count() > 7_000 * to as usize / from as usize, "{from} {to}");
            assert!(silent.clone().all(|(_, expected)| expected.abs() < 1e-6), "{from} {to}");
        }
    }

    #[test]
    fn a_constant_stays_and_lengths_are_rounded_up() {
        for (from, to) in [(44_100, 22_050), (48_000, 22_050), (11_025, 22_050), (96_000, 22_050)] {
            let out = resample(&vec![0.5; 20_000], from, to);
            assert!((out[out.len() / 2] - 0.5).abs() < 1e-6, "{from}: {}", out[out.len() / 2]);
        }
        let length = |from, n| Resampler::new(from, 22_050).expect("ordinary").length(n);
        assert_eq!([length(44_100, 132_299), length(44_100, 1), length(48_000, 1)], [66_150, 1, 1]);
        assert_eq!(length(48_000, 0), 0);
    }

    #[test]
    fn short_signals_and_short_outputs() {
        for n in 0..5 {
            assert_eq!(resample(&noise(n), 44_100, 22_050).len(), n.div_ceil(2));
            resample(&noise(n), 99_991, 22_050);
        }
        let plan = Resampler::new(44_100, 22_050).expect("ordinary");
        let (signal, mut cut) = (noise(50_000), vec![0.0; 9_000]);
        assert_eq!(plan.process(&signal, &mut plan.scratch(), &mut cut), 9_000);
        assert_eq!(cut[..], resample(&signal, 44_100, 22_050)[..9_000]);
    }

    #[test]
    fn the_first_outputs_follow_from_what_they_reach() {
        for from in [8_000, 16_000, 22_049, 44_100, 48_000, 96_000, 192_000, 37_800] {
            let plan = Resampler::new(from, 22_050).expect("ordinary");
            for made in [1, 100, 3_000, 22_050] {
                let signal = noise(plan.reach(made) + 30_000);
                let convert = |signal: &[f32]| {
                    let mut out = vec![f32::NAN; made];
                    assert_eq!(plan.process(signal, &mut plan.scratch(), &mut out), made);
                    out
                };
                assert_eq!(convert(&signal), convert(&signal[..plan.reach(made)]), "{from} {made}");
            }
        }
    }

    #[test]
    fn extreme_rates_are_refused_and_coprime_ones_work() {
        assert!(Resampler::new(1, 22_050).is_err());
        assert!(Resampler::new(44_100, u32::MAX).is_err());
        let out = resample(&noise(4_000), 44_100, 22_051);
        assert!(out.iter().all(|x| x.is_finite()));
    }
}
