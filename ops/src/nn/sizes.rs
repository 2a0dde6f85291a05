//! The size of a network: its images, its parameters, and the memory of a training. A network that
//! is too large for any machine is refused before it is built.

use super::fit::Plan;
use super::layers::{Architecture, Size};
use crate::op::OpError;
use cache::Shape;

/// The largest number of parameters of a network, and of bytes of a training.
const MAX_PARAMETERS_AND_BYTES: [f64; 2] = [2.5e8, 6.4e10];
/// The largest number of values in an image, and the largest ratio to those of a clip.
const MAX_IMAGE: f64 = 1.6e7;
const MAX_GROWN: f64 = 4.0;
/// The sizes of the images of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The sizes after each convolution of the encoder.
    pub encoder: Vec<Size>,
    /// The sizes after each convolution of the decoder; the last one is cropped to the size of the
    /// input.
    pub decoder: Vec<Size>,
}

impl Sizes {
    /// The number of values in all images of one clip, and in the largest of them.
    pub fn values(&self) -> Option<(usize, usize)> {
        let mut images = self.encoder.iter().chain(&self.decoder);
        images.try_fold((0_usize, 0), |(all, largest), &size| {
            let len = size.iter().try_fold(1_usize, |len, n| len.checked_mul(*n))?;
            Some((all.checked_add(len)?, len.max(largest)))
        })
    }
}

impl Architecture {
    /// The sizes of all images: each convolution (padding kernel ÷ 2) shrinks them, and the decoder
    /// enlarges them by at least as much. `None` if a size overflows.
    pub fn sizes(&self) -> Option<Sizes> {
        let (kernel, stride, padding) = (self.kernel, self.stride, self.kernel / 2);
        let shrink = |n: usize| {
            Some(n.checked_add(2 * padding)?.checked_sub(kernel)?.checked_div(stride)? + 1)
        };
        let grow = |n: usize| {
            let inner = n.checked_sub(1)?.checked_mul(stride)?.checked_add(kernel + stride - 1)?;
            inner.checked_sub(2 * padding)
        };
        let mut image = self.input;
        let mut encoder = Vec::new();
        for &out in &self.channels {
            image = [shrink(image[0])?, shrink(image[1])?];
            encoder.push([out, image[0], image[1]]);
        }
        let mut decoder = Vec::new();
        for &out in self.channels.iter().rev().skip(1) {
            image = [grow(image[0])?, grow(image[1])?];
            decoder.push([out, image[0], image[1]]);
        }
        decoder.push([1, self.input[0], self.input[1]]);
        Some(Sizes { encoder, decoder })
    }
}

/// Rows and columns of a clip.
fn image(row: &[usize]) -> Result<[usize; 2], OpError> {
    match *row {
        [width] => Ok([1, width]),
        [height, width] => Ok([height, width]),
        _ => Err(OpError::data(format!("clips of {} axes; a model takes one or two", row.len()))),
    }
}

/// The error of a network whose decoder is too large for any machine.
fn too_large(a: &Architecture, numbers: &str) -> OpError {
    let (count, stride) = (a.channels.len(), a.stride);
    let message = format!(
        "the decoder mirrors {count} convolutions of stride {stride} and would make images of {numbers}"
    );
    let [height, width] = a.input;
    let fit = (height.max(width) as f64).log(stride.max(2) as f64).ceil().max(1.0);
    OpError::param("channels", message).help(format!(
        "clips of {height} × {width} are shrunk to one pixel by {fit:.0} such convolutions: give fewer channels, or a smaller `stride`"
    ))
}

/// The numbers of values that a network holds, in floating point, since absurd sizes would overflow
/// whole numbers.
struct Cost {
    /// The number of trained parameters.
    parameters: f64,
    /// The number of values of all layers, for one clip.
    values: f64,
    /// The number of values of the largest image.
    largest: f64,
}

impl Cost {
    /// The cost of an architecture; `None` if a size overflows.
    fn of(a: &Architecture) -> Option<Self> {
        let sizes = a.sizes()?;
        let (values, largest) = sizes.values()?;
        let taps = (a.kernel * a.kernel) as f64;
        let convolutions = |inside: usize, images: &[[usize; 3]]| -> f64 {
            let before = std::iter::once(inside).chain(images.iter().map(|image| image[0]));
            let weights = before.zip(images).map(|(i, image)| i as f64 * image[0] as f64);
            weights.sum::<f64>() * taps
        };
        let last = *sizes.encoder.last()?;
        let features: f64 = last.iter().map(|n| *n as f64).product();
        let dense = if a.variational { 3.0 } else { 2.0 };
        let parameters = convolutions(1, &sizes.encoder)
            + convolutions(last[0], &sizes.decoder)
            + dense * features * a.latent as f64;
        // Batch normalisation stores its input as well.
        let kept = if a.batch_norm { 2.0 } else { 1.0 };
        let clip = (a.input[0] * a.input[1]) as f64;
        let values = kept * values as f64 + features + clip;
        Some(Self { parameters, values, largest: largest as f64 })
    }

    /// The bytes of a training with `batch` clips in a batch, without the clips themselves: the
    /// values of all layers and their gradients; parameters, gradients and Adam's averages, twice
    /// while a checkpoint is saved.
    fn bytes(&self, batch: f64) -> f64 {
        4.0 * (batch * (self.values + self.largest) + 10.0 * self.parameters)
    }
}

impl Plan {
    /// The plan for clips of this shape, or an error if it would not fit any machine.
    ///
    /// # Errors
    /// When the parameters or the network do not fit the clips.
    pub fn on(mut self, row: &[usize], clips: Option<usize>) -> Result<Self, OpError> {
        let a = &mut self.architecture;
        a.input = image(row)?;
        for (name, value) in [("kernel", a.kernel), ("stride", a.stride)] {
            if value > 32 {
                return Err(OpError::param(name, format!("`{value}` is above 32")));
            }
        }
        if a.channels.is_empty() {
            return Err(OpError::param("channels", "a network needs at least one convolution"));
        }
        let batch = self.batch_size.min(clips.unwrap_or(self.batch_size)) as f64;
        let size = Cost::of(a).ok_or_else(|| too_large(a, "more numbers than there are"))?;
        if size.parameters > MAX_PARAMETERS_AND_BYTES[0] {
            let message = format!("the network would have {:.1e} parameters", size.parameters);
            return Err(OpError::param("channels", message)
                .help("use fewer channels or latent units, or a larger stride"));
        }
        // An image of the decoder that is far larger than the clip is useless for any batch.
        if size.largest > MAX_GROWN * (a.input[0] * a.input[1]) as f64 && size.largest > MAX_IMAGE {
            return Err(too_large(a, &format!("{:.1e} numbers", size.largest)));
        }
        let bytes = size.bytes(batch);
        if bytes > MAX_PARAMETERS_AND_BYTES[1] {
            let message = format!("a batch would take {bytes:.1e} bytes");
            return Err(OpError::param("batch_size", message)
                .help("use a smaller batch, or fewer channels"));
        }
        Ok(self)
    }

    /// The bytes of memory that training on these clips takes on the CPU.
    pub fn memory(&self, inputs: &[Option<Shape>], examples: usize) -> Option<u64> {
        let input = inputs.first()?.as_ref()?;
        let (clips, row) = (input.rows?, input.row.as_ref()?);
        let plan = self.clone().on(row, Some(clips)).ok()?;
        let width = row.iter().product::<usize>() as f64;
        let training = Cost::of(&plan.architecture)?.bytes(plan.batch_size.min(clips) as f64);
        let latent = 2.0 * plan.architecture.latent as f64;
        // The network has a copy of the clips.
        let (clips, examples) = (clips as f64, examples.min(clips) as f64);
        let held = clips * (2.0 * width + 2.0 * latent) + 3.0 * examples * width;
        Some((training + 4.0 * held) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Op;
    use crate::embed::autoencoder::Autoencoder;
    use cache::Kind;
    use serde_json::json;

    fn checked(channels: usize, stride: usize) -> Result<(), OpError> {
        let channels = vec![2; channels];
        let params = json!({ "channels": channels, "stride": stride });
        let op: Autoencoder = serde_json::from_value(params).expect("parameters");
        let row = Some(vec![128, 130]);
        let clips = Shape::of(Kind::Spectrogram).with_rows(Some(200)).with_row(row);
        op.check(&[Some(clips)]).map(|_| ())
    }

    #[test]
    fn a_decoder_that_outgrows_every_machine_is_refused() {
        for (channels, stride) in [(13, 2), (14, 2), (20, 2), (64, 2), (8, 32), (40, 32)] {
            let error = checked(channels, stride).expect_err("too large");
            assert_eq!(error.param, Some("channels"), "{channels} of stride {stride}: {error:?}");
        }
        assert!(checked(3, 2).is_ok() && checked(8, 2).is_ok() && checked(2, 32).is_ok());
    }
}
