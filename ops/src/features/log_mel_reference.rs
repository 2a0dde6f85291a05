//! The reference power (0 dB) of a log-mel spectrogram.

use crate::params::Positive;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The power that is 0 dB.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected `max` or a number above 0")]
pub enum Reference {
    /// The highest power of the clip.
    Highest(Highest),
    /// This power.
    Power(Positive),
}

/// The word for the highest power of a clip.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Highest {
    /// The highest power of the clip.
    Max,
}
