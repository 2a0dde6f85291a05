//! The chain of filters with which soxr's `HQ` converts one sample rate to another.
//!
//! All are sincs under Kaiser windows. A long filter passes frequencies below 0.9137 of the
//! lower Nyquist frequency and stops those above 1. If the ratio of the rates is not one of small
//! whole numbers, a short filter of many phases makes the ratio, with a wide slope, since the long
//! filter leaves little to remove. Rates that are at least four times as high as needed are first
//! halved by half-band filters. Each further filter needs up to 6 dB more attenuation. The
//! selection of filters, their edges and their lengths are those of soxr 0.1.3; the windows were
//! fitted to its output, and the whole agrees with it up to the rounding of single precision at
//! each of twenty ratios.

use std::f64::consts::PI;

/// The end of the pass band of the whole chain, in lower Nyquist frequencies; the stop band starts
/// at 1.
const PASS: f64 = 0.913_744;
/// The stop band attenuation in decibels of a chain of one filter: 21 bits.
const ATTENUATION_DB: f64 = 126.433;
/// The decibels of one bit, which is the additional attenuation for a filter of many phases.
const BIT_DB: f64 = 6.021;
/// The Kaiser window parameter of filters of many phases.
const WIDE_BETA: f64 = 14.059;
/// The fraction of its slope at which a filter of many phases is 0.01 dB down.
const SMALL_DROOP: f64 = 0.874_2;

/// One filter: output `n` is Σ x(k) h(n · down / up − k), h being [`Filter::tap`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Filter {
    pub up: usize,
    pub down: usize,
    /// The frequency at which the response is one half, in cycles an input sample.
    cutoff: f64,
    /// The number of input samples that the window reaches to each side.
    pub reach: f64,
    /// The shape parameter of the window.
    beta: f64,
}

impl Filter {
    /// A filter with a pass band up to `pass` and a stop band from `stop` on, both in units of
    /// `nyquist`, which is half the rate that is `up` times that of the input. The number of taps
    /// is 1 more than a multiple of `step`.
    fn long(ratio: [usize; 2], [pass, stop]: [f64; 2], nyquist: f64, beta: f64) -> Self {
        let [up, down] = ratio;
        let slope = (0.5 * (stop - pass)).min(0.5 * stop) / nyquist;
        let step = if up.is_power_of_two() && nyquist == up as f64 { 2 * up.max(2) } else { 4 };
        let taps = (width(beta) / slope).ceil() as usize;
        let taps = taps.next_multiple_of(step) + 1;
        let cutoff = (stop / nyquist - slope) * up as f64 / 2.0;
        Self { up, down, cutoff, reach: taps as f64 / 2.0 / up as f64, beta }
    }

    /// A filter of many phases with few taps; the edges are in Nyquist frequencies of the input
    /// times `nyquist`.
    fn short(ratio: [usize; 2], [pass, stop]: [f64; 2], nyquist: f64, is_even: bool) -> Self {
        let [up, down] = ratio;
        let pass = stop - (stop - pass) / SMALL_DROOP;
        let slope = (stop - pass) / 2.0 / nyquist;
        let taps = (width(WIDE_BETA) / slope) as usize + 1;
        let taps = if is_even { taps.next_multiple_of(2) } else { taps };
        let cutoff = (stop / nyquist - slope) / 2.0;
        Self { up, down, cutoff, reach: taps as f64 / 2.0, beta: WIDE_BETA }
    }

    fn half_band(attenuation_db: f64) -> Self {
        let (reach, beta) =
            if attenuation_db <= 136.5 { (17.245_6, 13.273_3) } else { (19.430_7, 14.963_4) };
        Self { up: 1, down: 2, cutoff: 0.25, reach, beta }
    }

    /// The weight of an input sample at a distance of `t` input samples.
    pub fn tap(&self, t: f64) -> f64 {
        let inside = 1.0 - (t / self.reach).powi(2);
        if inside < 0.0 {
            return 0.0;
        }
        let angle = 2.0 * PI * self.cutoff * t;
        let sinc = if angle == 0.0 { 1.0 } else { angle.sin() / angle };
        let window = bessel_i0(self.beta * inside.sqrt()) / bessel_i0(self.beta);
        2.0 * self.cutoff * sinc * window
    }
}

/// The width of a Kaiser window's slope times its length, in Nyquist frequencies.
fn width(beta: f64) -> f64 {
    0.638 * beta - 0.02
}

/// The filters that convert `down` samples to `up` samples.
pub(super) fn chain(up: usize, down: usize) -> Vec<Filter> {
    let (mut from, mut to) = (down, up);
    // For a high ratio, a last filter multiplies the rate by a power of two, and the others do the
    // rest.
    let mut last_up = 1;
    if to > 4 * from && to != 5 * from {
        last_up = 4;
        while to / from >= 8 * last_up && last_up < 256 {
            last_up *= 2;
        }
        from *= last_up;
    }
    let mut halvings = 0;
    while from >= 4 * to {
        (to, halvings) = (2 * to, halvings + 1);
    }
    let is_up = from < to;
    let is_late = 2 * from > 3 * to && from < 2 * to;
    if is_late {
        // The long filter comes last and halves the rate.
        to *= 2;
    }
    let first_up = if is_up || (!is_late && from < 2 * to) { 2 } else { 1 };
    let first_up = if is_late { 1 } else { first_up };
    from *= first_up;
    let common = gcd(from, to);
    let (from, to) = (from / common, to / common);
    let ratio = from as f64 / to as f64;

    let last_down = if is_late { 2 } else { 1 };
    let (whole_up, whole_down) = (first_up * to, last_down * from);
    let common = gcd(whole_up, whole_down);
    let (whole_up, whole_down) = (whole_up / common, whole_down / common);
    let is_small = whole_up.max(whole_down) < 5 || whole_up * whole_down < 6;

    let has_last = last_up > 1 || (is_late && !is_small);
    let has_first = is_small || !is_late;
    let count = halvings + usize::from(has_first) + usize::from(has_last);
    let extra = if is_small { 0.0 } else { BIT_DB };
    let attenuation = ATTENUATION_DB + extra + 20.0 * (count.max(1) as f64).log10();
    let beta = 13.04 + 0.111_6 * (attenuation - ATTENUATION_DB);

    let mut filters = vec![Filter::half_band(attenuation); halvings];
    let mut edges = [PASS, 1.0];
    if is_small {
        let nyquist = whole_up.max(whole_down) as f64;
        filters.push(Filter::long([whole_up, whole_down], edges, nyquist, beta));
    } else {
        if has_first {
            let nyquist = if is_up { 2.0 } else { ratio };
            filters.push(Filter::long([first_up, 1], edges, nyquist, beta));
            edges = edges.map(|edge| edge / nyquist);
        }
        // Images may fall into the band that the long filter has removed or that the last one will
        // remove.
        let [pass, stop] = edges;
        filters.push(if is_late {
            Filter::short([to, from], [pass, 3.0], 2.0 * ratio, false)
        } else {
            Filter::short([to, from], [pass, 2.0 - (pass + 0.7 * (stop - pass))], 1.0, !is_up)
        });
    }
    if last_up > 1 {
        let reached = (last_up * down) as f64 / up as f64;
        let edges = [PASS * reached, (2.0 - reached).max(1.0)];
        filters.push(Filter::long([last_up, 1], edges, last_up as f64, beta + 0.18));
    } else if has_last {
        filters.push(Filter::long([1, 2], [PASS, 1.0], 2.0, beta));
    }
    filters
}

pub(super) fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
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

    #[test]
    fn filters_make_the_ratio_and_keep_a_constant() {
        for (up, down) in [
            (1, 2),
            (1, 4),
            (2, 1),
            (147, 320),
            (441, 160),
            (441, 640),
            (7, 12),
            (441, 80),
            (40, 1),
            (5, 1),
            (22_050, 99_991),
            (1, 1_000),
        ] {
            let filters = chain(up, down);
            let made: f64 = filters.iter().map(|one| one.up as f64 / one.down as f64).product();
            assert!((made * down as f64 / up as f64 - 1.0).abs() < 1e-12, "{up}/{down}");
            for filter in filters {
                for phase in [0.0, 0.3] {
                    let taps = (-700..=700).map(|k| filter.tap(f64::from(k) + phase));
                    assert!((taps.sum::<f64>() - 1.0).abs() < 3e-6, "{up}/{down} {filter:?}");
                }
            }
        }
    }
}
