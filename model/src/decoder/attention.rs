//! Attention of all rows of a forward pass over their caches.

use rayon::prelude::*;

use super::cache::KeyValueCache;
use crate::ModelConfig;
use crate::kernels::attention::{BLOCK, QueryTile, padded_head};

/// Query vectors that look at a block together: enough to make up for fetching it, few enough to spread over threads.
const QUERIES: usize = 24;

/// Multiplications worth a task of their own: some microseconds.
const TASK_PRODUCTS: usize = 256 * 1024;

/// Consecutive rows of a pass that belong to one sequence.
struct Span {
    sequence: usize,
    /// Positions in that sequence's own blocks that the first row may look at.
    visible: usize,
    rows: usize,
}

/// Rows whose queries are computed together; sequences in it share their prefix.
struct RowTile {
    first_row: usize,
    rows: usize,
    spans: Vec<Span>,
}

/// How the rows of one pass are spread over tasks; the same in every layer.
pub(crate) struct AttentionPlan {
    heads: usize,
    key_value_heads: usize,
    head_dim: usize,
    tiles: Vec<RowTile>,
    /// Multiplications in one layer.
    products: usize,
}

impl AttentionPlan {
    /// Plans for `lengths[i]` new positions of `caches[i]`, which have been reserved but not yet counted.
    pub(crate) fn new(config: &ModelConfig, caches: &[&KeyValueCache], lengths: &[usize]) -> Self {
        let tile_rows = (QUERIES * config.key_value_heads / config.heads).max(1);
        let mut tiles: Vec<RowTile> = Vec::new();
        let mut first_row = 0;
        let mut pairs = 0;
        for (sequence, (cache, &length)) in caches.iter().zip(lengths).enumerate() {
            let mut done = 0;
            pairs += length * (2 * cache.position() + length + 1) / 2;
            while done < length {
                let joins = tiles.last().is_some_and(|tile| {
                    let last = tile.spans.last().map_or(sequence, |span| span.sequence);
                    tile.rows < tile_rows && caches[last].shares_prefix(cache)
                });
                if !joins {
                    tiles.push(RowTile {
                        first_row,
                        rows: 0,
                        spans: Vec::new(),
                    });
                }
                let Some(tile) = tiles.last_mut() else { break };
                let rows = (tile_rows - tile.rows).min(length - done);
                tile.spans.push(Span {
                    sequence,
                    visible: cache.in_own_blocks() + done + 1,
                    rows,
                });
                tile.rows += rows;
                done += rows;
                first_row += rows;
            }
        }
        Self {
            heads: config.heads,
            key_value_heads: config.key_value_heads,
            head_dim: config.head_dim,
            tiles,
            products: 2 * pairs * config.heads * config.head_dim,
        }
    }

    fn group(&self) -> usize {
        self.heads / self.key_value_heads
    }

    /// Attends in one layer.
    ///
    /// `rows` holds for each row the rotated queries of all heads, then keys and values; `attended` gets the heads'
    /// outputs. `gathered` is scratch.
    pub(crate) fn attend(
        &self,
        layer: usize,
        caches: &[&KeyValueCache],
        rows: &[f32],
        attended: &mut [f32],
        gathered: &mut Vec<f32>,
    ) {
        let width = padded_head(self.head_dim);
        let total_rows: usize = self.tiles.iter().map(|tile| tile.rows).sum();
        gathered.resize((total_rows * self.heads * width).max(gathered.len()), 0.0);

        let mut rest = gathered.as_mut_slice();
        let mut tasks = Vec::with_capacity(self.tiles.len() * self.key_value_heads);
        for tile in &self.tiles {
            for head in 0..self.key_value_heads {
                let (own, others) = rest.split_at_mut(tile.rows * self.group() * width);
                tasks.push((tile, head, own));
                rest = others;
            }
        }
        // A few rows with little behind them are sooner done than shared out.
        let min_tasks = (tasks.len() * TASK_PRODUCTS / self.products.max(1)).max(1);
        tasks
            .par_iter_mut()
            .with_min_len(min_tasks)
            .for_each(|(tile, head, out)| self.attend_tile(layer, *head, tile, caches, rows, out));

        for (tile, head, out) in tasks {
            for (query, values) in out.chunks_exact(width).enumerate() {
                let row = tile.first_row + query / self.group();
                let head = head * self.group() + query % self.group();
                attended[(row * self.heads + head) * self.head_dim..][..self.head_dim]
                    .copy_from_slice(&values[..self.head_dim]);
            }
        }
    }

    fn attend_tile(
        &self,
        layer: usize,
        head: usize,
        tile: &RowTile,
        caches: &[&KeyValueCache],
        rows: &[f32],
        out: &mut [f32],
    ) {
        let group = self.group();
        let row_width = (self.heads + 2 * self.key_value_heads) * self.head_dim;
        let queries = (0..tile.rows * group).map(|query| {
            let row = tile.first_row + query / group;
            let head = head * group + query % group;
            &rows[row * row_width + head * self.head_dim..][..self.head_dim]
        });
        let mut queries = QueryTile::new(queries, self.head_dim, out);

        let mut visible = Vec::with_capacity(tile.rows * group);
        visible.resize(tile.rows * group, BLOCK);
        for block in caches[tile.spans[0].sequence].prefix_blocks(layer, head) {
            queries.absorb(0, &visible, block.keys, block.values);
        }
        let mut first = 0;
        for span in &tile.spans {
            let last_visible = span.visible + span.rows - 1;
            let blocks = caches[span.sequence]
                .own_blocks(layer, head)
                .take(last_visible.div_ceil(BLOCK));
            for (index, block) in blocks.enumerate() {
                let in_block = |row: usize| {
                    (span.visible + row)
                        .saturating_sub(index * BLOCK)
                        .min(BLOCK)
                };
                visible.clear();
                visible.extend((0..span.rows * group).map(|query| in_block(query / group)));
                queries.absorb(first, &visible, block.keys, block.values);
            }
            first += span.rows * group;
        }
        queries.finish();
    }
}
