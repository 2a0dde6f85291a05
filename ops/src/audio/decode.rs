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

/// What a recording holds.
///
/// # Errors
/// When the bytes are not a whole recording.
pub fn probe(bytes: &[u8]) -> Result<Probe, DecodeError> {
    let signal = decode(bytes)?;
    Ok(Probe {
        frames: (signal.samples.len() / signal.channels) as u64,
        sample_rate: signal.sample_rate,
        channels: signal.channels as u16,
        silent: signal.samples.iter().all(|&x| x == 0.0),
    })
}

/// The samples of a recording.
///
/// # Errors
/// When the bytes are not a whole recording.
pub fn decode(bytes: &[u8]) -> Result<Signal, DecodeError> {
    let fault = |message: String| DecodeError { message, help: "export the file again" };
    let broken = |error: hound::Error| fault(format!("is not a whole WAV file: {error}"));
    let mut reader = hound::WavReader::new(bytes).map_err(broken)?;
    let spec = reader.spec();
    let samples: Result<Vec<f32>, _> = match spec.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().collect(),
        hound::SampleFormat::Int => {
            let scale = 2.0_f32.powi(1 - i32::from(spec.bits_per_sample));
            reader.samples::<i32>().map(|x| x.map(|x| x as f32 * scale)).collect()
        }
    };
    let samples = samples.map_err(broken)?;
    if samples.is_empty() {
        return Err(fault("holds no frame".to_owned()));
    }
    if let Some(at) = samples.iter().position(|x| !x.is_finite()) {
        return Err(fault(format!("holds {} at sample {at}", samples[at])));
    }
    Ok(Signal { sample_rate: spec.sample_rate, channels: usize::from(spec.channels), samples })
}
