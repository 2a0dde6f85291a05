//! Small recordings: tones of three instruments that do not exist.

use crate::study::Study;
use hound::{SampleFormat, WavSpec, WavWriter};
use std::{f32::consts::TAU, io::Cursor};

/// The labels of [`three`].
pub const LABELS: [&str; 3] = ["bell", "drone", "whistle"];
const RATE: u32 = 8000;

/// Four clips of each of three labels, a quarter of a second each, in `data`.
pub fn three() -> Study {
    let study = Study::new();
    fill(&study, 4);
    study
}

/// As many clips of each label.
pub fn fill(study: &Study, clips: usize) {
    for (class, label) in LABELS.into_iter().enumerate() {
        for clip in 0..clips {
            study.write(&format!("data/{label}/{clip:02}.wav"), wav(&tone(class, clip)));
        }
    }
}

/// A tone: the class decides its register and its overtones, the clip its pitch.
pub fn tone(class: usize, clip: usize) -> Vec<f32> {
    let pitch = [180.0, 420.0, 900.0][class % 3] * (1.0 + 0.07 * clip as f32);
    let partials = [1, 4, 2][class % 3];
    let at = |sample: usize| {
        let time = sample as f32 / RATE as f32;
        let partial = |n: i32| (TAU * pitch * n as f32 * time).sin() / n as f32;
        let fade = (-time * (1 + clip) as f32).exp();
        0.3 * fade * (1..=partials).map(partial).sum::<f32>()
    };
    (0..RATE as usize / 4).map(at).collect()
}

/// Samples as a WAV file of 16 bits.
pub fn wav(samples: &[f32]) -> Vec<u8> {
    let spec = WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    encoded(spec, samples.iter().map(|sample| (sample * 32767.0) as i16))
}

/// Samples as a WAV file of 32-bit floats.
pub fn float_wav(samples: &[f32]) -> Vec<u8> {
    let spec = WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 32,
        sample_format: SampleFormat::Float,
    };
    encoded(spec, samples.iter().copied())
}

fn encoded<S: hound::Sample>(spec: WavSpec, samples: impl Iterator<Item = S>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut bytes, spec).expect("a writer");
    samples.for_each(|sample| writer.write_sample(sample).expect("a sample"));
    writer.finalize().expect("a whole file");
    bytes.into_inner()
}
