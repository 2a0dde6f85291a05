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

impl Signal {
    /// The mean of the channels of each frame, in place of what `mono` held.
    pub fn mono(&self, mono: &mut Vec<f32>) {
        mono.clear();
        let samples = &self.samples;
        match self.channels {
            1 => mono.extend_from_slice(samples),
            2 => {
                mono.extend(samples.as_chunks().0.iter().map(|[left, right]| (left + right) / 2.0))
            }
            n => {
                let frames = samples.chunks_exact(n);
                mono.extend(frames.map(|frame| frame.iter().sum::<f32>() / n as f32));
            }
        }
    }
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
    let (signal, is_finite) = match Format::of(bytes)? {
        Format::Wav => {
            let wav = wav::Wav::parse(bytes)?;
            (wav.decode(), !wav.is_float())
        }
        Format::Compressed => (compressed::decode(bytes)?, false),
    };
    if signal.samples.is_empty() {
        return Err(no_frames());
    }
    if is_finite {
        return Ok(signal);
    }
    if let Some(at) = signal.samples.iter().position(|sample| !sample.is_finite()) {
        return Err(DecodeError::new(
            format!("frame {} holds the sample {}", at / signal.channels, signal.samples[at]),
            EXPORT_SOUND,
        ));
    }
    Ok(signal)
}

/// [`decode`] and [`Signal::mono`] in one; gives the sample rate.
///
/// # Errors
/// Where [`decode`] has one.
pub fn decode_mono(bytes: &[u8], mono: &mut Vec<f32>) -> Result<u32, DecodeError> {
    if let Format::Wav = Format::of(bytes)? {
        let wav = wav::Wav::parse(bytes)?;
        if wav.frames() > 0 && wav.mono(mono) {
            return Ok(wav.sample_rate);
        }
    }
    let signal = decode(bytes)?;
    signal.mono(mono);
    Ok(signal.sample_rate)
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/audio/");

    /// A WAV file of 16 bits with the fields of its header as given.
    fn wav(channels: u16, rate: u32, block: u16, data_length: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0".to_vec();
        bytes.extend(channels.to_le_bytes());
        bytes.extend(rate.to_le_bytes());
        bytes.extend(rate.wrapping_mul(u32::from(block)).to_le_bytes());
        bytes.extend(block.to_le_bytes());
        bytes.extend(b"\x10\0data");
        bytes.extend(data_length.to_le_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn one_frame_is_a_recording() {
        let one = wav(1, 22_050, 2, 2, &[0, 64]);
        assert_eq!(decode(&one).map(|signal| signal.samples), Ok(vec![0.5]));
        let expected = Probe { frames: 1, sample_rate: 22_050, channels: 1, silent: false };
        assert_eq!(probe(&one), Ok(expected));
        assert_eq!(probe(&wav(1, 22_050, 2, 2, &[0, 0])), Ok(Probe { silent: true, ..expected }));
    }

    #[test]
    fn the_mean_of_channels_is_the_same_on_both_ways() {
        for name in ["i16.wav", "u8.wav", "i24.wav", "f32.wav", "odd_chunks.wav", "sound.flac"] {
            let bytes = std::fs::read(format!("{FIXTURES}{name}")).expect("a fixture");
            let (mut slow, mut quick) = (Vec::new(), vec![1.0; 3]);
            let signal = decode(&bytes).expect(name);
            signal.mono(&mut slow);
            assert_eq!(decode_mono(&bytes, &mut quick), Ok(signal.sample_rate), "{name}");
            assert_eq!(quick, slow, "{name}");
        }
        let extremes: Vec<u8> = [i16::MIN, i16::MIN, i16::MAX, i16::MIN, -1, 2, i16::MAX, i16::MAX]
            .map(i16::to_le_bytes)
            .concat();
        for channels in [1, 2] {
            let bytes = wav(channels, 8_000, 2 * channels, 16, &extremes);
            let (mut slow, mut quick) = (Vec::new(), Vec::new());
            decode(&bytes).expect("a recording").mono(&mut slow);
            decode_mono(&bytes, &mut quick).expect("a recording");
            assert_eq!(quick, slow);
        }
    }

    #[test]
    fn a_length_that_was_never_filled_in_means_all_there_is() {
        for length in [0, u32::MAX] {
            let streamed = wav(1, 22_050, 2, length, &[0, 64, 0, 32, 7]);
            assert_eq!(decode(&streamed).map(|signal| signal.samples), Ok(vec![0.5, 0.25]));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let nan = || {
            let mut float = wav(1, 22_050, 4, 8, &[0, 0, 0, 0, 0, 0, 192, 127]);
            (float[20], float[34]) = (3, 32);
            float
        };
        for (bytes, reason) in [
            (Vec::new(), "the file is empty"),
            (
                b"Dear diary, today".to_vec(),
                "the file is no recording: it starts with the text `Dear dia`",
            ),
            (vec![0; 100], "the file is no recording: it starts with bytes of no known format"),
            (wav(1, 22_050, 2, 0, &[]), "the recording has no frames"),
            (
                wav(1, 22_050, 2, 1_000, &[0; 10]),
                "the file is cut short: its header speaks of 1000 bytes of `data`, 10 are there",
            ),
            (wav(0, 22_050, 2, 2, &[0; 2]), "the header is wrong: file contains zero channels"),
            (wav(1, 0, 2, 2, &[0; 2]), "the header is wrong: a sample rate of 0 Hz"),
            (
                wav(1, 22_050, 4, 4, &[0; 4]),
                "the header is wrong: frames of 4 bytes, but 1 channels of 16 bits",
            ),
            (
                wav(2, 22_050, 4, 6, &[0; 6]),
                "the header is wrong: 6 bytes of samples are no whole number of frames of 4 bytes",
            ),
            (
                b"RIFF\0\0\0\0WAVE".to_vec(),
                "the file ends before its samples: it has no `data` chunk",
            ),
            (nan(), "frame 1 holds the sample NaN"),
        ] {
            assert_eq!(decode(&bytes).expect_err(reason).message, reason);
            assert_eq!(probe(&bytes).expect_err(reason).message, reason);
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error() {
        for name in ["i16.wav", "f64.wav", "sound.flac", "i16.aiff"] {
            let bytes = std::fs::read(format!("{FIXTURES}{name}")).expect("a fixture");
            for length in (0..bytes.len()).step_by(bytes.len() / 20) {
                assert!(decode(&bytes[..length]).is_err(), "{name} cut to {length}");
                assert!(probe(&bytes[..length]).is_err(), "{name} cut to {length}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// Bytes of a real file, some of them changed, mostly near the start.
        #[test]
        fn damage_never_panics(
            name in prop::sample::select(vec![
                "u8.wav", "i24.wav", "f32.wav", "extensible24.wav", "extensible_f64.wav",
                "odd_chunks.wav", "i16.aiff", "sound.flac", "sound.mp3", "sound.ogg",
            ]),
            changes in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 1..6),
            kept in 0.1..1.0_f64,
        ) {
            let mut bytes = std::fs::read(format!("{FIXTURES}{name}")).expect("a fixture");
            bytes.truncate((bytes.len() as f64 * kept.sqrt()) as usize);
            for (place, value) in changes {
                let at = (place.powi(4) * bytes.len() as f64) as usize;
                bytes[at] = value;
            }
            let (decoded, probed) = (decode(&bytes), probe(&bytes));
            prop_assert_eq!(decoded.is_ok(), probed.is_ok());
        }

        #[test]
        fn noise_never_panics(
            start in prop::sample::select(vec![&b"fLaC"[..], b"OggS", b"ID3", b"\xff\xfb\x90\x44", b"RIFF\0\0\0\0WAVEfmt "]),
            rest in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let _ = decode(&[start, &rest].concat());
        }
    }
}
