//! A safe face for the `gemm` crate: products of matrices given as slices.

use gemm::Parallelism;

/// A matrix in a slice, row-major or transposed.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// A row-major matrix of `columns` columns and as many rows as there are values for.
    pub fn new(values: &'a [T], columns: usize) -> Self {
        assert!(columns > 0 && values.len().is_multiple_of(columns), "BUG: rows are not whole");
        let rows = values.len() / columns;
        Self { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// Columns `from..from + columns` alone.
    #[must_use]
    pub fn columns(self, from: usize, columns: usize) -> Self {
        assert!(from + columns <= self.columns, "BUG: columns beyond the matrix");
        let values = &self.values[(from * self.column_stride).min(self.values.len())..];
        Self { values, columns, ..self }
    }

    /// How many rows there are.
    pub fn rows(self) -> usize {
        self.rows
    }

    /// Rows and columns exchanged, without moving a value.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            values: self.values,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

/// A number that the product is made for.
pub trait Number: Copy + 'static {
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
}
impl Number for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}
impl Number for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}

/// `out` = a · b, or `out` += a · b if `add`; `out` is row-major.
///
/// It runs on the calling thread alone; callers split their work into parts that do not depend on
/// the number of threads, so that sums keep one order.
pub fn multiply<T: Number>(out: &mut [T], a: Matrix<'_, T>, b: Matrix<'_, T>, add: bool) {
    assert_eq!(a.columns, b.rows, "BUG: the inner axes of a product differ");
    assert_eq!(out.len(), a.rows * b.columns, "BUG: the size of a product");
    if out.is_empty() {
        return;
    }
    let fits = |m: &Matrix<'_, T>| {
        m.rows == 0
            || m.columns == 0
            || (m.rows - 1) * m.row_stride + (m.columns - 1) * m.column_stride < m.values.len()
    };
    assert!(fits(&a) && fits(&b), "BUG: a matrix larger than its slice");
    // SAFETY: `out` holds rows × columns values at these strides, both factors were just checked
    // to lie inside their slices, and `out` is borrowed exclusively, so nothing overlaps it.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out.as_mut_ptr(),
            1,
            b.columns as isize,
            add,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            if add { T::ONE } else { T::ZERO },
            T::ONE,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_2x3_by_3x2_plain_transposed_and_added() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        let mut out = [0.0; 4];
        multiply(&mut out, Matrix::new(&a, 3), Matrix::new(&b, 2), false);
        assert_eq!(out, [4.0, 5.0, 10.0, 11.0]);
        multiply(&mut out, Matrix::new(&a, 3), Matrix::new(&a, 3).transposed(), true);
        assert_eq!(out, [18.0, 37.0, 42.0, 88.0]);
        let mut part = [0.0_f64; 2];
        let (last, ones) = (Matrix::new(&a, 3).columns(2, 1), [2.0]);
        multiply(&mut part, last, Matrix::new(&ones, 1), false);
        assert_eq!(part, [6.0, 12.0]);
    }
}
