//! Orthonormal vectors: bases of columns, completion of rows, and normalisation of signs.

use super::{
    matmul::{Matrix, multiply},
    symmetric::eigen,
};

/// The inner products of all columns of row-major blocks of `n` rows, placed side by side.
pub fn inner_products(blocks: &[Vec<f64>], n: usize) -> Vec<f64> {
    let total: usize = blocks.iter().map(|block| block.len() / n).sum();
    let mut all = vec![0.0; total * total];
    let mut row = 0;
    for (index, left) in blocks.iter().enumerate() {
        let left = Matrix::new(left, left.len() / n).transposed();
        let mut column = 0;
        for right in &blocks[..=index] {
            let width = right.len() / n;
            let mut product = vec![0.0; left.rows() * width];
            multiply(&mut product, left, Matrix::new(right, width), false);
            for (i, values) in product.chunks_exact(width).enumerate() {
                for (j, &value) in values.iter().enumerate() {
                    all[(row + i) * total + column + j] = value;
                    all[(column + j) * total + row + i] = value;
                }
            }
            column += width;
        }
        row += left.rows();
    }
    all
}

/// An orthonormal basis, in columns, of the part of the `width` columns of a block of `n` rows that
/// is outside the span of `basis`; empty if there is none. Directions below the rounding error of
/// single precision are dropped.
pub fn orthonormal_columns(
    mut block: Vec<f64>,
    n: usize,
    mut width: usize,
    basis: &[Vec<f64>],
) -> Vec<f64> {
    let known: usize = basis.iter().map(|columns| columns.len() / n).sum();
    let scale = block.iter().map(|v| v * v).sum::<f64>();
    // One round leaves rounding errors of the size of the removed part; two are enough.
    for floor in [1e-14 * scale, 0.5] {
        for columns in basis {
            let columns = Matrix::new(columns, columns.len() / n);
            let mut shares = vec![0.0; columns.transposed().rows() * width];
            multiply(&mut shares, columns.transposed(), Matrix::new(&block, width), false);
            shares.iter_mut().for_each(|share| *share = -*share);
            multiply(&mut block, columns, Matrix::new(&shares, width), true);
        }
        let gram = inner_products(std::slice::from_ref(&block), n);
        let Some((values, mut vectors)) = eigen(&gram, width) else { return Vec::new() };
        let kept = values.iter().take_while(|&&value| value > floor).count().min(n - known);
        if kept == 0 {
            return Vec::new();
        }
        for (vector, value) in vectors.chunks_exact_mut(width).zip(&values).take(kept) {
            vector.iter_mut().for_each(|entry| *entry /= value.sqrt());
        }
        let mut turned = vec![0.0; n * kept];
        let turn = Matrix::new(&vectors[..kept * width], width).transposed();
        multiply(&mut turned, Matrix::new(&block, width), turn, false);
        (block, width) = (turned, kept);
    }
    block
}

/// Makes rows of `d` numbers orthonormal. The first `sound` are orthogonal already; the others are
/// made orthogonal to all before them, and replaced if they are linearly dependent.
pub fn complete(rows: &mut [f64], d: usize, sound: usize) {
    let mut axis = 0;
    for row in 0..rows.len() / d {
        let (before, rest) = rows.split_at_mut(row * d);
        let own = &mut rest[..d];
        if row < sound {
            normalise(own);
            continue;
        }
        while !(normalise(own) && remove(before, own) && remove(before, own)) {
            own.fill(0.0);
            own[axis % d] = 1.0;
            axis += 1;
        }
    }
}

/// Scales a vector to length 1; false for a zero vector.
fn normalise(vector: &mut [f64]) -> bool {
    let length = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
    let fits = length.is_finite() && length > 0.0;
    if fits {
        vector.iter_mut().for_each(|v| *v /= length);
    }
    fits
}

/// Removes the components of a unit vector along orthonormal rows and scales it to length 1; false
/// if almost nothing is left.
fn remove(rows: &[f64], vector: &mut [f64]) -> bool {
    for row in rows.chunks_exact(vector.len()) {
        let share: f64 = row.iter().zip(&*vector).map(|(a, b)| a * b).sum();
        vector.iter_mut().zip(row).for_each(|(v, row)| *v -= share * row);
    }
    let left: f64 = vector.iter().map(|v| v * v).sum();
    left > 1e-4 / vector.len() as f64 && normalise(vector)
}

/// Changes the signs of rows so that the entry of largest magnitude (the first of equal ones) is
/// positive; returns the factors, 1 or −1.
pub fn flip_signs(rows: &mut [f64], d: usize) -> Vec<f64> {
    let flip = |row: &mut [f64]| {
        let largest = row.iter().fold(0.0_f64, |l, &v| if v.abs() > l.abs() { v } else { l });
        let sign = if largest < 0.0 { -1.0 } else { 1.0 };
        row.iter_mut().for_each(|value| *value *= sign);
        sign
    };
    rows.chunks_exact_mut(d).map(flip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_3x3_of_rank_one_are_completed() {
        let mut rows = vec![0.0, 3.0, 4.0, 0.0, 6.0, 8.0, 0.0, 0.0, 0.0];
        complete(&mut rows, 3, 1);
        for i in 0..3 {
            for j in 0..3 {
                let product: f64 = (0..3).map(|f| rows[i * 3 + f] * rows[j * 3 + f]).sum();
                assert!((product - f64::from(i == j)).abs() < 1e-12, "{rows:?}");
            }
        }
    }

    #[test]
    fn columns_that_add_nothing_are_dropped() {
        let first = orthonormal_columns(vec![1.0, 2.0, 1.0, 2.0, 0.0, 0.0], 3, 2, &[]);
        assert_eq!(first.len(), 3);
        assert!(orthonormal_columns(vec![5.0, 5.0, 0.0], 3, 1, &[first]).is_empty());
    }

    #[test]
    fn the_largest_entry_becomes_positive() {
        let mut rows = vec![1.0, -2.0, 2.0, 1.0];
        assert_eq!(flip_signs(&mut rows, 2), [-1.0, 1.0]);
        assert_eq!(rows, [-1.0, 2.0, 2.0, 1.0]);
    }
}
