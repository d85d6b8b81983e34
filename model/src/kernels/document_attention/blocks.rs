//! Copies of a head's columns in the layouts that products read.

use std::ops::Range;

use crate::kernels::attention::BLOCK;
use crate::kernels::rotary::{Rotary, rotate};

/// The columns of one head in the rows of a document.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    /// From the first of them on.
    pub(super) values: &'a [f32],
    /// From one row to the next.
    pub(super) stride: usize,
    /// Columns.
    pub(super) width: usize,
}

impl<'a> Part<'a> {
    pub(super) fn row(&self, token: usize) -> &'a [f32] {
        &self.values[token * self.stride..][..self.width]
    }

    /// The first `count` rows, filled up to `width` columns with zeros.
    pub(super) fn padded(&self, count: usize, width: usize) -> Vec<f32> {
        let mut out = vec![0.0; count * width];
        for (token, out) in out.chunks_exact_mut(width).enumerate() {
            out[..self.width].copy_from_slice(self.row(token));
        }
        out
    }

    /// Writes `tokens`, times `scale` and turned to their positions, to rows of `out`; returns how many.
    pub(super) fn rotated(
        &self,
        tokens: Range<usize>,
        rotary: &Rotary,
        scale: f32,
        out: &mut [f32],
    ) {
        for (token, out) in tokens.zip(out.chunks_exact_mut(self.width)) {
            for (out, value) in out.iter_mut().zip(self.row(token)) {
                *out = value * scale;
            }
            let (cosines, sines) = rotary.row(token);
            rotate(out, cosines, sines);
        }
    }
}

/// The keys of one head of a document, turned to their positions: as rows, and in blocks channel by channel.
pub(super) struct KeyBlocks {
    width: usize,
    rows: Vec<f32>,
    /// `width` rows of [`BLOCK`] tokens for each block.
    transposed: Vec<f32>,
}

impl KeyBlocks {
    pub(super) fn new(part: Part<'_>, tokens: usize, rotary: &Rotary) -> Self {
        let width = part.width;
        let mut rows = vec![0.0; tokens * width];
        part.rotated(0..tokens, rotary, 1.0, &mut rows);
        let transposed = transposed_blocks(&rows, width, width);
        Self {
            width,
            rows,
            transposed,
        }
    }

    /// The block that starts at token `start`, `[width, BLOCK]`.
    pub(super) fn transposed(&self, start: usize) -> &[f32] {
        &self.transposed[start * self.width..][..self.width * BLOCK]
    }

    /// The rows from token `start` on, each `width` long.
    pub(super) fn rows(&self, start: usize) -> &[f32] {
        &self.rows[start * self.width..]
    }
}

/// The first `width` columns of rows that are `stride` long, in blocks of [`BLOCK`] rows: `width x BLOCK` each, where
/// what the last block lacks is zero.
fn transposed_blocks(rows: &[f32], stride: usize, width: usize) -> Vec<f32> {
    let blocks = (rows.len() / stride).div_ceil(BLOCK);
    let mut out = vec![0.0; blocks * width * BLOCK];
    for (rows, out) in rows
        .chunks(BLOCK * stride)
        .zip(out.chunks_exact_mut(width * BLOCK))
    {
        transpose(rows, stride, width, out, BLOCK);
    }
    out
}

/// `out[column][row] = rows[row][column]` for the first `width` columns; rows of `out` are `out_stride` apart.
///
/// Columns are taken a cache line's worth at a time, so that every line that is touched is used whole.
pub(super) fn transpose(
    rows: &[f32],
    stride: usize,
    width: usize,
    out: &mut [f32],
    out_stride: usize,
) {
    const LINE: usize = 16;
    for first in (0..width).step_by(LINE) {
        let columns = first..width.min(first + LINE);
        for (index, row) in rows.chunks_exact(stride).enumerate() {
            for (column, value) in columns.clone().zip(&row[columns.clone()]) {
                out[column * out_stride + index] = *value;
            }
        }
    }
}
