//! Samples that are stored as they are, or by the companding laws of G.711.

use super::{
    damage::Damage,
    decode::{Blocks, DecodeError, unreadable},
    input::Input,
};

/// How one sample is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sample {
    U8,
    I8,
    I16,
    I24,
    I32,
    F32,
    F64,
    MuLaw,
    ALaw,
}

impl Sample {
    /// Whole numbers that fill so many bytes.
    pub fn of_bytes(bytes: u16) -> Option<Self> {
        [None, Some(Self::U8), Some(Self::I16), Some(Self::I24), Some(Self::I32)]
            .get(usize::from(bytes))
            .copied()
            .flatten()
    }

    /// How many bytes it takes.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::MuLaw | Self::ALaw => 1,
            Self::I16 => 2,
            Self::I24 => 3,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Whether a sample may be other than a number between −1 and 1.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }
}

/// Samples in whole frames.
pub(crate) struct Pcm<'a> {
    pub sample_rate: u32,
    pub channels: u16,
    pub sample: Sample,
    /// Whether the first byte of a sample weighs most.
    pub big_endian: bool,
    pub data: Input<'a>,
    at: u64,
    room: Vec<u8>,
}

impl<'a> Pcm<'a> {
    /// The frames in `data`; a frame that is cut at the end is left out.
    pub fn new(sample_rate: u32, channels: u16, sample: Sample, data: Input<'a>) -> Self {
        let frame = (sample.bytes() * usize::from(channels)) as u64;
        let data = data.part(0, data.length() / frame * frame);
        Self { sample_rate, channels, sample, big_endian: false, data, at: 0, room: Vec::new() }
    }

    /// The same with samples whose first byte weighs most.
    pub fn big_endian(self, big_endian: bool) -> Self {
        Self { big_endian, ..self }
    }

    fn frame(&self) -> usize {
        self.sample.bytes() * usize::from(self.channels)
    }

    /// How many frames there are.
    pub fn frames(&self) -> u64 {
        self.data.length() / self.frame() as u64
    }

    /// Whether all samples are zero, from the bytes up to the first sound; none where that takes decoding.
    pub fn is_silent(&mut self) -> Result<Option<bool>, DecodeError> {
        let zero = match self.sample {
            Sample::F32 | Sample::F64 | Sample::ALaw => return Ok(None),
            Sample::U8 => 128,
            Sample::MuLaw => 255,
            _ => 0,
        };
        let mut at = 0;
        while at < self.data.length() {
            let bytes = self.data.bytes(at, BLOCK, &mut self.room).map_err(unreadable)?;
            if bytes.is_empty() || bytes.iter().any(|&byte| byte != zero) {
                return Ok(Some(false));
            }
            at += bytes.len() as u64;
        }
        Ok(Some(true))
    }

    /// The mean of the channels of each of the first `limit` frames, in place of what `mono` held; `false`, and
    /// nothing done, for all but mono and stereo of 16 bits.
    pub fn mono(&mut self, limit: usize, mono: &mut Vec<f32>) -> Result<bool, DecodeError> {
        if self.sample != Sample::I16 || self.big_endian || self.channels > 2 {
            return Ok(false);
        }
        let length = limit.saturating_mul(self.frame());
        let bytes = self.data.bytes(0, length, &mut self.room).map_err(unreadable)?;
        if self.channels == 1 {
            let samples = bytes.as_chunks().0;
            mono.resize(samples.len(), 0.0);
            scaled(samples, mono);
        } else {
            let frames = bytes.as_chunks().0;
            mono.resize(frames.len(), 0.0);
            means(frames, mono);
        }
        Ok(true)
    }
}

/// About how many bytes are decoded at a time.
const BLOCK: usize = 1 << 18;

impl Blocks for Pcm<'_> {
    fn next(&mut self, block: &mut Vec<f32>, _: &mut Damage) -> Result<bool, DecodeError> {
        let length = (BLOCK / self.frame()).max(1) * self.frame();
        let bytes = self.data.bytes(self.at, length, &mut self.room).map_err(unreadable)?;
        self.at += bytes.len() as u64;
        block.clear();
        let big = self.big_endian;
        match self.sample {
            Sample::U8 => block.extend(bytes.iter().map(|&x| (f32::from(x) - 128.0) / 128.0)),
            Sample::I8 => block.extend(bytes.iter().map(|&x| f32::from(x as i8) / 128.0)),
            Sample::MuLaw => block.extend(bytes.iter().map(|&x| f32::from(mu_law(x)) / 32_768.0)),
            Sample::ALaw => block.extend(bytes.iter().map(|&x| f32::from(a_law(x)) / 32_768.0)),
            Sample::I16 => each(bytes, big, block, |x| f32::from(i16::from_le_bytes(x)) / 32_768.0),
            Sample::I24 => each(bytes, big, block, |[a, b, c]| {
                i32::from_le_bytes([0, a, b, c]) as f32 / FULL_SCALE
            }),
            Sample::I32 => each(bytes, big, block, |x| i32::from_le_bytes(x) as f32 / FULL_SCALE),
            Sample::F32 => each(bytes, big, block, f32::from_le_bytes),
            Sample::F64 => each(bytes, big, block, |x| f64::from_le_bytes(x) as f32),
        }
        Ok(!block.is_empty())
    }
}

const FULL_SCALE: f32 = 2_147_483_648.0;

fn each<const N: usize>(
    bytes: &[u8],
    big_endian: bool,
    block: &mut Vec<f32>,
    sample: impl Fn([u8; N]) -> f32,
) {
    let samples = bytes.as_chunks().0.iter();
    if big_endian {
        block.extend(samples.map(|&(mut bytes)| {
            bytes.reverse();
            sample(bytes)
        }));
    } else {
        block.extend(samples.map(|&bytes| sample(bytes)));
    }
}

/// A sample of 16 bits by the μ-law of G.711.
fn mu_law(code: u8) -> i16 {
    const BIAS: i16 = 0x84;
    let code = !code;
    let magnitude = ((i16::from(code & 0x0f) << 3) + BIAS) << (code >> 4 & 7);
    if code & 0x80 == 0 { magnitude - BIAS } else { BIAS - magnitude }
}

/// A sample of 16 bits by the A-law of G.711.
fn a_law(code: u8) -> i16 {
    let code = code ^ 0x55;
    let (exponent, mantissa) = (code >> 4 & 7, i16::from(code & 0x0f) << 4);
    let magnitude = match exponent {
        0 => mantissa + 8,
        _ => (mantissa + 0x108) << (exponent - 1),
    };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

fn scaled(samples: &[[u8; 2]], mono: &mut [f32]) {
    dispatch!(scale_avx512, scale_avx2, scale_plain, (samples, mono))
}

fn means(frames: &[[u8; 4]], mono: &mut [f32]) {
    dispatch!(mean_avx512, mean_avx2, mean_plain, (frames, mono))
}

versions!(scale, scale_avx512, scale_avx2, scale_plain, [],
    (samples: &[[u8; 2]], mono: &mut [f32]));
versions!(mean, mean_avx512, mean_avx2, mean_plain, [],
    (frames: &[[u8; 4]], mono: &mut [f32]));

#[inline(always)]
fn scale(samples: &[[u8; 2]], mono: &mut [f32]) {
    for (mono, &sample) in mono.iter_mut().zip(samples) {
        *mono = f32::from(i16::from_le_bytes(sample)) / 32_768.0;
    }
}

/// Both samples of a frame fit a number of single precision together, so no order rounds.
#[inline(always)]
fn mean(frames: &[[u8; 4]], mono: &mut [f32]) {
    for (mono, &frame) in mono.iter_mut().zip(frames) {
        let both = i32::from_le_bytes(frame);
        let (left, right) = (both << 16 >> 16, both >> 16);
        *mono = (left + right) as f32 / 65_536.0;
    }
}
