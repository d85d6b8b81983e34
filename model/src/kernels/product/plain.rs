//! f32 products: a packed word is the bits of a value.
#![expect(unsafe_code, reason = "register tiles read and write through pointers")]
#![expect(
    clippy::inline_always,
    reason = "bodies must end up inside callers compiled for wider instructions"
)]

use std::marker::PhantomData;
use std::ops::Range;

use super::COLUMNS;
use super::tile::{Kernel, Left, Tile};
use super::view::View;
use crate::kernels::simd::Vector;

/// Steps along the depth that are transposed together: a line of memory holds so many values.
const STEPS: usize = 16;

/// `N` vectors of `V` in each row of a register tile.
pub(super) struct Plain<V, const N: usize>(PhantomData<V>);

impl<V: Vector, const N: usize> Kernel for Plain<V, N> {
    fn left_words(left: View<'_>, rows: usize, steps: usize) -> usize {
        if left.is_transposed() {
            steps * rows
        } else {
            0
        }
    }

    /// Contiguous rows are read in place; of a transposed view the block's part of every line is copied.
    #[inline(always)]
    unsafe fn pack_left(
        left: View<'_>,
        rows: Range<usize>,
        steps: Range<usize>,
        words: &mut [u32],
    ) -> Left {
        if !left.is_transposed() {
            return Left {
                words: left.line(rows.start)[steps.start..].as_ptr().cast(),
                row: left.stride(),
                step: 1,
            };
        }
        let step = rows.len();
        for (line, words) in steps.zip(words.chunks_exact_mut(step)) {
            for (word, value) in words.iter_mut().zip(&left.line(line)[rows.clone()]) {
                *word = value.to_bits();
            }
        }
        Left {
            words: words.as_ptr(),
            row: 1,
            step,
        }
    }

    #[inline(always)]
    unsafe fn pack_panel(right: View<'_>, column: usize, panel: &mut [u32]) {
        let columns = COLUMNS.min(right.columns() - column);
        if !right.is_transposed() {
            for (line, words) in panel.chunks_exact_mut(COLUMNS).enumerate() {
                let values = &right.line(line)[column..][..columns];
                for (word, value) in words.iter_mut().zip(values) {
                    *word = value.to_bits();
                }
                words[columns..].fill(0);
            }
            return;
        }
        for (index, words) in panel.chunks_mut(STEPS * COLUMNS).enumerate() {
            for j in 0..columns {
                let values = &right.line(column + j)[index * STEPS..];
                for (step, value) in words.chunks_exact_mut(COLUMNS).zip(values) {
                    step[j] = value.to_bits();
                }
            }
            for step in words.chunks_exact_mut(COLUMNS) {
                step[columns..].fill(0);
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<const R: usize>(tile: &Tile) {
        for column in (0..tile.columns).step_by(N * V::LANES) {
            // SAFETY: the caller vouches for the rows, a panel has `COLUMNS` words for each step.
            unsafe {
                let mut sums = [[V::splat(0.0); N]; R];
                let mut left = tile.left.words.cast::<f32>();
                let mut right = tile.right.cast::<f32>().add(column);
                for _ in 0..tile.words {
                    let factors: [V; N] = std::array::from_fn(|i| V::load(right.add(i * V::LANES)));
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let value = V::splat(left.add(r * tile.left.row).read());
                        for (sum, factor) in sums.iter_mut().zip(factors) {
                            *sum = sum.add_product(value, factor);
                        }
                    }
                    left = left.wrapping_add(tile.left.step);
                    right = right.wrapping_add(COLUMNS);
                }
                for (r, sums) in sums.into_iter().enumerate() {
                    tile.finish(r, column, sums);
                }
            }
        }
    }
}
