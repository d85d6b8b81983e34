//! Input rows rounded to integers, block by block.
//!
//! Beside 4-bit weights they have 8 bits, as in llama.cpp. Beside 8-bit weights they have 16: multiplying these takes no
//! longer with AVX2, and the rounding then is lost in that of f32 sums.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "functions compiled for detected instructions are called unsafely"
    )
)]

use rayon::prelude::*;

use super::super::simd::vectorised;
use crate::block_tensor::BLOCK;

/// Adding this leaves the nearest integer in the low bits of an f32: 1.5 * 2^23.
const ROUND: f32 = 12_582_912.0;
/// Values worth a task of their own.
const TASK_VALUES: usize = 32 * 1024;

/// What goes with the integers of one block: value = `scale` * integer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct BlockScale {
    pub(super) scale: f32,
    /// The sum of the integers times `scale`: what a minimum of the weights is multiplied with.
    pub(super) scaled_sum: f32,
    /// The sum of the integers.
    pub(super) sum: i32,
}

/// Rows of blocks of integers of type `T`.
#[derive(Default)]
pub(super) struct Rounded<T> {
    values: Vec<[T; BLOCK]>,
    scales: Vec<BlockScale>,
}

/// One row: as many blocks as scales.
#[derive(Clone, Copy)]
pub(super) struct Row<'a, T> {
    pub(super) values: &'a [[T; BLOCK]],
    pub(super) scales: &'a [BlockScale],
}

/// Input rows as products take them; reused from product to product.
#[derive(Default)]
pub(crate) struct QuantisedRows {
    rows: usize,
    blocks: usize,
    bytes: Rounded<i8>,
    words: Rounded<i16>,
}

impl QuantisedRows {
    /// Rounds `x`, rows of `inputs` values: to 8 bits where `bytes`, to 16 where `words`.
    pub(super) fn fill(&mut self, x: &[f32], inputs: usize, bytes: bool, words: bool) {
        self.blocks = inputs / BLOCK;
        self.rows = x.len() / inputs;
        if bytes {
            self.bytes.fill(x, self.blocks, round_to_bytes);
        }
        if words {
            self.words.fill(x, self.blocks, round_to_words);
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn bytes(&self, row: usize) -> Row<'_, i8> {
        self.bytes.row(row, self.blocks)
    }

    pub(super) fn words(&self, row: usize) -> Row<'_, i16> {
        self.words.row(row, self.blocks)
    }
}

impl<T: Copy + Default + Send> Rounded<T> {
    fn fill(
        &mut self,
        x: &[f32],
        blocks: usize,
        round: impl Fn(&[f32], &mut [[T; BLOCK]], &mut [BlockScale]) + Sync,
    ) {
        let count = x.len() / BLOCK;
        if self.values.len() < count {
            self.values.resize(count, [T::default(); BLOCK]);
            self.scales.resize(count, BlockScale::default());
        }
        // A row takes less than a microsecond: only a long prompt is worth waking other threads for.
        let task = (TASK_VALUES / BLOCK / blocks).max(1) * blocks;
        x.par_chunks(task * BLOCK)
            .zip(self.values[..count].par_chunks_mut(task))
            .zip(self.scales[..count].par_chunks_mut(task))
            .for_each(|((x, values), scales)| round(x, values, scales));
    }

    fn row(&self, row: usize, blocks: usize) -> Row<'_, T> {
        let range = row * blocks..(row + 1) * blocks;
        Row {
            values: &self.values[range.clone()],
            scales: &self.scales[range],
        }
    }
}

vectorised! {
    /// Rounds blocks of values to integers from -127 to 127.
    fn round_to_bytes(x: &[f32], values: &mut [[i8; BLOCK]], scales: &mut [BlockScale]) {
        for ((x, values), scale) in x.as_chunks::<BLOCK>().0.iter().zip(values).zip(scales) {
            let (integers, rounded) = round_block::<8>(x);
            *scale = rounded;
            for (value, integer) in values.iter_mut().zip(integers) {
                *value = integer as i8;
            }
        }
    }
}

vectorised! {
    /// Rounds blocks of values to integers from -32,767 to 32,767.
    fn round_to_words(x: &[f32], values: &mut [[i16; BLOCK]], scales: &mut [BlockScale]) {
        for ((x, values), scale) in x.as_chunks::<BLOCK>().0.iter().zip(values).zip(scales) {
            let (integers, rounded) = round_block::<16>(x);
            *scale = rounded;
            for (value, integer) in values.iter_mut().zip(integers) {
                *value = integer as i16;
            }
        }
    }
}

/// Rounds a block to integers of `BITS` bits, the largest magnitude to the largest of them.
///
/// Integers have no NaN and no infinity, so the scale takes those over from the values: the result of the product is
/// then no number either, whatever the integers are.
#[expect(
    clippy::inline_always,
    reason = "must end up inside callers compiled for wider instructions"
)]
#[inline(always)]
fn round_block<const BITS: u32>(x: &[f32; BLOCK]) -> ([i32; BLOCK], BlockScale) {
    let largest = ((1_i32 << (BITS - 1)) - 1) as f32;
    let (mut magnitudes, mut not_finite) = ([0.0_f32; 8], [0.0_f32; 8]);
    for part in x.as_chunks::<8>().0 {
        for lane in 0..8 {
            let magnitude = part[lane].abs();
            if magnitude > magnitudes[lane] {
                magnitudes[lane] = magnitude;
            }
            not_finite[lane] += part[lane] * 0.0;
        }
    }
    let magnitude = magnitudes.into_iter().fold(0.0, f32::max);
    let not_finite: f32 = not_finite.into_iter().sum();
    // Of magnitudes that are hardly a number any more the inverse is infinite; such a block counts as zeros.
    let inverse = largest / magnitude;
    let inverse = if inverse < f32::INFINITY {
        inverse
    } else {
        0.0
    };
    let mut integers = [0; BLOCK];
    for (integer, x) in integers.iter_mut().zip(x) {
        let bits = (x * inverse + ROUND).to_bits().cast_signed();
        let nearest = bits.wrapping_sub(ROUND.to_bits().cast_signed());
        *integer = nearest << (32 - BITS) >> (32 - BITS);
    }
    let sum: i32 = integers.iter().sum();
    let scale = magnitude / largest + not_finite;
    let scaled_sum = scale * sum as f32;
    (
        integers,
        BlockScale {
            scale,
            scaled_sum,
            sum,
        },
    )
}
