//! Tensor element kinds: what candle can decode, and what Limbeck writes.

use std::fmt;
use std::str::FromStr;

use candle_core::quantized::GgmlDType;

use crate::{BlockFormat, ModelError};

/// candle's type for the type code of a tensor, or `None` for those that it cannot decode.
pub(super) fn from_code(code: u32) -> Option<GgmlDType> {
    // The codes are those of `enum ggml_type`; Q8_1 (9) and Q8_K (15) are only ever intermediate results.
    Some(match code {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

/// The format of those kinds whose blocks have 32 weights and one scale.
pub(super) fn block_format(kind: GgmlDType) -> Option<BlockFormat> {
    match kind {
        GgmlDType::Q4_0 => Some(BlockFormat::Q4_0),
        GgmlDType::Q4_1 => Some(BlockFormat::Q4_1),
        GgmlDType::Q5_0 => Some(BlockFormat::Q5_0),
        GgmlDType::Q5_1 => Some(BlockFormat::Q5_1),
        GgmlDType::Q8_0 => Some(BlockFormat::Q8_0),
        _ => None,
    }
}

/// The kinds of GGUF file that Limbeck writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GgufKind {
    /// 32-bit floats throughout.
    F32,
    /// 16-bit floats; norms stay 32-bit.
    F16,
    /// Blocks of 32 with 8-bit values and one scale: 8.5 bits a weight.
    Q8_0,
    /// Blocks of 32 with 4-bit values and one scale: 4.5 bits a weight. The output head, tied or not, takes `Q6_K`
    /// or, where its rows do not divide by 256, `Q8_0`, as llama.cpp's own quantiser does.
    Q4_0,
}

impl GgufKind {
    /// Every kind, largest first.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Q8_0, Self::Q4_0];

    /// The name in recipes: `f32`, `f16`, `q8_0` or `q4_0`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
        }
    }

    /// The word that people put before `.gguf`: `F32`, `F16`, `Q8_0` or `Q4_0`.
    pub fn file_name_suffix(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
        }
    }

    /// `general.file_type`: `enum llama_ftype`.
    pub(super) fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q8_0 => 7,
        }
    }

    /// The type of one tensor in a file of this kind, by its Hugging Face name and shape.
    pub(super) fn tensor_type(self, name: &str, shape: &[usize], tied: bool) -> GgmlDType {
        let row = shape.last().copied().unwrap_or(1);
        if shape.len() < 2 || name.ends_with("norm.weight") {
            return GgmlDType::F32;
        }
        let is_head = name == "lm_head.weight" || (tied && name == "model.embed_tokens.weight");
        let wanted = match self {
            Self::F32 => GgmlDType::F32,
            Self::F16 => GgmlDType::F16,
            Self::Q8_0 => GgmlDType::Q8_0,
            Self::Q4_0 if is_head && row.is_multiple_of(GgmlDType::Q6K.block_size()) => {
                GgmlDType::Q6K
            }
            Self::Q4_0 if is_head => GgmlDType::Q8_0,
            Self::Q4_0 => GgmlDType::Q4_0,
        };
        if row.is_multiple_of(wanted.block_size()) {
            wanted
        } else {
            GgmlDType::F16
        }
    }
}

/// The type code of a tensor type that [`GgufKind::tensor_type`] chooses.
pub(super) fn to_code(kind: GgmlDType) -> u32 {
    match kind {
        GgmlDType::F32 => 0,
        GgmlDType::F16 => 1,
        GgmlDType::Q4_0 => 2,
        GgmlDType::Q4_1 => 3,
        GgmlDType::Q5_0 => 6,
        GgmlDType::Q5_1 => 7,
        GgmlDType::Q8_0 => 8,
        GgmlDType::Q8_1 => 9,
        GgmlDType::Q2K => 10,
        GgmlDType::Q3K => 11,
        GgmlDType::Q4K => 12,
        GgmlDType::Q5K => 13,
        GgmlDType::Q6K => 14,
        GgmlDType::Q8K => 15,
        GgmlDType::BF16 => 30,
    }
}

impl fmt::Display for GgufKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for GgufKind {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self, ModelError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| ModelError::GgufKind {
                name: name.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for kind in GgufKind::ALL {
            assert_eq!(kind.name().parse::<GgufKind>().ok(), Some(kind));
        }
        assert!("q5_9".parse::<GgufKind>().is_err());
    }

    #[test]
    fn codes_are_each_others_inverse() {
        for code in 0..64 {
            if let Some(kind) = from_code(code) {
                assert_eq!(to_code(kind), code);
            }
        }
    }

    #[test]
    fn tensors_that_do_not_fit_the_blocks_stay_half() {
        let kind =
            |name: &str, shape: &[usize], tied| GgufKind::Q4_0.tensor_type(name, shape, tied);
        let up = "model.layers.0.mlp.up_proj.weight";
        assert_eq!(kind(up, &[64, 64], true), GgmlDType::Q4_0);
        assert_eq!(kind(up, &[64, 40], true), GgmlDType::F16);
        assert_eq!(kind("model.norm.weight", &[64], true), GgmlDType::F32);
        let embeddings = "model.embed_tokens.weight";
        assert_eq!(kind(embeddings, &[9, 256], true), GgmlDType::Q6K);
        assert_eq!(kind(embeddings, &[9, 64], true), GgmlDType::Q8_0);
        assert_eq!(kind(embeddings, &[9, 64], false), GgmlDType::Q4_0);
    }
}
