//! The op `matrix`: features of another program, as a table or an array in a file.

use super::columns::{self, Columns};
use crate::{
    Ctx, Inputs, Op, OpError, Outputs, Port, Select, Source,
    math::{numpy, precision},
};
use cache::{
    Artifact, Kind, Shape, Table,
    cells::{Cells, Numbers, SizeLimit, Values},
    csv::CsvTable,
    interchange::ExternalTable,
    missing,
    parquet::ParquetTable,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, num::NonZeroU32, path::Path};

/// The number of clips that a message names.
const SHOWN: usize = 3;

/// Features computed elsewhere, from a Parquet, CSV or NPY file.
///
/// One row a clip. In Parquet and CSV every column of numbers is a feature, in order, except
/// `clip_id` (default: the number of the row), `label` and `group`, in capitals or not, and an index
/// that pandas wrote; a Parquet column of lists brings as many features as a list has numbers. A column
/// that might as well be an index or a label is refused until `features`, `clip_id` or `label` says
/// what it is. NPY holds one row of features a clip, or one feature a clip if it has one axis; real and
/// whole numbers and booleans, in C or Fortran order. Numbers are kept in single precision, with a
/// warning where that merges clips.
///
/// A clip without a label (an empty cell, null, NaN, and what else pandas reads as missing) is
/// clustered and not scored; one without a group is a recording of its own; a missing feature or
/// `clip_id` is an error.
///
/// Source: the Parquet of Apache, CSV as RFC 4180 describes it, and NumPy's format NPY 1.0 to 3.0.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// A file ending in parquet, csv or npy.
    pub path: String,
    /// The columns that are features, in this order; a name that ends in `*` stands for all that begin
    /// so. Default: all columns that are nothing else.
    #[serde(default)]
    pub features: Option<Vec<String>>,
    /// The column that names the clips. Default: `clip_id`, if there is one.
    #[serde(default)]
    pub clip_id: Option<String>,
    /// The column of the classes. Default: `label`, if there is one.
    #[serde(default)]
    pub label: Option<String>,
    /// The column that says which recording a clip was cut from. Default: `group`, if there is one.
    #[serde(default)]
    pub group: Option<String>,
    /// True if the first line of CSV names the columns; if false, they are named 0, 1, 2 and so on.
    /// Default: true unless it holds numbers; where that leaves a doubt, it is an error.
    #[serde(default)]
    pub header: Option<bool>,
    /// The largest size to which the file may unfold in memory, in MiB. Default: 256, or 50 times the file if that is
    /// more.
    #[serde(default)]
    pub max_unfolded_mib: Option<NonZeroU32>,
}

impl Op for Matrix {
    const NAME: &'static str = "matrix";
    const VERSION: u32 = 2;
    const GROUPS: bool = true;
    const INPUTS: &'static [Port] = &[];
    const OUTPUTS: &'static [Port] = &[
        Port::new("features", &[Kind::Matrix], "the numbers of each row"),
        Port::optional("labels", &[Kind::Labels], "the column `label`, if there is one"),
    ];

    fn class(&self) -> Option<&str> {
        self.label.as_deref()
    }

    fn sources(&self) -> Vec<Source> {
        vec![Source {
            param: "path",
            path: self.path.clone().into(),
            select: Select::File,
            missing: Some("give `path` a Parquet, CSV or NPY file of features"),
        }]
    }

    fn check(&self, _inputs: &[Option<Shape>]) -> Result<Vec<Shape>, OpError> {
        self.format()?;
        Ok(vec![Shape::of(Kind::Matrix), Shape::of(Kind::Labels)])
    }

    fn run(&self, inputs: &Inputs<'_>, cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let format = self.format()?;
        let bytes = inputs.first_file(&self.path)?;
        let bytes = bytes.ok_or_else(|| self.error("is not there".to_owned()))?;
        cx.stop_if_cancelled()?;
        let set = self.max_unfolded_mib.map(NonZeroU32::get);
        let mut room = SizeLimit::of(bytes.len() as u64, set);
        let error = |reason: String| self.error(reason);
        let unreadable = |reason: String| {
            self.error(reason)
                .help("write the file again: CSV as UTF-8 text with commas, Parquet, or NPY")
        };
        let mut notes = Vec::new();
        let table = match format {
            Format::Npy => {
                return self.outputs(
                    None,
                    vec![npy(&bytes).map_err(unreadable)?],
                    None,
                    None,
                    notes,
                );
            }
            Format::Csv => {
                let table = CsvTable::read(&bytes).map_err(unreadable)?;
                let table = columns::headed(table, self.header, &mut notes);
                ExternalTable::Csv(table.map_err(error)?)
            }
            Format::Parquet => {
                ExternalTable::Parquet(ParquetTable::open(bytes).map_err(unreadable)?)
            }
        };
        cx.stop_if_cancelled()?;
        if table.rows() == 0 {
            return Err(error("has no row".to_owned()));
        }
        let Columns { clip_id, label, group, features } =
            Columns::of(&table, self, &mut notes).map_err(error)?;
        let mut text = |at: Option<usize>| {
            at.map(|at| table.text(at, &mut room)).transpose().map_err(|reason| self.error(reason))
        };
        let (clip_id, label, group) = (text(clip_id)?, text(label)?, text(group)?);
        let features = columns::read(&table, &features, self.features.is_some(), &mut room);
        self.outputs(clip_id, features.map_err(error)?, label, group, notes)
    }
}

enum Format {
    Parquet,
    Csv,
    Npy,
}

/// A column of features with its name for messages.
pub(super) type Named = (String, Cells);

impl Matrix {
    /// The format of the file, by its extension.
    fn format(&self) -> Result<Format, OpError> {
        let ending = Path::new(&self.path).extension().unwrap_or_default().to_ascii_lowercase();
        match ending.to_str() {
            Some("parquet" | "pq") => Ok(Format::Parquet),
            Some("csv") => Ok(Format::Csv),
            Some("npy") => Ok(Format::Npy),
            _ => Err(OpError::param("path", format!("`{}` is of no known format", self.path))
                .help("its name should end in `.parquet`, `.csv` or `.npy`")),
        }
    }

    fn error(&self, reason: String) -> OpError {
        OpError::param("path", format!("`{}` {reason}", self.path)).help(
            "a row is a clip; every column but `clip_id`, `label` and `group` is a feature, unless \
             `features: [..]`, `clip_id:`, `label:` and `group:` name the columns",
        )
    }

    fn outputs(
        &self,
        clip_id: Option<Cells>,
        features: Vec<Named>,
        label: Option<Cells>,
        group: Option<Cells>,
        mut notes: Vec<String>,
    ) -> Result<Outputs, OpError> {
        let error = |reason: String| self.error(reason);
        let rows = features.first().map_or(0, |(_, cells)| cells.rows());
        let ids = match clip_id {
            Some(cells) => ids(cells).map_err(error)?,
            None => (0..rows).map(|row| row.to_string()).collect(),
        };
        let mut faults = Vec::new();
        for (name, cells) in &features {
            faults.extend(unfit(name, cells, &ids));
            notes.extend(merged(name, cells, &ids));
        }
        if !faults.is_empty() {
            return Err(error(listed(&faults)).help("every feature must be a finite number"));
        }
        let (width, values) = side_by_side(features);
        if width == 0 || rows == 0 {
            return Err(error("holds no number".to_owned()));
        }
        let table = Table::new().with_text("clip_id", ids.iter().cloned());
        let mut matrix =
            Artifact::table(Kind::Matrix, table.with_array("features", vec![width], values));
        if !notes.is_empty() {
            matrix = matrix.with_meta("warning", notes.join("; "));
        }
        let outputs = Outputs::new().with("features", matrix);
        let Some(label) = label else { return Ok(outputs) };
        let unlabelled = label.missing.len();
        let label = text(label);
        let group = group.and_then(|group| missing::groups(&ids, &text(group)));
        let mut labels = Table::new().with_text("clip_id", ids).with_text("label", label);
        if let Some(group) = group {
            labels = labels.with_text("group", group);
        }
        let mut labels = Artifact::table(Kind::Labels, labels);
        if unlabelled > 0 {
            let left_out = format!(
                "{unlabelled} of {rows} clips have no label: they are clustered, and left out where \
                 clusters are compared with labels"
            );
            labels = labels.with_meta("warning", left_out);
        }
        Ok(outputs.with("labels", labels))
    }
}

/// The names of clips, which must all be present and distinct.
fn ids(cells: Cells) -> Result<Vec<String>, String> {
    if let Some(row) = cells.missing.first() {
        let more = match cells.missing.len() - 1 {
            0 => String::new(),
            more => format!(", nor in {more} more"),
        };
        return Err(format!("has no `clip_id` in row {}{more}", row + 1));
    }
    let ids = text(cells);
    let mut seen = HashSet::new();
    match ids.iter().find(|id| !seen.insert(id.as_str())) {
        Some(twice) => Err(format!("has the clip `{twice}` twice")),
        None => Ok(ids),
    }
}

/// Cells that were read as text; empty if a value is missing.
fn text(cells: Cells) -> Vec<String> {
    let Values::Text(mut values) = cells.values else { panic!("BUG: cells that are no text") };
    cells.missing.iter().for_each(|&row| values[row].clear());
    values
}

/// The error of a column of numbers with missing or infinite values, if any.
fn unfit(name: &str, cells: &Cells, ids: &[String]) -> Option<String> {
    if let Some(&row) = cells.missing.first() {
        let more = and_more(cells.missing.len() - 1);
        return Some(format!("has no value in {name} of clip `{}`{more}", ids[row]));
    }
    let bad = |value: f64| !(value as f32).is_finite();
    let describe = |value: f64| match value.is_finite() {
        true => format!("{value:e}, beyond single precision,"),
        false => value.to_string(),
    };
    match &cells.values {
        Values::Text(_) => Some(format!("has text in {name}, which should be a feature")),
        Values::Whole(_) => None,
        Values::Real(values) => {
            let row = values.iter().position(|&value| bad(value))?;
            let more = and_more(values[row + 1..].iter().filter(|&&value| bad(value)).count());
            Some(format!("has {} in {name} of clip `{}`{more}", describe(values[row]), ids[row]))
        }
        Values::List(width, numbers) => {
            let (at, value) = match numbers {
                Numbers::Single(values) => {
                    let at = values.iter().position(|value| !value.is_finite())?;
                    (at, values[at].into())
                }
                Numbers::Double(values) => {
                    let at = values.iter().position(|&value| bad(value))?;
                    (at, values[at])
                }
            };
            let (row, place) = (at / width, at % width);
            Some(format!(
                "has {} in number {place} of {name} of clip `{}`",
                describe(value),
                ids[row]
            ))
        }
    }
}

/// The warning on clips that become equal in single precision, if any.
fn merged(name: &str, cells: &Cells, ids: &[String]) -> Option<String> {
    let (name, rows) = match &cells.values {
        Values::Real(values) if !precision::columns_at_risk(values, 1).is_empty() => {
            (name.to_owned(), precision::merged(values))
        }
        Values::Whole(values) => (name.to_owned(), precision::merged_integers(values)),
        Values::List(width, Numbers::Double(values)) => {
            let column =
                |at: usize| values[at..].iter().step_by(*width).copied().collect::<Vec<_>>();
            let lost = precision::columns_at_risk(values, *width);
            let mut lost = lost.into_iter().map(|at| (at, precision::merged(&column(at))));
            let (at, rows) = lost.find(|(_, rows)| !rows.is_empty())?;
            (format!("number {at} of {name}"), rows)
        }
        _ => return None,
    };
    let shown: Vec<_> = rows.iter().take(SHOWN).map(|&row| format!("`{}`", ids[row])).collect();
    let more = match rows.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!rows.is_empty()).then(|| {
        format!(
            "in single precision clips that differ in {name} become equal: {}{more}; subtract an offset \
             from the column first",
            shown.join(", ")
        )
    })
}

fn and_more(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" and of {more} more") }
}

/// Diagnostics in one sentence, which lists only the first of them.
fn listed(faults: &[String]) -> String {
    const LISTED: usize = 10;
    let mut text = faults[..faults.len().min(LISTED)].join("; ");
    if faults.len() > LISTED {
        text.push_str(&format!("; and {} more", faults.len() - LISTED));
    }
    text
}

/// All features, row after row, with the number of features in a row.
fn side_by_side(mut features: Vec<Named>) -> (usize, Vec<f32>) {
    let width = |cells: &Cells| match cells.values {
        Values::List(width, _) => width,
        _ => 1,
    };
    let single = |cells: Cells| match cells.values {
        Values::List(_, numbers) => numbers.into_single(),
        Values::Whole(values) => values.into_iter().map(|value| value as f32).collect(),
        Values::Real(values) => Numbers::Double(values).into_single(),
        Values::Text(_) => panic!("BUG: text was refused"),
    };
    if features.len() == 1 {
        let (_, cells) = features.remove(0);
        return (width(&cells), single(cells));
    }
    let columns: Vec<_> =
        features.into_iter().map(|(_, cells)| (width(&cells), single(cells))).collect();
    let total = columns.iter().map(|(width, _)| width).sum();
    let rows = columns.first().map_or(0, |(width, values)| values.len() / width);
    let mut values = Vec::with_capacity(total * rows);
    for row in 0..rows {
        for (width, column) in &columns {
            values.extend_from_slice(&column[row * width..][..*width]);
        }
    }
    (total, values)
}

/// Reads the array of an NPY file.
fn npy(bytes: &[u8]) -> Result<Named, String> {
    let (rows, width, numbers) = numpy::read_matrix(bytes)?;
    if rows == 0 || width == 0 {
        return Err(format!("holds an array of shape {rows} × {width}, without a number"));
    }
    Ok(("a row".to_owned(), Cells { values: Values::List(width, numbers), missing: Vec::new() }))
}
