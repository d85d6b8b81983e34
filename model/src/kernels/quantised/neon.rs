//! A few rows against one panel with NEON's widening products.
//!
//! What a vector holds of the weights is a group of inputs of one output beside that of the next, so the lanes of a sum
//! are added in pairs at the end of a block. What it is multiplied with is the same group of an input row, repeated.
#![expect(unsafe_code, reason = "vector loads and stores go through pointers")]

use std::arch::aarch64::{
    float32x4_t, int8x16_t, int16x4_t, int16x8_t, int32x4_t, vaddq_f32, vandq_u8, vcvtq_f32_s32,
    vdupq_n_f32, vdupq_n_s16, vdupq_n_s32, vdupq_n_u8, vget_high_s8, vget_high_s16, vget_low_s8,
    vget_low_s16, vld1_s8, vld1q_f32, vld1q_u8, vmlal_s8, vmlal_s16, vmovl_s8, vmulq_f32,
    vpaddlq_s16, vpaddq_s32, vreinterpretq_s8_s32, vreinterpretq_s8_u8, vreinterpretq_s16_s32,
    vshrq_n_u8, vst1q_f32, vsubq_s32,
};

use super::activations::{BlockScale, Row};
use super::panels::{COLUMNS, Form, Line, Sums};
use super::portable::half_floats;

/// Outputs whose sums are the lanes of one vector.
const LANES: usize = 4;

/// Sums of one row against a panel.
type RowSums = [float32x4_t; COLUMNS / LANES];

/// Rows of 8-bit integers against 4-bit weights.
///
/// The sums of a block fit 16 bits: 8 products of at most 15 * 127 are 15,240.
#[target_feature(enable = "neon")]
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
    let mut sums = [[vdupq_n_f32(0.0); COLUMNS / LANES]; R];
    for (index, lines) in lines.chunks_exact(form.block_lines()).enumerate() {
        let (numbers, halves) = lines.split_at(form.number_lines());
        let halves = Halves::<MINIMUM>::of(halves);
        for quarter in 0..COLUMNS / LANES {
            let mut products = [[vdupq_n_s16(0); 2]; R];
            for (group, lines) in numbers.chunks_exact(2).enumerate() {
                let packed = &lines[quarter / 2].0[16 * (quarter % 2)..][..16];
                // SAFETY: 16 bytes are as long as a vector.
                let packed = unsafe { vld1q_u8(packed.as_ptr()) };
                let first = vreinterpretq_s8_u8(vandq_u8(packed, vdupq_n_u8(15)));
                let second = vreinterpretq_s8_u8(vshrq_n_u8::<4>(packed));
                for (products, row) in products.iter_mut().zip(rows) {
                    let groups = row.values[index].as_chunks::<4>().0;
                    *products = add_bytes(*products, first, groups[group]);
                    *products = add_bytes(*products, second, groups[group + 4]);
                }
            }
            for ((sums, products), row) in sums.iter_mut().zip(products).zip(rows) {
                let scale = &row.scales[index];
                let mut product = vpaddq_s32(vpaddlq_s16(products[0]), vpaddlq_s16(products[1]));
                if !MINIMUM {
                    product = vsubq_s32(product, vdupq_n_s32(8 * scale.sum));
                }
                halves.add(sums, quarter, product, scale);
            }
        }
    }
    sums.map(|sums| store(sums))
}

/// Rows of 16-bit integers against 8-bit weights.
///
/// The sums of a block fit 32 bits: 32 products of at most 128 * 32,767 are less than 2^28.
#[target_feature(enable = "neon")]
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
    let mut sums = [[vdupq_n_f32(0.0); COLUMNS / LANES]; R];
    for (index, lines) in lines.chunks_exact(form.block_lines()).enumerate() {
        let (numbers, halves) = lines.split_at(form.number_lines());
        let halves = Halves::<MINIMUM>::of(halves);
        for quarter in 0..COLUMNS / LANES {
            let mut products = [[vdupq_n_s32(0); 2]; R];
            for (pair, line) in numbers.iter().enumerate() {
                let bytes = &line.0[8 * quarter..][..8];
                // SAFETY: 8 bytes are as long as half a vector.
                let numbers = vmovl_s8(unsafe { vld1_s8(bytes.as_ptr().cast()) });
                for (products, row) in products.iter_mut().zip(rows) {
                    let x = pair_of(row.values[index].as_chunks::<2>().0[pair]);
                    products[0] = vmlal_s16(products[0], vget_low_s16(numbers), x);
                    products[1] = vmlal_s16(products[1], vget_high_s16(numbers), x);
                }
            }
            for ((sums, products), row) in sums.iter_mut().zip(products).zip(rows) {
                let product = vpaddq_s32(products[0], products[1]);
                halves.add(sums, quarter, product, &row.scales[index]);
            }
        }
    }
    sums.map(|sums| store(sums))
}

/// Adds the products of a group of four inputs with the numbers of four outputs; each output has two lanes.
#[inline]
#[target_feature(enable = "neon")]
fn add_bytes(sums: [int16x8_t; 2], numbers: int8x16_t, x: [i8; 4]) -> [int16x8_t; 2] {
    let x = i32::from_le_bytes(x.map(i8::cast_unsigned));
    let x = vreinterpretq_s8_s32(vdupq_n_s32(x));
    [
        vmlal_s8(sums[0], vget_low_s8(numbers), vget_low_s8(x)),
        vmlal_s8(sums[1], vget_high_s8(numbers), vget_high_s8(x)),
    ]
}

/// Both values twice.
#[inline]
#[target_feature(enable = "neon")]
fn pair_of([a, b]: [i16; 2]) -> int16x4_t {
    let pair = i32::from(b) << 16 | i32::from(a) & 0xffff;
    vget_low_s16(vreinterpretq_s16_s32(vdupq_n_s32(pair)))
}

/// The scales of one block of a panel, and its minimums.
struct Halves<const MINIMUM: bool> {
    scales: [f32; COLUMNS],
    minimums: [f32; COLUMNS],
}

impl<const MINIMUM: bool> Halves<MINIMUM> {
    fn of(lines: &[Line]) -> Self {
        Self {
            scales: half_floats(&lines[0]),
            minimums: if MINIMUM {
                half_floats(&lines[1])
            } else {
                [0.0; COLUMNS]
            },
        }
    }

    /// Adds a block's term: products and sums are rounded one by one, as on every other path.
    #[inline]
    #[target_feature(enable = "neon")]
    fn add(&self, sums: &mut RowSums, quarter: usize, product: int32x4_t, scale: &BlockScale) {
        let scaled = vmulq_f32(vcvtq_f32_s32(product), load(&self.scales, quarter));
        let mut term = vmulq_f32(scaled, vdupq_n_f32(scale.scale));
        if MINIMUM {
            let minimums = load(&self.minimums, quarter);
            let least = vmulq_f32(minimums, vdupq_n_f32(scale.scaled_sum));
            term = vaddq_f32(term, least);
        }
        sums[quarter] = vaddq_f32(sums[quarter], term);
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn load(values: &[f32; COLUMNS], quarter: usize) -> float32x4_t {
    let values = &values[LANES * quarter..][..LANES];
    // SAFETY: four values are as long as a vector.
    unsafe { vld1q_f32(values.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn store(sums: RowSums) -> [f32; COLUMNS] {
    let mut values = [0.0; COLUMNS];
    for (values, sums) in values.chunks_exact_mut(LANES).zip(sums) {
        // SAFETY: four values are as long as a vector.
        unsafe { vst1q_f32(values.as_mut_ptr(), sums) }
    }
    values
}
