//! Which documents each step sees, as a function of the seed alone.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::TrainPlan;
use super::batch::{Batch, BatchBuilder, Goal};
use super::corpus::Corpus;
use super::document::Document;
use crate::packing::pack;

/// The steps of a run: language-model warm-up, then the objective.
#[derive(Debug)]
pub(super) struct Timeline<'a> {
    corpus: &'a Corpus,
    plan: &'a TrainPlan,
    phases: Vec<Phase>,
    /// Rows of the epoch that was asked for last: steps come in order, so each epoch is packed once.
    epoch: Option<(usize, usize, Vec<Vec<usize>>)>,
}

/// A run of steps with one goal.
#[derive(Debug)]
struct Phase {
    goal: Goal,
    steps: usize,
    steps_per_epoch: usize,
}

/// Where a step lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    phase: usize,
    pub goal: Goal,
    /// Steps of this phase before this one.
    pub step: usize,
    /// Steps of this phase.
    pub steps: usize,
    pub steps_per_epoch: usize,
}

impl<'a> Timeline<'a> {
    pub fn new(plan: &'a TrainPlan, corpus: &'a Corpus) -> Self {
        let mut timeline = Self {
            corpus,
            plan,
            phases: Vec::new(),
            epoch: None,
        };
        let answer = Goal::Answer {
            input_loss: plan.input_loss,
        };
        for (goal, epochs) in [(Goal::Language, plan.warm_up_epochs), (answer, plan.epochs)] {
            let steps_per_epoch = timeline
                .rows(goal, 0)
                .len()
                .div_ceil(timeline.rows_a_step());
            timeline.phases.push(Phase {
                goal,
                steps: (f64::from(epochs) * steps_per_epoch as f64).ceil() as usize,
                steps_per_epoch,
            });
        }
        timeline
    }

    /// Steps of all phases.
    pub fn steps(&self) -> usize {
        self.phases.iter().map(|phase| phase.steps).sum()
    }

    /// Where a step lies; steps past the end lie in the last phase.
    pub fn place(&self, step: usize) -> Place {
        let warm_up = self.phases[0].steps;
        let phase = usize::from(step >= warm_up);
        Place {
            phase,
            goal: self.phases[phase].goal,
            step: if phase == 1 { step - warm_up } else { step },
            steps: self.phases[phase].steps,
            steps_per_epoch: self.phases[phase].steps_per_epoch,
        }
    }

    /// The documents of a step.
    pub fn batch(&mut self, step: usize) -> Batch {
        let place = self.place(step);
        let (epoch, index) = (
            place.step / place.steps_per_epoch,
            place.step % place.steps_per_epoch,
        );
        let rows = match self.epoch.take() {
            Some((phase, packed, rows)) if (phase, packed) == (place.phase, epoch) => rows,
            // Streams of the two phases must not meet.
            _ => self.rows(place.goal, (epoch * 2 + place.phase) as u64),
        };
        // Rows are spread evenly, so that no step is left with a few.
        let bound = |index: usize| index * rows.len() / place.steps_per_epoch;
        let documents: Vec<&Document> = rows[bound(index)..bound(index + 1)]
            .iter()
            .flatten()
            .map(|&which| self.document(which))
            .collect();
        let mut builder = BatchBuilder::default();
        for document in &documents {
            builder.push(document, place.goal);
        }
        if place.goal != Goal::Language {
            let replacements = &self.corpus.replacements;
            builder.drop_tokens(
                &documents,
                self.plan.token_dropout,
                replacements,
                self.plan.seed,
                step as u64,
            );
        }
        self.epoch = Some((place.phase, epoch, rows));
        builder.mean()
    }

    /// Packs one epoch: documents in random order, so that row mates change, and rows in random order.
    fn rows(&self, goal: Goal, stream: u64) -> Vec<Vec<usize>> {
        let count = match goal {
            Goal::Language => self.corpus.training.len() + self.corpus.unlabelled.len(),
            Goal::Answer { .. } => self.corpus.training.len(),
        };
        let mut random = ChaCha8Rng::seed_from_u64(self.plan.seed);
        random.set_stream(stream);
        let mut order: Vec<usize> = (0..count).collect();
        order.shuffle(&mut random);
        let lengths: Vec<usize> = order
            .iter()
            .map(|&which| goal.length(self.document(which)))
            .collect();
        let mut rows = pack(&lengths, self.plan.shape.context);
        for row in &mut rows {
            for document in row {
                *document = order[*document];
            }
        }
        rows.shuffle(&mut random);
        rows
    }

    fn document(&self, which: usize) -> &'a Document {
        let training = &self.corpus.training;
        training
            .get(which)
            .unwrap_or_else(|| &self.corpus.unlabelled[which - training.len()])
    }

    fn rows_a_step(&self) -> usize {
        (self.plan.batch_tokens / self.plan.shape.context).max(1)
    }
}

impl Place {
    /// Linear climb, then a cosine down to the final share; a function of the phase's own steps.
    pub fn learning_rate(&self, plan: &TrainPlan) -> f64 {
        let climb = f64::from(plan.learning_rate_warm_up) * self.steps as f64;
        let done = (self.step + 1) as f64;
        if done <= climb {
            return plan.learning_rate * done / climb;
        }
        let progress = ((done - climb) / (self.steps as f64 - climb)).min(1.0);
        let falling = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
        plan.learning_rate * (plan.final_learning_rate + (1.0 - plan.final_learning_rate) * falling)
    }

    /// Whether the held-out examples are judged after this step.
    pub fn ends_with_evaluation(&self, plan: &TrainPlan) -> bool {
        let evaluations = plan.evaluations_per_epoch as usize;
        let due = |steps: usize| steps * evaluations / self.steps_per_epoch;
        self.goal != Goal::Language
            && (due(self.step + 1) > due(self.step) || self.step + 1 == self.steps)
    }

    /// How many steps are averaged once this one is made; zero where averaging has not begun.
    pub fn averaged(&self, plan: &TrainPlan) -> usize {
        if self.goal == Goal::Language || plan.average_last <= 0.0 {
            return 0;
        }
        let first = ((1.0 - f64::from(plan.average_last)) * self.steps as f64).round() as usize;
        (self.step + 1).saturating_sub(first)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn document(length: usize, marker: u32) -> Document {
        let mut tokens = vec![marker; length + 1];
        tokens[0] = 1;
        Document {
            input_end: length - 1,
            tokens,
            answer: vec![limbeck_model::differentiable::HeadTarget::default(); 2],
            answer_is_text: true,
        }
    }

    fn corpus() -> Corpus {
        Corpus {
            training: (0..40)
                .map(|i| document(3 + i % 7, 10 + i as u32))
                .collect(),
            unlabelled: (0..8).map(|i| document(5, 100 + i)).collect(),
            ..Corpus::default()
        }
    }

    fn plan() -> TrainPlan {
        let mut plan = TrainPlan {
            batch_tokens: 40,
            epochs: 2.5,
            warm_up_epochs: 1.0,
            ..TrainPlan::default()
        };
        plan.shape.context = 16;
        plan
    }

    fn markers(batch: &Batch) -> Vec<u32> {
        let mut seen: Vec<u32> = batch
            .offsets
            .windows(2)
            .map(|pair| batch.ids[pair[0] + 1])
            .collect();
        seen.sort_unstable();
        seen
    }

    #[test]
    fn every_epoch_sees_every_document_once_in_another_order() {
        let (corpus, plan) = (corpus(), plan());
        let mut timeline = Timeline::new(&plan, &corpus);
        let warm_up = timeline.phases[0].steps;
        let per_epoch = timeline.phases[1].steps_per_epoch;
        let mut epoch = |first: usize, count: usize| {
            let mut seen: Vec<u32> = (first..first + count)
                .flat_map(|s| markers(&timeline.batch(s)))
                .collect();
            seen.sort_unstable();
            seen
        };
        assert_eq!(
            epoch(0, warm_up),
            (10..50).chain(100..108).collect::<Vec<_>>()
        );
        let answers: Vec<u32> = (10..50).collect();
        assert_eq!(epoch(warm_up, per_epoch), answers);
        assert_eq!(epoch(warm_up + per_epoch, per_epoch), answers);
        let first: Vec<_> = (0..per_epoch)
            .map(|s| markers(&timeline.batch(warm_up + s)))
            .collect();
        let second: Vec<_> = (0..per_epoch)
            .map(|s| markers(&timeline.batch(warm_up + per_epoch + s)))
            .collect();
        assert_ne!(first, second);
    }

    #[test]
    fn a_step_is_the_same_whatever_was_asked_before() {
        let (corpus, plan) = (corpus(), plan());
        let mut in_order = Timeline::new(&plan, &corpus);
        let steps = in_order.steps();
        let all: Vec<_> = (0..steps)
            .map(|step| in_order.batch(step).ids.to_vec())
            .collect();
        for step in [steps - 1, 0, steps / 2] {
            assert_eq!(
                Timeline::new(&plan, &corpus).batch(step).ids.to_vec(),
                all[step]
            );
        }
        assert!(all.iter().all(|ids| ids.len() <= plan.batch_tokens));
    }

    #[test]
    fn the_learning_rate_climbs_and_falls_in_each_phase() {
        let (corpus, mut plan) = (corpus(), plan());
        plan.epochs = 20.0;
        plan.learning_rate_warm_up = 0.1;
        plan.final_learning_rate = 0.1;
        let timeline = Timeline::new(&plan, &corpus);
        let rates: Vec<f64> = (timeline.phases[0].steps..timeline.steps())
            .map(|step| timeline.place(step).learning_rate(&plan))
            .collect();
        let peak = (0..rates.len())
            .max_by(|&a, &b| rates[a].total_cmp(&rates[b]))
            .unwrap();
        assert!((rates[peak] / plan.learning_rate - 1.0).abs() < 0.01);
        assert_eq!(peak + 1, rates.len() / 10);
        assert!(rates[..=peak].is_sorted() && rates[peak..].is_sorted_by(|a, b| a >= b));
        assert!((rates.last().unwrap() / (0.1 * plan.learning_rate) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn evaluations_and_averages_are_where_the_plan_says() {
        let (corpus, mut plan) = (corpus(), plan());
        plan.evaluations_per_epoch = 2;
        plan.average_last = 0.4;
        let timeline = Timeline::new(&plan, &corpus);
        let places: Vec<Place> = (0..timeline.steps())
            .map(|step| timeline.place(step))
            .collect();
        let evaluations = places
            .iter()
            .filter(|place| place.ends_with_evaluation(&plan))
            .count();
        assert_eq!(evaluations, 5);
        assert!(places.last().unwrap().ends_with_evaluation(&plan));
        let main = timeline.phases[1].steps;
        assert_eq!(
            places.last().unwrap().averaged(&plan),
            main - (0.6 * main as f64).round() as usize
        );
        assert_eq!(places[timeline.phases[0].steps].averaged(&plan), 0);
    }
}
