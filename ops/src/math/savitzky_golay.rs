//! Local estimates of derivatives.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The extension of values before the first and after the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing: the polynomial of the first and the last window is used up to the ends.
    #[default]
    Interp,
    /// The first and the last value.
    Nearest,
    /// The values mirrored at the first and the last one.
    Mirror,
    /// Zeros.
    Constant,
    /// The values from the other end.
    Wrap,
}

/// The weights of `width` neighbouring values, which gives the derivative of this order of the
/// polynomial of the same degree that fits them best: with the polynomial p of that degree that is
/// orthogonal to those of lower ones on the places x, they are order! · p(x) / Σ p². For `width` odd.
///
/// Source: `scipy.signal.savgol_coeffs(width, polyorder=order, deriv=order)`.
pub fn weights(width: usize, order: usize) -> Vec<f64> {
    let places: Vec<f64> = (0..width).map(|at| at as f64 - (width / 2) as f64).collect();
    let square = |p: &[f64]| p.iter().map(|x| x * x).sum::<f64>();
    let (mut before, mut own) = (vec![0.0; width], vec![1.0; width]);
    let mut factorial = 1.0;
    for degree in 1..=order {
        factorial *= degree as f64;
        let share = if degree == 1 { 0.0 } else { square(&own) / square(&before) };
        let next = places.iter().zip(&own).zip(&before).map(|((x, p), q)| x * p - share * q);
        let next = next.collect();
        before = std::mem::replace(&mut own, next);
    }
    let all = square(&own);
    own.iter().map(|p| factorial * p / all).collect()
}

/// The weighted sum of the neighbours of each value, written to `out`. In [`Mode::Interp`] there are
/// at least as many values as weights.
pub fn apply(weights: &[f64], mode: Mode, values: &[f32], out: &mut [f32]) {
    let (half, count) = ((weights.len() / 2) as isize, values.len() as isize);
    let value = |at: isize| -> f64 {
        let place = match mode {
            _ if (0..count).contains(&at) => at,
            Mode::Interp | Mode::Nearest => at.clamp(0, count - 1),
            Mode::Constant => return 0.0,
            Mode::Wrap => at.rem_euclid(count),
            Mode::Mirror if count == 1 => 0,
            Mode::Mirror => {
                let turn = at.rem_euclid(2 * (count - 1));
                turn.min(2 * (count - 1) - turn)
            }
        };
        f64::from(values[place as usize])
    };
    for (at, out) in out.iter_mut().enumerate() {
        let at = at as isize;
        // The highest derivative of a polynomial is the same everywhere.
        let middle = if mode == Mode::Interp { at.clamp(half, count - 1 - half) } else { at };
        let near = weights.iter().zip(middle - half..);
        *out = near.map(|(weight, at)| weight * value(at)).sum::<f64>() as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_derivative_of_a_polynomial_is_exact() {
        let values: Vec<f32> = (0..12).map(|x| (2 * x * x - 3 * x + 1) as f32).collect();
        let mut out = vec![0.0; 12];
        apply(&weights(5, 2), Mode::Interp, &values, &mut out);
        assert!(out.iter().all(|it| (it - 4.0).abs() < 1e-4), "{out:?}");
        let line: Vec<f32> = (0..12).map(|x| 3.0 - 0.5 * x as f32).collect();
        apply(&weights(9, 1), Mode::Interp, &line, &mut out);
        assert!(out.iter().all(|it| (it + 0.5).abs() < 1e-6), "{out:?}");
    }

    #[test]
    fn ends_are_what_the_mode_says() {
        let slope = |mode| {
            let mut out = [0.0; 4];
            apply(&weights(3, 1), mode, &[1.0, 2.0, 4.0, 8.0], &mut out);
            out
        };
        assert_eq!(slope(Mode::Nearest), [0.5, 1.5, 3.0, 2.0]);
        assert_eq!(slope(Mode::Mirror), [0.0, 1.5, 3.0, 0.0]);
        assert_eq!(slope(Mode::Constant), [1.0, 1.5, 3.0, -2.0]);
        assert_eq!(slope(Mode::Wrap), [-3.0, 1.5, 3.0, -1.5]);
        assert_eq!(slope(Mode::Interp), [1.5, 1.5, 3.0, 3.0]);
    }
}
