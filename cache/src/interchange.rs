//! Interchange of tables with other programs.

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
    /// A CSV table; the type of a column is known only once it is read.
    Csv(CsvTable),
    /// A Parquet table.
    Parquet(ParquetTable),
}

/// The type of a column of Parquet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Text, including categories.
    Text,
    /// Whole numbers, including booleans.
    Whole,
    /// Real numbers, including decimals.
    Real,
    /// Lists of numbers.
    List,
    /// A type that no artifact can hold, such as `timestamp`.
    Other(String),
}

/// The values of a column, and the rows without a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    /// A value for each row; the value of a missing cell is any text that means so, 0 or NaN.
    pub values: Values,
    /// Rows without a value, in order; [`crate::missing`] defines them.
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
    /// Lists of one width, concatenated.
    List(usize, Numbers),
}

/// Numbers in the precision of the file.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// In single precision.
    Single(Vec<f32>),
    /// In double precision.
    Double(Vec<f64>),
}

/// The number of bytes that a reader may still expand from a file.
#[derive(Clone, Copy, Debug)]
pub struct SizeLimit {
    /// Bytes in memory.
    pub bytes: u64,
}

impl SizeLimit {
    /// The limit for a file of `size` bytes: `set` in MiB, or by default 256 MiB or 50 times the
    /// file, whichever is more. Compression halves recordings and makes tables ten times smaller; a
    /// file that expands a hundredfold is damaged or made to exhaust memory.
    pub fn of(size: u64, set: Option<u32>) -> Self {
        const LEAST: u64 = 256 << 20;
        const TIMES: u64 = 50;
        let usual = size.saturating_mul(TIMES).max(LEAST);
        Self { bytes: set.map_or(usual, |mib| u64::from(mib) << 20) }
    }

    /// Takes so many bytes from the limit.
    ///
    /// # Errors
    /// The end of a sentence about the file, if the limit is exceeded.
    pub fn take(&mut self, bytes: u64) -> Result<(), String> {
        self.fits(bytes)?;
        self.bytes -= bytes;
        Ok(())
    }

    /// Checks that so many bytes are within the limit, without taking them.
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

    /// The number of rows.
    pub fn rows(&self) -> usize {
        match self {
            ExternalTable::Csv(table) => table.rows(),
            ExternalTable::Parquet(table) => table.rows(),
        }
    }

    /// The type of a column, if it is known without reading the column.
    pub fn holds(&self, column: usize) -> Option<ColumnType> {
        match self {
            ExternalTable::Csv(_) => None,
            ExternalTable::Parquet(table) => Some(table.holds(column)),
        }
    }

    /// True if a column is an index that pandas wrote, not a column of the data frame.
    pub fn is_index(&self, column: usize) -> bool {
        match self {
            // `to_csv` writes an index without a name as a first column without a name, which
            // `read_csv` then calls `Unnamed: 0`.
            ExternalTable::Csv(table) => {
                let name = &table.names()[column];
                (column == 0 && name.is_empty()) || name.starts_with("Unnamed: ")
            }
            ExternalTable::Parquet(table) => table.is_index(column),
        }
    }

    /// A column as text, whatever its type.
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

/// The file name extension of an artifact.
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

/// Reads all columns of a Parquet table that any program wrote, except a pandas index, which only
/// counts rows; an index named `clip_id` is read.
///
/// # Errors
/// When the file is not Parquet, or a column has a type that an artifact cannot hold or a missing
/// value; all such columns are named.
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
    /// The number of rows.
    pub fn rows(&self) -> usize {
        match &self.values {
            Values::Text(values) => values.len(),
            Values::Whole(values) => values.len(),
            Values::Real(values) => values.len(),
            Values::List(width, numbers) => numbers.len() / width,
        }
    }

    /// The column of an artifact. Only texts and real numbers may be missing.
    ///
    /// # Errors
    /// The number of missing values, if the type does not allow any.
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
    /// The number of values.
    pub fn len(&self) -> usize {
        match self {
            Numbers::Single(values) => values.len(),
            Numbers::Double(values) => values.len(),
        }
    }

    /// True if there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values rounded to single precision.
    pub fn into_single(self) -> Vec<f32> {
        match self {
            Numbers::Single(values) => values,
            Numbers::Double(values) => values.into_iter().map(|value| value as f32).collect(),
        }
    }
}
