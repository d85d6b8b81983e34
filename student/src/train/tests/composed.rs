//! The operations that train on other devices, on the processor: they make the same student as the fused ones.

use limbeck_model::testing::tiny_weights;

use super::*;
use optimizer::{AdamW, Update};
use parameters::Parameters;

/// A plan with a student on the processor.
struct Case<'a> {
    plan: &'a TrainPlan,
    corpus: &'a Corpus,
    parameters: Parameters,
    student: decoder::StudentDecoder,
}

impl<'a> Case<'a> {
    fn new(plan: &'a TrainPlan, corpus: &'a Corpus, start: &WeightMap, composed: bool) -> Self {
        let config = config(plan, tiny_tokenizer().vocab_size()).unwrap();
        let parameters = Parameters::new(&config, start, &plan.freeze, &Device::Cpu).unwrap();
        let student = decoder::StudentDecoder::new(&config, &parameters, Precision::F32).unwrap();
        let student = if composed {
            student.with_composed_forms()
        } else {
            student
        };
        Self {
            plan,
            corpus,
            parameters,
            student,
        }
    }

    /// The loss of the first batch, and the gradient of each parameter; none of one that is frozen.
    fn gradients(&self) -> (f32, Vec<Option<Vec<f32>>>) {
        let batch = timeline::Timeline::new(self.plan, self.corpus).batch(0);
        let dropout = decoder::Dropout {
            share: 0.2,
            seed: 5,
        };
        let loss = self.student.loss(batch, Some(dropout)).unwrap();
        self.student.backward(&loss).unwrap();
        let gradients = self.parameters.0.iter().map(|parameter| {
            let found = self.student.gradients();
            found.with(&parameter.variable, <[f32]>::to_vec)
        });
        (loss.to_scalar().unwrap(), gradients.collect())
    }

    /// Trains, and returns the loss of every step and what is judged at the end.
    fn train(&self) -> (Vec<f32>, held_out::Judged) {
        let plan = self.plan;
        let mut optimizer = AdamW::new(&self.parameters);
        let mut timeline = timeline::Timeline::new(plan, self.corpus);
        let mut losses = Vec::new();
        for number in 0..timeline.steps() {
            let step = step::Step {
                decoder: &self.student,
                parameters: &self.parameters,
                optimizer: &mut optimizer,
                pass_tokens: plan.pass_tokens,
            };
            let update = Update {
                learning_rate: timeline.place(number).learning_rate(plan),
                weight_decay: plan.weight_decay,
                clip: plan.clip,
            };
            let dropout = decoder::Dropout {
                share: plan.dropout,
                seed: number as u64,
            };
            let batch = timeline.batch(number);
            losses.push(step.take(batch, Some(dropout), &update, number).unwrap());
        }
        let judge = held_out::Judge::new(&self.corpus.held_out).unwrap();
        (losses, judge.judge(&self.student).unwrap())
    }
}

/// Labels, texts, and texts with the teacher's candidates, whose rest is a tail.
fn corpus(plan: &TrainPlan) -> Corpus {
    let tokenizer = tiny_tokenizer();
    let teacher_ids: Vec<u32> = (0..tokenizer.vocab_size() as u32).collect();
    let with_candidates = (0..20).map(|i| {
        let text = format!("the {i}");
        let ids = tokenizer.encode(&text, false).into_iter().chain([0]);
        let tokens = ids.map(|id| TeacherToken {
            id,
            top: vec![(id, 0.6_f32.ln()), (40 + i, 0.2_f32.ln())],
        });
        Example {
            id: format!("candidates {i}"),
            input: format!("tell {}", i % 3),
            target: Target::TextWithTop {
                tokens: tokens.collect(),
                text,
            },
        }
    });
    let examples = [labels(60), texts(), with_candidates.collect()].concat();
    let data = TrainData {
        tokenizer: &tokenizer,
        teacher_ids: Some(&teacher_ids),
        examples: &examples,
    };
    Corpus::new(plan, &data).unwrap()
}

/// Everything at once; the same in several passes with separate head and frozen parts.
fn plans() -> [TrainPlan; 2] {
    let plain = TrainPlan {
        epochs: 8.0,
        ..everything()
    };
    let mut other = TrainPlan {
        pass_tokens: Some(100),
        freeze: vec![Part::Embeddings, Part::Layer(0)],
        ..plain.clone()
    };
    other.shape.tied = false;
    [plain, other]
}

#[test]
fn the_whole_gradient_is_the_fused_one() {
    for mut plan in plans() {
        plan.warm_up_epochs = 0.0;
        let corpus = corpus(&plan);
        let config = config(&plan, tiny_tokenizer().vocab_size()).unwrap();
        let start = tiny_weights(&config, 3);
        let [fused, composed] =
            [false, true].map(|composed| Case::new(&plan, &corpus, &start, composed));
        let (fused_loss, expected) = fused.gradients();
        let (loss, found) = composed.gradients();
        assert!(
            (loss - fused_loss).abs() < 1e-5 * fused_loss,
            "{loss} and {fused_loss}"
        );
        let mut frozen = 0;
        let pairs = found.iter().zip(&expected);
        for (parameter, (found, expected)) in fused.parameters.0.iter().zip(pairs) {
            let name = &parameter.name;
            let (Some(found), Some(expected)) = (found, expected) else {
                assert_eq!(found, expected, "{name}");
                assert!(parameter.frozen, "{name} has no gradient");
                frozen += 1;
                continue;
            };
            let largest = expected.iter().fold(0.0_f32, |most, g| most.max(g.abs()));
            assert!(largest > 0.0, "{name} has a zero gradient");
            for (found, expected) in found.iter().zip(expected) {
                let error = (found - expected).abs();
                assert!(
                    error < 1e-4 * largest,
                    "{name}: {found}, expected {expected}"
                );
            }
        }
        assert_eq!(frozen, if plan.freeze.is_empty() { 0 } else { 7 });
        let bits = |gradients: &[Option<Vec<f32>>]| format!("{gradients:?}");
        assert_ne!(bits(&found), bits(&expected), "it was the same code");
    }
}

#[test]
fn a_whole_training_has_the_losses_of_the_fused_one() {
    for plan in plans() {
        let corpus = corpus(&plan);
        let config = config(&plan, tiny_tokenizer().vocab_size()).unwrap();
        let start = parameters::initial_weights(&config, &InitialWeights::Random, 1).unwrap();
        let train = |composed| Case::new(&plan, &corpus, &start, composed).train();
        let ((fused, fused_judged), (composed, judged)) = (train(false), train(true));
        assert!(fused.len() > 30, "{} steps", fused.len());
        for (step, (fused, composed)) in fused.iter().zip(&composed).enumerate() {
            let difference = (fused - composed).abs();
            assert!(difference < 2e-3, "step {step}: {fused} and {composed}");
        }
        let difference = (fused_judged.loss - judged.loss).abs();
        assert!(difference < 2e-3, "{fused_judged:?} and {judged:?}");
        let (first, last) = (composed[0], composed[composed.len() - 1]);
        assert!(last < 0.7 * first, "{first} to {last}");
    }
}

#[test]
fn what_other_devices_cannot_do_is_refused() {
    for (plan, field) in [
        (
            TrainPlan {
                precision: Precision::Bf16,
                ..plan()
            },
            "precision",
        ),
        (
            TrainPlan {
                recompute: true,
                ..plan()
            },
            "recompute",
        ),
    ] {
        plan.validate().unwrap();
        for device in [TrainDevice::Cuda, TrainDevice::Metal, TrainDevice::Auto] {
            let plan = TrainPlan {
                device,
                ..plan.clone()
            };
            let error = plan.validate().unwrap_err();
            assert!(
                matches!(error, TrainError::Plan { field: found, .. } if found == field),
                "{error}"
            );
        }
    }
}
