//! Rows of numbers that need not be adjacent, such as chosen clips of a data set.

use crate::math::matmul::Matrix;

/// Rows of equal length in a slice.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    values: &'a [f32],
    len: usize,
    pitch: usize,
    chosen: Option<&'a [u32]>,
}

impl<'a> Rows<'a> {
    /// Adjacent rows.
    pub fn new(values: &'a [f32], len: usize) -> Self {
        Self { values, len, pitch: len, chosen: None }
    }

    /// Rows of `len` numbers at the end of records of `pitch` numbers.
    pub fn at_end(values: &'a [f32], pitch: usize, len: usize) -> Self {
        Self { values: values.get(pitch - len..).unwrap_or_default(), len, pitch, chosen: None }
    }

    /// The rows with these numbers, in that order.
    #[must_use]
    pub fn choose(self, chosen: &'a [u32]) -> Self {
        Self { chosen: Some(chosen), ..self }
    }

    /// A row.
    pub fn row(&self, at: usize) -> &'a [f32] {
        let at = self.chosen.map_or(at, |chosen| chosen[at] as usize);
        &self.values[at * self.pitch..][..self.len]
    }

    /// The first `count` rows as a matrix.
    ///
    /// # Panics
    /// If the rows are chosen ones.
    pub fn matrix(&self, count: usize) -> Matrix<'a, f32> {
        assert!(self.chosen.is_none(), "BUG: chosen rows as a matrix");
        Matrix::strided(self.values, count, self.len, self.pitch)
    }
}
