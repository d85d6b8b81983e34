//! Packed words, kept from product to product: a large allocation comes as fresh pages, which cost more than filling
//! them.
#![expect(unsafe_code, reason = "lines are read as words")]

use std::sync::{Mutex, PoisonError};

/// 32-bit words of one line.
const WORDS: usize = 16;
/// Buffers kept while nobody uses them: one for each thread's left side and a few right sides.
const KEPT: usize = 64;

/// One cache line, so that vectors never straddle two.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u32; WORDS]);

static SPARE: Mutex<Vec<Vec<Line>>> = Mutex::new(Vec::new());

/// Aligned memory for packed words; what it holds at first is left over from other products.
pub(super) struct Buffer(Vec<Line>);

impl Buffer {
    /// At least `words` words.
    pub(super) fn take(words: usize) -> Self {
        let lines = words.div_ceil(WORDS);
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that is large enough, else the largest, which has the least to grow.
        let fitting = (0..spare.len())
            .filter(|&index| spare[index].len() >= lines)
            .min_by_key(|&index| spare[index].len())
            .or_else(|| (0..spare.len()).max_by_key(|&index| spare[index].len()));
        let mut buffer = fitting.map_or_else(Vec::new, |index| spare.swap_remove(index));
        drop(spare);
        if buffer.len() < lines {
            // Nothing in it needs to be moved.
            buffer.clear();
            buffer.resize(lines, Line([0; WORDS]));
        }
        Self(buffer)
    }

    pub(super) fn words(&self) -> &[u32] {
        // SAFETY: a line is its words and nothing else, and the slice borrows `self`.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * WORDS) }
    }

    /// The first `words` words.
    pub(super) fn words_mut(&mut self, words: usize) -> &mut [u32] {
        assert!(words <= self.0.len() * WORDS);
        // SAFETY: as above, with the length just checked; the slice borrows `self` exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), words) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < KEPT {
            spare.push(std::mem::take(&mut self.0));
        }
    }
}
