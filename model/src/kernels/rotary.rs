//! Rotary positions in the rotate-half layout of Hugging Face: channel `i` is paired with channel `i + head_dim / 2`.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "functions compiled for detected instructions are called unsafely"
    )
)]

use super::simd::vectorised;

/// Cosines and sines for the rows of one forward pass.
///
/// They are the same for every layer and every head, so computing them once a pass costs nothing beside the products,
/// where a table up to the context length would take tens of megabytes for long-context models.
#[derive(Default)]
pub(crate) struct RotaryTable {
    half: usize,
    /// For each row `half` cosines, then `half` sines.
    values: Vec<f32>,
}

impl RotaryTable {
    /// Fills the table for rows at `positions`: the angle of channel `i` is `position * base^(-2 i / head_dim)`
    /// (`RoFormer`, arXiv 2104.09864, equation 15).
    pub(crate) fn fill(
        &mut self,
        positions: impl Iterator<Item = usize>,
        head_dim: usize,
        base: f32,
    ) {
        self.half = head_dim / 2;
        self.values.clear();
        let frequencies: Vec<f64> = (0..self.half)
            .map(|i| f64::from(base).powf(-2.0 * i as f64 / head_dim as f64))
            .collect();
        for position in positions {
            let angles = frequencies
                .iter()
                .map(|frequency| position as f64 * frequency);
            self.values
                .extend(angles.clone().map(|angle| angle.cos() as f32));
            self.values.extend(angles.map(|angle| angle.sin() as f32));
        }
    }

    /// Cosines and sines of one row.
    pub(crate) fn row(&self, row: usize) -> (&[f32], &[f32]) {
        self.values[row * 2 * self.half..][..2 * self.half].split_at(self.half)
    }
}

/// Sines and cosines of the positions of training documents, which are short: a table serves a whole run.
#[derive(Debug)]
pub struct Rotary {
    half: usize,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Rotary {
    /// Tables for positions below `length`.
    pub fn new(head_dim: usize, length: usize, base: f32) -> Self {
        let half = head_dim / 2;
        let angles = (0..length).flat_map(|position| {
            (0..half).map(move |i| {
                let exponent = -2.0 * i as f64 / head_dim as f64;
                position as f64 * f64::from(base).powf(exponent)
            })
        });
        let (cosines, sines) = angles
            .map(|angle| (angle.cos() as f32, angle.sin() as f32))
            .unzip();
        Self {
            half,
            cosines,
            sines,
        }
    }

    /// Channels of the heads that it turns.
    pub(crate) fn head_dim(&self) -> usize {
        2 * self.half
    }

    /// Positions that it knows.
    pub(crate) fn length(&self) -> usize {
        self.cosines.len() / self.half.max(1)
    }

    /// Cosines and sines of one position.
    pub(crate) fn row(&self, position: usize) -> (&[f32], &[f32]) {
        let row = position * self.half..(position + 1) * self.half;
        (&self.cosines[row.clone()], &self.sines[row])
    }
}

vectorised! {
    /// Rotates one head in place; `cosines` and `sines` are half as long as `head`.
    pub(crate) fn rotate(head: &mut [f32], cosines: &[f32], sines: &[f32]) {
        let (low, high) = head.split_at_mut(cosines.len());
        for (((low, high), cosine), sine) in low.iter_mut().zip(high).zip(cosines).zip(sines) {
            (*low, *high) = (*low * cosine - *high * sine, *high * cosine + *low * sine);
        }
    }
}

vectorised! {
    /// Undoes [`rotate`], which is also the way back through it: a rotation's transpose is its inverse.
    pub(crate) fn rotate_back(head: &mut [f32], cosines: &[f32], sines: &[f32]) {
        let (low, high) = head.split_at_mut(cosines.len());
        for (((low, high), cosine), sine) in low.iter_mut().zip(high).zip(cosines).zip(sines) {
            (*low, *high) = (*low * cosine + *high * sine, *high * cosine - *low * sine);
        }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "these results are exact")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::matrix::test_values;
    use crate::kernels::simd::on_every_path;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn each_pair_of_channels_turns_by_its_angle_and_back(
            half in 1..80_usize,
            position in 0..100_usize,
            seed: u64,
        ) {
            let rotary = Rotary::new(2 * half, 100, 10_000.0);
            let (cosines, sines) = rotary.row(position);
            let head = test_values(2 * half, seed);
            on_every_path(|instructions| {
                let (mut turned, mut turned_back) = (head.clone(), head.clone());
                rotate(&mut turned, cosines, sines);
                rotate_back(&mut turned_back, cosines, sines);
                for i in 0..half {
                    let angle = position as f64 * 10_000_f64.powf(-(i as f64) / half as f64);
                    let (low, high) = (f64::from(head[i]), f64::from(head[i + half]));
                    for (found, angle) in [(&turned, angle), (&turned_back, -angle)] {
                        let expected = [
                            low * angle.cos() - high * angle.sin(),
                            high * angle.cos() + low * angle.sin(),
                        ];
                        for (found, expected) in [found[i], found[i + half]].into_iter().zip(expected) {
                            assert!(
                                (f64::from(found) - expected).abs() < 1e-6,
                                "{instructions:?}, channel {i} of {half}: {found} instead of {expected}"
                            );
                        }
                    }
                }
            });
        }
    }

    #[test]
    fn a_rotation_turns_by_position_times_frequency_and_keeps_lengths() {
        let mut table = RotaryTable::default();
        table.fill([0, 3].into_iter(), 4, 100.0);
        let head = [1.0, 2.0, -0.5, 0.25];
        let mut at_zero = head;
        rotate(&mut at_zero, table.row(0).0, table.row(0).1);
        assert_eq!(at_zero, head);
        let mut at_three = head;
        rotate(&mut at_three, table.row(1).0, table.row(1).1);
        // Frequencies 1 and 100^(-1/2) = 0.1.
        let expected = [
            1.0 * 3f32.cos() + 0.5 * 3f32.sin(),
            2.0 * 0.3f32.cos() - 0.25 * 0.3f32.sin(),
            -0.5 * 3f32.cos() + 1.0 * 3f32.sin(),
            0.25 * 0.3f32.cos() + 2.0 * 0.3f32.sin(),
        ];
        for (got, expected) in at_three.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-6, "{at_three:?}");
        }
    }
}
