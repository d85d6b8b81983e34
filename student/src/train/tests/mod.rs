//! Whole runs on a tiny student.

#![expect(clippy::unwrap_used, reason = "tests")]

mod composed;
mod freeze;
mod gradients;
mod learning;
mod precision;
mod repeats;

use std::path::Path;

use candle_core::Device;
use limbeck_model::Precision;
use limbeck_model::testing::tiny_tokenizer;

use super::*;
use crate::example::{Target, TeacherToken};

/// Hears nothing, and cancels after some steps.
struct Stop {
    after: usize,
    cancel: CancellationToken,
    losses: Vec<u32>,
}

impl TrainReporter for Stop {
    fn step(&mut self, report: &StepReport) {
        self.losses.push(report.loss.to_bits());
        if report.step == self.after {
            self.cancel.cancel();
        }
    }
}

/// Which of two letters stands more often in the message, with the teacher's doubts.
fn labels(count: usize) -> Vec<Example> {
    (0..count)
        .map(|i| {
            let share = (i * 7 % 9 + 1) as f64 / 10.0;
            let letters = (0..10).map(|j| {
                if ((i + j * 3) % 10) as f64 / 10.0 < share {
                    'a'
                } else {
                    'o'
                }
            });
            Example {
                id: format!("message {i}"),
                input: letters.collect(),
                target: Target::Labels {
                    choices: vec!["good".to_owned(), "bad".to_owned()],
                    probabilities: vec![share, 1.0 - share],
                },
            }
        })
        .collect()
}

fn texts() -> Vec<Example> {
    ["the thing", "her ring", "the letter"]
        .iter()
        .enumerate()
        .map(|(i, text)| Example {
            id: format!("text {i}"),
            input: format!("say {i}"),
            target: Target::Text((*text).to_owned()),
        })
        .collect()
}

fn plan() -> TrainPlan {
    TrainPlan {
        shape: Shape {
            layers: 2,
            width: 32,
            heads: 4,
            key_value_heads: Some(2),
            ffn: 48,
            context: 24,
            tied: true,
        },
        epochs: 3.0,
        batch_tokens: 240,
        learning_rate: 5e-3,
        held_out: 0.2,
        ..TrainPlan::default()
    }
}

fn run_until(
    plan: &TrainPlan,
    examples: &[Example],
    workdir: &Path,
    after: usize,
) -> (Result<Trained, TrainError>, Vec<u32>) {
    let cancel = CancellationToken::new();
    let mut stop = Stop {
        after,
        cancel: cancel.clone(),
        losses: Vec::new(),
    };
    let tokenizer = tiny_tokenizer();
    let data = TrainData {
        tokenizer: &tokenizer,
        teacher_ids: None,
        examples,
    };
    let result = train(
        plan,
        &data,
        &InitialWeights::Random,
        workdir,
        &mut stop,
        &cancel,
    );
    (result, stop.losses)
}

fn run(plan: &TrainPlan, examples: &[Example]) -> Trained {
    let folder = tempfile::tempdir().unwrap();
    run_until(plan, examples, folder.path(), usize::MAX)
        .0
        .unwrap()
}

fn everything() -> TrainPlan {
    TrainPlan {
        warm_up_epochs: 1.0,
        input_loss: 0.1,
        dropout: 0.1,
        token_dropout: 0.1,
        average_last: 0.5,
        objective: Objective {
            cross_entropy: 0.5,
            forward_kl: 0.5,
        },
        ..plan()
    }
}
