//! Decodes the pages of one column to values, without loss, for every type that a table can hold.

use super::types::holds;
use crate::{
    cells::{Cells, ColumnType, Numbers, SizeLimit, Values},
    missing::is_missing,
    panics,
};
use polars_arrow::{
    array::{Array, BooleanArray, FixedSizeListArray, ListArray, PrimitiveArray, Utf8ViewArray},
    datatypes::{ArrowDataType, Field},
    types::NativeType,
};
use polars_buffer::Buffer;
use polars_parquet::{
    parquet::{
        encoding::{Encoding, delta_byte_array},
        metadata::RowGroupMetadata,
        page::{CompressedPage, DataPageHeader, DataPageHeaderExt, split_buffer},
        read::PageReader,
    },
    read::{BasicDecompressor, ColumnChunkMetadata, column_iter_to_arrays},
};
use polars_utils::float16::pf16;
use std::io::Cursor;

/// The error text for a file whose pages the library cannot decode.
pub(super) const DAMAGED: &str = "its Parquet pages are damaged";

/// The pages of a column in one row group, not yet decoded.
pub(super) struct Chunk<'a> {
    metadata: &'a ColumnChunkMetadata,
    bytes: Buffer<u8>,
}

impl<'a> Chunk<'a> {
    /// The chunk of a column, with the bytes that `fetch` returns.
    pub(super) fn of(
        group: &'a RowGroupMetadata,
        name: &str,
        fetch: impl FnOnce(&ColumnChunkMetadata) -> Result<Buffer<u8>, String>,
    ) -> Result<Self, String> {
        let mut found = group.columns_under_root_iter(name).into_iter().flatten();
        match (found.next(), found.next()) {
            (Some(metadata), None) => Ok(Self { metadata, bytes: fetch(metadata)? }),
            _ => Err(DAMAGED.to_owned()),
        }
    }

    fn pages(&self) -> PageReader {
        PageReader::new(Cursor::new(self.bytes.clone()), self.metadata, Vec::new(), usize::MAX)
    }

    /// Takes the decoded size of the pages from the limit before decoding them. The page headers
    /// state it, and the library would trust them.
    pub(super) fn limit_size(
        &self,
        field: &Field,
        rows: usize,
        room: &mut SizeLimit,
    ) -> Result<(), String> {
        let damaged = |_| DAMAGED.to_owned();
        let mut pages = self.pages();
        let (mut values, mut largest) = (0_u64, dictionary_size(&self.bytes));
        let mut has_prefixes = false;
        pages.read_dict().map_err(damaged)?;
        for page in pages {
            let CompressedPage::Data(page) = page.map_err(damaged)? else {
                return Err(DAMAGED.to_owned());
            };
            let encoding = match page.header() {
                DataPageHeader::V1(header) => header.encoding(),
                DataPageHeader::V2(header) => header.encoding(),
            };
            has_prefixes |= encoding == Encoding::DeltaByteArray;
            values = values.saturating_add(page.num_values() as u64);
            largest = largest.max(page.uncompressed_size() as u64);
        }
        let (width, item) = match field.dtype.to_storage() {
            ArrowDataType::FixedSizeList(_, width) => (*width as u64, 8),
            ArrowDataType::Utf8View => (1, 24 + 16),
            _ => (1, 8),
        };
        // An empty list in place of a list of fixed width takes as much memory.
        let values = values.max((rows as u64).saturating_mul(width));
        room.consume(values.saturating_mul(item).saturating_add(largest))?;
        if has_prefixes { self.limit_prefixed(room) } else { Ok(()) }
    }

    /// Takes the size of texts from the limit that are stored by what they share with the text
    /// before. Nothing in the page says how long they are, and each of a few bytes can be as long
    /// as all before, so they are made one by one until the limit is exceeded.
    fn limit_prefixed(&self, room: &mut SizeLimit) -> Result<(), String> {
        let damaged = |_| DAMAGED.to_owned();
        let mut pages = BasicDecompressor::new(self.pages(), Vec::new());
        pages.read_dict_page().map_err(damaged)?;
        while let Some(page) = pages.next() {
            let page = page.map_err(damaged)?.decompress(&mut pages).map_err(damaged)?;
            if page.encoding() == Encoding::DeltaByteArray {
                let bytes = split_buffer(&page).map_err(damaged)?.values;
                for text in delta_byte_array::Decoder::try_new(bytes).map_err(damaged)? {
                    room.consume(text.map_err(damaged)?.len() as u64)?;
                }
            }
        }
        Ok(())
    }

    /// Decodes the pages to Arrow arrays.
    pub(super) fn decode(&self, field: &Field) -> Result<Vec<Box<dyn Array>>, String> {
        let decode = || {
            let kind = &self.metadata.descriptor().descriptor.primitive_type;
            let pages = BasicDecompressor::new(self.pages(), Vec::new());
            column_iter_to_arrays(vec![pages], vec![kind], field.clone(), None)
        };
        match panics::catch(decode) {
            Ok(Ok((arrays, _))) => Ok(arrays),
            Ok(Err(error)) => Err(format!("{DAMAGED}: {error}")),
            Err(_) => Err(DAMAGED.to_owned()),
        }
    }
}

/// The decoded size of a dictionary according to its header. The header of a page is in Thrift's
/// compact form; its first two fields are the type and this size.
fn dictionary_size(bytes: &[u8]) -> u64 {
    let mut bytes = bytes.iter().copied();
    let mut number = || {
        (bytes.next() == Some(0x15)).then_some(())?;
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = bytes.next()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            shift += 7;
            if byte < 0x80 {
                return Some(value >> 1);
            }
        }
    };
    number().and_then(|_| number()).unwrap_or(0)
}

/// The values of arrays, concatenated.
pub(super) fn cells(
    arrays: &[Box<dyn Array>],
    field: &Field,
    as_text: bool,
    room: &mut SizeLimit,
) -> Result<Cells, String> {
    let mut missing = Vec::new();
    let mut start = 0;
    for array in arrays {
        missing.extend(nulls(&**array).into_iter().map(|row| start + row));
        start += array.len();
    }
    let dtype = field.dtype.to_storage();
    let values = match holds(dtype) {
        ColumnType::Text => {
            let texts = texts(arrays, room)?;
            missing = (0..texts.len()).filter(|&row| is_missing(&texts[row])).collect();
            Values::Text(texts)
        }
        ColumnType::Whole => {
            let mut whole = Vec::with_capacity(start);
            for array in arrays {
                whole.extend(wholes(&**array).ok_or(DAMAGED)?);
            }
            if as_text {
                Values::Text(whole.iter().map(i128::to_string).collect())
            } else if let Ok(whole) = whole.iter().map(|&value| i64::try_from(value)).collect() {
                Values::Whole(whole)
            } else {
                Values::Real(whole.into_iter().map(|value| value as f64).collect())
            }
        }
        ColumnType::Real => {
            let mut reals = Vec::with_capacity(start);
            for array in arrays {
                reals.extend(doubles(&**array).ok_or(DAMAGED)?);
            }
            missing.iter().for_each(|&row| reals[row] = f64::NAN);
            missing = (0..reals.len()).filter(|&row| reals[row].is_nan()).collect();
            match as_text {
                true => Values::Text(reals.iter().map(f64::to_string).collect()),
                false => Values::Real(reals),
            }
        }
        ColumnType::List if as_text => return Err("holds lists, not text".to_owned()),
        ColumnType::List => lists(arrays)?,
        ColumnType::Other(name) => {
            return Err(format!(
                "the type {name} is none of text, numbers, or lists of numbers of one length"
            ));
        }
    };
    Ok(Cells { values, missing })
}

fn nulls(array: &dyn Array) -> Vec<usize> {
    let Some(validity) = array.validity().filter(|it| it.unset_bits() > 0) else {
        return Vec::new();
    };
    (0..array.len()).filter(|&row| !validity.get_bit(row)).collect()
}

fn texts(arrays: &[Box<dyn Array>], room: &mut SizeLimit) -> Result<Vec<String>, String> {
    let mut texts = Vec::new();
    for array in arrays {
        let array: &Utf8ViewArray = array.as_any().downcast_ref().ok_or(DAMAGED)?;
        // A text of the dictionary may occur in every row.
        room.consume(array.iter().flatten().map(|text| text.len() as u64).sum())?;
        texts.extend(array.iter().map(|text| text.unwrap_or_default().to_owned()));
    }
    Ok(texts)
}

fn primitive<T: NativeType>(array: &dyn Array) -> Option<&PrimitiveArray<T>> {
    array.as_any().downcast_ref()
}

fn wholes(array: &dyn Array) -> Option<Vec<i128>> {
    fn of<T: NativeType + Into<i128>>(array: &dyn Array) -> Option<Vec<i128>> {
        primitive::<T>(array).map(|array| array.values_iter().map(|&value| value.into()).collect())
    }
    if let Some(array) = array.as_any().downcast_ref::<BooleanArray>() {
        return Some(array.values_iter().map(i128::from).collect());
    }
    let signed = of::<i8>(array).or_else(|| of::<i16>(array)).or_else(|| of::<i32>(array));
    let signed = signed.or_else(|| of::<i64>(array)).or_else(|| of::<u8>(array));
    let small = signed.or_else(|| of::<u16>(array)).or_else(|| of::<u32>(array));
    small.or_else(|| of::<u64>(array))
}

fn doubles(array: &dyn Array) -> Option<Vec<f64>> {
    if let ArrowDataType::Decimal(_, scale) = array.dtype().to_storage() {
        let values = primitive::<i128>(array)?.values_iter();
        return Some(values.map(|&value| decimal(value, *scale)).collect());
    }
    if let Some(array) = primitive::<pf16>(array) {
        return Some(array.values_iter().map(|value| value.0.to_f64()).collect());
    }
    if let Some(array) = primitive::<f32>(array) {
        return Some(array.values_iter().map(|&value| value.into()).collect());
    }
    if let Some(array) = primitive::<f64>(array) {
        return Some(array.values_iter().copied().collect());
    }
    wholes(array).map(|values| values.into_iter().map(|value| value as f64).collect())
}

/// The real number nearest to a decimal with `scale` decimal places.
fn decimal(value: i128, scale: usize) -> f64 {
    // Both are exact up to here, so the quotient is rounded once.
    if value.unsigned_abs() < 1 << 53 && scale <= 22 {
        return value as f64 / 10_f64.powi(scale as i32);
    }
    format!("{value}e-{scale}").parse().unwrap_or(f64::NAN)
}

/// Numbers in lists, which may be nested.
fn lists(arrays: &[Box<dyn Array>]) -> Result<Values, String> {
    let mut width = None;
    let mut pieces = Vec::new();
    for array in arrays.iter().filter(|array| !array.is_empty()) {
        // Where all rows are null, the others say how wide they are.
        if nulls(&**array).len() == array.len() {
            pieces.push((array.len(), None));
            continue;
        }
        let (own, numbers) = list(&**array)?;
        match width {
            Some(width) if width != own => return Err(ragged(width, own)),
            _ => width = Some(own),
        }
        pieces.push((array.len(), Some(numbers)));
    }
    // Of no rows the schema knows the width, if anything does.
    let declared = || arrays.iter().find_map(|array| Some(list(&**array).ok()?.0));
    let width = width.or_else(declared).unwrap_or(1);
    if width == 0 {
        return Err("rows of 0 numbers hold no feature".to_owned());
    }
    let (mut single, mut double): (Vec<f32>, Vec<f64>) = (Vec::new(), Vec::new());
    let is_double = pieces.iter().any(|piece| matches!(piece.1, Some(Numbers::Double(_))));
    for (rows, numbers) in pieces {
        match numbers {
            Some(Numbers::Single(numbers)) => single.extend(numbers),
            Some(Numbers::Double(numbers)) => double.extend(numbers),
            None if is_double => double.resize(double.len() + rows * width, f64::NAN),
            None => single.resize(single.len() + rows * width, f32::NAN),
        }
    }
    Ok(Values::List(
        width,
        if is_double { Numbers::Double(double) } else { Numbers::Single(single) },
    ))
}

fn ragged(one: usize, other: usize) -> String {
    format!("its lists have {one} and {other} numbers, not one length")
}

/// The width of the rows of an array of lists, and their numbers; NaN in a row that is null.
fn list(array: &dyn Array) -> Result<(usize, Numbers), String> {
    let absent = nulls(array);
    let (width, items, fixed) =
        if let Some(list) = array.as_any().downcast_ref::<FixedSizeListArray>() {
            (list.size(), list.values().clone(), true)
        } else {
            let list: &ListArray<i64> = array.as_any().downcast_ref().ok_or(DAMAGED)?;
            let mut absent = absent.iter().copied().peekable();
            let mut width = None;
            for (row, own) in list.offsets().lengths().enumerate() {
                if absent.next_if_eq(&row).is_some() {
                    continue;
                }
                match width {
                    Some(width) if width != own => return Err(ragged(width, own)),
                    _ => width = Some(own),
                }
            }
            (width.unwrap_or(0), list.values().clone(), false)
        };
    let (inner, numbers) = if matches!(holds(items.dtype()), ColumnType::List) {
        list(&*items)?
    } else {
        (1, numbers(&*items)?)
    };
    let width = width * inner;
    let rows = array.len();
    let there = if fixed { rows } else { rows - absent.len() };
    if numbers.len() != there * width {
        return Err(DAMAGED.to_owned());
    }
    if absent.is_empty() {
        return Ok((width, numbers));
    }
    Ok((
        width,
        match numbers {
            Numbers::Single(numbers) => {
                Numbers::Single(spread(&numbers, width, rows, &absent, fixed))
            }
            Numbers::Double(numbers) => {
                Numbers::Double(spread(&numbers, width, rows, &absent, fixed))
            }
        },
    ))
}

/// Rows of numbers, with NaN in absent rows, whether or not these have a slot among the numbers.
fn spread<T: Copy + From<f32>>(
    numbers: &[T],
    width: usize,
    rows: usize,
    absent: &[usize],
    fixed: bool,
) -> Vec<T> {
    let (mut spread, mut at) = (Vec::with_capacity(rows * width), 0);
    let mut absent = absent.iter().copied().peekable();
    for row in 0..rows {
        let is_absent = absent.next_if_eq(&row).is_some();
        if is_absent {
            spread.extend(std::iter::repeat_n(T::from(f32::NAN), width));
        } else {
            spread.extend_from_slice(&numbers[at..at + width]);
        }
        if fixed || !is_absent {
            at += width;
        }
    }
    spread
}

/// The items of lists; NaN where an item is null.
fn numbers(items: &dyn Array) -> Result<Numbers, String> {
    let absent = nulls(items);
    if let Some(items) = primitive::<f32>(items) {
        let mut values: Vec<f32> = items.values().as_slice().to_vec();
        absent.iter().for_each(|&at| values[at] = f32::NAN);
        return Ok(Numbers::Single(values));
    }
    let mut values = doubles(items).ok_or(DAMAGED)?;
    absent.iter().for_each(|&at| values[at] = f64::NAN);
    let is_short = matches!(
        items.dtype().to_storage(),
        ArrowDataType::Boolean
            | ArrowDataType::Float16
            | ArrowDataType::Int8
            | ArrowDataType::UInt8
            | ArrowDataType::Int16
            | ArrowDataType::UInt16
    );
    Ok(match is_short {
        true => Numbers::Single(values.into_iter().map(|value| value as f32).collect()),
        false => Numbers::Double(values),
    })
}
