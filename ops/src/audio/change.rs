//! Recordings as they would be at another pitch or another speed, or after MP3.

use super::{
    decode::{DecodeError, Signal},
    mp3,
    reference::AudioRef,
};
use crate::{
    Inputs, OpError,
    math::vocoder::{PitchShift, Vocoder},
};
use cache::{Artifact, Column, Data, Kind, Shape, Table};
use std::{fmt, str::FromStr, sync::Arc};

/// A change of a recording, which is made when its samples are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Another pitch at the same speed, in octaves: `pitch:<octaves>`.
    Pitch(f64),
    /// Another speed at the same pitch, as a factor: `speed:<rate>`.
    Speed(f64),
    /// Encoded to MP3 at a bit rate in kbit/s and decoded again: `mp3:<bit rate>`.
    Mp3(u32),
}

impl Change {
    /// The number of frames afterwards.
    pub fn frames(self, frames: i64) -> i64 {
        match self {
            Change::Pitch(_) | Change::Mp3(_) => frames,
            Change::Speed(rate) => Vocoder::length(frames.max(0) as usize, rate) as i64,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Pitch(octaves) => write!(f, "pitch:{octaves}"),
            Change::Speed(rate) => write!(f, "speed:{rate}"),
            Change::Mp3(bit_rate) => write!(f, "mp3:{bit_rate}"),
        }
    }
}

impl FromStr for Change {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (name, number) = text.split_once(':').ok_or(())?;
        if name == "mp3" {
            return number.parse().map(Change::Mp3).map_err(drop);
        }
        let number: f64 = number.parse().map_err(drop)?;
        match name {
            "pitch" if number.abs() <= crate::math::vocoder::MAX_OCTAVES => {
                Ok(Change::Pitch(number))
            }
            "speed" if (MIN_SPEED..=MAX_SPEED).contains(&number) => Ok(Change::Speed(number)),
            _ => Err(()),
        }
    }
}

/// The limits of a change of speed.
pub const MIN_SPEED: f64 = 0.0625;
/// See [`MIN_SPEED`].
pub const MAX_SPEED: f64 = 16.0;

/// A change with its plans, shared by threads.
#[derive(Clone)]
pub(super) enum Planned {
    Pitch(Arc<PitchShift>),
    Speed(Arc<Vocoder>, f64),
    Mp3(u32),
}

impl Planned {
    pub fn new(change: Change) -> Self {
        match change {
            Change::Pitch(octaves) => Planned::Pitch(Arc::new(PitchShift::new(octaves))),
            Change::Speed(rate) => Planned::Speed(Arc::default(), rate),
            Change::Mp3(bit_rate) => Planned::Mp3(bit_rate),
        }
    }

    /// The changed recording, of which there is one channel.
    ///
    /// # Errors
    /// When MP3 does not have the sample rate, or not this bit rate at it.
    pub fn apply(&self, signal: Signal) -> Result<Signal, DecodeError> {
        let samples = match self {
            Planned::Pitch(shift) => shift.process(&signal.samples),
            Planned::Speed(vocoder, rate) => vocoder.stretch(&signal.samples, *rate),
            Planned::Mp3(bit_rate) => {
                mp3::round_trip(&signal.samples, signal.sample_rate, *bit_rate)?
            }
        };
        Ok(Signal { samples, ..signal })
    }
}

/// The clips of the port `clips` with a change.
///
/// # Errors
/// When columns are missing, or a clip names no recording.
pub(super) fn changed(inputs: &Inputs<'_>, change: Change) -> Result<Artifact, OpError> {
    let artifact = inputs.get("clips")?;
    let clips = inputs.table("clips")?;
    let missing = |name| OpError::data(format!("port `clips` has no column `{name}`"));
    let ids = clips.text("clip_id").ok_or_else(|| missing("clip_id"))?;
    let audio = clips.text("audio").ok_or_else(|| missing("audio"))?;
    if ids.is_empty() {
        return Err(OpError::data("port `clips` holds no clips"));
    }
    let of = |(id, audio): (&String, &String)| {
        let of: AudioRef = audio
            .parse()
            .map_err(|reason: String| OpError::data(format!("clip `{id}`: {reason}")))?;
        Ok(AudioRef::Changed { change, of: Box::new(of) }.to_string())
    };
    let audio: Vec<String> = ids.iter().zip(audio).map(of).collect::<Result<_, OpError>>()?;
    let columns = clips.columns().map(|(name, column)| {
        let own = match (name, column) {
            ("audio", _) => Column::Text(audio.clone()),
            ("frames", Column::Int(all)) => {
                Column::Int(all.iter().map(|frames| change.frames(*frames)).collect())
            }
            ("channels", Column::Int(all)) => Column::Int(vec![1; all.len()]),
            _ => column.clone(),
        };
        (name.to_owned(), own)
    });
    let table = columns.fold(Table::new(), |table, (name, column)| table.with(&name, column));
    Ok(Artifact { data: Data::Table(table), ..artifact.clone() })
}

/// The shape of changed clips.
pub fn shape(inputs: &[Option<Shape>]) -> Shape {
    let rows = inputs.first().and_then(Option::as_ref).and_then(|clips| clips.rows);
    Shape::of(Kind::Clips).with_rows(rows)
}
