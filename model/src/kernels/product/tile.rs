//! The loops over register tiles, and what a method has to provide for them.
#![expect(unsafe_code, reason = "register tiles read and write through pointers")]
#![expect(
    clippy::inline_always,
    reason = "bodies must end up inside callers compiled for wider instructions"
)]

#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::float32x4_t;
use std::ops::Range;

use super::buffer::Buffer;
use super::plain::Plain;
use super::rounded::Rounded;
use super::view::View;
use super::{Method, ROWS};
use crate::kernels::simd::{Four, InstructionSet, Vector, prefetch};

/// The most columns of a panel.
const MOST_COLUMNS: usize = 64;

/// One task's share of a product.
pub(super) struct Task<'a> {
    pub(super) left: View<'a>,
    pub(super) rows: Range<usize>,
    /// All panels.
    pub(super) right: &'a [u32],
    /// Words along the depth.
    pub(super) words: usize,
    /// Words along the depth that one pass over a tile takes.
    pub(super) chunk: usize,
    pub(super) panels: Range<usize>,
    /// Columns of the output that the panels are.
    pub(super) columns: usize,
    /// What sums start from, which lies like `out`.
    pub(super) start: Option<*const f32>,
    pub(super) out: *mut f32,
    /// From one row to the next, of `out` and `start`.
    pub(super) stride: usize,
}

/// Rows of the left side as tiles read them: the word of row r and step w, from the first that is packed, is at
/// `r / ROWS * tile + r % ROWS * row + w * step` from `words`.
#[derive(Clone, Copy)]
pub(super) struct Left {
    pub(super) words: *const u32,
    pub(super) tile: usize,
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "only pairs lie with rows apart")
    )]
    pub(super) row: usize,
    pub(super) step: usize,
}

/// One register tile: up to [`ROWS`] rows against one panel, along one chunk of the depth.
pub(super) struct Tile {
    pub(super) left: Left,
    /// As many words for each step as a panel has columns.
    pub(super) right: *const u32,
    pub(super) words: usize,
    /// Columns of the panel that the output has.
    pub(super) columns: usize,
    pub(super) start: Option<*const f32>,
    pub(super) out: *mut f32,
    /// From one row to the next, of `out` and `start`.
    pub(super) stride: usize,
}

/// A way to compute products.
///
/// Every function is unsafe for the same reasons: the processor must have the instructions, and pointers must be good
/// for what the arguments say. They are `inline(always)`, so that they end up inside a caller compiled for those
/// instructions.
pub(super) trait Kernel {
    /// Columns of a panel.
    const COLUMNS: usize;
    /// The most words along the depth that one pass over a tile takes: so many rows of a panel stay in the first-level
    /// cache.
    const CHUNK: usize;
    /// Chunks that the left side is packed for at a time: a block's rows then fill less than half of a usual second-level
    /// cache, however deep a product is.
    const CHUNKS_PACKED: usize;
    /// Words that `rows` packed rows of `steps` words along the depth need.
    fn left_words(left: View<'_>, rows: usize, steps: usize) -> usize;
    /// Packs the words `steps` along the depth of rows `rows` of `left` into `words`.
    unsafe fn pack_left(
        left: View<'_>,
        rows: Range<usize>,
        steps: Range<usize>,
        words: &mut [u32],
    ) -> Left;
    /// Packs the columns from `column` on, with zeros beyond the last.
    unsafe fn pack_panel(right: View<'_>, column: usize, panel: &mut [u32]);
    /// Computes `R` rows.
    unsafe fn tile<const R: usize>(tile: &Tile);
}

// Two vectors a row where there are 16 registers of them, four where there are 32.
type PlainPortable = Plain<Four, 2>;
type RoundedPortable = Rounded<Four, 2>;
#[cfg(target_arch = "aarch64")]
type PlainNeon = Plain<float32x4_t, 4>;
#[cfg(target_arch = "aarch64")]
type RoundedNeon = Rounded<float32x4_t, 4>;

/// How a method cuts its operands up.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// See [`Kernel::COLUMNS`].
    pub(super) columns: usize,
    /// See [`Kernel::CHUNK`].
    pub(super) chunk: usize,
}

fn sizes_of<K: Kernel>() -> Sizes {
    Sizes {
        columns: K::COLUMNS,
        chunk: K::CHUNK,
    }
}

pub(super) fn sizes(method: Method) -> Sizes {
    match method {
        Method::Plain(InstructionSet::Portable) => sizes_of::<PlainPortable>(),
        Method::Rounded(InstructionSet::Portable) => sizes_of::<RoundedPortable>(),
        #[cfg(target_arch = "aarch64")]
        Method::Plain(InstructionSet::Neon) => sizes_of::<PlainNeon>(),
        #[cfg(target_arch = "aarch64")]
        Method::Rounded(InstructionSet::Neon) => sizes_of::<RoundedNeon>(),
        #[cfg(target_arch = "x86_64")]
        Method::Plain(InstructionSet::Avx2) => sizes_of::<x86::PlainAvx2>(),
        #[cfg(target_arch = "x86_64")]
        Method::Rounded(InstructionSet::Avx2) => sizes_of::<x86::RoundedAvx2>(),
        #[cfg(target_arch = "x86_64")]
        Method::Plain(InstructionSet::Avx512) => sizes_of::<x86::PlainAvx512>(),
        #[cfg(target_arch = "x86_64")]
        Method::Rounded(InstructionSet::Avx512) => sizes_of::<x86::RoundedAvx512>(),
        #[cfg(target_arch = "x86_64")]
        Method::Pairs => sizes_of::<super::pairs::Pairs>(),
    }
}

/// # Safety
/// The processor must have the instructions of `method`.
pub(super) unsafe fn pack_panel(method: Method, right: View<'_>, column: usize, panel: &mut [u32]) {
    // SAFETY: the caller's promise is passed on.
    unsafe {
        match method {
            Method::Plain(InstructionSet::Portable) => {
                PlainPortable::pack_panel(right, column, panel);
            }
            #[cfg(target_arch = "aarch64")]
            Method::Plain(InstructionSet::Neon) => {
                PlainNeon::pack_panel(right, column, panel);
            }
            #[cfg(target_arch = "x86_64")]
            Method::Plain(InstructionSet::Avx2) => x86::pack_avx2(right, column, panel),
            #[cfg(target_arch = "x86_64")]
            Method::Plain(InstructionSet::Avx512) => x86::pack_avx512(right, column, panel),
            Method::Rounded(InstructionSet::Portable) => {
                RoundedPortable::pack_panel(right, column, panel);
            }
            #[cfg(target_arch = "aarch64")]
            Method::Rounded(InstructionSet::Neon) => {
                RoundedNeon::pack_panel(right, column, panel);
            }
            #[cfg(target_arch = "x86_64")]
            Method::Rounded(InstructionSet::Avx2) => x86::pack_rounded_avx2(right, column, panel),
            #[cfg(target_arch = "x86_64")]
            Method::Rounded(InstructionSet::Avx512) => {
                x86::pack_rounded_avx512(right, column, panel);
            }
            #[cfg(target_arch = "x86_64")]
            Method::Pairs => x86::pack_pairs(right, column, panel),
        }
    }
}

/// # Safety
/// The processor must have the instructions of `method`, `task.right` be packed for it, and the block of `task.out` be
/// writable (and of `task.start` readable) with nobody else touching it.
pub(super) unsafe fn compute(method: Method, task: &Task<'_>) {
    // SAFETY: the caller's promises are passed on.
    unsafe {
        match method {
            Method::Plain(InstructionSet::Portable) => all_tiles::<PlainPortable>(task),
            #[cfg(target_arch = "aarch64")]
            Method::Plain(InstructionSet::Neon) => all_tiles::<PlainNeon>(task),
            #[cfg(target_arch = "x86_64")]
            Method::Plain(InstructionSet::Avx2) => x86::compute_avx2(task),
            #[cfg(target_arch = "x86_64")]
            Method::Plain(InstructionSet::Avx512) => x86::compute_avx512(task),
            Method::Rounded(InstructionSet::Portable) => all_tiles::<RoundedPortable>(task),
            #[cfg(target_arch = "aarch64")]
            Method::Rounded(InstructionSet::Neon) => all_tiles::<RoundedNeon>(task),
            #[cfg(target_arch = "x86_64")]
            Method::Rounded(InstructionSet::Avx2) => x86::compute_rounded_avx2(task),
            #[cfg(target_arch = "x86_64")]
            Method::Rounded(InstructionSet::Avx512) => x86::compute_rounded_avx512(task),
            #[cfg(target_arch = "x86_64")]
            Method::Pairs => x86::compute_pairs(task),
        }
    }
}

#[inline(always)]
unsafe fn all_tiles<K: Kernel>(task: &Task<'_>) {
    let rows = task.rows.clone();
    let packed = K::CHUNKS_PACKED * task.chunk;
    let mut buffer = Buffer::take(K::left_words(task.left, rows.len(), packed.min(task.words)));
    let mut first = 0;
    // Once at least: without depth the output is what sums start from.
    loop {
        let steps = first..task.words.min(first + packed);
        let needed = K::left_words(task.left, rows.len(), steps.len());
        // SAFETY: rows and steps are inside the left side; the rest is the caller's promise.
        unsafe {
            let words = buffer.words_mut(needed);
            let left = K::pack_left(task.left, rows.clone(), steps.clone(), words);
            packed_tiles::<K>(task, left, steps.clone());
        }
        first = steps.end;
        if first == task.words {
            break;
        }
    }
}

/// Goes through the steps whose rows are packed, a chunk of one panel after the other.
#[inline(always)]
unsafe fn packed_tiles<K: Kernel>(task: &Task<'_>, left: Left, steps: Range<usize>) {
    let rows = task.rows.clone();
    for panel in task.panels.clone() {
        let column = panel * K::COLUMNS;
        let mut word = steps.start;
        loop {
            let words = task.chunk.min(steps.end - word);
            for row in (0..rows.len()).step_by(ROWS) {
                let place = (rows.start + row) * task.stride + column;
                let before = (word - steps.start) * left.step;
                // SAFETY: rows, steps and panels are inside the matrices; the rest is the caller's promise.
                unsafe {
                    let out = task.out.add(place);
                    let tile = Tile {
                        left: Left {
                            words: left.words.add(row / ROWS * left.tile + before),
                            ..left
                        },
                        right: task
                            .right
                            .as_ptr()
                            .add((panel * task.words + word) * K::COLUMNS),
                        words,
                        columns: K::COLUMNS.min(task.columns - column),
                        start: if word > 0 {
                            Some(out.cast_const())
                        } else {
                            task.start.map(|start| start.add(place))
                        },
                        out,
                        stride: task.stride,
                    };
                    if let Some(start) = tile.start {
                        for r in 0..ROWS {
                            prefetch(start.wrapping_add(r * tile.stride));
                        }
                    }
                    match rows.len() - row {
                        1 => K::tile::<1>(&tile),
                        2 => K::tile::<2>(&tile),
                        3 => K::tile::<3>(&tile),
                        4 => K::tile::<4>(&tile),
                        5 => K::tile::<5>(&tile),
                        _ => K::tile::<ROWS>(&tile),
                    }
                }
            }
            word += words;
            if word == steps.end {
                break;
            }
        }
    }
}

impl Tile {
    /// Adds what the sums of `N` vectors from `column` on start from, and stores those that the output has.
    #[inline(always)]
    pub(super) unsafe fn finish<V: Vector, const N: usize>(
        &self,
        row: usize,
        column: usize,
        sums: [V; N],
    ) {
        let place = row * self.stride + column;
        // SAFETY: the caller vouches for the instructions and for `columns` values of row `row`.
        unsafe {
            if column + N * V::LANES <= self.columns {
                for (i, mut value) in sums.into_iter().enumerate() {
                    if let Some(start) = self.start {
                        value = value.add(V::load(start.add(place + i * V::LANES)));
                    }
                    value.store(self.out.add(place + i * V::LANES));
                }
            } else {
                let mut values = [0.0_f32; MOST_COLUMNS];
                for (i, value) in sums.into_iter().enumerate() {
                    value.store(values.as_mut_ptr().add(i * V::LANES));
                }
                let valid = self.columns.saturating_sub(column);
                for (i, value) in values[..valid].iter().enumerate() {
                    let start = self.start.map_or(0.0, |start| start.add(place + i).read());
                    self.out.add(place + i).write(value + start);
                }
            }
        }
    }
}

/// The same loops, compiled for instructions that not every processor has.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m256, __m512};

    use super::super::pairs::Pairs;
    use super::{Kernel, Plain, Rounded, Task, View, all_tiles};

    pub(super) type PlainAvx2 = Plain<__m256, 2>;
    pub(super) type PlainAvx512 = Plain<__m512, 4>;
    pub(super) type RoundedAvx2 = Rounded<__m256, 2>;
    pub(super) type RoundedAvx512 = Rounded<__m512, 4>;

    macro_rules! compiled_for {
        ($features:literal, $kernel:ty, $compute:ident, $pack:ident) => {
            #[target_feature(enable = $features)]
            pub(super) unsafe fn $compute(task: &Task<'_>) {
                // SAFETY: the caller's promises are passed on.
                unsafe { all_tiles::<$kernel>(task) }
            }

            #[target_feature(enable = $features)]
            pub(super) unsafe fn $pack(right: View<'_>, column: usize, panel: &mut [u32]) {
                // SAFETY: the caller's promises are passed on.
                unsafe { <$kernel>::pack_panel(right, column, panel) }
            }
        };
    }

    compiled_for!("avx2,fma", PlainAvx2, compute_avx2, pack_avx2);
    compiled_for!(
        "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl",
        PlainAvx512,
        compute_avx512,
        pack_avx512
    );
    compiled_for!(
        "avx2,fma",
        RoundedAvx2,
        compute_rounded_avx2,
        pack_rounded_avx2
    );
    compiled_for!(
        "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl",
        RoundedAvx512,
        compute_rounded_avx512,
        pack_rounded_avx512
    );
    compiled_for!(
        "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16",
        Pairs,
        compute_pairs,
        pack_pairs
    );
}
