//! Multinomial logistic regression with an L2 penalty, by L-BFGS.
//!
//! It minimises Σ −ln p(y_i | x_i) + |W|² / 2C over weights W and intercepts, which are not
//! penalised. Source: `sklearn.linear_model.LogisticRegression` (1.9); Liu and Nocedal 1989.

use rayon::prelude::*;
use std::collections::VecDeque;

/// The number of points of a block, which one thread works on.
const BLOCK: usize = 256;

/// The number of steps that are remembered.
const MEMORY: usize = 10;

/// Weights and the intercept of each class: `n_features` + 1 numbers, class after class.
#[derive(Clone, Debug)]
pub struct Logistic {
    n_features: usize,
    weights: Vec<f64>,
}

/// Fits classes numbered from 0 to row-major points. It ends when no entry of the gradient, divided
/// by the number of points, exceeds `tol`, or after `max_iter` steps. `None` if `cancelled` returns
/// true.
pub fn fit(
    x: &[f64],
    n_features: usize,
    classes: &[u32],
    n_classes: usize,
    (c, tol, max_iter): (f64, f64, usize),
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Option<Logistic> {
    let size = n_classes * (n_features + 1);
    let n = classes.len() as f64;
    let mut model = Logistic { n_features, weights: vec![0.0; size] };
    let (mut loss, mut gradient) = model.loss(x, classes, c);
    let mut steps: VecDeque<(Vec<f64>, Vec<f64>)> = VecDeque::new();
    for _ in 0..max_iter {
        if cancelled() {
            return None;
        }
        if gradient.iter().all(|entry| entry.abs() <= tol * n) {
            break;
        }
        let direction = direction(&gradient, &steps);
        let slope = dot(&direction, &gradient);
        let first = if steps.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt() } else { 1.0 };
        let mut step = first;
        let next = loop {
            let weights = model.weights.iter().zip(&direction).map(|(w, d)| w + step * d).collect();
            let next = Logistic { n_features, weights };
            let (next_loss, next_gradient) = next.loss(x, classes, c);
            if next_loss <= loss + 1e-4 * step * slope {
                break Some((next, next_loss, next_gradient));
            }
            step *= 0.5;
            if step < 1e-12 * first {
                break None;
            }
        };
        // Rounding leaves nothing to gain.
        let Some((next, next_loss, next_gradient)) = next else { break };
        let minus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
        let moved = minus(&next.weights, &model.weights);
        let bent = minus(&next_gradient, &gradient);
        if dot(&moved, &bent) > 1e-12 * dot(&bent, &bent) {
            steps.push_back((moved, bent));
            if steps.len() > MEMORY {
                steps.pop_front();
            }
        }
        (model, loss, gradient) = (next, next_loss, next_gradient);
    }
    Some(model)
}

/// The descent direction from a gradient and the last steps (two-loop recursion).
fn direction(gradient: &[f64], steps: &VecDeque<(Vec<f64>, Vec<f64>)>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|entry| -entry).collect();
    let mut shares = Vec::with_capacity(steps.len());
    for (moved, bent) in steps.iter().rev() {
        let share = dot(moved, &direction) / dot(moved, bent);
        direction.iter_mut().zip(bent).for_each(|(d, bent)| *d -= share * bent);
        shares.push(share);
    }
    if let Some((moved, bent)) = steps.back() {
        let scale = dot(moved, bent) / dot(bent, bent);
        direction.iter_mut().for_each(|d| *d *= scale);
    }
    for ((moved, bent), share) in steps.iter().zip(shares.into_iter().rev()) {
        let back = dot(bent, &direction) / dot(moved, bent);
        direction.iter_mut().zip(moved).for_each(|(d, moved)| *d += (share - back) * moved);
    }
    direction
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Logistic {
    /// The weights feature after feature and then the intercepts, so that classes are summed side by
    /// side.
    fn by_feature(&self) -> Vec<f64> {
        let size = self.n_features + 1;
        let of = |feature| self.weights.iter().skip(feature).step_by(size).copied();
        (0..size).flat_map(of).collect()
    }

    /// The logarithms of the probabilities of a point, in place of `logits`.
    fn ln_probabilities(by_feature: &[f64], point: &[f64], logits: &mut [f64]) {
        logits.fill(0.0);
        let mut weights = by_feature.chunks_exact(logits.len());
        for (x, weights) in point.iter().zip(weights.by_ref()) {
            logits.iter_mut().zip(weights).for_each(|(logit, weight)| *logit += x * weight);
        }
        let intercepts = weights.next().unwrap_or_default();
        logits.iter_mut().zip(intercepts).for_each(|(logit, own)| *logit += own);
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logits.iter().map(|logit| (logit - most).exp()).sum();
        let ln_total = most + total.ln();
        logits.iter_mut().for_each(|logit| *logit -= ln_total);
    }

    /// The probabilities of the classes for a point.
    pub fn probabilities(&self, point: &[f64]) -> Vec<f64> {
        let mut logits = vec![0.0; self.weights.len() / (self.n_features + 1)];
        Self::ln_probabilities(&self.by_feature(), point, &mut logits);
        logits.iter().map(|logit| logit.exp()).collect()
    }

    /// The loss and its gradient.
    fn loss(&self, x: &[f64], classes: &[u32], c: f64) -> (f64, Vec<f64>) {
        let (d, size) = (self.n_features, self.weights.len());
        let n_classes = size / (d + 1);
        let by_feature = self.by_feature();
        let of_blocks: Vec<(f64, Vec<f64>)> = x
            .par_chunks(BLOCK * d)
            .zip(classes.par_chunks(BLOCK))
            .map(|(x, classes)| {
                let (mut loss, mut gradient) = (0.0, vec![0.0; size]);
                let mut logits = vec![0.0; n_classes];
                for (point, class) in x.chunks_exact(d).zip(classes) {
                    Self::ln_probabilities(&by_feature, point, &mut logits);
                    loss -= logits[*class as usize];
                    for (at, (logit, own)) in
                        logits.iter().zip(gradient.chunks_exact_mut(d + 1)).enumerate()
                    {
                        let error = logit.exp() - f64::from(u8::from(at == *class as usize));
                        own.iter_mut().zip(point).for_each(|(own, x)| *own += error * x);
                        own[d] += error;
                    }
                }
                (loss, gradient)
            })
            .collect();
        let (mut loss, mut gradient) = (0.0, vec![0.0; size]);
        for (of_block, own) in of_blocks {
            loss += of_block;
            gradient.iter_mut().zip(own).for_each(|(sum, value)| *sum += value);
        }
        for (gradient, weights) in
            gradient.chunks_exact_mut(d + 1).zip(self.weights.chunks_exact(d + 1))
        {
            for (gradient, weight) in gradient.iter_mut().zip(&weights[..d]) {
                loss += 0.5 * weight * weight / c;
                *gradient += weight / c;
            }
        }
        (loss, gradient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_features_that_tell_classes_have_their_frequencies() {
        let (x, classes) = (vec![0.0; 10], [0, 0, 0, 0, 0, 0, 1, 1, 1, 2]);
        let model = fit(&x, 1, &classes, 3, (1.0, 1e-12, 1000), &|| false).expect("a fit");
        for (own, expected) in model.probabilities(&[0.0]).iter().zip([0.6, 0.3, 0.1]) {
            assert!((own - expected).abs() < 1e-8, "{own} {expected}");
        }
    }
}
