//! Interchange of tables with other programs.

use crate::{
    Artifact, Data, Table,
    cells::{Cells, ColumnType, SizeLimit, Values},
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
    let io = |error: std::io::Error| error.to_string();
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
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
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
            Err(error) => faults.push(error),
        }
    }
    if faults.is_empty() { Ok(read) } else { Err(faults.join("; ")) }
}
