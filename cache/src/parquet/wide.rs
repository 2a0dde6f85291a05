//! The pages of wide array columns, written and read without the levels of every number.

use super::OpenedFile;
use crate::Array;
use polars_buffer::Buffer;
use polars_error::{PolarsError, polars_err};
use polars_parquet::{
    parquet::{
        CowBuffer,
        compression::Compression,
        metadata::{ColumnChunkMetadata, Descriptor, FileMetadata},
        page::{CompressedDataPage, CompressedPage, DataPageHeader, DataPageHeaderV1},
        read::PageReader,
    },
    write::Encoding,
};
use rayon::prelude::*;
use std::{io::Cursor, ops::Range};

/// The approximate number of bytes in a page.
const WIDE_PAGE: usize = 1 << 20;

/// The pages of an array column, each of whole rows. The encoder of polars gives the same values,
/// but computes two levels for every number.
pub fn pages(
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

/// The levels at the start of a page: each `width` numbers are a row, and none is missing. Both are
/// runs, each its length and its level, after their size in bytes.
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

/// The numbers of an array column, if all its pages have the form of [`pages`]. They are then
/// copied without decoding, each thread copying some row groups.
pub fn read(
    file: &OpenedFile<'_>,
    metadata: &FileMetadata,
    name: &str,
    width: usize,
) -> Option<Vec<f32>> {
    let is_wanted = |chunk: &ColumnChunkMetadata| chunk.descriptor().path_in_schema[0] == *name;
    let count = metadata.num_rows.checked_mul(width)?;
    if width == 0 || count as u64 > file.length / size_of::<f32>() as u64 {
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

/// Fills `values` from one column of one row group, with `room` as the buffer of its bytes.
fn read_chunk(
    file: &OpenedFile<'_>,
    chunk: &ColumnChunkMetadata,
    width: usize,
    room: &mut Vec<u8>,
    values: &mut [f32],
) -> Option<()> {
    let bytes = file.read(chunk, std::mem::take(room)).ok()?;
    let size = bytes.len();
    let bytes = Cursor::new(Buffer::from(bytes));
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
