//! The op `deltas`: how features change over time.

use crate::{
    Ctx, Inputs, Op, OpError, Outputs, Port,
    math::savitzky_golay::{self, Mode},
};
use cache::{Kind, Shape};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Deltas: the local derivative over time of each band of a spectrogram or of cepstra.
///
/// Through the `width` frames around each frame goes the polynomial of degree `order` that fits a band
/// best, and its derivative of that order is the delta (Savitzky and Golay 1964). With `stack`, the
/// bands themselves come first, then the deltas of each order up to `order`: MFCC with deltas and
/// double deltas are `{ op: deltas, in: mfcc, order: 2, stack: true }` after `mfcc` with `pool: none`.
///
/// Source: librosa 0.11, `feature.delta`; within 1e-5 of the largest value.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deltas {
    /// The number of frames around each one, odd and at least 3.
    #[serde(default = "default_width")]
    pub width: u32,
    /// The order of the derivative, from 1 to below `width`.
    #[serde(default = "default_order")]
    pub order: u32,
    /// The extension of frames before the first and after the last one.
    #[serde(default)]
    pub mode: Mode,
    /// Keeps the bands and the deltas of lower orders above those of `order`.
    #[serde(default)]
    pub stack: bool,
}

fn default_width() -> u32 {
    9
}
fn default_order() -> u32 {
    1
}

impl Deltas {
    /// The shape of a row for images with the given shape.
    fn row(&self, image: &[usize]) -> Result<Vec<usize>, OpError> {
        let &[bands, frames] = image else {
            return Err(super::no_images());
        };
        if self.mode == Mode::Interp && self.width as usize > frames {
            let message = format!("`width` is {}, but there are {frames} frames", self.width);
            return Err(OpError::param("width", message)
                .help("use a smaller `width`, longer clips, or another `mode`"));
        }
        let parts = if self.stack { 1 + self.order as usize } else { 1 };
        Ok(vec![parts * bands, frames])
    }

    fn check_params(&self) -> Result<(), OpError> {
        const WIDEST: u32 = 9_999;
        let (width, order) = (self.width, self.order);
        if !(3..=WIDEST).contains(&width) || width.is_multiple_of(2) {
            let message = format!("`width` is {width}, not an odd number from 3 to {WIDEST}");
            return Err(OpError::param("width", message));
        }
        if order == 0 || order >= width.min(32) {
            let most = width.min(32) - 1;
            let message = format!("`order` is {order}, not from 1 to {most}");
            return Err(OpError::param("order", message));
        }
        Ok(())
    }
}

impl Op for Deltas {
    const NAME: &'static str = "deltas";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] =
        &[Port::new("features", &[Kind::Spectrogram], "spectrograms, cepstra or other frames")];
    const OUTPUTS: &'static [Port] = &[Port::new("features", &[Kind::Spectrogram], "their deltas")];
    const ROW_WISE: bool = true;

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        self.check_params()?;
        let input = inputs.first().and_then(Option::as_ref);
        let row = input.and_then(|shape| shape.row.as_deref()).map(|image| self.row(image));
        let shape = Shape::of(Kind::Spectrogram).with_row(row.transpose()?);
        Ok(vec![shape.with_rows(input.and_then(|shape| shape.rows))])
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        self.check_params()?;
        let (ids, images) = inputs.features("features")?;
        let row = self.row(images.shape())?;
        cx.stop_if_cancelled()?;
        let orders = if self.stack { 1..=self.order } else { self.order..=self.order };
        let weights: Vec<_> = orders
            .map(|order| savitzky_golay::weights(self.width as usize, order as usize))
            .collect();
        let (frames, width) = (row[1], row[0] * row[1]);
        let mut values = vec![0.0; ids.len() * width];
        values.par_chunks_exact_mut(width).enumerate().for_each(|(clip, mut out)| {
            let image = images.row(clip);
            if self.stack {
                let own;
                (own, out) = out.split_at_mut(image.len());
                own.copy_from_slice(image);
            }
            for (weights, out) in weights.iter().zip(out.chunks_exact_mut(image.len())) {
                let bands = image.chunks_exact(frames).zip(out.chunks_exact_mut(frames));
                bands.for_each(|(band, out)| savitzky_golay::apply(weights, self.mode, band, out));
            }
        });
        super::all_finite(ids, &values)?;
        let features = super::with_values(inputs.get("features")?, ids, &row, values);
        Ok(Outputs::new().with("features", features.with_meta("unit", "delta")))
    }
}
