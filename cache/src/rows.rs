//! Rows of tables: their digests, selections of them, and merges of two tables.

use crate::{Array, Column, Digest, Hasher, Table};
use std::mem;

/// The digest of each row over all columns: two digests are equal if the rows are bitwise equal.
pub fn digests(table: &Table) -> Vec<Digest> {
    let digest = |row: usize| {
        let mut hasher = Hasher::new("row-v1");
        for (_, column) in table.columns() {
            match column {
                Column::Text(values) => hasher.text(&values[row]),
                Column::Int(values) => hasher.values(&values[row..=row]),
                Column::Real(values) => hasher.values(&values[row..=row]),
                Column::Array(array) => hasher.values(array.row(row)),
            };
        }
        hasher.finish()
    };
    (0..table.rows()).map(digest).collect()
}

/// The rows in the given order; a row may occur several times.
///
/// # Panics
/// If there is no such row.
pub fn select(table: &Table, rows: &[usize]) -> Table {
    table.columns().fold(Table::new(), |selected, (name, column)| {
        let column = match column {
            Column::Text(values) => {
                Column::Text(rows.iter().map(|&row| values[row].clone()).collect())
            }
            Column::Int(values) => Column::Int(rows.iter().map(|&row| values[row]).collect()),
            Column::Real(values) => Column::Real(rows.iter().map(|&row| values[row]).collect()),
            Column::Array(array) => {
                let mut values = Vec::with_capacity(rows.len() * array.width());
                rows.iter().for_each(|&row| values.extend_from_slice(array.row(row)));
                Column::Array(Array::new(array.shape(), values))
            }
        };
        selected.with(name, column)
    })
}

/// True if two tables have the same columns: names in the same order, types, and shapes of arrays.
pub fn are_alike(one: &Table, other: &Table) -> bool {
    let alike = |one: &Column, other: &Column| match (one, other) {
        (Column::Array(one), Column::Array(other)) => one.shape() == other.shape(),
        _ => mem::discriminant(one) == mem::discriminant(other),
    };
    let mut pairs = one.columns().zip(other.columns());
    one.columns().len() == other.columns().len()
        && pairs.all(|((name, one), (own, other))| name == own && alike(one, other))
}

/// The rows of two tables with the same columns in one table. `order` counts the rows of `first`,
/// then those of `second`, and names each at most once. Arrays without other owners are rearranged
/// in place, so that the memory of one table is enough.
///
/// # Panics
/// If the columns differ, or `order` names a row that is not there, or one twice.
pub fn merge(first: Table, second: &Table, order: &[usize]) -> Table {
    assert!(are_alike(&first, second), "BUG: rows of different columns");
    let rows = first.rows() + second.rows();
    let order = whole(order, rows);
    let columns = first.into_columns().into_iter().zip(second.columns());
    columns.fold(Table::new(), |merged, ((name, first), (_, second))| {
        merged.with(&name, merge_columns(first, second, &order))
    })
}

/// The source of each row and the number of rows that are kept, followed by the rows that are left
/// out, so that the whole is a permutation.
struct Order {
    from: Vec<usize>,
    kept: usize,
}

fn whole(order: &[usize], rows: usize) -> Order {
    let mut left = vec![true; rows];
    for &row in order {
        assert!(mem::take(&mut left[row]), "BUG: row {row} twice");
    }
    let rest = (0..rows).filter(|&row| left[row]);
    Order { from: order.iter().copied().chain(rest).collect(), kept: order.len() }
}

fn merge_columns(first: Column, second: &Column, order: &Order) -> Column {
    let kept = &order.from[..order.kept];
    match (first, second) {
        (Column::Text(mut all), Column::Text(second)) => {
            all.extend_from_slice(second);
            Column::Text(kept.iter().map(|&row| mem::take(&mut all[row])).collect())
        }
        (Column::Int(mut all), Column::Int(second)) => {
            all.extend_from_slice(second);
            Column::Int(kept.iter().map(|&row| all[row]).collect())
        }
        (Column::Real(mut all), Column::Real(second)) => {
            all.extend_from_slice(second);
            Column::Real(kept.iter().map(|&row| all[row]).collect())
        }
        (Column::Array(first), Column::Array(second)) => {
            let (shape, width) = (first.shape().to_vec(), first.width());
            let mut all = first.into_values();
            all.reserve_exact(second.values().len());
            all.extend_from_slice(second.values());
            rearrange(&mut all, width, &order.from);
            all.truncate(order.kept * width);
            Column::Array(Array::new(shape, all))
        }
        _ => panic!("BUG: columns of different types"),
    }
}

/// Moves row `from[i]` to position i in place, for a permutation: along each cycle, with one row
/// held in a buffer.
fn rearrange(values: &mut [f32], width: usize, from: &[usize]) {
    let mut settled = vec![false; from.len()];
    let mut held = vec![0.0; width];
    for start in 0..from.len() {
        if mem::replace(&mut settled[start], true) || from[start] == start {
            continue;
        }
        held.copy_from_slice(&values[start * width..][..width]);
        let mut place = start;
        while from[place] != start {
            let source = from[place];
            values.copy_within(source * width..(source + 1) * width, place * width);
            settled[source] = true;
            place = source;
        }
        values[place * width..][..width].copy_from_slice(&held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(rows: std::ops::Range<usize>) -> Table {
        let values = rows.clone().flat_map(|row| [row as f32, -(row as f32)]).collect();
        Table::new()
            .with_text("clip_id", rows.clone().map(|row| format!("c{row}")))
            .with_ints("frames", rows.clone().map(|row| row as i64).collect())
            .with_reals("value", rows.map(|row| row as f64 / 3.0).collect())
            .with_array("features", [1, 2], values)
    }

    proptest! {
        #[test]
        fn merged_rows_are_selected_rows(
            first in 0_usize..20,
            second in 0_usize..20,
            order in Just((0..40_usize).collect::<Vec<_>>()).prop_shuffle(),
            kept in 0_usize..=40,
        ) {
            let rows = first + second;
            let order: Vec<_> = order.into_iter().filter(|&row| row < rows).take(kept).collect();
            let merged = merge(table(0..first), &table(first..rows), &order);
            prop_assert_eq!(&merged, &select(&table(0..rows), &order));
            prop_assert_eq!(digests(&merged), {
                let all = digests(&table(0..rows));
                order.iter().map(|&row| all[row]).collect::<Vec<_>>()
            });
        }
    }

    #[test]
    fn rows_that_differ_in_one_bit_differ() {
        let of = |value: f64| digests(&Table::new().with_reals("x", vec![value]))[0];
        assert_ne!(of(0.0), of(-0.0));
        assert_eq!(of(f64::NAN), of(f64::NAN));
        let text =
            |a: &str, b: &str| digests(&Table::new().with_text("a", [a]).with_text("b", [b]));
        assert_ne!(text("xy", "z"), text("x", "yz"));
    }

    #[test]
    fn tables_of_other_columns_are_not_alike() {
        let one = table(0..2);
        assert!(are_alike(&one, &table(5..9)));
        assert!(!are_alike(&one, &Table::new()));
        assert!(!are_alike(&one, &table(0..2).with_ints("more", vec![1, 2])));
        let shape = |shape: [usize; 2]| Table::new().with_array("x", shape, vec![0.0; 6]);
        assert!(!are_alike(&shape([2, 3]), &shape([3, 2])));
    }
}
