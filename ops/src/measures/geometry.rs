//! Metrics of the clusters' own geometry: compactness and separation.

use super::Measure;
use crate::math::{dispersion, silhouette};
use cache::metric::Direction;

pub(super) const SILHOUETTE: Measure = Measure {
    direction: Some(Direction::Maximize),
    is_shown: true,
    ..Measure::new("silhouette", "Silhouette", |it| {
        it.by_geometry(|_| silhouette::score(it.x, it.n_features, it.clusters))
    })
};

pub(super) const CALINSKI_HARABASZ: Measure = Measure {
    direction: Some(Direction::Maximize),
    decimals: 0,
    is_shown: true,
    short: &["ch"],
    ..Measure::new("calinski_harabasz", "CH", |it| {
        it.by_geometry(|spread| spread.calinski_harabasz())
    })
};

pub(super) const DAVIES_BOULDIN: Measure = Measure {
    direction: Some(Direction::Minimize),
    decimals: 2,
    is_shown: true,
    short: &["db"],
    ..Measure::new("davies_bouldin", "DB", |it| it.by_geometry(|spread| spread.davies_bouldin()))
};

pub(super) const EFFECTIVE_DIMENSION: Measure = Measure {
    decimals: 2,
    ..Measure::new("effective_dimension", "Effective dimension", |it| {
        if it.clusters.is_empty() {
            return Some(Err("no clip is in a cluster".to_owned()));
        }
        let value = dispersion::effective_dimension(it.x, it.n_features);
        let note = || "all clips have the same features".to_owned();
        Some((!value.is_nan()).then_some(value).ok_or_else(note))
    })
};
