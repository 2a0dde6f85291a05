//! WAV files: where the chunks lie is found here, what the format chunk means hound says.

use super::decode::{COPY_AGAIN, DecodeError, Signal};
use hound::{SampleFormat, WavReader, WavSpec};

const PCM: u16 = 1;
const IEEE_FLOAT: u16 = 3;
const EXTENSIBLE: u16 = 0xfffe;
/// The length that programs write which cannot go back to fill it in.
const UNKNOWN: u32 = u32::MAX;

/// A WAV file whose header was understood.
pub(crate) struct Wav<'a> {
    pub sample_rate: u32,
    pub channels: u16,
    encoding: Encoding,
    /// Whole frames.
    data: &'a [u8],
}

/// How one sample is written, little-endian.
#[derive(Clone, Copy)]
enum Encoding {
    U8,
    I16,
    I24,
    I32,
    F32,
    F64,
}

impl Encoding {
    fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::I16 => 2,
            Self::I24 => 3,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

impl<'a> Wav<'a> {
    /// Reads the header of a file that starts with `RIFF` and `WAVE`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut chunks = Chunks { bytes, at: 12 };
        let mut format = None;
        while let Some(chunk) = chunks.next() {
            match &chunk.name {
                b"fmt " => format = Some(read_format(chunk.body()?)?),
                b"data" => {
                    let (spec, encoding) = format
                        .ok_or_else(|| fault("the header has no `fmt ` chunk before `data`"))?;
                    let frame = encoding.bytes() * usize::from(spec.channels);
                    let riff = u32_at(bytes, 4).unwrap_or(0);
                    let data = samples(&chunk, riff, frame)?;
                    let (sample_rate, channels) = (spec.sample_rate, spec.channels);
                    return Ok(Self { sample_rate, channels, encoding, data });
                }
                _ => {}
            }
        }
        Err(fault("the file ends before its samples: it has no `data` chunk"))
    }

    /// How many frames there are.
    pub fn frames(&self) -> u64 {
        (self.data.len() / self.encoding.bytes() / usize::from(self.channels)) as u64
    }

    /// Whether samples may be other than finite numbers.
    pub fn is_float(&self) -> bool {
        matches!(self.encoding, Encoding::F32 | Encoding::F64)
    }

    /// Whether all samples are zero; `None` where that takes decoding.
    pub fn is_silent(&self) -> Option<bool> {
        let zero = match self.encoding {
            Encoding::F32 | Encoding::F64 => return None,
            Encoding::U8 => 128,
            _ => 0,
        };
        Some(self.data.iter().all(|&byte| byte == zero))
    }

    /// The mean of the channels of each frame, in place of what `mono` held; `false`, and nothing
    /// done, for all but mono and stereo of 16 bits.
    pub fn mono(&self, mono: &mut Vec<f32>) -> bool {
        match (self.encoding, self.channels) {
            (Encoding::I16, 1) => {
                let samples = self.data.as_chunks().0;
                mono.resize(samples.len(), 0.0);
                dispatch!(scale_avx512, scale_avx2, scale_plain, (samples, mono))
            }
            (Encoding::I16, 2) => {
                let frames = self.data.as_chunks().0;
                mono.resize(frames.len(), 0.0);
                dispatch!(mean_avx512, mean_avx2, mean_plain, (frames, mono))
            }
            _ => false,
        }
    }

    /// All samples, full scale ±1.
    pub fn decode(&self) -> Signal {
        let data = self.data;
        let samples = match self.encoding {
            Encoding::U8 => data.iter().map(|&x| (f32::from(x) - 128.0) / 128.0).collect(),
            Encoding::I16 => each(data, |x| f32::from(i16::from_le_bytes(x)) / 32_768.0),
            Encoding::I24 => {
                each(data, |[a, b, c]| i32::from_le_bytes([0, a, b, c]) as f32 / FULL_SCALE)
            }
            Encoding::I32 => each(data, |x| i32::from_le_bytes(x) as f32 / FULL_SCALE),
            Encoding::F32 => each(data, f32::from_le_bytes),
            Encoding::F64 => each(data, |x| f64::from_le_bytes(x) as f32),
        };
        Signal { sample_rate: self.sample_rate, channels: usize::from(self.channels), samples }
    }
}

versions!(scale, scale_avx512, scale_avx2, scale_plain, [],
    (samples: &[[u8; 2]], mono: &mut [f32]) -> bool);
versions!(mean, mean_avx512, mean_avx2, mean_plain, [],
    (frames: &[[u8; 4]], mono: &mut [f32]) -> bool);

#[inline(always)]
fn scale(samples: &[[u8; 2]], mono: &mut [f32]) -> bool {
    for (mono, &sample) in mono.iter_mut().zip(samples) {
        *mono = f32::from(i16::from_le_bytes(sample)) / 32_768.0;
    }
    true
}

/// Both samples of a frame fit a number of single precision together, so no order rounds.
#[inline(always)]
fn mean(frames: &[[u8; 4]], mono: &mut [f32]) -> bool {
    for (mono, &frame) in mono.iter_mut().zip(frames) {
        let both = i32::from_le_bytes(frame);
        let (left, right) = (both << 16 >> 16, both >> 16);
        *mono = (left + right) as f32 / 65_536.0;
    }
    true
}

const FULL_SCALE: f32 = 2_147_483_648.0;

fn each<const N: usize>(data: &[u8], sample: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    data.as_chunks().0.iter().map(|&bytes| sample(bytes)).collect()
}

/// The samples a `data` chunk holds, in whole frames.
fn samples<'a>(chunk: &Chunk<'a>, riff: u32, frame: usize) -> Result<&'a [u8], DecodeError> {
    let streamed = chunk.length == UNKNOWN || (chunk.length == 0 && (riff == 0 || riff == UNKNOWN));
    if streamed {
        let whole = chunk.rest.len() / frame * frame;
        return Ok(&chunk.rest[..whole]);
    }
    let data = chunk.body()?;
    if data.len() % frame != 0 {
        return Err(fault(format!(
            "the header is wrong: {} bytes of samples are no whole number of frames of {frame} bytes",
            data.len()
        )));
    }
    Ok(data)
}

/// What the format chunk says. Hound sees it as the plain form it stands for: it knows neither
/// 64-bit float nor extensions of the short forms, and takes the valid bits of a container for
/// its width, where samples fill containers from the top.
fn read_format(chunk: &[u8]) -> Result<(WavSpec, Encoding), DecodeError> {
    let field = |at: usize| chunk.get(at..at + 2).map_or(0, |x| u16::from_le_bytes([x[0], x[1]]));
    let (tag, channels, block, bits) = (field(0), field(2), field(12), field(14));
    let (tag, kept) = match tag {
        EXTENSIBLE if chunk.len() >= 40 => (field(24), 40),
        tag => (tag, 16),
    };
    let mut plain =
        chunk.get(..kept).ok_or_else(|| fault("the `fmt ` chunk is cut short"))?.to_vec();
    if kept == 40 {
        plain[16..18].copy_from_slice(&22_u16.to_le_bytes());
        plain[18..20].fill(0);
    }
    let is_f64 = tag == IEEE_FLOAT && bits == 64;
    if is_f64 {
        // Half the width at half the rate of bytes is a header of 32-bit float.
        plain[8..12].copy_from_slice(&(u32_at(chunk, 8).unwrap_or(0) / 2).to_le_bytes());
        plain[12..14].copy_from_slice(&(block / 2).to_le_bytes());
        plain[14..16].copy_from_slice(&32_u16.to_le_bytes());
    }
    if tag != PCM && tag != IEEE_FLOAT {
        let help = "save it as uncompressed WAV or as FLAC";
        return Err(DecodeError::new(format!("WAV encoding number {tag} is not read"), help));
    }
    let spec = WavReader::new(header_of(&plain).as_slice()).map_err(refused)?.spec();
    if spec.sample_rate == 0 {
        return Err(fault("the header is wrong: a sample rate of 0 Hz"));
    }
    let encoding = match (spec.sample_format, spec.bits_per_sample) {
        (SampleFormat::Int, 8) => Encoding::U8,
        (SampleFormat::Int, 16) => Encoding::I16,
        (SampleFormat::Int, 24) => Encoding::I24,
        (SampleFormat::Int, 32) => Encoding::I32,
        (SampleFormat::Float, 32) if is_f64 => Encoding::F64,
        (SampleFormat::Float, 32) => Encoding::F32,
        (_, bits) => return Err(fault(format!("samples of {bits} bits are not read"))),
    };
    if usize::from(block) != usize::from(channels) * encoding.bytes() {
        return Err(fault(format!(
            "the header is wrong: frames of {block} bytes, but {channels} channels of {bits} bits"
        )));
    }
    Ok((spec, encoding))
}

/// The smallest file with this format chunk.
fn header_of(format: &[u8]) -> Vec<u8> {
    let length = (format.len() as u32).to_le_bytes();
    [b"RIFF\0\0\0\0WAVEfmt ", &length[..], format, b"data\0\0\0\0"].concat()
}

fn refused(error: hound::Error) -> DecodeError {
    match error {
        hound::Error::FormatError(reason) => fault(format!("the header is wrong: {reason}")),
        other => fault(format!("the header is wrong: {other}")),
    }
}

fn fault(message: impl Into<String>) -> DecodeError {
    DecodeError::new(message, COPY_AGAIN)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

/// A chunk: its name, the length it claims, and all bytes from its start to the end of the file.
struct Chunk<'a> {
    name: [u8; 4],
    length: u32,
    rest: &'a [u8],
}

impl<'a> Chunk<'a> {
    fn body(&self) -> Result<&'a [u8], DecodeError> {
        self.rest.get(..self.length as usize).ok_or_else(|| {
            fault(format!(
                "the file is cut short: its header speaks of {} bytes of `{}`, {} are there",
                self.length,
                String::from_utf8_lossy(&self.name).trim_end(),
                self.rest.len()
            ))
        })
    }
}

struct Chunks<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Chunks<'a> {
    fn next(&mut self) -> Option<Chunk<'a>> {
        let name = self.bytes.get(self.at..self.at + 4)?.try_into().ok()?;
        let length = u32_at(self.bytes, self.at + 4)?;
        let rest = self.bytes.get(self.at + 8..)?;
        // Chunks start at even places.
        self.at += 8 + length as usize + (length % 2) as usize;
        Some(Chunk { name, length, rest })
    }
}
