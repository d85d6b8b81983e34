//! The way back through attention.
//!
//! Scores are computed again, with the keys as rows and the queries as columns: then every product of a tile has a
//! left side that is read along its rows and a right side that needs no turning.
#![expect(unsafe_code, reason = "tasks write disjoint columns of one matrix")]

use rayon::prelude::*;

use super::blocks::{KeyBlocks, Part, transpose};
use super::{Attended, AttentionShape, DocumentAttention, Task, put};
use crate::kernels::attention::{BLOCK, padded_head};
use crate::kernels::rotary::rotate_back;
use crate::kernels::rows::{exp, sum_of_products};
use crate::kernels::simd::{SharedOutput, vectorised};
use crate::kernels::tile::Product;

/// What a task computes in; one serves many tasks.
struct Workspace {
    /// Queries of a tile, scaled and turned: as rows of `padded_head`, and `[head_dim, BLOCK]`.
    queries: Vec<f32>,
    queries_transposed: Vec<f32>,
    /// The same two of the gradient of the result.
    dout: Vec<f32>,
    dout_transposed: Vec<f32>,
    log_sum_exps: [f32; BLOCK],
    /// Σ out · dout of each query.
    means: [f32; BLOCK],
    /// `[keys, queries]` of one pair of blocks: scores, which become probabilities, and their gradients.
    probabilities: Vec<f32>,
    dscores: Vec<f32>,
    /// Gradients: `[head_dim, BLOCK]` of the tile's queries, rows of `padded_head` of the document's keys and values.
    dqueries: Vec<f32>,
    dkeys: Vec<f32>,
    dvalues: Vec<f32>,
    /// A head's rows on their way to the result.
    rows: Vec<f32>,
}

impl Workspace {
    fn new(head_dim: usize) -> Self {
        let width = padded_head(head_dim);
        let zeros = |count: usize| vec![0.0; count];
        Self {
            queries: zeros(BLOCK * width),
            queries_transposed: zeros(head_dim * BLOCK),
            dout: zeros(BLOCK * width),
            dout_transposed: zeros(head_dim * BLOCK),
            log_sum_exps: [0.0; BLOCK],
            means: [0.0; BLOCK],
            probabilities: zeros(BLOCK * BLOCK),
            dscores: zeros(BLOCK * BLOCK),
            dqueries: zeros(head_dim * BLOCK),
            dkeys: Vec::new(),
            dvalues: Vec::new(),
            rows: zeros(BLOCK * head_dim),
        }
    }
}

/// A tile of queries of one head.
#[derive(Clone, Copy)]
struct Tile {
    head: usize,
    start: usize,
    count: usize,
}

impl DocumentAttention<'_> {
    /// The gradient of `input` from that of the result.
    pub(crate) fn backward(
        &self,
        input: &[f32],
        attended: &Attended<'_>,
        dout: &[f32],
    ) -> Vec<f32> {
        assert_eq!(input.len(), self.tokens() * self.shape.columns());
        assert_eq!(dout.len(), self.tokens() * self.shape.query_width());
        assert_eq!(attended.out.len(), dout.len());
        let mut dinput = Vec::with_capacity(input.len());
        let target = SharedOutput::from_pointer(dinput.as_mut_ptr());
        self.tasks().into_par_iter().with_max_len(1).for_each_init(
            || Workspace::new(self.shape.head_dim),
            |workspace, task| self.task_backward(input, attended, dout, task, workspace, target),
        );
        // SAFETY: there is room for them, and `tasks` are all rows with all heads.
        unsafe { dinput.set_len(input.len()) };
        dinput
    }

    fn task_backward(
        &self,
        input: &[f32],
        attended: &Attended<'_>,
        dout: &[f32],
        task: Task,
        workspace: &mut Workspace,
        target: SharedOutput,
    ) {
        let AttentionShape {
            heads,
            key_value_heads,
            head_dim,
        } = self.shape;
        let width = padded_head(head_dim);
        let (key_column, value_column) = (
            heads + task.key_head,
            heads + key_value_heads + task.key_head,
        );
        let keys = KeyBlocks::new(self.part(input, task, key_column), task.tokens, self.rotary);
        let values = self.part(input, task, value_column);
        for gradient in [&mut workspace.dkeys, &mut workspace.dvalues] {
            gradient.clear();
            gradient.resize(task.tokens * width, 0.0);
        }
        for head in self.query_heads(task.key_head) {
            for start in (0..task.tokens).step_by(BLOCK) {
                let count = BLOCK.min(task.tokens - start);
                let tile = Tile { head, start, count };
                self.load_tile(input, attended, dout, task, tile, workspace);
                workspace.dqueries.fill(0.0);
                for block in (0..=start).step_by(BLOCK) {
                    let rows = BLOCK.min(task.tokens - block);
                    workspace.block_backward(&keys, values, block, rows, tile);
                }
                self.store_queries(task, tile, workspace, target);
            }
        }
        self.store_keys(task, workspace, target);
    }

    /// Queries and gradients of a tile in both layouts, and what the softmax of its rows needs.
    fn load_tile(
        &self,
        input: &[f32],
        attended: &Attended<'_>,
        dout: &[f32],
        task: Task,
        tile: Tile,
        workspace: &mut Workspace,
    ) {
        let (head_dim, width) = (self.shape.head_dim, padded_head(self.shape.head_dim));
        let Tile { head, start, count } = tile;
        let tokens = start..start + count;
        let part = self.part(input, task, head);
        part.rotated(
            tokens.clone(),
            self.rotary,
            self.scale(),
            &mut workspace.rows,
        );
        let [out, dout] = [attended.out, dout].map(|matrix| Part {
            values: &matrix[task.first * self.shape.query_width() + head * head_dim..],
            stride: self.shape.query_width(),
            width: head_dim,
        });
        // A query that is not there scores 0 - infinity everywhere, so that its probabilities are 0.
        workspace.log_sum_exps.fill(f32::INFINITY);
        workspace.means.fill(0.0);
        let first = head * self.tokens() + task.first + start;
        workspace.log_sum_exps[..count]
            .copy_from_slice(&attended.log_sum_exps[first..first + count]);
        workspace.queries_transposed.fill(0.0);
        workspace.dout_transposed.fill(0.0);
        for (query, token) in tokens.enumerate() {
            let gradient = dout.row(token);
            workspace.queries[query * width..][..head_dim]
                .copy_from_slice(&workspace.rows[query * head_dim..][..head_dim]);
            workspace.dout[query * width..][..head_dim].copy_from_slice(gradient);
            workspace.means[query] = dot(out.row(token), gradient);
        }
        for (rows, transposed) in [
            (&workspace.queries, &mut workspace.queries_transposed),
            (&workspace.dout, &mut workspace.dout_transposed),
        ] {
            transpose(&rows[..count * width], width, head_dim, transposed, BLOCK);
        }
    }

    fn store_queries(
        &self,
        task: Task,
        tile: Tile,
        workspace: &mut Workspace,
        target: SharedOutput,
    ) {
        let head_dim = self.shape.head_dim;
        let rows = &mut workspace.rows[..];
        transpose(&workspace.dqueries, BLOCK, tile.count, rows, head_dim);
        for (query, row) in rows[..tile.count * head_dim]
            .chunks_exact_mut(head_dim)
            .enumerate()
        {
            for value in row.iter_mut() {
                *value *= self.scale();
            }
            let (cosines, sines) = self.rotary.row(tile.start + query);
            rotate_back(row, cosines, sines);
        }
        let columns = self.shape.columns();
        let place = (task.first + tile.start) * columns + tile.head * head_dim;
        // SAFETY: rows of the task's document and columns of one of its heads, which no other task writes.
        unsafe {
            put(
                &rows[..tile.count * head_dim],
                head_dim,
                head_dim,
                target.at(place),
                columns,
            );
        }
    }

    fn store_keys(&self, task: Task, workspace: &mut Workspace, target: SharedOutput) {
        let AttentionShape {
            heads,
            key_value_heads,
            head_dim,
        } = self.shape;
        let (width, columns) = (padded_head(head_dim), self.shape.columns());
        for (token, row) in workspace.dkeys.chunks_exact_mut(width).enumerate() {
            let (cosines, sines) = self.rotary.row(token);
            rotate_back(&mut row[..head_dim], cosines, sines);
        }
        let gradients = [&workspace.dkeys, &workspace.dvalues];
        for (gradient, first) in gradients.into_iter().zip([heads, heads + key_value_heads]) {
            let place = task.first * columns + (first + task.key_head) * head_dim;
            // SAFETY: rows of the task's document and columns of its head, which no other task writes.
            unsafe { put(gradient, width, head_dim, target.at(place), columns) };
        }
    }
}

impl Workspace {
    /// One block of `rows` keys from `block` on against the loaded tile.
    ///
    /// With probabilities P and dP = dout Vᵀ: `dV += Pᵀ dout`, `dS = P (dP - means)`, `dK += dSᵀ Q`, `dQ += dS K`.
    fn block_backward(
        &mut self,
        keys: &KeyBlocks,
        values: Part<'_>,
        block: usize,
        rows: usize,
        tile: Tile,
    ) {
        let head_dim = values.width;
        let width = padded_head(head_dim);
        let pair = rows * BLOCK;
        let product = Product {
            a: keys.rows(block),
            a_stride: head_dim,
            b: &self.queries_transposed,
            b_stride: BLOCK,
            rows,
            depth: head_dim,
            columns: BLOCK,
            accumulate: false,
        };
        product.compute(&mut self.probabilities[..pair], BLOCK);
        Product {
            a: &values.values[block * values.stride..],
            a_stride: values.stride,
            b: &self.dout_transposed,
            ..product
        }
        .compute(&mut self.dscores[..pair], BLOCK);
        score_gradients(
            &mut self.probabilities[..pair],
            &mut self.dscores[..pair],
            &self.log_sum_exps,
            &self.means,
            block == tile.start,
        );
        let sums = Product {
            a: &self.probabilities,
            a_stride: BLOCK,
            b: &self.dout,
            b_stride: width,
            rows,
            depth: tile.count,
            columns: width,
            accumulate: true,
        };
        sums.compute(&mut self.dvalues[block * width..][..rows * width], width);
        Product {
            a: &self.dscores,
            b: &self.queries,
            ..sums
        }
        .compute(&mut self.dkeys[block * width..][..rows * width], width);
        Product {
            a: keys.transposed(block),
            a_stride: BLOCK,
            b: &self.dscores,
            b_stride: BLOCK,
            rows: head_dim,
            depth: rows,
            columns: BLOCK,
            accumulate: true,
        }
        .compute(&mut self.dqueries, BLOCK);
    }
}

vectorised! {
    /// Turns rows of scores, one a key with [`BLOCK`] queries, into probabilities, and the gradients of probabilities
    /// into those of scores. On the `diagonal` key i is hidden from the queries before i.
    fn score_gradients(
        scores: &mut [f32],
        gradients: &mut [f32],
        log_sum_exps: &[f32; BLOCK],
        means: &[f32; BLOCK],
        diagonal: bool,
    ) {
        let (scores, _) = scores.as_chunks_mut::<BLOCK>();
        let (gradients, _) = gradients.as_chunks_mut::<BLOCK>();
        for (key, (scores, gradients)) in scores.iter_mut().zip(gradients).enumerate() {
            for query in 0..BLOCK {
                let probability = exp(scores[query] - log_sum_exps[query]);
                scores[query] = probability;
                gradients[query] = probability * (gradients[query] - means[query]);
            }
            if diagonal {
                scores[..key].fill(0.0);
                gradients[..key].fill(0.0);
            }
        }
    }
}

vectorised! {
    fn dot(left: &[f32], right: &[f32]) -> f32 {
        sum_of_products(left, right)
    }
}
