//! The losses of a whole training against those of `PyTorch`, from the same weights and texts.

use serde::Deserialize;

use super::*;
use crate::train::Shape;

/// What `tests/pytorch/loss_curve.py` wrote.
#[derive(Deserialize)]
struct LossCurve {
    width: usize,
    layers: usize,
    heads: usize,
    ffn: usize,
    vocab: usize,
    batch: usize,
    sequence: usize,
    seed: u64,
    learning_rate: f64,
    weight_decay: f64,
    clip: f64,
    losses: Vec<f32>,
}

impl LossCurve {
    fn of_pytorch() -> Self {
        serde_json::from_str(include_str!("loss_curve.json")).expect("the file is as it was made")
    }

    fn plan(&self) -> TrainPlan {
        TrainPlan {
            shape: Shape {
                layers: self.layers,
                width: self.width,
                heads: self.heads,
                key_value_heads: None,
                ffn: self.ffn,
                context: self.sequence,
                tied: true,
            },
            learning_rate: self.learning_rate,
            weight_decay: self.weight_decay,
            clip: self.clip,
            seed: self.seed,
            precision: Precision::F32,
            ..TrainPlan::default()
        }
    }

    /// The losses of as many steps as `PyTorch` took.
    fn repeated(&self, plan: &TrainPlan) -> Vec<f32> {
        let work = TrainBenchWork {
            vocabulary: self.vocab,
            batch: self.batch,
            warm_up_steps: 0,
            steps: self.losses.len(),
        };
        train_bench(plan, &work).expect("training").losses
    }

    /// The step where `losses` are farthest from `PyTorch`'s, and how far.
    fn largest_difference(&self, losses: &[f32]) -> (usize, f32) {
        let differences = self.losses.iter().zip(losses).map(|(a, b)| (a - b).abs());
        differences.enumerate().fold(
            (0, 0.0),
            |worst, found| if found.1 > worst.1 { found } else { worst },
        )
    }
}

fn computed_in(plan: TrainPlan, precision: Precision) -> TrainPlan {
    TrainPlan { precision, ..plan }
}

fn assert_follows_pytorch(precision: Precision, tolerance: f32) {
    let curve = LossCurve::of_pytorch();
    let losses = curve.repeated(&computed_in(curve.plan(), precision));
    assert_eq!((losses.len(), curve.losses.len()), (200, 200));
    let (step, difference) = curve.largest_difference(&losses);
    assert!(
        difference <= tolerance,
        "the losses of step {step} differ by {difference} in {precision}"
    );
    // A curve that does not fall would fit a trainer that does not train.
    assert!(
        losses[199] < 0.75 * losses[0],
        "{} to {}",
        losses[0],
        losses[199]
    );
}

#[test]
fn losses_of_200_steps_in_f32_are_those_of_pytorch() {
    assert_follows_pytorch(Precision::F32, 1e-3);
}

#[test]
fn losses_of_200_steps_in_bf16_stay_near_those_of_pytorch_in_f32() {
    assert_follows_pytorch(Precision::Bf16, 0.05);
}

/// What the comparison would not notice it could not vouch for.
#[test]
fn each_part_of_the_update_moves_the_losses() {
    let curve = LossCurve::of_pytorch();
    let plan = curve.plan();
    let changed = [
        TrainPlan {
            clip: 1e9,
            ..plan.clone()
        },
        TrainPlan {
            weight_decay: 0.0,
            ..plan.clone()
        },
        TrainPlan {
            learning_rate: plan.learning_rate * 0.99,
            ..plan
        },
    ];
    for plan in changed {
        let (_, difference) = curve.largest_difference(&curve.repeated(&plan));
        assert!(difference > 3e-3, "{difference} with {plan:?}");
    }
}

/// The last losses of trainings with several seeds: rounding moves where they end less than a hundredth as far as
/// training brings them, and less than another seed does.
#[test]
fn training_in_bf16_ends_where_training_in_f32_does() {
    let curve = LossCurve::of_pytorch();
    let ending = |seed, precision| {
        let plan = TrainPlan {
            seed,
            ..curve.plan()
        };
        let losses = curve.repeated(&computed_in(plan, precision));
        let last = &losses[losses.len() - 50..];
        (losses[0], last.iter().sum::<f32>() / last.len() as f32)
    };
    let mut ends = Vec::new();
    let mut differences = Vec::new();
    for seed in [2, 3, 4] {
        let (first, end) = ending(seed, Precision::F32);
        let difference = ending(seed, Precision::Bf16).1 - end;
        assert!(
            difference.abs() < 0.01 * (first - end),
            "with seed {seed} bf16 ends {difference} from {end}, which began at {first}"
        );
        ends.push(end);
        differences.push(difference);
    }
    let mean = differences.iter().sum::<f32>() / differences.len() as f32;
    let spread = ends.iter().copied().fold(f32::MIN, f32::max)
        - ends.iter().copied().fold(f32::MAX, f32::min);
    assert!(
        mean.abs() < spread / 2.0,
        "bf16 ends {mean} from f32 on average; seeds are {spread} apart"
    );
}
