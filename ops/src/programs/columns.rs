//! The columns of a table from an external program, by their names.

use cache::{Column, Table};
use std::collections::HashSet;

/// Columns that are not features.
const NAMED: [&str; 3] = ["clip_id", "label", "group"];

/// The names of the clips: the column `clip_id`, or the row numbers.
pub fn ids(table: &Table) -> Result<Vec<String>, String> {
    let Some(column) = table.column("clip_id") else {
        return Ok((0..table.rows()).map(|row| row.to_string()).collect());
    };
    let ids = text(column);
    let mut seen = HashSet::new();
    match ids.iter().find(|id| !seen.insert(id.as_str())) {
        Some(twice) => Err(format!("has the clip `{twice}` twice")),
        None => Ok(ids),
    }
}

/// The values of a column as text.
pub fn text(column: &Column) -> Vec<String> {
    match column {
        Column::Text(values) => values.clone(),
        Column::Int(values) => values.iter().map(i64::to_string).collect(),
        Column::Real(values) => values.iter().map(f64::to_string).collect(),
        Column::Array(array) => {
            (0..array.rows()).map(|row| format!("{:?}", array.row(row))).collect()
        }
    }
}

/// All features, row after row, with the number of features in a row.
pub fn features(table: &Table) -> Result<(usize, Vec<f32>), String> {
    let columns: Vec<_> = table.columns().filter(|(name, _)| !NAMED.contains(name)).collect();
    let mut words = columns.iter().filter(|(_, column)| matches!(column, Column::Text(_)));
    if let Some((name, _)) = words.next() {
        return Err(format!("has text in column `{name}`, which should be a feature"));
    }
    let width: usize = columns
        .iter()
        .map(|(_, column)| match column {
            Column::Array(array) => array.width(),
            _ => 1,
        })
        .sum();
    if width == 0 {
        return Err("has no column of features".to_owned());
    }
    if table.rows() == 0 {
        return Err("has no row".to_owned());
    }
    let mut values = Vec::with_capacity(width * table.rows());
    for row in 0..table.rows() {
        for (_, column) in &columns {
            match column {
                Column::Int(column) => values.push(column[row] as f32),
                Column::Real(column) => values.push(column[row] as f32),
                Column::Array(array) => values.extend(array.row(row)),
                Column::Text(_) => panic!("BUG: text was refused"),
            }
        }
    }
    Ok((width, values))
}
