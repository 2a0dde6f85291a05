//! Agreement over pairs of clips: whether those of one class are together.

use super::Measure;

pub(super) const ARI: Measure = Measure {
    is_shown: true,
    chance: Some(0.0),
    ..Measure::of_labels("ari", "ARI", |it| it.by_labels(|both| both.adjusted_rand()))
};

/// How far from 0 chance takes the ARI of so few clips.
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
    ..Measure::of_labels("fowlkes_mallows", "Fowlkes–Mallows", |it| {
        it.by_labels(|both| both.fowlkes_mallows())
    })
};
