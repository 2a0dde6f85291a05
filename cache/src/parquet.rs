//! Tables as Parquet files: the only file that names polars.
//!
//! An array column of any shape is one `Array(f32, width)` column, which pandas, polars and DuckDB
//! open; its shape, the kind and the metadata are in the file's metadata under `engine`.

use crate::{Array, Artifact, Column, Kind, Meta, Table};
use polars::prelude::{
    ArrayChunked, Column as Series, DataFrame, DataType, IntoColumn, IntoSeries,
    ParquetCompression, ParquetReader, ParquetWriter, SerReader, StatisticsOptions,
};
use polars_arrow::array::{FixedSizeListArray, PrimitiveArray};
use polars_buffer::Buffer;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

/// Rows of wide features in one row group: small enough to read a part, large enough to be quick.
const WIDE_ROW_GROUP: usize = 512;
const FOOTER_NAME: &str = "engine";

/// What the columns alone do not say.
#[derive(Serialize, Deserialize)]
struct Footer {
    kind: Kind,
    meta: Meta,
    shapes: BTreeMap<String, Vec<usize>>,
}

/// Lets polars read the values where they are.
struct Shared(Arc<Vec<f32>>);

impl AsRef<[f32]> for Shared {
    fn as_ref(&self) -> &[f32] {
        &self.0
    }
}

/// Writes a table artifact. Wide values are stored as they are: compression costs more time than
/// it saves space on them.
pub(crate) fn write(
    file: &mut impl Write,
    artifact: &Artifact,
    table: &Table,
) -> Result<(), String> {
    let columns = table.columns().map(|(name, column)| to_series(name, column)).collect();
    let mut frame = DataFrame::new(table.rows(), columns).map_err(|fault| fault.to_string())?;
    let arrays = table.columns().filter_map(|(name, column)| match column {
        Column::Array(array) => Some((name.to_owned(), array.shape().to_vec())),
        _ => None,
    });
    let footer =
        Footer { kind: artifact.kind, meta: artifact.meta.clone(), shapes: arrays.collect() };
    let wide = !footer.shapes.is_empty();
    let footer = serde_json::to_string(&footer).expect("a footer always serialises");
    let compression =
        if wide { ParquetCompression::Uncompressed } else { ParquetCompression::Lz4Raw };
    ParquetWriter::new(file)
        .with_compression(compression)
        .with_statistics(StatisticsOptions::empty())
        .with_row_group_size(wide.then_some(WIDE_ROW_GROUP))
        .with_key_value_metadata(Some(polars::prelude::KeyValueMetadata::from_static(vec![(
            FOOTER_NAME.to_owned(),
            footer,
        )])))
        .finish(&mut frame)
        .map(drop)
        .map_err(|fault| fault.to_string())
}

fn to_series(name: &str, column: &Column) -> Series {
    match column {
        Column::Text(values) => Series::new(name.into(), values.as_slice()),
        Column::Int(values) => Series::new(name.into(), values.as_slice()),
        Column::Real(values) => Series::new(name.into(), values.as_slice()),
        Column::Array(array) => {
            let values = Buffer::from_owner(Shared(array.shared()));
            let values =
                PrimitiveArray::new(polars_arrow::datatypes::ArrowDataType::Float32, values, None);
            ArrayChunked::from_aligned_values(
                name.into(),
                &DataType::Float32,
                array.width(),
                vec![Box::new(values)],
                array.rows(),
            )
            .into_series()
            .into_column()
        }
    }
}

/// Reads an artifact written by [`write`].
pub(crate) fn read(path: &Path) -> Result<Artifact, String> {
    let (frame, footer) = read_frame(path)?;
    let footer = footer.ok_or("it is not one of the engine's own files")?;
    let footer: Footer = serde_json::from_str(&footer).map_err(|fault| fault.to_string())?;
    let table = to_table(frame, &footer.shapes)?;
    Ok(Artifact { kind: footer.kind, meta: footer.meta, data: crate::Data::Table(table) })
}

/// Reads the columns of anybody's Parquet file: text, numbers, and lists of numbers of one length.
///
/// # Errors
/// When the file cannot be read, or a column is of another type; the message names it.
pub fn read_foreign(path: &Path) -> Result<Table, String> {
    to_table(read_frame(path)?.0, &BTreeMap::new())
}

fn read_frame(path: &Path) -> Result<(DataFrame, Option<String>), String> {
    let file = File::open(path).map_err(|fault| fault.to_string())?;
    // The reader may panic on a damaged file; a damaged file is an ordinary fault here.
    let read = catch_unwind(AssertUnwindSafe(|| {
        let mut reader = ParquetReader::new(file).set_rechunk(true);
        let pairs = reader.get_metadata()?.key_value_metadata().clone().unwrap_or_default();
        let footer = pairs.into_iter().find(|pair| pair.key == FOOTER_NAME);
        Ok((reader.finish()?, footer.and_then(|pair| pair.value)))
    }));
    match read {
        Ok(Ok(found)) => Ok(found),
        Ok(Err::<_, polars::error::PolarsError>(fault)) => Err(fault.to_string()),
        Err(_) => Err("its Parquet pages are damaged".to_owned()),
    }
}

fn to_table(frame: DataFrame, shapes: &BTreeMap<String, Vec<usize>>) -> Result<Table, String> {
    frame.into_columns().into_iter().try_fold(Table::new(), |table, series| {
        let name = series.name().to_string();
        let column = to_column(series, shapes.get(&name))
            .map_err(|fault| format!("column `{name}`: {fault}"))?;
        Ok(table.with(&name, column))
    })
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
            to_array(series, width, shape)
        }
        DataType::List(inner) if inner.is_primitive_numeric() => {
            whole(nulls)?;
            let width = list_width(&series)?;
            let series = cast(&series, &DataType::Array(Box::new(DataType::Float32), width))?;
            to_array(series, width, shape)
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

fn to_array(series: Series, width: usize, shape: Option<&Vec<usize>>) -> Result<Column, String> {
    let shape = shape.cloned().unwrap_or_else(|| vec![width]);
    if width == 0 || shape.iter().product::<usize>() != width {
        return Err(format!("rows of {width} numbers do not fill the shape {shape:?}"));
    }
    let chunks = series.take_materialized_series().rechunk().into_chunks();
    let Some(chunk) = chunks.into_iter().next() else {
        return Ok(Column::Array(Array::new(shape, Vec::new())));
    };
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
    let values = values.into_mut().right_or_else(|shared| shared.to_vec());
    Ok(Column::Array(Array::new(shape, values)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one column of these lists.
    fn lists(rows: &[&[f64]]) -> tempfile::NamedTempFile {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| Series::new("".into(), *row).take_materialized_series())
            .collect();
        let mut frame =
            DataFrame::new(rows.len(), vec![Series::new("x".into(), rows)]).expect("a frame");
        let file = tempfile::NamedTempFile::new().expect("a file");
        ParquetWriter::new(file.as_file()).finish(&mut frame).expect("a Parquet file");
        file
    }

    #[test]
    fn lists_of_one_length_are_arrays() {
        let file = lists(&[&[1.0, 2.5], &[3.0, -4.0]]);
        let table = read_foreign(file.path()).expect("a table");
        assert_eq!(table, Table::new().with_array("x", [2], vec![1.0, 2.5, 3.0, -4.0]));
        let ragged = read_foreign(lists(&[&[1.0], &[2.0, 3.0]]).path());
        let expected = "column `x`: its lists have 1 and 2 numbers, not one length";
        assert_eq!(ragged, Err(expected.to_owned()));
        let empty = read_foreign(lists(&[&[], &[]]).path());
        assert!(empty.is_err_and(|fault| fault.contains("rows of 0 numbers")));
    }
}
