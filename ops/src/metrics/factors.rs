//! Columns of labels as factors: classes, or numbers.

use super::confounds::RECORDING;
use super::disentanglement::cut;
use crate::math::contingency::by_first_appearance;
use crate::{Inputs, OpError};
use cache::{Column, Table};
use std::collections::HashMap;

/// The largest number of different whole numbers that are classes.
const MAX_CLASSES: usize = 32;

/// A factor, of the clips that have a value.
pub(super) struct Factor {
    pub name: String,
    pub rows: Vec<usize>,
    /// The class of each clip, or the part of the numbers in which it lies.
    pub parts: Vec<u32>,
    /// The numbers; classes have none.
    numbers: Option<Vec<f64>>,
}

impl Factor {
    /// The rows of features of its clips.
    pub fn rows_of(&self, x: &[f64], d: usize) -> Vec<f64> {
        self.rows.iter().flat_map(|row| &x[row * d..][..d]).copied().collect()
    }

    /// The targets of a regression: the numbers, or 1 for each class where a clip is of it.
    pub fn targets(&self) -> impl Iterator<Item = Vec<f64>> + '_ {
        let classes = self.parts.iter().max().map_or(0, |most| most + 1);
        let indicator = |class: u32| -> Vec<f64> {
            self.parts.iter().map(|own| f64::from(u8::from(*own == class))).collect()
        };
        let classes = if self.numbers.is_some() { 0..0 } else { 0..classes };
        self.numbers.clone().into_iter().chain(classes.map(indicator))
    }
}

/// The factors of these clips, and the recording of each clip, or the clip itself.
///
/// # Errors
/// When a named column is not there, when no column can be a factor, or when a clip is missing.
pub(super) fn factors(
    inputs: &Inputs<'_>,
    ids: &[String],
    named: Option<&[String]>,
    bins: usize,
) -> Result<(Vec<Factor>, Vec<String>), OpError> {
    let table = inputs.table("factors")?;
    let rows = rows(table, ids)?;
    let own = |name: &str| name != "clip_id" && name != RECORDING;
    let names: Vec<&str> = table.columns().map(|(name, _)| name).filter(|it| own(it)).collect();
    for name in named.into_iter().flatten() {
        if !names.contains(&name.as_str()) {
            let message = format!("port `factors` has no column `{name}`");
            return Err(OpError::param("factors", message)
                .help(format!("its columns are {}", names.join(", "))));
        }
    }
    let is_wanted = |name: &str| named.is_none_or(|all| all.iter().any(|it| it == name));
    let mut found = Vec::new();
    for name in names.into_iter().filter(|name| is_wanted(name)) {
        let column = table.column(name).expect("a name of its own");
        let (at, parts, numbers) = match column {
            Column::Text(values) => {
                classes(&rows, |row| Some(&values[row]).filter(|it| !it.is_empty()))
            }
            Column::Int(values) => {
                let mut all: Vec<i64> = rows.iter().map(|row| values[*row]).collect();
                all.sort_unstable();
                all.dedup();
                match all.len() > MAX_CLASSES {
                    true => numbers(&rows, bins, |row| values[row] as f64),
                    false => classes(&rows, |row| Some(&values[row])),
                }
            }
            Column::Real(values) => numbers(&rows, bins, |row| values[row]),
            Column::Array(_) => continue,
        };
        // A factor with one value tells nothing.
        if parts.iter().any(|part| *part != parts[0]) {
            found.push(Factor { name: name.to_owned(), rows: at, parts, numbers });
        }
    }
    if found.is_empty() {
        return Err(OpError::data("no column of port `factors` has two values or more")
            .help("connect the factors of `synth_factors`, or labels with further columns"));
    }
    let groups = match table.text(RECORDING) {
        Some(groups) => rows.iter().map(|row| groups[*row].clone()).collect(),
        None => ids.to_vec(),
    };
    Ok((found, groups))
}

type Parts = (Vec<usize>, Vec<u32>, Option<Vec<f64>>);

fn classes<'a, V: Clone + Eq + std::hash::Hash + 'a>(
    rows: &[usize],
    value: impl Fn(usize) -> Option<&'a V>,
) -> Parts {
    let known: Vec<(usize, &V)> =
        rows.iter().enumerate().filter_map(|(at, row)| Some((at, value(*row)?))).collect();
    let values: Vec<&V> = known.iter().map(|(_, value)| *value).collect();
    (known.iter().map(|(at, _)| *at).collect(), by_first_appearance(&values).0, None)
}

fn numbers(rows: &[usize], bins: usize, value: impl Fn(usize) -> f64) -> Parts {
    let known: Vec<(usize, f64)> = rows.iter().map(|row| value(*row)).enumerate().collect();
    let known: Vec<(usize, f64)> = known.into_iter().filter(|(_, it)| it.is_finite()).collect();
    let values: Vec<f64> = known.iter().map(|(_, value)| *value).collect();
    let parts = by_first_appearance(&cut(values.iter().copied(), bins)).0;
    (known.iter().map(|(at, _)| *at).collect(), parts, Some(values))
}

/// The row of each clip in a table.
fn rows(table: &Table, ids: &[String]) -> Result<Vec<usize>, OpError> {
    let known = table.text("clip_id");
    let known = known.ok_or_else(|| OpError::data("port `factors` has no column `clip_id`"))?;
    let of: HashMap<&str, usize> = known.iter().map(String::as_str).zip(0..).collect();
    let row = |id: &String| {
        of.get(id.as_str()).copied().ok_or_else(|| {
            OpError::data(format!("clip `{id}` of `features` is missing at port `factors`"))
                .help("connect the factors of the same clips")
        })
    };
    ids.iter().map(row).collect()
}
