//! Products of matrices in slices: the only module that calls `gemm`.
//!
//! Every product runs on one thread. Callers, and [`multiply_parallel`], split work into a
//! number of parts that does not depend on the number of threads, so that sums have a fixed order.

use gemm::Parallelism;
use rayon::prelude::*;
use std::{ops::Range, sync::Once};

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
    /// A row-major matrix of `columns` columns that covers all values.
    pub fn new(values: &'a [T], columns: usize) -> Self {
        assert!(columns > 0 && values.len().is_multiple_of(columns), "BUG: rows are not whole");
        let rows = values.len() / columns;
        Self { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// `rows` rows of `columns` values that start `pitch` values apart.
    pub fn strided(values: &'a [T], rows: usize, columns: usize, pitch: usize) -> Self {
        let matrix = Self { values, rows, columns, row_stride: pitch, column_stride: 1 };
        assert!(matrix.fits(), "BUG: {} values as {rows} × {columns}", values.len());
        matrix
    }

    fn fits(&self) -> bool {
        let last = |count: usize, stride: usize| count.saturating_sub(1) * stride;
        let end = last(self.rows, self.row_stride) + last(self.columns, self.column_stride);
        self.rows * self.columns == 0 || end < self.values.len()
    }

    /// The columns `from..from + columns` only.
    #[must_use]
    pub fn columns(self, from: usize, columns: usize) -> Self {
        assert!(from + columns <= self.columns, "BUG: columns beyond the matrix");
        let values = &self.values[(from * self.column_stride).min(self.values.len())..];
        Self { values, columns, ..self }
    }

    /// A range of the rows.
    fn slice_rows(self, rows: Range<usize>) -> Self {
        assert!(rows.end <= self.rows, "BUG: rows {rows:?} of {}", self.rows);
        let values = &self.values[(rows.start * self.row_stride).min(self.values.len())..];
        Self { values, rows: rows.len(), ..self }
    }

    /// The number of rows.
    pub fn rows(self) -> usize {
        self.rows
    }

    /// The transposed matrix, without moving a value.
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

/// A number type for which the product is implemented.
pub trait Number: Copy + 'static {
    /// The number 0.
    const ZERO: Self;
    /// The number 1.
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
pub fn multiply<T: Number>(out: &mut [T], a: Matrix<'_, T>, b: Matrix<'_, T>, add: bool) {
    assert_eq!(out.len(), a.rows * b.columns, "BUG: the size of a product");
    multiply_into(a, b, add, out, b.columns);
}

/// Does the same as [`multiply`] for an output whose rows start `pitch` values apart.
pub fn multiply_into<T: Number>(
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    add: bool,
    out: &mut [T],
    pitch: usize,
) {
    if a.rows * b.columns == 0 {
        return;
    }
    assert_eq!(a.columns, b.rows, "BUG: the inner axes of a product differ");
    let needed = (a.rows - 1) * pitch + b.columns;
    assert!(pitch >= b.columns && out.len() >= needed, "BUG: room for a product");
    // SAFETY: `out` has room for the product and is borrowed mutably, so it overlaps no factor.
    unsafe {
        multiply_at(a, b, add, out.as_mut_ptr(), pitch);
    }
}

/// Makes `gemm` read suitable factors in place from now on. Packing them first, as it does by
/// default from 48 columns on, costs more than it gains for matrices that were just laid out. This
/// applies to the whole process and changes no result.
pub fn read_in_place() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| gemm::set_lhs_packing_threshold_single_thread(128));
}

/// Multiplies into a raw pointer.
///
/// # Safety
/// The inner sizes must agree, and `out` must be writable at every (row, column) of the product.
unsafe fn multiply_at<T: Number>(
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    add: bool,
    out: *mut T,
    pitch: usize,
) {
    assert!(a.fits() && b.fits(), "BUG: a matrix larger than its slice");
    // SAFETY: both factors were just checked to lie inside their slices; the caller vouches for
    // `out`.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out,
            1,
            pitch as isize,
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

/// The number of parts into which a large product is split, for any number of threads.
const PARTS: usize = 16;

/// Does the same as [`multiply_into`] on all threads. The longest side is split into a fixed number
/// of parts; if that is the inner one, the parts are added in order. `partials` is a buffer that is
/// reused between calls.
///
/// # Panics
/// If the sizes do not fit.
pub fn multiply_parallel(
    a: Matrix<'_, f32>,
    b: Matrix<'_, f32>,
    add: bool,
    out: &mut [f32],
    pitch: usize,
    partials: &mut Vec<f32>,
) {
    let (rows, inner, columns) = (a.rows, a.columns, b.columns);
    if rows * columns == 0 {
        return;
    }
    assert!(inner == b.rows && pitch >= columns, "BUG: sizes of a product");
    assert!(out.len() >= (rows - 1) * pitch + columns, "BUG: room for a product");
    let step = |side: usize| side.div_ceil(PARTS).next_multiple_of(16);
    if inner > rows.max(columns) {
        let (step, size) = (step(inner), rows * columns);
        partials.clear();
        partials.resize(inner.div_ceil(step) * size, 0.0);
        partials.par_chunks_mut(size).enumerate().for_each(|(part, out)| {
            let range = part * step..inner.min((part + 1) * step);
            multiply_into(
                a.transposed().slice_rows(range.clone()).transposed(),
                b.slice_rows(range),
                false,
                out,
                columns,
            );
        });
        for (row, out) in out.chunks_mut(pitch).take(rows).enumerate() {
            for (column, out) in out[..columns].iter_mut().enumerate() {
                let parts = partials.iter().skip(row * columns + column).step_by(size);
                *out = parts.fold(if add { *out } else { 0.0 }, |sum, part| sum + part);
            }
        }
    } else if rows > columns {
        let step = step(rows);
        out.par_chunks_mut(step * pitch).enumerate().for_each(|(part, out)| {
            let range = part * step..rows.min((part + 1) * step);
            if !range.is_empty() {
                multiply_into(a.slice_rows(range), b, add, out, pitch);
            }
        });
    } else {
        let (step, base) = (step(columns), Base(out.as_mut_ptr()));
        (0..columns.div_ceil(step)).into_par_iter().for_each(|part| {
            let range = part * step..columns.min((part + 1) * step);
            let start = range.start;
            // SAFETY: the parts write disjoint columns of `out`, which has room for all of them.
            unsafe {
                multiply_at(
                    a,
                    b.transposed().slice_rows(range).transposed(),
                    add,
                    base.at(start),
                    pitch,
                )
            }
        });
    }
}

/// The start of a matrix to which several threads write at different columns.
struct Base(*mut f32);

// SAFETY: the pointer comes from one exclusive borrow that outlives the threads, and each thread
// writes its own columns.
unsafe impl Sync for Base {}

impl Base {
    fn at(&self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn products_are_the_sums_of_products(
            (m, n, k) in prop_oneof![(1..7usize, 1..40usize, 1..9usize), (1..4usize, 200..700usize, 1..4usize),
                (200..700usize, 1..4usize, 1..4usize), (1..4usize, 1..4usize, 200..700usize)],
            add: bool, a_flip: bool, b_flip: bool,
        ) {
            let number = |i: usize| (i * 7 % 11) as f32 - 5.0;
            let a: Vec<f32> = (0..m * k).map(number).collect();
            let b: Vec<f32> = (0..k * n).map(|i| number(i + 3)).collect();
            let mut out: Vec<f32> = (0..m * n).map(number).collect();
            let expected: Vec<f32> = (0..m * n).map(|at| {
                let (i, j) = (at / n, at % n);
                let start = if add { out[at] } else { 0.0 };
                start + (0..k).map(|l| {
                    let left = if a_flip { a[l * m + i] } else { a[i * k + l] };
                    left * if b_flip { b[j * k + l] } else { b[l * n + j] }
                }).sum::<f32>()
            }).collect();
            let a = if a_flip { Matrix::new(&a, m).transposed() } else { Matrix::new(&a, k) };
            let b = if b_flip { Matrix::new(&b, k).transposed() } else { Matrix::new(&b, n) };
            let mut split = out.clone();
            multiply(&mut out, a, b, add);
            prop_assert_eq!(&out, &expected);
            multiply_parallel(a, b, add, &mut split, n, &mut Vec::new());
            prop_assert_eq!(split, expected);
        }
    }
}
