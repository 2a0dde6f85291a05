//! The op `manifest`: a CSV file that lists recordings.

use super::{
    alike,
    clips::{self, Candidate, Collection, Fault, OUTPUTS, OnError, Rules},
    damage::OnDamage,
    excerpt::Excerpt,
    list::{self, List, Roles, Row, plain},
    reference::AudioRef,
};
use crate::{Ctx, Inputs, Op, OpError, Outputs, Port, Select, Source, ports};
use cache::{Artifact, Column, FileEntry, Kind, Shape, Table, csv};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

const COLUMNS: &str = "the first line names the columns: `path` (relative to the CSV file), \
    `label`, and perhaps `group`, `id`, `start`, `end` and others; separated by commas, in UTF-8";

/// The description of the port of a further column.
const FURTHER: &str = "the column of this name, as a label of each clip";

/// Columns of labels that the engine itself makes.
const TAKEN: [&str; 4] = ["clip_id", "label", "group", CLASS];

/// The column of the class beside other labels.
const CLASS: &str = "labels";

/// The most further columns for which the labels of one hold all others too; their number grows with
/// the square.
const MAX_BESIDE: usize = 32;

/// Recordings listed in a CSV file.
///
/// The file has the columns `path` (relative to its own folder), `label`, and perhaps `group`
/// (which recording a clip was cut from; a clip without one is a recording of its own) and `id` (the
/// name of the clip; without this column it is the path). Clips keep the order of the
/// lines. Every recording is decoded once to see that it is whole.
///
/// Each column but `path`, `start`, `end` and that of the names of clips is an output of labels, whatever
/// else it is: `clips.speaker` is the column `speaker` of the step `clips`, usable as `truth`, as the color
/// of a figure, or wherever else labels are. These hold the further columns too (up to 32 of them), and so
/// does `labels`, so that reports can look for confounds. A cell without a value leaves its clip
/// unlabelled.
///
/// The columns `start` and `end`, in seconds, make clips of parts of recordings: several lines may then
/// name one recording, which is decoded once for all of them. Times are exact decimals, and the part goes
/// from frame ⌊start · rate⌋ to before ⌊end · rate⌋; where `start` or `end` has no value it is that of the
/// recording. Such a clip is called `a.wav#t=1.5,4`, and all parts of a recording have the same group. A
/// later step finds a part of a WAV file in its place; a recording in another format is decoded once for
/// all of its parts.
///
/// Source: CSV as RFC 4180 describes it; samples as libsndfile gives them; media fragments as W3C
/// describes them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The CSV file.
    pub path: String,
    /// The treatment of a recording that cannot be used: `fail` names all of them, `skip` leaves
    /// them out and lists them in `skipped`. Faults of the CSV file itself always stop.
    #[serde(default)]
    pub on_error: OnError,
    /// Allows clips that are all zero.
    #[serde(default)]
    pub allow_silent: bool,
    /// The treatment of a recording of which only a part can be decoded: `fail` counts it among those
    /// that cannot be used, `keep` uses what is whole and says what is not.
    #[serde(default)]
    pub on_damage: OnDamage,
    /// The column of the classes. Default: `label`.
    #[serde(default)]
    pub label: Option<String>,
    /// The column that says which recording a clip was cut from. Default: `group`, if there is one.
    #[serde(default)]
    pub group: Option<String>,
    /// The column that names the clips. Default: `id`, if there is one.
    #[serde(default)]
    pub id: Option<String>,
}

impl Op for Manifest {
    const NAME: &'static str = "manifest";
    const VERSION: u32 = 5;
    const GROUPS: bool = true;
    const INPUTS: &'static [Port] = &[];
    const OUTPUTS: &'static [Port] = OUTPUTS;

    fn outputs_with(&self, columns: &[String]) -> &'static [Port] {
        let roles = self.roles();
        let further = list::ports(columns, &roles).map(|(_, name)| name.as_str());
        ports::with_further(OUTPUTS, further.filter(|name| is_port(name)), &[Kind::Labels], FURTHER)
    }

    fn class(&self) -> Option<&str> {
        self.label.as_deref()
    }

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
        let list = list.ok_or_else(|| self.error("is not there".to_owned()))?;
        let mut bytes = Vec::new();
        clips::read(list, &mut bytes).map_err(|error| {
            OpError::failure(format!("`{}` {}", self.path, error.reason)).help(error.help)
        })?;
        let List { rows, columns, ports } = list::read(&bytes, &self.roles()).map_err(|wrong| {
            let error = self.error(wrong.reason);
            OpError { param: wrong.role.or(error.param), ..error }
        })?;
        let folder = list.path.parent().unwrap_or(Path::new(""));
        let named = inputs.files().iter().map(|file| (plain(Path::new(&file.name)), file));
        let placed = inputs.files().iter().map(|file| (plain(&file.path), file));
        let files: HashMap<PathBuf, &FileEntry> = placed.chain(named).collect();
        let file_of = |path: &str| {
            files.get(&plain(Path::new(path))).or_else(|| files.get(&plain(&folder.join(path))))
        };
        let mut places: HashMap<(PathBuf, Option<Excerpt>), &Row> = HashMap::new();
        let mut again = Vec::new();
        for row in &rows {
            let Some(file) = file_of(&row.path) else { continue };
            if let Some(first) = places.insert((absolute_path(&file.path), row.excerpt), row) {
                let (path, line) = (&row.path, row.line);
                again.push(format!(
                    "line {line} lists `{path}` again, after `{}` in line {}",
                    first.path, first.line
                ));
            }
        }
        if !again.is_empty() {
            return Err(self.error(csv::listed(&again)));
        }
        let lines: HashMap<&str, usize> =
            rows.iter().enumerate().map(|(at, row)| (row.id.as_str(), at)).collect();
        let candidates = rows.iter().map(|row| {
            let file = file_of(&row.path).ok_or_else(|| {
                let near = alike::hint(folder, &row.path).unwrap_or_default();
                let reason = format!("is not there (line {}){near}", row.line);
                Fault::new(&row.path, reason, "paths count from the folder of the CSV file")
            })?;
            let audio = match row.excerpt {
                Some(excerpt) => AudioRef::Excerpt { file: file.digest, excerpt },
                None => AudioRef::File(file.digest),
            };
            let (label, group) = (row.label.clone(), row.group.clone());
            Ok(Candidate { clip_id: row.id.clone(), audio, label, group })
        });
        let rules = Rules {
            on_error: self.on_error,
            allow_silent: self.allow_silent,
            on_damage: self.on_damage,
        };
        let read = |candidate: &Candidate, bytes: &mut Vec<u8>| {
            let row = &rows[lines[candidate.clip_id.as_str()]];
            let file = file_of(&row.path).expect("a candidate was found by this name");
            clips::open_encoded(file, bytes, cx.cancel)
        };
        let collection = clips::collect(candidates.collect(), read, rules, cx)?;
        let kept: Vec<usize> =
            collection.clips.iter().map(|clip| lines[clip.clip_id.as_str()]).collect();
        Ok(self.outputs_of(&collection, &columns, &ports, &kept))
    }
}

impl Manifest {
    fn error(&self, reason: String) -> OpError {
        OpError::param("path", format!("`{}` {reason}", self.path)).help(COLUMNS)
    }

    fn roles(&self) -> Roles<'_> {
        Roles {
            label: self.label.as_deref().unwrap_or("label"),
            group: (self.group.as_deref().unwrap_or("group"), self.group.is_some()),
            id: (self.id.as_deref().unwrap_or("id"), self.id.is_some()),
        }
    }

    /// The outputs with further columns, of which clip i has the cells at `kept[i]`.
    fn outputs_of(
        &self,
        collection: &Collection,
        columns: &[(String, Vec<String>)],
        ports: &[(String, Vec<String>)],
        kept: &[usize],
    ) -> Outputs {
        let clips = Artifact::table(Kind::Clips, collection.table());
        let cells =
            |cells: &[String]| kept.iter().map(|row| cells[*row].clone()).collect::<Vec<_>>();
        let beside = |labels: Table, but: &str| {
            let others = columns.iter().map(|(name, all)| (name.as_str(), all));
            let others = others.filter(|(name, _)| *name != but && !TAKEN.contains(name));
            others.fold(labels, |labels, (name, all)| labels.with(name, column(cells(all))))
        };
        let mut outputs = collection.outputs_with(clips, beside(collection.labels(), ""));
        for (name, all) in ports.iter().filter(|(name, _)| is_port(name)) {
            let own = match *name == self.roles().label {
                true => collection.labels(),
                false => collection.labels_of(cells(all), CLASS),
            };
            let own = if columns.len() <= MAX_BESIDE { beside(own, name) } else { own };
            outputs = outputs.with(port(name), Artifact::table(Kind::Labels, own));
        }
        outputs
    }
}
/// True if a column can be a port beside those that each source has.
fn is_port(column: &str) -> bool {
    !OUTPUTS.iter().any(|port| port.name == column)
}

/// The name of the port of a column.
fn port(column: &str) -> &'static str {
    ports::named(&[(column, &[Kind::Labels])], FURTHER)[0].name
}

/// A column of numbers if all cells with a value are plain decimal numbers, otherwise of text.
fn column(cells: Vec<String>) -> Column {
    // A leading zero belongs to a name, such as `007`.
    let is_plain = |cell: &str| {
        let digits = cell.trim_start_matches('-');
        digits == "0" || digits.starts_with("0.") || !digits.starts_with('0')
    };
    let real = |cell: &String| match cell.as_str() {
        "" => Some(f64::NAN),
        cell => cell.parse().ok().filter(|it: &f64| it.is_finite() && is_plain(cell)),
    };
    let reals: Option<Vec<f64>> = cells.iter().map(real).collect();
    let Some(reals) = reals.filter(|all| all.iter().any(|value| value.is_finite())) else {
        return Column::Text(cells);
    };
    match cells.iter().map(|cell| cell.parse().ok()).collect() {
        Some(whole) => Column::Int(whole),
        None => Column::Real(reals),
    }
}

/// The canonical path of a file, whether it was written as `a/../b.wav` or through a link to a
/// folder.
fn absolute_path(path: &Path) -> PathBuf {
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
    fn numbers_are_numbers_and_names_stay_names() {
        let of = |cells: &[&str]| column(cells.iter().map(|cell| (*cell).to_owned()).collect());
        assert_eq!(of(&["1", "-2"]), Column::Int(vec![1, -2]));
        assert!(matches!(of(&["1", "", "2.5"]), Column::Real(values) if values[1].is_nan()));
        for names in [["007", "1"], ["a", "1"], ["", ""], ["inf", "1"]] {
            assert!(matches!(of(&names), Column::Text(_)), "{names:?}");
        }
    }
}
