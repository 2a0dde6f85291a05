//! Agreement over pairs of clips: those of one class should be in one cluster.

use super::{Contingency, Measure};

pub(super) const ARI: Measure = Measure {
    is_shown: true,
    chance: Some(0.0),
    ..Measure::of_counts("ari", "ARI", Contingency::adjusted_rand)
};

/// The standard deviation of the ARI by chance for so few clips.
pub(super) const ARI_DEVIATION: Measure = Measure {
    direction: None,
    ..Measure::of_labels("ari_deviation", "ARI of chance, standard deviation", |it| {
        let note = || "fewer than 4 clips, or a single class or cluster".to_owned();
        let value = it.both.as_ref()?.adjusted_rand_deviation();
        Some(value.ok_or_else(note))
    })
};

pub(super) const FOWLKES_MALLOWS: Measure = Measure {
    short: &["fm", "fmi"],
    ..Measure::of_counts("fowlkes_mallows", "Fowlkes–Mallows", Contingency::fowlkes_mallows)
};
