//! Checks that every operation here goes through: finite differences, and agreement with composed forms.

#![expect(clippy::unwrap_used, reason = "tests")]

use candle_core::{Device, Result, Tensor, Var};

/// A tensor of repeatable values between -1 and 1.
pub(super) fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let values = (0..shape.iter().product::<usize>())
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 40) as f32 / (1u64 << 24) as f32) * 2.0 - 1.0
        })
        .collect::<Vec<_>>();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Holds a fused operation to its composed form: values, and the gradients of every input, where each output counts
/// with a weight of its own.
#[track_caller]
pub(super) fn check_same(
    inputs: &[Tensor],
    tolerance: f32,
    fused: impl Fn(&[Tensor]) -> Result<Tensor>,
    composed: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let variables: Vec<Var> = inputs
        .iter()
        .map(|input| Var::from_tensor(input).unwrap())
        .collect();
    let tracked: Vec<Tensor> = variables
        .iter()
        .map(|variable| variable.as_tensor().clone())
        .collect();
    let (found, expected) = (fused(&tracked).unwrap(), composed(&tracked).unwrap());
    check_close(&found, &expected, tolerance);
    let weights = random(expected.dims(), 98);
    let gradients = |out: Tensor| (out * &weights).unwrap().backward().unwrap();
    let (found, expected) = (gradients(found), gradients(expected));
    for variable in &variables {
        check_close(
            found.get(variable).unwrap(),
            expected.get(variable).unwrap(),
            tolerance,
        );
    }
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
}

/// Compares two tensors number by number.
#[track_caller]
pub(super) fn check_close(found: &Tensor, expected: &Tensor, tolerance: f32) {
    assert_eq!(found.dims(), expected.dims());
    for (index, (found, expected)) in flat(found).iter().zip(flat(expected)).enumerate() {
        let error = (found - expected).abs();
        assert!(
            error <= tolerance * (1.0 + expected.abs()),
            "at {index}: {found}, expected {expected}"
        );
    }
}

/// Compares the gradients of `operation` at `inputs`, as `backward` gives them, with central differences. The output
/// is weighted by fixed random numbers and summed, so that every output counts in its own way.
#[track_caller]
pub(super) fn check_gradients(inputs: &[Tensor], operation: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let weighted = |inputs: &[Tensor]| {
        let out = operation(inputs).unwrap();
        let weights = random(out.dims(), 99);
        (out * weights).unwrap().sum_all().unwrap()
    };
    let variables: Vec<Var> = inputs
        .iter()
        .map(|input| Var::from_tensor(input).unwrap())
        .collect();
    let tracked: Vec<Tensor> = variables
        .iter()
        .map(|variable| variable.as_tensor().clone())
        .collect();
    let gradients = weighted(&tracked).backward().unwrap();
    for (which, variable) in variables.iter().enumerate() {
        let gradient = flat(gradients.get(variable).expect("a gradient"));
        for (index, found) in gradient.iter().enumerate() {
            let at = |delta: f32| {
                let mut moved = inputs.to_vec();
                let mut values = flat(&inputs[which]);
                values[index] += delta;
                moved[which] =
                    Tensor::from_vec(values, inputs[which].dims(), &Device::Cpu).unwrap();
                f64::from(weighted(&moved).to_scalar::<f32>().unwrap())
            };
            let step = 4e-3;
            let expected = ((at(step) - at(-step)) / (2.0 * f64::from(step))) as f32;
            let error = (found - expected).abs();
            assert!(
                error <= 2e-3 * (1.0 + expected.abs()),
                "input {which}, element {index}: gradient {found}, finite difference {expected}"
            );
        }
    }
}
