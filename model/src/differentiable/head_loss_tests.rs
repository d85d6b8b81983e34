#![expect(clippy::unwrap_used, reason = "tests")]

use candle_core::D;

use super::*;
use crate::differentiable::test_support::{
    check_captured_gradients, check_close, check_same_captured, gradient, gradients_of, random,
};
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
    check_same_captured(
        &[random(&[5, 4], 1), random(&[VOCABULARY, 4], 2)],
        1e-5,
        |v, gradients| head_loss(&v[0], &v[1], targets(), Precision::F32, gradients)? * 3.0,
        |v| composed(&v[0], &v[1], &targets()) * 3.0,
    );
}

#[test]
fn gradients_agree_with_finite_differences_with_every_instruction_set() {
    for instructions in InstructionSet::available() {
        with_instructions(instructions, || {
            check_captured_gradients(
                &[random(&[5, 4], 3), random(&[VOCABULARY, 4], 4)],
                |v, gradients| head_loss(&v[0], &v[1], targets(), Precision::F32, gradients),
            );
        });
    }
}

#[test]
fn blocks_of_rows_add_up() {
    let rows = block_rows(4) + 37;
    let (hidden, head) = (random(&[rows, 4], 5), random(&[VOCABULARY, 4], 6));
    let targets: Vec<_> = targets().into_iter().cycle().take(rows).collect();
    let losses = head_losses(&hidden, &head, &targets, Precision::F32).unwrap();
    let total = head_loss(
        &hidden,
        &head,
        targets.clone(),
        Precision::F32,
        &Arc::default(),
    )
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
    assert!(head_loss(&hidden, &head, vec![past], Precision::F32, &Arc::default()).is_err());
    assert!(head_loss(&hidden, &head, vec![], Precision::F32, &Arc::default()).is_err());
}

#[test]
fn backward_twice_is_an_error_and_not_a_wrong_gradient() {
    let hidden = candle_core::Var::from_tensor(&random(&[5, 4], 1)).unwrap();
    let head = random(&[VOCABULARY, 4], 2);
    let loss = head_loss(&hidden, &head, targets(), Precision::F32, &Arc::default()).unwrap();
    assert!(loss.backward().is_ok());
    assert!(loss.backward().is_err());
}

#[test]
fn a_frozen_head_gets_no_gradient_and_changes_no_other() {
    let hidden = candle_core::Var::from_tensor(&random(&[5, 4], 1)).unwrap();
    let head = candle_core::Var::from_tensor(&random(&[VOCABULARY, 4], 2)).unwrap();
    let gradients = |trained: &[candle_core::Var]| {
        gradients_of(trained, |gradients| {
            head_loss(&hidden, &head, targets(), Precision::F32, gradients).unwrap()
        })
    };
    let whole = gradients(&[hidden.clone(), head.clone()]);
    let frozen = gradients(std::slice::from_ref(&hidden));
    assert!(frozen.with(&head, <[f32]>::len).is_none());
    check_close(&gradient(&frozen, &hidden), &gradient(&whole, &hidden), 0.0);
}

#[test]
fn a_head_learns_from_states_that_are_constants_and_adds_up_over_passes() {
    let hidden = random(&[5, 4], 1);
    let head = candle_core::Var::from_tensor(&random(&[VOCABULARY, 4], 2)).unwrap();
    let variables = [head.clone()];
    let loss = |gradients: &Arc<Gradients>| {
        head_loss(&hidden, &head, targets(), Precision::F32, gradients).unwrap()
    };
    let once = gradients_of(&variables, loss);
    let twice = gradients_of(&variables, |gradients| {
        loss(gradients).backward().unwrap();
        loss(gradients)
    });
    let doubled = (gradient(&once, &head) * 2.0).unwrap();
    check_close(&gradient(&twice, &head), &doubled, 1e-6);
}

#[test]
fn bfloat16_is_near_the_composed_form() {
    let width = 40;
    let rows = block_rows(width) + 5;
    let hidden = candle_core::Var::from_tensor(&random(&[rows, width], 11)).unwrap();
    let head = candle_core::Var::from_tensor(&random(&[VOCABULARY, width], 12)).unwrap();
    let targets: Vec<_> = targets().into_iter().cycle().take(rows).collect();
    let expected = composed(&hidden, &head, &targets);
    let variables = [hidden.clone(), head.clone()];
    let found = gradients_of(&variables, |gradients| {
        let found = head_loss(&hidden, &head, targets, Precision::Bf16, gradients).unwrap();
        check_close(&found, &expected, 1e-3);
        found
    });
    let expected = gradients_of(&variables, |_| expected.clone());
    for (variable, tolerance) in [(&hidden, 2e-2), (&head, 0.1)] {
        check_close(
            &gradient(&found, variable),
            &gradient(&expected, variable),
            tolerance,
        );
    }
}
