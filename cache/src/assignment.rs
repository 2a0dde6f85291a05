//! The assignment of rows to columns with the largest total gain (Kuhn 1955, Munkres 1957).
//!
//! For gains g of shape rows × columns it finds min(rows, columns) pairs (r, c), in which each
//! row and each column occurs at most once, with the largest Σ g(r, c). The method is shortest
//! augmenting paths over reduced costs (Jonker & Volgenant 1987), row after row, in O(rows² ·
//! columns) steps. Source: `scipy.optimize.linear_sum_assignment(maximize=True)`.

/// The column assigned to each row, if any; `gains` is row-major with `columns` values a row.
///
/// Gains are finite. The choice among equally good assignments depends on the gains alone.
pub fn assign(gains: &[f64], columns: usize) -> Vec<Option<usize>> {
    let rows = gains.len().checked_div(columns).unwrap_or(0);
    if rows <= columns {
        let cost = |row: usize, column: usize| -gains[row * columns + column];
        return shortest_paths(rows, columns, &cost).into_iter().map(Some).collect();
    }
    let cost = |column: usize, row: usize| -gains[row * columns + column];
    let mut assigned = vec![None; rows];
    for (column, row) in shortest_paths(columns, rows, &cost).into_iter().enumerate() {
        assigned[row] = Some(column);
    }
    assigned
}

/// The column of each row; there may not be more rows than columns.
fn shortest_paths(rows: usize, columns: usize, cost: &dyn Fn(usize, usize) -> f64) -> Vec<usize> {
    let (mut of_row, mut of_column) = (vec![0.0; rows], vec![0.0; columns]);
    let mut owner: Vec<Option<usize>> = vec![None; columns];
    let mut assigned = vec![0; rows];
    for start in 0..rows {
        let mut least = vec![f64::INFINITY; columns];
        let mut before: Vec<usize> = vec![start; columns];
        let mut reached: Vec<usize> = Vec::new();
        let mut open: Vec<usize> = (0..columns).collect();
        let (mut row, mut length) = (start, 0.0);
        let free = loop {
            for &column in &open {
                let path = length + cost(row, column) - of_row[row] - of_column[column];
                if path < least[column] {
                    (least[column], before[column]) = (path, row);
                }
            }
            let nearest = |a: &usize, b: &usize| least[open[*a]].total_cmp(&least[open[*b]]);
            let at = (0..open.len()).min_by(nearest).expect("there are columns enough for rows");
            let column = open.remove(at);
            length = least[column];
            match owner[column] {
                None => break column,
                Some(next) => {
                    reached.push(column);
                    row = next;
                }
            }
        };
        of_row[start] += length;
        for &column in &reached {
            let slack = length - least[column];
            of_column[column] -= slack;
            of_row[owner[column].expect("a reached column has an owner")] += slack;
        }
        // Each row on the path takes the column through which it was reached.
        let mut column = free;
        loop {
            let row = before[column];
            owner[column] = Some(row);
            let left = std::mem::replace(&mut assigned[row], column);
            if row == start {
                break;
            }
            column = left;
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greedy_choice_is_not_the_best() {
        assert_eq!(assign(&[10.0, 9.0, 9.0, 1.0], 2), [Some(1), Some(0)]);
        assert_eq!(assign(&[1.0, 5.0, 2.0], 3), [Some(1)]);
        assert_eq!(assign(&[1.0, 5.0, 2.0], 1), [None, Some(0), None]);
        assert_eq!(assign(&[], 0), []);
    }
}
