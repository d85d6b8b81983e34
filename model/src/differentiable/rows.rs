//! Walking the rows of matrices in parallel.

use rayon::prelude::*;

/// Rows that one task takes: enough work to be worth a task, and a fixed number, so that partial sums over blocks are
/// the same whatever the number of threads.
pub(super) const BLOCK: usize = 64;

/// Calls `row(index, out)` for every row of `out`, which has `width` columns.
pub(super) fn for_each(out: &mut [f32], width: usize, row: impl Fn(usize, &mut [f32]) + Sync) {
    out.par_chunks_mut(BLOCK * width.max(1))
        .enumerate()
        .for_each(|(block, out)| {
            for (offset, out) in out.chunks_mut(width.max(1)).enumerate() {
                row(block * BLOCK + offset, out);
            }
        });
}

/// Like [`for_each`], with a vector of `sums` numbers that every row adds to; returns the total.
pub(super) fn for_each_summing(
    out: &mut [f32],
    width: usize,
    sums: usize,
    row: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) -> Vec<f32> {
    let partial: Vec<Vec<f32>> = out
        .par_chunks_mut(BLOCK * width.max(1))
        .enumerate()
        .map(|(block, out)| {
            let mut sum = vec![0.0; sums];
            for (offset, out) in out.chunks_mut(width.max(1)).enumerate() {
                row(block * BLOCK + offset, out, &mut sum);
            }
            sum
        })
        .collect();
    let mut total = vec![0.0; sums];
    for sum in partial {
        super::vector::add(&mut total, &sum);
    }
    total
}
