//! From the bytes of a recording to samples.

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
