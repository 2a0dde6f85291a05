//! Agreement by information: the entropies of classes and clusters given the other.

use super::{Contingency, Measure};

pub(super) const NMI: Measure = Measure {
    is_shown: true,
    ..Measure::of_counts("nmi", "NMI", Contingency::normalized_mutual_information)
};

pub(super) const AMI: Measure = Measure {
    chance: Some(0.0),
    ..Measure::of_counts("ami", "AMI", Contingency::adjusted_mutual_information)
};

pub(super) const HOMOGENEITY: Measure =
    Measure::of_counts("homogeneity", "Homogeneity", |it| it.homogeneity_completeness_v().0);

pub(super) const COMPLETENESS: Measure =
    Measure::of_counts("completeness", "Completeness", |it| it.homogeneity_completeness_v().1);

pub(super) const V_MEASURE: Measure = Measure {
    short: &["v"],
    ..Measure::of_counts("v_measure", "V-measure", |it| it.homogeneity_completeness_v().2)
};
