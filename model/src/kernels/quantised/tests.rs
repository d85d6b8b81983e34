//! Integer products against the weights that they stand for, and against themselves with other instructions.
#![expect(clippy::unwrap_used, reason = "tests")]

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use half::f16;
use proptest::prelude::*;

use super::*;
use crate::block_tensor::{BLOCK, BlockFormat, BlockTensor};
use crate::kernels::matrix::test_values;
use crate::kernels::simd::{on_every_path, with_instructions};

const FORMATS: [(BlockFormat, GgmlDType); 5] = [
    (BlockFormat::Q4_0, GgmlDType::Q4_0),
    (BlockFormat::Q4_1, GgmlDType::Q4_1),
    (BlockFormat::Q5_0, GgmlDType::Q5_0),
    (BlockFormat::Q5_1, GgmlDType::Q5_1),
    (BlockFormat::Q8_0, GgmlDType::Q8_0),
];

/// A matrix as candle quantises it, and what candle makes of that again.
fn quantised(
    (format, kind): (BlockFormat, GgmlDType),
    outputs: usize,
    inputs: usize,
    seed: u64,
) -> (BlockTensor<'static>, Vec<f32>) {
    let values = test_values(outputs * inputs, seed);
    let tensor = Tensor::from_vec(values, (outputs, inputs), &Device::Cpu).unwrap();
    let tensor = QTensor::quantize(&tensor, kind).unwrap();
    let bytes = tensor.data().unwrap().into_owned();
    let weights = tensor.dequantize(&Device::Cpu).unwrap();
    let weights = weights.flatten_all().unwrap().to_vec1().unwrap();
    let tensor = BlockTensor {
        shape: vec![outputs, inputs],
        format,
        bytes: bytes.into(),
    };
    (tensor, weights)
}

/// Every number that the format has, in blocks of random bytes between scales that are numbers.
fn random_blocks(format: BlockFormat, outputs: usize, inputs: usize) -> BlockTensor<'static> {
    let blocks = outputs * inputs / BLOCK;
    let mut bytes = Vec::new();
    for (index, scale) in test_values(blocks, 5).into_iter().enumerate() {
        let halves = if format.has_minimum() { 2 } else { 1 };
        for factor in &[1.0, -8.0][..halves] {
            bytes.extend(f16::from_f32(scale * factor).to_le_bytes());
        }
        let numbers = test_values(format.block_bytes() - 2 * halves, index as u64);
        bytes.extend(numbers.into_iter().map(|x| (x * 128.0).floor() as i8 as u8));
    }
    BlockTensor {
        shape: vec![outputs, inputs],
        format,
        bytes: bytes.into(),
    }
}

fn multiply(matrix: &QuantisedMatrix, x: &[f32]) -> Vec<f32> {
    let rows = x.len() / matrix.inputs();
    let mut out = vec![f32::NAN; rows * matrix.outputs()];
    matrix.multiply(x, &mut out, false, &mut QuantisedRows::default());
    out
}

fn row_of(matrix: &QuantisedMatrix, output: usize) -> Vec<f32> {
    let mut row = vec![f32::NAN; matrix.inputs()];
    matrix.read_row(output, &mut row);
    row
}

/// How far the rounding of `x` and of f32 sums may take the product with `weights` from the exact one.
fn bound(x: &[f32], weights: &[f32], largest_integer: f32) -> f32 {
    let blocks = x.chunks(BLOCK).zip(weights.chunks(BLOCK));
    let rounding: f32 = blocks
        .clone()
        .map(|(x, weights)| {
            let step = x.iter().fold(0.0_f32, |a, b| a.max(b.abs())) / largest_integer;
            weights.iter().map(|w| w.abs()).sum::<f32>() * step / 2.0
        })
        .sum();
    // A minimum may make large terms of a small product, and each block adds a few roundings of them.
    let terms: f32 = blocks
        .map(|(x, weights)| {
            let most = |values: &[f32]| values.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
            3.0 * BLOCK as f32 * most(x) * most(weights)
        })
        .sum();
    let sums = (x.len() / BLOCK + 4) as f32 * f32::EPSILON * terms;
    1.001 * rounding + sums
}

#[test]
fn rows_are_those_of_the_dequantised_file() {
    for format in FORMATS {
        let (tensor, weights) = quantised(format, 21, 96, 3);
        let matrix = QuantisedMatrix::pack(&[tensor], 96);
        for (output, expected) in weights.chunks(96).enumerate() {
            assert_eq!(row_of(&matrix, output), expected, "{format:?}");
        }
    }
}

#[test]
fn stacked_tensors_of_several_formats_keep_their_places() {
    let outputs = [3, 16, 40, 17, 1];
    let parts: Vec<_> = FORMATS
        .into_iter()
        .zip(outputs)
        .map(|(format, outputs)| quantised(format, outputs, 64, 4))
        .collect();
    let tensors: Vec<_> = parts.iter().map(|(tensor, _)| tensor.clone()).collect();
    let matrix = QuantisedMatrix::pack(&tensors, 64);
    assert_eq!(matrix.outputs(), 77);
    let weights: Vec<f32> = parts
        .iter()
        .flat_map(|(_, weights)| weights.clone())
        .collect();
    let x = test_values(3 * 64, 9);
    let products = multiply(&matrix, &x);
    for (output, expected) in weights.chunks(64).enumerate() {
        assert_eq!(row_of(&matrix, output), expected);
        for (row, x) in x.chunks(64).enumerate() {
            let exact: f32 = x.iter().zip(expected).map(|(x, w)| x * w).sum();
            let difference = (products[row * 77 + output] - exact).abs();
            assert!(difference <= bound(x, expected, 127.0), "output {output}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn products_are_within_the_rounding_of_the_inputs(
        format in 0..FORMATS.len(),
        rows in 1..11_usize,
        outputs in 1..50_usize,
        blocks in 1..6_usize,
        seed in 0..1000_u64,
        size in -20..20_i32,
    ) {
        let inputs = blocks * BLOCK;
        let (tensor, weights) = quantised(FORMATS[format], outputs, inputs, seed);
        let largest = if tensor.format.is_four_bit() { 127.0 } else { 32_767.0 };
        let matrix = QuantisedMatrix::pack(&[tensor], inputs);
        let scale = 2.0_f32.powi(size);
        let x: Vec<f32> = test_values(rows * inputs, seed + 1).iter().map(|x| x * scale).collect();
        on_every_path(|instructions| {
            let products = multiply(&matrix, &x);
            for (row, x) in x.chunks(inputs).enumerate() {
                for (output, weights) in weights.chunks(inputs).enumerate() {
                    let exact: f64 = x.iter().zip(weights).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                    let difference = (f64::from(products[row * outputs + output]) - exact).abs();
                    let bound = f64::from(bound(x, weights, largest));
                    assert!(difference <= bound, "{instructions:?}: {difference} is more than {bound}");
                }
            }
        });
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    for (format, _) in FORMATS {
        for (rows, outputs, inputs) in [
            (1, 1, 32),
            (2, 17, 64),
            (3, 48, 160),
            (4, 16, 96),
            (11, 70, 224),
        ] {
            let matrix = QuantisedMatrix::pack(&[random_blocks(format, outputs, inputs)], inputs);
            let x: Vec<f32> = test_values(rows * inputs, 6)
                .iter()
                .map(|x| x * 9.0)
                .collect();
            let expected = with_instructions(InstructionSet::Portable, || multiply(&matrix, &x));
            assert!(expected.iter().all(|value| value.is_finite()));
            for instructions in InstructionSet::available() {
                let got = with_instructions(instructions, || multiply(&matrix, &x));
                assert_eq!(got, expected, "{format:?}, {instructions:?}, {rows} rows");
            }
        }
    }
}

#[test]
fn a_row_comes_out_the_same_alone_and_among_others() {
    for instructions in InstructionSet::available() {
        for (format, _) in FORMATS {
            let (outputs, inputs, rows) = (70, 96, 23);
            let matrix = QuantisedMatrix::pack(&[random_blocks(format, outputs, inputs)], inputs);
            let x = test_values(rows * inputs, 1);
            with_instructions(instructions, || {
                let together = multiply(&matrix, &x);
                for (row, x) in x.chunks(inputs).enumerate() {
                    let expected = &together[row * outputs..][..outputs];
                    assert_eq!(multiply(&matrix, x), expected, "{format:?}, row {row}");
                }
            });
        }
    }
}

#[test]
fn accumulating_adds_the_product() {
    let (tensor, _) = quantised(FORMATS[1], 33, 64, 2);
    let matrix = QuantisedMatrix::pack(&[tensor], 64);
    let x = test_values(5 * 64, 3);
    let before = test_values(5 * 33, 4);
    on_every_path(|instructions| {
        let mut out = before.clone();
        matrix.multiply(&x, &mut out, true, &mut QuantisedRows::default());
        let products = multiply(&matrix, &x);
        let expected: Vec<f32> = before.iter().zip(products).map(|(a, b)| a + b).collect();
        assert_eq!(out, expected, "{instructions:?}");
    });
}

#[test]
fn the_largest_numbers_overflow_nothing() {
    for (format, _) in FORMATS {
        for byte in [0_u8, 0x7f, 0x80, 0xff] {
            let halves = if format.has_minimum() { 2 } else { 1 };
            let mut block = vec![byte; format.block_bytes()];
            for half in block.chunks_mut(2).take(halves) {
                half.copy_from_slice(&f16::ONE.to_le_bytes());
            }
            let tensor = BlockTensor {
                shape: vec![16, 64],
                format,
                bytes: block.repeat(32).into(),
            };
            let matrix = QuantisedMatrix::pack(&[tensor], 64);
            let sum: f32 = row_of(&matrix, 0).iter().sum();
            for x in [1.0, -1.0] {
                let products = multiply(&matrix, &[x; 64]);
                let expected = x * sum;
                for instructions in InstructionSet::available() {
                    let got = with_instructions(instructions, || multiply(&matrix, &[x; 64]));
                    assert_eq!(got, products, "{format:?}, {instructions:?}");
                }
                let difference = (products[0] - expected).abs();
                assert!(
                    difference < 1e-3,
                    "{format:?}: {} instead of {expected}",
                    products[0]
                );
            }
        }
    }
}

#[test]
fn what_is_no_number_stays_none_and_zeros_stay_zero() {
    for format in FORMATS {
        let (tensor, _) = quantised(format, 16, 64, 2);
        let matrix = QuantisedMatrix::pack(&[tensor], 64);
        let mut rows = test_values(5 * 64, 3);
        rows[3] = f32::NAN;
        rows[64 + 40] = f32::INFINITY;
        rows[2 * 64 + 9] = f32::NEG_INFINITY;
        rows[3 * 64..4 * 64].fill(0.0);
        rows[4 * 64..].fill(f32::from_bits(1));
        for instructions in InstructionSet::available() {
            let products = with_instructions(instructions, || multiply(&matrix, &rows));
            assert!(
                products[..3 * 16].iter().all(|value| !value.is_finite()),
                "{format:?}"
            );
            assert!(
                products[3 * 16..].iter().all(|value| *value == 0.0),
                "{format:?}"
            );
        }
    }
}

#[test]
fn memory_left_over_from_a_larger_product_does_not_show() {
    let (tensor, _) = quantised(FORMATS[4], 16, 64, 2);
    let matrix = QuantisedMatrix::pack(&[tensor], 64);
    let mut rounded = QuantisedRows::default();
    let mut out = vec![0.0; 40 * 16];
    matrix.multiply(&[f32::NAN; 40 * 64], &mut out, false, &mut rounded);
    let x = test_values(64, 1);
    matrix.multiply(&x, &mut out[..16], false, &mut rounded);
    assert_eq!(out[..16], multiply(&matrix, &x));
}
