//! Measures of the agreement of two labelings of the same points, computed from the counts of each
//! pair of labels. Definitions, including limits, are those of scikit-learn (1.9,
//! `sklearn.metrics`); logarithms are natural.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// Labels renumbered 0, 1, … in the order of their first occurrence, and the old label of each new
/// one.
pub fn by_first_appearance<L: Clone + Eq + Hash>(labels: &[L]) -> (Vec<u32>, Vec<L>) {
    let mut numbers = HashMap::new();
    let mut old = Vec::new();
    let renumber = |label: &L| {
        *numbers.entry(label.clone()).or_insert_with(|| {
            old.push(label.clone());
            old.len() as u32 - 1
        })
    };
    let new = labels.iter().map(renumber).collect();
    (new, old)
}

/// The class number of a point without a class, which is left out.
pub const UNLABELLED: u32 = u32::MAX;

/// Classes numbered by first occurrence; an empty name is no class. `None` if all are empty.
pub fn classes<L: AsRef<str>>(labels: &[L]) -> Option<Vec<u32>> {
    let named = labels.iter().map(AsRef::as_ref).filter(|label| !label.is_empty());
    let named: Vec<&str> = named.collect();
    let mut numbers = by_first_appearance(&named).0.into_iter();
    let number = |label: &L| match label.as_ref().is_empty() {
        true => UNLABELLED,
        false => numbers.next().expect("one for each name"),
    };
    (!named.is_empty()).then(|| labels.iter().map(number).collect())
}

/// The counts of the pairs (class, cluster) that occur.
#[derive(Clone, Debug)]
pub struct Contingency {
    n: u64,
    /// The nonzero counts, sorted by class and cluster, so that sums have a fixed order.
    cells: Vec<(u32, u32, u64)>,
    classes: Vec<u64>,
    clusters: Vec<u64>,
}

impl Contingency {
    /// Counts the pairs of two labelings of the same length, each numbered from 0 without gaps;
    /// points that are [`UNLABELLED`] are left out.
    pub fn new(truth: &[u32], predicted: &[u32]) -> Self {
        assert_eq!(truth.len(), predicted.len(), "BUG: labelings of different length");
        if truth.contains(&UNLABELLED) {
            let pairs = truth.iter().zip(predicted).filter(|(class, _)| **class != UNLABELLED);
            let (truth, predicted): (Vec<_>, Vec<_>) = pairs.map(|(a, b)| (*a, *b)).unzip();
            return Self::new(&truth, &by_first_appearance(&predicted).0);
        }
        let mut cells = BTreeMap::new();
        for pair in truth.iter().zip(predicted) {
            *cells.entry(pair).or_insert(0_u64) += 1;
        }
        Self {
            n: truth.len() as u64,
            cells: cells.into_iter().map(|((&a, &b), count)| (a, b, count)).collect(),
            classes: counts(truth),
            clusters: counts(predicted),
        }
    }

    /// The counts of pairs (class, cluster), each pair once and sorted. Classes and clusters are
    /// numbered anew, so that none is empty.
    pub fn of_counts(counted: impl Iterator<Item = (u32, u32, u64)>) -> Self {
        let counted: Vec<_> = counted.filter(|cell| cell.2 > 0).collect();
        let classes: Vec<u32> = counted.iter().map(|cell| cell.0).collect();
        let clusters: Vec<u32> = counted.iter().map(|cell| cell.1).collect();
        let (classes, n_classes) = by_first_appearance(&classes);
        let (clusters, n_clusters) = by_first_appearance(&clusters);
        let mut whole = Self {
            n: 0,
            cells: Vec::with_capacity(counted.len()),
            classes: vec![0; n_classes.len()],
            clusters: vec![0; n_clusters.len()],
        };
        for ((class, cluster), (.., count)) in classes.into_iter().zip(clusters).zip(counted) {
            whole.n += count;
            whole.classes[class as usize] += count;
            whole.clusters[cluster as usize] += count;
            whole.cells.push((class, cluster, count));
        }
        whole
    }

    /// The number of classes.
    pub fn n_classes(&self) -> usize {
        self.classes.len()
    }

    /// The adjusted Rand index over all pairs of points: 1 for equal partitions, with expectation 0
    /// for random ones (Hubert & Arabie 1985).
    pub fn adjusted_rand(&self) -> f64 {
        let squares = |counts: &[u64]| counts.iter().map(|&c| i128::from(c).pow(2)).sum::<i128>();
        let n = i128::from(self.n);
        let both: i128 = self.cells.iter().map(|cell| i128::from(cell.2).pow(2)).sum();
        let (by_class, by_cluster) = (squares(&self.classes), squares(&self.clusters));
        let (tp, fp, fn_) = (both - n, by_cluster - both, by_class - both);
        let tn = n * n - fp - fn_ - both;
        if fp == 0 && fn_ == 0 {
            return 1.0;
        }
        let [tp, fp, fn_, tn] = [tp, fp, fn_, tn].map(|count| count as f64);
        2.0 * (tp * tn - fn_ * fp) / ((tp + fn_) * (fn_ + tn) + (tp + fp) * (fp + tn))
    }

    /// The mutual information Σ p_ij ln(p_ij / (p_i p_j)), in nats.
    pub fn mutual_information(&self) -> f64 {
        if self.classes.len() < 2 || self.clusters.len() < 2 {
            return 0.0;
        }
        let n = self.n as f64;
        let term = |&(class, cluster, count): &(u32, u32, u64)| {
            let outer = self.classes[class as usize] * self.clusters[cluster as usize];
            let count = count as f64;
            let term = count / n * (count.ln() - n.ln() - (outer as f64).ln() + 2.0 * n.ln());
            if term.abs() < f64::EPSILON { 0.0 } else { term }
        };
        self.cells.iter().map(term).sum::<f64>().max(0.0)
    }

    /// The mutual information divided by the arithmetic mean of both entropies.
    pub fn normalized_mutual_information(&self) -> f64 {
        if self.classes.len() < 2 && self.clusters.len() < 2 {
            return 1.0;
        }
        let information = self.mutual_information();
        if information == 0.0 {
            return 0.0;
        }
        information / self.mean_entropy()
    }

    /// The mutual information adjusted for chance: (MI − E) / (H̄ − E), where E is the mean over
    /// all labelings with the same sizes (Vinh, Epps & Bailey 2010).
    pub fn adjusted_mutual_information(&self) -> f64 {
        match (self.classes.len() < 2, self.clusters.len() < 2) {
            (true, true) => return 1.0,
            (false, false) => {}
            _ => return 0.0,
        }
        let expected = self.expected_mutual_information();
        away_from_zero(self.mutual_information() - expected)
            / away_from_zero(self.mean_entropy() - expected)
    }

    /// The mean of the mutual information over all labelings with these sizes (hypergeometric).
    pub fn expected_mutual_information(&self) -> f64 {
        if self.classes.len() < 2 || self.clusters.len() < 2 {
            return 0.0;
        }
        let n = self.n;
        let factorial = ln_factorials(n as usize);
        let ln_n = (n as f64).ln();
        // Equal sizes give equal terms, so each pair of sizes is summed once.
        let (rows, columns) = (sizes(&self.classes), sizes(&self.clusters));
        let mut expected = 0.0;
        for (&a, &times_a) in &rows {
            for (&b, &times_b) in &columns {
                let (au, bu, nu) = (a as usize, b as usize, n as usize);
                let fixed = factorial[au] + factorial[bu] + factorial[nu - au] + factorial[nu - bu]
                    - factorial[nu];
                let mut sum = 0.0;
                for both in (a + b).saturating_sub(n).max(1)..=a.min(b) {
                    let k = both as usize;
                    let ln_p = fixed
                        - factorial[k]
                        - factorial[au - k]
                        - factorial[bu - k]
                        - factorial[nu + k - au - bu];
                    let ln_ratio = ln_n + (both as f64).ln() - (a as f64).ln() - (b as f64).ln();
                    sum += both as f64 / n as f64 * ln_ratio * ln_p.exp();
                }
                expected += sum * (times_a * times_b) as f64;
            }
        }
        expected
    }

    /// Homogeneity, completeness and their harmonic mean, the V-measure (Rosenberg & Hirschberg
    /// 2007).
    pub fn homogeneity_completeness_v(&self) -> (f64, f64, f64) {
        let information = self.mutual_information();
        let share = |entropy: f64| if entropy == 0.0 { 1.0 } else { information / entropy };
        let homogeneity = share(entropy(&self.classes, self.n));
        let completeness = share(entropy(&self.clusters, self.n));
        let sum = homogeneity + completeness;
        let v = if sum == 0.0 { 0.0 } else { 2.0 * homogeneity * completeness / sum };
        (homogeneity, completeness, v)
    }

    /// The geometric mean of precision and recall over pairs of points (Fowlkes & Mallows 1983).
    pub fn fowlkes_mallows(&self) -> f64 {
        let pairs = |counts: &mut dyn Iterator<Item = u64>| {
            (counts.map(|c| u128::from(c).pow(2)).sum::<u128>() - u128::from(self.n)) as f64
        };
        let both = pairs(&mut self.cells.iter().map(|cell| cell.2));
        if both == 0.0 {
            return 0.0;
        }
        let clusters = pairs(&mut self.clusters.iter().copied());
        let classes = pairs(&mut self.classes.iter().copied());
        (both / clusters).sqrt() * (both / classes).sqrt()
    }

    /// The standard deviation of the adjusted Rand index over all labelings with these sizes, which
    /// is the spread around 0 by chance. `None` for fewer than 4 points, or if the index is always
    /// the same.
    ///
    /// With T = Σ n_ij² − n, P and Q the same for the sizes, and P′, Q′ their Σ m (m − 1) (m −
    /// 2), it is the deviation of T divided by (P + Q) / 2 − P Q / n(n − 1); the variance of T /
    /// √(P Q) is that of Fowlkes and Mallows (1983).
    pub fn adjusted_rand_deviation(&self) -> Option<f64> {
        let of = |sizes: &[u64], term: fn(f64) -> f64| -> f64 {
            sizes.iter().map(|&size| term(size as f64)).sum()
        };
        let (pair, triple) = (|m: f64| m * (m - 1.0), |m: f64| m * (m - 1.0) * (m - 2.0));
        let n = self.n as f64;
        let (p, q) = (of(&self.classes, pair), of(&self.clusters, pair));
        let (p3, q3) = (of(&self.classes, triple), of(&self.clusters, triple));
        if self.n < 4 || p == 0.0 || q == 0.0 {
            return None;
        }
        let (pairs, triples) = (n * (n - 1.0), n * (n - 1.0) * (n - 2.0));
        let variance = 2.0 / pairs
            + 4.0 * p3 * q3 / (triples * p * q)
            + (p - 2.0 - 4.0 * p3 / p) * (q - 2.0 - 4.0 * q3 / q) / (triples * (n - 3.0))
            - p * q / (pairs * pairs);
        let most = f64::midpoint(p, q) - p * q / pairs;
        // If the sizes allow only one index, the variance is 0 except for rounding.
        (most > 0.0 && variance > 1e-12).then(|| (variance * p * q).sqrt() / most)
    }

    /// The share of points in their cluster's most frequent class.
    pub fn purity(&self) -> f64 {
        let mut largest = vec![0; self.clusters.len()];
        for &(_, cluster, count) in &self.cells {
            let largest = &mut largest[cluster as usize];
            *largest = count.max(*largest);
        }
        largest.iter().sum::<u64>() as f64 / self.n as f64
    }

    /// The share of the most frequent class: the purity of a single cluster.
    pub fn majority(&self) -> f64 {
        self.classes.iter().copied().max().unwrap_or(0) as f64 / self.n as f64
    }

    fn mean_entropy(&self) -> f64 {
        (entropy(&self.classes, self.n) + entropy(&self.clusters, self.n)) / 2.0
    }
}

fn counts(labels: &[u32]) -> Vec<u64> {
    let mut counts = vec![0; labels.iter().max().map_or(0, |&most| most as usize + 1)];
    for &label in labels {
        counts[label as usize] += 1;
    }
    counts
}

fn sizes(counts: &[u64]) -> BTreeMap<u64, u64> {
    let mut sizes = BTreeMap::new();
    for &count in counts {
        *sizes.entry(count).or_insert(0) += 1;
    }
    sizes
}

/// The entropy −Σ p ln p.
fn entropy(counts: &[u64], n: u64) -> f64 {
    if counts.len() < 2 {
        return 0.0;
    }
    let n = n as f64;
    -counts.iter().map(|&c| c as f64 / n * ((c as f64).ln() - n.ln())).sum::<f64>()
}

/// ln 0!, ln 1!, … ln n!, summed with compensation.
fn ln_factorials(n: usize) -> Vec<f64> {
    let mut all = Vec::with_capacity(n + 1);
    let (mut sum, mut lost) = (0.0_f64, 0.0);
    all.push(0.0);
    for k in 1..=n {
        let term = (k as f64).ln() - lost;
        let next = sum + term;
        lost = (next - sum) - term;
        sum = next;
        all.push(sum);
    }
    all
}

/// Moves a number at least one rounding unit away from zero, on the same side, so that 0/0 becomes
/// 1.
fn away_from_zero(x: f64) -> f64 {
    if x < 0.0 { x.min(-f64::EPSILON) } else { x.max(f64::EPSILON) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn chance_moves_the_adjusted_rand_index_as_far_as_all_orders_do() {
        let truth = [0, 0, 0, 1, 1, 2, 2];
        let clusters = [0, 0, 1, 1, 1, 1, 2];
        let mut found = Vec::new();
        let mut order: Vec<usize> = (0..7).collect();
        // Heap's algorithm.
        let (mut counts, mut at) = ([0; 7], 0);
        let ari = |order: &[usize]| {
            let moved: Vec<u32> = order.iter().map(|&it| clusters[it]).collect();
            Contingency::new(&truth, &moved).adjusted_rand()
        };
        found.push(ari(&order));
        while at < 7 {
            if counts[at] < at {
                order.swap(if at % 2 == 0 { 0 } else { counts[at] }, at);
                found.push(ari(&order));
                (counts[at], at) = (counts[at] + 1, 0);
            } else {
                (counts[at], at) = (0, at + 1);
            }
        }
        assert_eq!(found.len(), 5040);
        let mean = found.iter().sum::<f64>() / 5040.0;
        let variance = found.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / 5040.0;
        let told = Contingency::new(&truth, &clusters).adjusted_rand_deviation().expect("one");
        assert!(mean.abs() < 1e-12 && (told - variance.sqrt()).abs() < 1e-12, "{told} {variance}");
        for (truth, clusters) in [([0; 5], [0, 0, 1, 1, 2]), ([0, 1, 2, 3, 4], [0, 0, 1, 1, 2])] {
            assert_eq!(Contingency::new(&truth, &clusters).adjusted_rand_deviation(), None);
        }
    }

    #[test]
    fn a_worked_example() {
        let c = Contingency::new(&[0, 0, 1, 1], &[0, 0, 1, 2]);
        assert!((c.adjusted_rand() - 4.0 / 7.0).abs() < 1e-12);
        assert!((c.normalized_mutual_information() - 0.8).abs() < 1e-12);
        assert_eq!((c.purity(), c.majority()), (1.0, 0.5));
        let (homogeneity, completeness, _) = c.homogeneity_completeness_v();
        assert!((homogeneity - 1.0).abs() < 1e-12 && (completeness - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn labels_are_renumbered_by_first_appearance() {
        let (new, old) = by_first_appearance(&["b", "a", "b", "c"]);
        assert_eq!((new, old), (vec![0, 1, 0, 2], vec!["b", "a", "c"]));
    }

    proptest! {
        #[test]
        fn agreement_does_not_depend_on_names_or_sides(
            pairs in prop::collection::vec((0_u32..4, 0_u32..5), 2..60)
        ) {
            let (a, b): (Vec<u32>, Vec<u32>) = pairs.into_iter().unzip();
            let (a, b) = (by_first_appearance(&a).0, by_first_appearance(&b).0);
            let top = a.iter().max().unwrap();
            let renamed: Vec<u32> = a.iter().map(|label| top - label).collect();
            let (one, two) = (Contingency::new(&a, &b), Contingency::new(&renamed, &b));
            let back = Contingency::new(&b, &a);
            let all = |c: &Contingency| [
                c.adjusted_rand(), c.normalized_mutual_information(),
                c.adjusted_mutual_information(), c.fowlkes_mallows(),
            ];
            for ((x, y), z) in all(&one).into_iter().zip(all(&two)).zip(all(&back)) {
                prop_assert!((x - y).abs() < 1e-9 && (x - z).abs() < 1e-9, "{x} {y} {z}");
            }
            prop_assert_eq!(one.purity(), two.purity());
            prop_assert!(one.purity() >= one.majority());
            let same = Contingency::new(&a, &renamed);
            prop_assert!((same.adjusted_rand() - 1.0).abs() < 1e-12);
        }
    }
}
