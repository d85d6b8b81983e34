//! Softmax attention of a few query vectors against blocks of keys and values, one block after the other.
//!
//! The weights of a block are taken against the largest score so far and rescaled when a later block has a larger one
//! (the online softmax of `FlashAttention`, arXiv 2205.14135, algorithm 1), so no more than one block of scores exists.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "functions compiled for detected instructions are called unsafely"
    )
)]

use super::rows::score_weights;
use super::simd::vectorised;
use super::tile::{COLUMNS, Product};

/// Positions of one block of keys and values.
pub(crate) const BLOCK: usize = 64;

/// The channels of a head as value blocks and outputs store them.
pub(crate) fn padded_head(head_dim: usize) -> usize {
    head_dim.next_multiple_of(COLUMNS)
}

/// Queries of one key-value head with what they have gathered so far.
pub(crate) struct QueryTile<'a> {
    head_dim: usize,
    /// Query vectors, scaled by 1 / √`head_dim`.
    queries: Vec<f32>,
    /// Weighted sums of values: one row of `padded_head(head_dim)` for each query.
    gathered: &'a mut [f32],
    maxima: Vec<f32>,
    sums: Vec<f32>,
    scores: Vec<f32>,
}

impl<'a> QueryTile<'a> {
    /// Starts with copies of `queries`, each `head_dim` long; results go to `gathered`.
    pub(crate) fn new<'q>(
        queries: impl Iterator<Item = &'q [f32]>,
        head_dim: usize,
        gathered: &'a mut [f32],
    ) -> Self {
        let count = gathered.len() / padded_head(head_dim);
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mut scaled = Vec::with_capacity(count * head_dim);
        for query in queries {
            scaled.extend(query.iter().map(|x| x * scale));
        }
        assert_eq!(scaled.len(), count * head_dim);
        gathered.fill(0.0);
        Self {
            head_dim,
            queries: scaled,
            gathered,
            maxima: vec![f32::NEG_INFINITY; count],
            sums: vec![0.0; count],
            scores: vec![0.0; count * BLOCK],
        }
    }

    /// Lets queries from `first` on see one block; `visible` has one entry for each: how many of the block's positions
    /// that query may look at.
    ///
    /// `keys` is `head_dim x BLOCK` (channel-major), `values` is `BLOCK x padded_head(head_dim)`.
    pub(crate) fn absorb(&mut self, first: usize, visible: &[usize], keys: &[f32], values: &[f32]) {
        let count = visible.len();
        let deepest = visible.iter().copied().max().unwrap_or(0);
        if deepest == 0 {
            return;
        }
        let width = padded_head(self.head_dim);
        let scores = &mut self.scores[..count * BLOCK];
        Product {
            a: &self.queries[first * self.head_dim..][..count * self.head_dim],
            a_stride: self.head_dim,
            b: keys,
            b_stride: BLOCK,
            rows: count,
            depth: self.head_dim,
            columns: deepest.next_multiple_of(COLUMNS),
            accumulate: false,
        }
        .compute(scores, BLOCK);
        let gathered = &mut self.gathered[first * width..][..count * width];
        let (maxima, sums) = (
            &mut self.maxima[first..][..count],
            &mut self.sums[first..][..count],
        );
        reweigh(scores, visible, maxima, sums, gathered);
        Product {
            a: scores,
            a_stride: BLOCK,
            b: values,
            b_stride: width,
            rows: count,
            depth: deepest,
            columns: width,
            accumulate: true,
        }
        .compute(gathered, width);
    }

    /// ln Σ e^score of each query over what it has seen.
    pub(crate) fn log_sum_exps(&self) -> impl Iterator<Item = f32> {
        let sums = self.sums.iter().map(|sum| sum.ln());
        self.maxima
            .iter()
            .zip(sums)
            .map(|(maximum, sum)| maximum + sum)
    }

    /// Divides by the sums of the weights; what `new` was given as `gathered` then holds the attention's output.
    pub(crate) fn finish(self) {
        for (row, sum) in self
            .gathered
            .chunks_exact_mut(padded_head(self.head_dim))
            .zip(self.sums)
        {
            let scale = 1.0 / sum;
            for x in row {
                *x *= scale;
            }
        }
    }
}

vectorised! {
    /// Turns scores into weights and scales what was gathered before down to the new maxima.
    fn reweigh(scores: &mut [f32], visible: &[usize], maxima: &mut [f32], sums: &mut [f32], gathered: &mut [f32]) {
        let width = gathered.len() / visible.len();
        let queries = scores.chunks_exact_mut(BLOCK).zip(visible).zip(maxima).zip(sums).zip(gathered.chunks_exact_mut(width));
        for ((((scores, &visible), maximum), sum), gathered) in queries {
            if visible == 0 {
                scores.fill(0.0);
                continue;
            }
            let (new_maximum, weight) = score_weights(scores, visible, *maximum);
            if new_maximum > *maximum {
                let rescale = super::rows::exp(*maximum - new_maximum);
                *sum *= rescale;
                for x in gathered.iter_mut() {
                    *x *= rescale;
                }
                *maximum = new_maximum;
            }
            *sum += weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::matrix::test_values;
    use crate::kernels::simd::on_every_path;

    /// Attention of one query over the first `visible` positions, written out.
    fn reference(query: &[f32], keys: &[f32], values: &[f32], visible: usize) -> Vec<f32> {
        let head_dim = query.len();
        let scores: Vec<f64> = (0..visible)
            .map(|p| {
                (0..head_dim)
                    .map(|i| f64::from(query[i] * keys[p * head_dim + i]))
                    .sum::<f64>()
            })
            .map(|score| (score / (head_dim as f64).sqrt()).exp())
            .collect();
        let total: f64 = scores.iter().sum();
        (0..head_dim)
            .map(|i| {
                (0..visible)
                    .map(|p| scores[p] / total * f64::from(values[p * head_dim + i]))
                    .sum::<f64>() as f32
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Some queries end inside a block, some see nothing of the last ones.
        #[test]
        fn blocks_add_up_to_the_whole_softmax(
            head_dim in prop_oneof![1..70_usize, Just(80)],
            visible in prop::collection::vec(1..150_usize, 1..9),
            seed: u64,
        ) {
            let positions = visible.iter().copied().max().unwrap_or(1);
            let queries = test_values(visible.len() * head_dim, seed);
            let queries: Vec<f32> = queries.iter().map(|x| x * 6.0).collect();
            let (keys, values) = (
                test_values(positions * head_dim, seed ^ 1),
                test_values(positions * head_dim, seed ^ 2),
            );
            on_every_path(|instructions| {
                let width = padded_head(head_dim);
                let gathered = attended(head_dim, &visible, &queries, &keys, &values);
                for (i, query) in queries.chunks(head_dim).enumerate() {
                    let expected = reference(query, &keys, &values, visible[i]);
                    for (got, expected) in gathered[i * width..].iter().zip(expected) {
                        assert!(
                            (got - expected).abs() < 1e-5,
                            "{instructions:?}, query {i}: {got} instead of {expected}"
                        );
                    }
                }
            });
        }
    }

    /// What a tile gathers that sees one block after the other.
    fn attended(
        head_dim: usize,
        visible: &[usize],
        queries: &[f32],
        keys: &[f32],
        values: &[f32],
    ) -> Vec<f32> {
        let (width, positions) = (padded_head(head_dim), keys.len() / head_dim);
        let mut gathered = vec![f32::NAN; visible.len() * width];
        let mut tile = QueryTile::new(queries.chunks(head_dim), head_dim, &mut gathered);
        for start in (0..positions).step_by(BLOCK) {
            let (mut block_keys, mut block_values) = (
                vec![f32::NAN; head_dim * BLOCK],
                vec![f32::NAN; BLOCK * width],
            );
            for p in start..positions.min(start + BLOCK) {
                for i in 0..head_dim {
                    block_keys[i * BLOCK + p - start] = keys[p * head_dim + i];
                    block_values[(p - start) * width + i] = values[p * head_dim + i];
                }
            }
            let in_block: Vec<usize> = visible
                .iter()
                .map(|v| v.saturating_sub(start).min(BLOCK))
                .collect();
            tile.absorb(0, &in_block, &block_keys, &block_values);
        }
        tile.finish();
        gathered
    }
}
