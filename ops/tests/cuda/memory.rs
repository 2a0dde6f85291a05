//! The memory of an emulated GPU, on which several emulators may train at the same time.

use super::{MARGIN, UNTOUCHED};
use ops::nn::cuda::data_set::DataSets;
use ops::nn::cuda::driver::{Address, Memory};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What becomes of the copies to memory that other emulators read.
#[allow(dead_code, reason = "each test takes what it needs")]
#[derive(Clone, Copy, Debug)]
pub enum Upload {
    /// They are there at once.
    Prompt,
    /// They are there only when somebody waits for the emulator that made them.
    Late,
    /// Half of one is there, and an error is returned.
    Fails,
    /// Half of one is there, and nothing is returned.
    Panics,
}

/// What the emulators of one GPU have in common.
#[derive(Default)]
pub struct EmulatedGpu {
    /// The bytes that are reserved.
    pub taken: AtomicUsize,
    /// The bytes that were reserved when a piece that all may read was freed last.
    pub taken_at_free: AtomicUsize,
    /// The bytes that were copied to memory that all may read.
    pub uploaded: AtomicUsize,
    pub data_sets: Arc<DataSets>,
    /// The start and the number of words of each piece that all may read.
    shared: Mutex<Vec<(u64, usize)>>,
}

impl EmulatedGpu {
    /// True if these bytes lie within a piece that all may read.
    pub fn shares(&self, at: Address, len: usize) -> bool {
        self.shared.lock().unwrap().iter().any(|piece| holds(*piece, at, len))
    }

    /// True if nobody wrote beyond a piece that all may read.
    pub fn is_intact(&self) -> bool {
        self.shared.lock().unwrap().iter().all(|piece| is_intact(*piece))
    }
}

fn holds((start, words): (u64, usize), at: Address, len: usize) -> bool {
    at.0 >= start && at.0 + len as u64 <= start + (words * 8 - MARGIN) as u64
}

/// True if the margin at the end of a piece, which is reserved, is as it was made.
fn is_intact((start, words): (u64, usize)) -> bool {
    // SAFETY: the words are reserved, and no kernel may write these.
    let margin = |word| unsafe { *(start as *const u64).add(word) };
    (words - MARGIN / 8..words).all(|word| margin(word) == UNTOUCHED)
}

/// A piece of memory, which begins as NaN and ends with a margin.
pub struct Piece {
    words: *mut [u64],
    bytes: usize,
    is_shared: bool,
    gpu: Arc<EmulatedGpu>,
}

// SAFETY: the words are on the heap, and whoever reads and writes them on other threads keeps order.
unsafe impl Send for Piece {}
// SAFETY: the same.
unsafe impl Sync for Piece {}

impl Piece {
    /// Reserves memory of a GPU of so many bytes, if they are free.
    pub fn reserve(
        gpu: &Arc<EmulatedGpu>,
        bytes: usize,
        size: usize,
        is_shared: bool,
    ) -> Option<Self> {
        let take = |taken: usize| Some(taken + bytes).filter(|taken| *taken <= size);
        gpu.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).ok()?;
        let words = vec![UNTOUCHED; bytes.div_ceil(8) + MARGIN / 8].into_boxed_slice();
        let piece = Self { words: Box::into_raw(words), bytes, is_shared, gpu: Arc::clone(gpu) };
        if is_shared {
            gpu.shared.lock().unwrap().push(piece.place());
        }
        Some(piece)
    }

    fn place(&self) -> (u64, usize) {
        (self.words.cast::<u64>() as u64, self.words.len())
    }

    pub fn holds(&self, at: Address, len: usize) -> bool {
        holds(self.place(), at, len)
    }

    pub fn is_intact(&self) -> bool {
        is_intact(self.place())
    }
}

impl Memory for Piece {
    fn start(&self) -> Address {
        Address(self.place().0)
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if self.is_shared {
            let place = self.place();
            self.gpu.shared.lock().unwrap().retain(|it| *it != place);
            let taken = self.gpu.taken.load(Ordering::SeqCst);
            self.gpu.taken_at_free.store(taken, Ordering::SeqCst);
        }
        // SAFETY: made from a box, and dropped once.
        drop(unsafe { Box::from_raw(self.words) });
        self.gpu.taken.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}
