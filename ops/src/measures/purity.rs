//! The purity: the share of clips in the commonest class of their cluster.

use super::{Contingency, Measure};

pub(super) const PURITY: Measure =
    Measure { is_shown: true, ..Measure::of_counts("purity", "Purity", Contingency::purity) };

/// The purity of a single cluster.
pub(super) const PURITY_MAJORITY: Measure = Measure {
    direction: None,
    ..Measure::of_labels("purity_majority", "Purity of one cluster", |it| {
        it.by_labels(Contingency::majority)
    })
};
