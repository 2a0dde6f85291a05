//! From power to decibels.

/// Writes 10 log₁₀(max(amin, power)) − 10 log₁₀(max(amin, reference)) into `out` in place of each power, and raises
/// what is more than `top_db` below the loudest to that level.
///
/// Source: `librosa.power_to_db`.
pub fn power_to_db(values: &mut [f32], reference: f32, amin: f32, top_db: Option<f32>) {
    let amin = amin.max(f32::MIN_POSITIVE);
    let offset = 10.0 * reference.max(amin).log10();
    for value in values.iter_mut() {
        *value = 10.0 * value.max(amin).log10() - offset;
    }
    if let Some(top_db) = top_db {
        let floor = values.iter().fold(f32::NEG_INFINITY, |top, &x| top.max(x)) - top_db;
        values.iter_mut().for_each(|value| *value = value.max(floor));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_decibels_a_decade_down_to_the_floor() {
        let mut values = [1.0, 0.1, 100.0, 0.0];
        power_to_db(&mut values, 1.0, 1e-10, Some(80.0));
        assert_eq!(values, [0.0, -10.0, 20.0, -60.0]);
        let mut values = [0.0, 1.0];
        power_to_db(&mut values, 10.0, 1e-10, None);
        assert_eq!(values, [-110.0, -10.0]);
    }

    #[test]
    fn a_floor_of_zero_stays_finite() {
        let mut values = [0.0, 1.0];
        power_to_db(&mut values, 0.0, 0.0, None);
        assert!(values.iter().all(|x| x.is_finite()));
    }
}
