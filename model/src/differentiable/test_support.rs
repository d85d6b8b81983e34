//! Checks that every operation here goes through: finite differences, and agreement with composed forms.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use candle_core::{Device, Result, Tensor, Var};

use super::Gradients;

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
    check_same_captured(inputs, tolerance, |inputs, _| fused(inputs), composed);
}

/// The same for an operation that adds what it finds of its weights to the gradients that it is given.
#[track_caller]
pub(super) fn check_same_captured(
    inputs: &[Tensor],
    tolerance: f32,
    fused: impl Fn(&[Tensor], &Arc<Gradients>) -> Result<Tensor>,
    composed: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let variables = variables(inputs);
    let tracked = tracked(&variables);
    let expected = composed(&tracked).unwrap();
    let weights = random(expected.dims(), 98);
    let found = gradients_of(&variables, |gradients| {
        let found = fused(&tracked, gradients).unwrap();
        check_close(&found, &expected, tolerance);
        (found * &weights).unwrap()
    });
    let expected = gradients_of(&variables, |_| (&expected * &weights).unwrap());
    for variable in &variables {
        check_close(
            &gradient(&found, variable),
            &gradient(&expected, variable),
            tolerance,
        );
    }
}

fn variables(inputs: &[Tensor]) -> Vec<Var> {
    let variables = inputs.iter().map(|input| Var::from_tensor(input).unwrap());
    variables.collect()
}

fn tracked(variables: &[Var]) -> Vec<Tensor> {
    let tensors = variables
        .iter()
        .map(|variable| variable.as_tensor().clone());
    tensors.collect()
}

/// What `backward` of a loss finds of variables, be it in candle's store or in what the operation captured.
pub(super) fn gradients_of(
    variables: &[Var],
    loss: impl FnOnce(&Arc<Gradients>) -> Tensor,
) -> Arc<Gradients> {
    let gradients = Arc::new(Gradients::new(variables));
    let found = loss(&gradients).backward().unwrap();
    gradients.absorb(&found).unwrap();
    gradients
}

/// The gradient that was found of a variable, in the variable's shape.
#[track_caller]
pub(super) fn gradient(gradients: &Gradients, variable: &Var) -> Tensor {
    let values = gradients.with(variable, <[f32]>::to_vec);
    Tensor::from_vec(values.expect("a gradient"), variable.shape(), &Device::Cpu).unwrap()
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
    check_captured_gradients(inputs, |inputs, _| operation(inputs));
}

/// The same for an operation that adds what it finds of its weights to the gradients that it is given.
#[track_caller]
pub(super) fn check_captured_gradients(
    inputs: &[Tensor],
    operation: impl Fn(&[Tensor], &Arc<Gradients>) -> Result<Tensor>,
) {
    let weighted = |inputs: &[Tensor], gradients: &Arc<Gradients>| {
        let out = operation(inputs, gradients).unwrap();
        let weights = random(out.dims(), 99);
        (out * weights).unwrap().sum_all().unwrap()
    };
    let variables = variables(inputs);
    let gradients = gradients_of(&variables, |gradients| {
        weighted(&tracked(&variables), gradients)
    });
    for (which, variable) in variables.iter().enumerate() {
        let gradient = flat(&gradient(&gradients, variable));
        for (index, found) in gradient.iter().enumerate() {
            let at = |delta: f32| {
                let mut moved = inputs.to_vec();
                let mut values = flat(&inputs[which]);
                values[index] += delta;
                moved[which] =
                    Tensor::from_vec(values, inputs[which].dims(), &Device::Cpu).unwrap();
                let loss = weighted(&moved, &Arc::default());
                f64::from(loss.to_scalar::<f32>().unwrap())
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
