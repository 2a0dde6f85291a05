//! Common parts of the memory estimates of ops. They use floating point, since absurd sizes would
//! overflow whole numbers.

use cache::Shape;

/// The bytes of a number in features.
const NARROW: f64 = 4.0;
/// The bytes of a number in computations.
pub const WIDE: f64 = 8.0;

/// The assumed number of threads, since ops do not know the real one.
const THREADS: f64 = 8.0;

/// The assumed number of clusters.
const CLUSTERS: f64 = 10.0;

/// The most sums of distances that silhouettes hold in more than one part.
const MAX_SUMS: f64 = crate::math::silhouette::MAX_SUMS as f64;

/// The bytes of a clip's name, its labels and their lookup.
const NAMED: f64 = 400.0;

/// The rows and width of the first input, and its bytes.
pub struct Features {
    /// The number of rows.
    pub n: f64,
    /// The number of values in a row.
    pub width: f64,
    /// The bytes of all values.
    pub bytes: f64,
}

impl Features {
    /// The sizes of the first input; `None` if its shape is not known yet.
    pub fn of(inputs: &[Option<Shape>]) -> Option<Self> {
        let shape = inputs.first()?.as_ref()?;
        let n = shape.rows? as f64;
        let width: f64 = shape.row.as_ref()?.iter().map(|n| *n as f64).product();
        Some(Self { n, width, bytes: NARROW * n * width })
    }

    /// The bytes of a search for the neighbours of each row: the rows copied for the search, and
    /// the results before and after they are joined.
    pub fn neighbors(&self, each: f64) -> f64 {
        self.bytes + 40.0 * self.n * each
    }

    /// The bytes of a search for most of the neighbours of each row: the rows in cells, what is found
    /// before it is improved and after that, and marks for each thread.
    pub fn approximate_neighbors(&self, each: f64) -> f64 {
        1.2 * self.bytes + 52.0 * self.n * each + (60.0 + 4.0 * THREADS) * self.n
    }
}

impl Features {
    /// The bytes of silhouettes: the rows packed by cluster, and for some ten clusters the sums of
    /// distances, which are made in up to 16 parts.
    pub fn silhouettes(&self) -> f64 {
        let sums = (16.0 * CLUSTERS * self.n).min(MAX_SUMS).max(CLUSTERS * self.n);
        self.bytes + WIDE * sums + NAMED * self.n
    }

    /// The bytes of scoring clusters: silhouettes, and then the effective dimension, from the
    /// covariance of the columns in up to 8 parts, or from pairs of blocks of 256 rows.
    pub fn scoring(&self) -> f64 {
        let blocks = (self.n / 256.0).ceil();
        let dimension = match self.width <= self.n {
            true => (1.0 + blocks.min(8.0)) * self.width * self.width,
            // Half as many threads as for images, since these parts are large and rarely as many.
            false => {
                let pairs = (blocks * (blocks + 1.0) / 2.0).min(THREADS / 2.0);
                2.0 * pairs * self.n.min(256.0) * self.width
            }
        };
        self.silhouettes().max(WIDE * dimension + NAMED * self.n)
    }
}

/// The bytes of an op that makes one image for each clip: the images, and for each thread a
/// recording of `samples` samples, its resampled form and its spectrum.
pub fn of_images(inputs: &[Option<Shape>], image: [usize; 2], samples: usize) -> Option<u64> {
    let clips = inputs.first()?.as_ref()?.rows? as f64;
    let [height, width] = image.map(|n| n as f64);
    whole(NARROW * (clips * height * width + THREADS * 6.0 * samples as f64))
}

/// The number of bytes as an integer.
pub fn whole(bytes: f64) -> Option<u64> {
    // The cast saturates.
    Some(bytes as u64)
}
