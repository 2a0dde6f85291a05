//! Clips as samples of one rate and one length, and images made of them.

use crate::{
    Ctx, OpError,
    audio::recordings::Recordings,
    math::resample::{self, MAX_RATE, MIN_RATE, Resampler},
    params::Positive,
};
use cache::{Artifact, Kind, Shape, Table};
use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// The error of a whole number outside its limits.
pub(super) fn within(name: &'static str, value: u32, low: u32, high: u32) -> Result<(), OpError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(OpError::param(name, format!("`{name}` is {value}, but it goes from {low} to {high}")))
}

/// The rate and the length that clips are brought to, and how far apart their frames are.
pub(super) struct Framing {
    /// Samples a second.
    pub sample_rate: u32,
    /// The length of every clip in seconds.
    pub duration: Positive,
    /// Samples from one frame to the next.
    pub hop_length: NonZeroU32,
}

impl Framing {
    /// The length of clips in samples.
    pub fn samples(&self) -> usize {
        (self.duration.get() * f64::from(self.sample_rate)).round() as usize
    }

    /// The shape of an image with so many bands.
    pub fn image(&self, bands: NonZeroU32) -> [usize; 2] {
        [bands.get() as usize, 1 + self.samples() / self.hop_length.get() as usize]
    }

    /// Checks the rate and the length of clips.
    pub fn check(&self) -> Result<(), OpError> {
        const MAX_SECONDS: f64 = 86_400.0;
        within("sample_rate", self.sample_rate, MIN_RATE, MAX_RATE)?;
        let duration = self.duration.get();
        if duration > MAX_SECONDS || self.samples() == 0 {
            return Err(OpError::param(
                "duration",
                format!("a duration of {duration} s is not between one sample and one day"),
            ));
        }
        Ok(())
    }

    /// Images of clips, with how they were made.
    pub fn artifact(&self, clips: &Table, image: [usize; 2], values: Vec<f32>) -> Artifact {
        let ids = clips.text("clip_id").expect("images were made of clips with names");
        let table = Table::new()
            .with_text("clip_id", ids.iter().cloned())
            .with_array("features", image, values);
        Artifact::table(Kind::Spectrogram, table)
            .with_meta("sample_rate", self.sample_rate)
            .with_meta("duration", self.duration.get())
            .with_meta("hop_length", self.hop_length.get())
    }
}

/// The shape of an image for each clip.
pub(super) fn shape(inputs: &[Option<Shape>], image: [usize; 2]) -> Shape {
    let rows = inputs.first().and_then(Option::as_ref).and_then(|clips| clips.rows);
    Shape::of(Kind::Spectrogram).with_rows(rows).with_row(Some(image.to_vec()))
}

/// Makes an image of each clip from its samples, which are brought to one rate and cut at the end or
/// padded with zeros to one length; `scratch` makes the buffers of one thread, and `image` writes the
/// image.
///
/// # Errors
/// When there are no clips, one cannot be read, or there is no memory for the images.
pub(super) fn images<S>(
    clips: &Table,
    framing: &Framing,
    [bands, frames]: [usize; 2],
    cx: &Ctx<'_>,
    scratch: impl Fn() -> S + Sync + Send,
    image: impl Fn(&[f32], &mut S, &mut [f32]) + Sync + Send,
) -> Result<Vec<f32>, OpError> {
    let column = |name| {
        let found = clips.text(name);
        found.ok_or_else(|| OpError::data(format!("port `clips` has no column `{name}`")))
    };
    let (ids, audio) = (column("clip_id")?, column("audio")?);
    if ids.is_empty() {
        return Err(OpError::data("port `clips` holds no clips"));
    }
    let mut values = zeros(ids.len(), [bands, frames])?;
    let recordings = Recordings::new(cx.files, cx.cancel);
    let (sample_rate, samples) = (framing.sample_rate, framing.samples());
    let waveforms = Waveforms { sample_rate, samples, resamplers: Mutex::default() };
    let done = AtomicU64::new(0);
    let outs: Vec<&mut [f32]> = values.chunks_mut(bands * frames).collect();
    recordings.each(
        (ids, audio),
        outs,
        |rate| waveforms.frames_at(rate),
        || (Vec::new(), vec![0.0; samples], None, scratch()),
        |row, decoder, (mono, clip, resampling, own), out| {
            cx.stop_if_cancelled()?;
            let rate = decoder.sample_rate;
            if let Err(error) = decoder.mono(waveforms.frames_at(rate), mono) {
                return Ok(Err(error));
            }
            let loaded = waveforms.load((rate, mono), resampling, clip);
            loaded.map_err(|why| OpError::data(format!("clip `{}`: {why}", ids[row])))?;
            image(clip, own, out);
            cx.progress.at(1 + done.fetch_add(1, Ordering::Relaxed), ids.len() as u64, "");
            Ok(Ok(()))
        },
    )?;
    Ok(values)
}

/// A zeroed buffer for `rows` images; an error if there is not enough memory.
fn zeros(rows: usize, [bands, frames]: [usize; 2]) -> Result<Vec<f32>, OpError> {
    let size = rows.checked_mul(bands).and_then(|size| size.checked_mul(frames));
    let size = size.filter(|&size| Vec::<f32>::new().try_reserve_exact(size).is_ok());
    let size = size.ok_or_else(|| {
        OpError::data(format!("there is no memory for {rows} images of {bands} × {frames} values"))
            .help("use fewer clips, a shorter `duration` or a larger `hop_length`")
    })?;
    Ok(vec![0.0; size])
}

/// The resamplers that are made once for a run.
struct Waveforms {
    sample_rate: u32,
    samples: usize,
    resamplers: Mutex<HashMap<u32, Arc<Resampler>>>,
}

impl Waveforms {
    /// The number of frames of a recording at this rate on which a clip depends.
    fn frames_at(&self, rate: u32) -> usize {
        match self.resampler(rate) {
            Ok(resampler) if rate != self.sample_rate => resampler.reach(self.samples),
            _ => self.samples,
        }
    }

    /// Fills `clip` from samples at their own rate.
    fn load(
        &self,
        (rate, mono): (u32, &[f32]),
        resampling: &mut Option<(u32, resample::Scratch)>,
        clip: &mut [f32],
    ) -> Result<(), String> {
        let made = if rate == self.sample_rate {
            let count = mono.len().min(clip.len());
            clip[..count].copy_from_slice(&mono[..count]);
            count
        } else {
            let resampler = self.resampler(rate)?;
            let own = resampling.take().filter(|(own, _)| *own == rate);
            let (_, own) = resampling.insert(own.unwrap_or_else(|| (rate, resampler.scratch())));
            resampler.process(mono, own, clip)
        };
        clip[made..].fill(0.0);
        Ok(())
    }

    fn resampler(&self, rate: u32) -> Result<Arc<Resampler>, String> {
        let mut known = self.resamplers.lock().expect("no thread panics while it holds resamplers");
        if let Some(resampler) = known.get(&rate) {
            return Ok(Arc::clone(resampler));
        }
        let resampler = Arc::new(Resampler::new(rate, self.sample_rate)?);
        known.insert(rate, Arc::clone(&resampler));
        Ok(resampler)
    }
}
