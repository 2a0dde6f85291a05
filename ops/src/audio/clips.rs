//! The common part of all sources of clips: probing each recording, reporting unusable ones, and
//! building the output artifacts.

use super::{
    damage::OnDamage,
    decode::{self, Probe, Probes},
    encoded::Encoded,
    reference::AudioRef,
    usable,
};
use crate::{
    Cancel, Ctx, OpError, Outputs, Port,
    math::resample::{MAX_RATE, MIN_RATE},
};
use cache::{Artifact, FileEntry, Kind, Shape, Table, verified};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

/// The output ports of each source of clips.
pub const OUTPUTS: &[Port] = &[
    Port::new("clips", &[Kind::Clips], "the recordings, one a row"),
    Port::new("labels", &[Kind::Labels], "the class of each clip, and its recording if known"),
    Port::new("skipped", &[Kind::Skipped], "files that were left out, and why"),
];

/// The smallest number of frames in a clip: a single sample has no pitch, spectrum or duration.
const MIN_FRAMES: u64 = 2;

/// The treatment of a recording that cannot be used. One that cannot be opened or read is always an
/// error: a study must not depend on who runs it.
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
    /// True if it is an excerpt that would end after its recording.
    pub is_cut: bool,
}

impl Clip {
    fn new(candidate: Candidate, probe: Probe) -> Self {
        let Candidate { clip_id, audio, label, group } = candidate;
        Self { clip_id, audio, label, group, probe, damage: None, is_cut: false }
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
    pub fn unread(file: &str, why: &verified::ReadError) -> Self {
        let help = match why {
            verified::ReadError::Changed => "run again once nothing writes to it",
            verified::ReadError::Stopped => "",
            verified::ReadError::Io(_) => "check that it is there and may be read, then run again",
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

    /// The table of labels: `clip_id`, `label`, and `group` if recordings are known.
    pub fn labels(&self) -> Table {
        self.with_groups(self.clips.iter().map(|clip| clip.label.clone()).collect())
    }

    /// The table of other labels of the clips, with their classes in a column of this name.
    pub fn labels_of(&self, labels: Vec<String>, class: &str) -> Table {
        let classes = self.clips.iter().map(|clip| clip.label.as_str());
        self.with_groups(labels).with_text(class, classes)
    }

    fn with_groups(&self, labels: Vec<String>) -> Table {
        let ids = self.clips.iter().map(|clip| clip.clip_id.as_str());
        let table = Table::new().with_text("clip_id", ids).with_text("label", labels);
        let groups: Option<Vec<_>> = self.clips.iter().map(|clip| clip.group.clone()).collect();
        match groups {
            Some(groups) => table.with_text("group", groups),
            None => table,
        }
    }

    /// The output artifacts: the clips, their labels, and the skipped files.
    pub fn outputs(&self, clips: Artifact) -> Outputs {
        self.outputs_with(clips, self.labels())
    }

    /// The output artifacts with this table of labels.
    pub fn outputs_with(&self, clips: Artifact, labels: Table) -> Outputs {
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

/// Probes every candidate with all threads; each thread has one recording in memory. `open` opens a
/// recording and reads it into a buffer that is reused unless the file is long. The results are in
/// the order of the candidates. A recording with several excerpts is opened once. Recordings that an
/// earlier run probed and kept are found by content and not read again.
///
/// # Errors
/// When recordings cannot be used and may not be skipped, when none is left, or when those left are
/// of one class; the message names the files.
pub fn collect(
    candidates: Vec<Result<Candidate, Fault>>,
    open: impl Fn(&Candidate, &mut Vec<u8>) -> Result<Encoded, Fault> + Sync,
    rules: Rules,
    cx: &Ctx<'_>,
) -> Result<Collection, OpError> {
    let earlier = cx.earlier.outputs(OUTPUTS[0].name);
    let known: HashMap<_, _> = earlier.iter().flat_map(probes).collect();
    let known = |candidate: &Candidate| known.get(&candidate.audio.to_string()).copied();
    let is_new = |it: &&Result<Candidate, Fault>| !it.as_ref().is_ok_and(|it| known(it).is_some());
    let total = candidates.iter().filter(is_new).count() as u64;
    let done = AtomicU64::new(0);
    let probe_unit = |room: &mut Vec<u8>, unit: Vec<(usize, Result<Candidate, Fault>)>| {
        cx.stop_if_cancelled()?;
        let (mut results, mut new) = (Vec::with_capacity(unit.len()), Vec::new());
        for (at, candidate) in unit {
            match candidate {
                Ok(candidate) => match known(&candidate) {
                    Some(probe) => results.push((at, Ok(Clip::new(candidate, probe)))),
                    None => new.push((at, candidate)),
                },
                Err(fault) => results.push((at, Err(fault))),
            }
        }
        let count = new.len() as u64;
        if let Some((_, first)) = new.first() {
            let probed = open(first, room).and_then(|encoded| {
                let of = |it: &(usize, Candidate)| it.1.audio.excerpt();
                let excerpts: Vec<_> = new.iter().filter_map(of).collect();
                encoded
                    .with(room, |input| decode::probe_excerpts(input, rules.on_damage, &excerpts))
                    .map_err(|why| Fault::unread(&first.clip_id, &why))
            });
            for (place, (at, candidate)) in new.into_iter().enumerate() {
                let clip = probed.clone().and_then(|probed| check(candidate, place, probed, rules));
                results.push((at, clip));
            }
        }
        cx.progress.at(done.fetch_add(count, Ordering::Relaxed) + count, total, "");
        Ok(results)
    };
    let results: Result<Vec<_>, OpError> =
        by_recording(candidates).into_par_iter().map_init(Vec::new, probe_unit).collect();
    let mut results: Vec<_> = results?.into_iter().flatten().collect();
    results.sort_by_key(|(at, _)| *at);
    let mut collection = Collection::default();
    for (_, clip) in results {
        match clip {
            Ok(clip) => collection.clips.push(clip),
            Err(fault) => collection.skipped.push(fault),
        }
    }
    usable::check(&collection, rules.on_error)?;
    usable::warn(&collection.clips, cx);
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

/// Candidates with their places, those of excerpts of one recording together.
fn by_recording(
    candidates: Vec<Result<Candidate, Fault>>,
) -> Vec<Vec<(usize, Result<Candidate, Fault>)>> {
    let mut units: Vec<Vec<_>> = Vec::with_capacity(candidates.len());
    let mut recordings = HashMap::new();
    for (at, candidate) in candidates.into_iter().enumerate() {
        let recording = match &candidate {
            Ok(Candidate { audio: AudioRef::Excerpt { file, .. }, .. }) => Some(*file),
            _ => None,
        };
        let own = units.len();
        let place = recording.map_or(own, |file| *recordings.entry(file).or_insert(own));
        if place == own {
            units.push(Vec::new());
        }
        units[place].push((at, candidate));
    }
    units
}

/// The clip of a candidate, given what was found in its recording: one entry for the recording, or
/// one for each excerpt.
fn check(
    candidate: Candidate,
    place: usize,
    probed: Result<Probes, decode::DecodeError>,
    rules: Rules,
) -> Result<Clip, Fault> {
    let fault = |reason: String, help| Fault::new(&candidate.clip_id, reason, help);
    let Probes { whole, excerpts, damage } =
        probed.map_err(|error| fault(error.message, error.help))?;
    let mut is_cut = false;
    let probe = match candidate.audio.excerpt() {
        None => whole,
        Some(excerpt) => {
            let (start, end) = excerpt.frames(whole.sample_rate);
            is_cut = end.is_some_and(|end| end > whole.frames);
            if start >= whole.frames {
                let length = whole.frames as f64 / f64::from(whole.sample_rate);
                let reason = format!(
                    "starts at {} s, after the end of the recording at {length:.3} s",
                    excerpt.start()
                );
                return Err(fault(reason, "correct `start`, which is in seconds"));
            }
            excerpts[place]
        }
    };
    let rates = MIN_RATE..=MAX_RATE;
    if !rates.contains(&probe.sample_rate) {
        let (low, high) = rates.into_inner();
        let reason =
            format!("has a sample rate of {} Hz, outside {low} to {high} Hz", probe.sample_rate);
        return Err(fault(reason, "export the recording again at an ordinary rate, or remove it"));
    }
    if probe.frames < MIN_FRAMES {
        let reason = "holds a single frame, too few to be a clip".to_owned();
        return Err(fault(reason, "export the recording again, or remove it"));
    }
    if probe.silent && !rules.allow_silent {
        return Err(fault(
            "is silent: every sample is zero".to_owned(),
            "set `allow_silent: true` to keep silent clips",
        ));
    }
    Ok(Clip { damage, is_cut, ..Clip::new(candidate, probe) })
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
pub(crate) fn open_encoded(
    entry: &FileEntry,
    room: &mut Vec<u8>,
    cancel: &dyn Cancel,
) -> Result<Encoded, Fault> {
    Encoded::open(&entry.path, &entry.digest, room, cancel)
        .map_err(|why| Fault::unread(&entry.name, &why))
}
