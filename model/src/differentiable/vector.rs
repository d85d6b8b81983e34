//! Loops over slices, written so that the compiler can turn them into vector instructions.

/// Numbers that are summed side by side; a fixed count, so that the order of additions is too.
const LANES: usize = 16;

/// e^x to within a few units in the last place. Below -87 it stays at the smallest normal number; NaN stays NaN.
///
/// The library's `expf` is a call per number; this is straight-line arithmetic. It splits x = n ln 2 + r, takes a
/// polynomial of r (Cephes, `expf.c`) and puts n into the exponent.
#[inline]
#[expect(clippy::excessive_precision, reason = "coefficients as published")]
pub(super) fn exp(x: f32) -> f32 {
    // Adding and subtracting 1.5 * 2^23 rounds to a whole number and leaves it in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_375;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let mut polynomial = 1.987_569_150e-4;
    for coefficient in [
        1.398_199_950_7e-3,
        8.333_451_907_3e-3,
        4.166_579_589_4e-2,
        1.666_666_545_9e-1,
        5.000_000_120_1e-1,
    ] {
        polynomial = polynomial * r + coefficient;
    }
    let mantissa = polynomial * (r * r) + r + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    mantissa * power
}

/// Sum, in a fixed order.
pub(super) fn sum(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

/// Largest value; NaN if one is NaN, so that a diverged run is seen.
pub(super) fn maximum(values: &[f32]) -> f32 {
    let pick = |best: f32, value: f32| {
        if value > best || value.is_nan() {
            value
        } else {
            best
        }
    };
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if lane.is_nan() {
                *lane
            } else {
                pick(*lane, value)
            };
        }
    }
    lanes
        .iter()
        .chain(rest)
        .fold(f32::NEG_INFINITY, |best, &value| {
            if best.is_nan() {
                best
            } else {
                pick(best, value)
            }
        })
}

/// `out += values`.
pub(super) fn add(out: &mut [f32], values: &[f32]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out += value;
    }
}

/// Replaces every x by e^(x - shift) and returns their sum.
pub(super) fn exp_shifted(values: &mut [f32], shift: f32) -> f32 {
    for value in values.iter_mut() {
        *value = exp(*value - shift);
    }
    sum(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_to_the_librarys() {
        for step in -860_000..=870_000 {
            let x = f64::from(step) as f32 * 1e-4;
            let expected = f64::from(x).exp();
            let error = (f64::from(exp(x)) / expected - 1.0).abs();
            assert!(error < 3e-7, "exp({x}) is off by {error:e}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(-1e30) < 2e-38);
        assert!(exp(0.0).to_bits() == 1.0_f32.to_bits());
    }

    #[test]
    fn reductions_match_their_definitions() {
        let values: Vec<f32> = (0..77).map(|i| (i as f32 * 0.37).sin()).collect();
        let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
        let expected_sum: f64 = wide(&values).iter().sum();
        assert!((f64::from(sum(&values)) - expected_sum).abs() < 1e-5);
        let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        assert!(maximum(&values).to_bits() == largest.to_bits());
        for place in [3, 40, 76] {
            let mut broken = values.clone();
            broken[place] = f32::NAN;
            assert!(maximum(&broken).is_nan(), "NaN at {place} is hidden");
        }
    }
}
