//! The training loop.

use std::path::Path;
use std::time::Instant;

use limbeck_model::{ModelConfig, WeightMap};
use tokio_util::sync::CancellationToken;

use super::checkpoint::{self, Best, Progress, Sizes, State};
use super::corpus::Corpus;
use super::decoder::{Dropout, StudentDecoder};
use super::held_out::{Judge, Judged};
use super::optimizer::{AdamW, Update};
use super::parameters::{Parameters, initial_weights};
use super::step::Step;
use super::timeline::{Place, Timeline};
use super::{
    CurvePoint, InitialWeights, StepReport, TrainError, TrainPlan, TrainReport, TrainReporter,
    Trained,
};

/// Points of the loss curve, evaluations not counted.
const CURVE_POINTS: usize = 200;

/// One run, from its first step or from where a checkpoint left it.
pub(super) struct Session<'a> {
    plan: &'a TrainPlan,
    workdir: &'a Path,
    config: ModelConfig,
    corpus: Corpus,
    parameters: Parameters,
    decoder: StudentDecoder,
    /// The weights in it are those of the last checkpoint; the current ones are in `parameters`.
    state: State,
}

/// Since when, and from where, this process trains.
struct Clock {
    start: Instant,
    tokens_before: u64,
    seconds_before: f64,
}

impl<'a> Session<'a> {
    pub fn new(
        plan: &'a TrainPlan,
        config: ModelConfig,
        corpus: Corpus,
        initial: &InitialWeights,
        workdir: &'a Path,
        fingerprint: String,
    ) -> Result<Self, TrainError> {
        let weights = initial_weights(&config, initial, plan.seed)?;
        let device = plan.device.open()?;
        let parameters = Parameters::new(&config, &weights, &plan.freeze, &device)?;
        let decoder = StudentDecoder::new(&config, &parameters, plan.precision)?
            .with_recompute(plan.recompute);
        let sizes = Sizes::of(&parameters);
        let state = match checkpoint::load(workdir, &fingerprint, plan.precision, &sizes)? {
            Some(state) => {
                parameters.set_values(&state.weights)?;
                state
            }
            None => State {
                progress: Progress {
                    fingerprint,
                    precision: plan.precision,
                    ..Progress::default()
                },
                optimizer: AdamW::new(&parameters),
                ..State::default()
            },
        };
        Ok(Self {
            plan,
            workdir,
            config,
            corpus,
            parameters,
            decoder,
            state,
        })
    }

    pub fn run(
        mut self,
        reporter: &mut dyn TrainReporter,
        cancel: &CancellationToken,
    ) -> Result<Trained, TrainError> {
        let corpus = std::mem::take(&mut self.corpus);
        let judge = Judge::new(&corpus.held_out);
        let mut timeline = Timeline::new(self.plan, &corpus);
        let total = timeline.steps();
        let clock = Clock {
            start: Instant::now(),
            tokens_before: self.state.progress.tokens,
            seconds_before: self.state.progress.seconds,
        };
        while self.state.progress.step < total && !self.state.progress.stopped_early {
            if cancel.is_cancelled() {
                self.save(&clock)?;
                let step = self.state.progress.step;
                return Err(TrainError::Interrupted { step, total });
            }
            let place = timeline.place(self.state.progress.step);
            let loss = self.step(&mut timeline, &place)?;
            let judged = match &judge {
                Some(judge) if place.ends_with_evaluation(self.plan) => Some(self.evaluate(judge)?),
                _ => None,
            };
            self.record(&place, judged, total);
            reporter.step(&self.step_report(&place, loss, judged, total, &clock));
            let every = self.plan.checkpoint_every;
            if every > 0 && self.state.progress.step.is_multiple_of(every) {
                self.save(&clock)?;
            }
        }
        self.save(&clock)?;
        Ok(self.finish(&corpus))
    }

    /// One optimizer step; returns its loss.
    fn step(&mut self, timeline: &mut Timeline<'_>, place: &Place) -> Result<f32, TrainError> {
        let step = self.state.progress.step;
        let batch = timeline.batch(step);
        self.state.progress.tokens += batch.ids.len() as u64;
        let dropout = (self.plan.dropout > 0.0).then(|| Dropout {
            share: self.plan.dropout,
            seed: self
                .plan
                .seed
                .wrapping_mul(0x9E37_79B9)
                .wrapping_add(step as u64),
        });
        let update = Update {
            learning_rate: place.learning_rate(self.plan),
            weight_decay: self.plan.weight_decay,
            clip: self.plan.clip,
        };
        let taken = Step {
            decoder: &self.decoder,
            parameters: &self.parameters,
            optimizer: &mut self.state.optimizer,
            pass_tokens: self.plan.pass_tokens,
        };
        let value = taken.take(batch, dropout, &update, step)?;
        self.average(place.averaged(self.plan))?;
        let progress = &mut self.state.progress;
        progress.step += 1;
        progress.pending_loss =
            (f64::from_bits(progress.pending_loss) + f64::from(value)).to_bits();
        progress.pending_steps += 1;
        Ok(value)
    }

    /// Takes the current weights into the running mean of `count` weights.
    fn average(&mut self, count: usize) -> Result<(), TrainError> {
        if count == 0 {
            return Ok(());
        }
        let current = self.parameters.values()?;
        if self.state.average.is_empty() {
            self.state.average = current;
            return Ok(());
        }
        let share = 1.0 / count as f32;
        let means = self.state.average.iter_mut().zip(&current);
        for (parameter, (means, values)) in self.parameters.0.iter().zip(means) {
            // The mean of what never moves, without a rounding of its own.
            if parameter.frozen {
                continue;
            }
            for (mean, value) in means.iter_mut().zip(values) {
                *mean += (value - *mean) * share;
            }
        }
        Ok(())
    }

    /// Judges the weights that would be returned if training ended here, and keeps them if they are the best.
    fn evaluate(&mut self, judge: &Judge) -> Result<Judged, TrainError> {
        let current = self.parameters.values()?;
        let averaging = !self.state.average.is_empty();
        if averaging {
            self.parameters.set_values(&self.state.average)?;
        }
        let judged = judge.judge(&self.decoder);
        if averaging {
            self.parameters.set_values(&current)?;
        }
        let judged = judged?;
        let progress = &mut self.state.progress;
        if !judged.loss.is_finite() {
            let what = "the held-out loss".to_owned();
            return Err(TrainError::NotFinite {
                what,
                step: progress.step,
            });
        }
        if progress
            .best
            .as_ref()
            .is_none_or(|best| judged.loss < best.loss)
        {
            progress.best = Some(Best {
                step: progress.step,
                loss: judged.loss,
                agreement: judged.agreement,
            });
            progress.evaluations_since_best = 0;
            if self.plan.keep_best {
                self.state.best = if averaging {
                    self.state.average.clone()
                } else {
                    current
                };
            }
        } else {
            progress.evaluations_since_best += 1;
            let patience = self.plan.patience;
            progress.stopped_early =
                patience.is_some_and(|patience| progress.evaluations_since_best >= patience);
        }
        Ok(judged)
    }

    /// Adds a point to the curve where one is due.
    fn record(&mut self, place: &Place, judged: Option<Judged>, total: usize) {
        let progress = &mut self.state.progress;
        let due =
            progress.step.is_multiple_of(total.div_ceil(CURVE_POINTS)) || progress.step == total;
        let phase_ends = place.step + 1 == place.steps;
        if progress.pending_steps == 0 || !(due || phase_ends || judged.is_some()) {
            return;
        }
        progress.curve.push(CurvePoint {
            step: progress.step,
            tokens: progress.tokens,
            train_loss: (f64::from_bits(progress.pending_loss) / progress.pending_steps as f64)
                as f32,
            warm_up: place.goal == super::batch::Goal::Language,
            held_out: judged.map(|judged| judged.loss),
            agreement: judged.and_then(|judged| judged.agreement),
        });
        progress.pending_loss = 0;
        progress.pending_steps = 0;
    }

    fn step_report(
        &self,
        place: &Place,
        loss: f32,
        judged: Option<Judged>,
        total: usize,
        clock: &Clock,
    ) -> StepReport {
        let progress = &self.state.progress;
        let seconds = clock.start.elapsed().as_secs_f64().max(f64::EPSILON);
        StepReport {
            step: progress.step,
            total,
            loss,
            learning_rate: place.learning_rate(self.plan),
            tokens: progress.tokens,
            tokens_per_second: (progress.tokens - clock.tokens_before) as f64 / seconds,
            held_out: judged.map(|judged| judged.loss),
        }
    }

    fn save(&mut self, clock: &Clock) -> Result<(), TrainError> {
        self.state.progress.seconds = clock.seconds_before + clock.start.elapsed().as_secs_f64();
        self.state.weights = self.parameters.values()?;
        checkpoint::save(self.workdir, &mut self.state)
    }

    fn finish(self, corpus: &Corpus) -> Trained {
        let State {
            progress,
            weights,
            best,
            average,
            ..
        } = &self.state;
        // The best is the last evaluation's, or an earlier one's; without evaluations the mean or the last weights.
        let returned = [best, average, weights]
            .into_iter()
            .find(|values| !values.is_empty());
        let weights: WeightMap = self.parameters.weights(returned.unwrap_or(weights));
        let last = progress
            .curve
            .iter()
            .rev()
            .find(|point| point.held_out.is_some());
        let kept = progress.best.as_ref().filter(|_| !best.is_empty());
        let report = TrainReport {
            parameters: self.config.parameter_count(),
            tokens: progress.tokens,
            tokens_per_second: progress.tokens as f64 / progress.seconds.max(f64::EPSILON),
            seconds: progress.seconds,
            final_loss: progress.curve.last().map_or(0.0, |point| point.train_loss),
            steps: progress.step,
            examples: corpus.training.len(),
            held_out_examples: corpus.held_out.len(),
            skipped: corpus.skipped,
            without_candidates: corpus.without_candidates,
            best_step: kept.map_or(progress.step, |best| best.step),
            best_held_out: kept.map(|best| best.loss).or_else(|| last?.held_out),
            best_agreement: kept.map_or_else(|| last?.agreement, |best| best.agreement),
            stopped_early: progress.stopped_early,
            precision: self.plan.precision,
            device: self.plan.device,
            curve: progress.curve.clone(),
        };
        Trained {
            config: self.config,
            weights,
            report,
        }
    }
}
