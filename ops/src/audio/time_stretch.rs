//! The op `time_stretch`: recordings at another speed.

use super::change::{Change, MAX_SPEED, MIN_SPEED, changed, shape};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Kind, Shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Recordings as if they were played faster or slower at the same pitch, to see what clusters survive.
///
/// A phase vocoder (frames of 2,048 samples, every 512) interpolates magnitudes between frames and goes on
/// with their phases. The mean of the channels is changed, at the recording's own sample rate, whenever a
/// later step reads it: nothing is written to disk. A recording is in memory as a whole while it is read.
///
/// Source: librosa 0.11, `effects.time_stretch(y.astype(float64))`, within 1e-4 of full scale.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeStretch {
    /// The factor of the speed, from 0.0625 to 16: 2 makes a recording half as long.
    #[schemars(extend("examples" = [1.25]))]
    pub rate: f64,
}

impl Op for TimeStretch {
    const NAME: &'static str = "time_stretch";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[Port::RECORDINGS];
    const OUTPUTS: &'static [Port] =
        &[Port::new("clips", &[Kind::Clips], "the same recordings at another speed")];

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        if !(MIN_SPEED..=MAX_SPEED).contains(&self.rate) {
            let message = format!("`rate` is {}, not from {MIN_SPEED} to {MAX_SPEED}", self.rate);
            return Err(OpError::param("rate", message));
        }
        Ok(vec![shape(inputs)])
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        self.check(&[])?;
        cx.stop_if_cancelled()?;
        Ok(Outputs::new().with("clips", changed(inputs, Change::Speed(self.rate))?))
    }
}
