//! Adaptive differential PCM in WAV files: blocks of one size, decoded by symphonia.

use super::{
    compressed::reason,
    damage::Damage,
    decode::{Blocks, COPY_AGAIN, DecodeError, unreadable},
    input::Input,
};
use symphonia::core::{
    audio::{Channels, Position},
    codecs::audio::{
        AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions,
        well_known::{CODEC_ID_ADPCM_IMA_WAV, CODEC_ID_ADPCM_MS},
    },
    packet::PacketRef,
    units::{Duration, Timestamp},
};

/// Samples in blocks of ADPCM.
pub(crate) struct Adpcm<'a> {
    decoder: Box<dyn AudioDecoder>,
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
        let frames = frames.map(|bytes| 2 * bytes + 2);
        Self::new(CODEC_ID_ADPCM_MS, sample_rate, channels, block, frames, data)
    }

    /// The ADPCM of the Interactive Multimedia Association, in blocks of the given number of bytes.
    pub fn ima(
        sample_rate: u32,
        channels: u16,
        block: u16,
        data: Input<'a>,
    ) -> Result<Self, DecodeError> {
        // Four bytes a channel are the header of a block and hold one sample.
        let frames = (u64::from(block) / u64::from(channels)).checked_sub(4);
        let frames = frames.map(|bytes| 2 * bytes + 1);
        Self::new(CODEC_ID_ADPCM_IMA_WAV, sample_rate, channels, block, frames, data)
    }

    fn new(
        codec: AudioCodecId,
        sample_rate: u32,
        channels: u16,
        block: u16,
        frames: Option<u64>,
        data: Input<'a>,
    ) -> Result<Self, DecodeError> {
        let fault = |message: String| DecodeError::new(message, COPY_AGAIN);
        let frames = frames.ok_or_else(|| {
            fault(format!("the header is wrong: blocks of {block} bytes of {channels} channels"))
        })?;
        let mut params = AudioCodecParameters::new();
        params
            .for_codec(codec)
            .with_sample_rate(sample_rate)
            .with_max_frames_per_packet(frames)
            .with_frames_per_block(frames);
        if let Some(channels) = Position::from_wave_channel_count(channels.into()) {
            params.with_channels(Channels::Positioned(channels));
        }
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(&params, &AudioDecoderOptions::default())
            .map_err(|error| fault(format!("the recording cannot be decoded: {error}")))?;
        let (channels, block) = (channels.into(), block.into());
        Ok(Self { decoder, data, channels, block, block_frames: frames, at: 0, room: Vec::new() })
    }

    /// The number of frames in whole blocks.
    pub fn frames(&self) -> u64 {
        self.data.length() / self.block * self.block_frames
    }
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
        let time = Timestamp::from(frame as i64);
        let packet = PacketRef::new(0, time, Duration::from(self.block_frames), bytes);
        match self.decoder.decode_ref(&packet) {
            Ok(decoded) => decoded.copy_to_vec_interleaved(block),
            Err(error) => {
                damage.note(frame, reason(&error));
                damage.silence(self.block_frames);
                block.resize((self.block_frames * self.channels) as usize, 0.0);
            }
        }
        Ok(true)
    }
}
