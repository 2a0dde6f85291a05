//! Metrics of disentanglement, which their op computes itself.

use super::Measure;
use cache::metric::Direction;

const fn of(name: &'static str, title: &'static str) -> Measure {
    let direction = Some(Direction::Maximize);
    Measure { direction, is_shown: true, ..Measure::new(name, title, |_| None) }
}

/// The mutual information gap, and disentanglement, completeness and informativeness.
pub(crate) const ALL: &[Measure] = &[
    of("mig", "MIG"),
    of("dci_disentanglement", "DCI disentanglement"),
    of("dci_completeness", "DCI completeness"),
    of("dci_informativeness", "DCI informativeness"),
];
