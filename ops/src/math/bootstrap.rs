//! Resampling of recordings: all clips of a recording are drawn or left out together, since they
//! are not independent of each other.

use super::{
    contingency::Contingency,
    random::{Purpose, Random},
};
use std::collections::BTreeMap;

/// The seed of all draws. It is fixed, so that two clusterings of the same recordings are scored on
/// the same draws and their difference has an interval too.
const SEED: u64 = 0;

/// The pairs of class and cluster of the clips of each recording.
pub struct Recordings {
    /// The distinct pairs (class, cluster), sorted.
    pairs: Vec<(u32, u32)>,
    /// For each recording the indices of its pairs and their counts.
    of: Vec<Vec<(u32, u64)>>,
}

impl Recordings {
    /// Clips with their recordings, classes and clusters. Recordings are numbered from 0 without
    /// gaps.
    pub fn new(recordings: &[u32], classes: &[u32], clusters: &[u32]) -> Self {
        let pairs: Vec<(u32, u32)> =
            classes.iter().copied().zip(clusters.iter().copied()).collect();
        let mut numbers: BTreeMap<(u32, u32), u32> = pairs.iter().map(|pair| (*pair, 0)).collect();
        numbers.values_mut().zip(0..).for_each(|(number, at)| *number = at);
        let count = recordings.iter().max().map_or(0, |most| *most as usize + 1);
        let mut of = vec![BTreeMap::new(); count];
        for (recording, pair) in recordings.iter().zip(&pairs) {
            *of[*recording as usize].entry(numbers[pair]).or_insert(0) += 1;
        }
        Self {
            pairs: numbers.into_keys().collect(),
            of: of.into_iter().map(|counts| counts.into_iter().collect()).collect(),
        }
    }

    /// The number of recordings.
    pub fn count(&self) -> usize {
        self.of.len()
    }

    /// The pairs of class and cluster with their counts if each recording is there as often as
    /// `times` says.
    pub fn cells(&self, times: &[u32]) -> impl Iterator<Item = (u32, u32, u64)> {
        let mut counts = vec![0_u64; self.pairs.len()];
        for (of, times) in self.of.iter().zip(times).filter(|(_, times)| **times > 0) {
            for (pair, count) in of {
                counts[*pair as usize] += u64::from(*times) * count;
            }
        }
        let cells = self.pairs.iter().zip(counts);
        cells.map(|((class, cluster), count)| (*class, *cluster, count))
    }

    /// The contingency of these pairs.
    pub fn repeated(&self, times: &[u32]) -> Contingency {
        Contingency::of_counts(self.cells(times))
    }
}

/// Counts how often each of `n` recordings is among `n` that are drawn with replacement.
pub fn with_replacement(n: usize, draw: u32) -> Vec<u32> {
    let mut random = Random::new(SEED, Purpose::Bootstrap, draw * 2);
    let mut times = vec![0; n];
    (0..n).for_each(|_| times[random.below(n as u32) as usize] += 1);
    times
}

/// One for each of the `n / 2` recordings that are drawn without replacement, else 0.
pub fn half(n: usize, draw: u32) -> Vec<u32> {
    let mut random = Random::new(SEED, Purpose::Bootstrap, draw * 2 + 1);
    let mut times = vec![0; n];
    random.permutation(n)[..n / 2].iter().for_each(|at| times[*at as usize] = 1);
    times
}

/// One for each recording but those of a block, of `blocks` blocks: with as many blocks as recordings
/// the jackknife, which leaves one out at a time.
pub fn without(n: usize, blocks: usize, block: usize) -> Vec<u32> {
    (0..n).map(|at| u32::from(at % blocks != block)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_count_as_clips_that_are_listed_twice() {
        let (recordings, classes) = ([0, 0, 1, 1, 2, 2, 2], [4, 4, 0, 4, 2, 2, 0]);
        let clusters = [1, 3, 3, 3, 0, 0, 1];
        let all = Recordings::new(&recordings, &classes, &clusters);
        let times = [2, 0, 3];
        let rows = (0..7).flat_map(|at| vec![at; times[recordings[at] as usize] as usize]);
        let rows: Vec<usize> = rows.collect();
        let of = |labels: &[u32; 7]| {
            let labels: Vec<u32> = rows.iter().map(|row| labels[*row]).collect();
            crate::math::contingency::by_first_appearance(&labels).0
        };
        let listed = Contingency::new(&of(&classes), &of(&clusters));
        let counted = all.repeated(&times);
        let all = |it: &Contingency| {
            [
                it.adjusted_rand(),
                it.normalized_mutual_information(),
                it.adjusted_mutual_information(),
                it.fowlkes_mallows(),
                it.purity(),
            ]
        };
        for (listed, counted) in all(&listed).into_iter().zip(all(&counted)) {
            assert!((listed - counted).abs() < 1e-12, "{listed} {counted}");
        }
    }

    #[test]
    fn draws_have_the_sizes_of_their_kind() {
        let times = with_replacement(50, 3);
        assert_eq!(times.iter().sum::<u32>(), 50);
        assert!(times.iter().any(|times| *times > 1));
        assert_ne!(times, with_replacement(50, 4));
        assert_eq!(half(51, 0).iter().sum::<u32>(), 25);
        for block in 0..5 {
            let times = without(5, 5, block);
            assert_eq!((times[block], times.iter().sum::<u32>()), (0, 4));
        }
        assert_eq!(without(7, 3, 0), [0, 1, 1, 0, 1, 1, 0]);
    }
}
