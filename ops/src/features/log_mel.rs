//! The op `log_mel`: log-mel spectrograms of clips.

use super::defaults::{self, at_least_0, count, positive};
pub use super::log_mel_reference::{Highest, Reference};
use super::log_mel_warnings as warnings;
use super::waveforms::{self, Framing, within};
use crate::memory;
use crate::{
    Ctx, Inputs, Op, OpError, Outputs, Port,
    math::{
        decibel::{highest, power_to_db},
        mel::MelBank,
        stft::{self, Stft},
    },
    params::{NonNegative, Positive},
};
use cache::{Kind, Shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Log-mel spectrograms, all of one size, straight from the recordings.
///
/// Each clip is decoded, its channels are averaged, and it is resampled, then cut at the end or padded
/// with zeros to `duration`. Frames of `n_fft` samples every `hop_length` samples, the first
/// centred on the first sample, are weighted with a periodic Hann window and Fourier-transformed;
/// their power goes through `n_mels` triangular filters on Slaney's mel scale, each of area 1, and
/// to decibels: 10 log₁₀(max(amin, S)) − 10 log₁₀(max(amin, ref)), not below the clip's loudest
/// value − `top_db`. The result has `n_mels` × (1 + ⌊duration · sample_rate / hop_length⌋) values.
///
/// Source: librosa 0.11, `load(res_type="soxr_hq")`, `feature.melspectrogram` and `power_to_db`.
/// On equal samples within 1e-4 dB; with resampling within 1e-3 dB on average at any
/// rate, and 1e-3 dB at most at 2:1.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogMel {
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
    /// The number of mel bands, from 1 to 4,096.
    #[serde(default = "default_n_mels")]
    pub n_mels: NonZeroU32,
    /// The lower edge of the lowest band in Hz.
    #[serde(default = "default_fmin")]
    pub fmin: NonNegative,
    /// The upper edge of the highest band in Hz, at most half the sample rate, which it is if
    /// left out.
    #[serde(default)]
    pub fmax: Option<Positive>,
    /// The power that is 0 dB: `max`, the highest of the clip, or a number.
    #[serde(default = "defaults::reference", rename = "ref")]
    pub reference: Reference,
    /// The least power: what is below counts as this much.
    #[serde(default = "default_amin")]
    pub amin: Positive,
    /// The threshold below the loudest value of the clip, in dB, to which lower values are raised; `null` for none.
    #[serde(default = "defaults::top_db")]
    pub top_db: Option<NonNegative>,
}
fn default_n_mels() -> NonZeroU32 {
    count(128)
}
fn default_fmin() -> NonNegative {
    at_least_0(0.0)
}
fn default_amin() -> Positive {
    positive(1e-10)
}

impl LogMel {
    pub(super) fn fmax(&self) -> f64 {
        self.fmax.map_or(f64::from(self.sample_rate) / 2.0, Positive::get)
    }

    fn win_length(&self) -> u32 {
        self.win_length.unwrap_or(self.n_fft).get()
    }

    pub(super) fn framing(&self) -> Framing {
        let Self { sample_rate, duration, hop_length, .. } = *self;
        Framing { sample_rate, duration, hop_length }
    }

    /// The shape of an image: `n_mels` and the number of frames.
    fn image(&self) -> [usize; 2] {
        self.framing().image(self.n_mels)
    }

    fn check_params(&self) -> Result<(), OpError> {
        self.framing().check()?;
        within("n_fft", self.n_fft.get(), 2, 1 << 20)?;
        within("win_length", self.win_length(), 1, self.n_fft.get())?;
        within("n_mels", self.n_mels.get(), 1, 4_096)?;
        let rate = f64::from(self.sample_rate);
        if self.fmax() > rate / 2.0 {
            return Err(OpError::param(
                "fmax",
                format!(
                    "`fmax` is {} Hz, above half the sample rate, {} Hz",
                    self.fmax(),
                    rate / 2.0
                ),
            ));
        }
        if self.fmax() - self.fmin.get() < 1.0 {
            return Err(OpError::param(
                "fmin",
                format!(
                    "`fmin`, {} Hz, is not at least 1 Hz below `fmax`, {} Hz",
                    self.fmin.get(),
                    self.fmax()
                ),
            ));
        }
        Ok(())
    }
}

impl Op for LogMel {
    const NAME: &'static str = "log_mel";
    const TITLE: &'static str = "log-Mel spectrogram";
    const VERSION: u32 = 3;
    const INPUTS: &'static [Port] = &[Port::RECORDINGS];
    const OUTPUTS: &'static [Port] =
        &[Port::new("features", &[Kind::Spectrogram], "one image a clip, bands × frames, in dB")];
    const ROW_WISE: bool = true;

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        self.check_params()?;
        Ok(vec![waveforms::shape(inputs, self.image())])
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        memory::of_images(inputs, self.image(), self.framing().samples())
    }

    fn warnings(&self, _inputs: &[Option<Shape>]) -> Vec<OpError> {
        warnings::of_params(self)
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        self.check_params()?;
        let clips = inputs.table("clips")?;
        warnings::of_clips(self, clips, cx.warnings);
        let (framing, image, extractor) = (self.framing(), self.image(), Extractor::new(self));
        let values = waveforms::images(
            clips,
            &framing,
            image,
            cx,
            || extractor.scratch(),
            |clip, scratch, out| extractor.image(clip, scratch, out),
        )?;
        let ids = clips.text("clip_id").expect("images were made of clips with names");
        warnings::of_images(ids, &values, image[0] * image[1], cx.warnings);
        let features = framing
            .artifact(clips, image, values)
            .with_meta("n_fft", self.n_fft.get())
            .with_meta("fmin", self.fmin.get())
            .with_meta("fmax", self.fmax())
            .with_meta("unit", "dB");
        Ok(Outputs::new().with("features", features))
    }
}

/// The plans and filters that are made once for a run.
struct Extractor<'a> {
    params: &'a LogMel,
    stft: Stft,
    bank: MelBank,
}

/// The buffers of one thread, reused from clip to clip.
struct Scratch {
    stft: stft::Scratch,
    power: Vec<f32>,
    /// Mel powers, frame after frame.
    mels: Vec<f32>,
}

impl<'a> Extractor<'a> {
    fn new(params: &'a LogMel) -> Self {
        let (rate, n_fft) = (f64::from(params.sample_rate), params.n_fft.get() as usize);
        let (hop, window) = (params.hop_length.get() as usize, params.win_length() as usize);
        let n_mels = params.n_mels.get() as usize;
        Self {
            params,
            stft: Stft::new(n_fft, hop, window),
            bank: MelBank::new(rate, n_fft, n_mels, params.fmin.get(), params.fmax()),
        }
    }

    fn scratch(&self) -> Scratch {
        let [bands, frames] = self.params.image();
        Scratch {
            stft: self.stft.scratch(),
            power: vec![0.0; self.stft.bins()],
            mels: vec![0.0; bands * frames],
        }
    }

    /// Computes the image of a clip in decibels, band after band.
    fn image(&self, clip: &[f32], scratch: &mut Scratch, out: &mut [f32]) {
        let Scratch { stft, power, mels } = scratch;
        let bands = self.bank.len();
        for (frame, mels) in mels.chunks_exact_mut(bands).enumerate() {
            if self.stft.power(clip, frame, stft, power) {
                self.bank.apply(power, mels);
            } else {
                mels.fill(0.0);
            }
        }
        let reference = match self.params.reference {
            Reference::Highest(_) => highest(mels),
            Reference::Power(power) => power.get() as f32,
        };
        let top_db = self.params.top_db.map(|top_db| top_db.get() as f32);
        power_to_db(mels, reference, self.params.amin.get() as f32, top_db);
        let frames = mels.len() / bands;
        // The number of frames that are processed together, so that they stay in the cache.
        const AT_ONCE: usize = 16;
        for (part, mels) in mels.chunks(AT_ONCE * bands).enumerate() {
            for (band, row) in out.chunks_exact_mut(frames).enumerate() {
                let row = &mut row[part * AT_ONCE..];
                for (value, mels) in row.iter_mut().zip(mels.chunks_exact(bands)) {
                    *value = mels[band];
                }
            }
        }
    }
}
