//! Metrics of probes, which their op computes itself.

use super::Measure;

const fn of(name: &'static str, title: &'static str, is_shown: bool) -> Measure {
    Measure { is_shown, ..Measure::of_labels(name, title, |_| None) }
}

/// Accuracy and macro-F1 of both classifiers with folds of recordings, then with folds of clips;
/// last what the commonest class reaches.
pub(crate) const ALL: &[Measure] = &[
    of("knn_accuracy", "kNN accuracy", true),
    of("knn_macro_f1", "kNN macro-F1", true),
    of("logistic_accuracy", "Logistic accuracy", true),
    of("logistic_macro_f1", "Logistic macro-F1", true),
    of("knn_accuracy_random", "kNN accuracy, random folds", false),
    of("knn_macro_f1_random", "kNN macro-F1, random folds", false),
    of("logistic_accuracy_random", "Logistic accuracy, random folds", false),
    of("logistic_macro_f1_random", "Logistic macro-F1, random folds", false),
    Measure {
        direction: None,
        ..of("majority_accuracy", "Accuracy of the commonest class", false)
    },
];
