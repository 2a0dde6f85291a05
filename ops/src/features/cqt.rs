//! The op `cqt`: spectrograms whose bands are spaced as notes are.

use super::{
    chroma::check_tuning,
    defaults::{self, at_least_0, count, positive},
    log_mel_reference::Reference,
    waveforms::{self, Framing, within},
};
use crate::{
    Ctx, Inputs, Op, OpError, Outputs, Port,
    math::{
        constant_q::{Bins, ConstantQ, Scratch},
        decibel::{highest, power_to_db},
        stft::{self, Stft},
        tuning,
        vector_norm::Norm,
    },
    memory,
    params::{NonNegative, Positive},
};
use cache::{Kind, Shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex},
};

/// Constant-Q spectrograms: magnitudes at frequencies that are spaced as notes are.
///
/// Clips are brought to one rate and length as in `log_mel`. Band k has the frequency `fmin` ·
/// 2^((k + tuning) / `bins_per_octave`) and a filter of as many periods as every other: a complex tone
/// under a Hann window. Octaves are computed from the highest down, and after each the signal is
/// halved, as librosa does with the same resampler. `unit: dB` gives 20 log₁₀(max(amin, |C|)) − 20
/// log₁₀(max(amin, ref)), not below the clip's loudest value − `top_db`.
///
/// Source: librosa 0.11, `abs(cqt(…))` and `amplitude_to_db`; within 1e-4 of the clip's largest
/// magnitude. Frames are 1 + ⌊duration · sample_rate / hop_length⌋; librosa gives one more for some
/// lengths that no hop divides.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cqt {
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
    #[serde(default = "default_fmin")]
    pub fmin: Positive,
    /// The number of bands, from 1 to 4,096.
    #[serde(default = "default_n_bins")]
    pub n_bins: NonZeroU32,
    /// Bands an octave, from 1 to 1,024.
    #[serde(default = "default_bins_per_octave")]
    pub bins_per_octave: NonZeroU32,
    /// The deviation from `fmin` in fractions of a band, from −1 to 1; `null` to estimate that of each
    /// clip.
    #[serde(default = "default_tuning")]
    pub tuning: Option<f64>,
    /// The factor of the length of the filters: below 1, times are sharper and pitches less so.
    #[serde(default = "default_one")]
    pub filter_scale: Positive,
    /// The norm of the filters: `inf`, the largest magnitude, a number p for (Σ |x|^p)^(1 / p), or `null`
    /// to leave them as they are.
    #[serde(default = "default_norm")]
    pub norm: Option<Norm>,
    /// The share of the magnitudes of each filter's spectrum that is left out, from 0 to below 1.
    #[serde(default = "default_sparsity")]
    pub sparsity: NonNegative,
    /// Divides bands by the square root of the length of their filter.
    #[serde(default = "default_scale")]
    pub scale: bool,
    /// The unit of the values.
    #[serde(default)]
    pub unit: Unit,
    /// The magnitude that is 0 dB: `max`, the highest of the clip, or a number.
    #[serde(default = "defaults::reference", rename = "ref")]
    pub reference: Reference,
    /// The least magnitude, where the unit is dB: what is below counts as this much.
    #[serde(default = "default_amin")]
    pub amin: Positive,
    /// The threshold below the loudest value of the clip, in dB, to which lower values are raised; `null` for none.
    #[serde(default = "defaults::top_db")]
    pub top_db: Option<NonNegative>,
}

/// The unit of the values of a spectrogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Unit {
    /// Magnitudes.
    #[default]
    #[serde(rename = "amplitude")]
    Amplitude,
    /// Decibels.
    #[serde(rename = "dB")]
    Decibel,
}
pub(super) fn default_fmin() -> Positive {
    positive(440.0 * 2.0_f64.powf(-45.0 / 12.0))
}
fn default_n_bins() -> NonZeroU32 {
    count(84)
}
fn default_bins_per_octave() -> NonZeroU32 {
    count(12)
}
fn default_tuning() -> Option<f64> {
    Some(0.0)
}
fn default_one() -> Positive {
    positive(1.0)
}
fn default_norm() -> Option<Norm> {
    Some(Norm::Power(positive(1.0)))
}
fn default_sparsity() -> NonNegative {
    at_least_0(0.01)
}
fn default_scale() -> bool {
    true
}
fn default_amin() -> Positive {
    positive(1e-5)
}

impl Default for Cqt {
    fn default() -> Self {
        Self {
            sample_rate: defaults::sample_rate(),
            duration: defaults::duration(),
            hop_length: defaults::hop_length(),
            fmin: default_fmin(),
            n_bins: default_n_bins(),
            bins_per_octave: default_bins_per_octave(),
            tuning: default_tuning(),
            filter_scale: default_one(),
            norm: default_norm(),
            sparsity: default_sparsity(),
            scale: default_scale(),
            unit: Unit::Amplitude,
            reference: defaults::reference(),
            amin: default_amin(),
            top_db: defaults::top_db(),
        }
    }
}

/// The most tunings of which the filters are kept.
const MAX_PLANS: usize = 16;

/// The state that threads share when they transform clips.
pub(super) struct Transforms<'a> {
    cqt: &'a Cqt,
    /// The transforms for the tunings so far, in hundredths of a band.
    plans: Mutex<HashMap<i64, Arc<ConstantQ>>>,
    pitches: Option<Pitches>,
}

/// The buffers of one thread.
pub(super) type Buffers = (Scratch, Option<(stft::Scratch, Vec<f32>)>);

impl<'a> Transforms<'a> {
    pub(super) fn new(cqt: &'a Cqt) -> Self {
        let pitches = cqt.tuning.is_none().then(Pitches::new);
        Self { cqt, plans: Mutex::default(), pitches }
    }

    pub(super) fn scratch(&self) -> Buffers {
        (Scratch::default(), self.pitches.as_ref().map(Pitches::scratch))
    }

    /// Writes the magnitudes of a clip, band after band.
    pub(super) fn magnitudes(&self, clip: &[f32], (scratch, own): &mut Buffers, out: &mut [f32]) {
        let Cqt { sample_rate, bins_per_octave, .. } = *self.cqt;
        let tuning = self.cqt.tuning.unwrap_or_else(|| {
            let (pitches, own) =
                self.pitches.as_ref().zip(own.as_mut()).expect("no tuning was given");
            pitches.tuning(clip, f64::from(sample_rate), bins_per_octave.get(), own)
        });
        self.plan(tuning).magnitudes(clip, scratch, out);
    }

    /// The transform for a tuning.
    fn plan(&self, tuning: f64) -> Arc<ConstantQ> {
        let place = (tuning * 100.0).round() as i64;
        let mut plans = self.plans.lock().expect("no thread panics while it holds the transforms");
        if let Some(plan) = plans.get(&place) {
            return Arc::clone(plan);
        }
        if plans.len() >= MAX_PLANS {
            plans.clear();
        }
        let plan = Arc::new(ConstantQ::new(&self.cqt.bins(tuning)));
        plans.insert(place, Arc::clone(&plan));
        plan
    }
}

impl Cqt {
    fn framing(&self) -> Framing {
        let Self { sample_rate, duration, hop_length, .. } = *self;
        Framing { sample_rate, duration, hop_length }
    }

    fn image(&self) -> [usize; 2] {
        self.framing().image(self.n_bins)
    }

    fn bins(&self, tuning: f64) -> Bins {
        let per_octave = self.bins_per_octave.get() as usize;
        Bins {
            sample_rate: f64::from(self.sample_rate),
            hop: self.hop_length.get() as usize,
            fmin: self.fmin.get() * 2.0_f64.powf(tuning / per_octave as f64),
            count: self.n_bins.get() as usize,
            per_octave,
            filter_scale: self.filter_scale.get(),
            norm: self.norm,
            sparsity: self.sparsity.get(),
            scale: self.scale,
        }
    }

    pub(super) fn check_params(&self) -> Result<(), OpError> {
        const MAX_FILTER_LENGTH: f64 = 262_144.0;
        self.framing().check()?;
        within("hop_length", self.hop_length.get(), 16, 1 << 16)?;
        within("n_bins", self.n_bins.get(), 1, 4_096)?;
        within("bins_per_octave", self.bins_per_octave.get(), 1, 1_024)?;
        check_tuning(self.tuning.unwrap_or(0.0))?;
        let sparsity = self.sparsity.get();
        if sparsity >= 1.0 {
            let message = format!("`sparsity` is {sparsity}, not from 0 to below 1");
            return Err(OpError::param("sparsity", message));
        }
        let (low, high) = (self.tuning.unwrap_or(-0.5), self.tuning.unwrap_or(0.5));
        let (half, highest) = (f64::from(self.sample_rate) / 2.0, self.bins(high).highest());
        if highest.is_nan() || highest > half {
            let message = format!(
                "the highest of {} bands reaches up to {highest:.0} Hz, above half the sample rate, {half} Hz",
                self.n_bins
            );
            return Err(
                OpError::param("n_bins", message).help("use fewer bands, or a lower `fmin`")
            );
        }
        if self.bins(low).longest() > MAX_FILTER_LENGTH {
            let message = format!("a filter at {} Hz is longer than 2^18 samples", self.fmin.get());
            return Err(OpError::param("fmin", message)
                .help("use a higher `fmin`, fewer bands an octave, or a lower `filter_scale`"));
        }
        Ok(())
    }

    /// Turns magnitudes into decibels.
    fn decibels(&self, values: &mut [f32]) {
        values.iter_mut().for_each(|value| *value *= *value);
        let reference = match self.reference {
            Reference::Highest(_) => highest(values),
            Reference::Power(reference) => reference.get().powi(2) as f32,
        };
        let top_db = self.top_db.map(|top_db| top_db.get() as f32);
        power_to_db(values, reference, self.amin.get().powi(2) as f32, top_db);
    }
}

impl Op for Cqt {
    const NAME: &'static str = "cqt";
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[Port::RECORDINGS];
    const OUTPUTS: &'static [Port] =
        &[Port::new("features", &[Kind::Spectrogram], "one image a clip, bands × frames")];
    const ROW_WISE: bool = true;

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        self.check_params()?;
        Ok(vec![waveforms::shape(inputs, self.image())])
    }

    fn memory(&self, inputs: &[Option<Shape>]) -> Option<u64> {
        memory::of_images(inputs, self.image(), self.framing().samples())
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        self.check_params()?;
        let (clips, image) = (inputs.table("clips")?, self.image());
        let (transforms, framing) = (Transforms::new(self), self.framing());
        let scratch = || transforms.scratch();
        let values =
            waveforms::images(clips, &framing, image, cx, scratch, |clip, scratch, out| {
                transforms.magnitudes(clip, scratch, out);
                if self.unit == Unit::Decibel {
                    self.decibels(out);
                }
            })?;
        let features = framing
            .artifact(clips, image, values)
            .with_meta("bins_per_octave", self.bins_per_octave.get())
            .with_meta("fmin", self.fmin.get())
            .with_meta("unit", if self.unit == Unit::Decibel { "dB" } else { "amplitude" });
        Ok(Outputs::new().with("features", features))
    }
}

/// The spectra from which a tuning is estimated, those of `librosa.estimate_tuning(y=…)`.
struct Pitches(Stft);

impl Pitches {
    const N_FFT: usize = 2_048;
    const HOP: usize = 512;

    fn new() -> Self {
        Self(Stft::new(Self::N_FFT, Self::HOP, Self::N_FFT))
    }

    fn scratch(&self) -> (stft::Scratch, Vec<f32>) {
        (self.0.scratch(), Vec::new())
    }

    fn tuning(
        &self,
        clip: &[f32],
        rate: f64,
        per_octave: u32,
        (scratch, spectra): &mut (stft::Scratch, Vec<f32>),
    ) -> f64 {
        let bins = self.0.bins();
        spectra.clear();
        spectra.resize(self.0.frames(clip.len()) * bins, 0.0);
        for (frame, spectrum) in spectra.chunks_exact_mut(bins).enumerate() {
            self.0.power(clip, frame, scratch, spectrum);
            spectrum.iter_mut().for_each(|power| *power = power.sqrt());
        }
        tuning::estimate(spectra, bins, rate, per_octave as usize)
    }
}
