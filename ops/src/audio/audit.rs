//! The op `audit`: finds problems in a collection of clips.

use super::{
    recordings::Recordings,
    signal_stats::{SignalStats, measure},
};
use crate::math::near_duplicates::{NearDuplicate, near_duplicates};
use crate::metrics::metrics::labels_of;
use crate::params::{Fraction, NonNegative, Positive};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port};
use cache::{Artifact, Kind, Shape, Table};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
};

/// Looks for what may mislead a study: duplicates, silence, clipping, padding, shared recordings.
///
/// `findings` names each clip with what is odd about it, in the order of the clips, and for
/// duplicates and excerpts the first other clip (`partner`) and its class:
///
/// - `same_file`: another clip has the same bytes; `same_samples`: other bytes, the same decoded
///   samples.
/// - `near_duplicate`, where `features` are connected: after the mean image of all clips and the mean
///   of each clip are taken away, 1 − cos to an earlier clip (`value`) is at most `near`. A change of
///   level in dB does not count.
/// - `same_recording`: an earlier clip was cut from the same recording, by the column `group` of the
///   labels.
/// - `silent`: no sample is above `silence` of full scale (`value`: the peak).
/// - `clipped`: `clipping_run` samples in a row or more lie at an end of the scale (`value`: how
///   many).
/// - `short`: the clip is shorter than `duration` and would be padded (`value`: seconds missing).
///
/// `classes` counts them by class, and holds `padding`, the share of padding in all that the
/// class has after padding and cutting to `duration`. Decoding goes clip by clip, so memory does
/// not grow with their length.
///
/// Source: definitions of our own, as above; exact duplicates by BLAKE3.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// The length of clips in seconds that shorter ones are padded to, as in the features.
    #[serde(default = "default_duration")]
    pub duration: Positive,
    /// The largest distance 1 − cos of near duplicates, from 0 to 1. Copies in another format, rate or
    /// level stay below 0.01; other notes of one instrument are above 0.03.
    #[serde(default = "default_near")]
    pub near: Fraction,
    /// The peak up to which a clip counts as silent, full scale being 1; 0.001 is −60 dB.
    #[serde(default = "default_silence")]
    pub silence: NonNegative,
    /// The magnitude from which a sample lies at the end of the scale, full scale being 1.
    #[serde(default = "default_clipping_level")]
    pub clipping_level: Positive,
    /// The number of samples in a row at the end of the scale that make a clip clipped.
    #[serde(default = "default_clipping_run")]
    pub clipping_run: NonZeroU32,
}

fn default_duration() -> Positive {
    Positive::try_from(3.0).expect("3 is above 0")
}
fn default_near() -> Fraction {
    Fraction::try_from(0.02).expect("0.02 is a fraction")
}
fn default_silence() -> NonNegative {
    NonNegative::try_from(0.001).expect("0.001 is not negative")
}
fn default_clipping_level() -> Positive {
    Positive::try_from(0.999).expect("0.999 is above 0")
}
fn default_clipping_run() -> NonZeroU32 {
    NonZeroU32::new(3).expect("3 is not 0")
}

impl Op for Audit {
    const NAME: &'static str = "audit";
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[
        Port::RECORDINGS,
        Port::new("labels", &[Kind::Labels], "the class of each clip, and its recording if known"),
        Port::optional(
            "features",
            &[Kind::Spectrogram, Kind::Matrix],
            "what near duplicates are found by, such as log-mel spectrograms",
        ),
    ];
    const OUTPUTS: &'static [Port] = &[
        Port::new("findings", &[Kind::Findings], "what is odd about single clips"),
        Port::new("classes", &[Kind::Census], "one row a class: clips, recordings, what was found"),
    ];

    fn check(&self, _inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        Ok(vec![Shape::of(Kind::Findings), Shape::of(Kind::Census)])
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let clips = inputs.table("clips")?;
        let column = |name| {
            clips
                .text(name)
                .ok_or_else(|| OpError::data(format!("port `clips` has no column `{name}`")))
        };
        let (ids, audio) = (column("clip_id")?, column("audio")?);
        if ids.is_empty() {
            return Err(OpError::data("port `clips` holds no clips"));
        }
        let collection = Collection {
            ids,
            audio,
            labels: labels_of(inputs, "labels", "clips", ids)?,
            groups: groups_of(inputs, ids)?,
            near: self.near_of(inputs, ids, cx)?,
            stats: self.listen(ids, audio, cx)?,
        };
        let findings = self.findings(&collection);
        let classes = self.classes(&collection, &findings);
        Ok(Outputs::new()
            .with("findings", collection.table(&findings).with_meta("clips", ids.len()))
            .with("classes", classes.with_meta("duration", self.duration.get())))
    }
}

/// The data of all clips, each list in their order.
struct Collection<'a> {
    ids: &'a [String],
    audio: &'a [String],
    labels: Vec<String>,
    /// The recordings from which the clips were cut.
    groups: Option<Vec<String>>,
    near: Option<Vec<Option<NearDuplicate>>>,
    stats: Vec<SignalStats>,
}

/// One finding about one clip.
struct Finding {
    clip: usize,
    name: &'static str,
    partner: Option<usize>,
    value: f64,
}

/// The recording of each clip, if the labels have it.
fn groups_of(inputs: &Inputs<'_>, ids: &[String]) -> Result<Option<Vec<String>>, OpError> {
    let labels = inputs.table("labels")?;
    let (Some(known), Some(groups)) = (labels.text("clip_id"), labels.text("group")) else {
        return Ok(None);
    };
    let of: HashMap<_, _> = known.iter().zip(groups).collect();
    Ok(ids.iter().map(|id| of.get(id).map(|group| (*group).clone())).collect())
}

impl Audit {
    /// The near duplicates of each clip, if there are features.
    fn near_of(
        &self,
        inputs: &Inputs<'_>,
        ids: &[String],
        cx: &Ctx<'_>,
    ) -> Result<Option<Vec<Option<NearDuplicate>>>, OpError> {
        if inputs.optional("features").is_none() {
            return Ok(None);
        }
        let (own, features) = inputs.features("features")?;
        if own != ids {
            return Err(OpError::data("port `features` holds other clips than port `clips`")
                .help("connect features made from these very clips"));
        }
        let cancelled = || cx.cancel.is_cancelled();
        let found =
            near_duplicates(features.values(), features.width(), self.near.get(), &cancelled);
        found.map(Some).ok_or_else(OpError::cancelled)
    }

    /// Decodes and measures every clip, one for each thread at a time.
    fn listen(
        &self,
        ids: &[String],
        audio: &[String],
        cx: &Ctx<'_>,
    ) -> Result<Vec<SignalStats>, OpError> {
        let recordings = Recordings::new(cx.files, cx.cancel);
        let level = self.clipping_level.get() as f32;
        let done = AtomicU64::new(0);
        let mut stats: Vec<Option<SignalStats>> = vec![None; ids.len()];
        let places = stats.iter_mut().collect();
        recordings.each(
            (ids, audio),
            places,
            |_| usize::MAX,
            || (),
            |_, decoder, (), place| {
                cx.stop_if_cancelled()?;
                let measured = measure(decoder, level);
                let done = 1 + done.fetch_add(1, Ordering::Relaxed);
                cx.progress.at(done, ids.len() as u64, "");
                Ok(measured.map(|stats| *place = Some(stats)))
            },
        )?;
        Ok(stats.into_iter().map(|stats| stats.expect("each clip was measured")).collect())
    }

    /// The seconds by which a clip is too short.
    fn missing(&self, stats: &SignalStats) -> f64 {
        (self.duration.get() - stats.seconds).max(0.0)
    }

    fn findings(&self, of: &Collection<'_>) -> Vec<Finding> {
        let (mut files, mut contents, mut recordings) =
            (HashMap::new(), HashMap::new(), HashMap::new());
        let mut all = Vec::new();
        for (clip, stats) in of.stats.iter().enumerate() {
            let mut found = |name, partner, value| all.push(Finding { clip, name, partner, value });
            let file = *files.entry(&of.audio[clip]).or_insert(clip);
            let content = *contents.entry(stats.content).or_insert(clip);
            let near = of.near.as_ref().and_then(|near| near[clip]);
            if file != clip {
                found("same_file", Some(file), 0.0);
            } else if content != clip {
                found("same_samples", Some(content), 0.0);
            } else if let Some(near) = near {
                found("near_duplicate", Some(near.row), near.distance);
            }
            if let Some(groups) = &of.groups {
                let first = *recordings.entry(&groups[clip]).or_insert(clip);
                if first != clip {
                    found("same_recording", Some(first), f64::NAN);
                }
            }
            if stats.peak <= self.silence.get() {
                found("silent", None, stats.peak);
            }
            if stats.clipped >= self.clipping_run.get() as usize {
                found("clipped", None, stats.clipped as f64);
            }
            if self.missing(stats) > 0.0 {
                found("short", None, self.missing(stats));
            }
        }
        all
    }

    fn classes(&self, of: &Collection<'_>, findings: &[Finding]) -> Artifact {
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (clip, label) in of.labels.iter().enumerate() {
            members.entry(label).or_default().push(clip);
        }
        let count = |names: &'static [&'static str]| {
            let mut counts: HashMap<&str, i64> = HashMap::new();
            for finding in findings.iter().filter(|finding| names.contains(&finding.name)) {
                *counts.entry(&of.labels[finding.clip]).or_default() += 1;
            }
            members.keys().map(|label| counts.get(label).copied().unwrap_or(0)).collect()
        };
        let recordings = |clips: &Vec<usize>| match &of.groups {
            Some(groups) => clips.iter().map(|&clip| &groups[clip]).collect::<HashSet<_>>().len(),
            None => clips.len(),
        };
        let padding = |clips: &Vec<usize>| {
            let missing: f64 = clips.iter().map(|&clip| self.missing(&of.stats[clip])).sum();
            missing / (self.duration.get() * clips.len() as f64)
        };
        let table = Table::new()
            .with_text("label", members.keys().copied())
            .with_ints("clips", members.values().map(|clips| clips.len() as i64).collect())
            .with_ints("recordings", members.values().map(|of| recordings(of) as i64).collect())
            .with_ints("duplicates", count(&["same_file", "same_samples"]))
            .with_ints("near_duplicates", count(&["near_duplicate"]))
            .with_ints("silent", count(&["silent"]))
            .with_ints("clipped", count(&["clipped"]))
            .with_ints("short", count(&["short"]))
            .with_reals("padding", members.values().map(padding).collect());
        Artifact::table(Kind::Census, table)
            .with_meta("recordings_known", of.groups.is_some())
            .with_meta("near_duplicates_sought", of.near.is_some())
    }
}

impl Collection<'_> {
    fn table(&self, findings: &[Finding]) -> Artifact {
        let of_partner = |names: &[String]| -> Vec<String> {
            let name = |partner: usize| names[partner].clone();
            findings.iter().map(|it| it.partner.map(name).unwrap_or_default()).collect()
        };
        let table = Table::new()
            .with_text("clip_id", findings.iter().map(|it| self.ids[it.clip].as_str()))
            .with_text("label", findings.iter().map(|it| self.labels[it.clip].as_str()))
            .with_text("finding", findings.iter().map(|it| it.name))
            .with_text("partner", of_partner(self.ids))
            .with_text("partner_label", of_partner(&self.labels))
            .with_reals("value", findings.iter().map(|it| it.value).collect());
        Artifact::table(Kind::Findings, table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Detached;

    /// Three clips of two classes; the last is equal to the first, and the second is from the
    /// recording of the first.
    fn audited(params: serde_json::Value) -> (Artifact, Artifact) {
        let ids = ["a", "b", "c"];
        let clips = Table::new()
            .with_text("clip_id", ids)
            .with_text("audio", ["synth:1/0/0", "synth:1/0/1", "synth:1/0/0"]);
        let labels = Table::new()
            .with_text("clip_id", ids)
            .with_text("label", ["cel", "cel", "pia"])
            .with_text("group", ["x", "x", "y"]);
        let clips = Artifact::table(Kind::Clips, clips);
        let labels = Artifact::table(Kind::Labels, labels);
        let inputs = Inputs::new().with("clips", &clips).with("labels", &labels);
        let op: Audit = serde_json::from_value(params).unwrap();
        let made = op.run(&inputs, &Detached::with_seed(0)).unwrap();
        (made.get("findings").unwrap().clone(), made.get("classes").unwrap().clone())
    }

    #[test]
    fn duplicates_recordings_and_padding_are_found() {
        let (findings, classes) = audited(serde_json::json!({ "duration": 4.0, "silence": 0.0 }));
        let table = findings.as_table().unwrap();
        let column = |name| table.text(name).unwrap();
        assert_eq!(column("finding"), ["short", "same_recording", "short", "same_file", "short"]);
        assert_eq!(column("clip_id"), ["a", "b", "b", "c", "c"]);
        assert_eq!(column("partner"), ["", "a", "", "a", ""]);
        assert_eq!(column("partner_label")[3], "cel");
        assert!((table.reals("value").unwrap()[0] - 1.0).abs() < 1e-9);
        let table = classes.as_table().unwrap();
        assert_eq!(table.text("label").unwrap(), ["cel", "pia"]);
        assert_eq!(table.ints("clips").unwrap(), [2, 1]);
        assert_eq!(table.ints("recordings").unwrap(), [1, 1]);
        assert_eq!(table.ints("duplicates").unwrap(), [0, 1]);
        assert!((table.reals("padding").unwrap()[0] - 0.25).abs() < 1e-9);
    }

    #[test]
    fn loud_and_quiet_are_a_matter_of_the_limits() {
        let count = |params| audited(params).1.as_table().unwrap().ints("silent").unwrap().to_vec();
        assert_eq!(count(serde_json::json!({ "silence": 2.0 })), [2, 1]);
        assert_eq!(count(serde_json::json!({})), [0, 0]);
        let (_, all) = audited(serde_json::json!({ "clipping_level": 1e-9 }));
        assert_eq!(all.as_table().unwrap().ints("clipped").unwrap(), [2, 1]);
    }
}
