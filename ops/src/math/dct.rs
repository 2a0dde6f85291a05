//! The discrete cosine transform of cepstra.

use std::f64::consts::PI;

/// The first rows of the orthonormal DCT-II over `inputs` values, `outputs × inputs`:
/// row k holds √(2 / N) · cos(π k (2n + 1) / 2N), row 0 divided by √2.
///
/// Source: `scipy.fft.dct(type=2, norm="ortho")`.
pub fn dct_matrix(outputs: usize, inputs: usize) -> Vec<f64> {
    let scale = (2.0 / inputs as f64).sqrt();
    let row = |k: usize| {
        let height = if k == 0 { scale / 2.0_f64.sqrt() } else { scale };
        (0..inputs).map(move |n| {
            // The angle is reduced modulo a full turn, so that it stays exact for large k · n.
            let quarter = k * (2 * n + 1) % (4 * inputs);
            height * (PI * quarter as f64 / (2 * inputs) as f64).cos()
        })
    };
    (0..outputs).flat_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_orthonormal() {
        let (n, matrix) = (20, dct_matrix(20, 20));
        for a in 0..n {
            for b in 0..n {
                let product: f64 = (0..n).map(|i| matrix[a * n + i] * matrix[b * n + i]).sum();
                assert!((product - f64::from(u8::from(a == b))).abs() < 1e-12);
            }
        }
    }
}
