//! Metrics of disentanglement, which their op computes itself.

use super::Measure;

const fn of(name: &'static str, title: &'static str) -> Measure {
    Measure { is_shown: true, ..Measure::of_labels(name, title, |_| None) }
}

/// The mutual information gap, and disentanglement, completeness and informativeness.
pub(crate) const ALL: &[Measure] = &[
    of("mig", "MIG"),
    of("dci_disentanglement", "DCI disentanglement"),
    of("dci_completeness", "DCI completeness"),
    of("dci_informativeness", "DCI informativeness"),
];
