//! f32 products: a packed word is the bits of a value.
#![expect(unsafe_code, reason = "register tiles read and write through pointers")]
#![expect(
    clippy::inline_always,
    reason = "bodies must end up inside callers compiled for wider instructions"
)]

use std::marker::PhantomData;
use std::ops::Range;

use super::ROWS;
use super::tile::{Kernel, Left, Tile};
use super::view::View;
use crate::kernels::simd::{Vector, prefetch};

/// Rows and columns of the squares that are transposed in registers.
const EIGHT: usize = 8;
/// Lines that are asked for ahead of those that are read: each lies in another page of memory, to which the processor
/// does not look ahead by itself.
const AHEAD: usize = 8;
/// Steps along the depth that a tile takes in one turn of its loop: its counters then cost less beside the products.
const UNROLLED: usize = 4;
/// Values in one line of memory.
const LINE: usize = 16;

/// `N` vectors of `V` in each row of a register tile, and in each step of a panel: a tile reads its panel from one end to
/// the other.
pub(super) struct Plain<V, const N: usize>(PhantomData<V>);

impl<V: Vector, const N: usize> Kernel for Plain<V, N> {
    const COLUMNS: usize = N * V::LANES;
    const CHUNK: usize = if Self::COLUMNS > 32 { 128 } else { 256 };
    const CHUNKS_PACKED: usize = if Self::COLUMNS > 32 { 8 } else { 1 };

    fn left_words(_left: View<'_>, rows: usize, steps: usize) -> usize {
        rows.next_multiple_of(ROWS) * steps
    }

    /// Step by step, the rows of a tile side by side.
    #[inline(always)]
    unsafe fn pack_left(
        left: View<'_>,
        rows: Range<usize>,
        steps: Range<usize>,
        words: &mut [u32],
    ) -> Left {
        let tile_words = ROWS * steps.len();
        if left.is_transposed() {
            for (step, line) in steps.enumerate() {
                ahead(left, line, rows.clone());
                let (tiles, rest) = left.line(line)[rows.clone()].as_chunks::<ROWS>();
                for (tile, values) in tiles.iter().enumerate() {
                    let words = &mut words[tile * tile_words + step * ROWS..][..ROWS];
                    for (word, value) in words.iter_mut().zip(values) {
                        *word = value.to_bits();
                    }
                }
                for (row, value) in rest.iter().enumerate() {
                    words[tiles.len() * tile_words + step * ROWS + row] = value.to_bits();
                }
            }
        } else if tile_words > 0 {
            let tiles = words.chunks_exact_mut(tile_words);
            for (words, first) in tiles.zip(rows.clone().step_by(ROWS)) {
                // What stands for rows past the last is never read.
                let mut lines = [&[][..]; EIGHT];
                for (r, line) in lines.iter_mut().enumerate() {
                    let row = (first + r.min(ROWS - 1)).min(rows.end - 1);
                    *line = &left.line(row)[steps.clone()];
                }
                // SAFETY: the caller vouches for the instructions.
                unsafe { interleave::<V>(lines, words) }
            }
        }
        Left {
            words: words.as_ptr(),
            tile: tile_words,
            row: 1,
            step: ROWS,
        }
    }

    #[inline(always)]
    unsafe fn pack_panel(right: View<'_>, column: usize, panel: &mut [u32]) {
        let columns = Self::COLUMNS.min(right.columns() - column);
        let steps = panel.len() / Self::COLUMNS;
        if !right.is_transposed() {
            for (line, words) in panel.chunks_exact_mut(Self::COLUMNS).enumerate() {
                ahead(right, line, column..column + columns);
                let values = &right.line(line)[column..][..columns];
                if columns == Self::COLUMNS {
                    for i in (0..columns).step_by(V::LANES) {
                        // SAFETY: both have `COLUMNS` values; the caller vouches for the instructions.
                        unsafe {
                            V::load(values[i..].as_ptr()).store(words[i..].as_mut_ptr().cast());
                        }
                    }
                } else {
                    for (word, value) in words.iter_mut().zip(values) {
                        *word = value.to_bits();
                    }
                    words[columns..].fill(0);
                }
            }
            return;
        }
        let squares = columns / EIGHT * EIGHT;
        for step in (0..steps / EIGHT * EIGHT).step_by(EIGHT) {
            for j in (0..squares).step_by(EIGHT) {
                let mut lines = [std::ptr::null(); EIGHT];
                for (i, line) in lines.iter_mut().enumerate() {
                    *line = right.line(column + j + i)[step..][..EIGHT].as_ptr();
                }
                // SAFETY: eight lines of eight values; the caller vouches for the instructions.
                let square = unsafe { V::transpose_eight(lines) };
                for (i, row) in square.into_iter().enumerate() {
                    let words = &mut panel[(step + i) * Self::COLUMNS + j..][..EIGHT];
                    for (word, value) in words.iter_mut().zip(row) {
                        *word = value.to_bits();
                    }
                }
            }
        }
        for step in 0..steps {
            let words = &mut panel[step * Self::COLUMNS..][..Self::COLUMNS];
            let first = if step < steps / EIGHT * EIGHT {
                squares
            } else {
                0
            };
            for (j, word) in words.iter_mut().enumerate().skip(first) {
                *word = if j < columns {
                    right.line(column + j)[step].to_bits()
                } else {
                    0
                };
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<const R: usize>(tile: &Tile) {
        // SAFETY: the caller vouches for the rows, a panel has `COLUMNS` words for each step.
        unsafe {
            let mut sums = [[V::splat(0.0); N]; R];
            let mut left = tile.left.words.cast::<f32>();
            let mut right = tile.right.cast::<f32>();
            for _ in 0..tile.words / UNROLLED {
                for step in 0..UNROLLED {
                    add_step(
                        &mut sums,
                        left.add(step * ROWS),
                        right.add(step * Self::COLUMNS),
                    );
                }
                left = left.wrapping_add(UNROLLED * ROWS);
                right = right.wrapping_add(UNROLLED * Self::COLUMNS);
            }
            for _ in 0..tile.words % UNROLLED {
                add_step(&mut sums, left, right);
                left = left.wrapping_add(ROWS);
                right = right.wrapping_add(Self::COLUMNS);
            }
            for (r, sums) in sums.into_iter().enumerate() {
                tile.finish(r, 0, sums);
            }
        }
    }
}

/// Adds the products of one step along the depth.
#[inline(always)]
unsafe fn add_step<V: Vector, const N: usize, const R: usize>(
    sums: &mut [[V; N]; R],
    left: *const f32,
    right: *const f32,
) {
    // SAFETY: the caller vouches for the instructions, `R` values of the left side and `N` vectors of the right.
    unsafe {
        let factors: [V; N] = std::array::from_fn(|i| V::load(right.add(i * V::LANES)));
        for (r, sums) in sums.iter_mut().enumerate() {
            let value = V::splat(left.add(r).read());
            for (sum, factor) in sums.iter_mut().zip(factors) {
                *sum = sum.add_product(value, factor);
            }
        }
    }
}

/// Asks for the part `range` of a line that is read soon.
#[inline(always)]
fn ahead(view: View<'_>, line: usize, range: Range<usize>) {
    let start = view.address(line + AHEAD, range.start);
    for place in (0..range.len()).step_by(LINE) {
        prefetch(start.wrapping_add(place));
    }
}

/// Writes the first [`ROWS`] of `lines`, all of the same length, one value of each after the other.
#[inline(always)]
unsafe fn interleave<V: Vector>(lines: [&[f32]; EIGHT], words: &mut [u32]) {
    let length = lines[0].len();
    let whole = length / EIGHT * EIGHT;
    for step in (0..whole).step_by(EIGHT) {
        let mut places = [std::ptr::null(); EIGHT];
        for (place, line) in places.iter_mut().zip(lines) {
            *place = line[step..][..EIGHT].as_ptr();
        }
        // SAFETY: eight values from `step` on are in every line; the caller vouches for the instructions.
        let square = unsafe { V::transpose_eight(places) };
        let words = &mut words[step * ROWS..][..EIGHT * ROWS];
        let (last, before) = (square[EIGHT - 1], &square[..EIGHT - 1]);
        for (i, row) in before.iter().enumerate() {
            // The next one overwrites what is too much.
            for (word, value) in words[i * ROWS..][..EIGHT].iter_mut().zip(row) {
                *word = value.to_bits();
            }
        }
        for (word, value) in words[(EIGHT - 1) * ROWS..].iter_mut().zip(last) {
            *word = value.to_bits();
        }
    }
    for step in whole..length {
        for (word, line) in words[step * ROWS..][..ROWS].iter_mut().zip(lines) {
            *word = line[step].to_bits();
        }
    }
}
