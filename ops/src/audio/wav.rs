//! WAV files and their variants: more than 4 GB (RF64, BW64, W64) and big-endian (RIFX).

use super::{
    adpcm::Adpcm,
    damage::Damage,
    decode::{COPY_AGAIN, DecodeError, Opened},
    input::Input,
    mpeg::Mpeg,
    pcm::{Joined, Pcm, Sample},
};
use std::ops::RangeInclusive;

const PCM: u16 = 0x01;
const MS_ADPCM: u16 = 0x02;
const IEEE_FLOAT: u16 = 0x03;
const A_LAW: u16 = 0x06;
const MU_LAW: u16 = 0x07;
const IMA_ADPCM: u16 = 0x11;
const MPEG: u16 = 0x50;
const MPEG_LAYER_3: u16 = 0x55;
const EXTENSIBLE: u16 = 0xfffe;

/// The placeholder lengths of programs that stream their output: SoX, arecord, FFmpeg.
const UNKNOWN: [RangeInclusive<u64>; 2] = [0x7fff_f000..=0x8000_0000, 0xffff_ff00..=0xffff_ffff];

/// The format of chunks and their numbers.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// RIFF; RF64 and BW64 have long lengths in a separate chunk.
    Riff,
    /// RIFF with big-endian numbers.
    Rifx,
    /// Sony's W64: names of 16 bytes, lengths of 8, chunks at multiples of 8.
    W64,
}

/// The start of a W64 file.
const W64_RIFF: &[u8; 16] = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0";

/// True if a file of this family starts here.
pub(crate) fn is_wav(input: &Input<'_>) -> bool {
    let names = [b"RIFF", b"RIFX", b"RF64", b"BW64"];
    (names.iter().any(|name| input.has(0, name)) && input.has(8, b"WAVE"))
        || (input.has(0, W64_RIFF) && input.has(24, b"wave"))
}

/// Reads the header of a file that [`is_wav`].
pub(crate) fn open<'a>(input: Input<'a>, damage: &mut Damage) -> Result<Opened<'a>, DecodeError> {
    let form = match input.array::<4>(0) {
        Some([b'r', ..]) => Form::W64,
        Some([_, _, _, b'X']) => Form::Rifx,
        _ => Form::Riff,
    };
    let mut chunks = Chunks { input, form, at: if form == Form::W64 { 40 } else { 12 } };
    let (mut format, mut data, mut long) = (None, Vec::new(), None);
    while let Some(chunk) = chunks.next(long) {
        match &chunk.name {
            b"ds64" => long = chunk.rest.array(8).map(u64::from_le_bytes),
            b"fmt " if format.is_none() => {
                let mut bytes = [0; 64];
                let read = chunk.whole()?.read_at(0, &mut bytes);
                let read = read.map_err(super::decode::unreadable)?;
                format = Some(Format::read(&bytes[..read], form)?);
            }
            b"data" => data.push(chunk),
            _ => {}
        }
    }
    match (&format, &data[..]) {
        (_, []) => Err(decode_error("the file ends before its samples: it has no `data` chunk")),
        (None, _) => Err(decode_error("the header has no `fmt ` chunk")),
        (Some(format), [chunk]) => format.open(chunk, form, damage),
        (Some(format), chunks) => format.open_all(chunks, form, damage),
    }
}

/// The contents of the format chunk.
struct Format {
    tag: u16,
    channels: u16,
    sample_rate: u32,
    /// The bytes of a frame, or of a block of several.
    block: u16,
    bits: u16,
    /// The frames in a block, for encodings with blocks.
    block_frames: u16,
}

impl Format {
    fn read(chunk: &[u8], form: Form) -> Result<Self, DecodeError> {
        if chunk.len() < 16 {
            return Err(decode_error("the `fmt ` chunk is cut short"));
        }
        let u16_at = |at: usize| {
            let bytes = chunk.get(at..at + 2).map_or([0; 2], |x| [x[0], x[1]]);
            if form == Form::Rifx { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
        };
        let (first, second) = (u32::from(u16_at(4)), u32::from(u16_at(6)));
        let sample_rate =
            if form == Form::Rifx { first << 16 | second } else { second << 16 | first };
        let tag = match u16_at(0) {
            EXTENSIBLE if chunk.len() >= 40 => u16_at(24),
            tag => tag,
        };
        let (channels, block, bits, block_frames) = (u16_at(2), u16_at(12), u16_at(14), u16_at(18));
        if channels == 0 {
            return Err(decode_error("the header is wrong: no channels"));
        }
        if sample_rate == 0 {
            return Err(decode_error("the header is wrong: a sample rate of 0 Hz"));
        }
        Ok(Self { tag, channels, sample_rate, block, bits, block_frames })
    }

    /// Opens several chunks of samples, one after another. FFmpeg reads only the last of them, other
    /// programs only the first or none, so this counts as damage.
    fn open_all<'a>(
        &self,
        chunks: &[Chunk<'a>],
        form: Form,
        damage: &mut Damage,
    ) -> Result<Opened<'a>, DecodeError> {
        let (mut parts, mut frames) = (Vec::new(), 0);
        for chunk in chunks {
            if frames > 0 && chunk.samples().length() > 0 {
                let message = "it has several `data` chunks, of which other programs read one";
                damage.note(frames, message);
            }
            let mut own = Damage::default();
            let Opened::Pcm(part) = self.open(chunk, form, &mut own)? else {
                let message = "compressed samples in several `data` chunks are not read";
                return Err(DecodeError::new(message, CONVERT));
            };
            damage.add(own, frames);
            frames += part.frames();
            parts.push(part);
        }
        Ok(Opened::Blocks(self.sample_rate, self.channels, Box::new(Joined::new(parts))))
    }

    fn open<'a>(
        &self,
        chunk: &Chunk<'a>,
        form: Form,
        damage: &mut Damage,
    ) -> Result<Opened<'a>, DecodeError> {
        let data = chunk.samples();
        if let MPEG | MPEG_LAYER_3 = self.tag {
            let mpeg = Mpeg::open(data, damage)?;
            return Ok(Opened::Blocks(mpeg.sample_rate, mpeg.channels, Box::new(mpeg)));
        }
        if let MS_ADPCM | IMA_ADPCM = self.tag {
            let adpcm = match self.tag {
                MS_ADPCM => Adpcm::microsoft(self.sample_rate, self.channels, self.block, data),
                _ => Adpcm::ima(self.channels, self.block, data),
            }?;
            if self.block_frames != 0 && u64::from(self.block_frames) != adpcm.block_frames {
                return Err(decode_error(format!(
                    "the header is wrong: {} frames in a block of {} bytes, which holds {}",
                    self.block_frames, self.block, adpcm.block_frames
                )));
            }
            let frames = chunk.length / u64::from(self.block) * adpcm.block_frames;
            chunk.check(data.length(), adpcm.frames(), frames, damage);
            return Ok(Opened::Blocks(self.sample_rate, self.channels, Box::new(adpcm)));
        }
        let sample = self.sample()?;
        let frame = sample.bytes() as u64 * u64::from(self.channels);
        let pcm =
            Pcm::new(self.sample_rate, self.channels, sample, data).big_endian(form == Form::Rifx);
        chunk.check(data.length(), pcm.frames(), chunk.length / frame, damage);
        if damage.is_none() && !chunk.is_streamed && !data.length().is_multiple_of(frame) {
            damage.note(
                pcm.frames(),
                format!(
                    "the header is wrong: {} bytes of samples are no whole number of frames of {frame} \
                     bytes",
                    data.length()
                ),
            );
        }
        Ok(Opened::Pcm(pcm))
    }

    /// The encoding of a sample. If fewer bits are used than fit the bytes, they are the upper
    /// ones.
    fn sample(&self) -> Result<Sample, DecodeError> {
        let unread = || decode_error(format!("samples of {} bits are not read", self.bits));
        let sample = match (self.tag, self.bits) {
            (PCM, 1..=32) => Sample::of_bytes(self.bits.div_ceil(8)).ok_or_else(unread)?,
            (IEEE_FLOAT, 32) => Sample::F32,
            (IEEE_FLOAT, 64) => Sample::F64,
            (PCM | IEEE_FLOAT, _) => return Err(unread()),
            (A_LAW, _) => Sample::ALaw,
            (MU_LAW, _) => Sample::MuLaw,
            (tag, _) => {
                let name = match tag {
                    0x31 => "GSM 6.10",
                    0x40 | 0x45 | 0x64 => "G.72x",
                    0xff | 0x1600..=0x1610 => "AAC",
                    0x160..=0x163 => "Windows Media",
                    0x2000 => "AC-3",
                    _ => "unknown",
                };
                let message = format!("WAV encoding {tag:#x} ({name}) is not read");
                return Err(DecodeError::new(message, CONVERT));
            }
        };
        let (channels, bits, block) = (self.channels, self.bits, self.block);
        if usize::from(block) != usize::from(channels) * sample.bytes() {
            return Err(decode_error(format!(
                "the header is wrong: frames of {block} bytes, but {channels} channels of {bits} bits"
            )));
        }
        Ok(sample)
    }
}

const CONVERT: &str = "convert it with `ffmpeg -i IN.wav -c:a pcm_s16le OUT.wav`";

fn decode_error(message: impl Into<String>) -> DecodeError {
    DecodeError::new(message, COPY_AGAIN)
}

/// A chunk: its name, the length in its header, and all bytes from its start to the end of the
/// file.
struct Chunk<'a> {
    name: [u8; 4],
    length: u64,
    /// True if its length was never filled in and stands for all that follows.
    is_streamed: bool,
    rest: Input<'a>,
}

impl<'a> Chunk<'a> {
    fn whole(&self) -> Result<Input<'a>, DecodeError> {
        if self.length > self.rest.length() {
            return Err(decode_error(self.short()));
        }
        Ok(self.rest.part(0, self.length))
    }

    /// The samples that are present.
    fn samples(&self) -> Input<'a> {
        if self.is_streamed { self.rest } else { self.rest.part(0, self.length) }
    }

    /// Notes damage if bytes, and with them frames, are missing.
    fn check(&self, there: u64, frames: u64, claimed: u64, damage: &mut Damage) {
        if !self.is_streamed && there < self.length {
            damage.note(frames, self.short());
            damage.miss(claimed.saturating_sub(frames));
        }
    }

    fn short(&self) -> String {
        format!(
            "the file is cut short: its header speaks of {} bytes of `{}`, {} are there",
            self.length,
            String::from_utf8_lossy(&self.name).trim_end(),
            self.rest.length()
        )
    }
}

struct Chunks<'a> {
    input: Input<'a>,
    form: Form,
    at: u64,
}

impl<'a> Chunks<'a> {
    /// The next chunk; `long` is the length of `data` in a file whose header has no space for it.
    fn next(&mut self, long: Option<u64>) -> Option<Chunk<'a>> {
        let name = self.input.array(self.at)?;
        let (head, length, step) = match self.form {
            Form::W64 => {
                let length = u64::from_le_bytes(self.input.array(self.at + 16)?).checked_sub(24)?;
                (24, length, length.checked_next_multiple_of(8)?)
            }
            form => {
                let bytes = self.input.array(self.at + 4)?;
                let length = u64::from(match form {
                    Form::Rifx => u32::from_be_bytes(bytes),
                    _ => u32::from_le_bytes(bytes),
                });
                let length = match long {
                    Some(long) if &name == b"data" && length == 0xffff_ffff => long,
                    _ => length,
                };
                // Chunks start at even offsets, except in files of some programs.
                let padded = length.is_multiple_of(2)
                    || !self.is_name(self.at + 8 + length)
                    || self.is_name(self.at + 9 + length);
                (8, length, length + if padded { length % 2 } else { 0 })
            }
        };
        let rest = self.input.after(self.at + head);
        let is_unknown = UNKNOWN.iter().any(|lengths| lengths.contains(&length));
        let is_streamed = &name == b"data"
            && match length {
                // A length of 0 followed by bytes that are no chunk was left unfilled.
                0 => rest.length() > 0 && !self.is_name(self.at + head),
                _ => is_unknown && length > rest.length(),
            };
        self.at = self.at.checked_add(head)?.checked_add(step)?;
        Some(Chunk { name, length, is_streamed, rest })
    }

    /// True if these bytes can be the name of a chunk.
    fn is_name(&self, at: u64) -> bool {
        let name: Option<[u8; 4]> = self.input.array(at);
        name.is_some_and(|name| {
            name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b' ')
        })
    }
}
