//! An artifact: content of a kind, named by its digest.

use crate::{Array, Column, Digest, Hasher, Kind, Table, Tensors};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Facts about the content as a whole, such as a sample rate; part of the digest.
pub type Meta = BTreeMap<String, serde_json::Value>;

/// The content of an artifact.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Columns, kept as Parquet.
    Table(Table),
    /// Named tensors, kept as safetensors.
    Tensors(Tensors),
}

/// Content of a kind. Immutable once made; large columns are shared, not copied.
#[derive(Clone, Debug, PartialEq)]
pub struct Artifact {
    /// The kind of the content.
    pub kind: Kind,
    /// Facts about the content as a whole.
    pub meta: Meta,
    /// The content.
    pub data: Data,
}

impl Artifact {
    /// An artifact of columns.
    pub fn table(kind: Kind, table: Table) -> Self {
        Self { kind, meta: Meta::new(), data: Data::Table(table) }
    }

    /// An artifact of tensors.
    pub fn tensors(kind: Kind, tensors: Tensors) -> Self {
        Self { kind, meta: Meta::new(), data: Data::Tensors(tensors) }
    }

    /// Adds one fact.
    #[must_use]
    pub fn with_meta(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.meta.insert(name.to_owned(), value.into());
        self
    }

    /// The columns, if it is a table.
    pub fn as_table(&self) -> Option<&Table> {
        match &self.data {
            Data::Table(table) => Some(table),
            Data::Tensors(_) => None,
        }
    }

    /// The tensors, if it is not a table.
    pub fn as_tensors(&self) -> Option<&Tensors> {
        match &self.data {
            Data::Tensors(tensors) => Some(tensors),
            Data::Table(_) => None,
        }
    }

    /// Rows and the shape of one row of `features`.
    pub fn shape(&self) -> Shape {
        let table = self.as_table();
        Shape {
            kind: self.kind,
            rows: table.map(Table::rows),
            row: table
                .and_then(|table| table.array("features"))
                .map(|array| array.shape().to_vec()),
        }
    }

    /// The digest of kind, metadata, schema and values. The bytes of the file do not enter it.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new("artifact-v1");
        hasher.text(self.kind.name()).text(&self.meta_json());
        match &self.data {
            Data::Table(table) => {
                hasher.text("table").number(table.columns().len() as u64);
                for (name, column) in table.columns() {
                    hash_column(&mut hasher, name, column);
                }
            }
            Data::Tensors(tensors) => {
                hasher.text("tensors").number(tensors.len() as u64);
                for (name, tensor) in tensors {
                    hash_shape(hasher.text(name), &tensor.shape).values(&tensor.values);
                }
            }
        }
        hasher.finish()
    }

    /// The metadata as JSON with sorted names.
    pub(crate) fn meta_json(&self) -> String {
        serde_json::to_string(&self.meta).expect("JSON values always serialise")
    }
}

fn hash_column(hasher: &mut Hasher, name: &str, column: &Column) {
    hasher.text(name);
    match column {
        Column::Text(values) => {
            hasher.text("text").number(values.len() as u64);
            for value in values {
                hasher.text(value);
            }
        }
        Column::Int(values) => {
            hasher.text("int").values(values);
        }
        Column::Real(values) => {
            hasher.text("real").values(values);
        }
        Column::Array(array) => hash_array(hasher, array),
    }
}

fn hash_array(hasher: &mut Hasher, array: &Array) {
    hash_shape(hasher.text("array"), array.shape()).values(array.values());
}

fn hash_shape<'h>(hasher: &'h mut Hasher, shape: &[usize]) -> &'h mut Hasher {
    hasher.number(shape.len() as u64);
    for &axis in shape {
        hasher.number(axis as u64);
    }
    hasher
}

/// The description of an artifact without its content. Before a run, parts may still be unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The kind of the artifact.
    pub kind: Kind,
    /// The number of rows, if known.
    pub rows: Option<usize>,
    /// The shape of one row of `features`, if there are any and it is known.
    pub row: Option<Vec<usize>>,
}

impl Shape {
    /// A shape of which only the kind is known.
    pub fn of(kind: Kind) -> Self {
        Self { kind, rows: None, row: None }
    }

    /// The same with a number of rows.
    #[must_use]
    pub fn with_rows(mut self, rows: Option<usize>) -> Self {
        self.rows = rows;
        self
    }

    /// The same with the shape of a row.
    #[must_use]
    pub fn with_row(mut self, row: Option<Vec<usize>>) -> Self {
        self.row = row;
        self
    }

    /// The number of features in a row, if known.
    pub fn width(&self) -> Option<usize> {
        self.row.as_ref().map(|row| row.iter().product())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(rows) = self.rows {
            write!(f, " {rows}")?;
        }
        if let Some(row) = &self.row {
            for axis in row {
                write!(f, " × {axis}")?;
            }
        }
        Ok(())
    }
}
