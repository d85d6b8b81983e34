#![expect(clippy::unwrap_used, reason = "tests")]

use candle_core::D;

use super::*;
use crate::differentiable::test_support::{check_close, check_gradients, random};
use crate::kernels::simd::{InstructionSet, with_instructions};

const VOCABULARY: usize = 9;

fn soft(weight: f32, entries: &[(u32, f32)], tail: f32) -> TargetTerm {
    let (ids, probabilities) = entries.iter().copied().unzip();
    TargetTerm {
        weight,
        ids,
        probabilities,
        tail,
    }
}

fn targets() -> Vec<HeadTarget> {
    let rows = vec![
        vec![TargetTerm::token(3, 1.0)],
        vec![],
        vec![soft(0.7, &[(0, 0.25), (8, 0.75)], 0.0)],
        vec![soft(1.5, &[(1, 0.5), (4, 0.2), (5, 0.0)], 0.3)],
        vec![
            TargetTerm::token(2, 0.4),
            soft(0.6, &[(2, 0.6), (7, 0.1)], 0.3),
        ],
    ];
    rows.into_iter().map(|terms| HeadTarget { terms }).collect()
}

/// The definition, in composed operations: dense log-probabilities, then a sum over terms.
fn composed(hidden: &Tensor, head: &Tensor, targets: &[HeadTarget]) -> Tensor {
    let logits = hidden.matmul(&head.t().unwrap()).unwrap();
    let exponents = logits.exp().unwrap();
    let q = exponents
        .broadcast_div(&exponents.sum_keepdim(D::Minus1).unwrap())
        .unwrap();
    let mut total = Tensor::zeros((), candle_core::DType::F32, hidden.device()).unwrap();
    for (row, target) in targets.iter().enumerate() {
        let q = q.get(row).unwrap();
        for term in &target.terms {
            let mut inside = Tensor::zeros((), candle_core::DType::F32, hidden.device()).unwrap();
            let weight = f64::from(term.weight);
            for (&id, &p) in term.ids.iter().zip(&term.probabilities) {
                let q = q.get(id as usize).unwrap();
                inside = (inside + &q).unwrap();
                if p > 0.0 {
                    let log_q = q.log().unwrap();
                    let part =
                        ((log_q - f64::from(p).ln()).unwrap() * (-weight * f64::from(p))).unwrap();
                    total = (total + part).unwrap();
                }
            }
            if term.tail > 0.0 {
                let log_q = (1.0 - inside).unwrap().log().unwrap();
                let tail = f64::from(term.tail);
                let part = ((log_q - tail.ln()).unwrap() * (-weight * tail)).unwrap();
                total = (total + part).unwrap();
            }
        }
    }
    total
}

#[test]
fn loss_and_gradients_agree_with_the_composed_form() {
    let hidden = candle_core::Var::from_tensor(&random(&[5, 4], 1)).unwrap();
    let head = candle_core::Var::from_tensor(&random(&[VOCABULARY, 4], 2)).unwrap();
    let fused = head_loss(&hidden, &head, targets(), Precision::F32).unwrap();
    let expected = composed(&hidden, &head, &targets());
    check_close(&fused, &expected, 1e-5);
    let (fused, expected) = (
        (fused * 3.0).unwrap().backward().unwrap(),
        (expected * 3.0).unwrap().backward().unwrap(),
    );
    for variable in [&hidden, &head] {
        check_close(
            fused.get(variable).unwrap(),
            expected.get(variable).unwrap(),
            1e-5,
        );
    }
}

#[test]
fn gradients_agree_with_finite_differences_with_every_instruction_set() {
    for instructions in InstructionSet::available() {
        with_instructions(instructions, || {
            check_gradients(&[random(&[5, 4], 3), random(&[VOCABULARY, 4], 4)], |v| {
                head_loss(&v[0], &v[1], targets(), Precision::F32)
            });
        });
    }
}

#[test]
fn blocks_of_rows_add_up() {
    let rows = ROWS + 37;
    let (hidden, head) = (random(&[rows, 4], 5), random(&[VOCABULARY, 4], 6));
    let targets: Vec<_> = targets().into_iter().cycle().take(rows).collect();
    let losses = head_losses(&hidden, &head, &targets, Precision::F32).unwrap();
    let total = head_loss(&hidden, &head, targets.clone(), Precision::F32)
        .unwrap()
        .to_scalar::<f32>()
        .unwrap();
    assert!((losses.iter().sum::<f64>() - f64::from(total)).abs() < 1e-3);
    check_close(
        &Tensor::new(total, hidden.device()).unwrap(),
        &composed(&hidden, &head, &targets),
        1e-4,
    );
}

#[test]
fn an_exact_match_costs_nothing() {
    let (hidden, head) = (random(&[1, 4], 7), random(&[VOCABULARY, 4], 8));
    let logits = hidden
        .matmul(&head.t().unwrap())
        .unwrap()
        .flatten_all()
        .unwrap();
    let exponents = logits.exp().unwrap().to_vec1::<f32>().unwrap();
    let total: f32 = exponents.iter().sum();
    let entries: Vec<(u32, f32)> = (0..4)
        .map(|id| (id, exponents[id as usize] / total))
        .collect();
    let tail = 1.0 - entries.iter().map(|entry| entry.1).sum::<f32>();
    let target = HeadTarget {
        terms: vec![soft(1.0, &entries, tail)],
    };
    assert!(head_losses(&hidden, &head, &[target], Precision::F32).unwrap()[0].abs() < 1e-6);
}

#[test]
fn targets_that_do_not_fit_are_refused() {
    let (hidden, head) = (random(&[1, 4], 9), random(&[VOCABULARY, 4], 10));
    let past = HeadTarget {
        terms: vec![TargetTerm::token(VOCABULARY as u32, 1.0)],
    };
    assert!(head_loss(&hidden, &head, vec![past], Precision::F32).is_err());
    assert!(head_loss(&hidden, &head, vec![], Precision::F32).is_err());
}

#[test]
fn backward_twice_is_an_error_and_not_a_wrong_gradient() {
    let hidden = candle_core::Var::from_tensor(&random(&[5, 4], 1)).unwrap();
    let head = random(&[VOCABULARY, 4], 2);
    let loss = head_loss(&hidden, &head, targets(), Precision::F32).unwrap();
    assert!(loss.backward().is_ok());
    assert!(loss.backward().is_err());
}

#[test]
fn a_frozen_head_gets_no_gradient_and_changes_no_other() {
    let hidden = candle_core::Var::from_tensor(&random(&[5, 4], 1)).unwrap();
    let head = candle_core::Var::from_tensor(&random(&[VOCABULARY, 4], 2)).unwrap();
    let gradients = |head: &Tensor| {
        let loss = head_loss(&hidden, head, targets(), Precision::F32).unwrap();
        loss.backward().unwrap()
    };
    let (whole, frozen) = (gradients(&head), gradients(&head.detach()));
    assert!(frozen.get(&head).is_none());
    check_close(
        frozen.get(&hidden).unwrap(),
        whole.get(&hidden).unwrap(),
        0.0,
    );
}

#[test]
fn bfloat16_is_near_the_composed_form() {
    if Precision::Bf16.resolve().is_err() {
        return;
    }
    let (rows, width) = (ROWS + 5, 40);
    let hidden = candle_core::Var::from_tensor(&random(&[rows, width], 11)).unwrap();
    let head = candle_core::Var::from_tensor(&random(&[VOCABULARY, width], 12)).unwrap();
    let targets: Vec<_> = targets().into_iter().cycle().take(rows).collect();
    let expected = composed(&hidden, &head, &targets);
    let found = head_loss(&hidden, &head, targets, Precision::Bf16).unwrap();
    check_close(&found, &expected, 1e-3);
    let (found, expected) = (found.backward().unwrap(), expected.backward().unwrap());
    for (variable, tolerance) in [(&hidden, 2e-2), (&head, 0.1)] {
        check_close(
            found.get(variable).unwrap(),
            expected.get(variable).unwrap(),
            tolerance,
        );
    }
}
