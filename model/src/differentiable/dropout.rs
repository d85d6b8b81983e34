//! Seeded dropout.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::rows::BLOCK;

/// Sets each number to zero with probability `share` and scales the rest by `1 / (1 - share)`, so that sums keep
/// their mean. `seed` alone decides which: the same seed drops the same places.
pub fn dropout(x: &Tensor, share: f32, seed: u64) -> Result<Tensor> {
    if share <= 0.0 {
        return Ok(x.clone());
    }
    let threshold = (f64::from(share) * 2f64.powi(32)) as u64;
    let kept = 1.0 / (1.0 - share);
    let mut mask = vec![0.0; x.elem_count()];
    mask.par_chunks_mut(BLOCK * BLOCK)
        .enumerate()
        .for_each(|(block, mask)| {
            for (offset, mask) in mask.iter_mut().enumerate() {
                let place = (block * BLOCK * BLOCK + offset) as u64;
                *mask = if mix(seed, place) >> 32 < threshold {
                    0.0
                } else {
                    kept
                };
            }
        });
    // The mask is a constant, so candle's own product has the right gradient.
    x * Tensor::from_vec(mask, x.shape(), x.device())?
}

/// `SplitMix64` of the place-th state after `seed`: a counter-based generator, so that places can be drawn in parallel.
fn mix(seed: u64, place: u64) -> u64 {
    let mut z = seed.wrapping_add(place.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use candle_core::{DType, Device};

    use super::*;
    use crate::differentiable::test_support::{check_close, check_gradients, random};

    #[test]
    fn drops_the_share_and_keeps_the_mean() {
        let ones = Tensor::ones((100, 200), DType::F32, &Device::Cpu).unwrap();
        let dropped = dropout(&ones, 0.25, 7).unwrap();
        let values = dropped.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let zeros = values.iter().filter(|value| **value == 0.0).count();
        assert!((4_700..5_300).contains(&zeros), "{zeros} of 20000 dropped");
        let mean = dropped.mean_all().unwrap().to_scalar::<f32>().unwrap();
        assert!((mean - 1.0).abs() < 0.02);
        check_close(&dropped, &dropout(&ones, 0.25, 7).unwrap(), 0.0);
        let other = dropout(&ones, 0.25, 8).unwrap().flatten_all().unwrap();
        assert_ne!(values, other.to_vec1::<f32>().unwrap());
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        check_gradients(&[random(&[4, 6], 1)], |v| dropout(&v[0], 0.5, 3));
    }
}
