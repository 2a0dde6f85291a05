//! The mel scale of Slaney's Auditory Toolbox, and triangular filters on it.

/// Hertz a mel below 1 kHz, where the scale is linear. Above, it is logarithmic, with 27 mels to a
/// factor of 6.4.
const HZ_PER_MEL: f64 = 200.0 / 3.0;
const KNEE_HZ: f64 = 1_000.0;
const KNEE_MEL: f64 = KNEE_HZ / HZ_PER_MEL;

fn log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

/// Converts hertz to mels.
pub fn hz_to_mel(hz: f64) -> f64 {
    if hz < KNEE_HZ { hz / HZ_PER_MEL } else { KNEE_MEL + (hz / KNEE_HZ).ln() / log_step() }
}

/// Converts mels to hertz.
pub fn mel_to_hz(mel: f64) -> f64 {
    if mel < KNEE_MEL { mel * HZ_PER_MEL } else { KNEE_HZ * ((mel - KNEE_MEL) * log_step()).exp() }
}

/// The edges of `n_mels` filters: `n_mels + 2` frequencies in Hz, evenly spaced in mels.
pub fn edges(n_mels: usize, fmin: f64, fmax: f64) -> Vec<f64> {
    let (low, high) = (hz_to_mel(fmin), hz_to_mel(fmax));
    let step = (high - low) / (n_mels + 1) as f64;
    let edge = |i: usize| if i == n_mels + 1 { high } else { low + step * i as f64 };
    (0..n_mels + 2).map(|i| mel_to_hz(edge(i))).collect()
}

/// Triangular filters of area 1 over the bins of a power spectrum: filter `i` rises from edge `i`
/// to edge `i + 1`, falls to edge `i + 2`, and is scaled by 2 / (edge `i + 2` − edge `i`).
///
/// Source: `librosa.filters.mel(htk=False, norm="slaney")`.
pub struct MelBank {
    filters: Vec<Filter>,
    weights: Vec<f32>,
}

/// The bins that a filter covers, and the position of its weights.
struct Filter {
    first_bin: usize,
    first_weight: usize,
    length: usize,
}

impl MelBank {
    /// Filters from `fmin` to `fmax` Hz over the bins of a transform of `n_fft` samples.
    pub fn new(sample_rate: f64, n_fft: usize, n_mels: usize, fmin: f64, fmax: f64) -> Self {
        let edges = edges(n_mels, fmin, fmax);
        let (mut filters, mut weights) = (Vec::with_capacity(n_mels), Vec::new());
        let hz_per_bin = sample_rate / n_fft as f64;
        for edge in edges.windows(3) {
            let (low, middle, high) = (edge[0], edge[1], edge[2]);
            let first_weight = weights.len();
            let first_bin = ((low / hz_per_bin).floor() as usize).min(n_fft / 2);
            let last_bin = ((high / hz_per_bin).ceil() as usize).min(n_fft / 2);
            // Zero weights fill the last group of four.
            let bins = n_fft / 2 + 1;
            let length = (last_bin + 1 - first_bin).next_multiple_of(LANES).min(bins);
            let first_bin = first_bin.min(bins - length);
            for bin in first_bin..first_bin + length {
                let hz = bin as f64 * hz_per_bin;
                let rising = (hz - low) / (middle - low);
                let falling = (high - hz) / (high - middle);
                let height = rising.min(falling).max(0.0) as f32;
                weights.push((f64::from(height) * (2.0 / (high - low))) as f32);
            }
            filters.push(Filter { first_bin, first_weight, length });
        }
        Self { filters, weights }
    }

    /// The number of filters.
    pub fn len(&self) -> usize {
        self.filters.len()
    }

    /// The number of filters without a weighted bin.
    pub fn empty(&self) -> usize {
        let weights = |filter: &&Filter| {
            self.weights[filter.first_weight..][..filter.length].iter().all(|&weight| weight == 0.0)
        };
        self.filters.iter().filter(weights).count()
    }

    /// True if there is no filter.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Computes the weighted sum of the power spectrum under each filter.
    pub fn apply(&self, power: &[f32], mels: &mut [f32]) {
        dispatch!(apply_avx512, apply_avx2, apply_plain, (self, power, mels))
    }
}

versions!(apply, apply_avx512, apply_avx2, apply_plain, [],
    (bank: &MelBank, power: &[f32], mels: &mut [f32]));

#[inline(always)]
fn apply(bank: &MelBank, power: &[f32], mels: &mut [f32]) {
    for (mel, filter) in mels.iter_mut().zip(&bank.filters) {
        let weights = &bank.weights[filter.first_weight..][..filter.length];
        *mel = dot(weights, &power[filter.first_bin..][..filter.length]);
    }
}

/// The number of products that are summed at once.
const LANES: usize = 4;

/// The sum Σ a·b in four running sums, which fit one vector register.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    (sums[0] + sums[2]) + (sums[1] + sums[3]) + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_turns_back() {
        for hz in [0.0, 20.0, 999.0, 1_000.0, 1_001.0, 11_025.0] {
            assert!((mel_to_hz(hz_to_mel(hz)) - hz).abs() < 1e-9);
        }
    }

    #[test]
    fn filters_have_area_one_where_bins_are_dense() {
        let (n_fft, rate) = (1 << 16, 22_050.0);
        let bank = MelBank::new(rate, n_fft, 40, 0.0, rate / 2.0);
        let mut areas = vec![0.0; 40];
        bank.apply(&vec![1.0; n_fft / 2 + 1], &mut areas);
        for area in areas {
            assert!((f64::from(area) * rate / n_fft as f64 - 1.0).abs() < 1e-3);
        }
    }

    #[test]
    fn more_filters_than_bins_leave_some_empty() {
        let bank = MelBank::new(22_050.0, 64, 500, 0.0, 11_025.0);
        let mut mels = vec![f32::NAN; 500];
        bank.apply(&[1.0; 33], &mut mels);
        assert!(mels.iter().all(|mel| mel.is_finite()) && mels.contains(&0.0));
    }
}
