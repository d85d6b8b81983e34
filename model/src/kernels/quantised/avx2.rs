//! A few rows against one panel with AVX2's integer products.
//!
//! The outputs of a panel are the lanes of two vectors. What is multiplied with an input row is a group of its integers,
//! broadcast to all lanes.
#![expect(unsafe_code, reason = "vector loads go through pointers")]

use std::arch::x86_64::{
    __m256, __m256i, _mm_load_si128, _mm256_add_epi16, _mm256_add_epi32, _mm256_add_ps,
    _mm256_and_si256, _mm256_cvtepi8_epi16, _mm256_cvtepi32_ps, _mm256_cvtph_ps, _mm256_load_si256,
    _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_set1_epi8, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_srli_epi16,
    _mm256_storeu_ps, _mm256_sub_epi32,
};

use super::activations::{BlockScale, Row};
use super::panels::{COLUMNS, Form, Line, Sums};

/// Rows of 8-bit integers against 4-bit weights.
///
/// The sums of a block fit 16 bits: 8 times two products of at most 15 * 127 are 30,480.
#[target_feature(enable = "avx2,f16c")]
pub(super) fn four_bit<const R: usize, const MINIMUM: bool>(
    lines: &[Line],
    rows: &[Row<'_, i8>; R],
) -> Sums<R> {
    let form = const {
        Form {
            four_bit: true,
            minimum: MINIMUM,
        }
    };
    let (low, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1));
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    for (index, lines) in lines.chunks_exact(form.block_lines()).enumerate() {
        let mut products = [[_mm256_setzero_si256(); 2]; R];
        for group in 0..4 {
            let packed = [load(&lines[2 * group]), load(&lines[2 * group + 1])];
            let first = packed.map(|packed| _mm256_and_si256(packed, low));
            let second = packed.map(|packed| _mm256_and_si256(_mm256_srli_epi16::<4>(packed), low));
            for (group, numbers) in [(group, first), (group + 4, second)] {
                for (products, row) in products.iter_mut().zip(rows) {
                    let integers = row.values[index].as_chunks::<4>().0[group];
                    let integers = integers.map(i8::cast_unsigned);
                    let x = _mm256_set1_epi32(i32::from_le_bytes(integers));
                    for (product, numbers) in products.iter_mut().zip(numbers) {
                        let pairs = _mm256_maddubs_epi16(numbers, x);
                        *product = _mm256_add_epi16(*product, pairs);
                    }
                }
            }
        }
        for half in 0..2 {
            let scales = half_floats(&lines[form.number_lines()], half);
            for ((sums, products), row) in sums.iter_mut().zip(&products).zip(rows) {
                let scale = &row.scales[index];
                let mut product = _mm256_madd_epi16(products[half], ones);
                if !MINIMUM {
                    product = _mm256_sub_epi32(product, _mm256_set1_epi32(8 * scale.sum));
                }
                let mut term = scaled(product, scales, scale);
                if MINIMUM {
                    let minimums = half_floats(&lines[form.number_lines() + 1], half);
                    term = _mm256_add_ps(term, least(minimums, scale));
                }
                sums[half] = _mm256_add_ps(sums[half], term);
            }
        }
    }
    sums.map(|sums| store(sums))
}

/// Rows of 16-bit integers against 8-bit weights.
///
/// The sums of a block fit 32 bits: 32 products of at most 128 * 32,767 are less than 2^28.
#[target_feature(enable = "avx2,f16c")]
pub(super) fn eight_bit<const R: usize, const MINIMUM: bool>(
    lines: &[Line],
    rows: &[Row<'_, i16>; R],
) -> Sums<R> {
    let form = const {
        Form {
            four_bit: false,
            minimum: MINIMUM,
        }
    };
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    for (index, lines) in lines.chunks_exact(form.block_lines()).enumerate() {
        let mut products = [[_mm256_setzero_si256(); 2]; R];
        for (pair, line) in lines[..form.number_lines()].iter().enumerate() {
            let numbers = widened(line);
            for (products, row) in products.iter_mut().zip(rows) {
                let [a, b] = row.values[index].as_chunks::<2>().0[pair];
                let x = _mm256_set1_epi32(i32::from(b) << 16 | i32::from(a) & 0xffff);
                for (product, numbers) in products.iter_mut().zip(numbers) {
                    *product = _mm256_add_epi32(*product, _mm256_madd_epi16(numbers, x));
                }
            }
        }
        for half in 0..2 {
            let scales = half_floats(&lines[form.number_lines()], half);
            for ((sums, products), row) in sums.iter_mut().zip(&products).zip(rows) {
                let scale = &row.scales[index];
                let mut term = scaled(products[half], scales, scale);
                if MINIMUM {
                    let minimums = half_floats(&lines[form.number_lines() + 1], half);
                    term = _mm256_add_ps(term, least(minimums, scale));
                }
                sums[half] = _mm256_add_ps(sums[half], term);
            }
        }
    }
    sums.map(|sums| store(sums))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(line: &Line) -> __m256i {
    // SAFETY: a line is as long and as aligned as a vector.
    unsafe { _mm256_load_si256(line.0.as_ptr().cast()) }
}

/// The 32 numbers of a line as 16-bit ones.
#[inline]
#[target_feature(enable = "avx2")]
fn widened(line: &Line) -> [__m256i; 2] {
    let start = line.0.as_ptr();
    // SAFETY: both halves of a line are as long and as aligned as a vector of 16 bytes.
    unsafe {
        [
            _mm256_cvtepi8_epi16(_mm_load_si128(start.cast())),
            _mm256_cvtepi8_epi16(_mm_load_si128(start.add(16).cast())),
        ]
    }
}

/// 8 of the 16 half floats of a line.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn half_floats(line: &Line, half: usize) -> __m256 {
    let bytes = &line.0[16 * half..][..16];
    // SAFETY: each half of a line is as long and as aligned as a vector of 16 bytes.
    unsafe { _mm256_cvtph_ps(_mm_load_si128(bytes.as_ptr().cast())) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn scaled(product: __m256i, scales: __m256, scale: &BlockScale) -> __m256 {
    let product = _mm256_mul_ps(_mm256_cvtepi32_ps(product), scales);
    _mm256_mul_ps(product, _mm256_set1_ps(scale.scale))
}

#[inline]
#[target_feature(enable = "avx2")]
fn least(minimums: __m256, scale: &BlockScale) -> __m256 {
    _mm256_mul_ps(minimums, _mm256_set1_ps(scale.scaled_sum))
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(sums: [__m256; 2]) -> [f32; COLUMNS] {
    let mut values = [0.0; COLUMNS];
    for (values, sums) in values.chunks_exact_mut(8).zip(sums) {
        // SAFETY: eight values are as long as a vector.
        unsafe { _mm256_storeu_ps(values.as_mut_ptr(), sums) }
    }
    values
}
