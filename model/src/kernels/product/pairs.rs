//! bfloat16 products: a packed word is two values that follow each other along the depth, the first in the low half.
//!
//! `vdpbf16ps` multiplies 16 pairs with 16 others and adds both products of a pair to an f32 sum. Values are rounded to
//! the nearest bfloat16 (ties to even) while they are packed.
#![expect(unsafe_code, reason = "AVX-512 intrinsics over packed words")]
#![expect(
    clippy::inline_always,
    reason = "bodies must end up inside callers compiled for wider instructions"
)]

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_load_si512,
    _mm512_maskz_loadu_ps, _mm512_permutexvar_epi16, _mm512_set1_epi32, _mm512_setzero_ps,
    _mm512_setzero_si512, _mm512_storeu_si512,
};
use std::ops::Range;

use super::ROWS;
use super::tile::{Kernel, Left, Tile};
use super::transpose::transpose;
use super::view::View;

/// Words, or f32 values, in one vector.
const LANES: usize = 16;
/// Vectors in each row of a register tile: with six rows this fills 24 of 32 registers with sums.
const VECTORS: usize = 4;
/// Columns of a panel.
const COLUMNS: usize = VECTORS * LANES;

pub(super) struct Pairs;

/// Words from one packed row to the next. Without the extra line, rows of usual sizes would all fall into the same few
/// sets of the cache.
fn row_stride(steps: usize) -> usize {
    steps.next_multiple_of(LANES) + LANES
}

impl Kernel for Pairs {
    const COLUMNS: usize = COLUMNS;
    const CHUNK: usize = 128;
    const CHUNKS_PACKED: usize = 8;

    fn left_words(left: View<'_>, rows: usize, steps: usize) -> usize {
        if left.is_transposed() {
            steps * rows.next_multiple_of(LANES)
        } else {
            rows * row_stride(steps)
        }
    }

    #[inline(always)]
    unsafe fn pack_left(
        left: View<'_>,
        rows: Range<usize>,
        steps: Range<usize>,
        words: &mut [u32],
    ) -> Left {
        let packed = words.as_ptr();
        if !left.is_transposed() {
            let row = row_stride(steps.len());
            let depth = 2 * steps.start..left.columns().min(2 * steps.end);
            for (index, words) in rows.zip(words.chunks_exact_mut(row)) {
                let values = left.line(index)[depth.clone()].chunks(2 * LANES);
                for (values, word) in values.zip(words.as_chunks_mut::<LANES>().0) {
                    // SAFETY: the caller vouches for the instructions.
                    unsafe { store(word, along(values)) }
                }
            }
            return Left {
                words: packed,
                tile: ROWS * row,
                row,
                step: 1,
            };
        }
        let step = rows.len().next_multiple_of(LANES);
        for (pair, words) in steps.zip(words.chunks_exact_mut(step)) {
            let (first, second) = two_lines(left, pair, rows.clone());
            // SAFETY: the caller vouches for the instructions.
            unsafe { interleave(first, second, words) }
        }
        Left {
            words: packed,
            tile: ROWS,
            row: 1,
            step,
        }
    }

    #[inline(always)]
    unsafe fn pack_panel(right: View<'_>, column: usize, panel: &mut [u32]) {
        let columns = COLUMNS.min(right.columns() - column);
        if !right.is_transposed() {
            for (pair, words) in panel.chunks_exact_mut(COLUMNS).enumerate() {
                let (first, second) = two_lines(right, pair, column..column + columns);
                // SAFETY: the caller vouches for the instructions.
                unsafe { interleave(first, second, words) }
            }
            return;
        }
        for (index, words) in panel.chunks_mut(LANES * COLUMNS).enumerate() {
            for quarter in 0..VECTORS {
                // SAFETY: the caller vouches for the instructions.
                unsafe {
                    let mut square = [_mm512_setzero_si512(); LANES];
                    let first = quarter * LANES;
                    for (j, vector) in square
                        .iter_mut()
                        .enumerate()
                        .take(columns.saturating_sub(first))
                    {
                        *vector = along(&right.line(column + first + j)[index * 2 * LANES..]);
                    }
                    transpose(&mut square);
                    for (step, vector) in words.chunks_exact_mut(COLUMNS).zip(square) {
                        _mm512_storeu_si512(step[first..].as_mut_ptr().cast(), vector);
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<const R: usize>(tile: &Tile) {
        // SAFETY: the caller vouches for the instructions and the rows; a panel has `COLUMNS` words for each step, on
        // whole lines of memory, and a vector of words is one of pairs of bfloat16.
        unsafe {
            let mut sums: [[__m512; VECTORS]; R] = [[_mm512_setzero_ps(); VECTORS]; R];
            let mut left = tile.left.words;
            let mut right = tile.right;
            for _ in 0..tile.words {
                let factors: [__m512bh; VECTORS] = std::array::from_fn(|i| {
                    std::mem::transmute(_mm512_load_si512(right.add(i * LANES).cast()))
                });
                for (r, sums) in sums.iter_mut().enumerate() {
                    let pair = left.add(r * tile.left.row).read().cast_signed();
                    let pair: __m512bh = std::mem::transmute(_mm512_set1_epi32(pair));
                    for (sum, factor) in sums.iter_mut().zip(factors) {
                        *sum = _mm512_dpbf16_ps(*sum, pair, factor);
                    }
                }
                left = left.wrapping_add(tile.left.step);
                right = right.wrapping_add(COLUMNS);
            }
            for (r, sums) in sums.into_iter().enumerate() {
                tile.finish(r, 0, sums);
            }
        }
    }
}

/// The part `range` of lines `2 pair` and `2 pair + 1`; the second is empty past the last line.
#[inline(always)]
fn two_lines(view: View<'_>, pair: usize, range: Range<usize>) -> (&[f32], &[f32]) {
    let lines = if view.is_transposed() {
        view.columns()
    } else {
        view.rows()
    };
    let first = &view.line(2 * pair)[range.clone()];
    if 2 * pair + 1 < lines {
        (first, &view.line(2 * pair + 1)[range])
    } else {
        (first, &[])
    }
}

/// The first 32 values (zeros where there are fewer) as 16 pairs of neighbours.
#[inline(always)]
unsafe fn along(values: &[f32]) -> __m512i {
    // SAFETY: the caller vouches for the instructions.
    unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(load(values, LANES), load(values, 0))) }
}

/// Pairs of one value of `first` and the one of `second` below it, into as many vectors as `words` has; zeros beyond.
#[inline(always)]
unsafe fn interleave(first: &[f32], second: &[f32], words: &mut [u32]) {
    let (vectors, _) = words.as_chunks_mut::<LANES>();
    for (index, vector) in vectors.iter_mut().enumerate() {
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            let halves: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(
                load(second, index * LANES),
                load(first, index * LANES),
            ));
            store(vector, _mm512_permutexvar_epi16(alternating(), halves));
        }
    }
}

/// Takes the 16 low and the 16 high halves of a vector in turn.
#[inline(always)]
unsafe fn alternating() -> __m512i {
    const ORDER: [u16; 32] = {
        let mut order = [0; 32];
        let mut i = 0;
        while i < 32 {
            order[i] = (i / 2 + 16 * (i % 2)) as u16;
            i += 1;
        }
        order
    };
    // SAFETY: both are 64 bytes of plain integers.
    unsafe { std::mem::transmute(ORDER) }
}

/// Values from `start` on, zeros past the end.
#[inline(always)]
unsafe fn load(values: &[f32], start: usize) -> __m512 {
    let rest = values.len().saturating_sub(start);
    let mask = if rest >= LANES {
        u16::MAX
    } else {
        (1 << rest) - 1
    };
    // SAFETY: lanes that are not masked off are inside `values`; the caller vouches for the instructions.
    unsafe { _mm512_maskz_loadu_ps(mask, values.as_ptr().wrapping_add(start)) }
}

#[inline(always)]
unsafe fn store(words: &mut [u32; LANES], vector: __m512i) {
    // SAFETY: the array is as large as the vector; the caller vouches for the instructions.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) }
}
