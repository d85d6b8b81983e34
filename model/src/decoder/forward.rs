//! One forward pass over any mixture of prompts and single tokens.

use rayon::prelude::*;

use super::attention::AttentionPlan;
use super::cache::{BlockPool, KeyValueCache};
use super::{DecodeError, Decoder, Layer};
use crate::kernels::matrix::MatrixScratch;
use crate::kernels::rotary::{RotaryTable, rotate};
use crate::kernels::rows::{rms_norm, swiglu};

/// Rows whose logits are computed at once: `LOGIT_ROWS x vocabulary` stays in the last cache for usual vocabularies.
const LOGIT_ROWS: usize = 64;
/// Values worth a task of their own in row operations.
const TASK_VALUES: usize = 32 * 1024;

/// Which rows of a chunk the head will be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outputs {
    None,
    Last,
    All,
}

/// New tokens of one sequence.
pub(crate) struct Chunk<'a> {
    pub(crate) cache: &'a mut KeyValueCache,
    pub(crate) tokens: &'a [u32],
    pub(crate) outputs: Outputs,
}

impl Chunk<'_> {
    fn wants(&self, index: usize) -> bool {
        match self.outputs {
            Outputs::None => false,
            Outputs::Last => index + 1 == self.tokens.len(),
            Outputs::All => true,
        }
    }
}

/// Memory that passes reuse; grows to what the largest pass needed.
#[derive(Default)]
pub(crate) struct Workspace {
    pub(crate) pool: BlockPool,
    scratch: MatrixScratch,
    rotary: RotaryTable,
    hidden: Vec<f32>,
    normed: Vec<f32>,
    query_key_value: Vec<f32>,
    attended: Vec<f32>,
    gathered: Vec<f32>,
    gate_up: Vec<f32>,
    activated: Vec<f32>,
    logits: Vec<f32>,
    /// Rows of `normed` that are ready for the head.
    outputs: usize,
}

/// The first `count` values of a buffer that is grown to hold them.
fn sized(buffer: &mut Vec<f32>, count: usize) -> &mut [f32] {
    if buffer.len() < count {
        buffer.resize(count, 0.0);
    }
    &mut buffer[..count]
}

/// Runs `work` on one of rayon's threads. From any other, each of the hundreds of parallel steps of a pass would be
/// handed over to them and waited for: for a single sequence that takes longer than the steps.
fn in_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}

impl Decoder {
    /// Reads the tokens of all chunks; afterwards [`Decoder::head`] answers for the rows that were wanted, in order.
    pub(crate) fn forward(
        &self,
        chunks: &mut [Chunk<'_>],
        workspace: &mut Workspace,
    ) -> Result<(), DecodeError> {
        for chunk in chunks.iter() {
            self.check_tokens(chunk.tokens)?;
            self.check_length(chunk.cache.position() + chunk.tokens.len())?;
        }
        in_pool(|| self.pass(chunks, workspace));
        Ok(())
    }

    /// [`Decoder::forward`] of chunks that have been checked.
    fn pass(&self, chunks: &mut [Chunk<'_>], workspace: &mut Workspace) {
        let rows = self.embed(chunks, workspace);
        let lengths: Vec<usize> = chunks.iter().map(|chunk| chunk.tokens.len()).collect();
        let plan = AttentionPlan::new(&self.config, &caches(chunks), &lengths);
        let mut wanted = Vec::new();
        for chunk in chunks.iter() {
            wanted.extend((0..chunk.tokens.len()).map(|index| chunk.wants(index)));
        }

        let mut rows_left = rows;
        for (index, layer) in self.layers.iter().enumerate() {
            self.attention(index, layer, rows, chunks, &plan, workspace);
            if index + 1 == self.layers.len() {
                // What follows the last attention is only needed where somebody will read the result.
                rows_left = self.keep_wanted(&wanted, workspace);
            }
            self.feed_forward(layer, rows_left, workspace);
        }
        for chunk in chunks {
            chunk.cache.advance(chunk.tokens.len());
        }
        let width = self.config.width;
        self.norm(
            &workspace.hidden[..rows_left * width],
            &self.final_norm,
            sized(&mut workspace.normed, rows_left * width),
        );
        workspace.outputs = rows_left;
    }

    /// Computes logits for the rows that the last pass kept and hands each row to `consume`, in parallel; at no time
    /// are there more than [`LOGIT_ROWS`] rows of them. `consume` also gets scratch memory of its thread.
    pub(crate) fn head<R: Send>(
        &self,
        workspace: &mut Workspace,
        consume: impl Fn(usize, &[f32], &mut Vec<f32>) -> R + Sync,
    ) -> Vec<R> {
        in_pool(|| self.logits_of_pass(workspace, &consume))
    }

    fn logits_of_pass<R: Send>(
        &self,
        workspace: &mut Workspace,
        consume: &(impl Fn(usize, &[f32], &mut Vec<f32>) -> R + Sync),
    ) -> Vec<R> {
        let matrix = self.head.as_ref().unwrap_or(&self.embedding);
        let (width, vocabulary) = (self.config.width, self.config.vocab_size);
        let mut results = Vec::with_capacity(workspace.outputs);
        for first in (0..workspace.outputs).step_by(LOGIT_ROWS) {
            let rows = LOGIT_ROWS.min(workspace.outputs - first);
            let logits = sized(&mut workspace.logits, rows * vocabulary);
            let hidden = &workspace.normed[first * width..][..rows * width];
            matrix.multiply(hidden, logits, false, &mut workspace.scratch);
            let answers = logits
                .par_chunks(vocabulary)
                .enumerate()
                .map_init(Vec::new, |weights, (row, logits)| {
                    consume(first + row, logits, weights)
                });
            results.par_extend(answers);
        }
        results
    }

    /// Looks embeddings up, reserves room in the caches and prepares the rotary table; returns the number of rows.
    fn embed(&self, chunks: &mut [Chunk<'_>], workspace: &mut Workspace) -> usize {
        let width = self.config.width;
        let rows = chunks.iter().map(|chunk| chunk.tokens.len()).sum();
        let hidden = sized(&mut workspace.hidden, rows * width);
        let tokens = chunks.iter().flat_map(|chunk| chunk.tokens);
        for (row, &token) in hidden.chunks_exact_mut(width).zip(tokens) {
            self.embedding.read_row(token as usize, row);
        }
        let positions = chunks.iter().flat_map(|chunk| {
            let first = chunk.cache.position();
            first..first + chunk.tokens.len()
        });
        workspace
            .rotary
            .fill(positions, self.config.head_dim, self.config.rope_base);
        for chunk in chunks {
            chunk.cache.reserve(chunk.tokens.len(), &mut workspace.pool);
        }
        rows
    }

    /// `attended = attention(rotary(norm(hidden) · Wqkv))`; keys and values go to the caches on the way.
    fn attention(
        &self,
        index: usize,
        layer: &Layer,
        rows: usize,
        chunks: &mut [Chunk<'_>],
        plan: &AttentionPlan,
        workspace: &mut Workspace,
    ) {
        let width = self.config.width;
        let normed = sized(&mut workspace.normed, rows * width);
        self.norm(
            &workspace.hidden[..rows * width],
            &layer.attention_norm,
            normed,
        );
        let projected = sized(
            &mut workspace.query_key_value,
            rows * layer.query_key_value.outputs(),
        );
        layer
            .query_key_value
            .multiply(normed, projected, false, &mut workspace.scratch);
        self.rotate_and_store(index, chunks, &workspace.rotary, projected);
        let attended = sized(
            &mut workspace.attended,
            rows * self.config.heads * self.config.head_dim,
        );
        plan.attend(
            index,
            &caches(chunks),
            projected,
            attended,
            &mut workspace.gathered,
        );
    }

    /// Rotates queries and keys in place and copies keys and values into the caches.
    fn rotate_and_store(
        &self,
        layer: usize,
        chunks: &mut [Chunk<'_>],
        rotary: &RotaryTable,
        projected: &mut [f32],
    ) {
        let head_dim = self.config.head_dim;
        let key_width = self.config.key_value_heads * head_dim;
        let query_width = self.config.heads * head_dim;
        let row_width = query_width + 2 * key_width;

        let mut rest = projected;
        let mut first_row = 0;
        let mut tasks = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let (own, others) = rest.split_at_mut(chunk.tokens.len() * row_width);
            tasks.push((&mut *chunk.cache, first_row, own));
            first_row += chunk.tokens.len();
            rest = others;
        }
        tasks
            .into_par_iter()
            .with_min_len(4)
            .for_each(|(cache, first_row, projected)| {
                for (index, row) in projected.chunks_exact_mut(row_width).enumerate() {
                    let (cosines, sines) = rotary.row(first_row + index);
                    let (rotated, values) = row.split_at_mut(query_width + key_width);
                    for head in rotated.chunks_exact_mut(head_dim) {
                        rotate(head, cosines, sines);
                    }
                    cache.write(layer, index, &rotated[query_width..], values);
                }
            });
    }

    /// Moves the rows that are wanted to the front of `hidden` and `attended`; returns how many there are.
    fn keep_wanted(&self, wanted: &[bool], workspace: &mut Workspace) -> usize {
        let (width, attended_width) = (self.config.width, self.config.heads * self.config.head_dim);
        let mut kept = 0;
        for (row, _) in wanted.iter().enumerate().filter(|(_, wanted)| **wanted) {
            workspace
                .hidden
                .copy_within(row * width..(row + 1) * width, kept * width);
            workspace.attended.copy_within(
                row * attended_width..(row + 1) * attended_width,
                kept * attended_width,
            );
            kept += 1;
        }
        kept
    }

    /// `hidden += attended · Wo`, then `hidden += swiglu(norm(hidden) · Wgate_up) · Wdown`.
    fn feed_forward(&self, layer: &Layer, rows: usize, workspace: &mut Workspace) {
        if rows == 0 {
            return;
        }
        let (width, inner) = (self.config.width, self.config.feed_forward);
        let Workspace {
            scratch,
            hidden,
            normed,
            attended,
            gate_up,
            activated,
            ..
        } = workspace;
        let hidden = &mut hidden[..rows * width];
        layer.output.multiply(
            &attended[..rows * layer.output.inputs()],
            hidden,
            true,
            scratch,
        );
        let normed = &mut normed[..rows * width];
        self.norm(hidden, &layer.feed_forward_norm, normed);
        let gate_up = sized(gate_up, rows * 2 * inner);
        layer.gate_up.multiply(normed, gate_up, false, scratch);
        let activated = sized(activated, rows * inner);
        let rows_a_task = (TASK_VALUES / inner).max(1);
        gate_up
            .par_chunks(rows_a_task * 2 * inner)
            .zip(activated.par_chunks_mut(rows_a_task * inner))
            .for_each(|(gate_up, activated)| swiglu(gate_up, inner, activated));
        layer.down.multiply(activated, hidden, true, scratch);
    }

    fn norm(&self, x: &[f32], weight: &[f32], out: &mut [f32]) {
        let task = (TASK_VALUES / weight.len()).max(1) * weight.len();
        let epsilon = self.config.rms_norm_epsilon;
        x.par_chunks(task)
            .zip(out.par_chunks_mut(task))
            .for_each(|(x, out)| rms_norm(x, weight, epsilon, out));
    }
}

fn caches<'a>(chunks: &'a [Chunk<'_>]) -> Vec<&'a KeyValueCache> {
    chunks.iter().map(|chunk| &*chunk.cache).collect()
}
