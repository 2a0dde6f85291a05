//! Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011).
//!
//! A stream is named by (seed, purpose, index); its n-th number is a pure function of that name and
//! n. So numbers depend neither on threads nor on earlier draws, and another device can draw the
//! same ones. The seed is the 64-bit key; the counter is (block low, block high, index, purpose),
//! and one block gives four 32-bit numbers.

/// The purpose of random numbers. Its number is part of the stream's name and must never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// The parameters and noise of synthesised clips; index: the clip.
    Synth = 1,
    /// Starting centres of k-means; index: the restart.
    KMeans = 2,
    /// The test matrix of randomised PCA.
    Pca = 3,
    /// Initial weights; index: the tensor.
    Weights = 4,
    /// The order of clips; index: the epoch.
    Shuffle = 5,
    /// Reparameterisation noise; index: the step.
    Noise = 6,
    /// Sampling in UMAP and t-SNE.
    Layout = 7,
    /// Null models and resampling.
    Null = 8,
    /// Resampled recordings; index: twice the draw, and one more for a draw of half of them.
    Bootstrap = 9,
    /// The assignment of recordings to folds.
    Folds = 10,
    /// Starting values of a mixture; index: the restart.
    Mixture = 11,
    /// Changes to the clips of a training; index: the step.
    Augmentation = 12,
    /// The centres of cells in a search for neighbours.
    Cells = 13,
    /// The points of a sweep; index: the point.
    Sweep = 20,
}

const M: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
const W: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// One block of four numbers: ten rounds of Philox4x32.
///
/// ```
/// // The known answer of the reference implementation for all-zero input.
/// let block = ops::math::random::philox4x32([0; 4], [0; 2]);
/// assert_eq!(block, [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
/// ```
pub fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let (p0, p1) = (M[0] * u64::from(counter[0]), M[1] * u64::from(counter[2]));
        counter = [
            (p1 >> 32) as u32 ^ counter[1] ^ key[0],
            p1 as u32,
            (p0 >> 32) as u32 ^ counter[3] ^ key[1],
            p0 as u32,
        ];
        key = [key[0].wrapping_add(W[0]), key[1].wrapping_add(W[1])];
    }
    counter
}

/// The number of blocks that [`philox_lanes`] computes at once.
pub const LANES: usize = 8;

/// The words of eight blocks with consecutive counters in their first number, which must not
/// overflow 2³²: word after word, in each word block after block.
#[inline(always)]
pub fn philox_lanes(counter: [u32; 4], seed: u64) -> [[u32; LANES]; 4] {
    let mut words: [[u32; LANES]; 4] = counter.map(|word| [word; LANES]);
    words[0].iter_mut().zip(0..).for_each(|(word, lane)| *word += lane);
    let mut key = [seed as u32, (seed >> 32) as u32];
    for _ in 0..10 {
        let [first, second, third, fourth] = &mut words;
        for lane in 0..LANES {
            let (p0, p1) = (M[0] * u64::from(first[lane]), M[1] * u64::from(third[lane]));
            first[lane] = (p1 >> 32) as u32 ^ second[lane] ^ key[0];
            third[lane] = (p0 >> 32) as u32 ^ fourth[lane] ^ key[1];
            second[lane] = p1 as u32;
            fourth[lane] = p0 as u32;
        }
        key = [key[0].wrapping_add(W[0]), key[1].wrapping_add(W[1])];
    }
    words
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random {
    key: [u32; 2],
    stream: [u32; 2],
    block: u64,
    drawn: [u32; 4],
    left: usize,
}

impl Random {
    /// The start of the stream with that name.
    pub fn new(seed: u64, purpose: Purpose, index: u32) -> Self {
        Self {
            key: [seed as u32, (seed >> 32) as u32],
            stream: [index, purpose as u32],
            block: 0,
            drawn: [0; 4],
            left: 0,
        }
    }

    /// The next 32 bits.
    pub fn bits(&mut self) -> u32 {
        if self.left == 0 {
            let counter =
                [self.block as u32, (self.block >> 32) as u32, self.stream[0], self.stream[1]];
            self.drawn = philox4x32(counter, self.key);
            self.block += 1;
            self.left = 4;
        }
        self.left -= 1;
        self.drawn[3 - self.left]
    }

    /// A uniform number in [0, 1), with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        let (high, low) = (self.bits() >> 5, self.bits() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    /// A uniform number in [low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A uniform whole number below `n` (Lemire's method).
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        assert!(n > 0, "BUG: a number below zero");
        let threshold = n.wrapping_neg() % n;
        loop {
            let product = u64::from(self.bits()) * u64::from(n);
            if product as u32 >= threshold {
                return (product >> 32) as u32;
            }
        }
    }

    /// A standard normal number (Box–Muller; the sine half is dropped, so that every call draws
    /// equally many).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// A random permutation of 0..n (Fisher–Yates, from the end).
    pub fn permutation(&mut self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        for last in (1..n).rev() {
            order.swap(last, self.below(last as u32 + 1) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers_of_the_reference_implementation() {
        let ones = philox4x32([u32::MAX; 4], [u32::MAX; 2]);
        assert_eq!(ones, [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
        let pi =
            philox4x32([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]);
        assert_eq!(pi, [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]);
    }

    #[test]
    fn lanes_are_blocks_one_after_the_other() {
        let words = philox_lanes([40, 3, 9, 7], 0x0123_4567_89ab_cdef);
        for lane in 0..LANES {
            let block = philox4x32([40 + lane as u32, 3, 9, 7], [0x89ab_cdef, 0x0123_4567]);
            assert_eq!(words.map(|word| word[lane]), block);
        }
    }

    #[test]
    fn streams_differ_and_repeat() {
        let draw = |seed, purpose, index| Random::new(seed, purpose, index).bits();
        assert_eq!(draw(7, Purpose::Noise, 3), draw(7, Purpose::Noise, 3));
        assert_ne!(draw(7, Purpose::Noise, 3), draw(7, Purpose::Noise, 4));
        assert_ne!(draw(7, Purpose::Noise, 3), draw(7, Purpose::Shuffle, 3));
        assert_ne!(draw(7, Purpose::Noise, 3), draw(8, Purpose::Noise, 3));
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut random = Random::new(0, Purpose::Null, 0);
        let n = 20_000;
        let normal: Vec<f64> = (0..n).map(|_| random.normal()).collect();
        let mean = normal.iter().sum::<f64>() / f64::from(n);
        let variance = normal.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.04, "{mean} {variance}");
        let mut seen = random.permutation(100);
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(0..100));
    }
}
