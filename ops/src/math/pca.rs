//! Principal components of rows of single-precision numbers.
//!
//! With x̄ the mean row, the components are the eigenvectors of (X − x̄)ᵀ(X − x̄) / (n − 1) and the
//! explained variances its eigenvalues. The data are centred block by block as they are read, in
//! double precision, so that no second copy is made and a large mean costs no accuracy. Rows are
//! split into parts that depend on the number of rows alone, so the bytes do not depend on the
//! number of threads.

use super::{
    matmul::{Matrix, multiply},
    orthogonal::{complete, flip_signs, inner_products, orthonormal_columns},
    random::{Purpose, Random},
    symmetric::eigen,
};
use rayon::prelude::*;

/// The number of rows that are centred and multiplied at once.
const TILE: usize = 128;
/// The number of parts whose sums are computed separately and added in order.
const PARTS: usize = 8;

/// The number of products below which a second thread costs more than it saves.
const SMALL: usize = 1 << 23;

/// The results of parts of `size` values each, in order, on all threads if they take `work` products.
fn in_parts<T: Send>(
    x: &[f32],
    size: usize,
    work: usize,
    of: impl Fn(&[f32]) -> T + Send + Sync,
) -> Vec<T> {
    if work < SMALL {
        x.chunks(size).map(of).collect()
    } else {
        x.par_chunks(size).map(of).collect()
    }
}

/// The mean and variance of the columns.
#[derive(Clone, Debug)]
pub struct Moments {
    /// The mean row.
    pub mean: Vec<f64>,
    /// The sum of the variances of all columns (divided by n − 1).
    pub total_variance: f64,
}

/// The components, largest variance first.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The components, one unit vector a row; the entry of largest magnitude is positive.
    pub components: Vec<f64>,
    /// The variance along each component (divided by n − 1).
    pub explained_variance: Vec<f64>,
    /// The coordinates of the centred data along the components: `n_components` numbers a row.
    pub latent: Vec<f64>,
}

/// The mean and the total variance of rows of `n_features` numbers, in one pass over them.
pub fn moments(x: &[f32], n_features: usize) -> Moments {
    let n = (x.len() / n_features) as f64;
    let first = &x[..n_features];
    // Sums are taken relative to the first row, so that a common offset cancels exactly.
    let parts = in_parts(x, 2 * TILE * n_features, x.len(), |rows| {
        let (mut sums, mut squares) = (vec![0.0; n_features], vec![0.0; n_features]);
        for row in rows.chunks_exact(n_features) {
            let both = sums.iter_mut().zip(&mut squares);
            for ((&x, &origin), (sum, square)) in row.iter().zip(first).zip(both) {
                let shifted = f64::from(x) - f64::from(origin);
                *sum += shifted;
                *square += shifted * shifted;
            }
        }
        (sums, squares)
    });
    let (mut sums, mut squares) = (vec![0.0; n_features], vec![0.0; n_features]);
    for (part_sums, part_squares) in parts {
        sums.iter_mut().zip(part_sums).for_each(|(sum, part)| *sum += part);
        squares.iter_mut().zip(part_squares).for_each(|(sum, part)| *sum += part);
    }
    let spread = sums.iter().zip(&squares).map(|(sum, square)| (square - sum * sum / n).max(0.0));
    let total_variance = spread.sum::<f64>() / (n - 1.0);
    let mean = sums.iter().zip(first).map(|(sum, &x)| f64::from(x) + sum / n).collect();
    Moments { mean, total_variance }
}

/// The bytes that the components of `n` rows of `d` numbers take besides the rows.
pub fn memory(n: f64, d: f64, components: f64, exactly: bool) -> f64 {
    let (wide, parts) = (size_of::<f64>() as f64, PARTS as f64);
    let results = wide * components * (n + d);
    results
        + match (exactly, d <= n) {
            // A sum of products for each part of the rows, then the eigenvectors.
            (true, true) => wide * d * d * parts.max(4.0),
            // All rows in double precision, and the products of all pairs.
            (true, false) => wide * (n * d + 4.0 * n * n),
            // Blocks of vectors on both sides, and a sum for each part of the rows.
            (false, _) => {
                let width = components + 10.0;
                width * (BLOCKS * wide * (n + d) + parts * d * wide / 2.0)
            }
        }
}

/// The number of blocks that the randomised method holds, including copies while it makes the next
/// one.
const BLOCKS: f64 = 16.0;

/// The exact components: eigenvectors of the covariance or, with fewer rows than features, of the
/// inner products of the rows, in double precision. `None` if the eigenvalues do not converge.
pub fn exact(x: &[f32], moments: &Moments, n_components: usize) -> Option<Fit> {
    let d = moments.mean.len();
    let n = x.len() / d;
    let side = n.min(d);
    let gram =
        if d <= n { column_products(x, &moments.mean) } else { row_products(x, &moments.mean) };
    let (values, vectors) = eigen(&gram, side)?;
    let values: Vec<f64> = values[..n_components].iter().map(|value| value.max(0.0)).collect();
    let vectors = &vectors[..n_components * side];
    let mut components = vectors.to_vec();
    if n < d {
        components = vec![0.0; n_components * d];
        for (rows, at) in x.chunks(TILE * d).zip((0..).step_by(TILE)) {
            let rows = centred::<f64>(rows, &moments.mean);
            let part = Matrix::new(vectors, n).columns(at, rows.len() / d);
            multiply(&mut components, part, Matrix::new(&rows, d), true);
        }
        // An eigenvalue that is only a rounding error has no direction.
        let sound = values.iter().take_while(|&&value| value > 1e-10 * values[0]).count();
        complete(&mut components, d, sound);
    }
    flip_signs(&mut components, d);
    let latent = project(x, &moments.mean, &components);
    let explained_variance = values.iter().map(|value| value / (n as f64 - 1.0)).collect();
    Some(Fit { components, explained_variance, latent })
}

/// The coordinates of rows along components, after a mean is taken from them.
pub fn project(x: &[f32], mean: &[f64], components: &[f64]) -> Vec<f64> {
    let d = mean.len();
    let (n, k) = (x.len() / d, components.len() / d);
    let mut latent = vec![0.0; n * k];
    let of = |(latent, rows): (&mut [f64], &[f32])| {
        let rows = centred::<f64>(rows, mean);
        let components = Matrix::new(components, d).transposed();
        multiply(latent, Matrix::new(&rows, d), components, false);
    };
    if x.len() * k < SMALL {
        latent.chunks_mut(TILE * k).zip(x.chunks(TILE * d)).for_each(of);
    } else {
        latent.par_chunks_mut(TILE * k).zip(x.par_chunks(TILE * d)).for_each(of);
    }
    latent
}

/// The leading components by a randomised block Krylov method (Halko, Martinsson & Tropp 2011;
/// Musco & Musco 2015).
///
/// From a Gaussian test matrix Ω of `n_components` + 10 columns it builds the blocks V₀ =
/// orth(AᵀΩ) and V_{j+1} = orth(AᵀA V_j), orthogonal to all before, with A the centred data. The
/// components are the best ones inside the span of all blocks. It ends when no leading variance
/// grew by more than one part in 10⁵ with the last block. `tick` is called after each block with
/// the number of blocks. `None` if it returns false, or if numbers overflow.
pub fn randomized(
    x: &[f32],
    moments: &Moments,
    n_components: usize,
    seed: u64,
    tick: &mut dyn FnMut(usize) -> bool,
) -> Option<Fit> {
    const MAX_BLOCKS: usize = 12;
    const ENOUGH: f64 = 1e-5;
    let d = moments.mean.len();
    let n = x.len() / d;
    let width = (n_components + 10).min(n.min(d));
    let mut random = Random::new(seed, Purpose::Pca, 0);
    let mut block: Vec<f32> = (0..n * width).map(|_| random.normal() as f32).collect();
    let mut next = pass(x, &moments.mean, None, &mut block, width);
    let mut next_width = width;
    let (mut basis, mut images): (Vec<Vec<f64>>, Vec<Vec<f64>>) = (Vec::new(), Vec::new());
    let mut before: Vec<f64> = Vec::new();
    let (values, vectors) = loop {
        let columns = orthonormal_columns(next, d, next_width, &basis);
        let exhausted = columns.is_empty();
        next = Vec::new();
        if !exhausted {
            next_width = columns.len() / d;
            let narrow: Vec<f32> = columns.iter().map(|&v| v as f32).collect();
            block = vec![0.0; n * next_width];
            next = pass(x, &moments.mean, Some(&narrow), &mut block, next_width);
            basis.push(columns);
            images.push(block.iter().map(|&v| f64::from(v)).collect());
        }
        if basis.is_empty() {
            return None;
        }
        let (values, vectors) = eigen(&inner_products(&images, n), images_width(&images, n))?;
        let leading = &values[..n_components.min(values.len())];
        let still = |(now, then): (&f64, &f64)| now - then <= ENOUGH * now;
        let settled = before.len() == leading.len() && leading.iter().zip(&before).all(still);
        if !tick(basis.len()) {
            return None;
        }
        if exhausted || settled || basis.len() == MAX_BLOCKS || values.len() >= n.min(d) {
            break (values, vectors);
        }
        before = leading.to_vec();
    };
    let total = values.len();
    let kept = n_components.min(total);
    let turn = Matrix::new(&vectors[..kept * total], total);
    let mut components = vec![0.0; n_components * d];
    let mut from = 0;
    for block in &basis {
        let width = block.len() / d;
        let (part, block) = (turn.columns(from, width), Matrix::new(block, width).transposed());
        multiply(&mut components[..kept * d], part, block, true);
        from += width;
    }
    let mut latent = vec![0.0; n * kept];
    let mut from = 0;
    for image in &images {
        let width = image.len() / n;
        let part = turn.columns(from, width).transposed();
        multiply(&mut latent, Matrix::new(image, width), part, true);
        from += width;
    }
    complete(&mut components, d, kept);
    let signs = flip_signs(&mut components, d);
    let latent = latent
        .chunks_exact(kept)
        .flat_map(|row| {
            let flipped = row.iter().zip(&signs).map(|(value, sign)| value * sign);
            flipped.chain(std::iter::repeat_n(0.0, n_components - kept))
        })
        .collect();
    let mut explained_variance: Vec<f64> =
        values[..kept].iter().map(|value| value.max(0.0) / (n as f64 - 1.0)).collect();
    explained_variance.resize(n_components, 0.0);
    Some(Fit { components, explained_variance, latent })
}

fn images_width(images: &[Vec<f64>], n: usize) -> usize {
    images.iter().map(|image| image.len() / n).sum()
}

/// A number type in which centred data are stored.
trait Narrow: Copy + Send {
    fn narrow(x: f64) -> Self;
}
impl Narrow for f32 {
    fn narrow(x: f64) -> Self {
        x as f32
    }
}
impl Narrow for f64 {
    fn narrow(x: f64) -> Self {
        x
    }
}

fn centred<T: Narrow>(rows: &[f32], mean: &[f64]) -> Vec<T> {
    let mut out = Vec::with_capacity(rows.len());
    for row in rows.chunks_exact(mean.len()) {
        out.extend(row.iter().zip(mean).map(|(&x, mean)| T::narrow(f64::from(x) - mean)));
    }
    out
}

/// One pass over the centred data A: block = A · `columns`, if there are any, then Aᵀ · block.
fn pass(
    x: &[f32],
    mean: &[f64],
    columns: Option<&[f32]>,
    block: &mut [f32],
    width: usize,
) -> Vec<f64> {
    let d = mean.len();
    let part = (x.len() / d).div_ceil(PARTS).next_multiple_of(TILE);
    let sums: Vec<Vec<f32>> = x
        .par_chunks(part * d)
        .zip(block.par_chunks_mut(part * width))
        .map(|(x, block)| {
            let mut sum = vec![0.0_f32; d * width];
            for (rows, block) in x.chunks(TILE * d).zip(block.chunks_mut(TILE * width)) {
                let rows = centred::<f32>(rows, mean);
                let rows = Matrix::new(&rows, d);
                if let Some(columns) = columns {
                    multiply(block, rows, Matrix::new(columns, width), false);
                }
                multiply(&mut sum, rows.transposed(), Matrix::new(block, width), true);
            }
            sum
        })
        .collect();
    let mut total = vec![0.0; d * width];
    for sum in sums {
        total.iter_mut().zip(sum).for_each(|(total, sum)| *total += f64::from(sum));
    }
    total
}

/// (X − x̄)ᵀ(X − x̄), summed over fixed parts of the rows.
fn column_products(x: &[f32], mean: &[f64]) -> Vec<f64> {
    let d = mean.len();
    let part = (x.len() / d).div_ceil(PARTS).next_multiple_of(TILE);
    let sums = in_parts(x, part * d, x.len() * d, |x| {
        let mut sum = vec![0.0; d * d];
        for rows in x.chunks(TILE * d) {
            let rows = centred::<f64>(rows, mean);
            let rows = Matrix::new(&rows, d);
            multiply(&mut sum, rows.transposed(), rows, true);
        }
        sum
    });
    let mut total = vec![0.0; d * d];
    for sum in sums {
        total.iter_mut().zip(sum).for_each(|(total, sum)| *total += sum);
    }
    total
}

/// (X − x̄)(X − x̄)ᵀ, one pair of blocks of rows at a time.
fn row_products(x: &[f32], mean: &[f64]) -> Vec<f64> {
    let d = mean.len();
    let n = x.len() / d;
    let tiles: Vec<Vec<f64>> = x.par_chunks(TILE * d).map(|rows| centred(rows, mean)).collect();
    let pairs: Vec<(usize, usize)> =
        (0..tiles.len()).flat_map(|i| (0..=i).map(move |j| (i, j))).collect();
    let products: Vec<Vec<f64>> = pairs
        .par_iter()
        .map(|&(i, j)| {
            let mut product = vec![0.0; tiles[i].len() / d * (tiles[j].len() / d)];
            let right = Matrix::new(&tiles[j], d).transposed();
            multiply(&mut product, Matrix::new(&tiles[i], d), right, false);
            product
        })
        .collect();
    let mut all = vec![0.0; n * n];
    for (&(i, j), product) in pairs.iter().zip(products) {
        let width = tiles[j].len() / d;
        for (row, values) in product.chunks_exact(width).enumerate() {
            for (column, &value) in values.iter().enumerate() {
                let (row, column) = (i * TILE + row, j * TILE + column);
                all[row * n + column] = value;
                all[column * n + row] = value;
            }
        }
    }
    all
}
