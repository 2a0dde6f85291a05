//! Folds of cross-validation: groups stay together, and each class is spread over all folds.

use super::random::{Purpose, Random};
use std::collections::BTreeMap;

/// The fold of each point, from 0 to `folds` − 1. Points of a group share their fold; the groups of
/// each class, by the class of most of their points, are dealt out in a random order.
pub fn stratified_group_k_fold(
    groups: &[u32],
    classes: &[u32],
    folds: u32,
    seed: u64,
    index: u32,
) -> Vec<u32> {
    let mut counts: BTreeMap<u32, BTreeMap<u32, usize>> = BTreeMap::new();
    for (group, class) in groups.iter().zip(classes) {
        *counts.entry(*group).or_default().entry(*class).or_insert(0) += 1;
    }
    let mut of_class: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (group, counts) in counts {
        // The first of equally frequent classes.
        let most = counts.iter().rev().max_by_key(|(_, count)| **count);
        of_class.entry(*most.expect("a group has points").0).or_default().push(group);
    }
    let mut random = Random::new(seed, Purpose::Folds, index);
    let mut fold_of: BTreeMap<u32, u32> = BTreeMap::new();
    // Going on where the last class ended keeps folds of equal size.
    let mut next = 0;
    for groups in of_class.values() {
        for at in random.permutation(groups.len()) {
            fold_of.insert(groups[at as usize], next);
            next = (next + 1) % folds;
        }
    }
    groups.iter().map(|group| fold_of[group]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stay_together_and_classes_are_spread() {
        let groups: Vec<u32> = (0..60).map(|at| at / 3).collect();
        let classes: Vec<u32> = groups.iter().map(|group| group % 2).collect();
        let made = stratified_group_k_fold(&groups, &classes, 5, 1, 0);
        for fold in 0..5 {
            let rows: Vec<usize> = (0..60).filter(|row| made[*row] == fold).collect();
            assert_eq!(rows.len(), 12);
            assert_eq!(rows.iter().filter(|row| classes[**row] == 0).count(), 6);
            assert!(rows.iter().all(|row| made[row / 3 * 3] == fold));
        }
        assert_ne!(made, stratified_group_k_fold(&groups, &classes, 5, 2, 0));
    }
}
