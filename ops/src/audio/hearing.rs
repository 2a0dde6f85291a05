//! What can be said of a recording by its samples alone.

use super::decode::Signal;
use cache::{Digest, Hasher};

/// What samples say.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// Names the samples, whatever file they came from.
    pub content: Digest,
    /// The largest magnitude of a sample; full scale is 1.
    pub peak: f64,
    /// The most samples in a row, in one channel, that lie at the same end of the scale.
    pub clipped: usize,
    /// The length in seconds.
    pub seconds: f64,
}

/// Listens to a recording; samples of at least `level` in magnitude lie at the end of the scale.
pub fn hear(signal: &Signal, level: f32) -> Heard {
    let channels = signal.channels.max(1);
    let mut content = Hasher::new("samples-v1");
    content.number(signal.sample_rate.into()).number(channels as u64).values(&signal.samples);
    let longest = |channel: usize| {
        let (mut run, mut longest, mut side) = (0, 0, false);
        for &sample in signal.samples.iter().skip(channel).step_by(channels) {
            run = match sample.abs() >= level {
                false => 0,
                true if (sample > 0.0) == side => run + 1,
                true => 1,
            };
            side = sample > 0.0;
            longest = longest.max(run);
        }
        longest
    };
    Heard {
        content: content.finish(),
        peak: signal.samples.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs())).into(),
        clipped: (0..channels).map(longest).max().unwrap_or(0),
        seconds: (signal.samples.len() / channels) as f64 / f64::from(signal.sample_rate.max(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_of_one_channel_and_one_side() {
        let samples = vec![1.0, 0.1, 1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 0.2];
        let heard = hear(&Signal { sample_rate: 5, channels: 2, samples }, 0.999);
        assert_eq!((heard.clipped, heard.peak, heard.seconds), (3, 1.0, 1.0));
        let quiet = hear(&Signal { sample_rate: 5, channels: 1, samples: vec![0.0; 3] }, 0.999);
        assert_eq!((quiet.clipped, quiet.peak), (0, 0.0));
        assert_ne!(heard.content, quiet.content);
    }
}
