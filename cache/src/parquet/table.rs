//! A Parquet file of any program: its schema is read first, then the columns that are asked for.

use super::{
    decode::{self, Chunk, cells},
    metadata_of,
    types::{self, holds},
};
use crate::{
    cells::{Cells, ColumnType, SizeLimit},
    panics,
};
use polars_arrow::datatypes::Field;
use polars_buffer::Buffer;
use polars_parquet::read::{
    ColumnChunkMetadata, FileMetadata, PrimitiveLogicalType as Logical, infer_schema,
};
use rayon::prelude::*;
use std::{collections::HashSet, io::Cursor};

/// A Parquet file in memory, not decoded yet.
pub struct ParquetTable {
    bytes: Buffer<u8>,
    metadata: FileMetadata,
    fields: Vec<Field>,
    index: HashSet<String>,
}

impl ParquetTable {
    /// Reads the schema.
    ///
    /// # Errors
    /// When the bytes are not a Parquet file, or two columns have the same name.
    pub fn open(bytes: Vec<u8>) -> Result<Self, String> {
        let metadata = metadata_of(&mut Cursor::new(&bytes))?;
        let mut seen = HashSet::new();
        let mut names = metadata.schema().fields().iter().map(|field| field.name());
        if let Some(twice) = names.find(|name| !seen.insert(*name)) {
            return Err(format!("has the column `{twice}` twice"));
        }
        let schema = panics::catch(|| infer_schema(&metadata));
        let schema = schema.map_err(|_| "its schema is damaged".to_owned())?;
        let schema = schema.map_err(|error| format!("its schema is damaged: {error}"))?;
        let half: HashSet<&str> = metadata
            .schema()
            .columns()
            .iter()
            .filter(|leaf| leaf.descriptor.primitive_type.logical_type == Some(Logical::Float16))
            .map(|leaf| leaf.path_in_schema[0].as_str())
            .collect();
        let field = |field: &Field| match half.contains(field.name.as_str()) {
            true => types::half_precision(types::plain(field.clone())),
            false => types::plain(field.clone()),
        };
        let fields: Vec<Field> = schema.iter_values().map(field).collect();
        let own = metadata.schema().fields().iter().map(|field| field.name());
        if !fields.iter().map(|field| field.name.as_str()).eq(own) {
            return Err("its schema is damaged: two lists of its columns differ".to_owned());
        }
        let index = index_of(&metadata);
        Ok(Self { bytes: Buffer::from(bytes), metadata, fields, index })
    }

    /// The names of the columns.
    pub fn names(&self) -> Vec<String> {
        self.fields.iter().map(|field| field.name.to_string()).collect()
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.metadata.row_groups.iter().map(|group| group.num_rows()).fold(0, usize::saturating_add)
    }

    /// The type of a column.
    pub fn holds(&self, column: usize) -> ColumnType {
        holds(&self.fields[column].dtype)
    }

    /// True if pandas marks a column as the index of the data frame.
    pub fn is_index(&self, column: usize) -> bool {
        let name = self.fields[column].name.as_str();
        name.starts_with("__index_level_") || self.index.contains(name)
    }

    /// A column as text, whatever its type.
    ///
    /// # Errors
    /// When it is of another type, damaged, or exceeds the limit.
    pub fn text(&self, column: usize, room: &mut SizeLimit) -> Result<Cells, String> {
        self.read(column, true, room)
    }

    /// A column in its own type.
    ///
    /// # Errors
    /// When it is of another type, damaged, or exceeds the limit.
    pub fn values(&self, column: usize, room: &mut SizeLimit) -> Result<Cells, String> {
        self.read(column, false, room)
    }

    fn read(&self, column: usize, as_text: bool, room: &mut SizeLimit) -> Result<Cells, String> {
        let field = &self.fields[column];
        let read = |room: &mut SizeLimit| {
            // An unsupported type is reported before its pages are read.
            if let ColumnType::Other(_) = holds(&field.dtype) {
                return cells(&[], field, as_text, room);
            }
            let chunk = |group| Chunk::of(group, &field.name, |chunk| self.bytes_of(chunk));
            let groups = &self.metadata.row_groups;
            let chunks = groups.iter().map(|group| Ok((group.num_rows(), chunk(group)?)));
            let chunks = chunks.collect::<Result<Vec<_>, String>>()?;
            chunks.iter().try_for_each(|(rows, chunk)| chunk.limit_size(field, *rows, room))?;
            let arrays = chunks.par_iter().map(|(_, chunk)| chunk.decode(field));
            let arrays: Vec<_> =
                arrays.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
            let rows: usize = arrays.iter().map(|array| array.len()).sum();
            if rows != self.rows() {
                return Err(format!("it has {rows} rows of {}", self.rows()));
            }
            cells(&arrays, field, as_text, room)
        };
        // An error that is not a panic may concern the whole file.
        let read = panics::catch(|| read(room)).unwrap_or_else(|_| Err(decode::DAMAGED.to_owned()));
        read.map_err(|error| match error.starts_with("unfolds") {
            true => error,
            false => format!("column `{}`: {error}", field.name),
        })
    }

    fn bytes_of(&self, chunk: &ColumnChunkMetadata) -> Result<Buffer<u8>, String> {
        let place = chunk.byte_range();
        let (start, end) = (usize::try_from(place.start), usize::try_from(place.end));
        match (start, end) {
            (Ok(start), Ok(end)) if start <= end && end <= self.bytes.len() => {
                Ok(self.bytes.clone().sliced(start..end))
            }
            _ => Err(decode::DAMAGED.to_owned()),
        }
    }
}

/// The names of the index columns, from the metadata that pandas writes into the file.
fn index_of(metadata: &FileMetadata) -> HashSet<String> {
    let mut pairs = metadata.key_value_metadata().iter().flatten();
    let text = pairs.find(|pair| pair.key == "pandas").and_then(|pair| pair.value.as_deref());
    let about = text.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
    let columns = about.as_ref().and_then(|about| about["index_columns"].as_array());
    // A range index is an object in the metadata and has no column.
    let names = columns.into_iter().flatten().filter_map(serde_json::Value::as_str);
    names.map(str::to_owned).collect()
}
