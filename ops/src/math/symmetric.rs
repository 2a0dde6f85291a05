//! Eigenvalues and eigenvectors of symmetric matrices, by faer on the calling thread alone, so that
//! the result does not depend on the number of threads.

use faer::{
    Mat, MatRef, Par,
    diag::Diag,
    dyn_stack::{MemBuffer, MemStack},
    linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch},
};

/// The eigenvalues of a symmetric `n` × `n` matrix, largest first, and the eigenvectors as rows in
/// the same order. `None` if the iteration does not converge, as with NaN or infinite entries.
pub fn eigen(matrix: &[f64], n: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    assert_eq!(matrix.len(), n * n, "BUG: a matrix that is not square");
    if matrix.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let mut values = Diag::<f64>::zeros(n);
    let mut vectors = Mat::<f64>::zeros(n, n);
    let scratch =
        self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, Par::Seq, Default::default());
    self_adjoint_evd(
        MatRef::from_column_major_slice(matrix, n, n),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .ok()?;
    let down = (0..n).rev();
    let rows = down.clone().flat_map(|column| (0..n).map(move |row| (row, column)));
    Some((
        down.map(|i| values.column_vector()[i]).collect(),
        rows.map(|(row, column)| vectors[(row, column)]).collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_2x2_matrix() {
        let (values, vectors) = eigen(&[2.0, 1.0, 1.0, 2.0], 2).unwrap();
        assert!((values[0] - 3.0).abs() < 1e-14 && (values[1] - 1.0).abs() < 1e-14);
        assert!((vectors[0] - vectors[1]).abs() < 1e-14 && (vectors[2] + vectors[3]).abs() < 1e-14);
        assert!(eigen(&[f64::NAN], 1).is_none());
    }
}
