//! The op `chroma_cqt`: how strong each pitch class is, from bands that are spaced as notes are.

use super::{
    chroma,
    cqt::{self, Cqt, Transforms},
    defaults::{self, at_least_0, count},
    waveforms::{self, Framing, within},
};
use crate::{
    Ctx, Inputs, Op, OpError, Outputs, Port,
    math::{constant_q::pitch_classes, vector_norm::Norm},
    memory,
    params::{NonNegative, Positive},
};
use cache::{Kind, Shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Chromagrams of constant-Q spectra: how much of each pitch class there is, whatever the octave.
///
/// The magnitudes of `cqt` with `n_octaves` · `bins_per_octave` bands are summed over the octaves and
/// over the bands of a class, the band of its note in their middle; the first class is C. What is below
/// `threshold` counts as zero; then frames are divided by their norm. What is zero stays so. Low notes
/// are told apart better than by `chroma`, whose bands are equally wide.
///
/// Source: librosa 0.11, `feature.chroma_cqt`; within 1e-4 in frames that are at least 1e-4 as loud as
/// the loudest. In quieter ones, such as padding, the norm brings rounding to full scale, as in librosa:
/// a `threshold` leaves it out. Frames are those of `cqt`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChromaCqt {
    /// The sample rate that clips are brought to, in Hz, from 1,000 to 1,000,000.
    #[serde(default = "defaults::sample_rate")]
    pub sample_rate: u32,
    /// The length of every clip in seconds; it is rounded to whole samples.
    #[serde(default = "defaults::duration")]
    pub duration: Positive,
    /// Samples from one frame to the next, from 16 to 65,536. What can be halved often makes it quick.
    #[serde(default = "defaults::hop_length")]
    pub hop_length: NonZeroU32,
    /// The frequency of the lowest band in Hz. Default: C1.
    #[serde(default = "cqt::default_fmin")]
    pub fmin: Positive,
    /// The norm by which frames are divided: `inf`, the largest value, a number p for (Σ x^p)^(1 / p), or
    /// `null` for none.
    #[serde(default = "chroma::default_norm")]
    pub norm: Option<Norm>,
    /// The sum below which a class counts as zero, before frames are divided.
    #[serde(default = "default_threshold")]
    pub threshold: NonNegative,
    /// The deviation from `fmin` in fractions of a band, from −1 to 1; that of each clip is estimated if
    /// left out.
    #[serde(default)]
    pub tuning: Option<f64>,
    /// The number of pitch classes, from 1 to 1,024.
    #[serde(default = "chroma::default_n_chroma")]
    pub n_chroma: NonZeroU32,
    /// The number of octaves above `fmin`, from 1 to 16.
    #[serde(default = "default_n_octaves")]
    #[schemars(range(max = 16))]
    pub n_octaves: NonZeroU32,
    /// Bands an octave, a multiple of `n_chroma`, from 1 to 1,024.
    #[serde(default = "default_bins_per_octave")]
    pub bins_per_octave: NonZeroU32,
}
fn default_threshold() -> NonNegative {
    at_least_0(0.0)
}
fn default_n_octaves() -> NonZeroU32 {
    count(7)
}
fn default_bins_per_octave() -> NonZeroU32 {
    count(36)
}

impl ChromaCqt {
    fn framing(&self) -> Framing {
        let Self { sample_rate, duration, hop_length, .. } = *self;
        Framing { sample_rate, duration, hop_length }
    }

    fn image(&self) -> [usize; 2] {
        self.framing().image(self.n_chroma)
    }

    /// The spectra that are summed; the parameters are within their limits.
    fn cqt(&self) -> Cqt {
        let Self { sample_rate, duration, hop_length, fmin, bins_per_octave, tuning, .. } = *self;
        let n_bins = self.n_octaves.saturating_mul(bins_per_octave);
        Cqt {
            sample_rate,
            duration,
            hop_length,
            fmin,
            n_bins,
            bins_per_octave,
            tuning,
            ..Cqt::default()
        }
    }

    fn check_params(&self) -> Result<(), OpError> {
        within("n_chroma", self.n_chroma.get(), 1, 1_024)?;
        within("n_octaves", self.n_octaves.get(), 1, 16)?;
        within("bins_per_octave", self.bins_per_octave.get(), 1, 1_024)?;
        let (bands, classes) = (self.bins_per_octave.get(), self.n_chroma.get());
        if !bands.is_multiple_of(classes) {
            let message =
                format!("`bins_per_octave` is {bands}, no multiple of `n_chroma`, {classes}");
            return Err(OpError::param("bins_per_octave", message)
                .help("give each pitch class equally many bands"));
        }
        // Its number of bands is ours of octaves.
        self.cqt().check_params().map_err(|error| match error.param {
            Some("n_bins") => OpError::param("n_octaves", error.message)
                .help("use fewer octaves, or a lower `fmin`"),
            _ => error,
        })
    }
}

impl Op for ChromaCqt {
    const NAME: &'static str = "chroma_cqt";
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[Port::RECORDINGS];
    const OUTPUTS: &'static [Port] =
        &[Port::new("features", &[Kind::Spectrogram], "one image a clip, pitch classes × frames")];
    const ROW_WISE: bool = true;

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        self.check_params()?;
        Ok(vec![waveforms::shape(inputs, self.image())])
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        let [_, frames] = self.image();
        let bands = self.cqt().n_bins.get() as usize;
        memory::of_images(inputs, self.image(), self.framing().samples() + bands * frames / 6)
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        self.check_params()?;
        let (clips, image, cqt) = (inputs.table("clips")?, self.image(), self.cqt());
        let [classes, frames] = image;
        let bands = cqt.n_bins.get() as usize;
        let of = pitch_classes(self.fmin.get(), self.bins_per_octave.get() as usize, classes);
        let (transforms, framing) = (Transforms::new(&cqt), self.framing());
        let scratch = || (transforms.scratch(), vec![0.0; bands * frames]);
        let values =
            waveforms::images(clips, &framing, image, cx, scratch, |clip, scratch, out| {
                let (scratch, spectra) = scratch;
                transforms.magnitudes(clip, scratch, spectra);
                out.fill(0.0);
                for (band, magnitudes) in spectra.chunks_exact(frames).enumerate() {
                    let class = &mut out[of[band % of.len()] * frames..][..frames];
                    class.iter_mut().zip(magnitudes).for_each(|(sum, value)| *sum += value);
                }
                self.divide(out, frames);
            })?;
        let features = framing.artifact(clips, image, values).with_meta("unit", "chroma");
        Ok(Outputs::new().with("features", features))
    }
}

impl ChromaCqt {
    /// Leaves out small sums, and divides each frame by its norm.
    fn divide(&self, sums: &mut [f32], frames: usize) {
        let mut own = vec![0.0; sums.len() / frames];
        for frame in 0..frames {
            for (own, value) in own.iter_mut().zip(sums.iter().skip(frame).step_by(frames)) {
                let value = f64::from(*value);
                *own = if value < self.threshold.get() { 0.0 } else { value };
            }
            if let Some(norm) = self.norm {
                norm.divide(&mut own);
            }
            for (own, value) in own.iter().zip(sums.iter_mut().skip(frame).step_by(frames)) {
                *value = *own as f32;
            }
        }
    }
}
