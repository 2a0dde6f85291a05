//! The op `synth_factors`: what clips of the synthetic corpus were made from.

use super::{
    reference::AudioRef,
    synth::{MEASURED, factors},
};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Artifact, Kind, Shape, Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The factors from which the clips of `synth` were made, as further columns beside the class.
///
/// `label`: the lead instrument; `genre`; `drums`: whether there are any; `players`: instruments in the
/// backing; `key` in semitones above C; `tempo` in beats a minute; `brightness` of the notes, 0 to 1;
/// `lead` over the backing, `noise` and `peak` in decibels; `tilt` of the spectrum, −1 to 1; `width`
/// between left and right, 0 to 1; `echo`: the level of the room. All excerpts of one recording
/// (`group`) share them. Real recordings have no such list, so clips of other sources are refused.
///
/// Source: made for this engine.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SynthFactors {}

impl Op for SynthFactors {
    const NAME: &'static str = "synth_factors";
    const VERSION: u32 = 1;
    const GROUPS: bool = true;
    const INPUTS: &'static [Port] =
        &[Port::new("clips", &[Kind::Clips], "Clips of the synthetic corpus.")];
    const OUTPUTS: &'static [Port] =
        &[Port::new("factors", &[Kind::Labels], "The class, and a column for each factor.")];

    fn class(&self) -> Option<&str> {
        Some("instrument")
    }

    fn check(&self, inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        let rows = inputs.first().and_then(Option::as_ref).and_then(|shape| shape.rows);
        Ok(vec![Shape::of(Kind::Labels).with_rows(rows)])
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let clips = inputs.table("clips")?;
        let column = |name: &str| {
            let missing = || OpError::data(format!("port `clips` has no column `{name}`"));
            clips.text(name).ok_or_else(missing)
        };
        let (ids, audio) = (column("clip_id")?, column("audio")?);
        let found = ids.iter().zip(audio).map(|(id, audio)| match audio.parse() {
            Ok(AudioRef::Synth { seed, class, index }) => Ok(factors(seed, class, index)),
            _ => Err(OpError::data(format!("clip `{id}` was not synthesised"))
                .help("its factors are not known: connect the clips of a step of `synth`")),
        });
        let found = found.collect::<Result<Vec<_>, _>>()?;
        cx.stop_if_cancelled()?;
        let mut table = Table::new()
            .with_text("clip_id", ids.iter().cloned())
            .with_text("label", found.iter().map(|it| it.label))
            .with_text("group", found.iter().map(|it| it.group.as_str()))
            .with_text("genre", found.iter().map(|it| it.genre))
            .with_text("drums", found.iter().map(|it| if it.drums { "yes" } else { "no" }))
            .with_ints("players", found.iter().map(|it| it.players).collect())
            .with_ints("key", found.iter().map(|it| it.key).collect());
        for (at, name) in MEASURED.into_iter().enumerate() {
            table = table.with_reals(name, found.iter().map(|it| it.measured[at]).collect());
        }
        Ok(Outputs::new().with("factors", Artifact::table(Kind::Labels, table)))
    }
}
