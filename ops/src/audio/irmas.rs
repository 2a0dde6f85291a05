//! The op `irmas`: IRMAS in its own layout, as a folder or as the original archive.

use super::{
    archive::{self, Archive},
    clips::{self, Candidate, Fault, OUTPUTS, OnError, Rules},
    damage::OnDamage,
    encoded::Encoded,
    reference::AudioRef,
    synth::CLASSES,
    unsupported,
};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port, Select, Source};
use cache::{Artifact, FileEntry, Kind, Shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, HashSet},
    num::NonZeroU32,
    path::Path,
    sync::LazyLock,
};

const MISSING: &str = "IRMAS is not here: `engine fetch irmas DIR` downloads it (3.2 GB; \
    CC BY-NC-SA 3.0, non-commercial), then give `path` that folder";

/// The extensions that are read, with those that are listed as unsupported.
static READ_AND_UNREAD: LazyLock<Vec<&str>> =
    LazyLock::new(|| unsupported::endings().iter().copied().chain(["zip"]).collect());

const NAMES: &str = "names are `[cel][cla]0001__1.wav` or `008__[cel][nod][cla]0058__1.wav`: \
    instrument, drums, genre, recording, excerpt";

/// The training set of IRMAS: 6,705 excerpts of eleven instruments.
///
/// Reads the folder with the eleven instrument folders, a folder above it, or the zip archive
/// without unpacking it. The label is the folder's name and the first bracket of the file's; drums
/// (`dru`, `nod` or empty), genre, recording and excerpt become columns of `clips`. Excerpts of
/// one recording share their `group`. Recordings that are no WAV files are listed in `skipped`.
///
/// Source: Bosch, Janer, Fuhrmann and Herrera, A Comparison of Sound Segregation Techniques for
/// Predominant Instrument Recognition in Musical Audio Signals, ISMIR 2012. The data is under
/// CC BY-NC-SA 3.0, for non-commercial use.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Irmas {
    /// The data's folder or its zip archive.
    pub path: String,
    /// The treatment of a recording that cannot be used: `fail` names all of them, `skip` leaves
    /// them out and lists them in `skipped`.
    #[serde(default)]
    pub on_error: OnError,
    /// Allows clips that are all zero.
    #[serde(default)]
    pub allow_silent: bool,
    /// The largest size to which a recording in the archive may unfold in memory, in MiB. Default: 256, or 50 times
    /// its size in the archive if that is more.
    #[serde(default)]
    pub max_unfolded_mib: Option<NonZeroU32>,
    /// The treatment of a recording of which only a part can be decoded: `fail` counts it among those
    /// that cannot be used, `keep` uses what is whole and says what is not.
    #[serde(default)]
    pub on_damage: OnDamage,
}

impl Op for Irmas {
    const NAME: &'static str = "irmas";
    const VERSION: u32 = 1;
    const GROUPS: bool = true;
    const INPUTS: &'static [Port] = &[];
    const OUTPUTS: &'static [Port] = OUTPUTS;

    fn class(&self) -> Option<&str> {
        Some("instrument")
    }

    fn sources(&self) -> Vec<Source> {
        vec![Source {
            param: "path",
            path: self.path.clone().into(),
            select: Select::Tree(READ_AND_UNREAD.as_slice()),
            missing: Some(MISSING),
        }]
    }

    fn check(&self, _inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        Ok(clips::shapes())
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let files = inputs.files().iter().filter(|file| !clips::is_hidden(&file.name));
        let (files, unsupported) = unsupported::partition(files, &["wav", "zip"]);
        let (wavs, zips): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|file| ends_in(&file.name, "wav"));
        let class = |name: &str| class_of(name).map(str::to_owned);
        if self.on_error == OnError::Fail && !wavs.is_empty() {
            let classes = wavs.iter().filter_map(|file| class(&file.name)).collect();
            unsupported::check(&unsupported, class, &classes)?;
        }
        let rules = Rules {
            on_error: self.on_error,
            allow_silent: self.allow_silent,
            on_damage: self.on_damage,
        };
        let mut collection = match (wavs.as_slice(), zips.as_slice()) {
            ([], []) => return Err(self.nothing("neither a WAV file nor a zip archive")),
            ([], [zip]) => self.gather_archive(zip, rules, cx)?,
            ([], zips) => {
                let names: Vec<_> = zips.iter().map(|zip| format!("`{}`", zip.name)).collect();
                let message = format!("several archives in `{}`: {}", self.path, names.join(", "));
                return Err(OpError::param("path", message).help("give `path` one of them"));
            }
            (wavs, _) => {
                let found = wavs.iter().map(|file| (file.name.as_str(), *file)).collect();
                let audio = |file: &&FileEntry| AudioRef::File(file.digest);
                self.gather(
                    found,
                    audio,
                    |file, room| clips::open_encoded(file, room, cx.cancel),
                    rules,
                    cx,
                )?
            }
        };
        collection.leave_out(unsupported);
        let names: Vec<_> =
            collection.clips.iter().filter_map(|clip| Name::of(base(&clip.clip_id)).ok()).collect();
        let table = collection
            .table()
            .with_text("drums", names.iter().map(|name| name.drums.as_str()))
            .with_text("genre", names.iter().map(|name| name.genre.as_str()))
            .with_ints("recording", names.iter().map(|name| i64::from(name.recording)).collect())
            .with_ints("excerpt", names.iter().map(|name| i64::from(name.excerpt)).collect());
        Ok(collection.outputs(Artifact::table(Kind::Clips, table)))
    }
}

impl Irmas {
    fn nothing(&self, what: &str) -> OpError {
        OpError::param("path", format!("no recordings of IRMAS in `{}`: {what}", self.path))
            .help(MISSING)
    }

    fn gather_archive(
        &self,
        zip: &FileEntry,
        rules: Rules,
        cx: &Ctx<'_>,
    ) -> Result<clips::Collection, OpError> {
        let unfit = |reason: String| {
            OpError::param("path", format!("`{}` {reason}", zip.name))
                .help("download it again: `engine fetch irmas DIR`")
        };
        let archive =
            Archive::open(&zip.path, &zip.digest, cx.cancel).map_err(|error| match error {
                archive::ArchiveError::Unfit(reason) => unfit(reason),
                archive::ArchiveError::Read(why) => {
                    OpError::failure(format!("`{}` {why}", zip.name))
                        .help("run again once nothing writes to it")
                }
            })?;
        let names = archive.names().map_err(unfit)?;
        let found: Vec<_> = names
            .iter()
            .filter(|name| ends_in(name, "wav") && !clips::is_hidden(name))
            .map(|name| (name.as_str(), name))
            .collect();
        if found.is_empty() {
            return Err(self.nothing("the archive holds no WAV file"));
        }
        let audio = |name: &&String| AudioRef::Entry { archive: zip.digest, name: (*name).clone() };
        let read = |name: &&String, bytes: &mut Vec<u8>| {
            let most = self.max_unfolded_mib.map(NonZeroU32::get);
            archive.read(name, most, bytes).map(|()| Encoded::Memory).map_err(|error| match error {
                archive::ArchiveError::Unfit(reason) => {
                    Fault::new(name, reason, "download it again: `engine fetch irmas DIR`")
                }
                archive::ArchiveError::Read(why) => Fault::unread(&zip.name, &why),
            })
        };
        self.gather(found, audio, read, rules, cx)
    }

    /// The clips of files or entries, each with its full name.
    fn gather<F: Sync>(
        &self,
        found: Vec<(&str, F)>,
        audio: impl Fn(&F) -> AudioRef,
        read: impl Fn(&F, &mut Vec<u8>) -> Result<Encoded, Fault> + Sync,
        rules: Rules,
        cx: &Ctx<'_>,
    ) -> Result<clips::Collection, OpError> {
        if !found.iter().any(|(full, _)| class_of(full).is_some()) {
            let what = format!("no WAV file lies in a folder named {}", CLASSES.join(", "));
            return Err(self.nothing(&what));
        }
        let mut seen = HashSet::new();
        let mut by_id = HashMap::new();
        let mut candidates = Vec::with_capacity(found.len());
        for (full, file) in &found {
            let candidate = candidate(full, audio(file)).and_then(|candidate| {
                if seen.insert(candidate.clip_id.clone()) {
                    by_id.insert(candidate.clip_id.clone(), file);
                    return Ok(candidate);
                }
                let reason = format!("is the second `{}`", candidate.clip_id);
                Err(Fault::new(full, reason, "give `path` one copy of the data"))
            });
            candidates.push(candidate);
        }
        // The id leaves out the folders above the class, so files of a folder and entries of an
        // archive are in the same order only if sorted by it.
        candidates.sort_by(|a, b| key(a).cmp(key(b)));
        let read =
            |candidate: &Candidate, bytes: &mut Vec<u8>| read(by_id[&candidate.clip_id], bytes);
        clips::collect(candidates, read, rules, cx)
    }
}

fn key(candidate: &Result<Candidate, Fault>) -> &str {
    match candidate {
        Ok(candidate) => &candidate.clip_id,
        Err(error) => &error.file,
    }
}

/// The clip of a full name.
fn candidate(full: &str, audio: AudioRef) -> Result<Candidate, Fault> {
    let class = class_of(full).ok_or_else(|| {
        Fault::new(
            full,
            "lies in no instrument's folder",
            "give `path` the training data: eleven folders `cel` to `voi`",
        )
    })?;
    let name = Name::of(base(full)).map_err(|reason| Fault::new(full, reason, NAMES))?;
    if name.instrument != class {
        let reason = format!("is named `[{}]` but lies in folder `{class}`", name.instrument);
        return Err(Fault::new(full, reason, "move it to the folder of its instrument"));
    }
    Ok(Candidate {
        clip_id: format!("{class}/{}", base(full)),
        audio,
        label: class.to_owned(),
        group: Some(format!("{class}/{}{:04}", name.prefix, name.recording)),
    })
}

/// The instrument whose folder holds the file.
fn class_of(full: &str) -> Option<&'static str> {
    let folder = full.rsplit('/').nth(1)?;
    CLASSES.into_iter().find(|class| *class == folder)
}

/// The file name of a path.
pub(super) fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// True if a file has this extension, in letters of either case.
pub(super) fn ends_in(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|own| own.eq_ignore_ascii_case(extension))
}

/// The parts of a file name: `[prefix__][instrument][drums][genre]recording__excerpt.wav`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// A leading number with its underscores, such as `008__`, or empty.
    pub prefix: String,
    /// One of [`CLASSES`].
    pub instrument: String,
    /// `dru`, `nod`, or empty.
    pub drums: String,
    /// A genre such as `cla` or `cou_fol`, or empty.
    pub genre: String,
    /// The number of the recording.
    pub recording: u32,
    /// The number of the excerpt in its recording.
    pub excerpt: u32,
}

impl Name {
    /// Parses a file name.
    ///
    /// # Errors
    /// The part that differs from the layout of IRMAS.
    pub fn of(name: &str) -> Result<Self, String> {
        let stem = match name.rsplit_once('.') {
            Some((stem, extension)) if extension.eq_ignore_ascii_case("wav") => stem,
            _ => return Err("does not end in `.wav`".to_owned()),
        };
        let (prefix, mut rest) = stem.split_at(stem.find('[').ok_or("has no `[instrument]`")?);
        let leads = prefix.strip_suffix("__").is_some_and(|lead| number(lead).is_some());
        if !prefix.is_empty() && !leads {
            return Err(format!("begins with `{prefix}`, not a number and `__`"));
        }
        let mut tags = Vec::new();
        while let Some(open) = rest.strip_prefix('[') {
            let (tag, after) = open.split_once(']').ok_or("has a `[` without its `]`")?;
            tags.push(tag);
            rest = after;
        }
        let (instrument, tags) = tags.split_first().ok_or("has no `[instrument]`")?;
        if !CLASSES.contains(instrument) {
            return Err(format!("names the instrument `{instrument}`, which is none of IRMAS"));
        }
        let (mut drums, mut genre) = ("", "");
        for &tag in tags {
            let slot = if matches!(tag, "dru" | "nod") { &mut drums } else { &mut genre };
            if tag.is_empty() || !slot.is_empty() {
                return Err(format!("has a tag `[{tag}]` too many"));
            }
            *slot = tag;
        }
        let numbers = rest.split_once("__");
        let numbers = numbers.and_then(|(first, second)| Some((number(first)?, number(second)?)));
        let (recording, excerpt) =
            numbers.ok_or_else(|| format!("ends in `{rest}`, not `recording__excerpt`"))?;
        Ok(Self {
            prefix: prefix.to_owned(),
            instrument: (*instrument).to_owned(),
            drums: drums.to_owned(),
            genre: genre.to_owned(),
            recording,
            excerpt,
        })
    }
}

/// Parses a number of up to nine digits.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (1..=9).contains(&text.len())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_both_forms() {
        let long = Name::of("008__[cel][nod][cla]0058__1.wav").expect("a name");
        assert_eq!((long.prefix.as_str(), long.instrument.as_str()), ("008__", "cel"));
        assert_eq!((long.drums.as_str(), long.genre.as_str()), ("nod", "cla"));
        assert_eq!((long.recording, long.excerpt), (58, 1));
        let short = Name::of("[cel][cla]0001__3.wav").expect("a name");
        assert_eq!((short.prefix.as_str(), short.drums.as_str()), ("", ""));
        assert_eq!((short.genre.as_str(), short.recording, short.excerpt), ("cla", 1, 3));
    }

    #[test]
    fn says_what_a_name_lacks() {
        let says = |name: &str, expected: &str| {
            let error = Name::of(name).expect_err("a faulty name");
            assert!(error.contains(expected), "{error}");
        };
        says("[cel][cla]0001__1.mp3", "does not end in `.wav`");
        says("0001__1.wav", "has no `[instrument]`");
        says("x__[cel]0001__1.wav", "begins with `x__`");
        says("[cel][cla0001__1.wav", "has a `[` without its `]`");
        says("[drm][cla]0001__1.wav", "names the instrument `drm`");
        says("[cel][dru][nod]0001__1.wav", "has a tag `[nod]` too many");
        says("[cel][cla]0001_1.wav", "ends in `0001_1`");
        says("[cel][cla]99999999999__1.wav", "ends in");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            lead in proptest::option::of(0_u32..1000),
            class in 0_usize..11,
            drums in proptest::option::of(prop_oneof![Just("dru"), Just("nod")]),
            genre in "[a-z]{3}(_[a-z]{3})?",
            recording in 0_u32..10_000,
            excerpt in 1_u32..20,
        ) {
            prop_assume!(genre != "dru" && genre != "nod");
            let prefix = lead.map(|lead| format!("{lead:03}__")).unwrap_or_default();
            let tag = drums.map(|drums| format!("[{drums}]")).unwrap_or_default();
            let code = CLASSES[class];
            let text = format!("{prefix}[{code}]{tag}[{genre}]{recording:04}__{excerpt}.wav");
            prop_assert_eq!(Name::of(&text), Ok(Name {
                prefix,
                instrument: code.to_owned(),
                drums: drums.unwrap_or_default().to_owned(),
                genre,
                recording,
                excerpt,
            }));
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[\\[\\]a-z0-9_.é]{0,30}(\\.wav)?") {
            let _ = Name::of(&text);
        }
    }
}
