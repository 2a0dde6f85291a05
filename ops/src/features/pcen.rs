//! The op `pcen`: spectrograms whose bands are each set against their own recent level.

use super::defaults::{at_least_0, positive};
use crate::{
    Ctx, Inputs, Op, OpError, Outputs, Port,
    params::{Fraction, NonNegative, Positive},
};
use cache::{Kind, Shape};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Per-channel energy normalisation: each band over its own recent level, which takes out background and
/// loudness.
///
/// With the values S of a band, its level M(t) = (1 − b) M(t − 1) + b S(t), and P = (S · (eps + M)^−gain +
/// bias)^power − bias^power. For `power` 0 it is ln(1 + S · (eps + M)^−gain), for `bias` 0 a bare power.
/// Decibels become powers again, S = `scale` · 10^(x / 10); magnitudes (`cqt`) are taken as they are, times
/// `scale`. Make the input with `ref: 1, top_db: null`, so that what is quiet is still there.
///
/// The level begins as if S had been 1 before, as librosa's does: far above a recording whose full scale is
/// 1, so that the first frames come out low. `scale: 2147483648`, full scale in whole numbers of 32 bits,
/// is what librosa advises; or say the start with `zi`.
///
/// Source: librosa 0.11, `pcen(db_to_power(x))`, after Wang et al. (2017); within 1e-5 of the largest
/// value.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pcen {
    /// Samples a second, for `time_constant`. Default: what the spectrograms say, or else 22,050.
    #[serde(default)]
    pub sample_rate: Option<NonZeroU32>,
    /// Samples from one frame to the next. Default: what the spectrograms say, or else 512.
    #[serde(default)]
    pub hop_length: Option<NonZeroU32>,
    /// The factor of all values before anything else.
    #[serde(default = "default_scale")]
    pub scale: Positive,
    /// The power of the level by which values are divided.
    #[serde(default = "default_gain")]
    pub gain: NonNegative,
    /// The bias that is added before the values are compressed.
    #[serde(default = "default_bias")]
    pub bias: NonNegative,
    /// The power that compresses; 0 for a logarithm.
    #[serde(default = "default_power")]
    pub power: NonNegative,
    /// The time constant of the level, in seconds.
    #[serde(default = "default_time_constant")]
    pub time_constant: Positive,
    /// The small constant that is added to the level.
    #[serde(default = "default_eps")]
    pub eps: Positive,
    /// The share of the newest value in the level. Default: from `time_constant`, with T frames in it
    /// (√(1 + 4 T²) − 1) / (2 T²).
    #[serde(default)]
    pub b: Option<Fraction>,
    /// The number of neighbouring bands of which the largest value enters the level.
    #[serde(default = "default_max_size")]
    pub max_size: NonZeroU32,
    /// (1 − b) · M of the frame before the first one, the state of the filter. Default: 1 − b.
    #[serde(default)]
    pub zi: Option<NonNegative>,
}
fn default_scale() -> Positive {
    positive(1.0)
}
fn default_gain() -> NonNegative {
    at_least_0(0.98)
}
fn default_bias() -> NonNegative {
    at_least_0(2.0)
}
fn default_power() -> NonNegative {
    at_least_0(0.5)
}
fn default_time_constant() -> Positive {
    positive(0.4)
}
fn default_eps() -> Positive {
    positive(1e-6)
}
fn default_max_size() -> NonZeroU32 {
    NonZeroU32::MIN
}

impl Op for Pcen {
    const NAME: &'static str = "pcen";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] =
        &[Port::new("features", &[Kind::Spectrogram], "spectrograms in dB, or magnitudes")];
    const OUTPUTS: &'static [Port] =
        &[Port::new("features", &[Kind::Spectrogram], "normalised spectrograms")];
    const ROW_WISE: bool = true;

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        super::same_images(inputs)
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let input = inputs.get("features")?;
        self.check(&[Some(input.shape())])?;
        let (ids, images) = inputs.features("features")?;
        let is_db = match input.meta.get("unit").and_then(|unit| unit.as_str()) {
            None | Some("dB") => true,
            Some("amplitude") => false,
            Some(unit) => {
                let message =
                    format!("port `features` holds values of the unit `{unit}`, no spectrogram");
                return Err(OpError::data(message).help("connect `log_mel` or `cqt`"));
            }
        };
        let of = |name: &str, own: Option<NonZeroU32>, otherwise: f64| {
            let stated = input.meta.get(name).and_then(serde_json::Value::as_f64);
            own.map(|it| f64::from(it.get())).or(stated.filter(|it| *it > 0.0)).unwrap_or(otherwise)
        };
        let rate = of("sample_rate", self.sample_rate, 22_050.0);
        let frames_remembered =
            self.time_constant.get() * rate / of("hop_length", self.hop_length, 512.0);
        let square = frames_remembered * frames_remembered;
        let b = self.b.map_or(((1.0 + 4.0 * square).sqrt() - 1.0) / (2.0 * square), Fraction::get);
        let (bands, frames) = (images.shape()[0], images.shape()[1]);
        let mut values = images.values().to_vec();
        cx.stop_if_cancelled()?;
        values.par_chunks_exact_mut(bands * frames).for_each_init(
            || vec![0.0; bands * frames],
            |power, image| {
                for (power, value) in power.iter_mut().zip(&*image) {
                    let value = f64::from(*value);
                    let plain = if is_db { 10.0_f64.powf(value / 10.0) } else { value.abs() };
                    *power = self.scale.get() * plain;
                }
                self.normalise(power, frames, b, image);
            },
        );
        super::all_finite(ids, &values)?;
        let features = super::with_values(input, ids, images.shape(), values);
        Ok(Outputs::new().with("features", features.with_meta("unit", "pcen")))
    }
}

impl Pcen {
    /// Normalises the bands of one clip.
    fn normalise(&self, values: &[f64], frames: usize, b: f64, out: &mut [f32]) {
        let bands = values.len() / frames;
        let size = self.max_size.get() as usize;
        let (gain, bias, power) = (self.gain.get(), self.bias.get(), self.power.get());
        let eps = self.eps.get();
        for (band, out) in out.chunks_exact_mut(frames).enumerate() {
            let own = &values[band * frames..][..frames];
            let mut state = self.zi.map_or(1.0 - b, NonNegative::get);
            for (frame, (value, out)) in own.iter().zip(out).enumerate() {
                let loudest = near(band, size, bands).map(|band| values[band * frames + frame]);
                let level = b * loudest.fold(0.0, f64::max) + state;
                state = (1.0 - b) * level;
                let smooth = (-gain * (eps.ln() + (level / eps).ln_1p())).exp();
                let made = match () {
                    () if power == 0.0 => (value * smooth).ln_1p(),
                    () if bias == 0.0 => (value * smooth).powf(power),
                    () => bias.powf(power) * (power * (value * smooth / bias).ln_1p()).exp_m1(),
                };
                *out = made as f32;
            }
        }
    }
}

/// `size` bands around one, mirrored at the edges.
fn near(band: usize, size: usize, bands: usize) -> impl Iterator<Item = usize> {
    let (first, around) = (band as i64 - (size / 2) as i64, 2 * bands as i64);
    // More bands than there are twice over hold no other ones.
    (0..size.min(2 * bands) as i64).map(move |at| {
        let place = (first + at).rem_euclid(around);
        place.min(around - 1 - place) as usize
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_band_comes_to_rest_where_the_formula_says() {
        let op: Pcen = serde_json::from_str("{}").expect("defaults");
        let mut out = vec![0.0; 400];
        op.normalise(&[50.0; 400], 400, 0.1, &mut out);
        let rest = (50.0 * (1e-6 + 50.0_f64).powf(-0.98) + 2.0).sqrt() - 2.0_f64.sqrt();
        assert!((f64::from(out[399]) - rest).abs() < 1e-6, "{} {rest}", out[399]);
    }

    #[test]
    fn bands_are_mirrored_at_the_edges() {
        let of = |band, size, bands| near(band, size, bands).collect::<Vec<_>>();
        assert_eq!(of(0, 3, 4), [0, 0, 1]);
        assert_eq!(of(3, 4, 4), [1, 2, 3, 3]);
        assert_eq!(of(0, 5, 1), [0, 0]);
    }
}
