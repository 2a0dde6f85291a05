//! Uncompressed samples, and those in the companding laws of G.711.

use super::{
    damage::Damage,
    decode::{Blocks, DecodeError, unreadable},
    input::Input,
};

/// The encoding of one sample.
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
    /// Whole numbers of the given number of bytes.
    pub fn of_bytes(bytes: u16) -> Option<Self> {
        [None, Some(Self::U8), Some(Self::I16), Some(Self::I24), Some(Self::I32)]
            .get(usize::from(bytes))
            .copied()
            .flatten()
    }

    /// The number of bytes of a sample.
    pub fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::MuLaw | Self::ALaw => 1,
            Self::I16 => 2,
            Self::I24 => 3,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// True if a sample may be something other than a number between −1 and 1.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }
}

/// Samples in whole frames.
pub(crate) struct Pcm<'a> {
    pub sample_rate: u32,
    pub channels: u16,
    pub sample: Sample,
    /// True if the first byte of a sample is the most significant.
    pub big_endian: bool,
    pub data: Input<'a>,
    at: u64,
    room: Vec<u8>,
}

impl<'a> Pcm<'a> {
    /// The frames in `data`; an incomplete frame at the end is left out.
    pub fn new(sample_rate: u32, channels: u16, sample: Sample, data: Input<'a>) -> Self {
        let frame = (sample.bytes() * usize::from(channels)) as u64;
        let data = data.part(0, data.length() / frame * frame);
        Self { sample_rate, channels, sample, big_endian: false, data, at: 0, room: Vec::new() }
    }

    /// The same samples with the given byte order.
    pub fn big_endian(self, big_endian: bool) -> Self {
        Self { big_endian, ..self }
    }

    fn frame(&self) -> usize {
        self.sample.bytes() * usize::from(self.channels)
    }

    /// The number of frames.
    pub fn frames(&self) -> u64 {
        self.data.length() / self.frame() as u64
    }

    /// Restricts the samples to `count` frames from frame `start` on.
    pub fn cut(&mut self, start: u64, count: u64) {
        let frame = self.frame() as u64;
        self.data = self.data.part(start.saturating_mul(frame), count.saturating_mul(frame));
    }

    /// True if all samples are zero, read up to the first sound; `None` if that requires decoding.
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

    /// Computes the mean of the channels of the first `limit` frames into `mono`, replacing earlier
    /// content. Only mono and stereo of 16 bits are handled; for others it returns `false` and does
    /// nothing.
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

/// The approximate number of bytes decoded at a time.
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

/// Samples in several places of a file, one after another: those not yet read, the next ones last.
pub(crate) struct Joined<'a>(Vec<Pcm<'a>>);

impl<'a> Joined<'a> {
    /// Joins parts of the same format.
    pub fn new(mut parts: Vec<Pcm<'a>>) -> Self {
        parts.reverse();
        Self(parts)
    }
}

impl Blocks for Joined<'_> {
    fn next(&mut self, block: &mut Vec<f32>, damage: &mut Damage) -> Result<bool, DecodeError> {
        block.clear();
        while let Some(part) = self.0.last_mut() {
            if part.next(block, damage)? {
                return Ok(true);
            }
            self.0.pop();
        }
        Ok(false)
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

/// Decodes a 16-bit sample of the μ-law of G.711.
fn mu_law(code: u8) -> i16 {
    const BIAS: i16 = 0x84;
    let code = !code;
    let magnitude = ((i16::from(code & 0x0f) << 3) + BIAS) << (code >> 4 & 7);
    if code & 0x80 == 0 { magnitude - BIAS } else { BIAS - magnitude }
}

/// Decodes a 16-bit sample of the A-law of G.711.
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

/// The sum of both samples of a frame is exact in single precision, so the order does not matter.
#[inline(always)]
fn mean(frames: &[[u8; 4]], mono: &mut [f32]) {
    for (mono, &frame) in mono.iter_mut().zip(frames) {
        let both = i32::from_le_bytes(frame);
        let (left, right) = (both << 16 >> 16, both >> 16);
        *mono = (left + right) as f32 / 65_536.0;
    }
}
