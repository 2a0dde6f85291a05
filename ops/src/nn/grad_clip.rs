//! Clipping of gradients by their norm.

use rayon::prelude::*;

const BLOCK: usize = 1 << 14;

/// The Euclidean norm, summed in double precision and in a fixed order.
pub fn norm(gradient: &[f32]) -> f64 {
    let sum_of = |block: &[f32]| block.iter().map(|g| f64::from(*g) * f64::from(*g)).sum::<f64>();
    let blocks: Vec<f64> = gradient.par_chunks(BLOCK).map(sum_of).collect();
    blocks.iter().sum::<f64>().sqrt()
}

/// Scales a gradient down to a norm of at most `most`, as PyTorch's `clip_grad_norm_` does:
/// by min(1, most / (norm + 1e-6)).
pub fn clip_grad_norm(gradient: &mut [f32], most: f64) {
    let scale = most / (norm(gradient) + 1e-6);
    if scale < 1.0 {
        let scale = scale as f32;
        gradient.par_chunks_mut(BLOCK).for_each(|block| block.iter_mut().for_each(|g| *g *= scale));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_gradients_are_scaled_down() {
        let mut gradient = [3.0, 4.0, 12.0];
        assert_eq!(norm(&gradient), 13.0);
        clip_grad_norm(&mut gradient, 14.0);
        assert_eq!(gradient, [3.0, 4.0, 12.0]);
        clip_grad_norm(&mut gradient, 1.3);
        assert!((norm(&gradient) - 1.3).abs() < 1e-5);
    }
}
