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
    const COLUMNS: usize = Plain::<V, N>::COLUMNS;
    const CHUNK: usize = Plain::<V, N>::CHUNK;
    const CHUNKS_PACKED: usize = Plain::<V, N>::CHUNKS_PACKED;

    fn left_words(left: View<'_>, rows: usize, steps: usize) -> usize {
        Plain::<V, N>::left_words(left, rows, steps)
    }

    #[inline(always)]
    unsafe fn pack_left(
        left: View<'_>,
        rows: Range<usize>,
        steps: Range<usize>,
        words: &mut [u32],
    ) -> Left {
        // SAFETY: the caller vouches for the instructions.
        let packed = unsafe { Plain::<V, N>::pack_left(left, rows, steps, words) };
        round(words);
        Left {
            words: words.as_ptr(),
            ..packed
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
