//! The op `irmas_test`: the testing part of IRMAS, whose excerpts have several labels each.

use super::{
    clips::{self, Candidate, Fault, OUTPUTS, OnError, Rules},
    damage::OnDamage,
    irmas::{base, ends_in},
    reference::AudioRef,
    synth::CLASSES,
    unsupported,
};
use crate::measures::tagging::BETWEEN;
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port, Select, Source};
use cache::{Artifact, FileEntry, Kind, Shape, verified};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, sync::LazyLock};

/// The extensions that are read, with those that are listed as unsupported.
static READ_AND_UNREAD: LazyLock<Vec<&str>> =
    LazyLock::new(|| unsupported::endings().iter().copied().chain(["txt"]).collect());

const MISSING: &str = "IRMAS' testing part is three archives at https://zenodo.org/records/1290750; \
    unpack them below one folder and give `path` that folder";

/// The testing part of IRMAS: excerpts of 5 to 20 s with one or more of eleven instruments each.
///
/// Reads the WAV files below a folder and, beside each, the text file of its name, which holds the code of an
/// instrument a line. The label of a clip is its codes in alphabetical order with `+` between them, such as
/// `gel+pia`; `tagging` scores predictions of each of them. The column `instruments` of `clips` is their number.
/// A name ends in `-` and the number of the excerpt; what stands before it is the `group`, since excerpts of one
/// recording are not independent. Recordings that are no WAV files are listed in `skipped`.
///
/// Source: Bosch, Janer, Fuhrmann and Herrera, A Comparison of Sound Segregation Techniques for Predominant
/// Instrument Recognition in Musical Audio Signals, ISMIR 2012. The data is under CC BY-NC-SA 3.0, for
/// non-commercial use.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IrmasTest {
    /// The folder.
    pub path: String,
    /// The treatment of a recording that cannot be used: `fail` names all of them, `skip` leaves
    /// them out and lists them in `skipped`.
    #[serde(default)]
    pub on_error: OnError,
    /// Allows clips that are all zero.
    #[serde(default)]
    pub allow_silent: bool,
    /// The treatment of a recording of which only a part can be decoded: `fail` counts it among those
    /// that cannot be used, `keep` uses what is whole and says what is not.
    #[serde(default)]
    pub on_damage: OnDamage,
}

impl Op for IrmasTest {
    const NAME: &'static str = "irmas_test";
    const VERSION: u32 = 1;
    const GROUPS: bool = true;
    const INPUTS: &'static [Port] = &[];
    const OUTPUTS: &'static [Port] = OUTPUTS;

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
        let (texts, files): (Vec<_>, Vec<_>) = files.partition(|file| ends_in(&file.name, "txt"));
        let (wavs, unsupported) = unsupported::partition(files.into_iter(), &["wav"]);
        if wavs.is_empty() {
            let message = format!("no recordings of IRMAS in `{}`: no WAV file", self.path);
            return Err(OpError::param("path", message).help(MISSING));
        }
        let texts: HashMap<&str, &FileEntry> =
            texts.into_iter().map(|file| (stem(&file.name), file)).collect();
        let by_name: HashMap<_, _> = wavs.iter().map(|file| (file.name.as_str(), *file)).collect();
        let candidates = wavs.iter().map(|wav| {
            let text = texts.get(stem(&wav.name)).ok_or_else(|| {
                let reason = "has no text file of its name beside it";
                Fault::new(&wav.name, reason, "put its labels there, one a line")
            })?;
            Ok(Candidate {
                clip_id: wav.name.clone(),
                audio: AudioRef::File(wav.digest),
                label: label(text)?,
                group: Some(recording(&wav.name).to_owned()),
            })
        });
        let rules = Rules {
            on_error: self.on_error,
            allow_silent: self.allow_silent,
            on_damage: self.on_damage,
        };
        let read = |candidate: &Candidate, room: &mut Vec<u8>| {
            clips::open_encoded(by_name[candidate.clip_id.as_str()], room, cx.cancel)
        };
        let mut collection = clips::collect(candidates.collect(), read, rules, cx)?;
        collection.leave_out(unsupported);
        let count = |clip: &clips::Clip| clip.label.split(BETWEEN).count() as i64;
        let counts = collection.clips.iter().map(count).collect();
        let table = collection.table().with_ints("instruments", counts);
        Ok(collection.outputs(Artifact::table(Kind::Clips, table)))
    }
}

/// A name without its ending.
fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// The recording of an excerpt: the file's name before `-` and a number. Parts of the data may share one.
fn recording(name: &str) -> &str {
    let stem = stem(base(name));
    match stem.rsplit_once('-') {
        Some((recording, excerpt))
            if !recording.is_empty()
                && !excerpt.is_empty()
                && excerpt.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            recording
        }
        _ => stem,
    }
}

/// The label that a text file gives: its codes in order, each once.
fn label(file: &FileEntry) -> Result<String, Fault> {
    let mut bytes = Vec::new();
    verified::read(&file.path, &file.digest, &mut bytes)
        .map_err(|why| Fault::unread(&file.name, &why))?;
    codes(&bytes).map_err(|reason| Fault::new(&file.name, reason, LINES))
}

const LINES: &str =
    "each line is one of the codes cel, cla, flu, gac, gel, org, pia, sax, tru, vio, voi";

/// The codes of a text file with `+` between them, or what is wrong with it.
fn codes(bytes: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is no text".to_owned())?;
    let found: Vec<&str> = text.trim_start_matches('\u{feff}').split_whitespace().collect();
    if let Some(other) = found.iter().find(|code| !CLASSES.contains(code)) {
        let short: String = other.chars().take(20).collect();
        return Err(format!("names the instrument `{short}`, which is none of IRMAS"));
    }
    let own: Vec<&str> = CLASSES.into_iter().filter(|code| found.contains(code)).collect();
    if own.is_empty() {
        Err("names no instrument".to_owned())
    } else {
        Ok(own.join(&BETWEEN.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_codes_in_order_each_once() {
        assert_eq!(codes(b"pia\t\r\ngel \n\npia\n").as_deref(), Ok("gel+pia"));
        assert_eq!(codes(b"voi").as_deref(), Ok("voi"));
        assert!(codes(b" \n").is_err_and(|error| error == "names no instrument"));
        assert!(codes(b"drm\n").is_err_and(|error| error.contains("`drm`")));
        assert!(codes(&[0xff, 0xfe]).is_err());
    }

    #[test]
    fn excerpts_of_a_recording_share_its_name() {
        assert_eq!(recording("Part1/(02) dont kill the whale-16.wav"), "(02) dont kill the whale");
        assert_eq!(recording("Part2/08 - Satin Doll-1.wav"), "08 - Satin Doll");
        assert_eq!(recording("alone.wav"), "alone");
        assert_eq!(recording("x/-3.wav"), "-3");
        assert_eq!(recording("a-b.wav"), "a-b");
    }
}
