//! The common part of all sources of clips: probing each recording, reporting unusable ones, and
//! building the output artifacts.

use super::{
    damage::OnDamage,
    decode::{self, Probe},
    held::Held,
    input::Input,
    reference::AudioRef,
};
use crate::{
    Cancel, Ctx, OpError, Outputs, Port,
    math::resample::{HIGHEST_RATE, LOWEST_RATE},
};
use cache::{Artifact, FileEntry, Kind, Shape, Table, verified};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeSet, HashMap},
    sync::atomic::{AtomicU64, Ordering},
};

/// The output ports of each source of clips.
pub const OUTPUTS: &[Port] = &[
    Port::new("clips", &[Kind::Clips], "the recordings, one a row"),
    Port::new("labels", &[Kind::Labels], "the class of each clip, and its recording if known"),
    Port::new("skipped", &[Kind::Skipped], "files that were left out, and why"),
];

/// The smallest number of frames in a clip: a single sample has no pitch, spectrum or duration.
const FEWEST_FRAMES: u64 = 2;

/// The number of diagnostics that a message lists.
const LISTED: usize = 10;

/// What to do with a recording that cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// Stop, and name all of them.
    #[default]
    Fail,
    /// Leave it out, and list it in `skipped`.
    Skip,
}

/// The rules for recordings that may be used.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The action for unusable recordings.
    pub on_error: OnError,
    /// True if all samples of a clip may be zero.
    pub allow_silent: bool,
    /// The action for damaged recordings.
    pub on_damage: OnDamage,
}

/// A recording that may become a clip.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The name of the clip.
    pub clip_id: String,
    /// The source of its samples.
    pub audio: AudioRef,
    /// Its class.
    pub label: String,
    /// The recording from which it was cut, if known.
    pub group: Option<String>,
}

/// A clip.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as in `Candidate`")]
pub struct Clip {
    pub clip_id: String,
    pub audio: AudioRef,
    pub label: String,
    pub group: Option<String>,
    /// The properties of the recording.
    pub probe: Probe,
    /// The damage, if it is kept although damaged.
    pub damage: Option<String>,
}

impl Clip {
    fn new(candidate: Candidate, probe: Probe) -> Self {
        let Candidate { clip_id, audio, label, group } = candidate;
        Self { clip_id, audio, label, group, probe, damage: None }
    }
}

/// A file that cannot be used, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The name of the file.
    pub file: String,
    /// The reason: a lower-case sentence without a full stop.
    pub reason: String,
    /// Advice for the user.
    pub help: &'static str,
    /// True if reading failed rather than the content being unusable; such a file is never skipped.
    pub is_unread: bool,
}

impl Fault {
    /// A file and the reason why it cannot be used.
    pub fn new(file: &str, reason: impl Into<String>, help: &'static str) -> Self {
        Self { file: file.to_owned(), reason: reason.into(), help, is_unread: false }
    }

    /// A file that could not be read as it was listed.
    pub fn unread(file: &str, why: &verified::Unread) -> Self {
        let help = match why {
            verified::Unread::Changed => "run again once nothing writes to it",
            verified::Unread::Stopped => "",
            verified::Unread::Io(_) => "check that it is there and may be read, then run again",
        };
        Self { is_unread: true, ..Self::new(file, why.to_string(), help) }
    }
}

/// The clips of a source and the files it skipped.
#[derive(Clone, Debug, Default)]
pub struct Collection {
    /// The clips, in the order of the source.
    pub clips: Vec<Clip>,
    /// The skipped files, in the order of the source.
    pub skipped: Vec<Fault>,
}

impl Collection {
    /// The table of clips: `clip_id`, `audio`, `frames`, `sample_rate`, `channels`.
    pub fn table(&self) -> Table {
        let clips = &self.clips;
        let ints = |of: fn(&Probe) -> i64| clips.iter().map(|clip| of(&clip.probe)).collect();
        Table::new()
            .with_text("clip_id", clips.iter().map(|clip| clip.clip_id.as_str()))
            .with_text("audio", clips.iter().map(|clip| clip.audio.to_string()))
            .with_ints("frames", ints(|probe| probe.frames as i64))
            .with_ints("sample_rate", ints(|probe| i64::from(probe.sample_rate)))
            .with_ints("channels", ints(|probe| i64::from(probe.channels)))
    }

    /// Adds files that were not opened after those that could not be used.
    pub fn leave_out(&mut self, unread: Vec<Fault>) {
        self.skipped.extend(unread);
    }

    /// The output artifacts: the clips, their labels, and the skipped files.
    pub fn outputs(&self, clips: Artifact) -> Outputs {
        let ids = self.clips.iter().map(|clip| clip.clip_id.as_str());
        let mut labels = Table::new()
            .with_text("clip_id", ids)
            .with_text("label", self.clips.iter().map(|clip| clip.label.as_str()));
        let groups: Option<Vec<_>> = self.clips.iter().map(|clip| clip.group.clone()).collect();
        if let Some(groups) = groups {
            labels = labels.with_text("group", groups);
        }
        let skipped = Table::new()
            .with_text("file", self.skipped.iter().map(|fault| fault.file.as_str()))
            .with_text("reason", self.skipped.iter().map(|fault| fault.reason.as_str()));
        Outputs::new()
            .with("clips", clips)
            .with("labels", Artifact::table(Kind::Labels, labels))
            .with("skipped", Artifact::table(Kind::Skipped, skipped))
    }
}

/// The shapes of [`OUTPUTS`] before a run.
pub fn shapes() -> Vec<Shape> {
    OUTPUTS.iter().map(|port| Shape::of(port.kinds[0])).collect()
}

/// Probes every candidate with all threads; each thread has one recording in memory. `hold` opens a
/// recording and reads it into a buffer that is reused unless the file is long. The results are in
/// the order of the candidates. Recordings that an earlier run probed and kept are found by content
/// and not read again.
///
/// # Errors
/// When recordings cannot be used and may not be skipped, when none is left, or when those left are
/// of one class; the message names the files.
pub fn collect(
    candidates: Vec<Result<Candidate, Fault>>,
    hold: impl Fn(&Candidate, &mut Vec<u8>) -> Result<Held, Fault> + Sync,
    rules: Rules,
    cx: &Ctx<'_>,
) -> Result<Collection, OpError> {
    let earlier = cx.earlier.outputs(OUTPUTS[0].name);
    let known: HashMap<_, _> = earlier.iter().flat_map(probes).collect();
    let known = |candidate: &Candidate| known.get(&candidate.audio.to_string()).copied();
    let is_new = |it: &&Result<Candidate, Fault>| !it.as_ref().is_ok_and(|it| known(it).is_some());
    let total = candidates.iter().filter(is_new).count() as u64;
    let done = AtomicU64::new(0);
    let look = |room: &mut Vec<u8>, candidate: Result<Candidate, Fault>| {
        cx.stop_if_cancelled()?;
        if let Ok(candidate) = &candidate
            && let Some(probe) = known(candidate)
        {
            return Ok(Ok(Clip::new(candidate.clone(), probe)));
        }
        let clip = candidate.and_then(|candidate| {
            let held = hold(&candidate, room)?;
            let name = candidate.clip_id.clone();
            held.with(room, |input| look_into(candidate, input, rules))
                .map_err(|why| Fault::unread(&name, &why))?
        });
        cx.progress.at(done.fetch_add(1, Ordering::Relaxed) + 1, total, "");
        Ok(clip)
    };
    let looked: Result<Vec<_>, OpError> =
        candidates.into_par_iter().map_init(Vec::new, look).collect();
    let mut collection = Collection::default();
    for clip in looked? {
        match clip {
            Ok(clip) => collection.clips.push(clip),
            Err(fault) => collection.skipped.push(fault),
        }
    }
    judge(&collection, rules.on_error)?;
    tell_damage(&collection.clips, cx);
    Ok(collection)
}

/// The probes of clips by the content of their recordings. An op with the same parameters kept
/// them, so a silent one is present only if silence is allowed.
fn probes(clips: &Artifact) -> Vec<(String, Probe)> {
    let Some(table) = clips.as_table() else { return Vec::new() };
    let column = |name| table.ints(name).unwrap_or_default();
    let (frames, rates, channels) = (column("frames"), column("sample_rate"), column("channels"));
    let probe = |row: usize| {
        Some(Probe {
            frames: u64::try_from(*frames.get(row)?).ok()?,
            sample_rate: u32::try_from(*rates.get(row)?).ok()?,
            channels: u16::try_from(*channels.get(row)?).ok()?,
            silent: false,
        })
    };
    let audio = table.text("audio").unwrap_or_default().iter().enumerate();
    audio.filter_map(|(row, audio)| Some((audio.clone(), probe(row)?))).collect()
}

fn look_into(candidate: Candidate, input: Input<'_>, rules: Rules) -> Result<Clip, Fault> {
    let fault = |reason: String, help| Fault::new(&candidate.clip_id, reason, help);
    let (probe, damage) =
        decode::look(input, rules.on_damage).map_err(|error| fault(error.message, error.help))?;
    let rates = LOWEST_RATE..=HIGHEST_RATE;
    if !rates.contains(&probe.sample_rate) {
        let (low, high) = rates.into_inner();
        let reason =
            format!("has a sample rate of {} Hz, outside {low} to {high} Hz", probe.sample_rate);
        return Err(fault(reason, "export the recording again at an ordinary rate, or remove it"));
    }
    if probe.frames < FEWEST_FRAMES {
        let reason = "holds a single frame, too few to be a clip".to_owned();
        return Err(fault(reason, "export the recording again, or remove it"));
    }
    if probe.silent && !rules.allow_silent {
        return Err(fault(
            "is silent: every sample is zero".to_owned(),
            "set `allow_silent: true` to keep silent clips",
        ));
    }
    Ok(Clip { damage, ..Clip::new(candidate, probe) })
}

/// Warns of recordings that are kept although they are damaged.
fn tell_damage(clips: &[Clip], cx: &Ctx<'_>) {
    let damaged = clips.iter().filter_map(|clip| Some((clip, clip.damage.as_ref()?)));
    for (clip, damage) in damaged.clone().take(LISTED) {
        cx.warnings.warn(&format!("`{}` is kept although it is damaged: {damage}", clip.clip_id));
    }
    let more = damaged.count().saturating_sub(LISTED);
    if more > 0 {
        cx.warnings.warn(&format!("{more} more recordings are kept although they are damaged"));
    }
}

/// Checks that the clips are sufficient for a study.
fn judge(collection: &Collection, on_error: OnError) -> Result<(), OpError> {
    let Collection { clips, skipped } = collection;
    let total = clips.len() + skipped.len();
    let unread: Vec<Fault> = skipped.iter().filter(|fault| fault.is_unread).cloned().collect();
    if !unread.is_empty() {
        let headline = format!("{} of {total} recordings could not be read", unread.len());
        let complaint = complaint(&headline, &unread);
        return Err(OpError::failure(complaint.message).help(advice(&unread, "")));
    }
    if on_error == OnError::Fail && !skipped.is_empty() {
        return Err(complaint(
            &format!("{} of {total} recordings cannot be used", skipped.len()),
            skipped,
        )
        .help(advice(skipped, "`on_error: skip` leaves them out")));
    }
    if clips.is_empty() {
        return Err(complaint(&format!("none of {total} recordings can be used"), skipped)
            .help(advice(skipped, "a study needs recordings")));
    }
    let labels: BTreeSet<_> = clips.iter().map(|clip| clip.label.as_str()).collect();
    if let (1, Some(only)) = (labels.len(), labels.first()) {
        let message = match clips.len() {
            1 => format!("the one clip has the label `{only}`"),
            many => format!("all {many} clips have the one label `{only}`"),
        };
        return Err(complaint(&message, skipped).help(
            "clusters are scored against at least two classes: add recordings of another label",
        ));
    }
    Ok(())
}

/// An error with diagnostics listed below its first line.
fn complaint(headline: &str, faults: &[Fault]) -> OpError {
    let mut message = headline.to_owned();
    for fault in faults.iter().take(LISTED) {
        message.push_str(&format!("\n  `{}`: {}", fault.file, fault.reason));
    }
    if faults.len() > LISTED {
        message.push_str(&format!("\n  and {} more", faults.len() - LISTED));
    }
    OpError::data(message)
}

/// The distinct advice of diagnostics in one text.
fn advice(faults: &[Fault], last: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for help in faults.iter().map(|fault| fault.help).filter(|help| !help.is_empty()) {
        if !parts.contains(&help) {
            parts.push(help);
        }
    }
    parts.extend(Some(last).filter(|last| !last.is_empty()));
    parts.join("; ")
}

/// True if a name belongs to the system rather than to the user: `.DS_Store`, `._a.wav`,
/// `__MACOSX/a.wav`.
pub fn is_hidden(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with('.') || part == "__MACOSX")
}

/// Reads a file that the engine found into `bytes`, replacing earlier content.
pub(crate) fn read(entry: &FileEntry, bytes: &mut Vec<u8>) -> Result<(), Fault> {
    verified::read(&entry.path, &entry.digest, bytes)
        .map_err(|why| Fault::unread(&entry.name, &why))
}

/// Opens a recording that the engine found; a short one is read into `room`.
pub(crate) fn hold(
    entry: &FileEntry,
    room: &mut Vec<u8>,
    cancel: &dyn Cancel,
) -> Result<Held, Fault> {
    Held::open(&entry.path, &entry.digest, room, cancel)
        .map_err(|why| Fault::unread(&entry.name, &why))
}
