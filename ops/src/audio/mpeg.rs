//! MPEG audio, layers II and III (MP2, MP3): frames are found here and decoded by symphonia.
//!
//! A stream of frames has no header with its length; it ends where no frame follows. The tag
//! that Xing, LAME and FFmpeg write into a first, silent frame only gives the number of frames and
//! of samples that the encoder added at both ends.

use super::{
    compressed::reason,
    damage::Damage,
    decode::{Blocks, COPY_AGAIN, DecodeError, unreadable},
    input::Input,
    mpeg_header::{Gapless, Header},
    tags,
};
use symphonia::core::{
    audio::{Channels, Position},
    codecs::audio::{
        AudioCodecParameters, AudioDecoder, AudioDecoderOptions,
        well_known::{CODEC_ID_MP2, CODEC_ID_MP3},
    },
    packet::PacketRef,
    units::{Duration, Timestamp},
};

/// The number of bytes at the start of a file that are searched for the first frame.
const FARTHEST: u64 = 1 << 20;

/// A stream of frames.
pub(crate) struct Mpeg<'a> {
    pub sample_rate: u32,
    pub channels: u16,
    decoder: Box<dyn AudioDecoder>,
    input: Input<'a>,
    first: Header,
    gapless: Option<Gapless>,
    /// The expected position of the next frame.
    at: u64,
    /// The number of frames read, with and without success.
    packets: u64,
    /// The number of samples returned.
    made: u64,
    is_over: bool,
    room: Vec<u8>,
}

/// The position of the first frame. Several frames must follow each other, so that other bytes are
/// not taken for a frame.
fn start_of(input: &Input<'_>) -> Option<(u64, Header)> {
    const IN_A_ROW: usize = 4;
    let is_start = |at: u64| {
        let first = Header::at(input, at)?;
        let mut next = at;
        for found in 0..IN_A_ROW {
            match Header::at(input, next) {
                Some(header) if header.is_like(&first) => next += header.length,
                _ if found > 0 && (next >= input.length() || tags::at(input, next).is_some()) => {
                    break;
                }
                _ => return None,
            }
        }
        Some(first)
    };
    let mut at = 0;
    let mut room = Vec::new();
    while at < input.length().min(FARTHEST) {
        if let Some(header) = is_start(at) {
            return Some((at, header));
        }
        at += match tags::at(input, at) {
            Some(length) => length.max(1),
            None => to_next_sync(input, at + 1, &mut room) + 1,
        };
    }
    None
}

/// The number of bytes from `at` to the next position where a frame may start.
fn to_next_sync(input: &Input<'_>, at: u64, room: &mut Vec<u8>) -> u64 {
    const PIECE: usize = 4_096;
    let mut passed = 0;
    while let Ok(bytes) = input.bytes(at + passed, PIECE, room) {
        if let Some(place) = bytes.iter().position(|&byte| byte == 0xff) {
            return passed + place as u64;
        }
        if bytes.is_empty() {
            break;
        }
        passed += bytes.len() as u64;
    }
    passed
}

/// True if there is a stream of frames near the start.
pub(crate) fn is_mpeg(input: &Input<'_>) -> bool {
    start_of(input).is_some()
}

impl<'a> Mpeg<'a> {
    /// Finds the first frame, and reads its tag.
    pub fn open(input: Input<'a>, damage: &mut Damage) -> Result<Self, DecodeError> {
        let none = || DecodeError::new("there is no frame of MP3 in it", COPY_AGAIN);
        let (start, first) = start_of(&input).ok_or_else(none)?;
        let (mut room, mut at) = (Vec::new(), start);
        let before = junk(&input, 0, start, &mut room);
        if before > 0 {
            damage.note(
                0,
                format!("{before} bytes before the first frame are neither sound nor a tag"),
            );
        }
        let bytes = input.bytes(start, first.length as usize, &mut room).map_err(unreadable)?;
        let gapless = Gapless::read(bytes, &first);
        if gapless.is_some() {
            at += first.length;
        }
        let (sample_rate, channels) = (first.sample_rate, first.channels);
        let mut params = AudioCodecParameters::new();
        let position = if channels == 1 {
            Position::FRONT_LEFT
        } else {
            Position::FRONT_LEFT | Position::FRONT_RIGHT
        };
        params
            .for_codec(if first.layer == 2 { CODEC_ID_MP2 } else { CODEC_ID_MP3 })
            .with_sample_rate(sample_rate)
            .with_channels(Channels::Positioned(position));
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(&params, &AudioDecoderOptions::default().gapless(false))
            .map_err(|error| DecodeError::new(error.to_string(), COPY_AGAIN))?;
        let (packets, made, is_over) = (0, 0, false);
        Ok(Self {
            sample_rate,
            channels,
            decoder,
            input,
            first,
            gapless,
            at,
            packets,
            made,
            is_over,
            room,
        })
    }

    /// The header of the next frame, with other bytes before it skipped; `None` at the end.
    fn advance(&mut self, damage: &mut Damage) -> Option<Header> {
        let start = self.at;
        let mut lost = 0;
        loop {
            if self.at >= self.input.length() {
                break;
            }
            let header = Header::at(&self.input, self.at);
            match header.filter(|header| header.is_like(&self.first)) {
                // After bytes that are no frame, a frame must be followed by another.
                Some(header) if self.at == start || self.is_followed(&header) => {
                    if lost > 0 {
                        damage.note(
                            self.made,
                            format!("{lost} bytes between two frames are no sound"),
                        );
                    }
                    return Some(header);
                }
                _ => {}
            }
            if header.is_some_and(|header| self.is_other(&header)) {
                damage.note(self.made, "its sample rate or its channels change on the way");
                return None;
            }
            let step = match tags::at(&self.input, self.at) {
                Some(length) => length.max(1),
                None => {
                    let step = 1 + to_next_sync(&self.input, self.at + 1, &mut self.room);
                    lost += step;
                    step
                }
            };
            self.at = self.at.saturating_add(step);
        }
        // Some programs add zeros and a few other bytes after the last frame.
        let end = self.input.length();
        if junk(&self.input, start, end, &mut self.room) > self.first.length {
            damage.note(self.made, format!("{lost} bytes behind the last frame are no sound"));
        }
        None
    }

    fn is_followed(&self, header: &Header) -> bool {
        let next = self.at + header.length;
        next >= self.input.length()
            || Header::at(&self.input, next).is_some_and(|next| next.is_like(&self.first))
            || tags::at(&self.input, next).is_some()
    }

    /// True if a stream with other properties follows.
    fn is_other(&self, header: &Header) -> bool {
        let next = Header::at(&self.input, self.at + header.length);
        let after = next.and_then(|next| {
            let after = Header::at(&self.input, self.at + header.length + next.length)?;
            Some((next, after))
        });
        !header.is_like(&self.first)
            && after.is_some_and(|(next, after)| next.is_like(header) && after.is_like(header))
    }

    /// Removes the samples that the encoder added at the start and the end.
    fn trim(&self, block: &mut Vec<f32>) {
        let Some(gapless) = &self.gapless else { return };
        let channels = usize::from(self.channels);
        let (start, length) = (self.made, (block.len() / channels) as u64);
        if length == 0 {
            return;
        }
        let kept = |at: u64| at >= gapless.delay && !gapless.padding.contains(&at);
        if kept(start) && kept(start + length - 1) && !gapless.padding.contains(&(start + length)) {
            return;
        }
        let mut to = 0;
        for at in 0..length {
            if kept(start + at) {
                let from = at as usize * channels;
                block.copy_within(from..from + channels, to);
                to += channels;
            }
        }
        block.truncate(to);
    }
}

/// The number of bytes of a range that are neither zero nor part of a tag.
fn junk(input: &Input<'_>, start: u64, end: u64, room: &mut Vec<u8>) -> u64 {
    let (mut at, mut junk) = (start, 0);
    while at < end {
        if let Some(length) = tags::at(input, at) {
            at = at.saturating_add(length.max(1));
            continue;
        }
        // Tags start with a letter; all bytes up to the next one are checked together.
        let length = (end - at).min(4_096) as usize;
        let Ok(bytes) = input.bytes(at, length, room) else { break };
        let may_be_tag = |byte: &u8| b"AIT".contains(byte);
        let step = 1 + bytes.iter().skip(1).take_while(|byte| !may_be_tag(byte)).count();
        junk += bytes.iter().take(step).filter(|&&byte| byte != 0).count() as u64;
        at += step as u64;
    }
    junk
}

impl Blocks for Mpeg<'_> {
    fn next(&mut self, block: &mut Vec<f32>, damage: &mut Damage) -> Result<bool, DecodeError> {
        block.clear();
        while block.is_empty() {
            let header = if self.is_over { None } else { self.advance(damage) };
            let Some(header) = header else {
                if !self.is_over {
                    self.is_over = true;
                    self.count(damage);
                }
                return Ok(false);
            };
            let length = header.length as usize;
            let bytes = self.input.bytes(self.at, length, &mut self.room).map_err(unreadable)?;
            self.at += header.length;
            self.packets += 1;
            let samples = u64::from(header.samples);
            if bytes.len() < length {
                let there = bytes.len();
                damage.note(
                    self.made,
                    format!("the file is cut short: the last frame has {there} of {length} bytes"),
                );
                damage.miss(samples);
                continue;
            }
            if Gapless::read(bytes, &header).is_some() {
                // Several files were concatenated.
                continue;
            }
            let time = Timestamp::from(self.made as i64);
            let packet = PacketRef::new(0, time, Duration::from(samples), bytes);
            match self.decoder.decode_ref(&packet) {
                Ok(decoded) => decoded.copy_to_vec_interleaved(block),
                Err(error) => {
                    damage.note(self.made, reason(&error));
                    damage.silence(samples);
                    block.resize(samples as usize * usize::from(self.channels), 0.0);
                }
            }
            self.trim(block);
            self.made += samples;
        }
        Ok(true)
    }
}

impl Mpeg<'_> {
    /// Compares the number of frames with that in the tag.
    fn count(&self, damage: &mut Damage) {
        let Some(claimed) = self.gapless.as_ref().and_then(|gapless| gapless.packets) else {
            return;
        };
        // Some encoders count the frame of the tag.
        if self.packets + 1 < claimed {
            let packets = self.packets;
            if damage.is_none() {
                damage.note(
                    self.made,
                    format!(
                        "the file is cut short: its header speaks of {claimed} frames of MP3, {packets} \
                         are there"
                    ),
                );
            }
            damage.miss((claimed - self.packets) * u64::from(self.first.samples));
        }
    }
}
