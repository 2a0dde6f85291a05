//! Formats of recordings, by file name extension and by content.

use super::{
    compressed::Container,
    decode::{CONVERT, DecodeError, unreadable},
    input::Input,
    mpeg::is_mpeg,
    wav::is_wav,
};

/// Extensions of recordings that can be read, in lower case and without the dot.
pub const AUDIO: &[&str] = &[
    "wav", "wave", "flac", "mp3", "ogg", "oga", "aif", "aiff", "aifc", "au", "snd", "m4a", "m4b",
    "mp4", "aac", "mp2", "caf", "w64", "rf64", "bwf", "mpga",
];

const OPUS: &str = "Opus has no decoder in pure Rust; convert it with `ffmpeg -i IN OUT.flac`";
const PATENTED: &str =
    "there is no free decoder of it in Rust; convert it with `ffmpeg -i IN OUT.flac`";
const RARE: &str =
    "the decoding library has no reader of it; convert it with `ffmpeg -i IN OUT.flac`";
const VIDEO: &str =
    "it is mostly video or Opus; take the sound out with `ffmpeg -i IN -vn OUT.flac`";
const RAW: &str = "it has no header that says rate and sample format; give it one with \
    `ffmpeg -f s16le -ar RATE -ac CHANNELS -i IN OUT.wav`";
const NOTES: &str =
    "it holds notes and no sound; render it to WAV with a synthesizer such as FluidSynth";

/// Extensions of recordings that cannot be read, in lower case and without the dot, each with the
/// reason and advice.
pub const KNOWN: &[(&str, &str)] = &[
    ("opus", OPUS),
    ("webm", VIDEO),
    ("weba", OPUS),
    ("mka", VIDEO),
    ("mkv", VIDEO),
    ("mov", VIDEO),
    ("avi", VIDEO),
    ("wma", PATENTED),
    ("asf", PATENTED),
    ("ac3", PATENTED),
    ("eac3", PATENTED),
    ("dts", PATENTED),
    ("ra", PATENTED),
    ("rm", PATENTED),
    ("amr", PATENTED),
    ("3gp", PATENTED),
    ("ape", RARE),
    ("wv", RARE),
    ("tta", RARE),
    ("tak", RARE),
    ("mpc", RARE),
    ("spx", RARE),
    ("dsf", RARE),
    ("dff", RARE),
    ("gsm", RARE),
    ("voc", RARE),
    ("sph", RARE),
    ("paf", RARE),
    ("sd2", RARE),
    ("mp1", RARE),
    ("sf", RARE),
    ("ircam", RARE),
    ("nist", RARE),
    ("avr", RARE),
    ("iff", RARE),
    ("8svx", RARE),
    ("pvf", RARE),
    ("shn", RARE),
    ("raw", RAW),
    ("pcm", RAW),
    ("mid", NOTES),
    ("midi", NOTES),
];

/// The supported formats, detected from the content and never from a file's name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Format {
    Wav,
    Au,
    Mpeg,
    Compressed(Container),
}

const FORMATS: &str = "recordings are WAV, FLAC, MP3, Ogg Vorbis, AIFF, AU, MP4 (AAC, ALAC), CAF or AAC \
    files; others are converted with `ffmpeg -i IN OUT.flac`";

/// The first bytes of recordings and containers that are not supported.
const UNREAD: &[(&[u8], &str)] = &[
    (b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
    (b"wvpk", "WavPack"),
    (b"MAC ", "Monkey's Audio"),
    (b"TTA1", "True Audio"),
    (b"MP+", "Musepack"),
    (b"MPCK", "Musepack"),
    (b"DSD ", "DSD"),
    (b"FRM8", "DSD"),
    (b"#!AMR", "AMR"),
    (b".RMF", "RealMedia"),
    (b"NIST_1A", "NIST SPHERE"),
    (b"Creative Voice File", "Creative Voice"),
    (b"MThd", "MIDI"),
    (b"\x0b\x77", "AC-3"),
];

impl Format {
    /// The format of a file without the tags around it.
    pub fn of(input: &Input<'_>) -> Result<Self, DecodeError> {
        let mut start = [0; 64];
        let length = input.read_at(0, &mut start).map_err(unreadable)?;
        let start = &start[..length];
        if is_wav(input) {
            return Ok(Self::Wav);
        }
        let tag = |at: usize, tag: &[u8]| start.get(at..at + tag.len()) == Some(tag);
        let kind = if tag(0, b"fLaC") {
            Container::Flac
        } else if tag(0, b"OggS") {
            let is_opus = tag(28, b"OpusHead");
            let is_speex = tag(28, b"Speex   ");
            if is_opus || is_speex {
                let name = if is_opus { "Opus" } else { "Speex" };
                return Err(DecodeError::new(format!("{name} in Ogg is not read"), CONVERT));
            }
            Container::Ogg
        } else if tag(0, b"FORM") && (tag(8, b"AIFF") || tag(8, b"AIFC")) {
            Container::Aiff
        } else if tag(4, b"ftyp") {
            Container::Mp4
        } else if tag(0, b"caff") {
            Container::Caf
        } else if tag(0, b".snd") {
            return Ok(Self::Au);
        } else if matches!(start, [0xff, 0xf0 | 0xf1 | 0xf8 | 0xf9, ..]) {
            Container::Adts
        } else {
            let unread = UNREAD.iter().find(|(magic, _)| start.starts_with(magic));
            if let Some((_, name)) = unread {
                let help = if *name == "MIDI" { NOTES } else { CONVERT };
                return Err(DecodeError::new(format!("{name} files are not read"), help));
            }
            if is_mpeg(input) {
                return Ok(Self::Mpeg);
            }
            return Err(unknown(start));
        };
        Ok(Self::Compressed(kind))
    }
}

fn unknown(start: &[u8]) -> DecodeError {
    // A bit rate of 0 means that the header does not state one.
    if matches!(start, [0xff, 0xe2 | 0xe3 | 0xf2 | 0xf3 | 0xfa | 0xfb, 0x00..=0x0f, ..]) {
        return DecodeError::new(
            "MP3 of a free bit rate is not read",
            "decode it with `lame --decode IN OUT.wav`",
        );
    }
    let start = &start[..start.len().min(8)];
    let is_text = !start.is_empty() && start.iter().all(|byte| (b' '..=b'~').contains(byte));
    let shown = if is_text {
        format!("the text `{}`", String::from_utf8_lossy(start))
    } else {
        "bytes of no known format".to_owned()
    };
    DecodeError::new(format!("the file is no recording: it starts with {shown}"), FORMATS)
}
