//! Named columns of one length, held in memory.

use foldhash::HashMap;
use std::sync::Arc;

/// One column.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// UTF-8 text.
    Text(Vec<String>),
    /// Whole numbers.
    Int(Vec<i64>),
    /// Real numbers in double precision; NaN marks an undefined value.
    Real(Vec<f64>),
    /// One array of single-precision numbers a row, all of one shape.
    Array(Array),
}

/// The values of an array column, row-major, shared and never changed in place.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    values: Arc<Vec<f32>>,
}

impl Array {
    /// Rows of shape `shape`, one after the other in `values`.
    ///
    /// # Panics
    /// If `shape` is empty, holds a zero, or does not divide `values` into whole rows.
    pub fn new(shape: impl Into<Vec<usize>>, values: impl Into<Arc<Vec<f32>>>) -> Self {
        let (shape, values) = (shape.into(), values.into());
        let width: usize = shape.iter().product();
        assert!(!shape.is_empty() && width > 0, "BUG: an array row of shape {shape:?}");
        assert_eq!(values.len() % width, 0, "BUG: rows of shape {shape:?} are not whole");
        Self { shape, values }
    }

    /// The shape of one row.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of values in a row.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width()
    }

    /// All numbers, row after row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The numbers of one row.
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.width()..][..self.width()]
    }

    /// All numbers as an owned vector, without a copy if they have no other owner.
    pub fn into_values(self) -> Vec<f32> {
        Arc::unwrap_or_clone(self.values)
    }
}

impl Column {
    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Column::Text(values) => values.len(),
            Column::Int(values) => values.len(),
            Column::Real(values) => values.len(),
            Column::Array(array) => array.rows(),
        }
    }

    /// True if the column has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Named columns of one length, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    columns: Vec<(String, Column)>,
    /// The position of each column by its name, since a table may have 100,000 columns.
    places: HashMap<String, usize>,
}

impl Table {
    /// A table without columns.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column.
    ///
    /// # Panics
    /// If the name is taken or the length differs from that of the columns before.
    #[must_use]
    pub fn with(mut self, name: &str, column: Column) -> Self {
        assert!(self.column(name).is_none(), "BUG: column `{name}` twice");
        if let Some((_, first)) = self.columns.first() {
            assert_eq!(first.len(), column.len(), "BUG: the length of column `{name}`");
        }
        self.places.insert(name.to_owned(), self.columns.len());
        self.columns.push((name.to_owned(), column));
        self
    }

    /// Adds a column of text.
    #[must_use]
    pub fn with_text<T: Into<String>>(
        self,
        name: &str,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        self.with(name, Column::Text(values.into_iter().map(Into::into).collect()))
    }

    /// Adds a column of whole numbers.
    #[must_use]
    pub fn with_ints(self, name: &str, values: Vec<i64>) -> Self {
        self.with(name, Column::Int(values))
    }

    /// Adds a column of real numbers.
    #[must_use]
    pub fn with_reals(self, name: &str, values: Vec<f64>) -> Self {
        self.with(name, Column::Real(values))
    }

    /// Adds an array column: rows of shape `shape`, one after the other in `values`.
    #[must_use]
    pub fn with_array(self, name: &str, shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Self {
        self.with(name, Column::Array(Array::new(shape, values)))
    }

    /// All columns in order.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = (&str, &Column)> {
        self.columns.iter().map(|(name, column)| (name.as_str(), column))
    }

    /// All columns in order, by value.
    pub fn into_columns(self) -> Vec<(String, Column)> {
        self.columns
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |(_, column)| column.len())
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.places.get(name).map(|&at| &self.columns[at].1)
    }

    /// The column of that name, if it is text.
    pub fn text(&self, name: &str) -> Option<&[String]> {
        match self.column(name)? {
            Column::Text(values) => Some(values),
            _ => None,
        }
    }

    /// The column of that name, if it holds whole numbers.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.column(name)? {
            Column::Int(values) => Some(values),
            _ => None,
        }
    }

    /// The column of that name, if it holds real numbers.
    pub fn reals(&self, name: &str) -> Option<&[f64]> {
        match self.column(name)? {
            Column::Real(values) => Some(values),
            _ => None,
        }
    }

    /// The column of that name, if it holds arrays.
    pub fn array(&self, name: &str) -> Option<&Array> {
        match self.column(name)? {
            Column::Array(array) => Some(array),
            _ => None,
        }
    }
}
