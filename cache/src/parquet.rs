//! Tables as Parquet files: the only module that uses polars.
//!
//! An array column of any shape is one `Array(f32, width)` column, which pandas, polars and DuckDB
//! open; its shape, the kind and the metadata are in the file's metadata under `engine`.

mod decode;
mod table;
mod types;
mod wide;

pub use table::ParquetTable;

use crate::{
    Array, Artifact, Column, Kind, Meta, Table,
    cells::{Cells, SizeLimit, Values},
    panics,
};
use decode::Chunk;
use polars_arrow::{
    array::{PrimitiveArray, Utf8ViewArray},
    datatypes::{ArrowDataType, Field},
};
use polars_buffer::Buffer;
use polars_error::PolarsError;
use polars_parquet::{
    parquet::{
        metadata::{ColumnChunkMetadata, FileMetadata, KeyValue, SchemaDescriptor},
        page::CompressedPage,
    },
    read::{infer_schema, read_metadata},
    write::{
        CompressionOptions, DynIter, DynStreamingIterator, Encoding, FileWriter, StatisticsOptions,
        Version, WriteOptions, array_to_columns, compress, fallible_streaming_iterator,
        schema_to_metadata_key,
    },
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Cursor, Read, Seek, Write},
    ops::Range,
    os::unix::fs::FileExt,
};

/// The rows of wide features in one row group: few enough to read a part, enough to be fast.
const WIDE_ROW_GROUP: usize = 512;
/// The rows of a table without arrays in one row group.
const NARROW_ROW_GROUP: usize = 1 << 18;
/// The largest length in bytes of a file that is read whole at once.
const SHORT: u64 = 1 << 16;
/// A column of fewer rows gets no dictionary: the estimate of how many different values it has costs more than all
/// else in writing it, and it is compressed in any case.
const WORTH_A_DICTIONARY: usize = 4096;
const FOOTER_NAME: &str = "engine";

/// The metadata of an artifact that the columns do not contain.
#[derive(Serialize, Deserialize)]
struct Footer {
    kind: Kind,
    meta: Meta,
    shapes: BTreeMap<String, Vec<usize>>,
}

/// Writes a table artifact. Wide values are not compressed: compression costs more time than the
/// space is worth. While some row groups are written, the next are encoded, one a thread, so that
/// the memory used does not grow with the table.
///
/// # Errors
/// When the file cannot be written, or a row of an array is too long for a page.
pub fn write(
    file: &mut (impl Write + Send),
    artifact: &Artifact,
    table: &Table,
) -> Result<(), String> {
    let arrays = table.columns().filter_map(|(name, column)| match column {
        Column::Array(array) => Some((name.to_owned(), array.shape().to_vec())),
        _ => None,
    });
    let footer =
        Footer { kind: artifact.kind, meta: artifact.meta.clone(), shapes: arrays.collect() };
    let has_arrays = !footer.shapes.is_empty();
    let (rows_at_once, compression) = match has_arrays {
        true => (WIDE_ROW_GROUP, CompressionOptions::Uncompressed),
        false => (NARROW_ROW_GROUP, CompressionOptions::Lz4Raw),
    };
    let footer = serde_json::to_string(&footer).expect("a footer always serialises");
    let options = WriteOptions {
        statistics: StatisticsOptions::empty(),
        version: Version::V1,
        compression,
        data_page_size: None,
    };
    let fields = table.columns().map(|(name, column)| {
        let field = Field::new(name.into(), arrow_type(column), true);
        (field.name.clone(), field)
    });
    let text = |error: PolarsError| error.to_string();
    let mut writer = FileWriter::try_new(file, fields.collect(), options).map_err(text)?;
    let schema = writer.parquet_schema().clone();

    let starts: Vec<usize> = (0..table.rows()).step_by(rows_at_once).collect();
    let encode = |starts: &[usize]| {
        let groups = starts.par_iter().map(|&start| {
            let rows = start..table.rows().min(start + rows_at_once);
            row_group(table, rows, &schema, options)
        });
        groups.collect::<Result<Vec<_>, _>>()
    };
    let mut made = Vec::new();
    for batch in starts.chunks(rayon::current_num_threads()).chain([&[][..]]) {
        let (written, next) = rayon::join(
            || made.iter().try_for_each(|group| write_row_group(&mut writer, group)),
            || encode(batch),
        );
        written.map_err(text)?;
        made = next.map_err(text)?;
    }
    let mut pairs = vec![KeyValue { key: FOOTER_NAME.to_owned(), value: Some(footer) }];
    // Only arrays have a type that Parquet's own schema cannot say. Of a short table Arrow's would be the longer half.
    if has_arrays {
        let mut schema = writer.schema().clone();
        // Views of text are how polars holds it; pyarrow neither filters nor sorts them.
        let views = schema.iter_values_mut().filter(|it| it.dtype == ArrowDataType::Utf8View);
        views.for_each(|field| field.dtype = ArrowDataType::Utf8);
        pairs.push(schema_to_metadata_key(&schema));
    }
    writer.end(Some(pairs)).map(drop).map_err(text)
}

fn arrow_type(column: &Column) -> ArrowDataType {
    match column {
        Column::Text(_) => ArrowDataType::Utf8View,
        Column::Int(_) => ArrowDataType::Int64,
        Column::Real(_) => ArrowDataType::Float64,
        Column::Array(array) => {
            let item = Field::new("item".into(), ArrowDataType::Float32, true);
            ArrowDataType::FixedSizeList(Box::new(item), array.width())
        }
    }
}

/// The pages of each column in turn.
type RowGroup = Vec<Vec<CompressedPage>>;

fn row_group(
    table: &Table,
    rows: Range<usize>,
    schema: &SchemaDescriptor,
    options: WriteOptions,
) -> Result<RowGroup, PolarsError> {
    let encoding =
        if rows.len() < WORTH_A_DICTIONARY { Encoding::Plain } else { Encoding::RleDictionary };
    let columns = table.columns().zip(schema.columns()).zip(schema.fields());
    let columns = columns.map(|(((_, column), leaf), field)| {
        let values = match column {
            Column::Array(array) => return wide::pages(array, rows.clone(), &leaf.descriptor),
            Column::Text(values) => Utf8ViewArray::from_slice_values(&values[rows.clone()]).boxed(),
            Column::Int(values) => PrimitiveArray::from_slice(&values[rows.clone()]).boxed(),
            Column::Real(values) => PrimitiveArray::from_slice(&values[rows.clone()]).boxed(),
        };
        let pages = array_to_columns(values, field.clone(), options, &[encoding])?;
        let pages = pages.into_iter().flatten();
        pages.map(|page| Ok(compress(page?, Vec::new(), options.compression)?)).collect()
    });
    columns.collect()
}

fn write_row_group<W: Write>(
    writer: &mut FileWriter<W>,
    columns: &RowGroup,
) -> Result<(), PolarsError> {
    let columns = columns.iter().map(|pages| {
        let pages = pages.iter().map(Ok::<_, PolarsError>);
        Ok(DynStreamingIterator::new(fallible_streaming_iterator::convert(pages)))
    });
    writer.write(u64::MAX, DynIter::new(columns))
}

/// An opened file. A short one is read whole at once, which costs less than many calls of the system.
struct OpenedFile<'f> {
    file: &'f File,
    length: u64,
    whole: Option<Vec<u8>>,
}

impl<'f> OpenedFile<'f> {
    fn new(file: &'f File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut whole = (length <= SHORT).then(|| vec![0; length as usize]);
        whole.as_mut().map_or(Ok(()), |bytes| file.read_exact_at(bytes, 0))?;
        Ok(Self { file, length, whole })
    }

    fn metadata(&self) -> Result<FileMetadata, String> {
        match &self.whole {
            Some(bytes) => metadata_of(&mut Cursor::new(bytes)),
            None => metadata_of(&mut &*self.file),
        }
    }

    /// Reads the bytes of one column of one row group into a buffer that may have room already. A
    /// damaged footer may name bytes that the file does not have.
    fn read(&self, chunk: &ColumnChunkMetadata, mut room: Vec<u8>) -> Result<Vec<u8>, String> {
        let place = chunk.byte_range();
        let length = place.end.checked_sub(place.start).filter(|_| place.end <= self.length);
        let length = length.and_then(|it| usize::try_from(it).ok()).ok_or(decode::DAMAGED)?;
        room.resize(length, 0);
        match &self.whole {
            Some(bytes) => room.copy_from_slice(&bytes[place.start as usize..][..length]),
            None => {
                let read = self.file.read_exact_at(&mut room, place.start);
                read.map_err(|error| error.to_string())?;
            }
        }
        Ok(room)
    }
}

/// Reads an artifact written by [`write`].
pub(crate) fn read(file: &File) -> Result<Artifact, String> {
    let read = || {
        let file = &OpenedFile::new(file).map_err(|error| error.to_string())?;
        let metadata = file.metadata()?;
        let mut pairs = metadata.key_value_metadata().iter().flatten();
        let footer = pairs.find(|pair| pair.key == FOOTER_NAME).and_then(|pair| pair.value.clone());
        let footer = footer.ok_or("it is not one of the engine's own files")?;
        let footer: Footer = serde_json::from_str(&footer).map_err(|error| error.to_string())?;
        let mut arrays = BTreeMap::new();
        for (name, shape) in &footer.shapes {
            let width = shape.iter().product();
            if let Some(values) = wide::read(file, &metadata, name, width) {
                arrays.insert(name.clone(), to_array(values, width, shape.clone())?);
            }
        }
        let table = read_table(file, &metadata, arrays, &footer.shapes)?;
        Ok(Artifact { kind: footer.kind, meta: footer.meta, data: crate::Data::Table(table) })
    };
    panics::catch(read).unwrap_or_else(|_| Err(decode::DAMAGED.to_owned()))
}

/// The metadata at the end of a file.
fn metadata_of(file: &mut (impl Read + Seek)) -> Result<FileMetadata, String> {
    match panics::catch(|| read_metadata(file)) {
        Ok(Ok(metadata)) => Ok(metadata),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("its Parquet footer is damaged".to_owned()),
    }
}

/// The columns of a file, of which some are already read.
fn read_table(
    file: &OpenedFile<'_>,
    metadata: &FileMetadata,
    mut known: BTreeMap<String, Column>,
    shapes: &BTreeMap<String, Vec<usize>>,
) -> Result<Table, String> {
    // The engine's columns never compress below this size, so a larger claim is from a damaged
    // header.
    let mut room = SizeLimit { bytes: (256 << 20) + file.length.saturating_mul(4096) };
    let schema = infer_schema(metadata).map_err(|error| error.to_string())?;
    let mut table = Table::new();
    for field in schema.iter_values().cloned().map(types::plain) {
        let name = field.name.to_string();
        let column = match known.remove(&name) {
            Some(column) => column,
            None => {
                let shape = shapes.get(&name).cloned();
                read_column(file, metadata, &field, shape, &mut room)
                    .map_err(|error| format!("column `{name}`: {error}"))?
            }
        };
        if table.columns().len() > 0 && column.len() != table.rows() {
            return Err(format!("column `{name}` has {} rows of {}", column.len(), table.rows()));
        }
        table = table.with(&name, column);
    }
    Ok(table)
}

fn read_column(
    file: &OpenedFile<'_>,
    metadata: &FileMetadata,
    field: &Field,
    shape: Option<Vec<usize>>,
    room: &mut SizeLimit,
) -> Result<Column, String> {
    let mut arrays = Vec::new();
    for group in &metadata.row_groups {
        let read = |chunk: &ColumnChunkMetadata| file.read(chunk, Vec::new()).map(Buffer::from);
        let chunk = Chunk::of(group, &field.name, read)?;
        chunk.limit_size(field, group.num_rows(), room)?;
        arrays.extend(chunk.decode(field)?);
    }
    let cells = decode::cells(&arrays, field, false, room)?;
    match (cells.values, shape) {
        (Values::List(width, numbers), Some(shape)) => {
            to_array(numbers.into_single(), width, shape)
        }
        (values, _) => Cells { values, missing: cells.missing }.into_column(&field.name),
    }
}

fn to_array(values: Vec<f32>, width: usize, shape: Vec<usize>) -> Result<Column, String> {
    if width == 0 || shape.is_empty() || shape.iter().product::<usize>() != width {
        return Err(format!("rows of {width} numbers do not fill the shape {shape:?}"));
    }
    Ok(Column::Array(Array::new(shape, values)))
}

#[cfg(test)]
mod tests;
