//! The numbers of clips, clusters, classes and noise.

use super::Measure;

pub(super) const N_CLIPS: Measure = Measure {
    decimals: 0,
    ..Measure::new("n_clips", "Clips", |it| Some(Ok(it.clusters.len() as f64)))
};

pub(super) const N_CLUSTERS: Measure =
    Measure { decimals: 0, ..Measure::new("n_clusters", "Clusters", |it| Some(Ok(it.k as f64))) };

/// The number of noise clips, given only if there are any.
pub(super) const N_NOISE: Measure = Measure {
    decimals: 0,
    ..Measure::new("n_noise", "Noise", |it| (it.noise > 0).then_some(Ok(it.noise as f64)))
};

pub(super) const N_CLASSES: Measure = Measure {
    decimals: 0,
    ..Measure::new("n_classes", "Classes", |it| Some(Ok(it.both.as_ref()?.n_classes() as f64)))
};
