//! bfloat16 products without instructions for them: factors are rounded while they are packed, and multiplied in f32.
//!
//! A product of two bfloat16 values is exact in f32, so all that parts this from [`super::pairs`] is the order of the
//! sums, and that the processor's own instructions take the smallest numbers for 0. It is no faster than f32; it is there
//! so that what is trained in bfloat16 can be trained, and tested, on every processor.
#![expect(
    unsafe_code,
    reason = "as all kernels, it runs on detected instructions"
)]
#![expect(
    clippy::inline_always,
    reason = "bodies must end up inside callers compiled for wider instructions"
)]

use std::marker::PhantomData;
use std::ops::Range;

use half::bf16;

use super::plain::Plain;
use super::tile::{Kernel, Left, Tile};
use super::view::View;
use crate::kernels::simd::Vector;

/// A packed word is the bits of an f32 that bfloat16 can hold; otherwise [`Plain`].
pub(super) struct Rounded<V, const N: usize>(PhantomData<V>);

impl<V: Vector, const N: usize> Kernel for Rounded<V, N> {
    fn left_words(_: View<'_>, rows: usize, steps: usize) -> usize {
        rows * steps
    }

    #[inline(always)]
    unsafe fn pack_left(
        left: View<'_>,
        rows: Range<usize>,
        steps: Range<usize>,
        words: &mut [u32],
    ) -> Left {
        let (row, step) = if left.is_transposed() {
            let row_count = rows.len();
            // SAFETY: the caller vouches for the instructions.
            unsafe { Plain::<V, N>::pack_left(left, rows, steps, words) };
            round(words);
            (1, row_count)
        } else {
            let length = steps.len();
            // Without depth there is nothing to cut.
            for (index, words) in rows.zip(words.chunks_exact_mut(length.max(1))) {
                for (word, value) in words.iter_mut().zip(&left.line(index)[steps.clone()]) {
                    *word = value.to_bits();
                }
                round(words);
            }
            (length, 1)
        };
        Left {
            words: words.as_ptr(),
            row,
            step,
        }
    }

    #[inline(always)]
    unsafe fn pack_panel(right: View<'_>, column: usize, panel: &mut [u32]) {
        // SAFETY: the caller vouches for the instructions.
        unsafe { Plain::<V, N>::pack_panel(right, column, panel) };
        round(panel);
    }

    #[inline(always)]
    unsafe fn tile<const R: usize>(tile: &Tile) {
        // SAFETY: the caller's promises are passed on.
        unsafe { Plain::<V, N>::tile::<R>(tile) }
    }
}

/// Rounds the f32 values of `words` to the nearest bfloat16, ties to even.
#[inline(always)]
fn round(words: &mut [u32]) {
    for word in words {
        let value = f32::from_bits(*word);
        *word = bf16::from_f32(value).to_f32().to_bits();
    }
}
