//! Kinds of artifacts: the types of the values that flow between steps.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The kind of an artifact: which columns or tensors it holds and what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Recordings, one a row: `clip_id`, `audio` (the source of the samples, by content), `frames`,
    /// `sample_rate`, `channels`, and further columns of the source.
    Clips,
    /// Time-frequency images: `clip_id`, `features` of shape bands × frames. The metadata holds the
    /// parameters of the axes (`sample_rate`, `hop_length`, `n_fft`, `fmin`, `fmax`, `unit`).
    Spectrogram,
    /// Vectors: `clip_id`, `features` of one width.
    Matrix,
    /// One label a clip: `clip_id`, `label` (text for classes, whole numbers for clusters), and
    /// optionally `group` (the recording from which the clip was cut) and what else is known of it.
    Labels,
    /// Learned weights: named tensors.
    Model,
    /// Scores: `metric`, `value`, `note` (the reason why a value is undefined).
    Scores,
    /// One row an epoch of a training.
    History,
    /// One row a component or latent unit.
    Diagnostics,
    /// The merges of a hierarchical clustering: `left`, `right`, `distance`, `size`, as SciPy.
    Linkage,
    /// Files a source left out: `file`, `reason`.
    Skipped,
    /// The composition of clusters, a row for each pair of cluster and class: `cluster`, `class`,
    /// `count`, and the shares of the cluster and of the class.
    Composition,
    /// The silhouette of each clip in its cluster: `clip_id`, `cluster`, `silhouette`.
    Silhouettes,
    /// Findings about single clips: `clip_id`, `label`, `finding`, `partner`, `value`.
    Findings,
    /// The agreement of labelings of the same clips, a row for each pair of labelings: `first`,
    /// `second`, `clips`, and a column for each measure.
    Agreement,
    /// One row a class of a collection: `label`, `clips`, and counts of findings.
    Census,
    /// Metrics of resampled recordings, a row for each draw: `part` (`value`, `resample`,
    /// `half_sample` or `jackknife`), and a column for each metric.
    Resamples,
    /// Criteria for the number of clusters, a row for each number: `clusters`, and a column for each
    /// criterion. The metadata `chosen` hold the number that each of them names.
    Selection,
    /// The agreement of clusters with the class and with each other column of the clips: `column`,
    /// `values`, `clips`, and measures.
    Confounds,
    /// A picture that a program drew, one row: `format` (`svg` or `png`), and `base64`, the bytes of
    /// its file.
    Picture,
}

impl Kind {
    /// The name in YAML and messages.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Clips => "clips",
            Kind::Spectrogram => "spectrogram",
            Kind::Matrix => "matrix",
            Kind::Labels => "labels",
            Kind::Model => "model",
            Kind::Scores => "scores",
            Kind::History => "history",
            Kind::Diagnostics => "diagnostics",
            Kind::Linkage => "linkage",
            Kind::Skipped => "skipped",
            Kind::Composition => "composition",
            Kind::Silhouettes => "silhouettes",
            Kind::Findings => "findings",
            Kind::Agreement => "agreement",
            Kind::Census => "census",
            Kind::Resamples => "resamples",
            Kind::Confounds => "confounds",
            Kind::Selection => "selection",
            Kind::Picture => "picture",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
