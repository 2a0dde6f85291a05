//! The op `manifest`: a CSV file that lists recordings.

use super::{
    alike,
    clips::{self, Candidate, Fault, OUTPUTS, OnError, Rules},
    damage::OnDamage,
    reference::AudioRef,
};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port, Select, Source};
use cache::{
    Artifact, FileEntry, Kind, Shape,
    csv::{self, CsvTable},
    missing::{self, is_missing},
};
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
/// (which recording a clip was cut from; a clip without one is a recording of its own); other columns are
/// ignored. Clips keep the order of the
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
    const GROUPS: bool = true;
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
        let mut places: HashMap<PathBuf, &Row> = HashMap::new();
        let mut again = Vec::new();
        for row in &rows {
            let Some(file) = file_of(&row.path) else { continue };
            if let Some(first) = places.insert(whereabouts(&file.path), row) {
                let (path, line) = (&row.path, row.line);
                again.push(format!(
                    "line {line} lists `{path}` again, after `{}` in line {}",
                    first.path, first.line
                ));
            }
        }
        if !again.is_empty() {
            return Err(self.fault(csv::listed(&again)));
        }
        let candidates = rows.into_iter().map(|row| {
            let file = file_of(&row.path).ok_or_else(|| {
                let near = alike::hint(folder, &row.path).unwrap_or_default();
                let reason = format!("is not there (line {}){near}", row.line);
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
            clips::hold(file, bytes, cx.cancel)
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

/// A path without `.` and with single slashes, so that two spellings of a path are equal.
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

/// Parses the lines of a list; the error names all faulty lines.
fn rows(bytes: &[u8]) -> Result<Vec<Row>, String> {
    let table = CsvTable::read(bytes)?;
    let (path, label) = (table.place("path")?, table.place("label")?);
    let has_group = table.names().iter().any(|name| name == "group");
    let group = has_group.then(|| table.place("group")).transpose()?;
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    let mut seen: HashMap<PathBuf, u64> = HashMap::new();
    for at in 0..table.rows() {
        let line = table.line(at);
        let cell = |column: usize| table.cell(at, column).into_owned();
        let lacks = [("path", path), ("label", label)];
        if let Some((name, column)) = lacks.into_iter().find(|(_, it)| is_missing(&cell(*it))) {
            let written = match cell(column) {
                cell if cell.is_empty() => String::new(),
                cell => format!(" (`{cell}` means that there is none)"),
            };
            faults.push(format!("line {line} has no {name}{written}"));
            continue;
        }
        let path = cell(path);
        if let Some(first) = seen.insert(plain(Path::new(&path)), line) {
            faults.push(format!("line {line} lists `{path}` again, after line {first}"));
            continue;
        }
        rows.push(Row { line, label: cell(label), group: group.map(cell), path });
    }
    if !faults.is_empty() {
        return Err(csv::listed(&faults));
    }
    if rows.is_empty() {
        return Err("lists no recording".to_owned());
    }
    let ids: Vec<String> = rows.iter().map(|row| row.path.clone()).collect();
    let given: Vec<String> = rows.iter().filter_map(|row| row.group.clone()).collect();
    // Either no row has a group, or the rule of [`missing::groups`] applies to all.
    let groups = (!given.is_empty()).then(|| missing::groups(&ids, &given)).flatten();
    match groups {
        Some(groups) => rows.iter_mut().zip(groups).for_each(|(row, own)| row.group = Some(own)),
        None => rows.iter_mut().for_each(|row| row.group = None),
    }
    Ok(rows)
}

/// The canonical path of a file, whether it was written as `a/../b.wav` or through a link to a
/// folder.
fn whereabouts(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = std::fs::canonicalize(folder.unwrap_or(Path::new(".")));
    match (folder, path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
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
    fn a_clip_without_a_group_is_a_recording_of_its_own() {
        let groups = |text: &[u8]| -> Vec<Option<String>> {
            rows(text).expect("a list").into_iter().map(|row| row.group).collect()
        };
        let own = |name: &str| Some(name.to_owned());
        let some = groups(b"path, label, group\na.wav,x,\nb.wav,x,s1\nc.wav,y,NA\n");
        assert_eq!(some, [own("a.wav"), own("s1"), own("c.wav")]);
        assert_eq!(groups(b"path,label,group\na.wav,x,\nb.wav,x, \n"), [None, None]);
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
        says(b"path,label\na.wav, NaN \n", "line 2 has no label (`NaN` means that there is none)");
        says(b"path,label,label\na.wav,x,y\n", "has the column `label` twice");
        says(b"path;label\na.wav;x\n", "is separated by semicolons, not commas");
        says(b"path,label\na.wav,x\nb\xff.wav,x\n", "is not UTF-8 text (line 3)");
    }
}
