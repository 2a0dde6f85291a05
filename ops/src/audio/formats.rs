//! Which files are recordings: by the ending of their name, and by their content.

/// Endings of recordings that can be read, in lower case and without the dot.
pub const AUDIO: &[&str] = &[
    "wav", "wave", "flac", "mp3", "ogg", "oga", "aif", "aiff", "aifc", "au", "snd", "m4a", "m4b",
    "mp4", "aac", "mp2", "caf", "w64", "rf64", "bwf",
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

/// Endings of recordings that cannot be read, in lower case and without the dot: why not, and what
/// to do.
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
    ("raw", RAW),
    ("pcm", RAW),
    ("mid", NOTES),
    ("midi", NOTES),
];
