//! The weights, packed once into panels of 16 outputs.
#![expect(
    unsafe_code,
    reason = "parallel tasks write disjoint columns of one output"
)]

use half::f16;
use rayon::prelude::*;

use super::activations::{QuantisedRows, Row};
#[cfg(target_arch = "x86_64")]
use super::avx2;
#[cfg(target_arch = "aarch64")]
use super::neon;
use super::portable;
use crate::block_tensor::{BLOCK, Block, BlockTensor};
use crate::kernels::matrix::task_size;
use crate::kernels::simd::{InstructionSet, SharedOutput};

/// Outputs of one panel.
pub(super) const COLUMNS: usize = 16;
/// Rows that are computed together: twice as many vectors of sums fill half of AVX2's registers.
const ROWS: usize = 4;

/// 32 bytes, aligned for the widest loads that are made of them.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct Line(pub(super) [u8; 32]);

/// Sums of up to [`ROWS`] rows against one panel.
pub(super) type Sums<const R: usize> = [[f32; COLUMNS]; R];

/// How the numbers of a panel are stored.
///
/// A panel holds one block of all its outputs after the other. Of each block there are first the numbers, then 16 scales
/// and, where there are minimums, 16 of these, all of them half floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// 4 bits a number rather than 8.
    ///
    /// 4-bit numbers are stored from 0 to 15, in 8 lines: for each of 4 groups of 4 inputs, the group of one output
    /// after the other, where inputs 16 further on have the high nibbles. 8-bit numbers take 16 lines: for each pair of
    /// inputs, the pair of one output after the other.
    pub(super) four_bit: bool,
    pub(super) minimum: bool,
}

impl Form {
    /// Lines that hold the numbers of one block.
    pub(super) const fn number_lines(self) -> usize {
        if self.four_bit { 8 } else { 16 }
    }

    /// Lines of one block.
    pub(super) const fn block_lines(self) -> usize {
        self.number_lines() + if self.minimum { 2 } else { 1 }
    }

    /// What has been added to the numbers of a format without minimums to make them 0 or more.
    const fn offset(self) -> i8 {
        if self.four_bit && !self.minimum { 8 } else { 0 }
    }
}

/// Up to [`COLUMNS`] outputs that follow each other.
#[derive(Clone, Copy)]
struct Panel {
    form: Form,
    first_output: usize,
    outputs: usize,
    first_line: usize,
}

/// The weights of a linear layer in blocks. Those stacked in it may be of different formats.
pub(crate) struct QuantisedMatrix {
    outputs: usize,
    inputs: usize,
    panels: Vec<Panel>,
    lines: Vec<Line>,
    has_four_bit: bool,
    has_eight_bit: bool,
}

impl QuantisedMatrix {
    /// Packs tensors of `inputs` columns, one below the other. The caller has checked their shapes.
    pub(crate) fn pack(tensors: &[BlockTensor<'_>], inputs: usize) -> Self {
        let mut matrix = Self {
            outputs: 0,
            inputs,
            panels: Vec::new(),
            lines: Vec::new(),
            has_four_bit: false,
            has_eight_bit: false,
        };
        for tensor in tensors {
            matrix.append(tensor);
        }
        matrix
    }

    fn append(&mut self, tensor: &BlockTensor<'_>) {
        let (format, blocks) = (tensor.format, self.inputs / BLOCK);
        let form = Form {
            four_bit: format.is_four_bit(),
            minimum: format.has_minimum(),
        };
        self.has_four_bit |= form.four_bit;
        self.has_eight_bit |= !form.four_bit;
        let row_bytes = blocks * format.block_bytes();
        let outputs = tensor.shape[0];
        assert_eq!(self.inputs % BLOCK, 0);
        assert_eq!(tensor.bytes.len(), outputs * row_bytes);
        let panel_lines = blocks * form.block_lines();
        let first_line = self.lines.len();
        let panels = outputs.div_ceil(COLUMNS);
        self.lines
            .resize(first_line + panels * panel_lines, Line([0; 32]));
        self.lines[first_line..]
            .par_chunks_mut(panel_lines)
            .zip(tensor.bytes.par_chunks(COLUMNS * row_bytes))
            .for_each(|(lines, rows)| {
                for (column, row) in rows.chunks_exact(row_bytes).enumerate() {
                    let row = row.chunks_exact(format.block_bytes());
                    for (lines, block) in lines.chunks_exact_mut(form.block_lines()).zip(row) {
                        write_block(form, &format.decode(block), column, lines);
                    }
                }
            });
        self.panels.extend((0..panels).map(|panel| Panel {
            form,
            first_output: self.outputs + panel * COLUMNS,
            outputs: COLUMNS.min(outputs - panel * COLUMNS),
            first_line: first_line + panel * panel_lines,
        }));
        self.outputs += outputs;
    }

    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Writes row `output` of the weights, to the same values as dequantising the file gives.
    pub(crate) fn read_row(&self, output: usize, row: &mut [f32]) {
        let after = self
            .panels
            .partition_point(|panel| panel.first_output <= output);
        let panel = &self.panels[after - 1];
        let blocks = self
            .panel_lines(panel)
            .chunks_exact(panel.form.block_lines());
        for (values, lines) in row.chunks_exact_mut(BLOCK).zip(blocks) {
            let block = read_block(panel.form, output - panel.first_output, lines);
            let (scale, minimum) = (block.scale.to_f32(), block.minimum.to_f32());
            for (value, number) in values.iter_mut().zip(block.numbers) {
                *value = f32::from(number) * scale;
                if panel.form.minimum {
                    *value += minimum;
                }
            }
        }
    }

    /// `out (+)= x · weightsᵀ`; `x` holds rows of `inputs` values, `out` as many rows of `outputs`.
    pub(crate) fn multiply(
        &self,
        x: &[f32],
        out: &mut [f32],
        accumulate: bool,
        rounded: &mut QuantisedRows,
    ) {
        rounded.fill(x, self.inputs, self.has_four_bit, self.has_eight_bit);
        let (rounded, rows) = (&*rounded, rounded.rows());
        assert_eq!(out.len(), rows * self.outputs);
        let instructions = InstructionSet::detect();
        let target = SharedOutput::new(out);
        self.panels
            .par_iter()
            .with_min_len(task_size(self.panels.len()))
            .for_each(|panel| {
                let lines = self.panel_lines(panel);
                let store = |row: usize, sums: &[[f32; COLUMNS]]| {
                    for (i, sums) in sums.iter().enumerate() {
                        let start = target.at((row + i) * self.outputs + panel.first_output);
                        // SAFETY: these columns of a row below `rows` are no other task's.
                        let out = unsafe { std::slice::from_raw_parts_mut(start, panel.outputs) };
                        write_sums(out, sums, accumulate);
                    }
                };
                for row in (0..rows).step_by(ROWS) {
                    let tile = Tile {
                        instructions,
                        form: panel.form,
                        lines,
                        rounded,
                        row,
                    };
                    match rows - row {
                        1 => store(row, &tile.compute::<1>()),
                        2 => store(row, &tile.compute::<2>()),
                        3 => store(row, &tile.compute::<3>()),
                        _ => store(row, &tile.compute::<ROWS>()),
                    }
                }
            });
    }

    fn panel_lines(&self, panel: &Panel) -> &[Line] {
        let count = self.inputs / BLOCK * panel.form.block_lines();
        &self.lines[panel.first_line..][..count]
    }
}

fn write_sums(out: &mut [f32], sums: &[f32; COLUMNS], accumulate: bool) {
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = if accumulate { *out + sum } else { *sum };
    }
}

/// A few rows against one panel.
struct Tile<'a> {
    instructions: InstructionSet,
    form: Form,
    lines: &'a [Line],
    rounded: &'a QuantisedRows,
    row: usize,
}

impl Tile<'_> {
    #[inline]
    fn compute<const R: usize>(&self) -> Sums<R> {
        if self.form.four_bit {
            let rows: [Row<'_, i8>; R] = std::array::from_fn(|r| self.rounded.bytes(self.row + r));
            match (self.instructions, self.form.minimum) {
                (InstructionSet::Portable, _) => portable::four_bit(self.form, self.lines, &rows),
                // SAFETY: detection found the instructions.
                #[cfg(target_arch = "aarch64")]
                (InstructionSet::Neon, false) => unsafe {
                    neon::four_bit::<R, false>(self.lines, &rows)
                },
                // SAFETY: as above.
                #[cfg(target_arch = "aarch64")]
                (InstructionSet::Neon, true) => unsafe {
                    neon::four_bit::<R, true>(self.lines, &rows)
                },
                // SAFETY: detection found the instructions.
                #[cfg(target_arch = "x86_64")]
                (_, false) => unsafe { avx2::four_bit::<R, false>(self.lines, &rows) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                (_, true) => unsafe { avx2::four_bit::<R, true>(self.lines, &rows) },
            }
        } else {
            let rows: [Row<'_, i16>; R] = std::array::from_fn(|r| self.rounded.words(self.row + r));
            match (self.instructions, self.form.minimum) {
                (InstructionSet::Portable, _) => portable::eight_bit(self.form, self.lines, &rows),
                // SAFETY: as above.
                #[cfg(target_arch = "aarch64")]
                (InstructionSet::Neon, false) => unsafe {
                    neon::eight_bit::<R, false>(self.lines, &rows)
                },
                // SAFETY: as above.
                #[cfg(target_arch = "aarch64")]
                (InstructionSet::Neon, true) => unsafe {
                    neon::eight_bit::<R, true>(self.lines, &rows)
                },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                (_, false) => unsafe { avx2::eight_bit::<R, false>(self.lines, &rows) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                (_, true) => unsafe { avx2::eight_bit::<R, true>(self.lines, &rows) },
            }
        }
    }
}

/// Where number `input` of output `column` is: its line, its byte in there, and whether it is a high nibble.
fn place(form: Form, column: usize, input: usize) -> (usize, usize, bool) {
    let (group, inside) = if form.four_bit {
        (input % 16 / 4, 4 * column + input % 4)
    } else {
        (input / 2, 2 * column + input % 2)
    };
    let bytes_a_group = if form.four_bit { 64 } else { 32 };
    let byte = group * bytes_a_group + inside;
    (byte / 32, byte % 32, form.four_bit && input >= 16)
}

fn write_block(form: Form, block: &Block, column: usize, lines: &mut [Line]) {
    for (input, number) in block.numbers.into_iter().enumerate() {
        let (line, byte, high) = place(form, column, input);
        let number = (number + form.offset()).cast_unsigned();
        lines[line].0[byte] |= if high { number << 4 } else { number };
    }
    let halves = [block.scale, block.minimum];
    for (line, half) in lines[form.number_lines()..].iter_mut().zip(halves) {
        line.0[2 * column..][..2].copy_from_slice(&half.to_le_bytes());
    }
}

fn read_block(form: Form, column: usize, lines: &[Line]) -> Block {
    let numbers = std::array::from_fn(|input| {
        let (line, byte, high) = place(form, column, input);
        let byte = lines[line].0[byte];
        let number = match (form.four_bit, high) {
            (false, _) => byte,
            (true, false) => byte & 15,
            (true, true) => byte >> 4,
        };
        number.cast_signed() - form.offset()
    });
    let half = |line: &Line| f16::from_le_bytes([line.0[2 * column], line.0[2 * column + 1]]);
    Block {
        numbers,
        scale: half(&lines[form.number_lines()]),
        minimum: if form.minimum {
            half(&lines[form.number_lines() + 1])
        } else {
            f16::ZERO
        },
    }
}
