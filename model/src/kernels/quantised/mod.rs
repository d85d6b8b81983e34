//! Products with weights in blocks of small integers, as quantised files hold them.
//!
//! The weights stay as small as they are in the file: a single sequence is as fast as memory delivers them. Input rows
//! are rounded on the way in, block by block as well ([`activations`]), so that the products inside a block are integer
//! ones, which are exact whatever their order. Only across blocks are there f32 sums, one term a block and in the order
//! of the blocks. So an element of the result is the same to the last bit with every instruction set and in any company.
//!
//! - [`panels`]: the layout of the weights
//! - [`activations`]: rounded input rows
//! - [`portable`], [`avx2`] and [`neon`]: a few rows against one panel

mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod neon;
mod panels;
mod portable;
#[cfg(test)]
mod tests;

pub(crate) use activations::QuantisedRows;
pub(crate) use panels::QuantisedMatrix;

use super::simd::InstructionSet;

/// Whether products are faster than those of dequantised weights: the portable way takes about three times as long.
pub(crate) fn is_fast() -> bool {
    InstructionSet::detect() != InstructionSet::Portable
}

/// The widest instructions in use, for reports.
pub(crate) fn instruction_set() -> &'static str {
    match InstructionSet::detect() {
        InstructionSet::Portable => InstructionSet::Portable.name(),
        #[cfg(target_arch = "aarch64")]
        InstructionSet::Neon => InstructionSet::Neon.name(),
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 | InstructionSet::Avx512 => InstructionSet::Avx2.name(),
    }
}
