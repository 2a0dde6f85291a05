//! FLAC, MP3, Ogg Vorbis and AIFF files, through symphonia.

use super::decode::{COPY_AGAIN, DecodeError, Signal};
use std::io::Cursor;
use symphonia::core::{
    codecs::audio::AudioDecoderOptions,
    errors::Error,
    formats::{FormatOptions, TrackType, probe::Hint},
    io::MediaSourceStream,
    meta::MetadataOptions,
};

/// Decodes the first audio track. Delay and padding that an encoder noted are cut off, so that a
/// recording keeps its length.
pub(crate) fn decode(bytes: &[u8]) -> Result<Signal, DecodeError> {
    let source = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let mut reader = symphonia::default::get_probe()
        .probe(&Hint::new(), source, FormatOptions::default(), MetadataOptions::default())
        .map_err(damaged)?;
    let no_audio = || damaged_as("there is no audio in it");
    let track = reader.default_track(TrackType::Audio).ok_or_else(no_audio)?;
    let (id, expected) = (track.id, track.num_frames);
    let params = track.codec_params.as_ref().and_then(|params| params.audio());
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(params.ok_or_else(no_audio)?, &AudioDecoderOptions::default())
        .map_err(damaged)?;

    let (mut rate, mut channels) = (0, 0);
    let (mut samples, mut block) = (Vec::new(), Vec::<f32>::new());
    while let Some(packet) = reader.next_packet().map_err(damaged)? {
        if packet.track_id != id {
            continue;
        }
        let decoded = decoder.decode(&packet).map_err(damaged)?;
        let spec = decoded.spec();
        if decoded.frames() == 0 {
            continue;
        }
        if samples.is_empty() {
            (rate, channels) = (spec.rate(), spec.channels().count());
        } else if (rate, channels) != (spec.rate(), spec.channels().count()) {
            return Err(damaged_as("its sample rate or its channels change on the way"));
        }
        decoded.copy_to_vec_interleaved(&mut block);
        samples.extend_from_slice(&block);
    }
    if !samples.is_empty() && (rate == 0 || channels == 0) {
        return Err(damaged_as("it has no sample rate or no channels"));
    }
    let frames = (samples.len() / channels.max(1)) as u64;
    match expected {
        Some(expected) if frames < expected => Err(DecodeError::new(
            format!(
                "the file is cut short: its header speaks of {expected} frames, {frames} are there"
            ),
            COPY_AGAIN,
        )),
        _ => Ok(Signal { sample_rate: rate, channels, samples }),
    }
}

fn damaged(error: Error) -> DecodeError {
    match error {
        Error::IoError(_) => damaged_as("it ends too early"),
        Error::DecodeError(reason) | Error::Unsupported(reason) | Error::LimitError(reason) => {
            damaged_as(reason)
        }
        other => damaged_as(&other.to_string()),
    }
}

fn damaged_as(reason: &str) -> DecodeError {
    DecodeError::new(format!("the recording cannot be decoded: {reason}"), COPY_AGAIN)
}
