//! Columns of tables from other programs, whatever their format: types, values, missing cells, and
//! the limit of what a file may expand to.

use crate::{Array, Column};

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
        const MIN_BYTES: u64 = 256 << 20;
        const TIMES: u64 = 50;
        let usual = size.saturating_mul(TIMES).max(MIN_BYTES);
        Self { bytes: set.map_or(usual, |mib| u64::from(mib) << 20) }
    }

    /// Takes so many bytes from the limit.
    ///
    /// # Errors
    /// The end of a sentence about the file, if the limit is exceeded.
    pub fn consume(&mut self, bytes: u64) -> Result<(), String> {
        self.fits(bytes)?;
        self.bytes -= bytes;
        Ok(())
    }

    /// Checks that so many bytes are within the limit, without taking them.
    ///
    /// # Errors
    /// As [`SizeLimit::consume`].
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
