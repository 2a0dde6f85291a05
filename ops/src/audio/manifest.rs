//! A CSV file that lists recordings.

use super::{
    clips::{self, Candidate, Fault, OUTPUTS, OnError, Rules},
    damage::OnDamage,
    reference::AudioRef,
};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port, Select, Source};
use cache::{Artifact, FileEntry, Kind, Shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    path::{Component, Path, PathBuf},
};

const COLUMNS: &str = "the first line names the columns: `path` (relative to the CSV file), \
    `label`, and perhaps `group`; separated by commas, in UTF-8";

/// Recordings listed in a CSV file.
///
/// The file has the columns `path` (relative to its own folder), `label`, and perhaps `group`
/// (which recording a clip was cut from); other columns are ignored. Clips keep the order of the
/// lines. Every recording is decoded once to see that it is whole.
///
/// Source: CSV as RFC 4180 describes it; samples as libsndfile gives them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The CSV file.
    pub path: String,
    /// What to do with a recording that cannot be used: `fail` names all of them, `skip` leaves
    /// them out and lists them in `skipped`. Faults of the CSV file itself always stop.
    #[serde(default)]
    pub on_error: OnError,
    /// Whether a clip may be all zero.
    #[serde(default)]
    pub allow_silent: bool,
    /// What to do with a recording of which only a part can be decoded: `fail` counts it among those
    /// that cannot be used, `keep` uses what is whole and says what is not.
    #[serde(default)]
    pub on_damage: OnDamage,
}

impl Op for Manifest {
    const NAME: &'static str = "manifest";
    const VERSION: u32 = 2;
    const INPUTS: &'static [Port] = &[];
    const OUTPUTS: &'static [Port] = OUTPUTS;

    fn sources(&self) -> Vec<Source> {
        vec![Source {
            param: "path",
            path: self.path.clone().into(),
            select: Select::Listed("path"),
            missing: Some("give `path` a CSV file with the columns `path` and `label`"),
        }]
    }

    fn check(&self, _inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        Ok(clips::shapes())
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let own = Path::new(&self.path);
        let list = inputs.files().iter().find(|file| file.path == own).or_else(|| {
            let name = own.file_name()?.to_str()?;
            inputs.files().iter().find(|file| file.name == name)
        });
        let list = list.ok_or_else(|| self.fault("is not there".to_owned()))?;
        let mut bytes = Vec::new();
        clips::read(list, &mut bytes).map_err(|fault| {
            OpError::failure(format!("`{}` {}", self.path, fault.reason)).help(fault.help)
        })?;
        let rows = rows(&bytes).map_err(|reason| self.fault(reason))?;
        let folder = list.path.parent().unwrap_or(Path::new(""));
        let named = inputs.files().iter().map(|file| (plain(Path::new(&file.name)), file));
        let placed = inputs.files().iter().map(|file| (plain(&file.path), file));
        let files: HashMap<PathBuf, &FileEntry> = placed.chain(named).collect();
        let file_of = |path: &str| {
            files.get(&plain(Path::new(path))).or_else(|| files.get(&plain(&folder.join(path))))
        };
        let candidates = rows.into_iter().map(|row| {
            let file = file_of(&row.path).ok_or_else(|| {
                let reason = format!("is not there (line {})", row.line);
                Fault::new(&row.path, reason, "paths count from the folder of the CSV file")
            })?;
            Ok(Candidate {
                clip_id: row.path,
                audio: AudioRef::File(file.digest),
                label: row.label,
                group: row.group,
            })
        });
        let rules = Rules {
            on_error: self.on_error,
            allow_silent: self.allow_silent,
            on_damage: self.on_damage,
        };
        let read = |candidate: &Candidate, bytes: &mut Vec<u8>| {
            let file = file_of(&candidate.clip_id).expect("a candidate was found by this name");
            clips::hold(file, bytes)
        };
        let collection = clips::collect(candidates.collect(), read, rules, cx)?;
        Ok(collection.outputs(Artifact::table(Kind::Clips, collection.table())))
    }
}

impl Manifest {
    fn fault(&self, reason: String) -> OpError {
        OpError::param("path", format!("`{}` {reason}", self.path)).help(COLUMNS)
    }
}

/// A path without `.` and with single slashes, by which two spellings of one path meet.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// A line of the list.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    line: u64,
    path: String,
    label: String,
    group: Option<String>,
}

/// The lines of a list, or what is wrong with it, every faulty line at once.
fn rows(bytes: &[u8]) -> Result<Vec<Row>, String> {
    if let Err(fault) = std::str::from_utf8(bytes) {
        let line = 1 + bytes[..fault.valid_up_to()].iter().filter(|&&b| b == b'\n').count();
        return Err(format!("is not UTF-8 text (line {line})"));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(bytes);
    let headers = reader.headers().map_err(|fault| format!("is not CSV: {fault}"))?.clone();
    if headers.is_empty() {
        return Err("is empty".to_owned());
    }
    let column = |name: &str| headers.iter().position(|header| header == name);
    let missing = |name: &str| {
        let found: Vec<_> = headers.iter().map(|header| format!("`{header}`")).collect();
        format!("has no column `{name}`, only {}", found.join(", "))
    };
    let path = column("path").ok_or_else(|| missing("path"))?;
    let label = column("label").ok_or_else(|| missing("label"))?;
    let group = column("group");
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    let mut seen: HashMap<PathBuf, u64> = HashMap::new();
    for record in reader.records() {
        let record = record.map_err(|fault| format!("is not CSV: {fault}"))?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != headers.len() {
            let (has, wants) = (record.len(), headers.len());
            faults.push(format!("line {line} has {has} fields, not {wants}"));
            continue;
        }
        if let Some(name) = [("path", path), ("label", label)]
            .into_iter()
            .find_map(|(name, at)| record[at].is_empty().then_some(name))
        {
            faults.push(format!("line {line} has no {name}"));
            continue;
        }
        if let Some(first) = seen.insert(plain(Path::new(&record[path])), line) {
            faults.push(format!("line {line} lists `{}` again, after line {first}", &record[path]));
            continue;
        }
        rows.push(Row {
            line,
            path: record[path].to_owned(),
            label: record[label].to_owned(),
            group: group.map(|at| record[at].to_owned()),
        });
    }
    if !faults.is_empty() {
        return Err(listed(&faults));
    }
    if rows.is_empty() {
        return Err("lists no recording".to_owned());
    }
    Ok(rows)
}

/// Faults in one sentence, not too many.
fn listed(faults: &[String]) -> String {
    const LISTED: usize = 10;
    let mut text = format!("has faulty lines: {}", faults[..faults.len().min(LISTED)].join("; "));
    if faults.len() > LISTED {
        text.push_str(&format!("; and {} more", faults.len() - LISTED));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_columns_in_any_order() {
        let rows =
            rows(b"\xef\xbb\xbfnote,label,path,group\n,cel, a.wav ,s1\n,pia,\"b,1.wav\",s2\n");
        let row = |line, path: &str, label: &str, group: &str| Row {
            line,
            path: path.into(),
            label: label.into(),
            group: Some(group.into()),
        };
        assert_eq!(rows, Ok(vec![row(2, "a.wav", "cel", "s1"), row(3, "b,1.wav", "pia", "s2")]));
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let says = |text: &[u8], expected: &str| {
            let fault = rows(text).expect_err("a faulty list");
            assert!(fault.contains(expected), "{fault}");
        };
        says(b"", "is empty");
        says(b"path,label\n", "lists no recording");
        says(b"file,label\na.wav,x\n", "has no column `path`, only `file`, `label`");
        says(b"path,class\na.wav,x\n", "has no column `label`");
        says(b"path,label\na.wav,x\nb.wav\n", "line 3 has 1 fields, not 2");
        says(b"path,label\na.wav,x\n./a.wav,y\n", "line 3 lists `./a.wav` again, after line 2");
        says(b"path,label\na.wav,\n,x\n", "line 2 has no label; line 3 has no path");
        says(b"path,label\na.wav,x\nb\xff.wav,x\n", "is not UTF-8 text (line 3)");
    }
}
