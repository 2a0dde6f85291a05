//! Sample-rate conversion that agrees with soxr's `HQ`, the resampler librosa uses.
//!
//! The filter is linear-phase: a sinc under a Kaiser window. soxr asks for a pass band up to 0.913
//! and a stop band from 1.0 of the lower Nyquist frequency on, 126 dB down; what it does in fact
//! was measured with sines at over twenty ratios, and is the window of [`PASS`], [`STOP`] and
//! [`attenuation_db`] to 0.02 dB over the whole slope. For a ratio of exactly 2:1 it is soxr's
//! own measured answer to an impulse, which agrees to the rounding of single precision. At ratios
//! that are not of small whole numbers soxr itself droops by up to 0.008 dB below its slope; that
//! is not copied; nor is that at those ratios it loses what its first filter rings before the
//! start, which changes the first few samples of a recording that starts in the middle of a sound.
//!
//! Filtering is overlap-save: a block of `k · down` input samples is transformed, multiplied by
//! the filter's response, and transformed back over `k · up` points, which leaves out or adds the
//! bands between the two rates. That equals the polyphase filter of the same taps to its stop
//! band, and costs the same for any ratio.

use realfft::{ComplexToReal, RealFftPlanner, RealToComplex, num_complex::Complex};
use std::sync::Arc;

/// The lowest sample rate that is converted from or to, in Hz.
pub const LOWEST_RATE: u32 = 1_000;
/// The highest, in Hz.
pub const HIGHEST_RATE: u32 = 1_000_000;

/// End of the pass band, in lower Nyquist frequencies.
const PASS: f64 = 0.9142;
/// Start of the stop band, likewise.
const STOP: f64 = 0.9995;
/// The measured impulse response at 2:1: taps 0 to 200 input samples from the middle, in double
/// precision; the other half is the same.
static MEASURED_2_TO_1: &[u8] = include_bytes!("soxr_hq_2to1.f64");

/// A conversion between two rates, planned once and shared by threads.
pub struct Resampler {
    up: usize,
    down: usize,
    /// Steps of `down` input samples at each end of a block that circular filtering spoils.
    spoilt: usize,
    /// Steps of `down` input samples in a block.
    steps: usize,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    /// The filter at the bins of the input block; real, since it has no delay.
    response: Vec<f32>,
}

/// Memory of one thread for one [`Resampler`].
pub struct Scratch {
    input: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    output: Vec<f32>,
    work: Vec<Complex<f32>>,
}

impl Resampler {
    /// Plans the conversion from one rate to another, both in Hz.
    ///
    /// # Errors
    /// When a rate is outside [`LOWEST_RATE`] to [`HIGHEST_RATE`].
    pub fn new(from: u32, to: u32) -> Result<Self, String> {
        for rate in [from, to] {
            if !(LOWEST_RATE..=HIGHEST_RATE).contains(&rate) {
                return Err(format!(
                    "a sample rate of {rate} Hz is outside {LOWEST_RATE} to {HIGHEST_RATE} Hz"
                ));
            }
        }
        let common = gcd(from, to);
        let (up, down) = ((to / common) as usize, (from / common) as usize);
        let kernel =
            if (up, down) == (1, 2) { Kernel::measured() } else { Kernel::kaiser(up, down) };
        let spoilt = kernel.reach().div_ceil(down);
        let steps = block_steps(up, down, spoilt);
        let mut planner = RealFftPlanner::new();
        let forward = planner.plan_fft_forward(steps * down);
        let inverse = planner.plan_fft_inverse(steps * up);
        let response = kernel.response(steps * down, steps * up);
        Ok(Self { up, down, spoilt, steps, forward, inverse, response })
    }

    /// Memory for one thread.
    pub fn scratch(&self) -> Scratch {
        let work = self.forward.get_scratch_len().max(self.inverse.get_scratch_len());
        let bins = self.forward.complex_len().max(self.inverse.complex_len());
        Scratch {
            input: self.forward.make_input_vec(),
            spectrum: vec![Complex::default(); bins],
            output: self.inverse.make_output_vec(),
            work: vec![Complex::default(); work],
        }
    }

    /// How many samples come of `length` samples: `length · to / from`, rounded up.
    pub fn length(&self, length: usize) -> usize {
        (length as u128 * self.up as u128).div_ceil(self.down as u128) as usize
    }

    /// Converts `signal`, silent before and after, into the start of `out`, as much of it as
    /// fits; returns how many samples that is. As in librosa the last sample is 0 where soxr, which
    /// rounds the length to the nearest number, makes one less than [`Self::length`].
    pub fn process(&self, signal: &[f32], scratch: &mut Scratch, out: &mut [f32]) -> usize {
        let length = self.length(signal.len()).min(out.len());
        let rounded = (2 * signal.len() as u128 * self.up as u128 + self.down as u128)
            / (2 * self.down as u128);
        let made = length.min(rounded as usize);
        let kept = (self.steps - 2 * self.spoilt) * self.up;
        let lead = self.spoilt * self.down;
        let (bins_in, bins_out) = (self.forward.complex_len(), self.inverse.complex_len());
        let used = self.response.len();
        for (block, target) in out[..made].chunks_mut(kept).enumerate() {
            let start = block * (self.steps - 2 * self.spoilt) * self.down;
            copy_window(signal, start, lead, &mut scratch.input);
            let (spectrum, work) = (&mut scratch.spectrum, &mut scratch.work);
            self.forward
                .process_with_scratch(&mut scratch.input, &mut spectrum[..bins_in], work)
                .expect("buffers have the planned lengths");
            for (bin, gain) in spectrum.iter_mut().zip(&self.response) {
                *bin *= gain;
            }
            spectrum[used..].fill(Complex::default());
            spectrum[0].im = 0.0;
            self.inverse
                .process_with_scratch(&mut spectrum[..bins_out], &mut scratch.output, work)
                .expect("buffers have the planned lengths");
            let first = self.spoilt * self.up;
            target.copy_from_slice(&scratch.output[first..first + target.len()]);
        }
        out[made..length].fill(0.0);
        length
    }
}

/// Fills `window` with the signal from `start - lead` on, with zeros where there is none.
fn copy_window(signal: &[f32], start: usize, lead: usize, window: &mut [f32]) {
    let zeros = lead.saturating_sub(start).min(window.len());
    let from = (start + zeros).saturating_sub(lead).min(signal.len());
    let count = (window.len() - zeros).min(signal.len() - from);
    window[..zeros].fill(0.0);
    window[zeros..zeros + count].copy_from_slice(&signal[from..from + count]);
    window[zeros + count..].fill(0.0);
}

/// Half of a symmetric kernel, sampled at a whole multiple of the input rate.
struct Kernel {
    oversampled: usize,
    /// From the middle outwards; the sum over both sides is `oversampled`-fold.
    half: Vec<f64>,
}

impl Kernel {
    fn measured() -> Self {
        let half = MEASURED_2_TO_1.as_chunks().0.iter().map(|&x| f64::from_le_bytes(x)).collect();
        Self { oversampled: 1, half }
    }

    /// A Kaiser-windowed sinc at twice the input rate, by Kaiser's formulas for its width.
    fn kaiser(up: usize, down: usize) -> Self {
        let nyquist = 0.5 * (up as f64 / down as f64).min(1.0) / 2.0;
        let cutoff = nyquist * (PASS + STOP) / 2.0;
        let transition = nyquist * (STOP - PASS) * std::f64::consts::TAU;
        let attenuation = attenuation_db(up, down);
        let reach = (attenuation - 7.95) / (2.285 * transition) / 2.0;
        let beta = 0.1102 * (attenuation - 8.7);
        let tap = |n: usize| {
            let x = n as f64;
            let window = bessel_i0(beta * (1.0 - (x / reach).powi(2)).max(0.0).sqrt());
            2.0 * cutoff * sinc(2.0 * cutoff * x) * window / bessel_i0(beta)
        };
        Self { oversampled: 2, half: (0..=reach as usize).map(tap).collect() }
    }

    /// How many input samples the kernel reaches to each side.
    fn reach(&self) -> usize {
        self.half.len().div_ceil(self.oversampled)
    }

    /// The response at the bins of an input block of `inputs` samples, as far as both blocks have
    /// them and below the Nyquist frequency of each, divided by `inputs` for the transform back.
    fn response(&self, inputs: usize, outputs: usize) -> Vec<f32> {
        let size = inputs * self.oversampled;
        let plan = RealFftPlanner::<f64>::new().plan_fft_forward(size);
        let mut taps = plan.make_input_vec();
        taps[0] = self.half[0];
        for (at, &tap) in self.half.iter().enumerate().skip(1) {
            taps[at] = tap;
            taps[size - at] = tap;
        }
        let mut bins = plan.make_output_vec();
        plan.process(&mut taps, &mut bins).expect("buffers have the planned lengths");
        let shared = inputs.min(outputs).div_ceil(2);
        bins[..shared].iter().map(|bin| (bin.re / inputs as f64) as f32).collect()
    }
}

/// How far soxr is down in the stop band. It goes from rate to rate in one to three filters, and asks each
/// for 6 dB more than it would ask of one fewer.
fn attenuation_db(up: usize, down: usize) -> f64 {
    let (less, more) = (up.min(down), up.max(down));
    match () {
        () if more <= 3 || (up, down) == (4, 1) => 127.0,
        () if more <= 4 * less || less == 1 => 133.0,
        () => 139.0,
    }
}

/// The number of steps in a block that costs least for each step that is kept.
fn block_steps(up: usize, down: usize, spoilt: usize) -> usize {
    const LARGE: usize = 1 << 14;
    let least = 2 * spoilt + 1;
    let most = (LARGE / up.max(down)).max(least + 4);
    let cost = |steps: usize| {
        let transform = |size: usize| {
            let halved = if size.is_multiple_of(2) { 1.0 } else { 2.0 };
            halved * size as f64 * (size as f64).log2()
        };
        (transform(steps * up) + transform(steps * down)) / (steps - 2 * spoilt) as f64
    };
    (least..=most)
        .filter(|&steps| is_smooth(steps) || most == least + 4)
        .min_by(|&a, &b| cost(a).total_cmp(&cost(b)))
        .unwrap_or(least)
}

/// Whether a number has no prime factor above 3: the fastest lengths of a transform.
fn is_smooth(mut number: usize) -> bool {
    for factor in [2, 3] {
        while number.is_multiple_of(factor) {
            number /= factor;
        }
    }
    number == 1
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// sin(πx) / πx.
fn sinc(x: f64) -> f64 {
    let angle = std::f64::consts::PI * x;
    if angle == 0.0 { 1.0 } else { angle.sin() / angle }
}

/// The modified Bessel function of order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-17 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
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

    /// The definition: each output sample is the kernel's sum over the input around its time.
    fn slowly(signal: &[f32], from: u32, to: u32) -> Vec<f64> {
        let ratio = f64::from(to) / f64::from(from);
        let common = gcd(from, to);
        let nyquist = 0.5 * ratio.min(1.0);
        let cutoff = nyquist * (PASS + STOP) / 2.0;
        let attenuation = attenuation_db((to / common) as usize, (from / common) as usize);
        let width = (attenuation - 7.95) / (2.285 * (STOP - PASS) * std::f64::consts::TAU);
        let reach = width / nyquist / 2.0;
        let beta = 0.1102 * (attenuation - 8.7);
        let kernel = |t: f64| {
            let inside = 1.0 - (t / reach).powi(2);
            let window = if inside < 0.0 { 0.0 } else { bessel_i0(beta * inside.sqrt()) };
            2.0 * cutoff * sinc(2.0 * cutoff * t) * window / bessel_i0(beta)
        };
        let length =
            (signal.len() as u64 * u64::from(to / common)).div_ceil(u64::from(from / common));
        (0..length)
            .map(|m| {
                let time = m as f64 / ratio;
                let near = |(n, &x): (usize, &f32)| f64::from(x) * kernel(time - n as f64);
                signal.iter().enumerate().map(near).sum()
            })
            .collect()
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
        for (from, to) in [(48_000, 22_050), (16_000, 22_050), (8_000, 22_050), (22_050, 22_051)] {
            let (fast, slow) = (resample(&signal, from, to), slowly(&signal, from, to));
            let worst = fast.iter().zip(&slow).take(slow.len() - 1);
            let worst = worst.map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
            // Single precision, and 127 dB.
            assert!(worst < 4e-6, "{from} to {to}: {worst:e}");
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
    fn extreme_rates_are_refused_and_coprime_ones_work() {
        assert!(Resampler::new(1, 22_050).is_err());
        assert!(Resampler::new(44_100, u32::MAX).is_err());
        let out = resample(&noise(4_000), 44_100, 22_051);
        assert!(out.iter().all(|x| x.is_finite()));
    }
}
