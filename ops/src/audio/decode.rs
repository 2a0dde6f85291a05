//! From the bytes of a recording to samples.

use super::{
    au, compressed,
    damage::{Damage, OnDamage},
    formats::Format,
    input::Input,
    mpeg::Mpeg,
    pcm::Pcm,
    tags, wav,
};
use std::io;

/// Samples of a recording: frames one after the other, in each frame one sample a channel.
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
    /// The mean of the channels of each frame, in place of what `mono` held.
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

/// What a recording holds, found without keeping its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Frames of all channels.
    pub frames: u64,
    /// Frames a second.
    pub sample_rate: u32,
    /// Samples a frame.
    pub channels: u16,
    /// Whether every sample is zero.
    pub silent: bool,
}

/// Why bytes are not a recording: a lower-case sentence without a full stop, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DecodeError {
    /// What is wrong.
    pub message: String,
    /// What the user can do.
    pub help: &'static str,
}

impl DecodeError {
    pub(crate) fn new(message: impl Into<String>, help: &'static str) -> Self {
        Self { message: message.into(), help }
    }
}

/// What to do about a file that is not whole.
pub(crate) const COPY_AGAIN: &str = "copy or export the file again";
/// What to do about a format or an encoding that is not read.
pub(crate) const CONVERT: &str = "convert it with `ffmpeg -i IN OUT.flac`";
const EXPORT_SOUND: &str = "export the recording again, or remove it";
const KEEP: &str =
    "copy or export the file again, or use what can be decoded with `on_damage: keep`";

impl DecodeError {
    pub(crate) fn no_frames() -> Self {
        Self::new("the recording has no frames", EXPORT_SOUND)
    }
}

/// The bytes could not be read.
pub(crate) fn unreadable(error: io::Error) -> DecodeError {
    DecodeError::new(format!("the file cannot be read: {error}"), "check the disk, then run again")
}

/// Samples, a block at a time.
pub(crate) trait Blocks {
    /// Puts the next interleaved samples into `block`, in place of what it held; `false` at the end.
    fn next(&mut self, block: &mut Vec<f32>, damage: &mut Damage) -> Result<bool, DecodeError>;
}

/// A file whose header was understood.
pub(crate) enum Opened<'a> {
    Pcm(Pcm<'a>),
    /// Frames a second, samples a frame, and the samples.
    Blocks(u32, u16, Box<dyn Blocks + 'a>),
}

/// A recording that is decoded block by block, so that memory does not grow with its length. Damage is passed
/// over and noted.
pub struct Decoder<'a> {
    /// Frames a second.
    pub sample_rate: u32,
    /// Samples a frame.
    pub channels: u16,
    opened: Opened<'a>,
    damage: Damage,
    frames: u64,
}

/// The largest magnitude of a sample, full scale being 1. Whole numbers of 32 bits that were stored as floats
/// stay below it, and so do the powers of all spectra below what single precision holds.
const LOUDEST: f32 = 4_294_967_296.0;

impl<'a> Decoder<'a> {
    /// Reads the header. The format is told by content.
    ///
    /// # Errors
    /// When the bytes are of no known format, or their header is damaged.
    pub fn open(input: impl Into<Input<'a>>) -> Result<Self, DecodeError> {
        let mut damage = Damage::default();
        let opened = open(input.into(), &mut damage)?;
        let (sample_rate, channels) = match &opened {
            Opened::Pcm(pcm) => (pcm.sample_rate, pcm.channels),
            Opened::Blocks(sample_rate, channels, _) => (*sample_rate, *channels),
        };
        Ok(Self { sample_rate, channels, opened, damage, frames: 0 })
    }

    /// A recording that is there already.
    pub fn of_signal(signal: Signal) -> Decoder<'static> {
        let (sample_rate, channels) = (signal.sample_rate, signal.channels as u16);
        let opened = Opened::Blocks(sample_rate, channels, Box::new(Some(signal.samples)));
        Decoder { sample_rate, channels, opened, damage: Damage::default(), frames: 0 }
    }

    /// Puts the next interleaved samples into `block`, in place of what it held; `false` at the end.
    /// Whole numbers are divided by full scale, as libsndfile does (x / 2^(bits − 1); unsigned bytes
    /// (x − 128) / 128).
    ///
    /// # Errors
    /// When the bytes cannot be read, or hold a sample that is not a number or far beyond full scale.
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

    /// What was damaged in all that was decoded so far: a lower-case sentence without a full stop.
    pub fn damage(&self) -> Option<String> {
        self.damage.summary(self.frames, self.sample_rate)
    }

    /// The mean of the channels of each of the first `limit` frames, in place of what `mono` held.
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

/// Reads the header of whatever format it is.
fn open<'a>(input: Input<'a>, damage: &mut Damage) -> Result<Opened<'a>, DecodeError> {
    if input.length() == 0 {
        return Err(DecodeError::new("the file is empty", COPY_AGAIN));
    }
    let inner = tags::without(input);
    match Format::of(&inner)? {
        // What lies behind a chunk is no concern of it, so nothing is a tag at the end.
        Format::Wav => wav::open(input.from(inner.offset_in(&input)), damage),
        Format::Au => au::open(inner, damage),
        Format::Mpeg => {
            let mpeg = Mpeg::open(inner, damage)?;
            Ok(Opened::Blocks(mpeg.sample_rate, mpeg.channels, Box::new(mpeg)))
        }
        Format::Compressed(kind) => compressed::open(kind, inner, damage),
    }
}

/// All samples of a recording that is whole.
///
/// # Errors
/// When the bytes are of no known format, are damaged or cut short, hold no frame, or hold a
/// sample that is not a number or far beyond full scale.
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

/// What a recording that is whole holds.
///
/// # Errors
/// Where [`decode`] has one.
pub fn probe<'a>(input: impl Into<Input<'a>>) -> Result<Probe, DecodeError> {
    Ok(look(input, OnDamage::Fail)?.0)
}

/// What a recording holds, and what is damaged in it if that is to be kept: for whole numbers from the
/// header and the bytes up to the first sound, for all others by decoding them.
///
/// # Errors
/// Where [`decode`] has one, but for damage that is to be kept.
pub fn look<'a>(
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/audio/");

    /// A WAV file of 16 bits with the fields of its header as given.
    fn wav(channels: u16, rate: u32, block: u16, data_length: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0".to_vec();
        bytes.extend(channels.to_le_bytes());
        bytes.extend(rate.to_le_bytes());
        bytes.extend(rate.wrapping_mul(u32::from(block)).to_le_bytes());
        bytes.extend(block.to_le_bytes());
        bytes.extend(b"\x10\0data");
        bytes.extend(data_length.to_le_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn one_frame_is_a_recording() {
        let one = wav(1, 22_050, 2, 2, &[0, 64]);
        assert_eq!(decode(&one).map(|signal| signal.samples), Ok(vec![0.5]));
        let expected = Probe { frames: 1, sample_rate: 22_050, channels: 1, silent: false };
        assert_eq!(probe(&one), Ok(expected));
        assert_eq!(probe(&wav(1, 22_050, 2, 2, &[0, 0])), Ok(Probe { silent: true, ..expected }));
    }

    #[test]
    fn the_mean_of_channels_is_the_same_on_both_ways() {
        for name in ["i16.wav", "u8.wav", "i24.wav", "f32.wav", "odd_chunks.wav", "sound.flac"] {
            let bytes = std::fs::read(format!("{FIXTURES}{name}")).expect("a fixture");
            let (mut slow, mut quick) = (Vec::new(), vec![1.0; 3]);
            let signal = decode(&bytes).expect(name);
            signal.mono(&mut slow);
            assert_eq!(decode_mono(&bytes, &mut quick), Ok(signal.sample_rate), "{name}");
            assert_eq!(quick, slow, "{name}");
        }
        let extremes: Vec<u8> = [i16::MIN, i16::MIN, i16::MAX, i16::MIN, -1, 2, i16::MAX, i16::MAX]
            .map(i16::to_le_bytes)
            .concat();
        for channels in [1, 2] {
            let bytes = wav(channels, 8_000, 2 * channels, 16, &extremes);
            let (mut slow, mut quick) = (Vec::new(), Vec::new());
            decode(&bytes).expect("a recording").mono(&mut slow);
            decode_mono(&bytes, &mut quick).expect("a recording");
            assert_eq!(quick, slow);
        }
    }

    #[test]
    fn a_length_that_was_never_filled_in_means_all_there_is() {
        for length in [0, u32::MAX] {
            let streamed = wav(1, 22_050, 2, length, &[0, 64, 0, 32, 7]);
            assert_eq!(decode(&streamed).map(|signal| signal.samples), Ok(vec![0.5, 0.25]));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let nan = || {
            let mut float = wav(1, 22_050, 4, 8, &[0, 0, 0, 0, 0, 0, 192, 127]);
            (float[20], float[34]) = (3, 32);
            float
        };
        for (bytes, reason) in [
            (Vec::new(), "the file is empty"),
            (
                b"Dear diary, today".to_vec(),
                "the file is no recording: it starts with the text `Dear dia`",
            ),
            (vec![0; 100], "the file is no recording: it starts with bytes of no known format"),
            (wav(1, 22_050, 2, 0, &[]), "the recording has no frames"),
            (
                wav(1, 22_050, 2, 1_000, &[0; 10]),
                "the file is cut short: its header speaks of 1000 bytes of `data`, 10 are there",
            ),
            (wav(0, 22_050, 2, 2, &[0; 2]), "the header is wrong: file contains zero channels"),
            (wav(1, 0, 2, 2, &[0; 2]), "the header is wrong: a sample rate of 0 Hz"),
            (
                wav(1, 22_050, 4, 4, &[0; 4]),
                "the header is wrong: frames of 4 bytes, but 1 channels of 16 bits",
            ),
            (
                wav(2, 22_050, 4, 6, &[0; 6]),
                "the header is wrong: 6 bytes of samples are no whole number of frames of 4 bytes",
            ),
            (
                b"RIFF\0\0\0\0WAVE".to_vec(),
                "the file ends before its samples: it has no `data` chunk",
            ),
            (nan(), "frame 1 holds the sample NaN"),
        ] {
            assert_eq!(decode(&bytes).expect_err(reason).message, reason);
            assert_eq!(probe(&bytes).expect_err(reason).message, reason);
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error() {
        for name in ["i16.wav", "f64.wav", "sound.flac", "i16.aiff"] {
            let bytes = std::fs::read(format!("{FIXTURES}{name}")).expect("a fixture");
            for length in (0..bytes.len()).step_by(bytes.len() / 20) {
                assert!(decode(&bytes[..length]).is_err(), "{name} cut to {length}");
                assert!(probe(&bytes[..length]).is_err(), "{name} cut to {length}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// Bytes of a real file, some of them changed, mostly near the start.
        #[test]
        fn damage_never_panics(
            name in prop::sample::select(vec![
                "u8.wav", "i24.wav", "f32.wav", "extensible24.wav", "extensible_f64.wav",
                "odd_chunks.wav", "i16.aiff", "sound.flac", "sound.mp3", "sound.ogg",
            ]),
            changes in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 1..6),
            kept in 0.1..1.0_f64,
        ) {
            let mut bytes = std::fs::read(format!("{FIXTURES}{name}")).expect("a fixture");
            bytes.truncate((bytes.len() as f64 * kept.sqrt()) as usize);
            for (place, value) in changes {
                let at = (place.powi(4) * bytes.len() as f64) as usize;
                bytes[at] = value;
            }
            let (decoded, probed) = (decode(&bytes), probe(&bytes));
            prop_assert_eq!(decoded.is_ok(), probed.is_ok());
        }

        #[test]
        fn noise_never_panics(
            start in prop::sample::select(vec![&b"fLaC"[..], b"OggS", b"ID3", b"\xff\xfb\x90\x44", b"RIFF\0\0\0\0WAVEfmt "]),
            rest in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let _ = decode(&[start, &rest].concat());
        }
    }
}
