//! Intervals over recordings from resampled metrics: the bias-corrected and accelerated bootstrap,
//! and half-samples as a check.

use statrs::distribution::{ContinuousCDF, Normal};

/// The largest bias z₀ with which BCa is trusted: between 31 % and 69 % of the draws are below the
/// value.
const MAX_BIAS: f64 = 0.5;

/// A metric, or a difference of two, of resampled recordings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resampled {
    /// The value for all recordings.
    pub value: f64,
    /// The values for recordings drawn with replacement.
    pub bootstrap: Vec<f64>,
    /// The values for half of the recordings, drawn without replacement.
    pub half_sample: Vec<f64>,
    /// The values without one recording.
    pub jackknife: Vec<f64>,
}

impl Resampled {
    /// Combines values of the same draws, such as those of two rows; `None` if the numbers of draws
    /// differ.
    pub fn combine(all: &[&Self], of: impl Fn(&[f64]) -> f64) -> Option<Self> {
        let sizes = |it: &Self| (it.bootstrap.len(), it.half_sample.len(), it.jackknife.len());
        if all.windows(2).any(|pair| sizes(pair[0]) != sizes(pair[1])) {
            return None;
        }
        let first = all.first()?;
        let draws = |values: fn(&Self) -> &Vec<f64>| -> Vec<f64> {
            let at = |at: usize| of(&all.iter().map(|it| values(it)[at]).collect::<Vec<_>>());
            (0..values(first).len()).map(at).collect()
        };
        Some(Self {
            value: of(&all.iter().map(|it| it.value).collect::<Vec<_>>()),
            bootstrap: draws(|it| &it.bootstrap),
            half_sample: draws(|it| &it.half_sample),
            jackknife: draws(|it| &it.jackknife),
        })
    }

    /// The bias-corrected and accelerated interval (BCa) of this level; `None` without draws.
    ///
    /// With z₀ = Φ⁻¹ of the share of draws below the value, a = Σu³ / 6(Σu²)^1.5 for the deviations
    /// u of the jackknife from its mean, and z = Φ⁻¹(α), the ends are the quantiles of the draws at
    /// Φ(z₀ + (z₀ + z) / (1 − a(z₀ + z))).
    ///
    /// Source: `scipy.stats.bootstrap(method="BCa")`. Where all draws are equal, both ends are that
    /// value; SciPy gives NaN.
    pub fn interval(&self, level: f64) -> Option<(f64, f64)> {
        let mut sorted = self.bootstrap.clone();
        sorted.sort_by(f64::total_cmp);
        let (first, last) = (*sorted.first()?, *sorted.last()?);
        if first == last {
            return Some((first, last));
        }
        let normal = Normal::standard();
        let bias = self.bias();
        let mean = self.jackknife.iter().sum::<f64>() / self.jackknife.len().max(1) as f64;
        let power = |n| self.jackknife.iter().map(|it| (mean - it).powi(n)).sum::<f64>();
        let spread = power(2).powf(1.5);
        let acceleration = if spread > 0.0 { power(3) / spread / 6.0 } else { 0.0 };
        let end = |probability: f64| {
            let z = bias + normal.inverse_cdf(probability);
            quantile(&sorted, normal.cdf(bias + z / (1.0 - acceleration * z)))
        };
        let alpha = (1.0 - level) / 2.0;
        Some((end(alpha), end(1.0 - alpha)))
    }

    /// The bias z₀ of the bootstrap: Φ⁻¹ of the share of draws below the value, ties counted half.
    fn bias(&self) -> f64 {
        let below = self.bootstrap.iter().filter(|it| **it < self.value).count();
        let up_to = self.bootstrap.iter().filter(|it| **it <= self.value).count();
        Normal::standard().inverse_cdf((below + up_to) as f64 / (2 * self.bootstrap.len()) as f64)
    }

    /// The interval that can be trusted, and whether it is that of half-samples. Repeats push a
    /// metric of pairs up, since a clip and its copy always agree. If the value is too far from the
    /// middle of the draws, BCa would correct for that with draws that are not there.
    pub fn trusted_interval(&self, level: f64) -> Option<((f64, f64), bool)> {
        let is_half =
            self.bias().abs() > MAX_BIAS && self.bootstrap.iter().any(|it| *it != self.value);
        let interval =
            if is_half { self.half_sample_interval(level) } else { self.interval(level) };
        Some((interval?, is_half))
    }

    /// The interval by half-samples: the value less the quantiles of their deviations from their mean,
    /// which is right without a correction for size if half of the recordings are drawn. The mean
    /// itself tells nothing of recordings: NMI and purity are larger wherever there are fewer clips.
    pub fn half_sample_interval(&self, level: f64) -> Option<(f64, f64)> {
        let mean = self.half_sample.iter().sum::<f64>() / self.half_sample.len().max(1) as f64;
        let mut deviations: Vec<f64> = self.half_sample.iter().map(|it| it - mean).collect();
        deviations.sort_by(f64::total_cmp);
        let alpha = (1.0 - level) / 2.0;
        let end = |probability| self.value - quantile(&deviations, probability);
        (!deviations.is_empty()).then(|| (end(1.0 - alpha), end(alpha)))
    }
}

/// A quantile of sorted values, with linear interpolation as of NumPy.
fn quantile(sorted: &[f64], probability: f64) -> f64 {
    let at = probability.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_of_the_same_draws() {
        let of = |value: f64, by: f64| Resampled {
            value,
            bootstrap: (0..100).map(|at| value + by + f64::from(at) / 100.0).collect(),
            half_sample: vec![value; 3],
            jackknife: vec![value; 4],
        };
        let (one, other) = (of(2.0, 0.0), of(1.0, 0.0));
        let difference = Resampled::combine(&[&one, &other], |it| it[0] - it[1]).expect("alike");
        assert_eq!(difference.value, 1.0);
        let (low, high) = difference.interval(0.95).expect("draws");
        assert!((low - 1.0).abs() < 1e-12 && (high - 1.0).abs() < 1e-12, "{low} {high}");
        let short = Resampled { jackknife: vec![1.0; 3], ..other };
        assert_eq!(Resampled::combine(&[&one, &short], |it| it[0]), None);
        assert_eq!(Resampled::default().interval(0.95), None);
    }

    #[test]
    fn where_repeats_push_every_draw_up_half_samples_count() {
        let of = |low: i32| Resampled {
            value: 0.5,
            bootstrap: (low..low + 100).map(|at| f64::from(at) / 100.0).collect(),
            half_sample: vec![0.4, 0.6],
            jackknife: vec![0.5; 4],
        };
        let (interval, is_half) = of(49).trusted_interval(0.95).expect("draws");
        assert!(is_half && interval.0 < 0.5 && interval.1 > 0.5, "{interval:?}");
        assert!(!of(0).trusted_interval(0.95).expect("draws").1);
        assert!(!of(8).trusted_interval(0.95).expect("draws").1);
    }

    #[test]
    fn half_samples_turn_deviations_round() {
        let half_sample = (0..=100).map(|at| 0.5 + f64::from(at) / 100.0).collect();
        let it = Resampled { value: 0.5, half_sample, ..Resampled::default() };
        let (low, high) = it.half_sample_interval(0.9).expect("draws");
        assert!((low - 0.05).abs() < 1e-12 && (high - 0.95).abs() < 1e-12, "{low} {high}");
    }

    #[test]
    fn what_grows_with_fewer_clips_does_not_move_the_interval() {
        let of = |shift: f64| Resampled {
            value: 0.5,
            half_sample: [0.4, 0.45, 0.5, 0.55, 0.6].map(|it| it + shift).to_vec(),
            ..Resampled::default()
        };
        let (low, high) = of(0.0).half_sample_interval(0.95).expect("draws");
        let (same_low, same_high) = of(0.3).half_sample_interval(0.95).expect("draws");
        assert!((low - same_low).abs() < 1e-12 && (high - same_high).abs() < 1e-12);
    }
}
