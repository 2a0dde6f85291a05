//! Decodes the bytes of a recording to samples.

use super::{
    au, compressed,
    damage::{Damage, OnDamage},
    excerpt::Excerpt,
    formats::Format,
    input::Input,
    mpeg::Mpeg,
    pcm::Pcm,
    tags, wav,
};
use std::io;

/// Samples of a recording, interleaved: in each frame one sample for each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// Frames a second.
    pub sample_rate: u32,
    /// Samples a frame.
    pub channels: usize,
    /// Interleaved samples; full scale is ±1.
    pub samples: Vec<f32>,
}

impl Signal {
    /// Computes the mean of the channels of each frame into `mono`, replacing earlier content.
    pub fn mono(&self, mono: &mut Vec<f32>) {
        mono.clear();
        means(&self.samples, self.channels, mono);
    }
}

/// Appends the mean of the channels of each frame.
fn means(samples: &[f32], channels: usize, mono: &mut Vec<f32>) {
    match channels {
        1 => mono.extend_from_slice(samples),
        2 => mono.extend(samples.as_chunks().0.iter().map(|[left, right]| (left + right) / 2.0)),
        n => {
            let frames = samples.chunks_exact(n);
            mono.extend(frames.map(|frame| frame.iter().sum::<f32>() / n as f32));
        }
    }
}

/// The properties of a recording, found without keeping its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Frames of all channels.
    pub frames: u64,
    /// Frames a second.
    pub sample_rate: u32,
    /// Samples a frame.
    pub channels: u16,
    /// True if every sample is zero.
    pub silent: bool,
}

/// The reason why bytes are not a recording: a lower-case sentence without a full stop, with
/// advice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DecodeError {
    /// The message.
    pub message: String,
    /// Advice for the user.
    pub help: &'static str,
}

impl DecodeError {
    pub(crate) fn new(message: impl Into<String>, help: &'static str) -> Self {
        Self { message: message.into(), help }
    }
}

/// Advice for an incomplete file.
pub(crate) const COPY_AGAIN: &str = "copy or export the file again";
/// Advice for an unsupported format or encoding.
pub(crate) const CONVERT: &str = "convert it with `ffmpeg -i IN OUT.flac`";
const EXPORT_SOUND: &str = "export the recording again, or remove it";
const KEEP: &str =
    "copy or export the file again, or use what can be decoded with `on_damage: keep`";

impl DecodeError {
    pub(crate) fn no_frames() -> Self {
        Self::new("the recording has no frames", EXPORT_SOUND)
    }
}

/// The error of bytes that could not be read.
pub(crate) fn unreadable(error: io::Error) -> DecodeError {
    DecodeError::new(format!("the file cannot be read: {error}"), "check the disk, then run again")
}

/// A source of samples in blocks.
pub(crate) trait Blocks {
    /// Decodes the next interleaved samples into `block`, replacing earlier content; `false` at the
    /// end.
    fn next(&mut self, block: &mut Vec<f32>, damage: &mut Damage) -> Result<bool, DecodeError>;
}

/// A file with a parsed header.
pub(crate) enum Opened<'a> {
    Pcm(Pcm<'a>),
    /// Frames a second, samples a frame, and the samples.
    Blocks(u32, u16, Box<dyn Blocks + 'a>),
}

/// A recording that is decoded block by block, so that memory does not grow with its length.
/// Damaged parts are skipped and noted.
pub struct Decoder<'a> {
    /// Frames a second.
    pub sample_rate: u32,
    /// Samples a frame.
    pub channels: u16,
    opened: Opened<'a>,
    damage: Damage,
    frames: u64,
}

/// The largest allowed magnitude of a sample, with full scale 1. Whole numbers of 32 bits stored as
/// floats stay below it, and the powers of all spectra stay within single precision.
const LOUDEST: f32 = 4_294_967_296.0;

impl<'a> Decoder<'a> {
    /// Reads the header. The format is detected from the content.
    ///
    /// # Errors
    /// When the format is unknown, or the header is damaged.
    pub fn open(input: impl Into<Input<'a>>) -> Result<Self, DecodeError> {
        let mut damage = Damage::default();
        let opened = open(input.into(), &mut damage)?;
        let (sample_rate, channels) = match &opened {
            Opened::Pcm(pcm) => (pcm.sample_rate, pcm.channels),
            Opened::Blocks(sample_rate, channels, _) => (*sample_rate, *channels),
        };
        Ok(Self { sample_rate, channels, opened, damage, frames: 0 })
    }

    /// A decoder for samples already in memory.
    pub fn of_signal(signal: Signal) -> Decoder<'static> {
        let (sample_rate, channels) = (signal.sample_rate, signal.channels as u16);
        let opened = Opened::Blocks(sample_rate, channels, Box::new(Some(signal.samples)));
        Decoder { sample_rate, channels, opened, damage: Damage::default(), frames: 0 }
    }

    /// True if excerpts are found in their places, without what comes before them.
    pub(crate) fn is_in_place(&self) -> bool {
        matches!(self.opened, Opened::Pcm(_))
    }

    /// Restricts a decoder that has decoded nothing yet to an excerpt. What comes before it is skipped
    /// in place, or decoded and dropped.
    pub fn cut(&mut self, excerpt: Excerpt) {
        let (start, end) = excerpt.frames(self.sample_rate);
        let count = end.map_or(u64::MAX, |end| end - start);
        match &mut self.opened {
            Opened::Pcm(pcm) => pcm.cut(start, count),
            Opened::Blocks(_, channels, blocks) => {
                let whole = std::mem::replace(blocks, Box::new(None));
                *blocks = Box::new(Part { whole, channels: *channels, skip: start, left: count });
            }
        }
    }

    /// Decodes the next interleaved samples into `block`, replacing earlier content; `false` at the
    /// end. Whole numbers are divided by full scale, as in libsndfile (x / 2^(bits − 1); unsigned
    /// bytes (x − 128) / 128).
    ///
    /// # Errors
    /// When the bytes cannot be read, or a sample is NaN or far beyond full scale.
    pub fn next(&mut self, block: &mut Vec<f32>) -> Result<bool, DecodeError> {
        let (more, is_float) = match &mut self.opened {
            Opened::Pcm(pcm) => (pcm.next(block, &mut self.damage)?, pcm.sample.is_float()),
            Opened::Blocks(_, _, blocks) => (blocks.next(block, &mut self.damage)?, true),
        };
        let channels = usize::from(self.channels);
        // A comparison with NaN is false.
        if is_float && !block.iter().all(|sample| sample.abs() <= LOUDEST) {
            let unfit = |sample: &f32| sample.is_nan() || sample.abs() > LOUDEST;
            let at = block.iter().position(unfit).expect("one of them is unfit");
            let frame = self.frames + (at / channels) as u64;
            let scale = if block[at].is_finite() { ", but full scale is 1" } else { "" };
            return Err(DecodeError::new(
                format!("frame {frame} holds the sample {:e}{scale}", block[at]),
                EXPORT_SOUND,
            ));
        }
        self.frames += (block.len() / channels) as u64;
        Ok(more)
    }

    /// The damage in the part decoded so far: a lower-case sentence without a full stop.
    pub fn damage(&self) -> Option<String> {
        self.damage.summary(self.frames, self.sample_rate)
    }

    /// Computes the mean of the channels of the first `limit` frames into `mono`, replacing earlier
    /// content.
    ///
    /// # Errors
    /// As [`Decoder::next`].
    pub fn mono(&mut self, limit: usize, mono: &mut Vec<f32>) -> Result<(), DecodeError> {
        if let Opened::Pcm(pcm) = &mut self.opened
            && pcm.mono(limit, mono)?
        {
            return Ok(());
        }
        mono.clear();
        let mut block = Vec::new();
        while mono.len() < limit && self.next(&mut block)? {
            means(&block, self.channels.into(), mono);
        }
        mono.truncate(limit);
        Ok(())
    }
}

impl Blocks for Option<Vec<f32>> {
    fn next(&mut self, block: &mut Vec<f32>, _: &mut Damage) -> Result<bool, DecodeError> {
        *block = self.take().unwrap_or_default();
        Ok(!block.is_empty())
    }
}

/// A part of a recording, by frames.
struct Part<'a> {
    whole: Box<dyn Blocks + 'a>,
    channels: u16,
    skip: u64,
    left: u64,
}

impl Blocks for Part<'_> {
    fn next(&mut self, block: &mut Vec<f32>, damage: &mut Damage) -> Result<bool, DecodeError> {
        block.clear();
        while block.is_empty() && self.left > 0 && self.whole.next(block, damage)? {
            let channels = usize::from(self.channels);
            let frames = (block.len() / channels) as u64;
            let skipped = self.skip.min(frames);
            let kept = (frames - skipped).min(self.left);
            block.truncate((skipped + kept) as usize * channels);
            block.drain(..skipped as usize * channels);
            self.skip -= skipped;
            self.left -= kept;
        }
        Ok(!block.is_empty())
    }
}

/// Detects the format and reads the header.
fn open<'a>(input: Input<'a>, damage: &mut Damage) -> Result<Opened<'a>, DecodeError> {
    if input.length() == 0 {
        return Err(DecodeError::new("the file is empty", COPY_AGAIN));
    }
    let inner = tags::without(input);
    match Format::of(&inner)? {
        // Bytes behind a chunk do not matter here, so tags at the end need no handling.
        Format::Wav => wav::open(input.after(inner.offset_in(&input)), damage),
        Format::Au => au::open(inner, damage),
        Format::Mpeg => {
            let mpeg = Mpeg::open(inner, damage)?;
            Ok(Opened::Blocks(mpeg.sample_rate, mpeg.channels, Box::new(mpeg)))
        }
        Format::Compressed(kind) => compressed::open(kind, inner, damage),
    }
}

/// Decodes all samples of an undamaged recording.
///
/// # Errors
/// When the format is unknown, when the bytes are damaged or cut short or hold no frame, or when a
/// sample is NaN or far beyond full scale.
pub fn decode<'a>(input: impl Into<Input<'a>>) -> Result<Signal, DecodeError> {
    let mut decoder = Decoder::open(input)?;
    let (mut samples, mut block) = (Vec::new(), Vec::new());
    while decoder.next(&mut block)? {
        samples.extend_from_slice(&block);
    }
    if let Some(damage) = decoder.damage() {
        return Err(DecodeError::new(damage, KEEP));
    }
    if samples.is_empty() {
        return Err(DecodeError::no_frames());
    }
    Ok(Signal { sample_rate: decoder.sample_rate, channels: decoder.channels.into(), samples })
}

/// The properties of an undamaged recording.
///
/// # Errors
/// When [`decode`] fails.
pub fn probe<'a>(input: impl Into<Input<'a>>) -> Result<Probe, DecodeError> {
    Ok(probe_with_damage(input, OnDamage::Fail)?.0)
}

/// The properties of a recording and, if damage is to be kept, its damage. Whole-number samples are
/// read from the header and the bytes up to the first sound; others are decoded.
///
/// # Errors
/// When [`decode`] fails, except for damage that is to be kept.
pub fn probe_with_damage<'a>(
    input: impl Into<Input<'a>>,
    on_damage: OnDamage,
) -> Result<(Probe, Option<String>), DecodeError> {
    let mut decoder = Decoder::open(input)?;
    let known = match &mut decoder.opened {
        Opened::Pcm(pcm) => pcm.is_silent()?.map(|silent| (pcm.frames(), silent)),
        Opened::Blocks(..) => None,
    };
    let silent = match known {
        Some((frames, silent)) => {
            decoder.frames = frames;
            silent
        }
        None => {
            let (mut block, mut silent) = (Vec::new(), true);
            while decoder.next(&mut block)? {
                silent = silent && block.iter().all(|&sample| sample == 0.0);
            }
            silent
        }
    };
    let damage = decoder.damage();
    if let (Some(damage), OnDamage::Fail) = (&damage, on_damage) {
        return Err(DecodeError::new(damage, KEEP));
    }
    let (frames, sample_rate, channels) = (decoder.frames, decoder.sample_rate, decoder.channels);
    if frames == 0 {
        return Err(DecodeError::no_frames());
    }
    Ok((Probe { frames, sample_rate, channels, silent }, damage))
}

/// The properties of a recording and of parts of it.
#[derive(Clone, Debug)]
pub struct Probes {
    /// The properties of the whole.
    pub whole: Probe,
    /// The properties of each excerpt; one that begins after the end has no frames.
    pub excerpts: Vec<Probe>,
    /// The damage of the whole, if it is to be kept.
    pub damage: Option<String>,
}

/// The properties of a recording and of these excerpts, for which it is decoded once.
///
/// # Errors
/// As [`probe_with_damage`].
pub fn probe_excerpts<'a>(
    input: impl Into<Input<'a>>,
    on_damage: OnDamage,
    excerpts: &[Excerpt],
) -> Result<Probes, DecodeError> {
    let input = input.into();
    let (whole, damage) = probe_with_damage(input, on_damage)?;
    let Probe { sample_rate, channels, .. } = whole;
    let none = Probe { frames: 0, silent: true, ..whole };
    let mut probes = Probes { whole, excerpts: vec![none; excerpts.len()], damage };
    if excerpts.is_empty() {
        return Ok(probes);
    }
    let (mut decoder, mut block, mut at) = (Decoder::open(input)?, Vec::new(), 0);
    let bounds: Vec<_> = excerpts.iter().map(|excerpt| excerpt.frames(sample_rate)).collect();
    let channels = usize::from(channels);
    while decoder.next(&mut block)? {
        let end = at + (block.len() / channels) as u64;
        for (probe, (from, to)) in probes.excerpts.iter_mut().zip(&bounds) {
            let (from, to) = (*from.max(&at), to.map_or(end, |to| to.min(end)));
            if from < to {
                let own = (from - at) as usize * channels..(to - at) as usize * channels;
                probe.frames += to - from;
                probe.silent = probe.silent && block[own].iter().all(|&sample| sample == 0.0);
            }
        }
        at = end;
    }
    Ok(probes)
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
