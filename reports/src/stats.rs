//! Statistics over seeds: confidence intervals of means, paired tests, Holm's correction, and the
//! number of seeds that a difference needs.

use statrs::function::{beta::beta_reg, gamma::ln_gamma};
use std::collections::BTreeMap;

/// The mean of some draws with its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Half the width of the 95 % interval; `None` for a single draw.
    pub half_width: Option<f64>,
    /// The number of draws.
    pub n: usize,
}

/// Mean ± t₀.₉₇₅(n − 1) · s / √n, with s the standard deviation of n − 1 degrees of freedom: the 95 %
/// interval of Student's t. `None` without values.
pub fn estimate(values: &[f64]) -> Option<Estimate> {
    let n = values.len();
    let mean = mean(values)?;
    let half_width = deviation(values).map(|s| {
        let t = t_quantile(0.975, (n - 1) as f64);
        t * s / (n as f64).sqrt()
    });
    Some(Estimate { mean, half_width, n })
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The standard deviation with n − 1 degrees of freedom.
fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// The paired test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Test {
    /// Student's t of the differences.
    #[default]
    T,
    /// Wilcoxon's signed ranks of the differences.
    Wilcoxon,
}

/// The comparison of two rows over their common seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Paired {
    /// The mean difference.
    pub difference: f64,
    /// The standard deviation of the differences.
    pub deviation: f64,
    /// The number of common seeds.
    pub n: usize,
    /// The two-sided p-value.
    pub p: f64,
}

/// Compares two rows over their common seeds; `None` with fewer than two of them.
pub fn paired(a: &BTreeMap<u64, f64>, b: &BTreeMap<u64, f64>, test: Test) -> Option<Paired> {
    let differences: Vec<f64> = a.iter().filter_map(|(seed, a)| Some(a - b.get(seed)?)).collect();
    let deviation = deviation(&differences)?;
    let p = match test {
        Test::T => paired_t(&differences),
        Test::Wilcoxon => wilcoxon(&differences),
    };
    Some(Paired { difference: mean(&differences)?, deviation, n: differences.len(), p })
}

/// The two-sided p-value of t = d̄ / (s / √n) with n − 1 degrees of freedom. It is 1 if
/// the mean is 0, and else 0 if all differences are equal.
fn paired_t(differences: &[f64]) -> f64 {
    let (Some(mean), Some(deviation)) = (mean(differences), deviation(differences)) else {
        return 1.0;
    };
    match (mean == 0.0, deviation == 0.0) {
        (true, _) => 1.0,
        (false, true) => 0.0,
        _ => {
            let n = differences.len() as f64;
            two_sided(mean / (deviation / n.sqrt()), n - 1.0)
        }
    }
}

/// The two-sided p-value of Wilcoxon's signed-rank test; differences of 0 are dropped. It is exact
/// for up to 50 differences without ties, and otherwise uses the normal approximation with
/// correction for ties.
///
/// Source: SciPy's `wilcoxon` with `zero_method="wilcox"` and `correction=False`.
pub fn wilcoxon(differences: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = differences.iter().copied().filter(|it| *it != 0.0).collect();
    sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let n = sorted.len();
    if n == 0 {
        return 1.0;
    }
    let (mut positive, mut ties, mut at) = (0.0, 0.0, 0);
    while at < n {
        let alike = sorted[at..].iter().take_while(|it| it.abs() == sorted[at].abs()).count();
        let rank = at as f64 + (alike as f64 + 1.0) / 2.0;
        positive += rank * sorted[at..at + alike].iter().filter(|it| **it > 0.0).count() as f64;
        ties += (alike as f64).powi(3) - alike as f64;
        at += alike;
    }
    let total = (n * (n + 1)) as f64 / 2.0;
    let least = positive.min(total - positive);
    if ties == 0.0 && n <= 50 {
        return (2.0 * rank_sums_up_to(least as usize, n)).min(1.0);
    }
    let count = n as f64;
    let variance = count * (count + 1.0) * (2.0 * count + 1.0) / 24.0 - ties / 48.0;
    erfc((least - total / 2.0).abs() / variance.sqrt() / std::f64::consts::SQRT_2)
}

/// The share of the 2ⁿ choices of signs whose positive ranks add up to at most `most`.
fn rank_sums_up_to(most: usize, n: usize) -> f64 {
    let mut share = vec![0.0; n * (n + 1) / 2 + 1];
    share[0] = 1.0;
    for rank in 1..=n {
        for sum in (0..share.len()).rev() {
            let with = if sum >= rank { share[sum - rank] } else { 0.0 };
            share[sum] = (share[sum] + with) / 2.0;
        }
    }
    share[..=most].iter().sum()
}

/// Holm's correction: the i-th smallest of m p-values times m − i + 1, and at least the one before
/// it. The probability of any false rejection among values below 0.05 is then at most 5 %.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let (mut corrected, mut before) = (vec![1.0; p.len()], 0.0f64);
    for (place, &at) in order.iter().enumerate() {
        before = before.max(p[at] * (p.len() - place) as f64).min(1.0);
        corrected[at] = before;
    }
    corrected
}

/// The largest number of seeds that is reported.
const MAX_SEEDS: usize = 10_000;

/// The approximate number of seeds with which a paired t-test at level α finds such a difference
/// with a power of 80 %: the least n with n ≥ ((t₁₋α⸝₂(n − 1) + t₀.₈(n − 1)) · s / d)², where d and
/// s are mean and standard deviation of the differences. `None` if that is too large.
pub fn seeds_needed(difference: f64, deviation: f64, level: f64) -> Option<usize> {
    let ratio = deviation / difference.abs();
    let enough = |n: usize| {
        let df = (n - 1) as f64;
        (n as f64).sqrt() >= (t_quantile(1.0 - level / 2.0, df) + t_quantile(0.8, df)) * ratio
    };
    if !ratio.is_finite() || !enough(MAX_SEEDS) {
        return None;
    }
    // More seeds never have less power, so a binary search finds the least number.
    let (mut few, mut many) = (1, MAX_SEEDS);
    while many - few > 1 {
        let middle = usize::midpoint(few, many);
        if enough(middle) { many = middle } else { few = middle }
    }
    Some(many)
}

/// P(|T| ≥ |t|) of Student's t: I_x(ν/2, 1/2) at x = ν / (ν + t²).
pub fn two_sided(t: f64, df: f64) -> f64 {
    let square = t * t;
    if square.is_infinite() {
        return 0.0;
    }
    // Near t = 0 only the complement of x is precise, and I_x(a, b) = 1 − I_{1−x}(b, a).
    match square > 1.0 {
        true => beta_reg(df / 2.0, 0.5, df / (df + square)),
        false => 1.0 - beta_reg(0.5, df / 2.0, square / (df + square)),
    }
}

/// The quantile of Student's t for a probability of at least 1/2, by Newton's method with bisection
/// if a step leaves the interval; that of statrs is off by 3e-9.
pub fn t_quantile(p: f64, df: f64) -> f64 {
    let tail = 2.0 * (1.0 - p);
    let (mut low, mut high) = (0.0, 1.0);
    while two_sided(high, df) > tail && high < 1e300 {
        (low, high) = (high, high * 2.0);
    }
    let peak =
        (ln_gamma(df / 2.0 + 0.5) - ln_gamma(df / 2.0)).exp() / (df * std::f64::consts::PI).sqrt();
    let density = |t: f64| peak * (1.0 + t * t / df).powf(-df / 2.0 - 0.5);
    let mut t = f64::midpoint(low, high);
    for _ in 0..200 {
        let beyond = two_sided(t, df) - tail;
        if beyond > 0.0 {
            low = t
        } else {
            high = t
        }
        let step = t + beyond / (2.0 * density(t));
        let next = if low < step && step < high { step } else { f64::midpoint(low, high) };
        let is_there = (next - t).abs() <= 4.0 * f64::EPSILON * t;
        t = next;
        if is_there {
            break;
        }
    }
    t
}

/// erfc(x) for x ≥ 0 by its own series and continued fraction (NIST DLMF 7.6.1 and 7.9.1); that of
/// statrs is off by 1e-10.
fn erfc(x: f64) -> f64 {
    let root_pi = std::f64::consts::PI.sqrt();
    if x < 2.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            let n = f64::from(n);
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        return 1.0 - 2.0 / root_pi * sum;
    }
    let fraction = (1..200).rev().fold(x, |tail, k| x + f64::from(k) / 2.0 / tail);
    (-x * x).exp() / root_pi / fraction
}
