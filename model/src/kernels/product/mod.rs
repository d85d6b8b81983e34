//! Matrix products of the training step, where both sides are new each time: f32 in and out, with the products in
//! between in f32 or in bfloat16 with f32 sums.
//!
//! The right side is packed into panels of [`COLUMNS`] columns ([`Right`]), once for as many products as use it. Tasks
//! take blocks of rows and groups of panels of the output, pack their rows of the left side where the method needs it,
//! and go through the panels in register tiles. Depth is cut into chunks of the same length for any number of rows,
//! panels and threads, and no two tasks add into one element: the same operands give the same bits.
//!
//! - [`view`]: matrices as they lie in memory
//! - [`buffer`]: packed words, reused from product to product
//! - [`tile`]: what a method has to provide, and the loops over tiles
//! - [`plain`]: f32 over the vectors of any instruction set
//! - [`pairs`]: bfloat16 pairs, where the processor has AVX512-BF16. NEON has `bfmmla` for the same; it is not written
//!   yet.
//! - [`rounded`]: bfloat16 factors in f32 products, where it has not
#![expect(
    unsafe_code,
    reason = "parallel tasks write disjoint blocks of one output, which starts uninitialised"
)]

mod buffer;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod plain;
mod rounded;
#[cfg(test)]
mod tests;
mod tile;
#[cfg(target_arch = "x86_64")]
mod transpose;
mod view;

use std::ops::Range;

use rayon::prelude::*;

use super::simd::{InstructionSet, SharedOutput, has_bf16_dot_products};
use buffer::Buffer;
use tile::Task;
pub(crate) use view::View;

/// Columns of one panel of the right side: four vectors of the widest registers.
const COLUMNS: usize = 64;
/// Rows of one register tile: with four vectors a row this fills 24 of AVX-512's 32 registers with sums.
const ROWS: usize = 6;
/// The most rows of one task's block: what shares a packed panel while it is in the nearest cache.
const BLOCK_ROWS: usize = 16 * ROWS;
/// Multiplications below which other threads are not worth waking.
const SERIAL: usize = 1 << 18;

/// In what numbers factors are multiplied; sums are f32 always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    F32,
    /// Factors rounded to bfloat16; fast only with [`has_bf16_dot_products`].
    Bf16,
}

/// What the sums of a product begin from.
#[derive(Clone, Copy)]
enum Start<'a> {
    Zero,
    /// What the output holds.
    Output,
    /// A matrix that lies in memory like the output.
    Values(&'a [f32]),
}

/// How products are computed on this processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Plain(InstructionSet),
    Rounded(InstructionSet),
    #[cfg(target_arch = "x86_64")]
    Pairs,
}

impl Method {
    fn choose(arithmetic: Arithmetic) -> Self {
        match arithmetic {
            Arithmetic::F32 => Self::Plain(InstructionSet::detect()),
            #[cfg(target_arch = "x86_64")]
            Arithmetic::Bf16 if has_bf16_dot_products() => Self::Pairs,
            Arithmetic::Bf16 => Self::Rounded(InstructionSet::detect()),
        }
    }

    /// Values along the depth that one packed word holds.
    fn depth_of_word(self) -> usize {
        match self {
            Self::Plain(_) | Self::Rounded(_) => 1,
            #[cfg(target_arch = "x86_64")]
            Self::Pairs => 2,
        }
    }
}

/// A right side, packed: `depth x columns`.
pub(crate) struct Right {
    method: Method,
    depth: usize,
    columns: usize,
    /// For each panel, for each step along the depth, [`COLUMNS`] words.
    words: Buffer,
}

impl Right {
    /// Packs (and, for bfloat16, rounds) `matrix`.
    pub(crate) fn pack(arithmetic: Arithmetic, matrix: View<'_>) -> Self {
        Self::pack_for(Method::choose(arithmetic), matrix)
    }

    fn pack_for(method: Method, matrix: View<'_>) -> Self {
        let (depth, columns) = (matrix.rows(), matrix.columns());
        let panel_words = depth.div_ceil(method.depth_of_word()) * COLUMNS;
        let panels = columns.div_ceil(COLUMNS);
        let mut words = Buffer::take(panels * panel_words);
        let panels_a_task = if depth * columns < SERIAL / 8 {
            panels
        } else {
            panels.div_ceil(4 * rayon::current_num_threads())
        };
        if depth > 0 && columns > 0 {
            let packed = words.words_mut(panels * panel_words);
            let pack = |(task, words): (usize, &mut [u32])| {
                for (panel, words) in words.chunks_exact_mut(panel_words).enumerate() {
                    let column = (task * panels_a_task + panel) * COLUMNS;
                    // SAFETY: `choose` gives methods that the processor has; `words` is the whole panel.
                    unsafe { tile::pack_panel(method, matrix, column, words) }
                }
            };
            if panels_a_task == panels {
                pack((0, packed));
            } else {
                packed
                    .par_chunks_mut(panels_a_task * panel_words)
                    .enumerate()
                    .for_each(pack);
            }
        }
        Self {
            method,
            depth,
            columns,
            words,
        }
    }

    /// `left · self`, or `addend + left · self`, row-major.
    pub(crate) fn multiply(&self, left: View<'_>, addend: Option<&[f32]>) -> Vec<f32> {
        let mut out = Vec::with_capacity(left.rows() * self.columns);
        let start = addend.map_or(Start::Zero, Start::Values);
        // SAFETY: there is room for the product, of which every element is written, and none is read before.
        unsafe {
            self.multiply_at(left, start, SharedOutput::from_pointer(out.as_mut_ptr()));
            out.set_len(left.rows() * self.columns);
        }
        out
    }

    /// `out = left · self`, or `out += left · self`.
    pub(crate) fn multiply_into(&self, left: View<'_>, out: &mut [f32], accumulate: bool) {
        assert_eq!(out.len(), left.rows() * self.columns);
        let start = if accumulate {
            Start::Output
        } else {
            Start::Zero
        };
        // SAFETY: `out` has the size of the product and is borrowed exclusively.
        unsafe { self.multiply_at(left, start, SharedOutput::new(out)) }
    }

    /// # Safety
    /// `out` must have room for `left.rows() * self.columns` values that nobody else touches meanwhile, and hold values
    /// where they are what sums start from.
    unsafe fn multiply_at(&self, left: View<'_>, start: Start<'_>, out: SharedOutput) {
        assert_eq!(left.columns(), self.depth, "the inner sizes differ");
        let (rows, columns) = (left.rows(), self.columns);
        if let Start::Values(values) = start {
            assert_eq!(values.len(), rows * columns);
        }
        if rows == 0 || columns == 0 {
            return;
        }
        let panels = columns.div_ceil(COLUMNS);
        let words = self.depth.div_ceil(self.method.depth_of_word());
        let work = rows * columns * self.depth;
        let (block, group) = division(rows, panels, work);
        let groups = panels.div_ceil(group);
        let tasks = rows.div_ceil(block) * groups;
        let run = |task: usize| {
            let task = Task {
                left,
                rows: part(task / groups, block, rows),
                right: self.words.words(),
                words,
                panels: part(task % groups, group, panels),
                columns,
                start: match start {
                    Start::Zero => None,
                    Start::Output => Some(out.at(0).cast_const()),
                    Start::Values(values) => Some(values.as_ptr()),
                },
                out: out.at(0),
            };
            // SAFETY: tasks cover disjoint blocks of `out`, sizes were compared above, and `choose` gives methods that
            // the processor has.
            unsafe { tile::compute(self.method, &task) }
        };
        if tasks == 1 {
            run(0);
        } else {
            (0..tasks).into_par_iter().with_max_len(1).for_each(run);
        }
    }
}

/// `left · right`, or `addend + left · right`, row-major.
pub(crate) fn multiply(
    arithmetic: Arithmetic,
    left: View<'_>,
    right: View<'_>,
    addend: Option<&[f32]>,
) -> Vec<f32> {
    Right::pack(arithmetic, right).multiply(left, addend)
}

/// Rows of a block and panels of a group, so that there are a few tasks for each thread.
fn division(rows: usize, panels: usize, work: usize) -> (usize, usize) {
    if work < SERIAL {
        return (rows, panels);
    }
    let blocks = rows.div_ceil(BLOCK_ROWS);
    // Even blocks of whole tiles: a thread should not wait for another's longer one.
    let block = rows.div_ceil(blocks).next_multiple_of(ROWS);
    let groups = (4 * rayon::current_num_threads()).div_ceil(blocks);
    (block, panels.div_ceil(groups.min(panels)))
}

fn part(index: usize, size: usize, whole: usize) -> Range<usize> {
    index * size..whole.min((index + 1) * size)
}
