//! The weights of a linear layer, packed once for the product that serves them.
#![expect(
    unsafe_code,
    reason = "parallel tasks write disjoint columns of one output"
)]

use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::bf16::{Bf16Panels, PairRows};
use super::quantised::{QuantisedMatrix, QuantisedRows};
use super::simd::SharedOutput;
use super::tile::{COLUMNS, Product};
use crate::BlockTensor;

/// `outputs x inputs` weights in the layout of one kernel.
pub(crate) enum Matrix {
    F32(F32Panels),
    #[cfg(target_arch = "x86_64")]
    Bf16(Bf16Panels),
    Quantised(QuantisedMatrix),
}

/// Memory that products reuse.
#[derive(Default)]
pub(crate) struct MatrixScratch {
    #[cfg(target_arch = "x86_64")]
    pairs: PairRows,
    quantised: QuantisedRows,
}

impl Matrix {
    /// Packs row-major f32 weights for f32 products.
    pub(crate) fn f32(weights: &[f32], outputs: usize, inputs: usize) -> Self {
        Self::F32(F32Panels::pack(weights, outputs, inputs))
    }

    /// Rounds and packs row-major f32 weights for bfloat16 products.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn bf16(weights: &[f32], outputs: usize, inputs: usize) -> Self {
        Self::Bf16(Bf16Panels::pack(weights, outputs, inputs))
    }

    /// Packs tensors of `inputs` columns in blocks, one below the other, for integer products.
    pub(crate) fn quantised(tensors: &[BlockTensor<'_>], inputs: usize) -> Self {
        Self::Quantised(QuantisedMatrix::pack(tensors, inputs))
    }

    /// Whether products are integer ones.
    pub(crate) fn is_quantised(&self) -> bool {
        matches!(self, Self::Quantised(_))
    }

    /// Rows of the weights, columns of a product.
    pub(crate) fn outputs(&self) -> usize {
        match self {
            Self::F32(panels) => panels.outputs,
            #[cfg(target_arch = "x86_64")]
            Self::Bf16(panels) => panels.outputs(),
            Self::Quantised(matrix) => matrix.outputs(),
        }
    }

    /// Columns of the weights.
    pub(crate) fn inputs(&self) -> usize {
        match self {
            Self::F32(panels) => panels.inputs,
            #[cfg(target_arch = "x86_64")]
            Self::Bf16(panels) => panels.inputs(),
            Self::Quantised(matrix) => matrix.inputs(),
        }
    }

    /// Writes row `output` of the weights, as an embedding lookup does.
    pub(crate) fn read_row(&self, output: usize, row: &mut [f32]) {
        assert!(output < self.outputs() && row.len() == self.inputs());
        match self {
            Self::F32(panels) => panels.read_row(output, row),
            #[cfg(target_arch = "x86_64")]
            Self::Bf16(panels) => panels.read_row(output, row),
            Self::Quantised(matrix) => matrix.read_row(output, row),
        }
    }

    /// `out = x · weightsᵀ`, or `out += …`: `x` holds rows of `inputs` values, `out` as many rows of `outputs`.
    pub(crate) fn multiply(
        &self,
        x: &[f32],
        out: &mut [f32],
        accumulate: bool,
        scratch: &mut MatrixScratch,
    ) {
        let rows = x.len() / self.inputs();
        assert_eq!(x.len(), rows * self.inputs());
        assert_eq!(out.len(), rows * self.outputs());
        match self {
            Self::F32(panels) => panels.multiply(x, rows, out, accumulate),
            #[cfg(target_arch = "x86_64")]
            Self::Bf16(panels) => {
                scratch.pairs.fill(x, panels.inputs());
                panels.multiply(&scratch.pairs, out, accumulate);
            }
            Self::Quantised(matrix) => {
                matrix.multiply(x, out, accumulate, &mut scratch.quantised);
            }
        }
    }
}

/// How many panels one parallel task takes: a few tasks a thread, so that a slow thread can be helped.
pub(crate) fn task_size(panels: usize) -> usize {
    panels.div_ceil(4 * rayon::current_num_threads()).max(1)
}

/// f32 weights in panels of [`COLUMNS`] outputs; inside a panel one input follows the other.
pub(crate) struct F32Panels {
    outputs: usize,
    inputs: usize,
    values: Vec<f32>,
}

impl F32Panels {
    fn pack(weights: &[f32], outputs: usize, inputs: usize) -> Self {
        assert_eq!(weights.len(), outputs * inputs);
        let mut values = vec![0.0; outputs.div_ceil(COLUMNS) * COLUMNS * inputs];
        values
            .par_chunks_mut(COLUMNS * inputs)
            .enumerate()
            .for_each(|(panel, values)| {
                let first = panel * COLUMNS;
                for column in 0..COLUMNS.min(outputs - first) {
                    let row = &weights[(first + column) * inputs..][..inputs];
                    for (input, &value) in row.iter().enumerate() {
                        values[input * COLUMNS + column] = value;
                    }
                }
            });
        Self {
            outputs,
            inputs,
            values,
        }
    }

    fn read_row(&self, output: usize, row: &mut [f32]) {
        let panel =
            &self.values[output / COLUMNS * COLUMNS * self.inputs..][..COLUMNS * self.inputs];
        for (value, inputs) in row.iter_mut().zip(panel.chunks_exact(COLUMNS)) {
            *value = inputs[output % COLUMNS];
        }
    }

    fn multiply(&self, x: &[f32], rows: usize, out: &mut [f32], accumulate: bool) {
        let panels = self.outputs.div_ceil(COLUMNS);
        let target = SharedOutput::new(out);
        (0..panels)
            .into_par_iter()
            .with_min_len(task_size(panels))
            .for_each(|panel| {
                let first = panel * COLUMNS;
                let mut product = Product {
                    a: x,
                    a_stride: self.inputs,
                    b: &self.values[first * self.inputs..][..COLUMNS * self.inputs],
                    b_stride: COLUMNS,
                    rows,
                    depth: self.inputs,
                    columns: COLUMNS,
                    accumulate,
                };
                let columns = COLUMNS.min(self.outputs - first);
                if columns == COLUMNS {
                    // SAFETY: this panel's columns are inside every row of `out` and no other task's.
                    unsafe { product.compute_at(target.at(first), self.outputs) };
                    return;
                }
                // The last panel may be narrower than a tile: compute beside `out` and copy what belongs there.
                product.accumulate = false;
                let mut wide = vec![0.0; rows * COLUMNS];
                product.compute(&mut wide, COLUMNS);
                for (row, wide) in wide.chunks_exact(COLUMNS).enumerate() {
                    for (column, value) in wide[..columns].iter().enumerate() {
                        let element = target.at(row * self.outputs + first + column);
                        // SAFETY: as above.
                        unsafe { *element = if accumulate { *element + value } else { *value } };
                    }
                }
            });
    }
}

/// Values between -1 and 1 that tests can make again from a seed.
#[cfg(test)]
pub(crate) fn test_values(count: usize, seed: u64) -> Vec<f32> {
    use rand::{RngExt, SeedableRng};
    let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    (0..count)
        .map(|_| generator.random_range(-1.0..1.0))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::simd::on_every_path;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn f32_products_equal_the_written_out_sum(
            rows in 1..40_usize,
            outputs in 1..100_usize,
            inputs in 1..70_usize,
            seed: u64,
        ) {
            let (x, weights) = (
                test_values(rows * inputs, seed),
                test_values(outputs * inputs, seed ^ 1),
            );
            on_every_path(|instructions| {
                let matrix = Matrix::f32(&weights, outputs, inputs);
                for accumulate in [false, true] {
                    let mut out = vec![0.5; rows * outputs];
                    matrix.multiply(&x, &mut out, accumulate, &mut MatrixScratch::default());
                    for (i, got) in out.iter().enumerate() {
                        let (row, output) = (i / outputs, i % outputs);
                        let sum: f32 = (0..inputs)
                            .map(|k| x[row * inputs + k] * weights[output * inputs + k])
                            .sum();
                        let expected = sum + if accumulate { 0.5 } else { 0.0 };
                        assert!(
                            (got - expected).abs() < 1e-4,
                            "{instructions:?}, {rows}x{outputs}x{inputs}: {got} instead of {expected}"
                        );
                    }
                }
                let mut row = vec![0.0; inputs];
                matrix.read_row(outputs - 1, &mut row);
                assert_eq!(row, &weights[(outputs - 1) * inputs..]);
            });
        }
    }

    #[test]
    fn a_row_comes_out_the_same_alone_and_among_others() {
        on_every_path(|instructions| {
            let (outputs, inputs, rows) = (70, 45, 23);
            let (x, weights) = (
                test_values(rows * inputs, 1),
                test_values(outputs * inputs, 2),
            );
            let in_f32 = Matrix::f32(&weights, outputs, inputs);
            #[cfg(target_arch = "x86_64")]
            let in_bf16 = crate::kernels::simd::has_bf16_dot_products()
                .then(|| Matrix::bf16(&weights, outputs, inputs));
            #[cfg(not(target_arch = "x86_64"))]
            let in_bf16 = None;
            for matrix in std::iter::once(in_f32).chain(in_bf16) {
                let mut scratch = MatrixScratch::default();
                let mut together = vec![0.0; rows * outputs];
                matrix.multiply(&x, &mut together, false, &mut scratch);
                for (row, x) in x.chunks(inputs).enumerate() {
                    let mut alone = vec![0.0; outputs];
                    matrix.multiply(x, &mut alone, false, &mut scratch);
                    let among = &together[row * outputs..][..outputs];
                    assert_eq!(alone, among, "{instructions:?}, row {row}");
                }
            }
        });
    }
}
