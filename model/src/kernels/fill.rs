//! New buffers that parallel tasks fill block by block.
#![expect(
    unsafe_code,
    reason = "a buffer becomes a vector once every part of it is written"
)]

use std::mem::MaybeUninit;

use rayon::prelude::*;

/// Rows of one block: enough work to be worth a task, and a fixed number, so that partial sums over blocks are the same
/// whatever the number of threads.
pub(crate) const ROWS: usize = 64;

/// A matrix of `rows` rows of `width` numbers. `work` is called once for each block of [`ROWS`] rows, in parallel, with
/// the number of the block's first row and the block, which holds zeros; what it returns comes back in order.
///
/// The zeros are written by the task that then fills the block, while it is in that processor's cache: zeroing a large
/// buffer beforehand is a walk over main memory of its own, on one thread.
pub(crate) fn filled<T: Send>(
    rows: usize,
    width: usize,
    work: impl Fn(usize, &mut [f32]) -> T + Sync,
) -> (Vec<f32>, Vec<T>) {
    let count = rows * width;
    let mut values = Vec::with_capacity(count);
    let results = values.spare_capacity_mut()[..count]
        .par_chunks_mut(ROWS * width.max(1))
        .enumerate()
        .map(|(block, values)| work(block * ROWS, zeroed(values)))
        .collect();
    // SAFETY: the chunks cover the first `count` numbers, and each was zeroed before anything else.
    unsafe { values.set_len(count) };
    (values, results)
}

fn zeroed(values: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    for value in values.iter_mut() {
        value.write(0.0);
    }
    // SAFETY: every number was just written.
    unsafe { values.assume_init_mut() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_seen_once_and_results_keep_their_order() {
        for (rows, width) in [(0, 3), (1, 1), (64, 2), (65, 3), (300, 5), (7, 0)] {
            let (values, firsts) = filled(rows, width, |first, block| {
                assert!(block.iter().all(|value| value.to_bits() == 0));
                for (offset, row) in block.chunks_mut(width).enumerate() {
                    row.fill((first + offset) as f32);
                }
                first
            });
            let expected: Vec<f32> = (0..rows)
                .flat_map(|row| std::iter::repeat_n(row as f32, width))
                .collect();
            assert_eq!(values, expected);
            let blocks = if width == 0 { 0 } else { rows.div_ceil(ROWS) };
            assert_eq!(firsts, (0..blocks).map(|b| b * ROWS).collect::<Vec<_>>());
        }
    }
}
