//! The op `chroma`: how strong each pitch class is.

use super::{
    defaults,
    waveforms::{self, Framing, within},
};
use crate::{
    Ctx, Inputs, Op, OpError, Outputs, Port,
    math::{
        chroma::Bank,
        stft::{self, Stft},
        tuning,
        vector_norm::{INF, Norm},
    },
    memory,
    params::Positive,
};
use cache::{Kind, Shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Chromagrams: how much of each pitch class (C, C♯, …, B) there is, whatever the octave.
///
/// Clips are brought to one rate and length and cut into frames as in `log_mel`. The power of each
/// frame goes through a bump of Gaussian form around each pitch class, with weights of octaves of the
/// same form; then frames are divided by their norm. What is zero stays so.
///
/// Source: librosa 0.11, `feature.chroma_stft`, and `estimate_tuning` where no `tuning` is given; within
/// 1e-4.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chroma {
    /// The sample rate that clips are brought to, in Hz, from 1,000 to 1,000,000.
    #[serde(default = "defaults::sample_rate")]
    pub sample_rate: u32,
    /// The length of every clip in seconds; it is rounded to whole samples.
    #[serde(default = "defaults::duration")]
    pub duration: Positive,
    /// The length of a frame in samples, from 2 to 1,048,576.
    #[serde(default = "defaults::n_fft")]
    pub n_fft: NonZeroU32,
    /// Samples from one frame to the next, at least 1.
    #[serde(default = "defaults::hop_length")]
    pub hop_length: NonZeroU32,
    /// The length of the window in samples, at most `n_fft`, which it is if left out.
    #[serde(default)]
    pub win_length: Option<NonZeroU32>,
    /// The number of pitch classes, from 1 to 1,024.
    #[serde(default = "default_n_chroma")]
    pub n_chroma: NonZeroU32,
    /// The deviation from 440 Hz in fractions of a class, from −1 to 1; that of each clip is estimated
    /// if left out.
    #[serde(default)]
    pub tuning: Option<f64>,
    /// The norm by which frames are divided: `inf`, the largest value, a number p for (Σ x^p)^(1 / p), or
    /// `null` for none.
    #[serde(default = "default_norm")]
    pub norm: Option<Norm>,
    /// The octave that weighs most; 5 begins at 440 Hz.
    #[serde(default = "default_ctroct")]
    pub ctroct: f64,
    /// The standard deviation of the weights of octaves, in octaves; `null` for equal weights.
    #[serde(default = "default_octwidth")]
    pub octwidth: Option<Positive>,
    /// True if the first class is C; otherwise it is A.
    #[serde(default = "default_base_c")]
    pub base_c: bool,
}
pub(super) fn default_n_chroma() -> NonZeroU32 {
    defaults::count(12)
}
pub(super) fn default_norm() -> Option<Norm> {
    Some(INF)
}
fn default_ctroct() -> f64 {
    5.0
}
fn default_octwidth() -> Option<Positive> {
    Some(defaults::positive(2.0))
}
fn default_base_c() -> bool {
    true
}

/// Checks a tuning.
pub(super) fn check_tuning(tuning: f64) -> Result<(), OpError> {
    match (-1.0..=1.0).contains(&tuning) {
        true => Ok(()),
        false => {
            let message =
                format!("`tuning` is {tuning}, not from −1 to 1 of the way to the next bin");
            Err(OpError::param("tuning", message))
        }
    }
}

impl Chroma {
    fn framing(&self) -> Framing {
        let Self { sample_rate, duration, hop_length, .. } = *self;
        Framing { sample_rate, duration, hop_length }
    }

    fn image(&self) -> [usize; 2] {
        self.framing().image(self.n_chroma)
    }

    fn stft(&self) -> Stft {
        let window = self.win_length.unwrap_or(self.n_fft).get() as usize;
        Stft::new(self.n_fft.get() as usize, self.hop_length.get() as usize, window)
    }

    fn check_params(&self) -> Result<(), OpError> {
        self.framing().check()?;
        within("n_fft", self.n_fft.get(), 2, 1 << 20)?;
        within("win_length", self.win_length.unwrap_or(self.n_fft).get(), 1, self.n_fft.get())?;
        within("n_chroma", self.n_chroma.get(), 1, 1_024)?;
        check_tuning(self.tuning.unwrap_or(0.0))?;
        if !(-100.0..=100.0).contains(&self.ctroct) {
            let message = format!("`ctroct` is {}, not an octave from −100 to 100", self.ctroct);
            return Err(OpError::param("ctroct", message));
        }
        Ok(())
    }

    fn bank(&self) -> Bank {
        Bank {
            sample_rate: f64::from(self.sample_rate),
            n_fft: self.n_fft.get() as usize,
            n_chroma: self.n_chroma.get() as usize,
            octaves: self.octwidth.map(|width| (self.ctroct, width.get())),
            base_c: self.base_c,
        }
    }
}

impl Op for Chroma {
    const NAME: &'static str = "chroma";
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
        let bins = self.n_fft.get() as usize / 2 + 1;
        memory::of_images(
            inputs,
            self.image(),
            self.framing().samples() + self.image()[1] * bins / 6,
        )
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        self.check_params()?;
        let (clips, image) = (inputs.table("clips")?, self.image());
        let (stft, bank) = (self.stft(), self.bank());
        let known = self.tuning.map(|tuning| bank.filters(tuning));
        let framing = self.framing();
        let scratch = || (stft.scratch(), vec![0.0; stft.bins() * image[1]]);
        let values =
            waveforms::images(clips, &framing, image, cx, scratch, |clip, scratch, out| {
                let (scratch, spectra) = scratch;
                self.spectra(&stft, clip, scratch, spectra);
                let own = match &known {
                    Some(_) => None,
                    None => {
                        let rate = f64::from(self.sample_rate);
                        let tuning = tuning::estimate(spectra, stft.bins(), rate, image[0]);
                        Some(bank.filters(tuning))
                    }
                };
                let filters = known.as_ref().or(own.as_ref()).expect("one of both");
                self.classes(filters, spectra, out);
            })?;
        let features = framing
            .artifact(clips, image, values)
            .with_meta("n_fft", self.n_fft.get())
            .with_meta("unit", "chroma");
        Ok(Outputs::new().with("features", features))
    }
}

impl Chroma {
    /// Writes the power of each frame, one after the other.
    fn spectra(&self, stft: &Stft, clip: &[f32], scratch: &mut stft::Scratch, all: &mut [f32]) {
        for (frame, power) in all.chunks_exact_mut(stft.bins()).enumerate() {
            if !stft.power(clip, frame, scratch, power) {
                power.fill(0.0);
            }
        }
    }

    /// Writes the classes of all frames, class after class.
    fn classes(&self, filters: &[f32], spectra: &[f32], out: &mut [f32]) {
        let [classes, frames] = self.image();
        let bins = filters.len() / classes;
        let mut own = vec![0.0; classes];
        for (frame, power) in spectra.chunks_exact(bins).enumerate() {
            for (sum, filter) in own.iter_mut().zip(filters.chunks_exact(bins)) {
                let products = filter.iter().zip(power);
                *sum = products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            }
            if let Some(norm) = self.norm {
                norm.divide(&mut own);
            }
            for (class, value) in own.iter().enumerate() {
                out[class * frames + frame] = *value as f32;
            }
        }
    }
}
