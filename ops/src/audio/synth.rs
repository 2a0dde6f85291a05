//! The op `synth`: a synthesised corpus with the classes and names of IRMAS, so that a study runs
//! without data.

use super::{
    clips::{Clip, Collection},
    decode::{Probe, Signal},
    reference::AudioRef,
    voices::{
        RATE, drums,
        instruments::ALL,
        nearest, noise,
        score::{GENRES, Song, phrase},
    },
};
use crate::{
    Ctx, Inputs, Op, OpError, Outputs, Port,
    math::random::{Purpose, Random},
};
use cache::{Artifact, Kind, Shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The codes of IRMAS: cello, clarinet, flute, acoustic guitar, electric guitar, organ, piano,
/// saxophone, trumpet, violin, voice.
pub const CLASSES: [&str; 11] =
    ["cel", "cla", "flu", "gac", "gel", "org", "pia", "sax", "tru", "vio", "voi"];

/// The number of frames in a clip: 3 seconds.
pub const FRAMES: usize = 3 * RATE as usize;

/// The number of excerpts from one recording.
pub const EXCERPTS: u32 = 3;

/// The version of [`render`], raised when its samples change. It is part of the clips, so that
/// everything computed from them is computed again.
const RENDERING: u32 = 1;

/// The largest number of clips in a class.
pub const MAX_CLIPS: u32 = 100_000;

/// Synthesised clips of eleven instruments: a corpus in the shape of IRMAS that needs no data.
///
/// Each clip is 3 s of 44.1 kHz stereo: a lead instrument plays a phrase over a random backing of
/// other instruments, drums, room and noise. Strings, winds and organ are additive, the trumpet
/// is frequency-modulated, guitars are plucked strings, the piano is a bank of decaying partials,
/// the voice glides between formants. Pitch, attack and brightness overlap between classes on
/// purpose, so that clustering is not trivial. Three consecutive clips are excerpts of one
/// recording (`group`): same key, tempo, players and room, other notes.
///
/// A clip depends on the seed, its class and its number alone. Samples are rendered when they are
/// needed and never stored.
///
/// Source: made for this engine; only names and layout are those of IRMAS.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Synth {
    /// The number of clips of each of the eleven classes, 1 to 100,000.
    #[serde(default = "forty")]
    #[schemars(range(min = 1, max = 100_000))]
    pub clips_per_class: u32,
}

fn forty() -> u32 {
    40
}

impl Op for Synth {
    const NAME: &'static str = "synth";
    const VERSION: u32 = 1;
    const GROUPS: bool = true;
    const INPUTS: &'static [Port] = &[];
    const OUTPUTS: &'static [Port] = super::clips::OUTPUTS;
    const SEEDED: bool = true;

    fn class(&self) -> Option<&str> {
        Some("instrument")
    }

    fn check(&self, _inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        if !(1..=MAX_CLIPS).contains(&self.clips_per_class) {
            return Err(OpError::param(
                "clips_per_class",
                format!("`clips_per_class` is {}, not 1 to {MAX_CLIPS}", self.clips_per_class),
            ));
        }
        let rows = Some(CLASSES.len() * self.clips_per_class as usize);
        Ok(vec![
            Shape::of(Kind::Clips).with_rows(rows),
            Shape::of(Kind::Labels).with_rows(rows),
            Shape::of(Kind::Skipped).with_rows(Some(0)),
        ])
    }

    fn run(&self, _inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        self.check(&[])?;
        let probe = Probe { frames: FRAMES as u64, sample_rate: RATE, channels: 2, silent: false };
        let clips = (0..CLASSES.len() as u32).flat_map(|class| {
            (0..self.clips_per_class).map(move |index| {
                let label = CLASSES[class as usize];
                Clip {
                    clip_id: format!("{label}/{}", name(cx.seed, class, index)),
                    audio: AudioRef::Synth { seed: cx.seed, class, index },
                    label: label.to_owned(),
                    group: Some(recording(label, index)),
                    probe,
                    damage: None,
                    is_cut: false,
                }
            })
        });
        let collection = Collection { clips: clips.collect(), skipped: Vec::new() };
        let clips = Artifact::table(Kind::Clips, collection.table());
        Ok(collection.outputs(clips.with_meta("rendering", RENDERING)))
    }
}

/// The recording of a clip.
fn song(seed: u64, class: u32, index: u32) -> Song {
    Song::draw(&mut Random::new(seed, Purpose::Synth, stream(class, index, 0)))
}

/// The names of the factors that are real numbers.
pub const MEASURED: [&str; 8] =
    ["tempo", "brightness", "lead", "noise", "peak", "tilt", "width", "echo"];

/// The factors from which a clip is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    /// The lead instrument.
    pub label: &'static str,
    /// The recording.
    pub group: String,
    /// The genre.
    pub genre: &'static str,
    /// True if there are drums.
    pub drums: bool,
    /// The number of instruments in the backing.
    pub players: i64,
    /// The key, in semitones above C.
    pub key: i64,
    /// The numbers that [`MEASURED`] names.
    pub measured: [f64; 8],
}

/// The factors of a clip. Class numbers wrap around.
pub fn factors(seed: u64, class: u32, index: u32) -> Factors {
    let class = class % CLASSES.len() as u32;
    let (song, label) = (song(seed, class, index), CLASSES[class as usize]);
    Factors {
        label,
        group: recording(label, index),
        genre: GENRES[song.genre],
        drums: song.drums > 0.0,
        players: song.backing.len() as i64,
        key: i64::from(song.root),
        measured: [
            60.0 / song.beat,
            song.tone,
            song.lead_db,
            song.noise_db,
            song.peak_db,
            f64::from(song.tilt),
            song.width,
            f64::from(song.room.1),
        ],
    }
}

/// The name of the recording from which a clip is cut.
fn recording(label: &str, index: u32) -> String {
    format!("{label}/{:04}", index / EXCERPTS + 1)
}

/// The number of a random stream: a recording's, or that of one of its excerpts.
fn stream(class: u32, index: u32, excerpt: u32) -> u32 {
    const RECORDINGS: u32 = 1 << 26;
    (class * RECORDINGS + index / EXCERPTS % RECORDINGS) * (EXCERPTS + 1) + excerpt
}

/// The clip's file name in the form of IRMAS: `[cel][dru][pop_roc]0001__1.wav`.
pub fn name(seed: u64, class: u32, index: u32) -> String {
    let class = class % CLASSES.len() as u32;
    let song = song(seed, class, index);
    let drums = match (song.drums > 0.0, song.genre) {
        (true, _) => "[dru]",
        (false, 0) => "",
        (false, _) => "[nod]",
    };
    let (recording, excerpt) = (index / EXCERPTS + 1, index % EXCERPTS + 1);
    let (label, genre) = (CLASSES[class as usize], GENRES[song.genre]);
    format!("[{label}]{drums}[{genre}]{recording:04}__{excerpt}.wav")
}

/// The samples of a clip, rounded to 16 bits as in a file. Class numbers wrap around.
pub fn render(seed: u64, class: u32, index: u32) -> Signal {
    let class = class % CLASSES.len() as u32;
    let song = song(seed, class, index);
    let stream = stream(class, index, 1 + index % EXCERPTS);
    let mut random = Random::new(seed, Purpose::Synth, stream);
    let mut lead = vec![0.0_f32; FRAMES];
    // A phrase may consist of rests only; then it is played again.
    while level(&lead) < 1e-3 {
        phrase(ALL[class as usize], &song, &mut random, &mut lead);
    }
    scale(&mut lead, 1.0);
    let mut backing = vec![0.0_f32; FRAMES];
    let mut part = vec![0.0_f32; FRAMES];
    for &player in &song.backing {
        part.fill(0.0);
        phrase(player, &song, &mut random, &mut part);
        add(&mut part, random.between(0.4, 1.0), &mut backing);
    }
    if song.drums > 0.0 {
        part.fill(0.0);
        drums::play(&song, &mut random, &mut part);
        add(&mut part, random.between(0.4, 1.2), &mut backing);
    }
    scale(&mut backing, decibels(-song.lead_db));
    mix(&song, &mut random, &lead, &backing)
}

/// Mixes lead and backing to two channels, with the colour, room and noise of the recording.
fn mix(song: &Song, random: &mut Random, lead: &[f32], backing: &[f32]) -> Signal {
    let pan = random.between(-song.width, song.width);
    let (key, floor) = (random.bits(), (2.0 * decibels(song.noise_db)) as f32);
    let (delay, wet) = song.room;
    let mut samples = vec![0.0_f32; 2 * FRAMES];
    let mut peak = 1e-9_f32;
    for (channel, side) in [-1.0, 1.0].into_iter().enumerate() {
        let near = (1.0 + side * pan) as f32;
        let far = (1.0 - 0.5 * side * song.width) as f32;
        let dry = |at: usize| near * lead[at] + far * backing[at];
        let delay = delay + 131 * channel;
        let mut low = 0.0_f32;
        for at in 0..FRAMES {
            let mut x = dry(at);
            if at >= delay {
                x += wet * dry(at - delay);
            }
            if at >= 2 * delay {
                x += 0.5 * wet * dry(at - 2 * delay);
            }
            // A one-pole filter near 1 kHz separates dark from bright.
            low += 0.13 * (x - low);
            x += song.tilt * if song.tilt > 0.0 { x - low } else { 0.8 * (x - low) };
            x += floor * noise(key, (2 * at + channel) as u32);
            samples[2 * at + channel] = x;
            peak = peak.max(x.abs());
        }
    }
    let gain = decibels(song.peak_db) as f32 / peak;
    for sample in &mut samples {
        *sample = nearest(*sample * gain * 32_767.0) / 32_768.0;
    }
    Signal { sample_rate: RATE, channels: 2, samples }
}

fn decibels(db: f64) -> f64 {
    10.0_f64.powf(db / 20.0)
}

/// The root mean square.
fn level(part: &[f32]) -> f64 {
    let power: f64 = part.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    (power / part.len() as f64).sqrt()
}

/// Scales a part to a level, unless it is silent.
fn scale(part: &mut [f32], to: f64) {
    let now = level(part);
    if now > 1e-6 {
        let gain = (to / now) as f32;
        part.iter_mut().for_each(|x| *x *= gain);
    }
}

fn add(part: &mut [f32], at: f64, sum: &mut [f32]) {
    scale(part, at);
    sum.iter_mut().zip(part.iter()).for_each(|(sum, x)| *sum += x);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Detached;
    use cache::Digest;

    fn digest(signal: &Signal) -> String {
        let bytes: Vec<u8> = signal.samples.iter().flat_map(|x| x.to_le_bytes()).collect();
        Digest::of(&bytes).short()
    }

    #[test]
    fn every_class_is_heard_and_stays_as_it_is() {
        let found: Vec<_> = (0..11).map(|class| digest(&render(0, class, 0))).collect();
        assert_eq!(found, PINNED);
    }

    /// Digests of the first clip of each class. [`RENDERING`] must be raised when they change.
    const PINNED: [&str; 11] = [
        "24e22b51d665",
        "651be728781d",
        "8b0c5b2cbb66",
        "f05219fdc81c",
        "283948cfd8f5",
        "210573b5020a",
        "1f10f3ebcd87",
        "b3ecae375ac5",
        "b5678d68a1ff",
        "30e56d1b1b34",
        "653644b22380",
    ];

    #[test]
    fn a_clip_is_full_and_bounded_and_16_bit() {
        for (seed, class, index) in [(0, 0, 0), (1, 6, 2), (u64::MAX, 10, 5), (9, 99, 299_999)] {
            let signal = render(seed, class, index);
            assert_eq!((signal.samples.len(), signal.channels), (2 * FRAMES, 2));
            let peak = signal.samples.iter().fold(0.0_f32, |peak, x| peak.max(x.abs()));
            assert!((0.15..1.0).contains(&peak), "{peak}");
            assert!(signal.samples.iter().all(|x| (x * 32_768.0).fract() == 0.0));
        }
    }

    #[test]
    fn seeds_classes_and_numbers_give_other_clips() {
        let one = digest(&render(0, 3, 4));
        assert_eq!(one, digest(&render(0, 3, 4)));
        for other in [render(1, 3, 4), render(0, 4, 4), render(0, 3, 5), render(0, 3, 1)] {
            assert_ne!(one, digest(&other));
        }
    }

    #[test]
    fn makes_clips_and_labels_in_one_order() {
        let synth = Synth { clips_per_class: 4 };
        let outputs = synth.run(&Inputs::new(), &Detached::with_seed(5)).expect("clips");
        let table = |port| outputs.get(port).and_then(Artifact::as_table).expect("a table");
        let (clips, labels) = (table("clips"), table("labels"));
        assert_eq!((clips.rows(), labels.rows(), table("skipped").rows()), (44, 44, 0));
        assert_eq!(clips.text("clip_id"), labels.text("clip_id"));
        assert_eq!(clips.text("audio").expect("audio")[43], "synth:5/10/3");
        assert_eq!(labels.text("group").expect("group")[2..4], ["cel/0001", "cel/0002"]);
    }

    #[test]
    fn refuses_no_clips_and_too_many() {
        for clips_per_class in [0, u32::MAX] {
            assert!(Synth { clips_per_class }.check(&[]).is_err());
        }
    }
}
