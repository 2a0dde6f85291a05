//! From the bytes of a recording to samples.

use super::{compressed, wav};

/// Samples of a recording: frames one after the other, in each frame one sample a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// Frames a second.
    pub sample_rate: u32,
    /// Samples a frame.
    pub channels: usize,
    /// Interleaved samples; full scale is ±1.
    pub samples: Vec<f32>,
}

/// What a recording holds, found without keeping its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Frames of all channels.
    pub frames: u64,
    /// Frames a second.
    pub sample_rate: u32,
    /// Samples a frame.
    pub channels: u16,
    /// Whether every sample is zero.
    pub silent: bool,
}

/// Why bytes are not a recording: a lower-case sentence without a full stop, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DecodeError {
    /// What is wrong.
    pub message: String,
    /// What the user can do.
    pub help: &'static str,
}

impl DecodeError {
    pub(crate) fn new(message: impl Into<String>, help: &'static str) -> Self {
        Self { message: message.into(), help }
    }
}

/// What to do about a file that is not whole.
pub(crate) const COPY_AGAIN: &str = "copy or export the file again";
const EXPORT_SOUND: &str = "export the recording again, or remove it";
const FORMATS: &str = "recordings are WAV, FLAC, MP3, Ogg Vorbis or AIFF files";

/// The formats that are read, told apart by content and never by a file's name.
enum Format {
    Wav,
    Compressed,
}

impl Format {
    fn of(bytes: &[u8]) -> Result<Self, DecodeError> {
        let tag = |at: usize, tag: &[u8]| bytes.get(at..at + tag.len()) == Some(tag);
        if bytes.is_empty() {
            return Err(DecodeError::new("the file is empty", COPY_AGAIN));
        }
        if tag(0, b"RIFF") && tag(8, b"WAVE") {
            return Ok(Self::Wav);
        }
        if tag(0, b"RF64") || tag(0, b"BW64") || tag(0, b"RIFX") {
            let name = String::from_utf8_lossy(&bytes[..4]).into_owned();
            let help = "save it as ordinary WAV or as FLAC";
            return Err(DecodeError::new(format!("`{name}` files are not read"), help));
        }
        let aiff = tag(0, b"FORM") && (tag(8, b"AIFF") || tag(8, b"AIFC"));
        if tag(0, b"fLaC") || tag(0, b"OggS") || tag(0, b"ID3") || aiff || is_mpeg_layer_3(bytes) {
            return Ok(Self::Compressed);
        }
        let start = &bytes[..bytes.len().min(8)];
        let shown = if start.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            format!("the text `{}`", String::from_utf8_lossy(start))
        } else {
            "bytes of no known format".to_owned()
        };
        Err(DecodeError::new(format!("the file is no recording: it starts with {shown}"), FORMATS))
    }
}

/// Whether a frame of MPEG layer III starts here: eleven set bits, then a version, the layer, a
/// bit rate and a sample rate that exist.
fn is_mpeg_layer_3(bytes: &[u8]) -> bool {
    let &[first, second, third, ..] = bytes else { return false };
    first == 0xff
        && second & 0xe6 == 0xe2
        && second & 0x18 != 0x08
        && third & 0xf0 != 0xf0
        && third & 0x0c != 0x0c
}

/// Decodes a recording. Whole numbers are divided by full scale, as libsndfile does
/// (x / 2^(bits − 1); unsigned bytes (x − 128) / 128). The format is told by content.
///
/// # Errors
/// When the bytes are of no known format, are damaged or cut short, hold no frame, or hold a
/// sample that is not a finite number.
pub fn decode(bytes: &[u8]) -> Result<Signal, DecodeError> {
    let signal = match Format::of(bytes)? {
        Format::Wav => wav::Wav::parse(bytes)?.decode(),
        Format::Compressed => compressed::decode(bytes)?,
    };
    if signal.samples.is_empty() {
        return Err(no_frames());
    }
    if let Some(at) = signal.samples.iter().position(|sample| !sample.is_finite()) {
        return Err(DecodeError::new(
            format!("frame {} holds the sample {}", at / signal.channels, signal.samples[at]),
            EXPORT_SOUND,
        ));
    }
    Ok(signal)
}

/// What a recording holds: for a WAV file of whole numbers from its header and its bytes up to
/// the first sound, for all others by decoding them.
///
/// # Errors
/// Where [`decode`] has one.
pub fn probe(bytes: &[u8]) -> Result<Probe, DecodeError> {
    if let Format::Wav = Format::of(bytes)? {
        let wav = wav::Wav::parse(bytes)?;
        if wav.frames() == 0 {
            return Err(no_frames());
        }
        if let Some(silent) = wav.is_silent() {
            let (sample_rate, channels) = (wav.sample_rate, wav.channels);
            return Ok(Probe { frames: wav.frames(), sample_rate, channels, silent });
        }
    }
    let signal = decode(bytes)?;
    Ok(Probe {
        frames: (signal.samples.len() / signal.channels) as u64,
        sample_rate: signal.sample_rate,
        channels: signal.channels as u16,
        silent: signal.samples.iter().all(|&sample| sample == 0.0),
    })
}

fn no_frames() -> DecodeError {
    DecodeError::new("the recording has no frames", EXPORT_SOUND)
}
