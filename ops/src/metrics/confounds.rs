//! Columns beside the class that may explain clusters: the recording, a genre, a sample rate.

use crate::math::contingency::{Contingency, by_first_appearance};
use crate::{Ctx, Inputs, OpError};
use cache::{Column, Table};
use std::collections::{BTreeSet, HashMap};

/// The column of labels with the recording of each clip.
pub(super) const RECORDING: &str = "group";

/// Columns that name or locate a clip, or are its class.
const NAMES: [&str; 3] = ["clip_id", "audio", "label"];

/// The largest number of different numbers that are values of their own.
const MAX_NUMBERS: usize = 32;

/// A column with its cell for each clip; an empty cell is a missing value.
pub(super) struct Covariate {
    pub name: String,
    pub cells: Vec<String>,
}

/// The columns of `truth` and `clips` for these clips. A clip that is not in `clips` has no values
/// there.
pub(super) fn columns(inputs: &Inputs<'_>, ids: &[&str]) -> Result<Vec<Covariate>, OpError> {
    let mut all: Vec<Covariate> = Vec::new();
    let mut tables = vec![inputs.table("truth")?];
    if inputs.optional("clips").is_some() {
        tables.push(inputs.table("clips")?);
    }
    for table in tables {
        let rows = rows(table);
        for (name, column) in table.columns().filter(|(name, _)| !NAMES.contains(name)) {
            if all.iter().any(|known| known.name == name) {
                continue;
            }
            let row = |id: &&str| rows.get(*id).copied();
            let numbers = |value: &dyn Fn(usize) -> f64| {
                numbers(ids.iter().map(|id| row(id).map(value)).collect())
            };
            let (cells, cut) = match column {
                Column::Text(values) => {
                    let cell = |id| row(id).map_or_else(String::new, |at| values[at].clone());
                    (ids.iter().map(cell).collect(), false)
                }
                Column::Int(values) => numbers(&|at| values[at] as f64),
                Column::Real(values) => numbers(&|at| values[at]),
                Column::Array(_) => continue,
            };
            let name = if cut { format!("{name} (quarters)") } else { name.to_owned() };
            all.push(Covariate { name, cells });
        }
    }
    Ok(all)
}

/// The row of each clip.
fn rows(table: &Table) -> HashMap<&str, usize> {
    let ids = table.text("clip_id").unwrap_or_default();
    ids.iter().enumerate().map(|(row, id)| (id.as_str(), row)).collect()
}

/// Numbers as names, and whether they were cut into quarters because there are too many.
fn numbers(values: Vec<Option<f64>>) -> (Vec<String>, bool) {
    let mut sorted: Vec<f64> = values.iter().flatten().copied().filter(|it| !it.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    let distinct = sorted.windows(2).filter(|pair| pair[0] < pair[1]).count() + 1;
    let is_cut = distinct > MAX_NUMBERS;
    let quarter = |value: f64| {
        let below = |part: &&usize| value > sorted[(sorted.len() - 1) * **part / 4];
        format!("{}", [1, 2, 3].iter().filter(below).count() + 1)
    };
    let name = |value: f64| if is_cut { quarter(value) } else { value.to_string() };
    let cell = |value: Option<f64>| value.filter(|it| !it.is_nan()).map_or_else(String::new, name);
    (values.into_iter().map(cell).collect(), is_cut)
}

/// The agreement of clusters with the class and with each column, over the clips that have a value.
pub(super) fn table(
    columns: &[Covariate],
    classes: &[u32],
    clusters: &[u32],
    cx: &Ctx<'_>,
) -> Result<Table, OpError> {
    let class =
        Covariate { name: "label".to_owned(), cells: classes.iter().map(u32::to_string).collect() };
    let mut names = Vec::new();
    let mut counts = [Vec::new(), Vec::new()];
    let mut measures = [const { Vec::new() }; 6];
    for Covariate { name, cells } in std::iter::once(&class).chain(columns) {
        cx.stop_if_cancelled()?;
        let rows: Vec<usize> = (0..cells.len()).filter(|row| !cells[*row].is_empty()).collect();
        let values: BTreeSet<&str> = rows.iter().map(|row| cells[*row].as_str()).collect();
        // Where all clips have one value or each its own there is nothing to explain by it.
        let is_empty = values.len() < 2 || values.len() == rows.len();
        if is_empty && !std::ptr::eq(cells, &class.cells) {
            continue;
        }
        let own: Vec<&str> = rows.iter().map(|row| cells[*row].as_str()).collect();
        let own = by_first_appearance(&own).0;
        let among = |all: &[u32]| {
            let picked: Vec<u32> = rows.iter().map(|row| all[*row]).collect();
            by_first_appearance(&picked).0
        };
        names.push(name.as_str());
        counts[0].push(values.len() as i64);
        counts[1].push(rows.len() as i64);
        let both =
            [Contingency::new(&own, &among(clusters)), Contingency::new(&own, &among(classes))];
        let of = |it: &Contingency| {
            [
                it.adjusted_rand(),
                it.normalized_mutual_information(),
                it.adjusted_mutual_information(),
            ]
        };
        let found = both.iter().flat_map(of);
        measures.iter_mut().zip(found).for_each(|(column, value)| column.push(value));
    }
    let [values, clips] = counts;
    let columns = ["ari", "nmi", "ami", "label_ari", "label_nmi", "label_ami"];
    let table = Table::new()
        .with_text("column", names)
        .with_ints("values", values)
        .with_ints("clips", clips);
    Ok(columns
        .into_iter()
        .zip(measures)
        .fold(table, |table, (name, it)| table.with_reals(name, it)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_numbers_are_cut_into_quarters_and_few_are_not() {
        let few = numbers(vec![Some(2.0), None, Some(f64::NAN), Some(2.5)]);
        assert_eq!(few, (["2", "", "", "2.5"].map(str::to_owned).to_vec(), false));
        let (many, cut) = numbers((0..40).map(|it| Some(f64::from(it))).collect());
        assert!(cut);
        let counts = ["1", "2", "3", "4"].map(|it| many.iter().filter(|cell| *cell == it).count());
        assert_eq!(counts, [10, 10, 10, 10]);
    }
}
