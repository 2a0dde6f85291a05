//! Soft assignments of points to centres by Student's t distribution, and their sharpened target.
//!
//! With z_i the points and μ_j the centres, q_ij = (1 + |z_i − μ_j|²)⁻¹ / Σ_l (1 + |z_i − μ_l|²)⁻¹, and the
//! target is p_ij = (q_ij² / f_j) / Σ_l (q_il² / f_l) with f_j = Σ_i q_ij.
//!
//! Source: Xie, Girshick and Farhadi, Unsupervised deep embedding for clustering analysis, ICML 2016; one degree
//! of freedom, as there and in Guo et al. 2017.

/// The divergence of soft assignments from a target, with its gradients.
#[derive(Clone, Debug, PartialEq)]
pub struct Divergence {
    /// Σ_ij p_ij log(p_ij / q_ij) / n: KL(P‖Q) for each point.
    pub value: f64,
    /// The gradient of the points.
    pub points: Vec<f32>,
    /// The gradient of the centres.
    pub centres: Vec<f32>,
}

/// The soft assignments of row-major points to row-major centres: a row for each point.
pub fn assignments(points: &[f32], centres: &[f32], n_features: usize) -> Vec<f64> {
    let mut all = Vec::with_capacity(points.len() / n_features * (centres.len() / n_features));
    for point in points.chunks_exact(n_features) {
        let start = all.len();
        all.extend(centres.chunks_exact(n_features).map(|centre| kernel(point, centre)));
        let sum: f64 = all[start..].iter().sum();
        all[start..].iter_mut().for_each(|own| *own /= sum);
    }
    all
}

/// (1 + |z − μ|²)⁻¹.
fn kernel(point: &[f32], centre: &[f32]) -> f64 {
    let apart = point.iter().zip(centre).map(|(a, b)| f64::from(*a) - f64::from(*b));
    1.0 / (1.0 + apart.map(|it| it * it).sum::<f64>())
}

/// The target of soft assignments to `clusters` centres. A centre that nothing is assigned to has no part of it.
pub fn target(assignments: &[f64], clusters: usize) -> Vec<f64> {
    let mut sums = vec![0.0; clusters];
    for row in assignments.chunks_exact(clusters) {
        sums.iter_mut().zip(row).for_each(|(sum, own)| *sum += own);
    }
    let mut sharp = Vec::with_capacity(assignments.len());
    for row in assignments.chunks_exact(clusters) {
        let start = sharp.len();
        let of = |(own, sum): (&f64, &f64)| if *sum > 0.0 { own * own / sum } else { 0.0 };
        sharp.extend(row.iter().zip(&sums).map(of));
        let total: f64 = sharp[start..].iter().sum();
        sharp[start..].iter_mut().for_each(|own| *own /= total);
    }
    sharp
}

/// The cluster with the largest part of each point, the first of equal ones.
pub fn hard(assignments: &[f64], clusters: usize) -> Vec<u32> {
    let first = |row: &[f64]| {
        let best = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
        (0..clusters).fold(0, best) as u32
    };
    assignments.chunks_exact(clusters).map(first).collect()
}

/// The divergence of the assignments of points from a target, whose rows are theirs. With k_ij = (1 + |z_i − μ_j|²)⁻¹
/// its gradient is 2 Σ_j k_ij (p_ij − q_ij)(z_i − μ_j) / n for z_i, and the same summed over i with the other sign
/// for μ_j.
pub fn divergence(
    points: &[f32],
    centres: &[f32],
    n_features: usize,
    target: &[f64],
) -> Divergence {
    let (d, clusters) = (n_features, centres.len() / n_features);
    let n = (points.len() / d) as f64;
    let soft = assignments(points, centres, d);
    let term = |(p, q): (&f64, &f64)| if *p > 0.0 { p * (p / q).ln() } else { 0.0 };
    let value = target.iter().zip(&soft).map(term).sum::<f64>() / n;
    let mut of_centres = vec![0.0; centres.len()];
    let mut of_points = Vec::with_capacity(points.len());
    for (at, point) in points.chunks_exact(d).enumerate() {
        let mut own = vec![0.0; d];
        let rows = centres.chunks_exact(d).zip(of_centres.chunks_exact_mut(d));
        for (cluster, (centre, of_centre)) in rows.enumerate() {
            let pair = at * clusters + cluster;
            let attraction = 2.0 * kernel(point, centre) * (target[pair] - soft[pair]) / n;
            for feature in 0..d {
                let part = attraction * (f64::from(point[feature]) - f64::from(centre[feature]));
                own[feature] += part;
                of_centre[feature] -= part;
            }
        }
        of_points.extend(own.iter().map(|it| *it as f32));
    }
    let centres = of_centres.iter().map(|it| *it as f32).collect();
    Divergence { value, points: of_points, centres }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_between_two_centres_is_shared_and_a_target_is_sharper() {
        let soft = assignments(&[0.0, 1.0, 0.5], &[0.0, 1.0], 1);
        assert_eq!(soft[..2], [2.0 / 3.0, 1.0 / 3.0]);
        assert_eq!(soft[4..], [0.5, 0.5]);
        let sharp = target(&soft, 2);
        assert!((sharp[0] - 0.8).abs() < 1e-12 && (sharp[4] - 0.5).abs() < 1e-12, "{sharp:?}");
        assert_eq!(hard(&soft, 2), [0, 1, 0]);
    }

    #[test]
    fn gradients_are_those_of_the_value() {
        let number = |at: usize| (at as f32 * 1.7).sin();
        let points: Vec<f32> = (0..15).map(number).collect();
        let centres: Vec<f32> = (20..29).map(number).collect();
        let target = target(&assignments(&points, &centres, 3), 3);
        let made = divergence(&points, &centres, 3, &target);
        let moved = |all: &[f32], at: usize, by: f32| -> Vec<f32> {
            all.iter().enumerate().map(|(i, v)| if i == at { v + by } else { *v }).collect()
        };
        for at in 0..15 {
            let value = |by| divergence(&moved(&points, at, by), &centres, 3, &target).value;
            let slope = (value(1e-2) - value(-1e-2)) / 2e-2;
            assert!((slope - f64::from(made.points[at])).abs() < 1e-4, "{at}: {slope}");
        }
        for at in 0..9 {
            let value = |by| divergence(&points, &moved(&centres, at, by), 3, &target).value;
            let slope = (value(1e-2) - value(-1e-2)) / 2e-2;
            assert!((slope - f64::from(made.centres[at])).abs() < 1e-4, "{at}: {slope}");
        }
    }
}
