//! The op `deform`: spectrograms as if the recordings had been changed.

use crate::params::Fraction;
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Kind, Shape};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Log-mel spectrograms as if each recording were louder, noisier, brighter or later, to see what clusters
/// survive.
///
/// In this order: `gain` is added to all values, and `tilt` more to the highest band than to the lowest,
/// in equal steps from −½ to +½ of it; then white noise is added as powers, 10 log₁₀(10^(x / 10) + P / 10^(`snr`
/// / 10)) for the mean power P of the clip, the level that noise has on average in bands of equal area;
/// then the clip is rolled by the share `shift` of its frames. Models that were fitted on the clips as
/// they are can be applied to these (`model`), and `agreement` says how far the labels are the same.
///
/// A gain is that of the samples unless values were cut (`amin`, `top_db`, `ref: max`). A change of pitch
/// or speed is not a change of images: `pitch_shift` and `time_stretch` change the recordings.
///
/// Source: the definition of the decibel; NumPy, within 1e-4 dB.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deform {
    /// Decibels that are added.
    #[serde(default)]
    pub gain: f64,
    /// Decibels from the lowest band to the highest.
    #[serde(default)]
    pub tilt: f64,
    /// The ratio of the clip's power to that of the noise in decibels; no noise if not given.
    #[serde(default)]
    pub snr: Option<f64>,
    /// The share of frames by which a clip is rolled to the right, from 0 to 1.
    #[serde(default = "none")]
    pub shift: Fraction,
}

fn none() -> Fraction {
    Fraction::try_from(0.0).expect("from 0 to 1")
}

impl Op for Deform {
    const NAME: &'static str = "deform";
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] =
        &[Port::new("features", &[Kind::Spectrogram], "log-mel spectrograms in dB")];
    const OUTPUTS: &'static [Port] =
        &[Port::new("features", &[Kind::Spectrogram], "the changed spectrograms")];
    const ROW_WISE: bool = true;

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let numbers = [("gain", self.gain), ("tilt", self.tilt), ("snr", self.snr.unwrap_or(0.0))];
        for (name, value) in numbers {
            if !(-1000.0..=1000.0).contains(&value) {
                let message = format!("`{name}` is {value}, not from −1000 to 1000 decibels");
                return Err(OpError::param(name, message));
            }
        }
        super::same_images(inputs)
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let input = inputs.get("features")?;
        self.check(&[Some(input.shape())])?;
        let (ids, images) = inputs.features("features")?;
        let (bands, frames) = (images.shape()[0], images.shape()[1]);
        let mut values = images.values().to_vec();
        cx.stop_if_cancelled()?;
        values.par_chunks_exact_mut(bands * frames).for_each(|image| self.change(image, frames));
        let changed = super::with_values(input, ids, images.shape(), values);
        Ok(Outputs::new().with("features", changed))
    }
}

impl Deform {
    /// Changes one image in its place.
    fn change(&self, image: &mut [f32], frames: usize) {
        let bands = image.len() / frames;
        for (band, row) in image.chunks_exact_mut(frames).enumerate() {
            let place = if bands > 1 { band as f64 / (bands - 1) as f64 - 0.5 } else { 0.0 };
            let by = self.gain + self.tilt * place;
            row.iter_mut().for_each(|value| *value = (f64::from(*value) + by) as f32);
        }
        if let Some(snr) = self.snr {
            let power = |value: &f32| 10.0_f64.powf(f64::from(*value) / 10.0);
            let mean = image.iter().map(power).sum::<f64>() / image.len() as f64;
            let noise = mean / 10.0_f64.powf(snr / 10.0);
            image.iter_mut().for_each(|it| *it = (10.0 * (power(it) + noise).log10()) as f32);
        }
        let shift = (self.shift.get() * frames as f64).round() as usize % frames;
        image.chunks_exact_mut(frames).for_each(|row| row.rotate_right(shift));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(params: serde_json::Value, image: &[f32], frames: usize) -> Vec<f32> {
        let op: Deform = serde_json::from_value(params).expect("parameters");
        let mut image = image.to_vec();
        op.change(&mut image, frames);
        image
    }

    #[test]
    fn each_change_does_what_it_says() {
        let json = |text: &str| serde_json::from_str(text).expect("JSON");
        let image = [-10.0, 0.0, 10.0, -40.0];
        assert_eq!(changed(json("{}"), &image, 2), image);
        assert_eq!(changed(json(r#"{"gain": 6}"#), &image, 2), [-4.0, 6.0, 16.0, -34.0]);
        assert_eq!(changed(json(r#"{"tilt": 4}"#), &image, 2), [-12.0, -2.0, 12.0, -38.0]);
        assert_eq!(changed(json(r#"{"shift": 0.5}"#), &image, 2), [0.0, -10.0, -40.0, 10.0]);
        // Equal powers add up to 3 dB more; silence becomes the noise.
        let noisy = changed(json(r#"{"snr": 0}"#), &[0.0, 0.0], 2);
        assert!(noisy.iter().all(|value| (value - 3.0103).abs() < 1e-4), "{noisy:?}");
    }

    #[test]
    fn values_that_are_not_decibels_are_refused() {
        let op = |gain| Deform { gain, tilt: 0.0, snr: None, shift: none() };
        for gain in [f64::NAN, f64::INFINITY, 1e9] {
            assert_eq!(op(gain).check(&[]).expect_err("no number").param, Some("gain"));
        }
    }
}
