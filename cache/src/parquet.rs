//! Tables as Parquet files: the only file that names polars.
//!
//! An array column of any shape is one `Array(f32, width)` column, which pandas, polars and DuckDB
//! open; its shape, the kind and the metadata are in the file's metadata under `engine`.

use crate::{Array, Artifact, Column, Kind, Meta, Table, regular};
use polars::prelude::{
    Column as Series, DataFrame, DataType, ParallelStrategy, ParquetReader, PolarsError, SerReader,
    polars_err,
};
use polars_arrow::{
    array::{FixedSizeListArray, PrimitiveArray, Utf8ViewArray},
    datatypes::{ArrowDataType, Field},
};
use polars_buffer::Buffer;
use polars_parquet::{
    parquet::{
        CowBuffer,
        compression::Compression,
        metadata::{ColumnChunkMetadata, Descriptor, FileMetadata, KeyValue, SchemaDescriptor},
        page::{CompressedDataPage, CompressedPage, DataPageHeader, DataPageHeaderV1},
        read::PageReader,
    },
    read::read_metadata,
    write::{
        CompressionOptions, DynIter, DynStreamingIterator, Encoding, FileWriter, StatisticsOptions,
        Version, WriteOptions, array_to_columns, compress, fallible_streaming_iterator,
        get_dtype_encoding, schema_to_metadata_key,
    },
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Cursor, Write},
    ops::Range,
    os::unix::fs::FileExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

/// Rows of wide features in one row group: small enough to read a part, large enough to be quick.
const WIDE_ROW_GROUP: usize = 512;
/// Rows of a table without arrays in one row group.
const NARROW_ROW_GROUP: usize = 1 << 18;
/// A table of fewer rows is read by one thread.
const SMALL_ROWS: usize = 1 << 12;
/// About how many bytes a page of wide features holds.
const WIDE_PAGE: usize = 1 << 20;
const FOOTER_NAME: &str = "engine";

/// What the columns alone do not say.
#[derive(Serialize, Deserialize)]
struct Footer {
    kind: Kind,
    meta: Meta,
    shapes: BTreeMap<String, Vec<usize>>,
}

/// Writes a table artifact. Wide values are stored as they are: compression costs more time than
/// it saves space on them. While some row groups are written the next are made, one a thread, so
/// that the room it takes does not grow with the table.
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
    let (rows_at_once, compression) = match footer.shapes.is_empty() {
        true => (NARROW_ROW_GROUP, CompressionOptions::Lz4Raw),
        false => (WIDE_ROW_GROUP, CompressionOptions::Uncompressed),
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
    let text = |fault: PolarsError| fault.to_string();
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
    let footer = KeyValue { key: FOOTER_NAME.to_owned(), value: Some(footer) };
    let columns = schema_to_metadata_key(writer.schema());
    writer.end(Some(vec![columns, footer])).map(drop).map_err(text)
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

/// The pages of one column after the other.
type RowGroup = Vec<Vec<CompressedPage>>;

fn row_group(
    table: &Table,
    rows: Range<usize>,
    schema: &SchemaDescriptor,
    options: WriteOptions,
) -> Result<RowGroup, PolarsError> {
    let columns = table.columns().zip(schema.columns()).zip(schema.fields());
    let columns = columns.map(|(((_, column), leaf), field)| {
        let values = match column {
            Column::Array(array) => return wide_pages(array, rows.clone(), &leaf.descriptor),
            Column::Text(values) => Utf8ViewArray::from_slice_values(&values[rows.clone()]).boxed(),
            Column::Int(values) => PrimitiveArray::from_slice(&values[rows.clone()]).boxed(),
            Column::Real(values) => PrimitiveArray::from_slice(&values[rows.clone()]).boxed(),
        };
        let encodings = get_dtype_encoding(values.dtype());
        let pages = array_to_columns(values, field.clone(), options, &encodings)?;
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

/// Pages of plain numbers, each of some whole rows. The encoder of polars means the same, but
/// works out two levels for every single number.
fn wide_pages(
    array: &Array,
    rows: Range<usize>,
    descriptor: &Descriptor,
) -> Result<Vec<CompressedPage>, PolarsError> {
    let width = array.width();
    let values = &array.values()[rows.start * width..rows.end * width];
    let rows_at_once = (WIDE_PAGE / size_of::<f32>() / width).max(1);
    let pages = values.chunks(rows_at_once * width).map(|values| {
        let num_values = i32::try_from(values.len())
            .map_err(|_| polars_err!(ComputeError: "no page holds a row of {width} numbers"))?;
        let header = DataPageHeader::V1(DataPageHeaderV1 {
            num_values,
            encoding: Encoding::Plain.into(),
            definition_level_encoding: Encoding::Rle.into(),
            repetition_level_encoding: Encoding::Rle.into(),
            statistics: None,
        });
        let (rows, numbers) = (values.len() / width, bytemuck::cast_slice(values));
        let bytes = [&levels(rows, width, descriptor)[..], numbers].concat();
        let length = bytes.len();
        Ok(CompressedPage::Data(CompressedDataPage::new(
            header,
            CowBuffer::Owned(bytes),
            Compression::Uncompressed,
            length,
            descriptor.clone(),
            rows,
        )))
    });
    pages.collect()
}

/// What a page says before its numbers: that each `width` of them are a row, and that all are
/// there. Both are runs of levels, each its length and the level, after their size in bytes.
fn levels(rows: usize, width: usize, descriptor: &Descriptor) -> Vec<u8> {
    let run = |runs: &mut Vec<u8>, length: usize, level: u8| {
        let mut length = length << 1;
        while length > 0x7f {
            runs.push(length as u8 | 0x80);
            length >>= 7;
        }
        runs.extend([length as u8, level]);
    };
    let (mut row, mut there) = (Vec::new(), Vec::new());
    run(&mut row, 1, 0);
    if width > 1 {
        run(&mut row, width - 1, 1);
    }
    run(&mut there, rows * width, descriptor.max_def_level as u8);
    let size = |bytes: usize| (bytes as u32).to_le_bytes();
    [&size(rows * row.len())[..], &row.repeat(rows), &size(there.len()), &there].concat()
}

/// Reads an artifact written by [`write`].
pub(crate) fn read(file: &File) -> Result<Artifact, String> {
    guarded(|| {
        let mut whole = file.try_clone().map_err(|fault| fault.to_string())?;
        let metadata = read_metadata(&mut whole).map_err(|fault| fault.to_string())?;
        let mut pairs = metadata.key_value_metadata().iter().flatten();
        let footer = pairs.find(|pair| pair.key == FOOTER_NAME).and_then(|pair| pair.value.clone());
        let footer = footer.ok_or("it is not one of the engine's own files")?;
        let footer: Footer = serde_json::from_str(&footer).map_err(|fault| fault.to_string())?;
        let mut arrays = BTreeMap::new();
        for (name, shape) in &footer.shapes {
            let width = shape.iter().product();
            if let Some(values) = read_wide(file, &metadata, name, width) {
                arrays.insert(name.clone(), to_array(values, width, shape.clone())?);
            }
        }
        let table = read_table(whole, metadata, arrays, &footer.shapes)?;
        Ok(Artifact { kind: footer.kind, meta: footer.meta, data: crate::Data::Table(table) })
    })
}

/// Reads the columns of anybody's Parquet file: text, numbers, and lists of numbers of one length.
///
/// # Errors
/// When the file cannot be read, or a column is of another type; the message names it.
pub fn read_foreign(path: &Path) -> Result<Table, String> {
    guarded(|| {
        let mut file = regular::open(path).map_err(|fault| fault.to_string())?;
        let metadata = read_metadata(&mut file).map_err(|fault| fault.to_string())?;
        read_table(file, metadata, BTreeMap::new(), &BTreeMap::new())
    })
}

/// The reader may panic on a damaged file; a damaged file is an ordinary fault here.
fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err("its Parquet pages are damaged".to_owned()))
}

/// The columns of a file, of which some are known already.
fn read_table(
    file: File,
    metadata: FileMetadata,
    mut known: BTreeMap<String, Column>,
    shapes: &BTreeMap<String, Vec<usize>>,
) -> Result<Table, String> {
    let names = metadata.schema().fields().iter().map(|field| field.name().to_owned());
    let names: Vec<String> = names.collect();
    let rest: Vec<_> = names.iter().filter(|name| !known.contains_key(*name)).cloned().collect();
    if !rest.is_empty() {
        // Of small tables a report reads hundreds: to wake other threads takes longer than to read one.
        let is_small = metadata.row_groups.len() < 2 && metadata.num_rows < SMALL_ROWS;
        let threads = if is_small { ParallelStrategy::None } else { ParallelStrategy::Auto };
        let reader = ParquetReader::new(file).with_columns(Some(rest)).read_parallel(threads);
        let mut reader = reader.set_rechunk(!is_small);
        reader.set_metadata(Arc::new(metadata));
        let frame: DataFrame = reader.finish().map_err(|fault| fault.to_string())?;
        for series in frame.into_columns() {
            let name = series.name().to_string();
            let column = to_column(series, shapes.get(&name))
                .map_err(|fault| format!("column `{name}`: {fault}"))?;
            known.insert(name, column);
        }
    }
    names.iter().try_fold(Table::new(), |table, name| {
        let column = known.remove(name).ok_or(format!("column `{name}` is there twice"))?;
        match table.columns().len() == 0 || column.len() == table.rows() {
            true => Ok(table.with(name, column)),
            false => Err(format!("column `{name}` has {} rows of {}", column.len(), table.rows())),
        }
    })
}

/// The numbers of an array column, if all its pages are as [`wide_pages`] makes them: then they
/// are copied from where they stand, each thread those of some row groups.
fn read_wide(file: &File, metadata: &FileMetadata, name: &str, width: usize) -> Option<Vec<f32>> {
    let is_wanted = |chunk: &ColumnChunkMetadata| chunk.descriptor().path_in_schema[0] == *name;
    let length = file.metadata().ok()?.len();
    let count = metadata.num_rows.checked_mul(width)?;
    if width == 0 || count as u64 > length / size_of::<f32>() as u64 {
        return None;
    }
    let mut values = vec![0.0; count];
    let (mut parts, mut rest) = (Vec::new(), &mut values[..]);
    for group in &metadata.row_groups {
        let chunk = group.parquet_columns().iter().find(|chunk| is_wanted(chunk))?;
        let (part, after) = rest.split_at_mut_checked(group.num_rows().checked_mul(width)?)?;
        parts.push((chunk, part));
        rest = after;
    }
    if !rest.is_empty() {
        return None;
    }
    let share = parts.len().div_ceil(rayon::current_num_threads()).max(1);
    let shares = parts.par_chunks_mut(share).map(|parts| {
        let mut room = Vec::new();
        parts
            .iter_mut()
            .try_for_each(|(chunk, values)| read_chunk(file, chunk, width, &mut room, values))
    });
    shares.collect::<Option<()>>().map(|()| values)
}

/// Fills `values` from one column of one row group, whose bytes go through `room`.
fn read_chunk(
    file: &File,
    chunk: &ColumnChunkMetadata,
    width: usize,
    room: &mut Vec<u8>,
    values: &mut [f32],
) -> Option<()> {
    let place = chunk.byte_range();
    let length = place.end.checked_sub(place.start)?;
    (place.end <= file.metadata().ok()?.len()).then_some(())?;
    room.resize(usize::try_from(length).ok()?, 0);
    file.read_exact_at(room, place.start).ok()?;
    let size = room.len();
    let bytes = Cursor::new(Buffer::from(std::mem::take(room)));
    let mut pages = PageReader::new(bytes, chunk, Vec::new(), size);
    let mut rest = values;
    for page in pages.by_ref() {
        let CompressedPage::Data(mut page) = page.ok()? else { return None };
        let DataPageHeader::V1(header) = page.header() else { return None };
        let count = usize::try_from(header.num_values).ok()?;
        let is_plain = header.encoding == Encoding::Plain.into()
            && page.compression() == Compression::Uncompressed;
        let (numbers, after) = rest.split_at_mut_checked(count)?;
        if !is_plain || !count.is_multiple_of(width) {
            return None;
        }
        let levels = levels(count / width, width, &chunk.descriptor().descriptor);
        let bytes = page.slice_mut().strip_prefix(&levels[..])?;
        let numbers: &mut [u8] = bytemuck::cast_slice_mut(numbers);
        if bytes.len() != numbers.len() {
            return None;
        }
        numbers.copy_from_slice(bytes);
        rest = after;
    }
    *room = pages.into_inner().0.into_inner().into_mut().right_or_default();
    rest.is_empty().then_some(())
}

fn to_column(series: Series, shape: Option<&Vec<usize>>) -> Result<Column, String> {
    let cast = |series: &Series, to: &DataType| series.cast(to).map_err(|fault| fault.to_string());
    let nulls = series.null_count();
    let whole = |nulls: usize| match nulls {
        0 => Ok(()),
        _ => Err(format!("{nulls} of its values are missing")),
    };
    match series.dtype() {
        DataType::String => {
            whole(nulls)?;
            let values = series.str().map_err(|fault| fault.to_string())?;
            Ok(Column::Text(
                values.iter().map(|value| value.unwrap_or_default().to_owned()).collect(),
            ))
        }
        DataType::Float32 | DataType::Float64 => {
            let series = cast(&series, &DataType::Float64)?;
            let values = series.f64().map_err(|fault| fault.to_string())?;
            Ok(Column::Real(values.iter().map(|value| value.unwrap_or(f64::NAN)).collect()))
        }
        kind if kind.is_integer() || *kind == DataType::Boolean => {
            whole(nulls)?;
            let series = cast(&series, &DataType::Int64)?;
            whole(series.null_count())?;
            let values = series.i64().map_err(|fault| fault.to_string())?;
            Ok(Column::Int(values.iter().map(Option::unwrap_or_default).collect()))
        }
        DataType::Array(inner, width) if inner.is_primitive_numeric() => {
            whole(nulls)?;
            let width = *width;
            let series = match **inner {
                DataType::Float32 => series,
                _ => cast(&series, &DataType::Array(Box::new(DataType::Float32), width))?,
            };
            let shape = shape.cloned().unwrap_or_else(|| vec![width]);
            to_array(numbers_of(series)?, width, shape)
        }
        DataType::List(inner) if inner.is_primitive_numeric() => {
            whole(nulls)?;
            let width = list_width(&series)?;
            let series = cast(&series, &DataType::Array(Box::new(DataType::Float32), width))?;
            let shape = shape.cloned().unwrap_or_else(|| vec![width]);
            to_array(numbers_of(series)?, width, shape)
        }
        other => Err(format!(
            "the type {other} is none of text, numbers, or lists of numbers of one length"
        )),
    }
}

/// The one length of all lists of a column.
fn list_width(series: &Series) -> Result<usize, String> {
    let lists = series.list().map_err(|fault| fault.to_string())?;
    let mut widths = lists.downcast_iter().flat_map(|chunk| chunk.offsets().lengths());
    let first = widths.next().unwrap_or(0);
    match widths.find(|width| *width != first) {
        None => Ok(first),
        Some(other) => Err(format!("its lists have {first} and {other} numbers, not one length")),
    }
}

/// The numbers of a column of lists, as polars decoded them.
fn numbers_of(series: Series) -> Result<Vec<f32>, String> {
    let chunks = series.take_materialized_series().rechunk().into_chunks();
    let Some(chunk) = chunks.into_iter().next() else { return Ok(Vec::new()) };
    let list: &FixedSizeListArray =
        chunk.as_any().downcast_ref().ok_or("it is not a fixed-size list")?;
    let values: &PrimitiveArray<f32> =
        list.values().as_any().downcast_ref().ok_or("its items are not numbers")?;
    if values.validity().is_some_and(|validity| validity.unset_bits() > 0) {
        return Err("some of its numbers are missing".to_owned());
    }
    let values = values.values().clone();
    drop(chunk);
    // The buffer is ours alone by now, as a rule: then its vector is taken, not copied.
    Ok(values.into_mut().right_or_else(|shared| shared.to_vec()))
}

fn to_array(values: Vec<f32>, width: usize, shape: Vec<usize>) -> Result<Column, String> {
    if width == 0 || shape.is_empty() || shape.iter().product::<usize>() != width {
        return Err(format!("rows of {width} numbers do not fill the shape {shape:?}"));
    }
    Ok(Column::Array(Array::new(shape, values)))
}

#[cfg(test)]
mod tests;
