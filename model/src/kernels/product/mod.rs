//! Matrix products of the training step, where both sides are new each time: f32 in and out, with the products in
//! between in f32 or in bfloat16 with f32 sums.
//!
//! The right side is packed into panels of as many columns as a register tile has, a slice after the other, so that what
//! is packed stays in the outer cache and takes little memory however large a matrix is. For each slice tasks take blocks
//! of rows and groups of panels of the output, pack their rows of the left side a chunk of the depth at a time, and go
//! through the panels in register tiles. Slices and chunks are the same for any number of rows and threads, and no two
//! tasks add into one element: the same operands give the same bits.
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

#[cfg(target_arch = "x86_64")]
use super::simd::has_bf16_dot_products;
use super::simd::{InstructionSet, SharedOutput};
use buffer::Buffer;
use tile::Task;
pub(crate) use view::View;

/// Rows of one register tile: with two vectors a row this fills 12 of AVX2's 16 registers with sums, with four 24 of
/// AVX-512's 32.
const ROWS: usize = 6;
/// The most rows of one task's block: what shares a packed panel while it is in the nearest cache.
const BLOCK_ROWS: usize = 16 * ROWS;
/// The least rows of a block where there are enough for all threads.
const LEAST_BLOCK_ROWS: usize = 8 * ROWS;
/// Packed words of one slice of the right side, about: 4 MiB.
const SLICE_WORDS: usize = 1 << 20;
/// Words along the depth of a slice, about, where it does not hold the whole depth.
const SLICE_DEPTH: usize = 1024;
/// Multiplications below which other threads are not worth waking.
const SERIAL: usize = 1 << 18;

/// In what numbers factors are multiplied; sums are f32 always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    F32,
    /// Factors rounded to bfloat16; fast only with [`super::simd::has_bf16_dot_products`].
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

/// `left · right`, or `addend + left · right`, row-major.
pub(crate) fn multiply(
    arithmetic: Arithmetic,
    left: View<'_>,
    right: View<'_>,
    addend: Option<&[f32]>,
) -> Vec<f32> {
    Product::new(Method::choose(arithmetic), left, right).values(addend)
}

/// `out = left · right`, or `out += left · right`.
pub(crate) fn multiply_into(
    arithmetic: Arithmetic,
    left: View<'_>,
    right: View<'_>,
    out: &mut [f32],
    accumulate: bool,
) {
    Product::new(Method::choose(arithmetic), left, right).write(out, accumulate);
}

/// A product that is to be computed.
struct Product<'a> {
    method: Method,
    left: View<'a>,
    right: View<'a>,
}

/// How the right side of a product is cut up: words along the depth and columns.
#[derive(Clone, Copy, Debug)]
struct Slices {
    /// Words along the depth of one pass over a tile.
    chunk: usize,
    /// Words along the depth of a slice, in whole chunks.
    words: usize,
    /// Columns of a slice, in whole panels.
    columns: usize,
}

impl<'a> Product<'a> {
    fn new(method: Method, left: View<'a>, right: View<'a>) -> Self {
        assert_eq!(left.columns(), right.rows(), "the inner sizes differ");
        Self {
            method,
            left,
            right,
        }
    }

    fn values(&self, addend: Option<&[f32]>) -> Vec<f32> {
        let count = self.left.rows() * self.right.columns();
        let mut out = Vec::with_capacity(count);
        let start = addend.map_or(Start::Zero, Start::Values);
        // SAFETY: there is room for the product, of which every element is written, and none is read before.
        unsafe {
            self.compute(start, SharedOutput::from_pointer(out.as_mut_ptr()));
            out.set_len(count);
        }
        out
    }

    fn write(&self, out: &mut [f32], accumulate: bool) {
        assert_eq!(out.len(), self.left.rows() * self.right.columns());
        let start = if accumulate {
            Start::Output
        } else {
            Start::Zero
        };
        // SAFETY: `out` has the size of the product and is borrowed exclusively.
        unsafe { self.compute(start, SharedOutput::new(out)) }
    }

    /// # Safety
    /// `out` must have room for the product, which nobody else touches meanwhile, and hold values where they are what
    /// sums start from.
    unsafe fn compute(&self, start: Start<'_>, out: SharedOutput) {
        let (rows, columns) = (self.left.rows(), self.right.columns());
        if let Start::Values(values) = start {
            assert_eq!(values.len(), rows * columns);
        }
        if rows == 0 || columns == 0 {
            return;
        }
        let depth = self.right.rows();
        let slices = self.slices();
        let slice_depth = slices.words * self.method.depth_of_word();
        for column in (0..columns).step_by(slices.columns) {
            let columns = column..columns.min(column + slices.columns);
            // Once at least: without depth the output is what sums start from.
            let mut first = 0;
            loop {
                let steps = first..depth.min(first + slice_depth);
                let start = if first > 0 { Start::Output } else { start };
                // SAFETY: the caller's promise; what the slices before wrote is there.
                unsafe { self.compute_slice(&slices, steps.clone(), columns.clone(), start, out) }
                first = steps.end;
                if first == depth {
                    break;
                }
            }
        }
    }

    fn slices(&self) -> Slices {
        let sizes = tile::sizes(self.method);
        let panels = self.right.columns().div_ceil(sizes.columns);
        let words = self.right.rows().div_ceil(self.method.depth_of_word());
        // Even parts: a short last one would go over the output for little.
        let chunk = even_part(words, sizes.chunk);
        let (deep, wide) = if words * panels * sizes.columns <= SLICE_WORDS {
            (words.next_multiple_of(chunk), panels)
        } else {
            let deep = (SLICE_DEPTH / chunk).max(1) * chunk;
            let most = SLICE_WORDS / (deep.min(words) * sizes.columns);
            (deep, even_part(panels, most.max(1)))
        };
        Slices {
            chunk,
            words: deep,
            columns: wide * sizes.columns,
        }
    }

    /// Adds one slice's part of the product. `steps` is along the depth, `columns` of the right side.
    ///
    /// # Safety
    /// As for [`Product::compute`].
    unsafe fn compute_slice(
        &self,
        slices: &Slices,
        steps: Range<usize>,
        columns: Range<usize>,
        start: Start<'_>,
        out: SharedOutput,
    ) {
        let (rows, stride) = (self.left.rows(), self.right.columns());
        let left = self.left.part(0..rows, steps.clone());
        let right = self.right.part(steps.clone(), columns.clone());
        let words = steps.len().div_ceil(self.method.depth_of_word());
        let packed = self.pack(right, words);
        let panels = columns.len().div_ceil(tile::sizes(self.method).columns);
        let (blocks, groups) = division(rows, panels, rows * columns.len() * steps.len());
        let tasks = blocks * groups;
        let run = |task: usize| {
            let out = out.at(columns.start);
            let task = Task {
                left,
                rows: tiles(task / groups, blocks, rows),
                right: packed.words(),
                words,
                chunk: slices.chunk,
                panels: share(task % groups, groups, panels),
                columns: columns.len(),
                start: match start {
                    Start::Zero => None,
                    Start::Output => Some(out.cast_const()),
                    Start::Values(values) => Some(values.as_ptr().wrapping_add(columns.start)),
                },
                out,
                stride,
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

    /// Packs (and, for bfloat16, rounds) a slice of the right side: for each panel, for each of `words` steps along the
    /// depth, a word a column.
    fn pack(&self, slice: View<'_>, words: usize) -> Buffer {
        let columns = tile::sizes(self.method).columns;
        let panels = slice.columns().div_ceil(columns);
        let panel_words = words * columns;
        let mut buffer = Buffer::take(panels * panel_words);
        if panel_words == 0 {
            return buffer;
        }
        let panels_a_task = if slice.rows() * slice.columns() < SERIAL / 8 {
            panels
        } else {
            panels.div_ceil(4 * rayon::current_num_threads())
        };
        let packed = buffer.words_mut(panels * panel_words);
        let pack = |(task, words): (usize, &mut [u32])| {
            for (panel, words) in words.chunks_exact_mut(panel_words).enumerate() {
                let column = (task * panels_a_task + panel) * columns;
                // SAFETY: `choose` gives methods that the processor has; `words` is the whole panel.
                unsafe { tile::pack_panel(self.method, slice, column, words) }
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
        buffer
    }
}

/// The size of parts of `whole`, of at most `most`, that are as even as can be; 1 at least.
fn even_part(whole: usize, most: usize) -> usize {
    whole.div_ceil(whole.div_ceil(most).max(1)).max(1)
}

/// Blocks of rows and groups of panels, so that there are a few tasks for each thread, and as many for each.
fn division(rows: usize, panels: usize, work: usize) -> (usize, usize) {
    if work < SERIAL {
        return (1, 1);
    }
    let threads = rayon::current_num_threads();
    let wanted = 4 * threads;
    let blocks = rows
        .div_ceil(BLOCK_ROWS)
        .max(wanted)
        .next_multiple_of(threads)
        .min(rows.div_ceil(LEAST_BLOCK_ROWS));
    (blocks, wanted.div_ceil(blocks).min(panels))
}

/// Part `index` of so many, as even as can be.
fn share(index: usize, parts: usize, whole: usize) -> Range<usize> {
    index * whole / parts..(index + 1) * whole / parts
}

/// The rows of part `index` of so many, in whole register tiles.
fn tiles(index: usize, parts: usize, rows: usize) -> Range<usize> {
    let tiles = share(index, parts, rows.div_ceil(ROWS));
    tiles.start * ROWS..rows.min(tiles.end * ROWS)
}
