//! How much memory ops take: what their estimates have in common. All of it in floating point, since
//! silly sizes would not fit whole numbers.

use cache::Shape;

/// Bytes of a number in features.
const NARROW: f64 = 4.0;
/// Bytes of a number that is computed with.
pub const WIDE: f64 = 8.0;

/// Threads that a machine is taken to have: ops do not know how many there are.
const THREADS: f64 = 8.0;

/// Rows and width of the first input, and its bytes.
pub struct Features {
    /// Rows.
    pub n: f64,
    /// Numbers in a row.
    pub width: f64,
    /// Bytes of all of them.
    pub bytes: f64,
}

impl Features {
    /// None as long as the shape is not known.
    pub fn of(inputs: &[Option<Shape>]) -> Option<Self> {
        let shape = inputs.first()?.as_ref()?;
        let n = shape.rows? as f64;
        let width: f64 = shape.row.as_ref()?.iter().map(|n| *n as f64).product();
        Some(Self { n, width, bytes: NARROW * n * width })
    }

    /// Of the search for the neighbours of each row: the rows once more, laid out for the search, and
    /// what is found, before and after it is put together.
    pub fn neighbors(&self, each: f64) -> f64 {
        self.bytes + 40.0 * self.n * each
    }
}

/// Of one image a clip: beside the images, each thread holds a recording of so many samples, resampled
/// and taken apart.
pub fn of_images(inputs: &[Option<Shape>], image: [usize; 2], samples: usize) -> Option<u64> {
    let clips = inputs.first()?.as_ref()?.rows? as f64;
    let [height, width] = image.map(|n| n as f64);
    whole(NARROW * (clips * height * width + THREADS * 6.0 * samples as f64))
}

/// Bytes as they are told.
pub fn whole(bytes: f64) -> Option<u64> {
    // Casts saturate.
    Some(bytes as u64)
}
