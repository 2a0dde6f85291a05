//! Metrics of tags, which their op computes itself.

use super::Measure;

/// The separator of the tags of a clip in a label.
pub(crate) const BETWEEN: char = '+';

const fn of(name: &'static str, title: &'static str, is_shown: bool) -> Measure {
    Measure { is_shown, ..Measure::of_labels(name, title, |_| None) }
}

/// Precision, recall and F1 over all pairs of clip and tag, then their means over the tags; last how many tags are
/// predicted and true for a clip.
pub(crate) const ALL: &[Measure] = &[
    of("micro_precision", "Micro precision", false),
    of("micro_recall", "Micro recall", false),
    of("micro_f1", "Micro F1", true),
    of("macro_precision", "Macro precision", false),
    of("macro_recall", "Macro recall", false),
    of("macro_f1", "Macro F1", true),
    Measure { direction: None, ..of("tags_predicted", "Predicted tags a clip", false) },
    Measure { direction: None, ..of("tags_true", "True tags a clip", false) },
];
