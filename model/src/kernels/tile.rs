//! A small f32 matrix product whose right side is already laid out in rows of at least [`COLUMNS`] values.
#![expect(unsafe_code, reason = "register tiles read and write through pointers")]
#![expect(
    clippy::inline_always,
    reason = "bodies must end up inside callers compiled for wider instructions"
)]

use super::simd::{Four, InstructionSet, Vector};

/// Columns are computed in steps of this many, whatever the vector width.
pub(crate) const COLUMNS: usize = 32;
/// Rows of one register tile: with two vectors a row this fills 12 of AVX2's 16 registers with sums.
const ROWS: usize = 6;

/// `c (+)= a · b` with every matrix row-major.
pub(crate) struct Product<'a> {
    /// `rows x depth`, rows `a_stride` apart.
    pub(crate) a: &'a [f32],
    pub(crate) a_stride: usize,
    /// `depth x columns`, rows `b_stride` apart.
    pub(crate) b: &'a [f32],
    pub(crate) b_stride: usize,
    pub(crate) rows: usize,
    pub(crate) depth: usize,
    /// A multiple of [`COLUMNS`].
    pub(crate) columns: usize,
    /// Add to what is in `c` rather than overwrite it.
    pub(crate) accumulate: bool,
}

impl Product<'_> {
    /// Computes into `c`, whose rows are `c_stride` apart.
    pub(crate) fn compute(&self, c: &mut [f32], c_stride: usize) {
        assert!(c_stride >= self.columns && c.len() >= span(self.rows, c_stride, self.columns));
        // SAFETY: the assertion above covers every element written, and `c` is borrowed exclusively.
        unsafe { self.compute_at(c.as_mut_ptr(), c_stride) }
    }

    /// Computes into memory that other threads may be writing other columns of.
    ///
    /// # Safety
    /// `c` must be writable at `row * c_stride + column` for every row and column of the product, and nobody else may
    /// access those elements meanwhile.
    pub(crate) unsafe fn compute_at(&self, c: *mut f32, c_stride: usize) {
        // SAFETY: the caller's promise is passed on, and detection found the instructions.
        unsafe { self.compute_with(InstructionSet::detect(), c, c_stride) }
    }

    /// # Safety
    /// As for [`Product::compute_at`]; the processor must have `instructions`.
    unsafe fn compute_with(&self, instructions: InstructionSet, c: *mut f32, c_stride: usize) {
        assert_eq!(self.columns % COLUMNS, 0);
        assert!(self.a.len() >= span(self.rows, self.a_stride, self.depth));
        assert!(self.b.len() >= span(self.depth, self.b_stride, self.columns));
        // SAFETY: `a` and `b` are long enough by the assertions, `c` and the instructions by the caller's promise.
        unsafe {
            match instructions {
                InstructionSet::Portable => all_tiles::<Four>(self, c, c_stride),
                #[cfg(target_arch = "aarch64")]
                InstructionSet::Neon => {
                    all_tiles::<std::arch::aarch64::float32x4_t>(self, c, c_stride);
                }
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx2 => avx2(self, c, c_stride),
                #[cfg(target_arch = "x86_64")]
                InstructionSet::Avx512 => avx512(self, c, c_stride),
            }
        }
    }
}

/// Elements from the first to the last of `rows` rows of `width`, `stride` apart.
fn span(rows: usize, stride: usize, width: usize) -> usize {
    if rows == 0 || width == 0 {
        0
    } else {
        (rows - 1) * stride + width
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(product: &Product<'_>, c: *mut f32, c_stride: usize) {
    // SAFETY: the caller's promises are passed on.
    unsafe { all_tiles::<std::arch::x86_64::__m256>(product, c, c_stride) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(product: &Product<'_>, c: *mut f32, c_stride: usize) {
    // SAFETY: the caller's promises are passed on.
    unsafe { all_tiles::<std::arch::x86_64::__m512>(product, c, c_stride) }
}

#[inline(always)]
unsafe fn all_tiles<V: Vector>(product: &Product<'_>, c: *mut f32, c_stride: usize) {
    for column in (0..product.columns).step_by(2 * V::LANES) {
        for row in (0..product.rows).step_by(ROWS) {
            // SAFETY: row and column stay inside the product, for which the caller vouches.
            unsafe {
                match product.rows - row {
                    1 => tile::<V, 1>(product, row, column, c, c_stride),
                    2 => tile::<V, 2>(product, row, column, c, c_stride),
                    3 => tile::<V, 3>(product, row, column, c, c_stride),
                    4 => tile::<V, 4>(product, row, column, c, c_stride),
                    5 => tile::<V, 5>(product, row, column, c, c_stride),
                    _ => tile::<V, ROWS>(product, row, column, c, c_stride),
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn tile<V: Vector, const R: usize>(
    p: &Product<'_>,
    row: usize,
    column: usize,
    c: *mut f32,
    c_stride: usize,
) {
    // SAFETY: `R` rows from `row` and two vectors from `column` are inside all three matrices.
    unsafe {
        let mut sums = [[V::splat(0.0); 2]; R];
        let a = p.a.as_ptr().add(row * p.a_stride);
        let b = p.b.as_ptr().add(column);
        for k in 0..p.depth {
            let right = [
                V::load(b.add(k * p.b_stride)),
                V::load(b.add(k * p.b_stride + V::LANES)),
            ];
            for (r, sum) in sums.iter_mut().enumerate() {
                let left = V::splat(*a.add(r * p.a_stride + k));
                sum[0] = sum[0].add_product(left, right[0]);
                sum[1] = sum[1].add_product(left, right[1]);
            }
        }
        for (r, sum) in sums.into_iter().enumerate() {
            for (half, mut value) in sum.into_iter().enumerate() {
                let target = c.add((row + r) * c_stride + column + half * V::LANES);
                if p.accumulate {
                    value = value.add(V::load(target));
                }
                value.store(target);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::matrix::test_values;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn equals_the_written_out_product_with_every_instruction_set(
            rows in 0..20_usize,
            depth in 0..70_usize,
            steps in 1..4_usize,
            accumulate: bool,
        ) {
            for instructions in InstructionSet::available() {
                check(instructions, rows, depth, steps * COLUMNS, accumulate);
            }
        }
    }

    fn check(
        instructions: InstructionSet,
        rows: usize,
        depth: usize,
        columns: usize,
        accumulate: bool,
    ) {
        let (a_stride, b_stride, c_stride) = (depth + 3, columns + 5, columns + 1);
        let a = test_values(rows * a_stride, 1);
        let b = test_values(depth * b_stride, 2);
        let before = test_values(rows * c_stride, 3);
        let mut expected = before.clone();
        for row in 0..rows {
            for column in 0..columns {
                let sum: f32 = (0..depth)
                    .map(|k| a[row * a_stride + k] * b[k * b_stride + column])
                    .sum();
                let element = &mut expected[row * c_stride + column];
                *element = sum + if accumulate { *element } else { 0.0 };
            }
        }
        let mut c = before;
        let product = Product {
            a: &a,
            a_stride,
            b: &b,
            b_stride,
            rows,
            depth,
            columns,
            accumulate,
        };
        // SAFETY: `c` has `rows` rows of more than `columns` values, and the instructions are available.
        unsafe { product.compute_with(instructions, c.as_mut_ptr(), c_stride) };
        for (got, expected) in c.iter().zip(&expected) {
            assert!(
                (got - expected).abs() < 1e-4,
                "{instructions:?}, {rows}x{depth}x{columns}: {got} instead of {expected}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "assertion failed")]
    fn a_short_left_side_is_refused() {
        let (a, b) = ([0.0; 5], [0.0; 64]);
        let product = Product {
            a: &a,
            a_stride: 2,
            b: &b,
            b_stride: 32,
            rows: 3,
            depth: 2,
            columns: 32,
            accumulate: false,
        };
        product.compute(&mut [0.0; 96], 32);
    }
}
