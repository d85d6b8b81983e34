//! Transposing squares of 32-bit words in registers.

use std::arch::x86_64::{
    __m512i, _mm512_setzero_si512, _mm512_shuffle_i32x4, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

/// Makes lane j of vector i lane i of vector j: first inside 4 x 4 squares, then the squares among each other.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transpose(v: &mut [__m512i; 16]) {
    let mut pairs = [_mm512_setzero_si512(); 16];
    for i in 0..8 {
        pairs[2 * i] = _mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
        pairs[2 * i + 1] = _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
    }
    let mut fours = [_mm512_setzero_si512(); 16];
    for i in (0..16).step_by(4) {
        fours[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
        fours[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
        fours[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        fours[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    for i in 0..4 {
        let [first, second, third, fourth] = [fours[i], fours[i + 4], fours[i + 8], fours[i + 12]];
        // Quarters 0 and 2, and 1 and 3, of the upper and of the lower half of the rows.
        let (even_upper, odd_upper) = (
            _mm512_shuffle_i32x4::<0x88>(first, second),
            _mm512_shuffle_i32x4::<0xdd>(first, second),
        );
        let (even_lower, odd_lower) = (
            _mm512_shuffle_i32x4::<0x88>(third, fourth),
            _mm512_shuffle_i32x4::<0xdd>(third, fourth),
        );
        v[i] = _mm512_shuffle_i32x4::<0x88>(even_upper, even_lower);
        v[i + 4] = _mm512_shuffle_i32x4::<0x88>(odd_upper, odd_lower);
        v[i + 8] = _mm512_shuffle_i32x4::<0xdd>(even_upper, even_lower);
        v[i + 12] = _mm512_shuffle_i32x4::<0xdd>(odd_upper, odd_lower);
    }
}

#[cfg(test)]
mod tests {
    #![expect(unsafe_code, reason = "the function is called after detection")]

    use super::*;
    use crate::kernels::simd::InstructionSet;

    #[target_feature(enable = "avx512f")]
    fn transposed(words: &[[u32; 16]; 16]) -> [[u32; 16]; 16] {
        // SAFETY: both are 16 times 64 bytes of plain words.
        let mut vectors: [__m512i; 16] = unsafe { std::mem::transmute(*words) };
        transpose(&mut vectors);
        // SAFETY: as above.
        unsafe { std::mem::transmute(vectors) }
    }

    #[test]
    fn rows_become_columns() {
        if !InstructionSet::available().contains(&InstructionSet::Avx512) {
            return;
        }
        let words: [[u32; 16]; 16] =
            std::array::from_fn(|i| std::array::from_fn(|j| (100 * i + j) as u32));
        // SAFETY: detection found the instructions.
        let found = unsafe { transposed(&words) };
        for i in 0..16 {
            for j in 0..16 {
                assert_eq!(found[i][j], words[j][i]);
            }
        }
    }
}
