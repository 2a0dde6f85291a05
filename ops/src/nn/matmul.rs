//! Matrix products on slices: the one place that calls `gemm`.
//!
//! Every product runs on one thread; callers split work into parts whose number does not depend
//! on how many threads there are, so that sums are always taken in the same order.

use gemm::Parallelism;
use rayon::prelude::*;
use std::{ops::Range, sync::Once};

/// A row-major matrix in a slice, or its transpose.
#[derive(Clone, Copy)]
pub struct Mat<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    down: usize,
    along: usize,
}

impl<'a> Mat<'a> {
    /// `rows` × `columns` numbers, row after row.
    ///
    /// # Panics
    /// If `values` is too short.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// Rows that start `pitch` numbers apart.
    ///
    /// # Panics
    /// If `values` is too short.
    pub fn strided(values: &'a [f32], rows: usize, columns: usize, pitch: usize) -> Self {
        let needed = if rows * columns == 0 { 0 } else { (rows - 1) * pitch + columns };
        assert!(values.len() >= needed, "BUG: {} numbers as {rows} × {columns}", values.len());
        Self { values, rows, columns, down: pitch, along: 1 }
    }

    /// Some of the rows.
    fn rows(self, range: Range<usize>) -> Self {
        assert!(range.end <= self.rows, "BUG: rows {range:?} of {}", self.rows);
        Self { values: &self.values[range.start * self.down..], rows: range.len(), ..self }
    }

    /// The transpose, without moving anything.
    #[must_use]
    pub fn t(self) -> Self {
        let Self { values, rows, columns, down, along } = self;
        Self { values, rows: columns, columns: rows, down: along, along: down }
    }
}

/// `out = a·b`, or `out += a·b` if `add`; `out` is row-major with rows `pitch` apart.
///
/// # Panics
/// If the sizes do not fit.
pub fn multiply(a: Mat<'_>, b: Mat<'_>, add: bool, out: &mut [f32], pitch: usize) {
    let needed = if a.rows * b.columns == 0 { 0 } else { (a.rows - 1) * pitch + b.columns };
    assert!(a.columns == b.rows && pitch >= b.columns && out.len() >= needed, "BUG: product");
    // SAFETY: `out` has room for the product and is borrowed mutably, so it overlaps no factor.
    unsafe { multiply_at(a, b, add, out.as_mut_ptr(), pitch) }
}

/// Factors that lie well are read where they are: rearranging them first, as `gemm` does from 48
/// columns on, costs more than it gains on matrices that were just laid out. This holds for the
/// whole process and changes no result.
fn read_in_place() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| gemm::set_lhs_packing_threshold_single_thread(128));
}

/// # Safety
/// The inner sizes agree, and `out` may be written at every (row, column) of the product.
unsafe fn multiply_at(a: Mat<'_>, b: Mat<'_>, add: bool, out: *mut f32, pitch: usize) {
    read_in_place();
    // SAFETY: `Mat` holds every index of a factor inside its slice; the caller vouches for `out`.
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
            a.along as isize,
            a.down as isize,
            b.values.as_ptr(),
            b.along as isize,
            b.down as isize,
            if add { 1.0 } else { 0.0 },
            1.0_f32,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// Parts into which a large product is split, on however many threads.
const PARTS: usize = 16;

/// [`multiply`] on all threads. The longest side is split into a fixed number of parts; if that
/// is the inner one, the parts are added in order. `partials` is room kept between calls.
///
/// # Panics
/// If the sizes do not fit.
pub fn multiply_parallel(
    a: Mat<'_>,
    b: Mat<'_>,
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
            multiply(a.t().rows(range.clone()).t(), b.rows(range), false, out, columns);
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
                multiply(a.rows(range), b, add, out, pitch);
            }
        });
    } else {
        let (step, base) = (step(columns), Base(out.as_mut_ptr()));
        (0..columns.div_ceil(step)).into_par_iter().for_each(|part| {
            let range = part * step..columns.min((part + 1) * step);
            let start = range.start;
            // SAFETY: the parts write disjoint columns of `out`, which has room for all of them.
            unsafe { multiply_at(a, b.t().rows(range).t(), add, base.at(start), pitch) }
        });
    }
}

/// Where a matrix starts that several threads write at different columns.
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
            let a = if a_flip { Mat::new(&a, k, m).t() } else { Mat::new(&a, m, k) };
            let b = if b_flip { Mat::new(&b, n, k).t() } else { Mat::new(&b, k, n) };
            let mut split = out.clone();
            multiply(a, b, add, &mut out, n);
            prop_assert_eq!(&out, &expected);
            multiply_parallel(a, b, add, &mut split, n, &mut Vec::new());
            prop_assert_eq!(split, expected);
        }
    }
}
