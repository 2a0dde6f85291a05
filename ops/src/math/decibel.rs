//! Conversion of power to decibels.

/// Replaces each power by 10 log₁₀(max(amin, power)) − 10 log₁₀(max(amin, reference)), and raises
/// values that are more than `top_db` below the loudest to that level.
///
/// Source: `librosa.power_to_db`.
pub fn power_to_db(values: &mut [f32], reference: f32, amin: f32, top_db: Option<f32>) {
    dispatch!(to_db_avx512, to_db_avx2, to_db_plain, (values, reference, amin, top_db))
}

/// The largest of the numbers; −∞ if there are none.
pub fn highest(values: &[f32]) -> f32 {
    dispatch!(highest_avx512, highest_avx2, highest_plain, (values))
}

versions!(to_db, to_db_avx512, to_db_avx2, to_db_plain, [],
    (values: &mut [f32], reference: f32, amin: f32, top_db: Option<f32>));
versions!(highest_body, highest_avx512, highest_avx2, highest_plain, [], (values: &[f32]) -> f32);

#[inline(always)]
fn highest_body(values: &[f32]) -> f32 {
    let higher = |a: f32, b: f32| if b > a { b } else { a };
    let (blocks, rest) = values.as_chunks::<64>();
    let mut tops = [f32::NEG_INFINITY; 64];
    for block in blocks {
        tops.iter_mut().zip(block).for_each(|(top, &x)| *top = higher(*top, x));
    }
    tops.into_iter().chain(rest.iter().copied()).fold(f32::NEG_INFINITY, higher)
}

#[inline(always)]
fn to_db(values: &mut [f32], reference: f32, amin: f32, top_db: Option<f32>) {
    let amin = amin.max(f32::MIN_POSITIVE);
    let offset = decibels(reference.max(amin));
    for value in values.iter_mut() {
        *value = decibels(value.max(amin)) - offset;
    }
    if let Some(top_db) = top_db {
        let floor = highest_body(values) - top_db;
        values.iter_mut().for_each(|value| *value = value.max(floor));
    }
}

/// 10 log₁₀(x) of a positive normal number, with an error below 3e-5 dB; infinity counts as the
/// largest number. There is no branch or table, so that a compiler can vectorise it.
///
/// With x = 2^e · m and m from √½ to √2, ln m = 2 artanh(s) for s = (m − 1) / (m + 1). The
/// series ends at s⁹: |s| ≤ 0.172, so the rest is below 1e-9.
#[inline(always)]
fn decibels(x: f32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    const DB_PER_OCTAVE: f32 = 3.010_3;
    const DB_PER_NEPER: f32 = 4.342_944_8;
    let bits = x.min(f32::MAX).to_bits().wrapping_sub(SQRT_HALF);
    let octaves = (bits as i32 >> 23) as f32;
    let m = f32::from_bits((bits & 0x007f_ffff) + SQRT_HALF);
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let series = 1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * (1.0 / 9.0))));
    octaves * DB_PER_OCTAVE + 2.0 * DB_PER_NEPER * s * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_decibels_a_decade_down_to_the_floor() {
        let mut values = [1.0, 0.1, 100.0, 0.0];
        power_to_db(&mut values, 1.0, 1e-10, Some(80.0));
        let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(near(&values, &[0.0, -10.0, 20.0, -60.0]), "{values:?}");
        let mut values = [0.0, 1.0];
        power_to_db(&mut values, 10.0, 1e-10, None);
        assert!(near(&values, &[-110.0, -10.0]), "{values:?}");
    }

    #[test]
    fn decibels_are_ten_logarithms() {
        let mut x = f32::MIN_POSITIVE;
        while x < 1e38 {
            let exact = 10.0 * f64::from(x).log10();
            let far = (f64::from(decibels(x)) - exact).abs();
            assert!(far < 3e-5_f64.max(exact.abs() * 2e-7), "{x:e}: {far:e}");
            x *= 1.000_37;
        }
        assert!(decibels(f32::INFINITY).is_finite());
    }

    #[test]
    fn a_floor_of_zero_stays_finite() {
        let mut values = [0.0, 1.0];
        power_to_db(&mut values, 0.0, 0.0, None);
        assert!(values.iter().all(|x| x.is_finite()));
    }
}
