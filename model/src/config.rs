//! The shape of a Llama-family decoder.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ModelError;

/// Everything about a decoder that is not a weight: a dense Llama-shaped transformer with grouped-query attention,
/// rotary positions (rotate-half layout), RMS norm and a `SwiGLU` feed-forward.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width of the residual stream (`hidden_size`).
    pub width: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub key_value_heads: usize,
    /// Channels of one head; even.
    pub head_dim: usize,
    /// Inner width of the feed-forward (`intermediate_size`).
    pub feed_forward: usize,
    /// Longest sequence in tokens (`max_position_embeddings`).
    pub context_length: usize,
    /// Base of the rotary frequencies (`rope_theta`).
    pub rope_base: f32,
    /// Epsilon of every RMS norm.
    pub rms_norm_epsilon: f32,
    /// The output head is the embedding table.
    pub tied_embeddings: bool,
}

impl ModelConfig {
    /// Checks that this can be a decoder and is of a sane size, so that later arithmetic on shapes cannot overflow.
    pub fn validate(&self) -> Result<(), ModelError> {
        within("vocab_size", self.vocab_size, 1 << 22)?;
        within("width", self.width, 1 << 16)?;
        within("layers", self.layers, 1 << 10)?;
        within("heads", self.heads, 1 << 10)?;
        within("key_value_heads", self.key_value_heads, self.heads)?;
        within("head_dim", self.head_dim, 1 << 12)?;
        within("feed_forward", self.feed_forward, 1 << 18)?;
        within("context_length", self.context_length, 1 << 24)?;
        if !self.heads.is_multiple_of(self.key_value_heads) {
            let expected = format!("a divisor of `heads`, which is {}", self.heads);
            return Err(invalid("key_value_heads", &self.key_value_heads, expected));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(invalid("head_dim", &self.head_dim, "an even number"));
        }
        if !(self.rope_base.is_finite() && self.rope_base >= 1.0) {
            return Err(invalid(
                "rope_base",
                &self.rope_base,
                "a number of 1 or more",
            ));
        }
        if !(self.rms_norm_epsilon > 0.0 && self.rms_norm_epsilon < 1.0) {
            let expected = "a number between 0 and 1";
            return Err(invalid(
                "rms_norm_epsilon",
                &self.rms_norm_epsilon,
                expected,
            ));
        }
        Ok(())
    }

    /// Width of all query heads together; equals `width` in most models.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all key heads together, and of all value heads.
    pub fn key_value_width(&self) -> usize {
        self.key_value_heads * self.head_dim
    }

    /// Numbers in all tensors; a tied embedding table counts once.
    pub fn parameter_count(&self) -> usize {
        self.weight_names()
            .iter()
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum()
    }

    /// Every tensor by its Hugging Face name, with its shape (outermost dimension first): embeddings, blocks in order,
    /// final norm, and the head where it is untied.
    pub fn weight_names(&self) -> Vec<(String, Vec<usize>)> {
        let (queries, keys) = (self.query_width(), self.key_value_width());
        let block = [
            ("input_layernorm", vec![self.width]),
            ("self_attn.q_proj", vec![queries, self.width]),
            ("self_attn.k_proj", vec![keys, self.width]),
            ("self_attn.v_proj", vec![keys, self.width]),
            ("self_attn.o_proj", vec![self.width, queries]),
            ("post_attention_layernorm", vec![self.width]),
            ("mlp.gate_proj", vec![self.feed_forward, self.width]),
            ("mlp.up_proj", vec![self.feed_forward, self.width]),
            ("mlp.down_proj", vec![self.width, self.feed_forward]),
        ];
        let table = vec![self.vocab_size, self.width];
        let mut names = vec![("model.embed_tokens.weight".to_owned(), table.clone())];
        for layer in 0..self.layers {
            for (part, shape) in &block {
                names.push((format!("model.layers.{layer}.{part}.weight"), shape.clone()));
            }
        }
        names.push(("model.norm.weight".to_owned(), vec![self.width]));
        if !self.tied_embeddings {
            names.push(("lm_head.weight".to_owned(), table));
        }
        names
    }

    /// `config.json` of a `LlamaForCausalLM` with f32 weights.
    pub fn to_hugging_face(&self, bos: Option<u32>, eos: u32) -> Value {
        json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocab_size,
            "hidden_size": self.width,
            "intermediate_size": self.feed_forward,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.key_value_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "max_position_embeddings": self.context_length,
            "rms_norm_eps": shortest(self.rms_norm_epsilon),
            "rope_theta": shortest(self.rope_base),
            "rope_scaling": null,
            "attention_bias": false,
            "attention_dropout": 0.0,
            "mlp_bias": false,
            "pretraining_tp": 1,
            "initializer_range": 0.02,
            "tie_word_embeddings": self.tied_embeddings,
            "bos_token_id": bos,
            "eos_token_id": eos,
            "torch_dtype": "float32",
            "use_cache": true,
        })
    }

    /// Reads the `config.json` of a `LlamaForCausalLM`; anything that would change the computation and is not known
    /// here is an error.
    pub fn from_hugging_face(json: &Value) -> Result<Self, ModelError> {
        let fields = Fields(json);
        fields.refuse_unsupported()?;
        let heads = fields.required("num_attention_heads")?;
        let width = fields.required("hidden_size")?;
        let rope_theta = fields
            .float("rope_theta")?
            .or(Fields(&json["rope_parameters"]).float("rope_theta")?);
        let config = Self {
            vocab_size: fields.required("vocab_size")?,
            width,
            layers: fields.required("num_hidden_layers")?,
            heads,
            key_value_heads: fields.integer("num_key_value_heads")?.unwrap_or(heads),
            head_dim: match fields.integer("head_dim")? {
                Some(head_dim) => head_dim,
                None => width.checked_div(heads).unwrap_or(0),
            },
            feed_forward: fields.required("intermediate_size")?,
            context_length: fields.required("max_position_embeddings")?,
            rope_base: rope_theta.unwrap_or(10_000.0),
            rms_norm_epsilon: fields.float("rms_norm_eps")?.unwrap_or(1e-6),
            tied_embeddings: json["tie_word_embeddings"].as_bool().unwrap_or(false),
        };
        config.validate()?;
        Ok(config)
    }
}

/// The double that prints as the float does: `1e-5` rather than `9.999999747378752e-6`.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| value.into())
}

fn invalid(field: &'static str, value: &dyn ToString, expected: impl Into<String>) -> ModelError {
    ModelError::Config {
        field,
        value: value.to_string(),
        expected: expected.into(),
    }
}

fn within(field: &'static str, value: usize, most: usize) -> Result<(), ModelError> {
    if (1..=most).contains(&value) {
        Ok(())
    } else {
        Err(invalid(field, &value, format!("1 to {most}")))
    }
}

/// Typed access to the fields of a `config.json`; `null` counts as absent.
struct Fields<'a>(&'a Value);

impl Fields<'_> {
    fn integer(&self, field: &'static str) -> Result<Option<usize>, ModelError> {
        match &self.0[field] {
            Value::Null => Ok(None),
            value => match value.as_u64().and_then(|number| number.try_into().ok()) {
                Some(number) => Ok(Some(number)),
                None => Err(invalid(field, &value, "an integer of zero or more")),
            },
        }
    }

    fn required(&self, field: &'static str) -> Result<usize, ModelError> {
        self.integer(field)?
            .ok_or_else(|| invalid(field, &"absent", "an integer"))
    }

    fn float(&self, field: &'static str) -> Result<Option<f32>, ModelError> {
        match &self.0[field] {
            Value::Null => Ok(None),
            value => match value.as_f64() {
                Some(number) => Ok(Some(number as f32)),
                None => Err(invalid(field, &value, "a number")),
            },
        }
    }

    fn refuse_unsupported(&self) -> Result<(), ModelError> {
        let json = self.0;
        if json["model_type"] != "llama" {
            return Err(invalid("model_type", &json["model_type"], "`llama`"));
        }
        if json["hidden_act"].as_str().is_some_and(|act| act != "silu") {
            return Err(invalid("hidden_act", &json["hidden_act"], "`silu`"));
        }
        for field in ["attention_bias", "mlp_bias"] {
            if json[field] == true {
                return Err(invalid(field, &true, "`false`: biases are not supported"));
            }
        }
        for field in ["rope_scaling", "rope_parameters"] {
            let kind = json[field]["rope_type"]
                .as_str()
                .or(json[field]["type"].as_str());
            if kind.is_some_and(|kind| kind != "default") {
                return Err(invalid(field, &json[field], "no scaling of positions"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tiny_config;

    #[test]
    fn hugging_face_json_reads_back() -> Result<(), ModelError> {
        let config = ModelConfig {
            rms_norm_epsilon: 1e-5,
            rope_base: 100_000.0,
            ..tiny_config()
        };
        let json = config.to_hugging_face(None, 3);
        assert_eq!(ModelConfig::from_hugging_face(&json)?, config);
        assert_eq!(json["rms_norm_eps"].as_f64(), Some(1e-5));
        assert_eq!(json["bos_token_id"], Value::Null);
        Ok(())
    }

    #[test]
    fn shapes_that_cannot_run_are_refused() {
        let refused = |change: fn(&mut ModelConfig)| {
            let mut config = tiny_config();
            change(&mut config);
            match config.validate() {
                Err(ModelError::Config { field, .. }) => field,
                other => panic!("expected a refusal, got {other:?}"),
            }
        };
        assert_eq!(refused(|c| c.vocab_size = 0), "vocab_size");
        assert_eq!(refused(|c| c.layers = usize::MAX), "layers");
        assert_eq!(refused(|c| c.heads = 3), "key_value_heads");
        assert_eq!(refused(|c| c.key_value_heads = 8), "key_value_heads");
        assert_eq!(refused(|c| c.head_dim = 7), "head_dim");
        assert_eq!(refused(|c| c.rope_base = f32::NAN), "rope_base");
        assert_eq!(refused(|c| c.rms_norm_epsilon = 0.0), "rms_norm_epsilon");
    }

    #[test]
    fn what_changes_the_computation_is_refused() {
        let refused = |field: &str, value: Value| {
            let mut json = tiny_config().to_hugging_face(None, 0);
            json[field] = value;
            ModelConfig::from_hugging_face(&json).is_err()
        };
        assert!(refused("model_type", json!("mistral")));
        assert!(refused("attention_bias", json!(true)));
        assert!(refused(
            "rope_scaling",
            json!({"rope_type": "llama3", "factor": 8.0})
        ));
        assert!(refused("hidden_size", json!("wide")));
        assert!(refused("num_attention_heads", json!(0)));
        assert!(!refused("rope_scaling", json!({"rope_type": "default"})));
    }

    #[test]
    fn parameters_are_counted_once_where_tied() {
        let config = tiny_config();
        let untied = ModelConfig {
            tied_embeddings: false,
            ..config.clone()
        };
        let table = config.vocab_size * config.width;
        assert_eq!(untied.parameter_count() - config.parameter_count(), table);
    }
}
