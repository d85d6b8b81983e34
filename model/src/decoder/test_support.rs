//! Tiny models for tests, and a forward pass written out in f64.

use std::collections::BTreeMap;

use crate::kernels::matrix::test_values;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

use crate::{
    BlockFormat, BlockTensor, ModelConfig, ModelError, WeightMap, WeightSource, WeightTensor,
};

/// A shape with grouped queries and sizes that fill no vector.
pub(crate) fn odd_config(tied_embeddings: bool) -> ModelConfig {
    ModelConfig {
        vocab_size: 101,
        width: 30,
        layers: 3,
        heads: 6,
        key_value_heads: 2,
        head_dim: 10,
        feed_forward: 53,
        context_length: 700,
        rope_base: 10_000.0,
        rms_norm_epsilon: 1e-5,
        tied_embeddings,
    }
}

/// A shape whose rows divide into blocks, with the vocabulary and the context of [`odd_config`].
pub(crate) fn block_config(tied_embeddings: bool) -> ModelConfig {
    ModelConfig {
        width: 64,
        heads: 6,
        key_value_heads: 2,
        head_dim: 16,
        feed_forward: 160,
        ..odd_config(tied_embeddings)
    }
}

/// Weights as a quantised file holds them: matrices in blocks, of one format or another, and norms in f32.
pub(crate) struct InBlocks {
    /// What the blocks stand for.
    pub(crate) weights: WeightMap,
    blocks: BTreeMap<String, BlockTensor<'static>>,
}

impl InBlocks {
    #[expect(clippy::unwrap_used, reason = "tests")]
    pub(crate) fn new(mut weights: WeightMap) -> Self {
        let formats = [
            (BlockFormat::Q4_1, GgmlDType::Q4_1),
            (BlockFormat::Q8_0, GgmlDType::Q8_0),
            (BlockFormat::Q4_0, GgmlDType::Q4_0),
        ];
        let mut blocks = BTreeMap::new();
        let matrices = weights.iter_mut().filter(|(_, w)| w.shape.len() == 2);
        for ((name, weight), (format, kind)) in matrices.zip(formats.into_iter().cycle()) {
            let shape = weight.shape.clone();
            let tensor = Tensor::from_slice(&weight.data, shape.as_slice(), &Device::Cpu).unwrap();
            let tensor = QTensor::quantize(&tensor, kind).unwrap();
            let rounded = tensor.dequantize(&Device::Cpu).unwrap();
            weight.data = rounded.flatten_all().unwrap().to_vec1().unwrap();
            let bytes = tensor.data().unwrap().into_owned().into();
            let tensor = BlockTensor {
                shape,
                format,
                bytes,
            };
            blocks.insert(name.clone(), tensor);
        }
        Self { weights, blocks }
    }
}

impl WeightSource for InBlocks {
    fn load(&self, name: &str) -> Result<WeightTensor, ModelError> {
        self.weights.load(name)
    }

    fn load_blocks(&self, name: &str) -> Result<Option<BlockTensor<'_>>, ModelError> {
        Ok(self.blocks.get(name).cloned())
    }

    fn contains(&self, name: &str) -> bool {
        self.weights.contains(name)
    }
}

/// Weights of a size that makes confident, varied predictions.
pub(crate) fn random_weights(config: &ModelConfig) -> WeightMap {
    let mut weights = WeightMap::new();
    for (seed, (name, shape)) in config.weight_names().into_iter().enumerate() {
        let mut data = test_values(shape.iter().product(), seed as u64);
        if shape.len() == 1 {
            for x in &mut data {
                *x = 1.0 + 0.3 * *x;
            }
        } else {
            let scale = 1.7 / (shape[1] as f32).sqrt();
            for x in &mut data {
                *x *= scale;
            }
        }
        weights.insert(name, WeightTensor { shape, data });
    }
    weights
}

pub(crate) fn random_tokens(count: usize, seed: u64) -> Vec<u32> {
    test_values(count, seed)
        .into_iter()
        .map(|x| ((x + 1.0) * 50.0) as u32)
        .collect()
}

/// The decoder as its papers write it, in f64 and in no hurry: logits at every position.
pub(crate) struct Reference<'a> {
    pub(crate) config: &'a ModelConfig,
    pub(crate) weights: &'a WeightMap,
}

impl Reference<'_> {
    pub(crate) fn logits(&self, tokens: &[u32]) -> Vec<f32> {
        let width = self.config.width;
        let table = &self.weights["model.embed_tokens.weight"].data;
        let row = |&token: &u32| {
            table[token as usize * width..][..width]
                .iter()
                .map(|&x| f64::from(x))
                .collect()
        };
        let mut hidden: Vec<Vec<f64>> = tokens.iter().map(row).collect();
        for layer in 0..self.config.layers {
            let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
            let normed = self.norm(&name("input_layernorm"), &hidden);
            let mut queries = self.linear(&name("self_attn.q_proj"), &normed);
            let mut keys = self.linear(&name("self_attn.k_proj"), &normed);
            let values = self.linear(&name("self_attn.v_proj"), &normed);
            self.rotate(&mut queries);
            self.rotate(&mut keys);
            let attended = self.attention(&queries, &keys, &values);
            add(
                &mut hidden,
                &self.linear(&name("self_attn.o_proj"), &attended),
            );
            let normed = self.norm(&name("post_attention_layernorm"), &hidden);
            let mut gate = self.linear(&name("mlp.gate_proj"), &normed);
            let up = self.linear(&name("mlp.up_proj"), &normed);
            for (gate, up) in gate.iter_mut().flatten().zip(up.iter().flatten()) {
                *gate = *gate / (1.0 + (-*gate).exp()) * up;
            }
            add(&mut hidden, &self.linear(&name("mlp.down_proj"), &gate));
        }
        let head = if self.config.tied_embeddings {
            "model.embed_tokens.weight"
        } else {
            "lm_head.weight"
        };
        let logits = self.linear(head, &self.norm("model.norm.weight", &hidden));
        logits.into_iter().flatten().map(|x| x as f32).collect()
    }

    fn linear(&self, name: &str, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let weight = &self.weights[name];
        let product = |x: &Vec<f64>| {
            let rows = weight.data.chunks(weight.shape[1]);
            rows.map(|row| row.iter().zip(x).map(|(&w, x)| f64::from(w) * x).sum())
                .collect()
        };
        x.iter().map(product).collect()
    }

    fn norm(&self, name: &str, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let weight = &self.weights[name].data;
        let norm = |x: &Vec<f64>| {
            let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
            let root = (mean + f64::from(self.config.rms_norm_epsilon)).sqrt();
            x.iter()
                .zip(weight)
                .map(|(x, &w)| x / root * f64::from(w))
                .collect()
        };
        x.iter().map(norm).collect()
    }

    fn rotate(&self, x: &mut [Vec<f64>]) {
        let head_dim = self.config.head_dim;
        for (position, row) in x.iter_mut().enumerate() {
            for head in row.chunks_mut(head_dim) {
                for i in 0..head_dim / 2 {
                    let frequency =
                        f64::from(self.config.rope_base).powf(-2.0 * i as f64 / head_dim as f64);
                    let (sine, cosine) = (position as f64 * frequency).sin_cos();
                    let (low, high) = (head[i], head[i + head_dim / 2]);
                    head[i] = low * cosine - high * sine;
                    head[i + head_dim / 2] = high * cosine + low * sine;
                }
            }
        }
    }

    fn attention(
        &self,
        queries: &[Vec<f64>],
        keys: &[Vec<f64>],
        values: &[Vec<f64>],
    ) -> Vec<Vec<f64>> {
        let ModelConfig {
            heads,
            key_value_heads,
            head_dim,
            ..
        } = *self.config;
        let mut out = vec![vec![0.0; heads * head_dim]; queries.len()];
        for (position, out) in out.iter_mut().enumerate() {
            for head in 0..heads {
                let from = head / (heads / key_value_heads) * head_dim;
                let query = &queries[position][head * head_dim..][..head_dim];
                let score = |key: &Vec<f64>| {
                    let dot: f64 = query.iter().zip(&key[from..]).map(|(q, k)| q * k).sum();
                    (dot / (head_dim as f64).sqrt()).exp()
                };
                let weights: Vec<f64> = keys[..=position].iter().map(score).collect();
                let total: f64 = weights.iter().sum();
                for (weight, value) in weights.iter().zip(values) {
                    for i in 0..head_dim {
                        out[head * head_dim + i] += weight / total * value[from + i];
                    }
                }
            }
        }
        out
    }
}

fn add(x: &mut [Vec<f64>], y: &[Vec<f64>]) {
    for (x, y) in x.iter_mut().flatten().zip(y.iter().flatten()) {
        *x += y;
    }
}
