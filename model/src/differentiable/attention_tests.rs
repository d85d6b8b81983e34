#![expect(clippy::unwrap_used, reason = "tests")]

use candle_core::{D, Device};

use super::*;
use crate::differentiable::test_support::{check_close, check_gradients, random};

const SHAPE: AttentionShape = AttentionShape {
    heads: 4,
    key_value_heads: 2,
    head_dim: 6,
};

fn attention(offsets: &[usize]) -> Attention {
    let rotary = Arc::new(Rotary::new(SHAPE.head_dim, 16, 100.0));
    Attention::new(SHAPE, rotary, Arc::from(offsets)).unwrap()
}

/// Rotates `[heads, tokens, head_dim]` as Hugging Face's Llama does: `x * cos + rotate_half(x) * sin`.
fn rotated(x: &Tensor) -> Tensor {
    let (_, tokens, head_dim) = x.dims3().unwrap();
    let half = head_dim / 2;
    let angle = |position: usize, channel: usize| {
        position as f32 * 100f32.powf(-2.0 * (channel % half) as f32 / head_dim as f32)
    };
    let angles: Vec<f32> = (0..tokens)
        .flat_map(|p| (0..head_dim).map(move |c| angle(p, c)))
        .collect();
    let angles = Tensor::from_vec(angles, (tokens, head_dim), &Device::Cpu).unwrap();
    let (low, high) = (
        x.narrow(2, 0, half).unwrap(),
        x.narrow(2, half, half).unwrap(),
    );
    let turned = Tensor::cat(&[&high.neg().unwrap(), &low], 2).unwrap();
    let cosine = x.broadcast_mul(&angles.cos().unwrap()).unwrap();
    (cosine + turned.broadcast_mul(&angles.sin().unwrap()).unwrap()).unwrap()
}

/// The textbook form of one document, head by head.
fn composed(input: &Tensor) -> Tensor {
    let tokens = input.dim(0).unwrap();
    let part = |start: usize, heads: usize| {
        let columns = input
            .narrow(1, start * SHAPE.head_dim, heads * SHAPE.head_dim)
            .unwrap();
        let split = columns.reshape((tokens, heads, SHAPE.head_dim)).unwrap();
        split.transpose(0, 1).unwrap().contiguous().unwrap()
    };
    let queries = rotated(&part(0, 4));
    let repeat = |x: Tensor| {
        Tensor::stack(&[&x, &x], 1)
            .unwrap()
            .reshape((4, tokens, SHAPE.head_dim))
            .unwrap()
    };
    let keys = repeat(rotated(&part(4, 2)));
    let values = repeat(part(6, 2));
    let scores =
        (queries.matmul(&keys.t().unwrap()).unwrap() / (SHAPE.head_dim as f64).sqrt()).unwrap();
    let mask: Vec<f32> = (0..tokens)
        .flat_map(|i| (0..tokens).map(move |j| if j <= i { 0.0 } else { -1e9 }))
        .collect();
    let mask = Tensor::from_vec(mask, (tokens, tokens), &Device::Cpu).unwrap();
    let scores = scores.broadcast_add(&mask).unwrap();
    let exponents = scores
        .broadcast_sub(&scores.max_keepdim(D::Minus1).unwrap())
        .unwrap()
        .exp()
        .unwrap();
    let probabilities = exponents
        .broadcast_div(&exponents.sum_keepdim(D::Minus1).unwrap())
        .unwrap();
    let out = probabilities.matmul(&values).unwrap();
    out.transpose(0, 1)
        .unwrap()
        .reshape((tokens, SHAPE.query_width()))
        .unwrap()
}

#[test]
fn agrees_with_the_composed_form_document_by_document() {
    let offsets = [0, 5, 6, 13];
    let input = random(&[13, SHAPE.columns()], 1);
    let documents: Vec<Tensor> = offsets
        .windows(2)
        .map(|pair| composed(&input.narrow(0, pair[0], pair[1] - pair[0]).unwrap()))
        .collect();
    let expected = Tensor::cat(&documents, 0).unwrap();
    check_close(
        &attention(&offsets).forward(&input).unwrap(),
        &expected,
        1e-5,
    );
}

#[test]
fn a_document_does_not_see_the_others() {
    let input = random(&[9, SHAPE.columns()], 2);
    let packed = attention(&[0, 4, 9]).forward(&input).unwrap();
    let alone = attention(&[0, 5])
        .forward(&input.narrow(0, 4, 5).unwrap())
        .unwrap();
    check_close(&packed.narrow(0, 4, 5).unwrap(), &alone, 0.0);
}

#[test]
fn gradients_agree_with_finite_differences() {
    check_gradients(&[random(&[7, SHAPE.columns()], 3)], |v| {
        attention(&[0, 4, 7]).forward(&v[0])
    });
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let rotary = Arc::new(Rotary::new(SHAPE.head_dim, 4, 100.0));
    let new =
        |shape, offsets: &[usize]| Attention::new(shape, Arc::clone(&rotary), Arc::from(offsets));
    assert!(new(SHAPE, &[0, 5]).is_err(), "longer than the tables");
    assert!(new(SHAPE, &[1, 3]).is_err(), "not from 0");
    assert!(new(SHAPE, &[0, 3, 2]).is_err(), "not ascending");
    assert!(
        new(
            AttentionShape {
                key_value_heads: 3,
                ..SHAPE
            },
            &[0, 2]
        )
        .is_err()
    );
    let fits = new(SHAPE, &[0, 2]).unwrap();
    assert!(fits.forward(&random(&[3, SHAPE.columns()], 1)).is_err());
    assert!(fits.forward(&random(&[2, SHAPE.columns() + 1], 1)).is_err());
}
