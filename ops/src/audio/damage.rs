//! Damage in recordings and its handling.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The treatment of a recording of which only a part can be decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDamage {
    /// It cannot be used.
    #[default]
    Fail,
    /// Use what can be decoded, and say so: frames that cannot are silent, bytes between frames and an
    /// end that is missing are left out.
    Keep,
}

/// The damage found while a recording was decoded.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    /// The frame and the reason of the first damage.
    first: Option<(u64, String)>,
    places: u64,
    /// The number of frames replaced by silence.
    silent: u64,
    /// The number of missing frames.
    missing: u64,
}

impl Damage {
    /// Notes damage at frame `at`.
    pub fn note(&mut self, at: u64, reason: impl Into<String>) {
        self.places += 1;
        self.first.get_or_insert_with(|| (at, reason.into()));
    }

    /// Adds the damage of a part that begins at frame `start`.
    pub fn add(&mut self, part: Self, start: u64) {
        if let Some((at, reason)) = part.first {
            self.first.get_or_insert((start + at, reason));
        }
        self.places += part.places;
        self.silent += part.silent;
        self.missing += part.missing;
    }

    /// Counts frames replaced by silence.
    pub fn silence(&mut self, frames: u64) {
        self.silent += frames;
    }

    /// Counts missing frames.
    pub fn miss(&mut self, frames: u64) {
        self.missing += frames;
    }

    /// True if there is no damage.
    pub fn is_none(&self) -> bool {
        self.first.is_none()
    }

    /// A summary for a recording with `frames` decoded frames at `rate` frames a second: a
    /// lower-case sentence without a full stop.
    pub fn summary(&self, frames: u64, rate: u32) -> Option<String> {
        let (at, reason) = self.first.as_ref()?;
        let seconds = |frames: u64| frames as f64 / f64::from(rate.max(1));
        let more = match self.places {
            1 => String::new(),
            places => format!(", and at {} more", places - 1),
        };
        Some(format!(
            "{reason} (at {:.3} s{more}); {:.3} of {:.3} s can be decoded",
            seconds(*at),
            seconds(frames.saturating_sub(self.silent)),
            seconds(frames + self.missing),
        ))
    }
}
