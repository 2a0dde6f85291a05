//! Norms of vectors, and vectors of norm 1.

use crate::params::Positive;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The norm by which vectors are divided.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected `inf`, a number above 0 or `null`")]
pub enum Norm {
    /// The largest magnitude.
    Largest(Largest),
    /// (Σ |x|^p)^(1 / p) for this p.
    Power(Positive),
}

/// The word for the largest magnitude.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Largest {
    /// The largest magnitude.
    Inf,
}

/// The default of most norms: the largest magnitude.
pub const INF: Norm = Norm::Largest(Largest::Inf);

impl Norm {
    /// The norm of a vector, from the magnitudes of its numbers.
    pub fn of(self, magnitudes: impl Iterator<Item = f64>) -> f64 {
        match self {
            Norm::Largest(_) => magnitudes.fold(0.0, f64::max),
            Norm::Power(p) if p.get() == 1.0 => magnitudes.sum(),
            Norm::Power(p) if p.get() == 2.0 => magnitudes.map(|x| x * x).sum::<f64>().sqrt(),
            Norm::Power(p) => magnitudes.map(|x| x.powf(p.get())).sum::<f64>().powf(1.0 / p.get()),
        }
    }

    /// Divides a vector by its norm, unless it is smaller than the smallest normal number of single
    /// precision.
    ///
    /// Source: `librosa.util.normalize`.
    pub fn divide(self, vector: &mut [f64]) {
        let norm = self.of(vector.iter().map(|x| x.abs()));
        if norm >= f64::from(f32::MIN_POSITIVE) {
            vector.iter_mut().for_each(|x| *x /= norm);
        }
    }
}
