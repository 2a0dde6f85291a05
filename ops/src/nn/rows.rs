//! Rows of numbers that need not lie side by side, such as chosen clips of a data set.

use crate::math::matmul::Matrix;

/// Rows of one length in a slice.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    values: &'a [f32],
    len: usize,
    pitch: usize,
    chosen: Option<&'a [u32]>,
}

impl<'a> Rows<'a> {
    /// Rows one after the other.
    pub fn new(values: &'a [f32], len: usize) -> Self {
        Self { values, len, pitch: len, chosen: None }
    }

    /// Rows of `len` numbers that end where records of `pitch` numbers end.
    pub fn at_end(values: &'a [f32], pitch: usize, len: usize) -> Self {
        Self { values: values.get(pitch - len..).unwrap_or_default(), len, pitch, chosen: None }
    }

    /// The rows of these numbers, in that order.
    #[must_use]
    pub fn choose(self, chosen: &'a [u32]) -> Self {
        Self { chosen: Some(chosen), ..self }
    }

    /// One row.
    pub fn row(&self, at: usize) -> &'a [f32] {
        let at = self.chosen.map_or(at, |chosen| chosen[at] as usize);
        &self.values[at * self.pitch..][..self.len]
    }

    /// The first `count` rows as a matrix.
    ///
    /// # Panics
    /// If they are chosen ones.
    pub fn matrix(&self, count: usize) -> Matrix<'a, f32> {
        assert!(self.chosen.is_none(), "BUG: chosen rows as a matrix");
        Matrix::strided(self.values, count, self.len, self.pitch)
    }
}
