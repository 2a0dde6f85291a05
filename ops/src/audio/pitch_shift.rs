//! The op `pitch_shift`: recordings at another pitch.

use super::change::{Change, changed, shape};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port, math::vocoder::MAX_OCTAVES};
use cache::{Kind, Shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Recordings as if they were played higher or lower, to see what clusters survive.
///
/// A phase vocoder (frames of 2,048 samples, every 512) makes a recording 2^(−`n_steps` /
/// `bins_per_octave`) times as fast, and resampling gives it its length again. The mean of the channels is
/// changed, at the recording's own sample rate, whenever a later step reads it: nothing is written to disk.
/// A recording is in memory as a whole while it is read. Labels and models of the clips as they are fit
/// these clips too, and `agreement` says how far the clusters are the same.
///
/// Source: librosa 0.11, `effects.pitch_shift(y.astype(float64))`, within 1e-4 of full scale. In single
/// precision librosa's sums of phases round, which alone changes its samples by some thousandths.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PitchShift {
    /// The number of steps up, or down where it is negative; at most four octaves.
    #[schemars(extend("examples" = [2.0]))]
    pub n_steps: f64,
    /// Steps an octave.
    #[serde(default = "default_bins_per_octave")]
    pub bins_per_octave: NonZeroU32,
}

fn default_bins_per_octave() -> NonZeroU32 {
    NonZeroU32::new(12).expect("it is above 0")
}

impl Op for PitchShift {
    const NAME: &'static str = "pitch_shift";
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[Port::RECORDINGS];
    const OUTPUTS: &'static [Port] =
        &[Port::new("clips", &[Kind::Clips], "the same recordings at another pitch")];

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        self.octaves()?;
        Ok(vec![shape(inputs)])
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        cx.stop_if_cancelled()?;
        Ok(Outputs::new().with("clips", changed(inputs, Change::Pitch(self.octaves()?))?))
    }
}

impl PitchShift {
    fn octaves(&self) -> Result<f64, OpError> {
        let octaves = self.n_steps / f64::from(self.bins_per_octave.get());
        if !(-MAX_OCTAVES..=MAX_OCTAVES).contains(&octaves) {
            let message = format!(
                "`n_steps` is {}, which is not within {MAX_OCTAVES} octaves of {} steps",
                self.n_steps, self.bins_per_octave
            );
            return Err(OpError::param("n_steps", message));
        }
        Ok(octaves)
    }
}
