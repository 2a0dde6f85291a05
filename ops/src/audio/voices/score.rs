//! Music for the voices: the properties of a recording, and the notes of each excerpt.

use super::{
    RATE_HZ,
    instruments::{ALL, Instrument, Note},
};
use crate::math::random::Random;

const SCALES: [&[i32]; 4] =
    [&[0, 2, 4, 5, 7, 9, 11], &[0, 2, 3, 5, 7, 8, 10], &[0, 2, 4, 7, 9], &[0, 3, 5, 6, 7, 10]];

/// The tags of genres in IRMAS's file names.
pub const GENRES: [&str; 5] = ["cla", "cou_fol", "jaz_blu", "lat_sou", "pop_roc"];

/// The properties that all excerpts of one recording share.
#[derive(Clone, Debug)]
pub struct Song {
    /// The key, in semitones above C.
    pub root: i32,
    /// The scale, in semitones above the key.
    pub scale: &'static [i32],
    /// Seconds a beat.
    pub beat: f64,
    /// Brightness, 0 to 1.
    pub tone: f64,
    /// An index into [`GENRES`].
    pub genre: usize,
    /// The density of the drums; 0 for none.
    pub drums: f64,
    /// The instruments beside the lead.
    pub backing: Vec<Instrument>,
    /// Level of the lead over the backing, in decibels.
    pub lead_db: f64,
    /// The level of the background noise, in decibels relative to the music.
    pub noise_db: f64,
    /// The highest sample, in decibels below full scale.
    pub peak_db: f64,
    /// Tilt of the recording's spectrum, from dark to bright, −1 to 1.
    pub tilt: f32,
    /// The distance between left and right, 0 to 1.
    pub width: f64,
    /// The echo of the room: delay in frames and level.
    pub room: (usize, f32),
}

impl Song {
    /// Draws the properties of a recording.
    pub fn draw(random: &mut Random) -> Self {
        let genre = random.below(GENRES.len() as u32) as usize;
        let with_drums = genre != 0 && random.uniform() < 0.65;
        let players = random.below(3);
        Self {
            root: random.below(12) as i32,
            scale: SCALES[random.below(SCALES.len() as u32) as usize],
            beat: 60.0 / random.between(60.0, 180.0),
            tone: random.uniform(),
            genre,
            drums: if with_drums { random.between(0.3, 0.95) } else { 0.0 },
            backing: (0..players).map(|_| ALL[random.below(ALL.len() as u32) as usize]).collect(),
            lead_db: random.between(3.0, 20.0),
            noise_db: random.between(-60.0, -32.0),
            peak_db: random.between(-14.0, -0.5),
            tilt: random.between(-0.7, 0.7) as f32,
            width: random.between(0.0, 0.5),
            room: (
                random.between(0.02 * RATE_HZ, 0.12 * RATE_HZ) as usize,
                random.between(0.0, 0.35) as f32,
            ),
        }
    }
}

/// Adds a phrase. Notes may start before the excerpt, as if it were cut from a recording.
pub fn phrase(player: Instrument, song: &Song, random: &mut Random, out: &mut [f32]) {
    const LENGTHS: [f64; 8] = [0.5, 0.5, 1.0, 1.0, 1.0, 1.5, 2.0, 4.0];
    let seconds = out.len() as f64 / RATE_HZ;
    let (low, high) = player.range();
    let steps = song.scale.len() as i32;
    let mut degree = random.below(3 * steps as u32) as i32;
    let mut start = -random.between(0.0, song.beat);
    let (mut line, mut scratch) = (Vec::new(), Vec::new());
    while start < seconds {
        let beats = LENGTHS[random.below(LENGTHS.len() as u32) as usize];
        let rests = random.uniform() < 0.12;
        degree = (degree + random.below(7) as i32 - 3).clamp(0, 4 * steps);
        let voices = if random.uniform() < player.chords() { 2 + random.below(3) } else { 1 };
        for voice in 0..voices as i32 {
            let (at, velocity) = (degree + 2 * voice, random.between(0.45, 1.0));
            let octave = low - low.rem_euclid(12) + 12 * at.div_euclid(steps);
            let mut pitch = song.root + octave + song.scale[at.rem_euclid(steps) as usize];
            while pitch > high {
                pitch -= 12;
            }
            while pitch < low {
                pitch += 12;
            }
            let detuned = f64::from(pitch - 69) + 0.06 * random.normal();
            let note = Note { hz: 440.0 * (detuned / 12.0).exp2(), velocity, tone: song.tone };
            let sounding = (beats * song.beat * random.between(0.7, 1.15)).min(seconds + 0.5);
            let early = start + random.between(0.0, 0.01);
            if rests {
                continue;
            }
            line.clear();
            line.resize((sounding * RATE_HZ) as usize, 0.0);
            player.play(note, random, &mut line, &mut scratch);
            let gain = (velocity / f64::from(voices).sqrt()) as f32;
            let first = (early * RATE_HZ) as isize;
            let audible = &line[(first.min(0).unsigned_abs()).min(line.len())..];
            let out = &mut out[(first.max(0) as usize).min((seconds * RATE_HZ) as usize)..];
            for (out, line) in out.iter_mut().zip(audible) {
                *out += gain * line;
            }
        }
        start += beats * song.beat;
    }
}
