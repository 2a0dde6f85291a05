//! Independent permutation of the columns of features.

use super::random::{Purpose, Random};
use rayon::prelude::*;

/// Permutes each column of rows of `n_features` numbers at random. The order of a column is drawn
/// from the stream `first | column`, so uses with other bits in `first` do not share streams.
pub fn columns(x: &[f32], n_features: usize, seed: u64, first: u32) -> Vec<f32> {
    /// The number of columns that are copied to memory at once.
    const AT_ONCE: usize = 64;
    let rows = x.len() / n_features.max(1);
    let mut values = vec![0.0; x.len()];
    for start in (0..n_features).step_by(AT_ONCE) {
        let columns = start..(start + AT_ONCE).min(n_features);
        let order =
            |column| Random::new(seed, Purpose::Null, first | column as u32).permutation(rows);
        let orders: Vec<Vec<u32>> = columns.clone().into_par_iter().map(order).collect();
        values.par_chunks_exact_mut(n_features).enumerate().for_each(|(row, out)| {
            for (order, column) in orders.iter().zip(columns.clone()) {
                out[column] = x[order[row] as usize * n_features + column];
            }
        });
    }
    values
}
