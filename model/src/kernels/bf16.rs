//! Matrix products over bfloat16 pairs with f32 sums (AVX512-BF16 `vdpbf16ps`).
//!
//! Weights are packed once into panels of [`COLUMNS`] outputs. Inside a panel the inputs go in pairs: one vector holds
//! the pair `(2 q, 2 q + 1)` of 16 outputs, so that one instruction multiplies it with the same pair of an input row,
//! broadcast to all lanes. Input rows are rounded to bfloat16 on the way in ([`PairRows`]).
#![expect(unsafe_code, reason = "AVX-512 intrinsics over packed panels")]

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_add_ps, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps,
    _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_set1_epi32, _mm512_setzero_ps,
    _mm512_storeu_si512,
};

use half::bf16;
use rayon::prelude::*;

use super::matrix::task_size;
use super::simd::{SharedOutput, has_bf16_dot_products};

/// Outputs of one panel: three vectors.
const COLUMNS: usize = 3 * LANES;
/// Rows of one register tile: 8 x 3 sums leave 8 of the 32 registers for operands, and 8 divides usual batches.
const ROWS: usize = 8;
/// f32 sums, or pairs of bfloat16, in one vector.
const LANES: usize = 16;

/// 16 pairs of bfloat16, on a cache line of their own.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct PairVector([u32; LANES]);

/// The weights of a linear layer, rounded to bfloat16.
pub(crate) struct Bf16Panels {
    outputs: usize,
    inputs: usize,
    /// For each panel, for each pair of inputs, three vectors.
    vectors: Vec<PairVector>,
}

/// Input rows rounded to bfloat16; reused from product to product.
#[derive(Default)]
pub(crate) struct PairRows {
    vectors: Vec<PairVector>,
    rows: usize,
    inputs: usize,
}

impl PairRows {
    /// Rounds `x`, rows of `inputs` values, to the nearest bfloat16.
    pub(crate) fn fill(&mut self, x: &[f32], inputs: usize) {
        assert!(has_bf16_dot_products(), "bf16 products need AVX512-BF16");
        let stride = inputs.div_ceil(2 * LANES);
        self.rows = x.len() / inputs;
        self.inputs = inputs;
        if self.vectors.len() < self.rows * stride {
            self.vectors
                .resize(self.rows * stride, PairVector([0; LANES]));
        }
        let vectors = &mut self.vectors[..self.rows * stride];
        // A row takes tens of nanoseconds: only a long prompt is worth waking other threads for.
        let rows_a_task = (32 * 1024 / inputs).max(1);
        vectors
            .par_chunks_mut(stride * rows_a_task)
            .zip(x.par_chunks(inputs * rows_a_task))
            .for_each(|(vectors, x)| {
                for (vectors, x) in vectors.chunks_exact_mut(stride).zip(x.chunks_exact(inputs)) {
                    // SAFETY: the processor has the instructions, by the assertion above.
                    unsafe { round_row(x, vectors) }
                }
            });
    }
}

/// Rounds one row; values beyond its end become 0.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn round_row(x: &[f32], vectors: &mut [PairVector]) {
    for (values, vector) in x.chunks(2 * LANES).zip(vectors) {
        let low = low_bits(values.len());
        let high = low_bits(values.len().saturating_sub(LANES));
        // SAFETY: masked-off lanes are not read, the others are inside `values`; a vector holds 64 bytes.
        unsafe {
            let first = _mm512_maskz_loadu_ps(low, values.as_ptr());
            let second = _mm512_maskz_loadu_ps(high, values.as_ptr().wrapping_add(LANES));
            let pairs: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(second, first));
            _mm512_storeu_si512(vector.0.as_mut_ptr().cast(), pairs);
        }
    }
}

/// A mask of the first `count` lanes, at most all 16.
fn low_bits(count: usize) -> u16 {
    if count >= LANES {
        u16::MAX
    } else {
        (1 << count) - 1
    }
}

impl Bf16Panels {
    /// Packs row-major weights, `outputs` rows of `inputs`.
    pub(crate) fn pack(weights: &[f32], outputs: usize, inputs: usize) -> Self {
        assert_eq!(weights.len(), outputs * inputs);
        let pairs = inputs.div_ceil(2);
        let panels = outputs.div_ceil(COLUMNS);
        let mut vectors = vec![PairVector([0; LANES]); panels * pairs * COLUMNS / LANES];
        vectors
            .par_chunks_mut(pairs * COLUMNS / LANES)
            .enumerate()
            .for_each(|(panel, vectors)| {
                let first = panel * COLUMNS;
                for column in 0..COLUMNS.min(outputs - first) {
                    let row = &weights[(first + column) * inputs..][..inputs];
                    for (pair, values) in row.chunks(2).enumerate() {
                        let low = u32::from(bf16::from_f32(values[0]).to_bits());
                        let high = values
                            .get(1)
                            .map_or(0, |&value| u32::from(bf16::from_f32(value).to_bits()));
                        vectors[pair * COLUMNS / LANES + column / LANES].0[column % LANES] =
                            low | high << 16;
                    }
                }
            });
        Self {
            outputs,
            inputs,
            vectors,
        }
    }

    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Writes row `output` of the weights.
    pub(crate) fn read_row(&self, output: usize, row: &mut [f32]) {
        let pairs = self.inputs.div_ceil(2);
        let (panel, column) = (output / COLUMNS, output % COLUMNS);
        let start = panel * pairs * COLUMNS / LANES + column / LANES;
        for (pair, values) in row.chunks_mut(2).enumerate() {
            let bits = self.vectors[start + pair * COLUMNS / LANES].0[column % LANES];
            values[0] = f32::from_bits(bits << 16);
            if let Some(value) = values.get_mut(1) {
                *value = f32::from_bits(bits & 0xffff_0000);
            }
        }
    }

    /// `out (+)= x · weightsᵀ`; `out` is row-major with `outputs` columns.
    pub(crate) fn multiply(&self, x: &PairRows, out: &mut [f32], accumulate: bool) {
        assert!(has_bf16_dot_products(), "bf16 products need AVX512-BF16");
        assert_eq!(x.inputs, self.inputs);
        assert_eq!(out.len(), x.rows * self.outputs);
        let panels = self.outputs.div_ceil(COLUMNS);
        let target = SharedOutput::new(out);
        (0..panels)
            .into_par_iter()
            .with_min_len(task_size(panels))
            .for_each(|panel| {
                // SAFETY: the assertions above give the instructions and the sizes; panels are disjoint columns of `out`.
                unsafe { self.multiply_panel(x, panel, target, accumulate) }
            });
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn multiply_panel(
        &self,
        x: &PairRows,
        panel: usize,
        out: SharedOutput,
        accumulate: bool,
    ) {
        let pairs = self.inputs.div_ceil(2);
        let stride = self.inputs.div_ceil(2 * LANES) * LANES;
        let first = panel * COLUMNS;
        let columns = COLUMNS.min(self.outputs - first);
        let weights = self.vectors[panel * pairs * COLUMNS / LANES..].as_ptr();
        for row in (0..x.rows).step_by(ROWS) {
            let tile = Tile {
                pairs,
                x: x.vectors.as_ptr().cast::<u32>().wrapping_add(row * stride),
                x_stride: stride,
                weights,
                out: out.at(row * self.outputs + first),
                out_stride: self.outputs,
                columns,
                accumulate,
            };
            // SAFETY: the tile covers rows below `x.rows` and columns below `outputs`.
            unsafe {
                match x.rows - row {
                    1 => tile.compute::<1>(),
                    2 => tile.compute::<2>(),
                    3 => tile.compute::<3>(),
                    4 => tile.compute::<4>(),
                    5 => tile.compute::<5>(),
                    6 => tile.compute::<6>(),
                    7 => tile.compute::<7>(),
                    _ => tile.compute::<ROWS>(),
                }
            }
        }
    }
}

/// One register tile: a few rows against one panel.
struct Tile {
    pairs: usize,
    /// Pairs of the first row; rows are `x_stride` pairs apart.
    x: *const u32,
    x_stride: usize,
    weights: *const PairVector,
    out: *mut f32,
    out_stride: usize,
    columns: usize,
    accumulate: bool,
}

impl Tile {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn compute<const R: usize>(&self) {
        let mut sums = [[_mm512_setzero_ps(); 3]; R];
        let mut weights = self.weights.cast::<__m512bh>();
        for pair in 0..self.pairs {
            // SAFETY: a panel holds three vectors for each pair, and a vector is as large and as aligned as a register.
            let right = unsafe { [weights.read(), weights.add(1).read(), weights.add(2).read()] };
            weights = weights.wrapping_add(3);
            for (r, sum) in sums.iter_mut().enumerate() {
                // SAFETY: each of the `R` rows holds `pairs` pairs; a broadcast integer is 16 pairs of bfloat16.
                let left: __m512bh = unsafe {
                    std::mem::transmute(_mm512_set1_epi32(
                        self.x.add(r * self.x_stride + pair).read().cast_signed(),
                    ))
                };
                for (sum, right) in sum.iter_mut().zip(right) {
                    *sum = _mm512_dpbf16_ps(*sum, left, right);
                }
            }
        }
        for (r, sum) in sums.into_iter().enumerate() {
            for (i, value) in sum.into_iter().enumerate() {
                // SAFETY: the row belongs to this tile.
                unsafe { self.store(r, i * LANES, value) }
            }
        }
    }

    /// Stores the lanes of `value` that are columns of the matrix.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn store(&self, row: usize, column: usize, value: __m512) {
        let mask = low_bits(self.columns.saturating_sub(column));
        let target = self.out.wrapping_add(row * self.out_stride + column);
        // SAFETY: masked-off lanes are neither read nor written; the others belong to this tile alone.
        unsafe {
            let value = if self.accumulate {
                _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, target))
            } else {
                value
            };
            _mm512_mask_storeu_ps(target, mask, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::matrix::test_values;

    #[test]
    fn equals_the_product_of_the_rounded_values() {
        if !has_bf16_dot_products() {
            return;
        }
        let round = |x: f32| bf16::from_f32(x).to_f32();
        for (rows, outputs, inputs) in [
            (1, 1, 1),
            (2, 48, 2),
            (3, 49, 31),
            (8, 47, 33),
            (9, 100, 64),
            (33, 144, 77),
        ] {
            let (x, weights) = (
                test_values(rows * inputs, 1),
                test_values(outputs * inputs, 2),
            );
            let panels = Bf16Panels::pack(&weights, outputs, inputs);
            let mut pairs = PairRows::default();
            // Left over from a larger product: must not leak into this one.
            pairs.fill(&vec![f32::NAN; 40 * 80], 80);
            pairs.fill(&x, inputs);
            for accumulate in [false, true] {
                let mut out = vec![0.5; rows * outputs];
                panels.multiply(&pairs, &mut out, accumulate);
                for (i, got) in out.iter().enumerate() {
                    let (row, output) = (i / outputs, i % outputs);
                    let sum: f32 = (0..inputs)
                        .map(|k| round(x[row * inputs + k]) * round(weights[output * inputs + k]))
                        .sum();
                    let expected = sum + if accumulate { 0.5 } else { 0.0 };
                    assert!(
                        (got - expected).abs() < 1e-4,
                        "{rows}x{outputs}x{inputs}: {got} instead of {expected}"
                    );
                }
            }
            let mut row = vec![0.0; inputs];
            panels.read_row(outputs - 1, &mut row);
            let expected: Vec<f32> = weights[(outputs - 1) * inputs..]
                .iter()
                .map(|&x| round(x))
                .collect();
            assert_eq!(row, expected);
        }
    }
}
