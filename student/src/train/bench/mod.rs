//! How fast the trainer's own step is, and what its losses are from weights and texts that other programs can repeat.

mod generated;
#[cfg(test)]
mod loss_curve_tests;

use std::time::Instant;

use limbeck_model::differentiable::{HeadTarget, TargetTerm};
use limbeck_model::{ModelConfig, Precision};

use super::batch::{Batch, BatchBuilder, Goal};
use super::decoder::StudentDecoder;
use super::document::Document;
use super::optimizer::{AdamW, Update};
use super::parameters::{Parameter, Parameters};
use super::step::Step;
use super::{TrainDevice, TrainError, TrainPlan, config, on_training_thread};

/// The work of a benchmark.
#[derive(Clone, Copy, Debug)]
pub struct TrainBenchWork {
    /// Rows of the embedding table.
    pub vocabulary: usize,
    /// Texts of one step, each of `shape.context` tokens that are read and as many that are predicted.
    pub batch: usize,
    /// Steps before the clock starts, which warm caches and memory up.
    pub warm_up_steps: usize,
    /// Steps that are timed.
    pub steps: usize,
}

/// What [`train_bench`] measured.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainBench {
    /// Tokens read a second over the timed steps.
    pub tokens_per_second: f64,
    /// The mean loss of each step in nats a token, before its update: first those of the warm-up.
    pub losses: Vec<f32>,
    /// Numbers of the student.
    pub parameters: usize,
    /// Those that are not frozen.
    pub trained_parameters: usize,
    /// What products were computed in, never [`Precision::Auto`].
    pub precision: Precision,
    /// Where it was trained, never [`TrainDevice::Auto`].
    pub device: TrainDevice,
    /// The widest instructions that products use, where that is the processor.
    pub instruction_set: Option<&'static str>,
    /// Threads in use.
    pub threads: usize,
}

/// Takes steps as [`train`](super::train) does, on generated weights and texts, every token of which is supervised.
///
/// Of the plan count the shape, the seed, the device, the precision, the peak learning rate (which stays as it is), weight decay,
/// clipping and what is frozen.
/// Every step sees texts that are new to it. `tests/pytorch/bench_train.py` has `PyTorch` do the same.
///
/// # Errors
/// What [`train`](super::train) refuses of a plan, a vocabulary below 2, and 0 for the batch or the steps.
pub fn train_bench(plan: &TrainPlan, work: &TrainBenchWork) -> Result<TrainBench, TrainError> {
    plan.validate()?;
    let rules = [
        (work.vocabulary >= 2, "vocabulary", "2 or more"),
        (work.batch > 0, "batch", "one or more"),
        (work.steps > 0, "steps", "one or more"),
    ];
    if let Some((_, field, expected)) = rules.into_iter().find(|(holds, ..)| !holds) {
        return Err(TrainError::Plan { field, expected });
    }
    let plan = &plan.resolved()?;
    let config = config(plan, work.vocabulary)?;
    on_training_thread(|| Bench::new(plan, work, &config)?.run())
}

struct Bench<'a> {
    plan: &'a TrainPlan,
    work: &'a TrainBenchWork,
    parameters: Parameters,
    decoder: StudentDecoder,
    optimizer: AdamW,
    losses: Vec<f32>,
}

impl<'a> Bench<'a> {
    fn new(
        plan: &'a TrainPlan,
        work: &'a TrainBenchWork,
        config: &ModelConfig,
    ) -> Result<Self, TrainError> {
        let weights = generated::weights(config, plan.seed);
        let device = plan.device.open()?;
        let parameters = Parameters::new(config, &weights, &plan.freeze, &device)?;
        Ok(Self {
            plan,
            work,
            decoder: StudentDecoder::new(config, &parameters, plan.precision)?
                .with_recompute(plan.recompute),
            optimizer: AdamW::new(&parameters),
            parameters,
            losses: Vec::new(),
        })
    }

    fn run(mut self) -> Result<TrainBench, TrainError> {
        for step in 0..self.work.warm_up_steps {
            let documents = self.documents(step);
            self.step(&documents)?;
        }
        let mut seconds = 0.0;
        for step in 0..self.work.steps {
            let documents = self.documents(self.work.warm_up_steps + step);
            let start = Instant::now();
            self.step(&documents)?;
            seconds += start.elapsed().as_secs_f64();
        }
        let on_processor = self.plan.device.is_cpu();
        let tokens = self.work.steps * self.work.batch * self.plan.shape.context;
        Ok(TrainBench {
            tokens_per_second: tokens as f64 / seconds,
            losses: self.losses,
            parameters: numbers(self.parameters.0.iter()),
            trained_parameters: numbers(self.parameters.trained()),
            precision: self.plan.precision,
            device: self.plan.device,
            instruction_set: on_processor.then(|| self.plan.precision.instruction_set()),
            threads: rayon::current_num_threads(),
        })
    }

    fn step(&mut self, documents: &[Document]) -> Result<(), TrainError> {
        let update = Update {
            learning_rate: self.plan.learning_rate,
            weight_decay: self.plan.weight_decay,
            clip: self.plan.clip,
        };
        let step = Step {
            decoder: &self.decoder,
            parameters: &self.parameters,
            optimizer: &mut self.optimizer,
            pass_tokens: self.plan.pass_tokens,
        };
        let loss = step.take(batch(documents), None, &update, self.losses.len())?;
        self.losses.push(loss);
        Ok(())
    }

    /// The texts of a step, counted on from those of the steps before.
    fn documents(&self, step: usize) -> Vec<Document> {
        let first = (step * self.work.batch) as u64;
        let length = self.plan.shape.context + 1;
        (first..first + self.work.batch as u64)
            .map(|number| {
                let tokens = generated::text(self.plan.seed, number, length, self.work.vocabulary);
                let targets = tokens[1..].iter().map(|&token| HeadTarget {
                    terms: vec![TargetTerm::token(token, 1.0)],
                });
                Document {
                    answer: targets.collect(),
                    tokens,
                    input_end: 0,
                    answer_is_text: true,
                }
            })
            .collect()
    }
}

fn numbers<'a>(parameters: impl Iterator<Item = &'a Parameter>) -> usize {
    parameters.map(|p| p.variable.elem_count()).sum()
}

fn batch(documents: &[Document]) -> Batch {
    let mut builder = BatchBuilder::default();
    for document in documents {
        builder.push(document, Goal::Answer { input_loss: 0.0 });
    }
    builder.mean()
}
