//! Rotary positions and causal attention inside documents, both ways, tile by tile.
//!
//! Queries, keys and values come as one matrix, a row a token. Documents lie one after another; a token sees its own
//! document up to itself, and positions start at zero in each. A task is one document and one head of keys: it writes
//! columns that are its own, so nothing is summed across threads. No more than [`BLOCK`] x [`BLOCK`] scores exist in a
//! task, and of the probabilities only each row's log-sum-exp is kept for the way back (`FlashAttention-2`, arXiv
//! 2307.08691, algorithms 1 and 2).
#![expect(unsafe_code, reason = "tasks write disjoint columns of one matrix")]

mod backward;
mod blocks;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use super::attention::{BLOCK, QueryTile, padded_head};
use super::rotary::Rotary;
use super::simd::SharedOutput;
use blocks::{KeyBlocks, Part};

/// Heads of an attention layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub key_value_heads: usize,
    /// Channels of a head; even.
    pub head_dim: usize,
}

impl AttentionShape {
    /// Columns of queries, keys and values together.
    pub fn columns(&self) -> usize {
        (self.heads + 2 * self.key_value_heads) * self.head_dim
    }

    /// Columns of the result.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }
}

/// Attention over one packing of documents.
#[derive(Clone, Copy)]
pub(crate) struct DocumentAttention<'a> {
    pub(crate) shape: AttentionShape,
    pub(crate) rotary: &'a Rotary,
    /// First row of each document in ascending order, from 0, and at its end the number of rows.
    pub(crate) offsets: &'a [usize],
}

/// What the way back needs beside the input.
pub(crate) struct Attended<'a> {
    /// The result, `[tokens, query width]`.
    pub(crate) out: &'a [f32],
    /// ln Σ e^score of every query: `tokens` for each head.
    pub(crate) log_sum_exps: &'a [f32],
}

/// Rows and heads of one task.
#[derive(Clone, Copy)]
struct Task {
    /// First row of the document.
    first: usize,
    /// Its number of rows.
    tokens: usize,
    /// The head of keys and values.
    key_head: usize,
}

impl DocumentAttention<'_> {
    fn tokens(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// Every document with every head of keys, so that every row and head belongs to one task; the longest tasks of a step start first where documents differ much.
    fn tasks(&self) -> Vec<Task> {
        assert!(self.offsets.first() == Some(&0) && self.offsets.is_sorted());
        assert!(self.shape.heads.is_multiple_of(self.shape.key_value_heads));
        let documents = self.offsets.windows(2).filter(|pair| pair[1] > pair[0]);
        let mut tasks: Vec<Task> = documents
            .flat_map(|pair| {
                (0..self.shape.key_value_heads).map(|key_head| Task {
                    first: pair[0],
                    tokens: pair[1] - pair[0],
                    key_head,
                })
            })
            .collect();
        tasks.sort_by_key(|task| std::cmp::Reverse(task.tokens));
        tasks
    }

    /// Query heads that read the keys of `key_head`.
    fn query_heads(&self, key_head: usize) -> std::ops::Range<usize> {
        let group = self.shape.heads / self.shape.key_value_heads;
        key_head * group..(key_head + 1) * group
    }

    fn scale(&self) -> f32 {
        1.0 / (self.shape.head_dim as f32).sqrt()
    }

    fn part<'b>(&self, input: &'b [f32], task: Task, head: usize) -> Part<'b> {
        Part {
            values: &input[task.first * self.shape.columns() + head * self.shape.head_dim..],
            stride: self.shape.columns(),
            width: self.shape.head_dim,
        }
    }

    /// `[tokens, queries | keys | values]` to the result and the log-sum-exps.
    pub(crate) fn forward(&self, input: &[f32]) -> (Vec<f32>, Vec<f32>) {
        assert_eq!(input.len(), self.tokens() * self.shape.columns());
        let counts = [self.shape.query_width(), self.shape.heads].map(|n| n * self.tokens());
        let [mut out, mut log_sum_exps] = counts.map(Vec::with_capacity);
        let targets =
            [&mut out, &mut log_sum_exps].map(|to| SharedOutput::from_pointer(to.as_mut_ptr()));
        self.tasks()
            .into_par_iter()
            .with_max_len(1)
            .for_each(|task| self.task_forward(input, task, targets[0], targets[1]));
        // SAFETY: there is room for them, and `tasks` are all rows with all heads.
        unsafe {
            out.set_len(counts[0]);
            log_sum_exps.set_len(counts[1]);
        }
        (out, log_sum_exps)
    }

    fn task_forward(
        &self,
        input: &[f32],
        task: Task,
        out: SharedOutput,
        log_sum_exps: SharedOutput,
    ) {
        let AttentionShape {
            heads,
            key_value_heads,
            head_dim,
        } = self.shape;
        let width = padded_head(head_dim);
        let keys = KeyBlocks::new(
            self.part(input, task, heads + task.key_head),
            task.tokens,
            self.rotary,
        );
        let values = self
            .part(input, task, heads + key_value_heads + task.key_head)
            .padded(task.tokens, width);
        let mut queries = vec![0.0; BLOCK * head_dim];
        let mut gathered = vec![0.0; BLOCK * width];
        for head in self.query_heads(task.key_head) {
            let part = self.part(input, task, head);
            for start in (0..task.tokens).step_by(BLOCK) {
                let count = BLOCK.min(task.tokens - start);
                part.rotated(start..start + count, self.rotary, 1.0, &mut queries);
                let gathered = &mut gathered[..count * width];
                let rows = queries[..count * head_dim].chunks_exact(head_dim);
                let mut tile = QueryTile::new(rows, head_dim, gathered);
                for block in (0..=start).step_by(BLOCK) {
                    let visible: Vec<usize> = (0..count)
                        .map(|query| (start + query + 1 - block).min(BLOCK))
                        .collect();
                    let values = &values[block * width..];
                    tile.absorb(0, &visible, keys.transposed(block), values);
                }
                for (query, log_sum_exp) in tile.log_sum_exps().enumerate() {
                    let place = head * self.tokens() + task.first + start + query;
                    // SAFETY: a query of a head belongs to one task, and lies inside the matrix.
                    unsafe { *log_sum_exps.at(place) = log_sum_exp };
                }
                tile.finish();
                let place = (task.first + start) * self.shape.query_width() + head * head_dim;
                // SAFETY: rows of the task's document and columns of its heads, which no other task writes.
                unsafe {
                    put(
                        gathered,
                        width,
                        head_dim,
                        out.at(place),
                        self.shape.query_width(),
                    );
                }
            }
        }
    }
}

/// Copies the first `count` numbers of rows of `width` to rows that are `stride` apart.
///
/// # Safety
/// `count` numbers must be writable from `target` on in every such row, and nobody else may access them meanwhile.
unsafe fn put(rows: &[f32], width: usize, count: usize, target: *mut f32, stride: usize) {
    for (index, row) in rows.chunks_exact(width).enumerate() {
        // SAFETY: the caller vouches for the row.
        let target =
            unsafe { std::slice::from_raw_parts_mut(target.wrapping_add(index * stride), count) };
        target.copy_from_slice(&row[..count]);
    }
}
