//! `AdamW` (arXiv 1711.05101) with moments that can be saved.

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp1, Layout, Tensor, Var, bail};
use limbeck_model::differentiable::Gradients;
use limbeck_model::optimizer::{AdamWStep, adamw, sum_of_squares};

use super::TrainError;
use super::parameters::Parameters;

const BETA_1: f64 = 0.9;
/// Short runs of few hundred steps need a second moment that forgets faster than the usual 0.999.
const BETA_2: f64 = 0.95;
const EPSILON: f64 = 1e-8;

/// The optimizer's state: f32 moments of every parameter, in the order of the parameters. A frozen one has none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct AdamW {
    pub first: Vec<Vec<f32>>,
    pub second: Vec<Vec<f32>>,
    /// Updates made.
    pub updates: u64,
}

/// Constants of one update.
#[derive(Clone, Copy, Debug)]
pub(super) struct Update {
    pub learning_rate: f64,
    pub weight_decay: f64,
    /// Largest global norm of the gradient.
    pub clip: f64,
}

impl AdamW {
    pub fn new(parameters: &Parameters) -> Self {
        let zeros = || {
            parameters
                .0
                .iter()
                .map(|parameter| vec![0.0; parameter.moments()])
                .collect()
        };
        Self {
            first: zeros(),
            second: zeros(),
            updates: 0,
        }
    }

    /// Moves every parameter that is not frozen along its gradient. Such a parameter without one, or one that is not finite, is an error:
    /// `step` names the place in the run.
    pub fn update(
        &mut self,
        parameters: &Parameters,
        gradients: &Gradients,
        update: &Update,
        step: usize,
    ) -> Result<(), TrainError> {
        let missing = |name: &str| TrainError::MissingGradient {
            name: name.to_owned(),
        };
        let mut squares = Vec::with_capacity(parameters.0.len());
        for parameter in parameters.trained() {
            let sum = gradients.with(&parameter.variable, sum_of_squares);
            squares.push(sum.ok_or_else(|| missing(&parameter.name))?);
        }
        let norm = squares.iter().sum::<f64>().sqrt();
        if !norm.is_finite() {
            let broken = parameters
                .trained()
                .zip(&squares)
                .find(|(_, square)| !square.is_finite());
            let name = broken.map_or("all parameters", |(parameter, _)| parameter.name.as_str());
            return Err(TrainError::NotFinite {
                what: format!("the gradient of `{name}`"),
                step,
            });
        }
        self.updates += 1;
        let count = self.updates.min(i32::MAX as u64) as i32;
        let moments = self.first.iter_mut().zip(&mut self.second);
        for (parameter, (first, second)) in parameters.0.iter().zip(moments) {
            if parameter.frozen {
                continue;
            }
            let decay = if parameter.decays {
                update.weight_decay
            } else {
                0.0
            };
            let constants = AdamWStep {
                scale: (update.clip / norm).min(1.0) as f32,
                kept: (1.0 - update.learning_rate * decay) as f32,
                rate: (update.learning_rate / (1.0 - BETA_1.powi(count))) as f32,
                correction: (1.0 / (1.0 - BETA_2.powi(count))) as f32,
                beta_1: BETA_1 as f32,
                beta_2: BETA_2 as f32,
                epsilon: EPSILON as f32,
            };
            let updated = gradients.with(&parameter.variable, |gradient| {
                apply(&parameter.variable, gradient, (first, second), constants)
            });
            updated.ok_or_else(|| missing(&parameter.name))??;
        }
        Ok(())
    }
}

/// Updates one parameter: in place where it is in the processor's memory.
fn apply(
    variable: &Var,
    gradient: &[f32],
    (first, second): (&mut Vec<f32>, &mut Vec<f32>),
    constants: AdamWStep,
) -> candle_core::Result<()> {
    if !variable.device().is_cpu() {
        return apply_on_processor(variable, gradient, (first, second), constants);
    }
    variable.inplace_op1(&Apply {
        gradient,
        moments: RefCell::new((first, second)),
        constants,
    })
}

/// Updates one parameter by way of the processor's memory, where its gradient and moments are, wherever it is itself.
fn apply_on_processor(
    variable: &Var,
    gradient: &[f32],
    (first, second): (&mut [f32], &mut [f32]),
    constants: AdamWStep,
) -> candle_core::Result<()> {
    let mut values = variable.flatten_all()?.to_vec1::<f32>()?;
    adamw(&mut values, gradient, first, second, constants);
    variable.set(&Tensor::from_vec(
        values,
        variable.shape(),
        variable.device(),
    )?)
}

/// One parameter's update, in place.
struct Apply<'a> {
    gradient: &'a [f32],
    moments: RefCell<(&'a mut Vec<f32>, &'a mut Vec<f32>)>,
    constants: AdamWStep,
}

impl InplaceOp1 for Apply<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let CpuStorage::F32(values) = storage else {
            bail!("adamw: expected f32")
        };
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("adamw: expected a contiguous tensor")
        };
        let mut moments = self.moments.borrow_mut();
        let (first, second) = &mut *moments;
        adamw(
            &mut values[start..end],
            self.gradient,
            first,
            second,
            self.constants,
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use candle_core::Device;

    use super::*;
    use crate::train::{InitialWeights, parameters::initial_weights};
    use limbeck_model::testing::tiny_config;

    fn parameters() -> Parameters {
        let config = tiny_config();
        let weights = initial_weights(&config, &InitialWeights::Random, 1).unwrap();
        Parameters::new(&config, &weights, &[], &Device::Cpu).unwrap()
    }

    /// The sum over parameters of half their squared distance from `goal`, whose gradient is the distance.
    fn gradients(parameters: &Parameters, goal: f64) -> Gradients {
        let parts = parameters
            .0
            .iter()
            .map(|p| ((p.variable.as_tensor() - goal).unwrap().sqr().unwrap() * 0.5).unwrap());
        let total = parts
            .map(|part| part.sum_all().unwrap())
            .reduce(|a, b| (a + b).unwrap())
            .unwrap();
        found(parameters, &total)
    }

    fn found(parameters: &Parameters, loss: &Tensor) -> Gradients {
        let gradients = Gradients::new(parameters.0.iter().map(|p| &p.variable));
        gradients.absorb(&loss.backward().unwrap()).unwrap();
        gradients
    }

    #[test]
    fn two_updates_match_the_written_out_formula() {
        let parameters = parameters();
        let mut optimizer = AdamW::new(&parameters);
        let update = Update {
            learning_rate: 0.01,
            weight_decay: 0.1,
            clip: 2.0,
        };
        let index = parameters
            .0
            .iter()
            .position(|parameter| parameter.decays)
            .unwrap();
        let (mut value, mut m, mut v) =
            (f64::from(parameters.values().unwrap()[index][5]), 0.0, 0.0);
        for count in 1..=2 {
            let all = parameters.values().unwrap();
            let norm: f64 = all
                .iter()
                .flatten()
                .map(|w| (f64::from(*w) - 0.5).powi(2))
                .sum::<f64>()
                .sqrt();
            let gradient = (value - 0.5) * (2.0 / norm).min(1.0);
            optimizer
                .update(&parameters, &gradients(&parameters, 0.5), &update, 0)
                .unwrap();
            m = 0.9 * m + 0.1 * gradient;
            v = 0.95 * v + 0.05 * gradient * gradient;
            let (m_hat, v_hat) = (
                m / (1.0 - 0.9f64.powi(count)),
                v / (1.0 - 0.95f64.powi(count)),
            );
            value = value * (1.0 - 0.01 * 0.1) - 0.01 * m_hat / (v_hat.sqrt() + 1e-8);
            let found = f64::from(parameters.values().unwrap()[index][5]);
            assert!(
                (found - value).abs() < 1e-6,
                "update {count}: {found}, expected {value}"
            );
        }
    }

    #[test]
    fn an_update_by_way_of_the_processor_is_the_one_in_place() {
        let start = Tensor::arange(0.0_f32, 35.0, &Device::Cpu).unwrap();
        let start = start.reshape((5, 7)).unwrap();
        let gradient: Vec<f32> = (0..35).map(|i| (i as f32).sin()).collect();
        let constants = AdamWStep {
            scale: 0.5,
            kept: 0.99,
            rate: 0.1,
            correction: 2.0,
            beta_1: 0.9,
            beta_2: 0.95,
            epsilon: 1e-8,
        };
        let [in_place, other] = [0, 1].map(|which| {
            let variable = Var::from_tensor(&start.copy().unwrap()).unwrap();
            let (mut first, mut second) = (vec![0.25; 35], vec![0.5; 35]);
            for _ in 0..2 {
                let moments = (&mut first, &mut second);
                if which == 0 {
                    apply(&variable, &gradient, moments, constants).unwrap();
                } else {
                    let moments = (&mut moments.0[..], &mut moments.1[..]);
                    apply_on_processor(&variable, &gradient, moments, constants).unwrap();
                }
            }
            (variable.to_vec2::<f32>().unwrap(), first, second)
        });
        assert_eq!(in_place, other);
        assert_ne!(in_place.0, start.to_vec2::<f32>().unwrap());
    }

    #[test]
    fn missing_and_broken_gradients_name_their_parameter() {
        let parameters = parameters();
        let mut optimizer = AdamW::new(&parameters);
        let update = Update {
            learning_rate: 0.01,
            weight_decay: 0.0,
            clip: 1.0,
        };
        let first = &parameters.0[0];
        let partial = found(&parameters, &first.variable.sum_all().unwrap());
        let error = optimizer
            .update(&parameters, &partial, &update, 0)
            .unwrap_err();
        assert!(
            matches!(error, TrainError::MissingGradient { name } if name == parameters.0[1].name)
        );
        let broken = gradients(&parameters, f64::INFINITY);
        let error = optimizer
            .update(&parameters, &broken, &update, 3)
            .unwrap_err();
        assert!(
            error.to_string().contains(&first.name) && error.to_string().contains("step 3"),
            "{error}"
        );
    }
}
