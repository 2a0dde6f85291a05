//! Information criteria of mixtures, which their op computes itself.

use super::Measure;
use cache::metric::Direction;

/// The mean log-likelihood of a clip, the Bayesian and Akaike's information criterion.
pub(crate) const ALL: &[Measure] = &[
    Measure {
        direction: Some(Direction::Maximize),
        decimals: 2,
        ..Measure::new("log_likelihood", "Log-likelihood", |_| None)
    },
    Measure {
        direction: Some(Direction::Minimize),
        decimals: 0,
        ..Measure::new("bic", "BIC", |_| None)
    },
    Measure {
        direction: Some(Direction::Minimize),
        decimals: 0,
        ..Measure::new("aic", "AIC", |_| None)
    },
];
