//! Tensor names: Hugging Face's on our side, llama.cpp's in the file.

/// `(Hugging Face, llama.cpp)` for the tensors outside the blocks.
const GLOBAL: [(&str, &str); 3] = [
    ("model.embed_tokens.weight", "token_embd.weight"),
    ("model.norm.weight", "output_norm.weight"),
    ("lm_head.weight", "output.weight"),
];

/// `(Hugging Face, llama.cpp)` inside a block, after `model.layers.N.` and `blk.N.`.
const BLOCK: [(&str, &str); 9] = [
    ("input_layernorm.weight", "attn_norm.weight"),
    ("self_attn.q_proj.weight", "attn_q.weight"),
    ("self_attn.k_proj.weight", "attn_k.weight"),
    ("self_attn.v_proj.weight", "attn_v.weight"),
    ("self_attn.o_proj.weight", "attn_output.weight"),
    ("post_attention_layernorm.weight", "ffn_norm.weight"),
    ("mlp.gate_proj.weight", "ffn_gate.weight"),
    ("mlp.up_proj.weight", "ffn_up.weight"),
    ("mlp.down_proj.weight", "ffn_down.weight"),
];

/// llama.cpp's name for a Hugging Face tensor of a Llama model, or `None` where there is none.
pub(super) fn to_gguf(name: &str) -> Option<String> {
    if let Some((_, gguf)) = GLOBAL.iter().find(|(ours, _)| *ours == name) {
        return Some((*gguf).to_owned());
    }
    let (layer, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let (_, gguf) = BLOCK.iter().find(|(ours, _)| *ours == rest)?;
    Some(format!("blk.{layer}.{gguf}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_part_are_known() {
        assert_eq!(
            to_gguf("model.layers.12.self_attn.q_proj.weight").as_deref(),
            Some("blk.12.attn_q.weight")
        );
        assert_eq!(to_gguf("lm_head.weight").as_deref(), Some("output.weight"));
        assert_eq!(to_gguf("model.layers.x.mlp.up_proj.weight"), None);
        assert_eq!(to_gguf("model.layers.0.self_attn.q_proj.bias"), None);
    }
}
