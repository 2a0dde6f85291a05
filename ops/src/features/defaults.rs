//! Defaults that features share; those of librosa where it has them.

use super::log_mel_reference::{Highest, Reference};
use crate::params::{NonNegative, Positive};
use std::num::NonZeroU32;

/// A number above 0.
pub fn positive(value: f64) -> Positive {
    Positive::try_from(value).expect("defaults are above 0")
}
/// A number of at least 0.
pub fn at_least_0(value: f64) -> NonNegative {
    NonNegative::try_from(value).expect("defaults are at least 0")
}
/// A whole number above 0.
pub fn count(value: u32) -> NonZeroU32 {
    NonZeroU32::new(value).expect("defaults are above 0")
}
/// The sample rate in Hz.
pub fn sample_rate() -> u32 {
    22_050
}
/// The length of clips in seconds.
pub fn duration() -> Positive {
    positive(3.0)
}
/// The length of a frame in samples.
pub fn n_fft() -> NonZeroU32 {
    count(2_048)
}
/// Samples from one frame to the next.
pub fn hop_length() -> NonZeroU32 {
    count(512)
}
/// The magnitude that is 0 dB.
pub fn reference() -> Reference {
    Reference::Highest(Highest::Max)
}
/// The threshold below the loudest value, in dB, to which lower values are raised.
pub fn top_db() -> Option<NonNegative> {
    Some(at_least_0(80.0))
}
