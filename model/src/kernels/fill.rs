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

/// Two matrices of as many rows, of `widths` numbers each, filled together like one of [`filled`].
pub(crate) fn filled_pair<A: Copy + Default + Send, B: Copy + Default + Send>(
    rows: usize,
    widths: (usize, usize),
    work: impl Fn(usize, &mut [A], &mut [B]) + Sync,
) -> (Vec<A>, Vec<B>) {
    let counts = (rows * widths.0, rows * widths.1);
    let (mut first, mut second) = (Vec::with_capacity(counts.0), Vec::with_capacity(counts.1));
    if counts.0 > 0 && counts.1 > 0 {
        first.spare_capacity_mut()[..counts.0]
            .par_chunks_mut(ROWS * widths.0)
            .zip(second.spare_capacity_mut()[..counts.1].par_chunks_mut(ROWS * widths.1))
            .enumerate()
            .for_each(|(block, (first, second))| work(block * ROWS, zeroed(first), zeroed(second)));
        // SAFETY: both are cut into as many chunks, which cover the counts, and each was zeroed before anything else.
        unsafe {
            first.set_len(counts.0);
            second.set_len(counts.1);
        }
    } else {
        first.resize(counts.0, A::default());
        second.resize(counts.1, B::default());
    }
    (first, second)
}

fn zeroed<T: Copy + Default>(values: &mut [MaybeUninit<T>]) -> &mut [T] {
    for value in values.iter_mut() {
        value.write(T::default());
    }
    // SAFETY: every number was just written.
    unsafe { values.assume_init_mut() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: [(usize, usize); 6] = [(0, 3), (1, 1), (64, 2), (65, 3), (300, 5), (7, 0)];

    #[test]
    fn every_block_is_seen_once_and_results_keep_their_order() {
        for (rows, width) in SHAPES {
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

    #[test]
    fn the_blocks_of_a_pair_belong_together() {
        for (rows, width) in SHAPES {
            for other in [0, 1, 4] {
                let number = |row: usize| row as u16;
                let (values, numbers) = filled_pair(rows, (width, other), |first, a, b| {
                    for (offset, row) in a.chunks_mut(width).enumerate() {
                        row.fill((first + offset) as f32);
                    }
                    for (offset, row) in b.chunks_mut(other).enumerate() {
                        row.fill(number(first + offset));
                    }
                });
                let both = width > 0 && other > 0;
                let row_of = |place: usize, width: usize| if both { place / width } else { 0 };
                assert_eq!((values.len(), numbers.len()), (rows * width, rows * other));
                for (place, value) in values.into_iter().enumerate() {
                    assert_eq!(value.to_bits(), (row_of(place, width) as f32).to_bits());
                }
                for (place, value) in numbers.into_iter().enumerate() {
                    assert_eq!(value, number(row_of(place, other)));
                }
            }
        }
    }
}
