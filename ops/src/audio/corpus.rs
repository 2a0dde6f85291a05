//! The synthesised corpus as files in the layout of IRMAS: names and bytes, without writing them.

use super::{
    decode::Signal,
    synth::{CLASSES, name, render},
};

/// One file of the corpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The name below the corpus: `cel/[cel][cla]0001__1.wav`.
    pub name: String,
    /// The class, as an index into [`CLASSES`].
    pub class: u32,
    /// The number of the clip in its class.
    pub index: u32,
}

impl Recording {
    /// The bytes of the file.
    pub fn wav(&self, seed: u64) -> Vec<u8> {
        wav(&render(seed, self.class, self.index))
    }
}

/// Every file of a corpus, class by class.
pub fn recordings(seed: u64, clips_per_class: u32) -> impl Iterator<Item = Recording> {
    (0..CLASSES.len() as u32).flat_map(move |class| {
        (0..clips_per_class).map(move |index| {
            let name = format!("{}/{}", CLASSES[class as usize], name(seed, class, index));
            Recording { name, class, index }
        })
    })
}

/// Encodes a signal as a WAV file with 16-bit samples.
pub fn wav(signal: &Signal) -> Vec<u8> {
    let channels = signal.channels as u32;
    let size = 2 * signal.samples.len() as u32;
    let mut bytes = Vec::with_capacity(44 + size as usize);
    bytes.extend(b"RIFF");
    bytes.extend((36 + size).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    bytes.extend(1_u16.to_le_bytes());
    bytes.extend((channels as u16).to_le_bytes());
    bytes.extend(signal.sample_rate.to_le_bytes());
    bytes.extend((2 * channels * signal.sample_rate).to_le_bytes());
    bytes.extend((2 * channels as u16).to_le_bytes());
    bytes.extend(16_u16.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend(size.to_le_bytes());
    for &sample in &signal.samples {
        // A cast saturates at the limits of its type.
        bytes.extend(((sample * 32_768.0).round() as i16).to_le_bytes());
    }
    bytes
}
