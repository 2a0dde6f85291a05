//! Statistics of the samples of a recording.

use super::decode::{DecodeError, Decoder};
use cache::{Digest, Hasher};

/// The statistics of a signal.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalStats {
    /// The digest of the samples, independent of the file format.
    pub content: Digest,
    /// The largest magnitude of a sample; full scale is 1.
    pub peak: f64,
    /// The length of the longest run of samples, in one channel, at the same end of the scale.
    pub clipped: usize,
    /// The length in seconds.
    pub seconds: f64,
}

/// Measures a recording; samples with a magnitude of at least `level` are at the end of the scale.
///
/// # Errors
/// When it cannot be decoded.
pub fn measure(decoder: &mut Decoder<'_>, level: f32) -> Result<SignalStats, DecodeError> {
    let channels = usize::from(decoder.channels.max(1));
    let mut content = Hasher::new("samples-v2");
    content.number(decoder.sample_rate.into()).number(channels as u64);
    let mut runs = vec![Run::default(); channels];
    let (mut peak, mut samples) = (0.0_f32, 0);
    let (mut block, mut pending) = (Vec::new(), Vec::new());
    while decoder.next(&mut block)? {
        for frame in block.chunks_exact(channels) {
            for (run, &sample) in runs.iter_mut().zip(frame) {
                run.add(sample, level);
            }
        }
        peak = block.iter().fold(peak, |peak, sample| peak.max(sample.abs()));
        samples += block.len();
        // Pieces of fixed length, so that the block size of a format has no effect.
        const PIECE: usize = 1 << 16;
        pending.extend_from_slice(&block);
        let whole = pending.len() / PIECE * PIECE;
        for piece in pending[..whole].chunks_exact(PIECE) {
            content.values(piece);
        }
        pending.drain(..whole);
    }
    content.values(&pending);
    Ok(SignalStats {
        content: content.finish(),
        peak: peak.into(),
        clipped: runs.iter().map(|run| run.longest).max().unwrap_or(0),
        seconds: (samples / channels) as f64 / f64::from(decoder.sample_rate.max(1)),
    })
}

/// A run of samples of one channel at the same end of the scale.
#[derive(Clone, Default)]
struct Run {
    length: usize,
    longest: usize,
    is_upper: bool,
}

impl Run {
    fn add(&mut self, sample: f32, level: f32) {
        let is_upper = sample > 0.0;
        self.length = match sample.abs() >= level {
            false => 0,
            true if is_upper == self.is_upper => self.length + 1,
            true => 1,
        };
        self.is_upper = is_upper;
        self.longest = self.longest.max(self.length);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::decode::Signal, *};

    fn measure(signal: Signal, level: f32) -> SignalStats {
        super::measure(&mut Decoder::of_signal(signal), level).expect("plain samples")
    }

    #[test]
    fn runs_are_of_one_channel_and_one_side() {
        let samples = vec![1.0, 0.1, 1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 0.2];
        let stats = measure(Signal { sample_rate: 5, channels: 2, samples }, 0.999);
        assert_eq!((stats.clipped, stats.peak, stats.seconds), (3, 1.0, 1.0));
        let quiet = measure(Signal { sample_rate: 5, channels: 1, samples: vec![0.0; 3] }, 0.999);
        assert_eq!((quiet.clipped, quiet.peak), (0, 0.0));
        assert_ne!(stats.content, quiet.content);
    }
}
