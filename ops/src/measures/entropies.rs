//! Agreement by information: the entropies of classes and clusters given the other.

use super::Measure;

pub(super) const NMI: Measure = Measure {
    is_shown: true,
    ..Measure::of_labels("nmi", "NMI", |it| {
        it.by_labels(|both| both.normalized_mutual_information())
    })
};

pub(super) const AMI: Measure = Measure {
    chance: Some(0.0),
    ..Measure::of_labels("ami", "AMI", |it| it.by_labels(|both| both.adjusted_mutual_information()))
};

pub(super) const HOMOGENEITY: Measure = Measure::of_labels("homogeneity", "Homogeneity", |it| {
    it.by_labels(|both| both.homogeneity_completeness_v().0)
});

pub(super) const COMPLETENESS: Measure = Measure::of_labels("completeness", "Completeness", |it| {
    it.by_labels(|both| both.homogeneity_completeness_v().1)
});

pub(super) const V_MEASURE: Measure = Measure {
    short: &["v"],
    ..Measure::of_labels("v_measure", "V-measure", |it| {
        it.by_labels(|both| both.homogeneity_completeness_v().2)
    })
};
