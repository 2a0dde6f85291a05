//! Tables that other programs write and read.

use crate::{
    Array, Artifact, Column, Data, Table,
    csv::CsvTable,
    parquet::{self, ParquetTable},
    tensors,
};
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

#[expect(clippy::large_enum_variant, reason = "a table is opened once, not kept by the thousand")]
/// A table that another program wrote: its columns are known, and read when they are asked for.
pub enum ExternalTable {
    /// As CSV: what a column holds, only reading it tells.
    Csv(CsvTable),
    /// As Parquet.
    Parquet(ParquetTable),
}

/// What a column of Parquet holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Text; categories count.
    Text,
    /// Whole numbers; true and false count.
    Whole,
    /// Real numbers; decimals count.
    Real,
    /// Lists of numbers.
    List,
    /// Something that no artifact holds, such as `timestamp`.
    Other(String),
}

/// The values of a column, and the rows of which there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    /// A value for each row; one that is missing is any text that means so, 0 or NaN.
    pub values: Values,
    /// Rows without a value, in order; [`crate::missing`] says which those are.
    pub missing: Vec<usize>,
}

/// The values of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Text.
    Text(Vec<String>),
    /// Whole numbers.
    Whole(Vec<i64>),
    /// Real numbers.
    Real(Vec<f64>),
    /// Lists of one width, one after the other.
    List(usize, Numbers),
}

/// Numbers as exact as the file has them.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// In single precision.
    Single(Vec<f32>),
    /// In double precision.
    Double(Vec<f64>),
}

/// How much a reader may unfold from a file.
#[derive(Clone, Copy, Debug)]
pub struct SizeLimit {
    /// Bytes in memory.
    pub bytes: u64,
}

impl SizeLimit {
    /// For a file of this size: what was set, in MiB, or else 256 MiB or 50 times the file, whichever is
    /// more. Recordings shrink to a half and tables to a tenth; what shrinks a hundredfold is damaged,
    /// or was made to fill a memory.
    pub fn of(size: u64, set: Option<u32>) -> Self {
        const LEAST: u64 = 256 << 20;
        const TIMES: u64 = 50;
        let usual = size.saturating_mul(TIMES).max(LEAST);
        Self { bytes: set.map_or(usual, |mib| u64::from(mib) << 20) }
    }

    /// SizeLimit for so much.
    ///
    /// # Errors
    /// The end of a sentence about the file, if it is too much.
    pub fn take(&mut self, bytes: u64) -> Result<(), String> {
        self.fits(bytes)?;
        self.bytes -= bytes;
        Ok(())
    }

    /// Whether there is room for so much.
    ///
    /// # Errors
    /// As [`SizeLimit::take`].
    pub fn fits(&self, bytes: u64) -> Result<(), String> {
        if bytes <= self.bytes {
            return Ok(());
        }
        Err(format!(
            "unfolds to more than it may: {} MiB where {} MiB are left (`max_unfolded_mib` sets more)",
            bytes.div_ceil(1 << 20),
            self.bytes >> 20
        ))
    }
}

impl ExternalTable {
    /// The names of the columns, in order; a blank one may come several times.
    pub fn names(&self) -> Vec<String> {
        match self {
            ExternalTable::Csv(table) => table.names().to_vec(),
            ExternalTable::Parquet(table) => table.names(),
        }
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        match self {
            ExternalTable::Csv(table) => table.rows(),
            ExternalTable::Parquet(table) => table.rows(),
        }
    }

    /// What a column holds, if that is known without reading it.
    pub fn holds(&self, column: usize) -> Option<ColumnType> {
        match self {
            ExternalTable::Csv(_) => None,
            ExternalTable::Parquet(table) => Some(table.holds(column)),
        }
    }

    /// Whether a column is an index that pandas wrote, and no column of the data frame.
    pub fn is_index(&self, column: usize) -> bool {
        match self {
            // `to_csv` writes an index without a name as a first column without one, and `read_csv`
            // then calls it `Unnamed: 0`.
            ExternalTable::Csv(table) => {
                let name = &table.names()[column];
                (column == 0 && name.is_empty()) || name.starts_with("Unnamed: ")
            }
            ExternalTable::Parquet(table) => table.is_index(column),
        }
    }

    /// A column as text, whatever it holds.
    ///
    /// # Errors
    /// When it cannot be read as such; the end of a sentence about the file.
    pub fn text(&self, column: usize, room: &mut SizeLimit) -> Result<Cells, String> {
        match self {
            ExternalTable::Csv(table) => Ok(table.text(column)),
            ExternalTable::Parquet(table) => table.text(column, room),
        }
    }

    /// A column as numbers: whole, real, or lists.
    ///
    /// # Errors
    /// When it holds something else; the end of a sentence about the file.
    pub fn numbers(&self, column: usize, room: &mut SizeLimit) -> Result<Cells, String> {
        match self {
            ExternalTable::Csv(table) => table.reals(column),
            ExternalTable::Parquet(table) => {
                let cells = table.values(column, room)?;
                match cells.values {
                    Values::Text(_) => Err(format!(
                        "has text in column `{}`, which should be a feature",
                        self.names()[column]
                    )),
                    _ => Ok(cells),
                }
            }
        }
    }
}

/// The ending of the file of an artifact.
pub fn extension(artifact: &Artifact) -> &'static str {
    match artifact.data {
        Data::Table(_) => "parquet",
        Data::Tensors(_) => "safetensors",
    }
}

/// Writes an artifact as Parquet, or as safetensors if it holds tensors: the same file that the
/// store keeps, but not synced to the disk.
///
/// # Errors
/// When the file system refuses.
pub fn write(path: &Path, artifact: &Artifact) -> Result<(), String> {
    let io = |fault: std::io::Error| fault.to_string();
    match &artifact.data {
        Data::Table(table) => {
            let file = File::create(path).map_err(io)?;
            let mut file = BufWriter::with_capacity(1 << 20, file);
            parquet::write(&mut file, artifact, table)?;
            file.flush().map_err(io)
        }
        Data::Tensors(tensors) => {
            let info = serde_json::json!({ "kind": artifact.kind, "meta": artifact.meta });
            fs::write(path, tensors::to_bytes(tensors, &info.to_string())?).map_err(io)
        }
    }
}

/// Reads all columns of a table that any program wrote as Parquet, but for an index of pandas: that
/// counts rows, unless it is named `clip_id`.
///
/// # Errors
/// When it is no Parquet file, or a column is of a type that an artifact cannot hold, or has no value
/// somewhere; all such columns are named.
pub fn read(path: &Path) -> Result<Table, String> {
    let bytes = fs::read(path).map_err(|fault| fault.to_string())?;
    let mut room = SizeLimit::of(bytes.len() as u64, None);
    let table = ParquetTable::open(bytes)?;
    let (mut read, mut faults) = (Table::new(), Vec::new());
    for (at, name) in table.names().iter().enumerate() {
        if table.is_index(at) && name != "clip_id" {
            continue;
        }
        let column = table.values(at, &mut room).and_then(|cells| cells.into_column(name));
        match column {
            Ok(column) => read = read.with(name, column),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(read) } else { Err(faults.join("; ")) }
}

impl Cells {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        match &self.values {
            Values::Text(values) => values.len(),
            Values::Whole(values) => values.len(),
            Values::Real(values) => values.len(),
            Values::List(width, numbers) => numbers.len() / width,
        }
    }

    /// The column of an artifact; texts and real numbers may be missing in it, others not.
    ///
    /// # Errors
    /// How many values are missing.
    pub fn into_column(self, name: &str) -> Result<Column, String> {
        let may_lack = matches!(self.values, Values::Text(_) | Values::Real(_));
        if !self.missing.is_empty() && !may_lack {
            return Err(format!(
                "column `{name}`: {} of its values are missing",
                self.missing.len()
            ));
        }
        Ok(match self.values {
            Values::Text(values) => Column::Text(values),
            Values::Whole(values) => Column::Int(values),
            Values::Real(values) => Column::Real(values),
            Values::List(width, numbers) => {
                Column::Array(Array::new([width], numbers.into_single()))
            }
        })
    }
}

impl Numbers {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Numbers::Single(values) => values.len(),
            Numbers::Double(values) => values.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The nearest numbers in single precision.
    pub fn into_single(self) -> Vec<f32> {
        match self {
            Numbers::Single(values) => values,
            Numbers::Double(values) => values.into_iter().map(|value| value as f32).collect(),
        }
    }
}
