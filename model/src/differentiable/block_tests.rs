#![expect(clippy::unwrap_used, reason = "tests")]

use candle_core::Var;
use proptest::prelude::*;

use super::*;
use crate::differentiable::test_support::{
    check_captured_gradients, check_close, check_same_captured, gradient, gradients_of, random,
};
use crate::differentiable::{
    AttentionShape, Retention, Rotary, composed, dropout, layers, linear, linear_add,
};
use crate::kernels::simd::{InstructionSet, with_instructions};

const EPSILON: f32 = 1e-3;

/// What a stack of blocks is made for.
#[derive(Clone, Debug)]
struct Case {
    shape: AttentionShape,
    width: usize,
    inner: usize,
    /// First row of each document, and the number of rows.
    offsets: Vec<usize>,
    blocks: usize,
    dropout: f32,
}

impl Case {
    fn small() -> Self {
        Self {
            shape: AttentionShape {
                heads: 2,
                key_value_heads: 1,
                head_dim: 4,
            },
            width: 6,
            inner: 5,
            offsets: vec![0, 3, 7],
            blocks: 2,
            dropout: 0.0,
        }
    }

    /// The input, then the weights of each block.
    fn tensors(&self, seed: u64) -> Vec<Tensor> {
        let (columns, queries) = (self.shape.columns(), self.shape.query_width());
        let shapes: [&[usize]; 6] = [
            &[self.width],
            &[columns, self.width],
            &[self.width, queries],
            &[self.width],
            &[2 * self.inner, self.width],
            &[self.width, self.inner],
        ];
        let weights = (0..self.blocks).flat_map(|_| shapes);
        let tokens = self.offsets[self.offsets.len() - 1];
        let mut tensors = vec![random(&[tokens, self.width], seed)];
        tensors.extend(weights.zip(1..).map(|(shape, n)| random(shape, seed ^ n)));
        tensors
    }

    fn attention(&self) -> Attention {
        let rotary = Arc::new(Rotary::new(self.shape.head_dim, 100, 100.0));
        Attention::new(self.shape, rotary, Arc::from(&self.offsets[..])).unwrap()
    }

    fn seeds(block: usize) -> [u64; 2] {
        [7 + block as u64, 1007 + block as u64]
    }

    fn layers(&self, tensors: &[Tensor], gradients: &Arc<Gradients>) -> Vec<TransformerBlock> {
        let blocks = tensors[1..].chunks(6).enumerate();
        let block = |(index, tensors): (usize, &[Tensor])| {
            let dropout = BlockDropout {
                share: self.dropout,
                seeds: Self::seeds(index),
            };
            TransformerBlock::new(
                weights(tensors),
                EPSILON,
                Precision::F32,
                self.attention(),
                Arc::clone(gradients),
            )
            .unwrap()
            .with_dropout(Some(dropout))
        };
        blocks.map(block).collect()
    }

    fn run(
        &self,
        tensors: &[Tensor],
        gradients: &Arc<Gradients>,
        retention: Retention,
    ) -> Result<Tensor> {
        layers(&tensors[0], self.layers(tensors, gradients), retention)
    }

    /// The same out of single operations.
    fn composed(&self, tensors: &[Tensor]) -> Result<Tensor> {
        let mut x = tensors[0].clone();
        for (index, tensors) in tensors[1..].chunks(6).enumerate() {
            let seeds = Self::seeds(index);
            let branch = |x: &Tensor, rows: &Tensor, weight: &Tensor, seed| {
                if self.dropout > 0.0 {
                    x + dropout(&linear(rows, weight, Precision::F32)?, self.dropout, seed)?
                } else {
                    linear_add(x, rows, weight, Precision::F32)
                }
            };
            let normal = composed::rms_norm(&x, &tensors[0], EPSILON)?;
            let attended =
                self.attention()
                    .forward(&linear(&normal, &tensors[1], Precision::F32)?)?;
            let middle = branch(&x, &attended, &tensors[2], seeds[0])?;
            let normal = composed::rms_norm(&middle, &tensors[3], EPSILON)?;
            let gate_up = linear(&normal, &tensors[4], Precision::F32)?;
            let activated = composed::swiglu(&gate_up)?;
            x = branch(&middle, &activated, &tensors[5], seeds[1])?;
        }
        Ok(x)
    }
}

fn weights(tensors: &[Tensor]) -> BlockWeights {
    let weight = |index: usize| tensors[index].clone();
    BlockWeights {
        attention_norm: weight(0),
        queries_keys_values: weight(1),
        attention_out: weight(2),
        feed_forward_norm: weight(3),
        gate_up: weight(4),
        down: weight(5),
    }
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

fn variables(tensors: &[Tensor]) -> (Vec<Var>, Vec<Tensor>) {
    let variables = tensors
        .iter()
        .map(|tensor| Var::from_tensor(tensor).unwrap());
    let variables: Vec<Var> = variables.collect();
    let tracked = variables
        .iter()
        .map(|variable| variable.as_tensor().clone());
    let tracked = tracked.collect();
    (variables, tracked)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn agrees_with_the_operations_that_it_is_made_of(
        lengths in prop::collection::vec(0..80_usize, 1..4),
        group in 1..3_usize,
        key_value_heads in 1..3_usize,
        half in 1..9_usize,
        width in 1..50_usize,
        inner in 1..70_usize,
        blocks in 1..3_usize,
        dropout in prop_oneof![Just(0.0_f32), Just(0.3)],
        recompute: bool,
        seed: u64,
    ) {
        let mut offsets = vec![0];
        for length in lengths {
            offsets.push(offsets[offsets.len() - 1] + length);
        }
        offsets.push(offsets[offsets.len() - 1] + 1);
        let case = Case {
            shape: AttentionShape {
                heads: group * key_value_heads,
                key_value_heads,
                head_dim: 2 * half,
            },
            width,
            inner,
            offsets,
            blocks,
            dropout,
        };
        let retention = if recompute { Retention::Inputs } else { Retention::Activations };
        let mut tensors = case.tensors(seed);
        for weight in &mut tensors[1..] {
            *weight = (&*weight * 0.5).unwrap();
        }
        check_same_captured(
            &tensors,
            1e-3,
            |v, gradients| case.run(v, gradients, retention),
            |v| case.composed(v),
        );
    }
}

#[test]
fn gradients_agree_with_finite_differences_with_every_instruction_set() {
    for dropout in [0.0, 0.25] {
        let case = Case {
            dropout,
            ..Case::small()
        };
        for instructions in InstructionSet::available() {
            with_instructions(instructions, || {
                check_captured_gradients(&case.tensors(3), |v, gradients| {
                    case.run(v, gradients, Retention::Activations)
                });
            });
        }
    }
}

#[test]
fn computing_again_changes_no_bit_also_where_half_is_kept() {
    let case = Case {
        dropout: 0.2,
        ..Case::small()
    };
    let (variables, tracked) = variables(&case.tensors(1));
    for half in [false, true] {
        let run = |retention| {
            let mut out = Vec::new();
            let gradients = gradients_of(&variables, |gradients| {
                let mut blocks = case.layers(&tracked, gradients);
                for block in &mut blocks {
                    block.half = half;
                }
                let y = layers(&tracked[0], blocks, retention).unwrap();
                out = bits(&y);
                y.sqr().unwrap()
            });
            let found = variables.iter().map(|v| bits(&gradient(&gradients, v)));
            (out, found.collect::<Vec<_>>())
        };
        assert_eq!(run(Retention::Inputs), run(Retention::Activations));
    }
}

#[test]
fn what_is_kept_in_half_turns_the_gradient_a_little() {
    let case = Case {
        offsets: vec![0, 40, 90],
        ..Case::small()
    };
    let (variables, tracked) = variables(&case.tensors(1));
    let [full, half] = [false, true].map(|half| {
        gradients_of(&variables, |gradients| {
            let mut blocks = case.layers(&tracked, gradients);
            for block in &mut blocks {
                block.half = half;
            }
            let y = layers(&tracked[0], blocks, Retention::Activations).unwrap();
            y.sqr().unwrap()
        })
    });
    let mut differ = 0;
    for variable in &variables {
        let [full, half] = [&full, &half].map(|found| gradient(found, variable));
        let difference = (&full - &half).unwrap().sqr().unwrap().sum_all().unwrap();
        let length = full.sqr().unwrap().sum_all().unwrap();
        let share = (difference / length).unwrap().to_scalar::<f32>().unwrap();
        // Numbers are off by up to one part in 2^8, to the root of the mean of the squares less than half of it.
        assert!(share.sqrt() < 2e-3, "{share}");
        differ += usize::from(share > 0.0);
    }
    assert_eq!(differ, variables.len(), "rounding reaches every gradient");
}

#[test]
fn frozen_weights_get_no_gradient_and_change_no_other() {
    let case = Case::small();
    let (variables, tracked) = variables(&case.tensors(1));
    let run = |trained: &[Var]| {
        gradients_of(trained, |gradients| {
            let y = case.run(&tracked, gradients, Retention::Activations);
            y.unwrap().sqr().unwrap()
        })
    };
    let whole = run(&variables);
    for (frozen, variable) in variables.iter().enumerate() {
        let mut trained = variables.clone();
        trained.remove(frozen);
        let found = run(&trained);
        assert!(found.with(variable, <[f32]>::len).is_none());
        for variable in &trained {
            let (found, whole) = (gradient(&found, variable), gradient(&whole, variable));
            assert_eq!(bits(&found), bits(&whole));
        }
    }
}

#[test]
fn blocks_learn_from_a_constant_and_add_up_over_passes() {
    let case = Case::small();
    let (variables, mut tracked) = variables(&case.tensors(1));
    tracked[0] = tracked[0].detach();
    let variables = &variables[1..];
    let loss = |gradients: &Arc<Gradients>| {
        let y = case.run(&tracked, gradients, Retention::Activations);
        y.unwrap().sqr().unwrap()
    };
    let once = gradients_of(variables, loss);
    let twice = gradients_of(variables, |gradients| {
        loss(gradients).backward().unwrap();
        loss(gradients)
    });
    for variable in variables {
        let doubled = (gradient(&once, variable) * 2.0).unwrap();
        check_close(&gradient(&twice, variable), &doubled, 1e-5);
    }
    twice.clear();
    assert!(twice.with(&variables[0], <[f32]>::len).is_none());
}

#[test]
fn where_nothing_is_kept_the_result_is_the_same_and_has_no_way_back() {
    let case = Case::small();
    let (_, tracked) = variables(&case.tensors(1));
    let run = |retention| case.run(&tracked, &Arc::default(), retention).unwrap();
    let kept = run(Retention::Activations);
    let forgotten = run(Retention::Nothing);
    assert_eq!(bits(&forgotten), bits(&kept));
    assert!(!forgotten.track_op() && kept.track_op());
    assert!(kept.backward().is_ok());
    assert!(kept.backward().is_err(), "backward may run once");
}

#[test]
fn what_does_not_fit_is_refused() {
    let case = Case::small();
    let tensors = case.tensors(1);
    let new = |tensors: &[Tensor]| {
        let (attention, gradients) = (case.attention(), Arc::default());
        TransformerBlock::new(
            weights(tensors),
            EPSILON,
            Precision::F32,
            attention,
            gradients,
        )
    };
    assert!(new(&tensors[1..7]).is_ok());
    for (weight, shape) in [(1, [17, 6]), (2, [6, 9]), (4, [11, 6]), (5, [7, 5])] {
        let mut wrong = tensors[1..7].to_vec();
        wrong[weight] = random(&shape, 1);
        assert!(new(&wrong).is_err(), "weight {weight}");
    }
    let mut wrong = tensors[1..7].to_vec();
    wrong[3] = random(&[7], 1);
    assert!(new(&wrong).is_err(), "the second norm");
    let mut longer = tensors.clone();
    longer[0] = random(&[8, 6], 1);
    assert!(
        case.run(&longer, &Arc::default(), Retention::Activations)
            .is_err()
    );
}
