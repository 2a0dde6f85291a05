//! Adaptive differential PCM in WAV files: blocks of one size. Microsoft's are decoded by symphonia; those of the
//! Interactive Multimedia Association here, as symphonia rounds otherwise than their definition, libsndfile and ffmpeg.

use super::{
    compressed::reason,
    damage::Damage,
    decode::{Blocks, COPY_AGAIN, DecodeError, unreadable},
    input::Input,
};
use symphonia::core::{
    audio::{Channels, Position},
    codecs::audio::{
        AudioCodecParameters, AudioDecoder, AudioDecoderOptions, well_known::CODEC_ID_ADPCM_MS,
    },
    packet::PacketRef,
    units::{Duration, Timestamp},
};

/// How a block is decoded.
enum Decoder {
    Microsoft(Box<dyn AudioDecoder>),
    Ima,
}

/// Samples in blocks of ADPCM.
pub(crate) struct Adpcm<'a> {
    decoder: Decoder,
    data: Input<'a>,
    channels: u64,
    block: u64,
    /// Frames in a block.
    pub block_frames: u64,
    at: u64,
    room: Vec<u8>,
}

impl<'a> Adpcm<'a> {
    /// Microsoft's ADPCM, in blocks of the given number of bytes.
    pub fn microsoft(
        sample_rate: u32,
        channels: u16,
        block: u16,
        data: Input<'a>,
    ) -> Result<Self, DecodeError> {
        // Seven bytes a channel are the header of a block and hold two samples; each other byte
        // holds two.
        let frames = (u64::from(block) / u64::from(channels)).checked_sub(7);
        let frames = frames.map(|bytes| 2 * bytes + 2).ok_or_else(|| wrong(channels, block))?;
        let mut params = AudioCodecParameters::new();
        params
            .for_codec(CODEC_ID_ADPCM_MS)
            .with_sample_rate(sample_rate)
            .with_max_frames_per_packet(frames)
            .with_frames_per_block(frames);
        if let Some(channels) = Position::from_wave_channel_count(channels.into()) {
            params.with_channels(Channels::Positioned(channels));
        }
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(&params, &AudioDecoderOptions::default())
            .map_err(|error| decode_error(format!("the recording cannot be decoded: {error}")))?;
        Ok(Self::new(Decoder::Microsoft(decoder), channels, block, frames, data))
    }

    /// The ADPCM of the Interactive Multimedia Association, in blocks of the given number of bytes.
    pub fn ima(channels: u16, block: u16, data: Input<'a>) -> Result<Self, DecodeError> {
        // Four bytes a channel are the header of a block and hold one sample; then come eight samples
        // in four bytes of each channel in turn.
        let bytes = (u64::from(block) / u64::from(channels)).checked_sub(4);
        let frames = bytes.map(|bytes| bytes / 4 * 8 + 1).ok_or_else(|| wrong(channels, block))?;
        Ok(Self::new(Decoder::Ima, channels, block, frames, data))
    }

    fn new(decoder: Decoder, channels: u16, block: u16, frames: u64, data: Input<'a>) -> Self {
        let (channels, block) = (channels.into(), block.into());
        Self { decoder, data, channels, block, block_frames: frames, at: 0, room: Vec::new() }
    }

    /// The number of frames in whole blocks.
    pub fn frames(&self) -> u64 {
        self.data.length() / self.block * self.block_frames
    }
}

fn decode_error(message: String) -> DecodeError {
    DecodeError::new(message, COPY_AGAIN)
}

fn wrong(channels: u16, block: u16) -> DecodeError {
    decode_error(format!("the header is wrong: blocks of {block} bytes of {channels} channels"))
}

/// The sizes of a step, and how a code changes which of them is next (Recommended Practices for Enhancing Digital Audio
/// Compatibility in Multimedia Systems, Interactive Multimedia Association, 1992).
#[rustfmt::skip]
const STEPS: [i32; 89] = [
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66, 73, 80, 88, 97, 107, 118,
    130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449, 494, 544, 598, 658, 724, 796, 876, 963, 1060, 1166,
    1282, 1411, 1552, 1707, 1878, 2066, 2272, 2499, 2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894, 6484, 7132, 7845,
    8630, 9493, 10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767,
];
const CHANGES: [i32; 8] = [-1, -1, -1, -1, 2, 4, 6, 8];

/// Decodes a block of IMA ADPCM into interleaved samples; an error if a header names a step that there is not.
fn decode_ima(bytes: &[u8], channels: usize, samples: &mut Vec<f32>) -> Result<(), &'static str> {
    let (headers, data) = bytes.split_at(4 * channels);
    let words = data.len() / (4 * channels);
    samples.resize((words * 8 + 1) * channels, 0.0);
    for channel in 0..channels {
        let header = &headers[4 * channel..][..4];
        let mut sample = i32::from(i16::from_le_bytes([header[0], header[1]]));
        let mut index = usize::from(header[2]);
        if index >= STEPS.len() {
            return Err("the header of a block names a step that there is not");
        }
        samples[channel] = sample as f32 / 32_768.0;
        for word in 0..words {
            let word_bytes = &data[4 * (word * channels + channel)..][..4];
            let codes = word_bytes.iter().flat_map(|byte| [byte & 15, byte >> 4]);
            for (at, code) in codes.enumerate() {
                let step = STEPS[index];
                // A bit adds its part of the step, rounded down by itself.
                let part = |bit: u8, of: i32| if code & bit == 0 { 0 } else { of };
                let apart = (step >> 3) + part(1, step >> 2) + part(2, step >> 1) + part(4, step);
                sample = if code & 8 == 0 { sample + apart } else { sample - apart };
                sample = sample.clamp(i16::MIN.into(), i16::MAX.into());
                let next = index as i32 + CHANGES[usize::from(code & 7)];
                index = next.clamp(0, STEPS.len() as i32 - 1) as usize;
                samples[(1 + 8 * word + at) * channels + channel] = sample as f32 / 32_768.0;
            }
        }
    }
    Ok(())
}

impl Blocks for Adpcm<'_> {
    fn next(&mut self, block: &mut Vec<f32>, damage: &mut Damage) -> Result<bool, DecodeError> {
        block.clear();
        let at = self.at * self.block;
        let bytes = self.data.bytes(at, self.block as usize, &mut self.room).map_err(unreadable)?;
        if (bytes.len() as u64) < self.block {
            return Ok(false);
        }
        let frame = self.at * self.block_frames;
        self.at += 1;
        let decoded = match &mut self.decoder {
            Decoder::Ima => decode_ima(bytes, self.channels as usize, block).map_err(str::to_owned),
            Decoder::Microsoft(decoder) => {
                let time = Timestamp::from(frame as i64);
                let packet = PacketRef::new(0, time, Duration::from(self.block_frames), bytes);
                let decoded = decoder.decode_ref(&packet);
                decoded
                    .map(|decoded| decoded.copy_to_vec_interleaved(block))
                    .map_err(|error| reason(&error))
            }
        };
        if let Err(reason) = decoded {
            damage.note(frame, reason);
            damage.silence(self.block_frames);
            block.clear();
            block.resize((self.block_frames * self.channels) as usize, 0.0);
        }
        Ok(true)
    }
}
