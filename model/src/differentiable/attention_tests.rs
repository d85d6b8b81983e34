#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::differentiable::test_support::{check_close, check_gradients, check_same, random};

const SHAPE: AttentionShape = AttentionShape {
    heads: 4,
    key_value_heads: 2,
    head_dim: 6,
};

fn attention(offsets: &[usize]) -> Attention {
    let rotary = Arc::new(Rotary::new(SHAPE.head_dim, 16, 100.0));
    Attention::new(SHAPE, rotary, Arc::from(offsets)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Documents of less than a tile, of several and at the edges of one; heads narrower and wider than a tile's columns.
    #[test]
    fn agrees_with_the_composed_form_document_by_document(
        lengths in prop::collection::vec(prop_oneof![0..9_usize, 60..68_usize, 100..200_usize], 1..4),
        group in 1..4_usize,
        key_value_heads in 1..3_usize,
        half in prop_oneof![1..9_usize, 16..20_usize, Just(32)],
        seed: u64,
    ) {
        let shape = AttentionShape {
            heads: group * key_value_heads,
            key_value_heads,
            head_dim: 2 * half,
        };
        let mut offsets = vec![0];
        for length in lengths {
            offsets.push(offsets[offsets.len() - 1] + length);
        }
        let tokens = offsets[offsets.len() - 1].max(1);
        if let Some(last) = offsets.last_mut() {
            *last = tokens;
        }
        let rotary = Arc::new(Rotary::new(shape.head_dim, 201, 100.0));
        let attention = Attention::new(shape, Arc::clone(&rotary), Arc::from(&offsets[..])).unwrap();
        // Scores of some size, so that the softmax has something to say.
        let input = (random(&[tokens, shape.columns()], seed) * 2.0).unwrap();
        check_same(
            &[input],
            3e-4,
            |v| attention.forward(&v[0]),
            |v| composed::attention(&v[0], shape, &rotary, &offsets),
        );
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let input = random(&[300, SHAPE.columns()], 5);
    let rotary = Arc::new(Rotary::new(SHAPE.head_dim, 300, 100.0));
    let attention = Attention::new(SHAPE, rotary, Arc::from([0, 3, 220, 300])).unwrap();
    let bits = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let input = candle_core::Var::from_tensor(&input).unwrap();
            let out = attention.forward(&input).unwrap();
            let gradients = out.sqr().unwrap().backward().unwrap();
            [&out, gradients.get(&input).unwrap()].map(|tensor| {
                let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            })
        })
    };
    assert_eq!(bits(1), bits(3));
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
