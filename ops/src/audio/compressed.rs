//! FLAC, Ogg Vorbis, AIFF, MP4, AAC and CAF files, decoded by symphonia.

use super::{
    damage::Damage,
    decode::{Blocks, CONVERT, COPY_AGAIN, DecodeError, Opened},
    flac,
    input::{Cursor, Input},
    mp4,
};
use symphonia::core::{
    codecs::audio::{
        AudioDecoder, AudioDecoderOptions,
        well_known::{CODEC_ID_OPUS, CODEC_ID_VORBIS},
    },
    errors::Error,
    formats::{FormatOptions, FormatReader, TrackType, probe::Hint},
    io::MediaSourceStream,
    meta::MetadataOptions,
    packet::Packet,
};

/// The container formats that are read here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Container {
    Flac,
    Ogg,
    Aiff,
    Mp4,
    Adts,
    Caf,
}

struct Compressed<'a> {
    kind: Container,
    input: Input<'a>,
    reader: Box<dyn FormatReader + 'a>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    sample_rate: u32,
    channels: u16,
    /// The number of frames in the header.
    expected: Option<u64>,
    /// The number of frames at the start that do not belong to the recording according to the
    /// container.
    skipped: u64,
    /// The number of frames after those until the recording ends, if the container says it.
    left: Option<u64>,
    /// The first block, decoded to find the properties of the recording.
    first: Option<Vec<f32>>,
    made: u64,
    /// The expected time stamp of the next packet.
    due: Option<i64>,
    /// True if time stamps of packets show skipped frames.
    is_timed: bool,
    /// The bytes of the packets so far.
    bytes: u64,
    faults: u32,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Open,
    /// The last packet was decoded; the frames are still to be counted.
    Last,
    Over,
}

/// The number of consecutive errors after which decoding stops.
const MAX_FAULTS: u32 = 1_000;

/// Opens the first audio track and decodes its first block.
pub(crate) fn open<'a>(
    kind: Container,
    input: Input<'a>,
    damage: &mut Damage,
) -> Result<Opened<'a>, DecodeError> {
    let source = MediaSourceStream::new(Box::new(Cursor::new(input)), Default::default());
    let reader = symphonia::default::get_probe()
        .probe(&Hint::new(), source, FormatOptions::default(), MetadataOptions::default())
        .map_err(damaged)?;
    let (track, expected, decoder) = decoder_of(&*reader, kind)?;
    let edit = if kind == Container::Mp4 { mp4::edit(&input) } else { mp4::Edit::default() };
    let mut opened = Compressed {
        kind,
        input,
        reader,
        decoder,
        track,
        sample_rate: 0,
        channels: 0,
        expected,
        skipped: edit.start,
        // Times of the container are frames where it says how many there are.
        left: edit.end.filter(|_| expected.is_some()).map(|end| end.saturating_sub(edit.start)),
        first: None,
        made: 0,
        due: None,
        is_timed: matches!(kind, Container::Flac | Container::Ogg),
        bytes: 0,
        faults: 0,
        state: State::Open,
    };
    let mut block = Vec::new();
    if !opened.decode(&mut block, damage)? || opened.sample_rate == 0 || opened.channels == 0 {
        return Err(match damage.summary(0, 1) {
            Some(reason) => damaged_as(&reason),
            None => DecodeError::no_frames(),
        });
    }
    opened.first = Some(block);
    Ok(Opened::Blocks(opened.sample_rate, opened.channels, Box::new(opened)))
}

type Track = (u32, Option<u64>, Box<dyn AudioDecoder>);

fn decoder_of(reader: &dyn FormatReader, kind: Container) -> Result<Track, DecodeError> {
    let no_audio = || damaged_as("there is no audio in it that can be decoded");
    let track = reader.default_track(TrackType::Audio).ok_or_else(no_audio)?;
    let params = track.codec_params.as_ref().and_then(|params| params.audio());
    let params = params.ok_or_else(no_audio)?;
    if params.codec == CODEC_ID_OPUS {
        return Err(DecodeError::new("Opus is not read", CONVERT));
    }
    let channels = params.channels.as_ref().map_or(0, |channels| channels.count());
    if params.codec == CODEC_ID_VORBIS && channels > 2 {
        // The library undoes the coupling of more channels in the wrong order.
        return Err(DecodeError::new(
            format!("Vorbis of {channels} channels is not read"),
            CONVERT,
        ));
    }
    let decoder = symphonia::default::get_codecs()
        .make_audio_decoder(params, &AudioDecoderOptions::default())
        .map_err(|error| match kind {
            // The numbers of a CAF file may be of a kind that the library does not know.
            Container::Caf => {
                DecodeError::new(format!("its encoding is not read: {}", reason(&error)), CONVERT)
            }
            _ => damaged(error),
        })?;
    // Of a stream of AAC the library only estimates the length.
    let frames = track.num_frames.filter(|_| kind != Container::Adts);
    Ok((track.id, frames, decoder))
}

impl Blocks for Compressed<'_> {
    fn next(&mut self, block: &mut Vec<f32>, damage: &mut Damage) -> Result<bool, DecodeError> {
        if let Some(first) = self.first.take() {
            *block = first;
            return Ok(true);
        }
        self.decode(block, damage)
    }
}

impl Compressed<'_> {
    fn decode(&mut self, block: &mut Vec<f32>, damage: &mut Damage) -> Result<bool, DecodeError> {
        block.clear();
        while block.is_empty() {
            let Some(packet) = self.packet(damage)? else { return Ok(false) };
            self.fill_gap(&packet, block, damage);
            self.decode_packet(&packet, block, damage)?;
            self.skip(block);
        }
        Ok(true)
    }

    /// The next packet of the track; `None` at the end.
    fn packet(&mut self, damage: &mut Damage) -> Result<Option<Packet>, DecodeError> {
        while self.state == State::Open {
            match self.reader.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track => {
                    self.faults = 0;
                    self.bytes += packet.data.len() as u64;
                    return Ok(Some(packet));
                }
                Ok(Some(_)) => {}
                Err(Error::IoError(error)) if error.raw_os_error().is_some() => {
                    return Err(super::decode::unreadable(error));
                }
                Ok(None) | Err(Error::IoError(_)) => {
                    self.state = State::Last;
                    if self.kind == Container::Flac && damage.is_none() {
                        let decoder = &mut self.decoder;
                        let decodes = |packet: &Packet| decoder.decode(packet).is_ok();
                        let (bytes, made) = (self.bytes, self.made);
                        let last = flac::last_packet(&self.input, bytes, made, decodes);
                        if last.is_some() {
                            return Ok(last);
                        }
                    }
                }
                Err(Error::ResetRequired) => {
                    // Several Ogg files were concatenated.
                    let (track, frames, decoder) = decoder_of(&*self.reader, self.kind)?;
                    (self.track, self.decoder, self.is_timed) = (track, decoder, false);
                    let both = self.expected.zip(frames);
                    self.expected = both.and_then(|(one, other)| one.checked_add(other));
                }
                Err(error) => {
                    damage.note(self.made, reason(&error));
                    self.faults += 1;
                    if self.faults > MAX_FAULTS {
                        self.state = State::Last;
                    }
                }
            }
        }
        if self.state == State::Last {
            self.state = State::Over;
            self.count(damage);
        }
        Ok(None)
    }

    fn count(&self, damage: &mut Damage) {
        let Some(expected) = self.expected.filter(|&expected| expected > self.made) else { return };
        let made = self.made;
        damage.note(
            made,
            format!(
                "the file is cut short: its header speaks of {expected} frames, {made} are there"
            ),
        );
        damage.miss(expected - made);
    }

    /// Adds silence for frames that a reader skipped.
    fn fill_gap(&mut self, packet: &Packet, block: &mut Vec<f32>, damage: &mut Damage) {
        let due = self.due.unwrap_or_else(|| {
            // A stream that was cut out of a longer one has the times of that one.
            let start = u64::try_from(packet.pts.get()).unwrap_or(0);
            if self.kind == Container::Ogg {
                self.expected = self.expected.map(|expected| expected.saturating_sub(start));
            }
            packet.pts.get()
        });
        let gap = packet.pts.get().saturating_sub(due);
        let after = packet.pts.get().saturating_add(packet.dur.get() as i64);
        self.due = Some(after);
        // A time stamp that is far off is itself damaged.
        let most = i64::from(self.sample_rate).saturating_mul(600);
        if !self.is_timed || gap <= 0 || gap > most {
            return;
        }
        damage.note(self.made, format!("{gap} frames cannot be decoded"));
        damage.silence(gap as u64);
        block.resize(gap as usize * usize::from(self.channels), 0.0);
        self.made += gap as u64;
    }

    fn decode_packet(
        &mut self,
        packet: &Packet,
        block: &mut Vec<f32>,
        damage: &mut Damage,
    ) -> Result<(), DecodeError> {
        let decoded = match self.decoder.decode(packet) {
            Ok(decoded) => decoded,
            Err(error) => {
                damage.note(self.made, reason(&error));
                let frames = packet.dur.get();
                if frames <= u64::from(self.sample_rate) * 10 {
                    damage.silence(frames);
                    let size = frames as usize * usize::from(self.channels);
                    block.resize(block.len() + size, 0.0);
                    self.made += frames;
                }
                return Ok(());
            }
        };
        if decoded.frames() == 0 {
            return Ok(());
        }
        let spec = decoded.spec();
        let (rate, channels) = (spec.rate(), spec.channels().count() as u16);
        if self.sample_rate == 0 {
            (self.sample_rate, self.channels) = (rate, channels);
        } else if (rate, channels) != (self.sample_rate, self.channels) {
            damage.note(self.made, "its sample rate or its channels change on the way");
            self.state = State::Over;
            return Ok(());
        }
        let start = block.len();
        let frames = decoded.frames();
        if start == 0 {
            decoded.copy_to_vec_interleaved(block);
        } else {
            let mut more = Vec::new();
            decoded.copy_to_vec_interleaved(&mut more);
            block.extend_from_slice(&more);
        }
        self.made += frames as u64;
        Ok(())
    }

    /// Leaves out what lies before or after the edit.
    fn skip(&mut self, block: &mut Vec<f32>) {
        let frames = (block.len() / usize::from(self.channels.max(1))) as u64;
        let skipped = self.skipped.min(frames);
        self.skipped -= skipped;
        block.drain(..skipped as usize * usize::from(self.channels));
        if let Some(left) = &mut self.left {
            let kept = (frames - skipped).min(*left);
            *left -= kept;
            block.truncate(kept as usize * usize::from(self.channels));
        }
    }
}

pub(crate) fn reason(error: &Error) -> String {
    match error {
        Error::IoError(_) => "it ends too early".to_owned(),
        Error::DecodeError(reason) | Error::Unsupported(reason) | Error::LimitError(reason) => {
            (*reason).to_owned()
        }
        other => other.to_string(),
    }
}

fn damaged(error: Error) -> DecodeError {
    match error {
        Error::Unsupported(reason) => {
            DecodeError::new(format!("its encoding is not read: {reason}"), CONVERT)
        }
        other => damaged_as(&reason(&other)),
    }
}

fn damaged_as(reason: &str) -> DecodeError {
    DecodeError::new(format!("the recording cannot be decoded: {reason}"), COPY_AGAIN)
}
