//! In what numbers matrices are multiplied.

use serde::{Deserialize, Serialize};

use crate::DecodeError;
use crate::kernels::product::Arithmetic;
use crate::kernels::quantised;
use crate::kernels::simd::{InstructionSet, has_bf16_dot_products};

/// In what numbers matrices are to be multiplied; sums are f32 always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// What is fastest here for many rows at a time: [`Precision::Bf16`] where the processor has dot products for it, else
    /// [`Precision::Integer`] in a decoder with AVX2 or NEON, else [`Precision::F32`].
    #[default]
    Auto,
    /// f32 everywhere.
    F32,
    /// The factors of products rounded to bfloat16. A decoder needs AVX512-BF16 for it. Training does without, but then
    /// it is no faster than [`Precision::F32`].
    Bf16,
    /// Weights that a file stores in blocks of integers stay so, and what they are multiplied with is rounded to integers
    /// block by block; others are as in [`Precision::Auto`]. Not for training, whose weights are in no such blocks.
    #[serde(skip_deserializing)]
    Integer,
}

impl Precision {
    /// What is fastest here for one sequence, which waits for the weights to come from memory: in blocks they are a third
    /// of what they are in bf16.
    pub fn for_one_sequence() -> Self {
        if quantised::is_fast() {
            Self::Integer
        } else {
            Self::Auto
        }
    }

    /// What a decoder on this processor makes of it where weights are not in blocks, never [`Precision::Auto`].
    ///
    /// # Errors
    /// [`Precision::Bf16`] on a processor without dot products for it.
    pub fn resolve(self) -> Result<Self, DecodeError> {
        match self {
            Self::Auto if has_bf16_dot_products() => Ok(Self::Bf16),
            Self::Auto => Ok(Self::F32),
            Self::Bf16 if !has_bf16_dot_products() => Err(DecodeError::NoBf16),
            chosen => Ok(chosen),
        }
    }

    /// What training on this processor makes of it, never [`Precision::Auto`].
    ///
    /// # Errors
    /// [`Precision::Integer`].
    pub fn for_training(self) -> Result<Self, DecodeError> {
        match self {
            Self::Auto if has_bf16_dot_products() => Ok(Self::Bf16),
            Self::Auto => Ok(Self::F32),
            Self::Integer => Err(DecodeError::IntegerTraining),
            chosen => Ok(chosen),
        }
    }

    /// The widest instructions that products of this (resolved) precision use here, for reports.
    pub fn instruction_set(self) -> &'static str {
        match self {
            Self::Bf16 if has_bf16_dot_products() => "AVX512-BF16",
            Self::Bf16 => InstructionSet::detect().name_of_emulated_bf16(),
            Self::Integer => quantised::instruction_set(),
            Self::F32 | Self::Auto => InstructionSet::detect().name(),
        }
    }

    /// How the training step's products are computed.
    pub(crate) fn arithmetic(self) -> Result<Arithmetic, DecodeError> {
        Ok(match self.for_training()? {
            Self::Bf16 => Arithmetic::Bf16,
            _ => Arithmetic::F32,
        })
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Integer => "integer",
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::kernels::simd::{on_every_path, with_instructions};

    #[test]
    fn a_processor_without_bfloat16_takes_f32_or_says_so() {
        with_instructions(InstructionSet::Portable, || {
            assert_eq!(Precision::Auto.resolve().unwrap(), Precision::F32);
            assert_eq!(Precision::F32.resolve().unwrap(), Precision::F32);
            let error = Precision::Bf16.resolve().unwrap_err().to_string();
            assert!(error.contains("hint: ask for precision `auto` or `f32`"));
        });
    }

    #[test]
    fn training_in_bfloat16_goes_on_without_its_instructions_and_says_so() {
        on_every_path(|instructions| {
            assert_eq!(Precision::Bf16.for_training().unwrap(), Precision::Bf16);
            assert_eq!(Precision::Bf16.arithmetic().unwrap(), Arithmetic::Bf16);
            let fast = has_bf16_dot_products();
            let auto = if fast {
                Precision::Bf16
            } else {
                Precision::F32
            };
            assert_eq!(Precision::Auto.for_training().unwrap(), auto);
            let shown = Precision::Bf16.instruction_set();
            let emulated = format!("{}, BF16 emulated", instructions.name());
            assert_eq!(shown, if fast { "AVX512-BF16" } else { &emulated });
        });
    }

    #[test]
    fn names_are_those_that_files_hold() {
        for precision in [Precision::Auto, Precision::F32, Precision::Bf16] {
            let json = serde_json::to_string(&precision).unwrap();
            assert_eq!(json, format!("\"{precision}\""));
            assert_eq!(serde_json::from_str::<Precision>(&json).unwrap(), precision);
        }
        let integer = serde_json::to_string(&Precision::Integer).unwrap();
        assert_eq!(integer, "\"integer\"");
        // Recipes say how to train.
        assert!(serde_json::from_str::<Precision>(&integer).is_err());
        assert!(Precision::Integer.arithmetic().is_err());
    }
}
