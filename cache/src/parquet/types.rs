//! The types of Parquet columns: what each becomes in a table.

use crate::cells::ColumnType;
use polars_arrow::datatypes::{ArrowDataType, Field};

/// The column type for values of this type.
pub(super) fn holds(dtype: &ArrowDataType) -> ColumnType {
    use ArrowDataType as T;
    let other = |name: &str| ColumnType::Other(name.to_owned());
    match dtype.to_storage() {
        T::Boolean | T::Int8 | T::Int16 | T::Int32 | T::Int64 => ColumnType::Whole,
        T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => ColumnType::Whole,
        T::Float16 | T::Float32 | T::Float64 => ColumnType::Real,
        T::Decimal(..) | T::Decimal32(..) | T::Decimal64(..) => ColumnType::Real,
        T::Utf8 | T::LargeUtf8 | T::Utf8View => ColumnType::Text,
        T::Dictionary(_, values, _) => match holds(values) {
            ColumnType::Text => ColumnType::Text,
            _ => other("dictionary"),
        },
        T::List(item) | T::LargeList(item) | T::FixedSizeList(item, _) => {
            match holds(&item.dtype) {
                ColumnType::Whole | ColumnType::Real | ColumnType::List => ColumnType::List,
                ColumnType::Text => other("list of text"),
                ColumnType::Other(name) => ColumnType::Other(format!("list of {name}")),
            }
        }
        T::Timestamp(..) => other("timestamp"),
        T::Date32 | T::Date64 => other("date"),
        T::Time32(_) | T::Time64(_) => other("time"),
        T::Duration(_) | T::Interval(_) => other("duration"),
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => other("bytes"),
        T::Struct(_) => other("struct"),
        T::Map(..) => other("map"),
        T::Null => other("null"),
        rest => ColumnType::Other(format!("{rest:?}").to_lowercase()),
    }
}

/// The field as it is decoded: categories are read as the text that they stand for.
pub(super) fn plain(mut field: Field) -> Field {
    if matches!(field.dtype.to_storage(), ArrowDataType::Dictionary(..)) {
        field.dtype = ArrowDataType::Utf8View;
    }
    field
}

/// The field where numbers in half precision were taken for bytes: a file without a schema of arrow's
/// says so in a way that the library does not read.
pub(super) fn half_precision(mut field: Field) -> Field {
    field.dtype = match field.dtype {
        ArrowDataType::FixedSizeBinary(2) => ArrowDataType::Float16,
        ArrowDataType::List(item) => ArrowDataType::List(Box::new(half_precision(*item))),
        ArrowDataType::LargeList(item) => ArrowDataType::LargeList(Box::new(half_precision(*item))),
        other => other,
    };
    field
}
