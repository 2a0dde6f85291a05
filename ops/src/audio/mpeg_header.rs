//! Headers of MPEG audio frames, and the tags of Xing, LAME and Fraunhofer in the first one.

use super::input::Input;
use std::ops::Range;

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Header {
    pub layer: u8,
    pub sample_rate: u32,
    pub channels: u16,
    /// The length in bytes, including the header.
    pub length: u64,
    /// The number of samples for each channel.
    pub samples: u32,
    version: u8,
}

/// Bit rates in kbit/s: version 1 layers II and III, versions 2 and 2.5.
static BIT_RATES: [[u32; 15]; 3] = [
    [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

/// The bit rates of MP3 at a sample rate, in kbit/s; `None` if it does not have the sample rate.
pub(super) fn bit_rates(sample_rate: u32) -> Option<&'static [u32]> {
    match sample_rate {
        32_000 | 44_100 | 48_000 => Some(&BIT_RATES[1][1..]),
        8_000 | 11_025 | 12_000 | 16_000 | 22_050 | 24_000 => Some(&BIT_RATES[2][1..]),
        _ => None,
    }
}

impl Header {
    /// Parses the header at `at`.
    pub fn at(input: &Input<'_>, at: u64) -> Option<Self> {
        Self::read(input.array(at)?)
    }

    fn read([first, second, third, fourth]: [u8; 4]) -> Option<Self> {
        if first != 0xff || second & 0xe0 != 0xe0 {
            return None;
        }
        let (version, layer) = (second >> 3 & 3, 4 - (second >> 1 & 3));
        // Version 1 is reserved; a bit rate of 0 means that the header does not state one.
        if version == 1 || !(2..=3).contains(&layer) {
            return None;
        }
        let rates = match (version, layer) {
            (3, 2) => BIT_RATES[0],
            (3, _) => BIT_RATES[1],
            _ => BIT_RATES[2],
        };
        let bit_rate = *rates.get(usize::from(third >> 4)).filter(|&&rate| rate > 0)?;
        let base = *[44_100, 48_000, 32_000].get(usize::from(third >> 2 & 3))?;
        let sample_rate = match version {
            3 => base,
            2 => base / 2,
            _ => base / 4,
        };
        let samples = if layer == 3 && version != 3 { 576 } else { 1_152 };
        let padding = u32::from(third >> 1 & 1);
        let length = u64::from(samples / 8 * bit_rate * 1_000 / sample_rate + padding);
        let channels = if fourth >> 6 == 3 { 1 } else { 2 };
        Some(Self { layer, sample_rate, channels, length, samples, version })
    }

    /// True if both may belong to one stream.
    pub fn is_like(&self, other: &Self) -> bool {
        (self.version, self.layer, self.sample_rate, self.channels)
            == (other.version, other.layer, other.sample_rate, other.channels)
    }

    /// The number of bytes between the header and the audio data of layer III.
    fn side_info(&self) -> usize {
        match (self.version, self.channels) {
            (3, 1) => 17,
            (3, _) => 32,
            (_, 1) => 9,
            _ => 17,
        }
    }
}

/// The contents of a tag about the stream that follows.
#[derive(Debug, PartialEq)]
pub(crate) struct Gapless {
    /// The number of frames.
    pub packets: Option<u64>,
    /// The number of samples that the encoder added at the start.
    pub delay: u64,
    /// The number of samples that it added at the end.
    pub padding: Range<u64>,
}

/// The delay of the decoder in samples, which LAME assumes.
const DECODER_DELAY: u64 = 528 + 1;

impl Gapless {
    /// Parses the tag in a frame without audio.
    pub fn read(frame: &[u8], header: &Header) -> Option<Self> {
        if header.layer != 3 {
            return None;
        }
        let number = |at: usize| {
            let bytes: [u8; 4] = frame.get(at..at + 4)?.try_into().ok()?;
            Some(u64::from(u32::from_be_bytes(bytes)))
        };
        if frame.get(36..40) == Some(b"VBRI") {
            return Some(Self { packets: number(50), delay: 0, padding: 0..0 });
        }
        let mut at = 4 + header.side_info();
        if !matches!(frame.get(at..at + 4)?, b"Xing" | b"Info") {
            return None;
        }
        let flags = number(at + 4)?;
        at += 8;
        let mut packets = None;
        for (bit, length) in [(1, 4), (2, 4), (4, 100), (8, 4)] {
            if flags & bit != 0 {
                packets = if bit == 1 { number(at) } else { packets };
                at += length;
            }
        }
        let none = Self { packets, delay: 0, padding: 0..0 };
        let is_known = frame.get(at..at + 4).is_some_and(|encoder| {
            [b"LAME", b"Lavf", b"Lavc"].iter().any(|known| encoder == &known[..])
        });
        let Some(both) = number(at + 21).filter(|_| is_known) else { return Some(none) };
        let (delay, padding) = (both >> 20, both >> 8 & 0xfff);
        let total = packets.unwrap_or(0) * u64::from(header.samples);
        let end = total.saturating_sub(padding.saturating_sub(DECODER_DELAY));
        Some(Self { packets, delay: delay + DECODER_DELAY, padding: end..total })
    }
}
