//! The student's numbers: how they start, and how they map to Hugging Face tensors.
//!
//! Projections that read the same input are one matrix here, so that they are one product: queries, keys and values;
//! gate and up. Rows of a fused matrix are the rows of its parts one after another.

use candle_core::{Device, Tensor, Var};
use limbeck_model::{ModelConfig, WeightMap, WeightTensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{InitialWeights, Part, TrainError};
use crate::embeddings::INITIAL_DEVIATION;

/// The embedding table's Hugging Face name.
pub(super) const EMBEDDINGS: &str = "model.embed_tokens.weight";
/// The output head's, where it is not the embedding table.
pub(super) const HEAD: &str = "lm_head.weight";

/// One tensor of the student.
#[derive(Debug)]
pub(super) struct Parameter {
    pub name: String,
    pub variable: Var,
    /// Matrices of linear layers decay; embeddings and norms do not.
    pub decays: bool,
    /// It stays as it was initialised.
    pub frozen: bool,
    /// Hugging Face tensors that it holds, with their shapes.
    parts: Vec<(String, Vec<usize>)>,
}

impl Parameter {
    /// Numbers that each of the optimizer's moments has of it.
    pub fn moments(&self) -> usize {
        if self.frozen {
            0
        } else {
            self.variable.elem_count()
        }
    }
}

/// All tensors of a student, in a fixed order.
#[derive(Debug)]
pub(super) struct Parameters(pub Vec<Parameter>);

impl Parameters {
    /// On `device`; those in `freeze` are not trained.
    pub fn new(
        config: &ModelConfig,
        weights: &WeightMap,
        freeze: &[Part],
        device: &Device,
    ) -> Result<Self, TrainError> {
        let mut parameters: Vec<Parameter> = Vec::new();
        for (name, shape) in config.weight_names() {
            let fused = fused_name(&name);
            match parameters.last_mut().filter(|last| last.name == fused) {
                Some(last) => last.parts.push((name, shape)),
                None => parameters.push(Parameter {
                    decays: shape.len() > 1 && fused != EMBEDDINGS && fused != HEAD,
                    frozen: freeze.iter().any(|part| part.holds(&fused)),
                    name: fused,
                    variable: Var::zeros((), candle_core::DType::F32, device)?,
                    parts: vec![(name, shape)],
                }),
            }
        }
        for parameter in &mut parameters {
            let mut values = Vec::new();
            for (name, shape) in &parameter.parts {
                values.extend_from_slice(&part(weights, name, shape)?.data);
            }
            let mut shape = parameter.parts[0].1.clone();
            shape[0] = parameter.parts.iter().map(|(_, shape)| shape[0]).sum();
            parameter.variable = Var::from_tensor(&Tensor::from_vec(values, shape, device)?)?;
        }
        Ok(Self(parameters))
    }

    /// Those that are not frozen.
    pub fn trained(&self) -> impl Iterator<Item = &Parameter> {
        self.0.iter().filter(|parameter| !parameter.frozen)
    }

    /// The variable of a name that the configuration has.
    pub fn variable(&self, name: &str) -> Result<Var, TrainError> {
        let found = self.0.iter().find(|parameter| parameter.name == name);
        found
            .map(|parameter| parameter.variable.clone())
            .ok_or_else(|| TrainError::MissingGradient {
                name: name.to_owned(),
            })
    }

    /// The values of all tensors, in order.
    pub fn values(&self) -> Result<Vec<Vec<f32>>, TrainError> {
        let read =
            |parameter: &Parameter| Ok(parameter.variable.flatten_all()?.to_vec1::<f32>()?);
        self.0.iter().map(read).collect()
    }

    /// Puts values back.
    pub fn set_values(&self, values: &[Vec<f32>]) -> Result<(), TrainError> {
        for (parameter, values) in self.0.iter().zip(values) {
            let variable = &parameter.variable;
            variable.set(&Tensor::from_slice(
                values,
                variable.shape(),
                variable.device(),
            )?)?;
        }
        Ok(())
    }

    /// Values as Hugging Face tensors.
    pub fn weights(&self, values: &[Vec<f32>]) -> WeightMap {
        let mut weights = WeightMap::new();
        for (parameter, values) in self.0.iter().zip(values) {
            let mut rest = values.as_slice();
            for (name, shape) in &parameter.parts {
                let (data, after) = rest.split_at(shape.iter().product());
                rest = after;
                let tensor = WeightTensor {
                    shape: shape.clone(),
                    data: data.to_vec(),
                };
                weights.insert(name.clone(), tensor);
            }
        }
        weights
    }
}

fn fused_name(name: &str) -> String {
    ["q_proj", "k_proj", "v_proj"]
        .iter()
        .map(|part| (*part, "qkv_proj"))
        .chain([("gate_proj", "gate_up_proj"), ("up_proj", "gate_up_proj")])
        .find_map(|(part, fused)| {
            name.strip_suffix(&format!(".{part}.weight"))
                .map(|stem| format!("{stem}.{fused}.weight"))
        })
        .unwrap_or_else(|| name.to_owned())
}

fn part<'a>(
    weights: &'a WeightMap,
    name: &str,
    shape: &[usize],
) -> Result<&'a WeightTensor, TrainError> {
    let found = weights.get(name);
    found
        .filter(|tensor| {
            tensor.shape == shape && tensor.data.len() == shape.iter().product::<usize>()
        })
        .ok_or_else(|| TrainError::InitialShape {
            name: name.to_owned(),
            expected: shape.to_vec(),
            found: found.map(|tensor| tensor.shape.clone()).unwrap_or_default(),
        })
}

/// The weights before the first step.
///
/// At random: norms one, the rest normal with a deviation of 0.02, the projections back into the residual stream
/// smaller by the square root of their number (GPT-2, section 2.3), so that its variance does not grow with depth.
pub(super) fn initial_weights(
    config: &ModelConfig,
    initial: &InitialWeights,
    seed: u64,
) -> Result<WeightMap, TrainError> {
    if let InitialWeights::Weights(weights) = initial {
        for (name, shape) in config.weight_names() {
            part(weights, &name, &shape)?;
        }
        return Ok(weights.clone());
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let residual = INITIAL_DEVIATION / (2.0 * config.layers as f32).sqrt();
    let mut weights = WeightMap::new();
    for (name, shape) in config.weight_names() {
        let count = shape.iter().product();
        let into_residual = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
        let data = match shape.len() {
            1 => vec![1.0; count],
            _ => normal(
                &mut random,
                count,
                if into_residual {
                    residual
                } else {
                    INITIAL_DEVIATION
                },
            ),
        };
        weights.insert(name, WeightTensor { shape, data });
    }
    if let InitialWeights::Embeddings(table) = initial {
        let expected = [config.vocab_size, config.width];
        let given = WeightMap::from([(EMBEDDINGS.to_owned(), table.clone())]);
        part(&given, EMBEDDINGS, &expected)?;
        weights.extend(given);
    }
    Ok(weights)
}

/// Normal numbers by Box and Muller's transform: candle's own generator cannot be seeded on the processor.
fn normal(random: &mut ChaCha8Rng, count: usize, deviation: f32) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        // From 1 down to just above 0, whose logarithm is finite.
        let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
        let angle = std::f64::consts::TAU * random.random::<f64>();
        values.push((radius * angle.cos()) as f32 * deviation);
        values.push((radius * angle.sin()) as f32 * deviation);
    }
    values.truncate(count);
    values
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use limbeck_model::testing::tiny_config;

    #[test]
    fn tensors_survive_fusing() {
        for tied in [true, false] {
            let config = ModelConfig {
                tied_embeddings: tied,
                ..tiny_config()
            };
            let weights = initial_weights(&config, &InitialWeights::Random, 1).unwrap();
            let parameters = Parameters::new(&config, &weights, &[], &Device::Cpu).unwrap();
            assert!(parameters.0.len() < config.weight_names().len());
            assert_eq!(parameters.weights(&parameters.values().unwrap()), weights);
            let decaying = parameters
                .0
                .iter()
                .filter(|parameter| parameter.decays)
                .count();
            assert_eq!(decaying, 4 * config.layers);
        }
    }

    #[test]
    fn initial_weights_have_their_deviation_and_repeat() {
        let config = tiny_config();
        let weights = initial_weights(&config, &InitialWeights::Random, 7).unwrap();
        assert_eq!(
            weights,
            initial_weights(&config, &InitialWeights::Random, 7).unwrap()
        );
        assert_ne!(
            weights,
            initial_weights(&config, &InitialWeights::Random, 8).unwrap()
        );
        let table = &weights[EMBEDDINGS].data;
        let squares: f32 = table.iter().map(|value| value * value).sum();
        assert!(((squares / table.len() as f32).sqrt() / 0.02 - 1.0).abs() < 0.05);
        assert!(
            weights["model.norm.weight"]
                .data
                .iter()
                .all(|value| value.to_bits() == 1.0_f32.to_bits())
        );
    }

    #[test]
    fn given_weights_must_fit() {
        let config = tiny_config();
        let table = WeightTensor {
            shape: vec![2, 2],
            data: vec![0.0; 4],
        };
        let result = initial_weights(&config, &InitialWeights::Embeddings(table), 1);
        assert!(matches!(result, Err(TrainError::InitialShape { name, .. }) if name == EMBEDDINGS));
        let mut weights = initial_weights(&config, &InitialWeights::Random, 1).unwrap();
        weights.remove("model.norm.weight");
        let result = initial_weights(&config, &InitialWeights::Weights(weights), 1);
        assert!(
            matches!(result, Err(TrainError::InitialShape { name, .. }) if name == "model.norm.weight")
        );
    }
}
