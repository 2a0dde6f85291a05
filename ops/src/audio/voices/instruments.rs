//! The eleven instruments, each with its voice and parameters.
//!
//! Ranges of pitch, attack and brightness overlap between instruments on purpose.

use super::{
    Envelope, Vibrato,
    fm::Fm,
    harmonic::{Harmonic, PARTIALS},
    plucked::Plucked,
    sine,
    struck::Struck,
};
use crate::math::random::Random;

/// An instrument, in the order of [`crate::audio::synth::CLASSES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Instrument {
    Cello,
    Clarinet,
    Flute,
    AcousticGuitar,
    ElectricGuitar,
    Organ,
    Piano,
    Saxophone,
    Trumpet,
    Violin,
    Voice,
}

use Instrument::*;

/// All instruments.
pub const ALL: [Instrument; 11] = [
    Cello,
    Clarinet,
    Flute,
    AcousticGuitar,
    ElectricGuitar,
    Organ,
    Piano,
    Saxophone,
    Trumpet,
    Violin,
    Voice,
];

/// One note.
#[derive(Clone, Copy, Debug)]
pub struct Note {
    /// Pitch in hertz.
    pub hz: f64,
    /// Loudness, 0 to 1.
    pub velocity: f64,
    /// Brightness of the whole recording, 0 to 1.
    pub tone: f64,
}

/// The first, second and third formant of five vowels in hertz.
const VOWELS: [[f64; 3]; 5] = [
    [760.0, 1150.0, 2500.0],
    [300.0, 2250.0, 2950.0],
    [330.0, 900.0, 2300.0],
    [520.0, 1800.0, 2550.0],
    [560.0, 880.0, 2450.0],
];

impl Instrument {
    /// The lowest and highest note, as MIDI numbers.
    pub fn range(self) -> (i32, i32) {
        match self {
            Cello => (36, 69),
            Clarinet => (50, 86),
            Flute => (60, 91),
            AcousticGuitar => (40, 76),
            ElectricGuitar => (40, 80),
            Organ => (36, 84),
            Piano => (34, 88),
            Saxophone => (46, 80),
            Trumpet => (53, 84),
            Violin => (55, 92),
            Voice => (45, 76),
        }
    }

    /// The probability of a chord rather than a single note.
    pub fn chords(self) -> f64 {
        match self {
            AcousticGuitar => 0.6,
            ElectricGuitar => 0.4,
            Organ => 0.7,
            Piano => 0.7,
            Cello | Violin => 0.05,
            _ => 0.0,
        }
    }

    /// Adds one note with the length of `out`.
    pub fn play(self, note: Note, random: &mut Random, out: &mut [f32], scratch: &mut Vec<f32>) {
        let mut pick = |low: f64, high: f64| random.between(low, high);
        // Loud notes and bright recordings have more in the high partials.
        let dull = 0.8 * (0.5 - note.tone) + 0.4 * (1.0 - note.velocity);
        let vibrato = |cents, rate, phase, scoop| Vibrato { cents, rate, phase, scoop };
        let held = |attack, sustain, release| Envelope { attack, decay: 0.1, sustain, release };
        let struck = Envelope { attack: 0.002, decay: 0.05, sustain: 1.0, release: 0.05 };
        match self {
            Cello | Violin => {
                let slope = if self == Cello { 1.1 } else { 0.95 };
                let (comb, body) = (pick(0.07, 0.4) as f32, pick(0.3, 0.6) as f32);
                let from = spectrum(|k| {
                    k.powf(-slope - dull) * f64::from(1.0 + body * sine(comb * k as f32))
                });
                let plucked = pick(0.0, 1.0) < 0.18;
                let ringing = pick(0.15, 0.5);
                let envelope = if plucked {
                    Envelope { attack: 0.004, decay: ringing, sustain: 0.02, release: 0.05 }
                } else {
                    held(pick(0.02, 0.18), pick(0.6, 1.0), pick(0.03, 0.2))
                };
                Harmonic {
                    hz: note.hz,
                    from,
                    to: from,
                    vibrato: vibrato(
                        pick(0.0, 45.0),
                        pick(4.5, 6.8),
                        pick(0.0, 1.0),
                        pick(-30.0, 15.0),
                    ),
                    tremolo: (pick(0.0, 0.1), 5.6),
                    envelope,
                    breath: pick(0.01, 0.12) as f32,
                    breath_colour: 0.4,
                }
                .play(random.bits(), out);
            }
            Clarinet => {
                let even = pick(0.05, 0.5);
                let from = spectrum(|k| {
                    k.powf(-1.1 - dull) * if (k as u32).is_multiple_of(2) { even } else { 1.0 }
                });
                Harmonic {
                    hz: note.hz,
                    from,
                    to: from,
                    vibrato: vibrato(pick(0.0, 15.0), 5.0, pick(0.0, 1.0), pick(-20.0, 5.0)),
                    tremolo: (0.0, 5.0),
                    envelope: held(pick(0.015, 0.1), 0.85, 0.06),
                    breath: pick(0.005, 0.07) as f32,
                    breath_colour: 0.3,
                }
                .play(random.bits(), out);
            }
            Flute => {
                let from = spectrum(|k| if k > 12.0 { 0.0 } else { k.powf(-1.8 - dull) });
                Harmonic {
                    hz: note.hz,
                    from,
                    to: from,
                    vibrato: vibrato(
                        pick(5.0, 40.0),
                        pick(4.5, 6.0),
                        pick(0.0, 1.0),
                        pick(-20.0, 20.0),
                    ),
                    tremolo: (pick(0.0, 0.25), pick(4.5, 6.0)),
                    envelope: held(pick(0.03, 0.12), 0.8, 0.08),
                    breath: pick(0.03, 0.35) as f32,
                    breath_colour: pick(0.25, 0.7) as f32,
                }
                .play(random.bits(), out);
            }
            AcousticGuitar => Plucked {
                hz: note.hz,
                damp: pick(0.990, 0.999) as f32,
                softness: 1 + (6.0 * (1.0 - note.tone)) as u32,
                drive: 0.0,
                envelope: struck,
            }
            .play(random.bits(), out, scratch),
            ElectricGuitar => Plucked {
                hz: note.hz,
                damp: pick(0.995, 0.9997) as f32,
                softness: 2 + (5.0 * (1.0 - note.tone)) as u32,
                drive: if note.tone > 0.35 { (2.5 * pick(-0.2, 1.6)).exp2() as f32 } else { 0.0 },
                envelope: struck,
            }
            .play(random.bits(), out, scratch),
            Organ => {
                let mut from = [0.0; PARTIALS];
                for (partial, most) in [
                    (1, 1.0),
                    (2, 0.9),
                    (3, 0.6),
                    (4, 0.7),
                    (6, 0.35),
                    (8, 0.4),
                    (10, 0.2),
                    (12, 0.2),
                ] {
                    from[partial - 1] = (most * pick(0.0, 1.0).powf(1.5 + dull)) as f32;
                }
                from[0] += 0.15;
                let rate = if pick(0.0, 1.0) < 0.5 { 0.8 } else { 6.5 };
                Harmonic {
                    hz: note.hz,
                    from,
                    to: from,
                    vibrato: vibrato(pick(0.0, 15.0), rate, pick(0.0, 1.0), 0.0),
                    tremolo: (pick(0.0, 0.3), rate),
                    envelope: held(0.008, 1.0, 0.03),
                    breath: pick(0.0, 0.04) as f32,
                    breath_colour: 0.5,
                }
                .play(random.bits(), out);
            }
            Piano => {
                let ring = pick(0.6, 2.4) * (260.0 / note.hz).powf(0.4);
                let stiffness = 1e-4 * pick(0.0, 3.0).exp2();
                let voice = Struck {
                    hz: note.hz,
                    stiffness,
                    ring,
                    slope: 1.1 + dull,
                    knock: pick(0.02, 0.15) as f32,
                    envelope: struck,
                };
                let key = random.bits();
                voice.play(random, key, out);
            }
            Saxophone => {
                let (first, second) = (pick(450.0, 900.0), pick(1200.0, 2200.0));
                let from = spectrum(|k| {
                    let hz = k * note.hz;
                    k.powf(-0.8 - dull)
                        * (0.15 + peak(hz, first, 350.0) + 0.7 * peak(hz, second, 600.0))
                });
                Harmonic {
                    hz: note.hz,
                    from,
                    to: from,
                    vibrato: vibrato(
                        pick(0.0, 40.0),
                        pick(4.5, 6.0),
                        pick(0.0, 1.0),
                        pick(-60.0, 20.0),
                    ),
                    tremolo: (pick(0.0, 0.15), 5.0),
                    envelope: held(pick(0.01, 0.07), 0.85, 0.06),
                    breath: pick(0.01, 0.2) as f32,
                    breath_colour: 0.5,
                }
                .play(random.bits(), out);
            }
            Trumpet => Fm {
                hz: note.hz,
                ratio: if pick(0.0, 1.0) < 0.25 { 3.0 } else { 1.0 },
                index: (1.2 + 3.5 * note.tone) * (0.3 + 0.7 * note.velocity),
                vibrato: vibrato(pick(0.0, 25.0), 5.3, pick(0.0, 1.0), pick(-30.0, 15.0)),
                envelope: held(pick(0.01, 0.06), pick(0.6, 0.95), 0.05),
            }
            .play(out),
            Voice => {
                let size = pick(0.9, 1.2);
                let (first, second) = (random.below(5) as usize, random.below(5) as usize);
                let vowel = |which: usize| {
                    let [a, b, c] = VOWELS[which].map(|hz| size * hz);
                    spectrum(|k| {
                        let hz = k * note.hz;
                        k.powf(-0.7 - dull)
                            * (0.04
                                + peak(hz, a, 90.0)
                                + 0.5 * peak(hz, b, 120.0)
                                + 0.25 * peak(hz, c, 170.0))
                    })
                };
                let mut pick = |low: f64, high: f64| random.between(low, high);
                Harmonic {
                    hz: note.hz,
                    from: vowel(first),
                    to: vowel(second),
                    vibrato: vibrato(
                        pick(5.0, 70.0),
                        pick(4.8, 6.5),
                        pick(0.0, 1.0),
                        pick(-80.0, 40.0),
                    ),
                    tremolo: (pick(0.0, 0.1), 5.5),
                    envelope: held(pick(0.03, 0.12), 0.85, 0.1),
                    breath: pick(0.01, 0.12) as f32,
                    breath_colour: 0.6,
                }
                .play(random.bits(), out);
            }
        }
    }
}

/// The amplitudes of the partials, numbered from 1.
fn spectrum(amplitude: impl Fn(f64) -> f64) -> [f32; PARTIALS] {
    std::array::from_fn(|at| amplitude((at + 1) as f64) as f32)
}

/// A resonance with the given centre and half width.
fn peak(hz: f64, centre: f64, width: f64) -> f64 {
    1.0 / (1.0 + ((hz - centre) / width).powi(2))
}
