//! Changes to the clips of a training, drawn anew in each step.
//!
//! The numbers of a clip are drawn from the stream (seed, Augmentation, step), clip after clip in
//! the order of the batch: its gain, its shift, then width and start of the mask over frames and of
//! the one over bands; a change that is off draws nothing.

use crate::math::random::{Purpose, Random};
use crate::op::OpError;
use cache::Array;
use rayon::prelude::*;

/// The changes; 0 means none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Augmentation {
    /// The largest number that is added to or taken from all values of a clip.
    pub gain: f64,
    /// The largest number of frames by which a clip is rolled, either way.
    pub shift: usize,
    /// The largest width of a mask over frames.
    pub mask_frames: usize,
    /// The largest width of a mask over bands.
    pub mask_bands: usize,
}

/// The images that the encoder reads, and those that the decoder is to make.
pub type Augmented = [Vec<f32>; 2];

/// The augmentation of one clip.
pub struct Change {
    /// The number that is added to all values.
    pub gain: f32,
    /// The number of frames by which it is rolled, from 0 up to all.
    pub shift: usize,
    /// The masked frames: the first one, and how many.
    pub frames: (usize, usize),
    /// The masked bands.
    pub bands: (usize, usize),
}

impl Augmentation {
    /// True if it changes nothing.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// Checks that masks and shifts fit images of this size.
    ///
    /// # Errors
    /// When a mask could hide whole clips.
    pub fn check(&self, [bands, frames]: [usize; 2]) -> Result<(), OpError> {
        let parts =
            [("mask_frames", self.mask_frames, frames), ("mask_bands", self.mask_bands, bands)];
        for (name, most, length) in parts {
            if most > 0 && most >= length {
                let message = format!("a mask of {most} could hide all {length} of a clip");
                return Err(OpError::param(name, message).help("use a smaller mask"));
            }
        }
        Ok(())
    }

    fn draw(&self, random: &mut Random, [bands, frames]: [usize; 2]) -> Change {
        let gain = if self.gain > 0.0 { random.between(-self.gain, self.gain) } else { 0.0 };
        let shift = match self.shift.min(frames / 2) {
            0 => 0,
            most => frames + random.below(2 * most as u32 + 1) as usize - most,
        };
        let mut mask = |most: usize, length: usize| match most {
            0 => (0, 0),
            most => {
                let width = random.below(most as u32 + 1) as usize;
                (random.below((length - width) as u32 + 1) as usize, width)
            }
        };
        let frame = mask(self.mask_frames, frames);
        let band = mask(self.mask_bands, bands);
        Change { gain: gain as f32, shift: shift % frames, frames: frame, bands: band }
    }

    /// Draws the augmentation of each of so many clips in a step.
    pub fn changes(&self, clips: usize, size: [usize; 2], (seed, step): (u64, u64)) -> Vec<Change> {
        let mut random = Random::new(seed, Purpose::Augmentation, step as u32);
        (0..clips).map(|_| self.draw(&mut random, size)).collect()
    }

    /// The images of these clips in a step. Gain and shift make another clip, which the decoder is to
    /// make; masks set values that the encoder reads to the mean of the clip.
    pub fn apply(
        &self,
        clips: &[u32],
        data: &Array,
        size: [usize; 2],
        at: (u64, u64),
    ) -> Augmented {
        let changes = self.changes(clips.len(), size, at);
        let [bands, frames] = size;
        let width = bands * frames;
        let (mut read, mut made) = (vec![0.0; clips.len() * width], vec![0.0; clips.len() * width]);
        let images = made.par_chunks_exact_mut(width).zip(read.par_chunks_exact_mut(width));
        images.zip(clips.par_iter().zip(&changes)).for_each(|((made, read), (clip, change))| {
            let rows = data.row(*clip as usize).chunks_exact(frames);
            for (made, row) in made.chunks_exact_mut(frames).zip(rows) {
                made[..change.shift].copy_from_slice(&row[frames - change.shift..]);
                made[change.shift..].copy_from_slice(&row[..frames - change.shift]);
                made.iter_mut().for_each(|value| *value += change.gain);
            }
            read.copy_from_slice(made);
            let mean = made.iter().map(|value| f64::from(*value)).sum::<f64>() / width as f64;
            let ((first, wide), (lowest, high)) = (change.frames, change.bands);
            for (band, row) in read.chunks_exact_mut(frames).enumerate() {
                row[first..first + wide].fill(mean as f32);
                if (lowest..lowest + high).contains(&band) {
                    row.fill(mean as f32);
                }
            }
        });
        [read, made]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: [usize; 2] = [6, 9];

    fn data() -> Array {
        Array::new(SIZE, (0..3 * 54).map(|at| (at as f32).sin()).collect::<Vec<_>>())
    }

    #[test]
    fn one_change_at_a_time_does_what_it_says() {
        let off = Augmentation::default();
        let (data, clips) = (data(), [2, 0]);
        let [read, made] = off.apply(&clips, &data, SIZE, (1, 0));
        assert_eq!((&read[..54], &made[54..]), (data.row(2), data.row(0)));

        let louder = Augmentation { gain: 2.0, ..off };
        let [read, made] = louder.apply(&clips, &data, SIZE, (1, 0));
        assert_eq!(read, made);
        let by = made[0] - data.row(2)[0];
        assert!(by != 0.0 && by.abs() <= 2.0);
        assert!(made[..54].iter().zip(data.row(2)).all(|(a, b)| (a - b - by).abs() < 1e-6));

        let rolled = Augmentation { shift: 3, ..off };
        for step in 0..20 {
            let [_, made] = rolled.apply(&[1], &data, SIZE, (1, step));
            let is_rolled = |by: usize| {
                let at = |at: usize| data.row(1)[at / 9 * 9 + (at % 9 + 9 - by) % 9];
                (0..54).all(|it| made[it] == at(it))
            };
            assert!([0, 1, 2, 3, 6, 7, 8].into_iter().any(is_rolled), "{step}");
        }
    }

    proptest! {
        /// A mask is at most as wide as it may be, in one piece, and hides from the encoder alone.
        #[test]
        fn masks_keep_their_widths(most_frames in 0..9usize, most_bands in 0..6usize, step in 0..99u64) {
            let masks =
                Augmentation { mask_frames: most_frames, mask_bands: most_bands, ..Default::default() };
            prop_assert!(masks.check(SIZE).is_ok());
            let (data, size) = (data(), SIZE);
            let [read, made] = masks.apply(&[1], &data, size, (4, step));
            prop_assert_eq!(&made, data.row(1));
            let hidden = |at: usize| read[at] != made[at];
            let bands: Vec<usize> = (0..6).filter(|band| (0..9).all(|f| hidden(band * 9 + f))).collect();
            let frames: Vec<usize> = (0..9).filter(|f| (0..6).all(|band| hidden(band * 9 + f))).collect();
            prop_assert!(bands.len() <= most_bands && frames.len() <= most_frames);
            for list in [&bands, &frames] {
                prop_assert!(list.windows(2).all(|pair| pair[0] + 1 == pair[1]));
            }
            for at in 0..54 {
                prop_assert_eq!(hidden(at), bands.contains(&(at / 9)) || frames.contains(&(at % 9)));
            }
        }
    }
}
