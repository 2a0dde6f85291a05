//! Features from elsewhere, as a table or an array in a file.

use crate::{Ctx, Inputs, Op, OpError, Outputs, Port, Select, Source, math::numpy};
use cache::{Artifact, Column, Kind, Shape, Table, verified::Watched};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, path::Path};

/// Columns that are not features.
const NAMED: [&str; 3] = ["clip_id", "label", "group"];

/// Features computed elsewhere, from a Parquet, CSV or NPY file.
///
/// One row a clip. In Parquet and CSV every column of numbers is a feature, in order, except
/// `clip_id` (default: the number of the row), `label` and `group`; a Parquet column of arrays
/// brings as many features as an array has numbers. NPY holds one row of features a clip, or one
/// feature a clip if it has one axis; f32, f64 and whole numbers, in C or Fortran order. Numbers
/// are kept in single precision.
///
/// Source: the Parquet of Apache, CSV as RFC 4180 describes it, and NumPy's format NPY 1.0 to 3.0.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// A file ending in parquet, csv or npy.
    pub path: String,
}

impl Op for Matrix {
    const NAME: &'static str = "matrix";
    const VERSION: u32 = 1;
    const INPUTS: &'static [Port] = &[];
    const OUTPUTS: &'static [Port] = &[
        Port::new("features", &[Kind::Matrix], "the numbers of each row"),
        Port::optional("labels", &[Kind::Labels], "the column `label`, if there is one"),
    ];

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

    fn run(&self, inputs: &Inputs<'_>, _cx: &Ctx<'_>) -> Result<Outputs, OpError> {
        let read = self.format()?;
        let fault = |reason: String| {
            OpError::param("path", format!("`{}` {reason}", self.path)).help(
                "a row is a clip; every column but `clip_id`, `label` and `group` is a feature",
            )
        };
        let file = inputs.files().first().ok_or_else(|| fault("is not there".to_owned()))?;
        let unread = |why| {
            OpError::failure(format!("`{}` {why}", self.path))
                .help("check that it is there and that nothing writes to it, then run again")
        };
        let watched = Watched::open(&file.path, &file.digest).map_err(unread)?;
        let table = read(&file.path);
        watched.check().map_err(unread)?;
        let table = table.map_err(fault)?;
        let ids = ids(&table).map_err(fault)?;
        let (width, values) = features(&table).map_err(fault)?;
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let (row, column) = (at / width, at % width);
            let reason = format!("has {} in feature {column} of clip `{}`", values[at], ids[row]);
            return Err(fault(reason).help("every feature must be a finite number"));
        }
        let features = Table::new().with_text("clip_id", ids.clone()).with_array(
            "features",
            vec![width],
            values,
        );
        let outputs = Outputs::new().with("features", Artifact::table(Kind::Matrix, features));
        let Some(label) = table.column("label") else { return Ok(outputs) };
        let mut labels = Table::new().with_text("clip_id", ids).with_text("label", text(label));
        if let Some(group) = table.column("group") {
            labels = labels.with_text("group", text(group));
        }
        Ok(outputs.with("labels", Artifact::table(Kind::Labels, labels)))
    }
}

type Read = fn(&Path) -> Result<Table, String>;

impl Matrix {
    /// How to read the file, by its ending.
    fn format(&self) -> Result<Read, OpError> {
        let ending = Path::new(&self.path).extension().unwrap_or_default().to_ascii_lowercase();
        match ending.to_str() {
            Some("parquet" | "pq") => Ok(cache::parquet::read_foreign),
            Some("csv") => Ok(|path| read_csv(&read(path)?)),
            Some("npy") => Ok(|path| read_npy(&read(path)?)),
            _ => Err(OpError::param("path", format!("`{}` is of no known format", self.path))
                .help("its name should end in `.parquet`, `.csv` or `.npy`")),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))
}

/// Names of the clips: the column `clip_id`, or the numbers of the rows.
pub(crate) fn ids(table: &Table) -> Result<Vec<String>, String> {
    let Some(column) = table.column("clip_id") else {
        return Ok((0..table.rows()).map(|row| row.to_string()).collect());
    };
    let ids = text(column);
    let mut seen = HashSet::new();
    match ids.iter().find(|id| !seen.insert(id.as_str())) {
        Some(twice) => Err(format!("has the clip `{twice}` twice")),
        None => Ok(ids),
    }
}

pub(crate) fn text(column: &Column) -> Vec<String> {
    match column {
        Column::Text(values) => values.clone(),
        Column::Int(values) => values.iter().map(i64::to_string).collect(),
        Column::Real(values) => values.iter().map(f64::to_string).collect(),
        Column::Array(array) => {
            (0..array.rows()).map(|row| format!("{:?}", array.row(row))).collect()
        }
    }
}

/// All features, row after row, and how many a row has.
pub(crate) fn features(table: &Table) -> Result<(usize, Vec<f32>), String> {
    let columns: Vec<_> = table.columns().filter(|(name, _)| !NAMED.contains(name)).collect();
    let mut words = columns.iter().filter(|(_, column)| matches!(column, Column::Text(_)));
    if let Some((name, _)) = words.next() {
        return Err(format!("has text in column `{name}`, which should be a feature"));
    }
    let width: usize = columns
        .iter()
        .map(|(_, column)| match column {
            Column::Array(array) => array.width(),
            _ => 1,
        })
        .sum();
    if width == 0 {
        return Err("has no column of features".to_owned());
    }
    if table.rows() == 0 {
        return Err("has no row".to_owned());
    }
    let mut values = Vec::with_capacity(width * table.rows());
    for row in 0..table.rows() {
        for (_, column) in &columns {
            match column {
                Column::Int(column) => values.push(column[row] as f32),
                Column::Real(column) => values.push(column[row] as f32),
                Column::Array(array) => values.extend(array.row(row)),
                Column::Text(_) => panic!("BUG: text was refused"),
            }
        }
    }
    Ok((width, values))
}

/// A table of CSV: the named columns are text, all others numbers.
fn read_csv(bytes: &[u8]) -> Result<Table, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let headers = reader.headers().map_err(csv_fault)?.clone();
    let mut texts = vec![Vec::new(); headers.len()];
    let mut numbers = vec![Vec::new(); headers.len()];
    let mut seen = HashSet::new();
    if let Some(twice) = headers.iter().find(|name| !seen.insert(*name)) {
        return Err(format!("has the column `{twice}` twice"));
    }
    for record in reader.records() {
        let record = record.map_err(csv_fault)?;
        let line = record.position().map_or(0, csv::Position::line);
        for (at, (name, field)) in headers.iter().zip(&record).enumerate() {
            if NAMED.contains(&name) {
                texts[at].push(field.to_owned());
                continue;
            }
            let number = field.parse::<f64>().map_err(|_| {
                format!("has `{field}` in column `{name}` of line {line}, not a number")
            })?;
            numbers[at].push(number);
        }
    }
    let columns = texts.into_iter().zip(numbers);
    Ok(headers.iter().zip(columns).fold(Table::new(), |table, (name, (texts, numbers))| {
        if NAMED.contains(&name) {
            table.with_text(name, texts)
        } else {
            table.with_reals(name, numbers)
        }
    }))
}

fn csv_fault(fault: csv::Error) -> String {
    match fault.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!("has {len} fields in line {line}, not {expected_len}")
        }
        csv::ErrorKind::Utf8 { pos, .. } => {
            format!("is not UTF-8 text (line {})", pos.as_ref().map_or(0, csv::Position::line))
        }
        _ => format!("is not CSV: {fault}"),
    }
}

/// The one array of an NPY file as a table with the column `features`.
fn read_npy(bytes: &[u8]) -> Result<Table, String> {
    let (rows, width, values) = numpy::read_matrix(bytes)?;
    if rows == 0 || width == 0 {
        return Err(format!("holds an array of shape {rows} × {width}, without a number"));
    }
    Ok(Table::new().with_array("features", vec![width], values))
}
