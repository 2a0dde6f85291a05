//! Laws that results keep to whatever the data: components, iterations, trees.

use ops::math::{
    contingency::by_first_appearance,
    kmeans::{Fit, Points, kmeans_plus_plus, lloyd},
    linkage::{Method, distances, merges},
    pca::{exact, moments, randomized},
    random::{Purpose, Random},
    ward,
};
use proptest::prelude::*;

/// Rows of normal numbers.
fn normal(seed: u64, rows: usize, width: usize) -> Vec<f32> {
    let mut random = Random::new(seed, Purpose::Null, 0);
    (0..rows * width).map(|_| random.normal() as f32).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The numbers 0 to `n` − 1 in an order that follows from the seed.
fn permutation(seed: u64, n: usize) -> Vec<usize> {
    let mut random = Random::new(seed, Purpose::Null, 1);
    let mut order: Vec<usize> = (0..n).collect();
    for at in (1..n).rev() {
        order.swap(at, random.below(at as u32 + 1) as usize);
    }
    order
}

fn permuted(x: &[f32], width: usize, order: &[usize]) -> Vec<f32> {
    order.iter().flat_map(|&row| &x[row * width..][..width]).copied().collect()
}

/// One run of k-means from the first `k` rows of `x`, or from given centres.
fn clusters(x: &[f32], width: usize, init: &[f64], max_iter: usize) -> Fit {
    lloyd(&Points::new(x, width), init, 0.0, max_iter, &|| false)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn components_are_orthonormal_and_leave_the_variance_they_discard(
        seed: u64, rows in 2..40_usize, width in 1..30_usize, part in 0.0..1.0_f64,
    ) {
        let x = normal(seed, rows, width);
        let n_components = 1 + (part * (rows.min(width) - 1) as f64) as usize;
        let moments = moments(&x, width);
        let fit = exact(&x, &moments, n_components).expect("finite data converge");
        let components: Vec<&[f64]> = fit.components.chunks_exact(width).collect();
        for (i, a) in components.iter().enumerate() {
            for (j, b) in components.iter().enumerate() {
                let expected = if i == j { 1.0 } else { 0.0 };
                prop_assert!((dot(a, b) - expected).abs() < 1e-9, "{i} {j} {}", dot(a, b));
            }
        }
        let mut left = 0.0;
        for (row, latent) in x.chunks_exact(width).zip(fit.latent.chunks_exact(n_components)) {
            let pairs = row.iter().zip(&moments.mean);
            let centred: Vec<f64> = pairs.map(|(&x, mean)| f64::from(x) - mean).collect();
            let mut rest = centred.clone();
            for (component, &along) in components.iter().zip(latent) {
                prop_assert!((dot(&centred, component) - along).abs() < 1e-9);
                rest.iter_mut().zip(*component).for_each(|(rest, c)| *rest -= along * c);
            }
            left += dot(&rest, &rest);
        }
        let kept: f64 = fit.explained_variance.iter().sum();
        let discarded = (moments.total_variance - kept) * (rows as f64 - 1.0);
        let scale = moments.total_variance * rows as f64;
        prop_assert!((left - discarded).abs() <= 1e-9 * scale, "{left} {discarded}");
        prop_assert!(fit.explained_variance.is_sorted_by(|a, b| a >= b));
    }

    #[test]
    fn inertia_never_rises(seed: u64, rows in 4..120_usize, width in 1..6_usize, k in 1..5_usize) {
        let x = normal(seed, rows, width);
        let points = Points::new(&x, width);
        let mut centres = kmeans_plus_plus(&points, k, &mut Random::new(seed, Purpose::KMeans, 0), &|| false);
        let mut before = f64::INFINITY;
        for _ in 0..12 {
            let fit = clusters(&x, width, &centres, 1);
            prop_assert!(fit.inertia <= before * (1.0 + 1e-12), "{} after {before}", fit.inertia);
            before = fit.inertia;
            centres = fit.centres;
        }
    }

    #[test]
    fn the_order_of_rows_does_not_change_clusters(
        seed: u64, rows in 6..120_usize, width in 1..6_usize, k in 1..5_usize,
    ) {
        let x = normal(seed, rows, width);
        let order = permutation(seed, rows);
        let init: Vec<f64> = x[..k * width].iter().map(|&x| x.into()).collect();
        let here = clusters(&x, width, &init, 300);
        let there = clusters(&permuted(&x, width, &order), width, &init, 300);
        let moved: Vec<u32> = order.iter().map(|&row| here.labels[row]).collect();
        // Sums in another order may end a tie otherwise; equal centres mean equal ends.
        prop_assert!((here.inertia - there.inertia).abs() <= 1e-9 * here.inertia.max(1e-9));
        prop_assert_eq!(by_first_appearance(&moved).0, by_first_appearance(&there.labels).0);
    }

    #[test]
    fn heights_rise_and_do_not_depend_on_the_order_of_rows(
        seed: u64, rows in 2..60_usize, width in 1..6_usize,
    ) {
        let x = normal(seed, rows, width);
        let order = permutation(seed, rows);
        let other = permuted(&x, width, &order);
        for method in [Method::Ward, Method::Complete, Method::Average, Method::Single] {
            let here = merges(distances(&x, width), rows, method);
            let there = merges(distances(&other, width), rows, method);
            prop_assert_eq!(here.len(), rows - 1);
            prop_assert!(here.is_sorted_by(|a, b| a.distance <= b.distance), "{method:?}");
            prop_assert_eq!(here.last().expect("a merge").size, rows);
            let leaves_here = leaves(&here, rows, &(0..rows).collect::<Vec<_>>());
            let leaves_there = leaves(&there, rows, &order);
            for (at, (a, b)) in here.iter().zip(&there).enumerate() {
                let near = (a.distance - b.distance).abs() <= 1e-9 * a.distance.max(1e-9);
                prop_assert!(near, "{method:?} {at}: {} {}", a.distance, b.distance);
                prop_assert_eq!(&leaves_here[at], &leaves_there[at], "{:?} {}", method, at);
            }
        }
        let means = ward::merges(&x, width, &|| false).expect("not cancelled");
        prop_assert!(means.is_sorted_by(|a, b| a.distance <= b.distance));
    }
}

/// The points below each merge, by the names `names` gives them.
fn leaves(tree: &[ops::math::linkage::Merge], rows: usize, names: &[usize]) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = names.iter().map(|&name| vec![name]).collect();
    for merge in tree {
        let mut own = [all[merge.left].as_slice(), all[merge.right].as_slice()].concat();
        own.sort_unstable();
        all.push(own);
    }
    all.split_off(rows)
}

#[test]
fn random_projection_finds_the_leading_variances_of_a_decaying_spectrum() {
    let (rows, width, kept) = (600, 900, 20);
    // Products of two tall factors, the k-th pair weighted by 1 / (k + 1), over a floor of noise.
    let (left, right) = (normal(1, rows, 60), normal(2, 60, width));
    let mut x: Vec<f32> = normal(3, rows, width).iter().map(|x| 1e-3 * x).collect();
    for (row, left) in x.chunks_exact_mut(width).zip(left.chunks_exact(60)) {
        for (k, (right, along)) in right.chunks_exact(width).zip(left).enumerate() {
            let weight = along / (k as f32 + 1.0);
            row.iter_mut().zip(right).for_each(|(x, right)| *x += weight * right);
        }
    }
    let moments = moments(&x, width);
    let full = exact(&x, &moments, kept).expect("finite data converge");
    let quick = randomized(&x, &moments, kept, 5, &mut |_| true).expect("not cancelled");
    for (exact, quick) in full.explained_variance.iter().zip(&quick.explained_variance) {
        assert!((exact - quick).abs() <= 1e-4 * exact, "{exact} {quick}");
    }
    for (a, b) in full.components.chunks_exact(width).zip(quick.components.chunks_exact(width)) {
        assert!(dot(a, b) > 0.999, "{}", dot(a, b));
    }
}
