//! The op `mfcc`: cepstral coefficients of spectrograms.

use crate::{Ctx, Inputs, Op, OpError, Outputs, Port, math::dct::dct_matrix, params::NonNegative};
use cache::{Array, Artifact, Kind, Shape, Table};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Mel-frequency cepstral coefficients: the shape of a spectrum in few numbers.
///
/// Each frame of a spectrogram in dB goes through an orthonormal DCT-II over its bands, of which
/// the first `n_mfcc` coefficients are kept. `pool: mean_std` describes a clip by the mean of each
/// coefficient over time, then the standard deviation of each, dividing by the number of frames;
/// `pool: none` keeps the frames. Lifting multiplies coefficient n = 1, 2, … by
/// 1 + (`lifter` / 2) · sin(πn / `lifter`).
///
/// Source: `librosa.feature.mfcc(S=…, dct_type=2, norm="ortho")`, NumPy's `mean` and `std`; within
/// 1e-4 of the largest coefficient.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mfcc {
    /// The number of coefficients, from 1 to the number of bands.
    #[serde(default = "default_n_mfcc")]
    pub n_mfcc: u32,
    /// The pooling of frames into a vector.
    #[serde(default)]
    pub pool: Pool,
    /// The lifter in coefficients; 0 for none.
    #[serde(default = "default_lifter")]
    pub lifter: NonNegative,
}

/// The pooling of frames into a vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// No pooling: the output is a spectrogram of coefficients.
    None,
    /// Mean, then standard deviation, of each coefficient over time.
    #[default]
    MeanStd,
}

fn default_n_mfcc() -> u32 {
    13
}
fn default_lifter() -> NonNegative {
    NonNegative::try_from(0.0).expect("0 is at least 0")
}

impl Mfcc {
    /// The shape of a row for images with the given shape.
    fn row(&self, image: &[usize]) -> Result<Vec<usize>, OpError> {
        let count = self.n_mfcc as usize;
        let &[bands, frames] = image else {
            return Err(OpError::data("port `features` holds no images of bands × frames"));
        };
        if count == 0 || count > bands {
            return Err(OpError::param(
                "n_mfcc",
                format!("`n_mfcc` is {count}, but {bands} bands have 1 to {bands} coefficients"),
            ));
        }
        Ok(match self.pool {
            Pool::None => vec![count, frames],
            Pool::MeanStd => vec![2 * count],
        })
    }

    fn kind(&self) -> Kind {
        match self.pool {
            Pool::None => Kind::Spectrogram,
            Pool::MeanStd => Kind::Matrix,
        }
    }

    /// The DCT matrix with the lifter applied.
    fn matrix(&self, bands: usize) -> Vec<f64> {
        let mut matrix = dct_matrix(self.n_mfcc as usize, bands);
        let lifter = self.lifter.get();
        if lifter > 0.0 {
            for (k, row) in matrix.chunks_exact_mut(bands).enumerate() {
                let angle = std::f64::consts::PI * (k + 1) as f64 / lifter;
                row.iter_mut().for_each(|x| *x *= 1.0 + lifter / 2.0 * angle.sin());
            }
        }
        matrix
    }
}

impl Op for Mfcc {
    const NAME: &'static str = "mfcc";
    const TITLE: &'static str = "MFCC";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] =
        &[Port::new("features", &[Kind::Spectrogram], "log-mel spectrograms in dB")];
    const OUTPUTS: &'static [Port] = &[Port::new(
        "features",
        &[Kind::Matrix, Kind::Spectrogram],
        "coefficients: vectors of means and deviations, or frames where `pool` is `none`",
    )];
    const ROW_WISE: bool = true;

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let input = inputs.first().and_then(Option::as_ref);
        let row = input.and_then(|shape| shape.row.as_deref()).map(|image| self.row(image));
        let shape = Shape::of(self.kind()).with_row(row.transpose()?);
        Ok(vec![shape.with_rows(input.and_then(|shape| shape.rows))])
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let (ids, images) = inputs.features("features")?;
        let row = self.row(images.shape())?;
        let mut values = vec![0.0; ids.len() * row.iter().product::<usize>()];
        let matrix = self.matrix(images.shape()[0]);
        cx.stop_if_cancelled()?;
        transform(images, &matrix, self.pool, &mut values);
        let table = Table::new()
            .with_text("clip_id", ids.iter().cloned())
            .with_array("features", row, values);
        let mut features = Artifact::table(self.kind(), table);
        if self.pool == Pool::None {
            features.meta = inputs.get("features")?.meta.clone();
            features = features.with_meta("unit", "cepstrum");
        }
        Ok(Outputs::new().with("features", features))
    }
}

/// Writes the row of each image into `values`.
fn transform(images: &Array, matrix: &[f64], pool: Pool, values: &mut [f32]) {
    let (bands, frames) = (images.shape()[0], images.shape()[1]);
    let width = values.len() / images.rows();
    values.par_chunks_exact_mut(width).enumerate().for_each_init(
        || vec![0.0_f64; frames],
        |track, (clip, out)| {
            let image = images.row(clip);
            for (k, weights) in matrix.chunks_exact(bands).enumerate() {
                track.fill(0.0);
                for (&weight, band) in weights.iter().zip(image.chunks_exact(frames)) {
                    for (sum, &value) in track.iter_mut().zip(band) {
                        *sum += weight * f64::from(value);
                    }
                }
                match pool {
                    Pool::None => {
                        let row = &mut out[k * frames..][..frames];
                        row.iter_mut().zip(&*track).for_each(|(row, &x)| *row = x as f32);
                    }
                    Pool::MeanStd => {
                        let (mean, deviation) = mean_and_deviation(track);
                        out[k] = mean as f32;
                        out[width / 2 + k] = deviation as f32;
                    }
                }
            }
        },
    );
}

fn mean_and_deviation(track: &[f64]) -> (f64, f64) {
    let count = track.len() as f64;
    let mean = track.iter().sum::<f64>() / count;
    let variance = track.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}
