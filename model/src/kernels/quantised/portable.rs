//! A few rows against one panel in plain Rust: what every processor can, and what the other ways must equal.

use half::f16;

use super::activations::{BlockScale, Row};
use super::panels::{COLUMNS, Form, Line, Sums};
use crate::block_tensor::BLOCK;

/// Numbers of one block of all outputs, input by input: the order in which a compiler can use whole vectors.
type Numbers = [[i16; COLUMNS]; BLOCK];

/// Rows of 8-bit integers against 4-bit weights.
pub(super) fn four_bit<const R: usize>(
    form: Form,
    lines: &[Line],
    rows: &[Row<'_, i8>; R],
) -> Sums<R> {
    compute(form, lines, rows, |lines| {
        let mut numbers = [[0; COLUMNS]; BLOCK];
        for (group, lines) in lines.chunks_exact(2).enumerate() {
            for column in 0..COLUMNS {
                for i in 0..4 {
                    let byte = lines[column / 8].0[column % 8 * 4 + i];
                    numbers[4 * group + i][column] = i16::from(byte & 15);
                    numbers[16 + 4 * group + i][column] = i16::from(byte >> 4);
                }
            }
        }
        numbers
    })
}

/// Rows of 16-bit integers against 8-bit weights.
pub(super) fn eight_bit<const R: usize>(
    form: Form,
    lines: &[Line],
    rows: &[Row<'_, i16>; R],
) -> Sums<R> {
    compute(form, lines, rows, |lines| {
        let mut numbers = [[0; COLUMNS]; BLOCK];
        for (pair, line) in numbers.as_chunks_mut::<2>().0.iter_mut().zip(lines) {
            for (i, numbers) in pair.iter_mut().enumerate() {
                for (column, number) in numbers.iter_mut().enumerate() {
                    *number = i16::from(line.0[2 * column + i].cast_signed());
                }
            }
        }
        numbers
    })
}

fn compute<T: Copy, const R: usize>(
    form: Form,
    lines: &[Line],
    rows: &[Row<'_, T>; R],
    unpack: impl Fn(&[Line]) -> Numbers,
) -> Sums<R>
where
    i16: From<T>,
{
    let mut sums = [[0.0; COLUMNS]; R];
    for (index, lines) in lines.chunks_exact(form.block_lines()).enumerate() {
        let (numbers, halves) = lines.split_at(form.number_lines());
        let numbers = unpack(numbers);
        let scales = half_floats(&halves[0]);
        let minimums = halves.get(1).map(half_floats);
        for (sums, row) in sums.iter_mut().zip(rows) {
            let mut products = [0_i32; COLUMNS];
            for (numbers, &x) in numbers.iter().zip(&row.values[index]) {
                let x = i32::from(i16::from(x));
                for (product, number) in products.iter_mut().zip(numbers) {
                    *product += i32::from(*number) * x;
                }
            }
            let BlockScale {
                scale,
                scaled_sum,
                sum,
            } = row.scales[index];
            let offset = if form.four_bit && !form.minimum {
                8 * sum
            } else {
                0
            };
            for (column, product) in products.into_iter().enumerate() {
                let mut term = (product - offset) as f32 * scales[column] * scale;
                if let Some(minimums) = &minimums {
                    term += minimums[column] * scaled_sum;
                }
                sums[column] += term;
            }
        }
    }
    sums
}

pub(super) fn half_floats(line: &Line) -> [f32; COLUMNS] {
    std::array::from_fn(|i| f16::from_le_bytes([line.0[2 * i], line.0[2 * i + 1]]).to_f32())
}
