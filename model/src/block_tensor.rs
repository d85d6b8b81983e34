//! Weights as quantised files hold them: blocks of 32 small integers that share a scale.

use std::borrow::Cow;

use half::f16;

/// Weights that share a scale.
pub(crate) const BLOCK: usize = 32;

/// The block formats of ggml whose blocks are 32 weights long. A weight is `scale * number + minimum`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockFormat {
    /// 4-bit numbers from -8 to 7 and a scale.
    Q4_0,
    /// 4-bit numbers from 0 to 15, a scale and a minimum.
    Q4_1,
    /// 5-bit numbers from -16 to 15 and a scale.
    Q5_0,
    /// 5-bit numbers from 0 to 31, a scale and a minimum.
    Q5_1,
    /// 8-bit numbers and a scale.
    Q8_0,
}

/// A matrix in blocks along its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockTensor<'a> {
    /// Dimensions, outermost first; a linear layer is `[out, in]`.
    pub shape: Vec<usize>,
    /// How a block is written.
    pub format: BlockFormat,
    /// The blocks, row by row.
    pub bytes: Cow<'a, [u8]>,
}

/// One block, taken apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Block {
    pub(crate) numbers: [i8; BLOCK],
    pub(crate) scale: f16,
    /// 0 where the format has none.
    pub(crate) minimum: f16,
}

impl BlockFormat {
    /// Bytes of one block.
    pub(crate) fn block_bytes(self) -> usize {
        match self {
            Self::Q4_0 => 2 + 16,
            Self::Q4_1 => 4 + 16,
            Self::Q5_0 => 2 + 4 + 16,
            Self::Q5_1 => 4 + 4 + 16,
            Self::Q8_0 => 2 + 32,
        }
    }

    /// Whether blocks have a minimum.
    pub(crate) fn has_minimum(self) -> bool {
        matches!(self, Self::Q4_1 | Self::Q5_1)
    }

    /// Whether numbers have 4 bits.
    pub(crate) fn is_four_bit(self) -> bool {
        matches!(self, Self::Q4_0 | Self::Q4_1)
    }

    /// Takes one block of [`Self::block_bytes`] apart.
    pub(crate) fn decode(self, block: &[u8]) -> Block {
        assert_eq!(block.len(), self.block_bytes());
        let half = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]);
        let minimum = if self.has_minimum() {
            half(2)
        } else {
            f16::ZERO
        };
        let rest = &block[if self.has_minimum() { 4 } else { 2 }..];
        let numbers = match self {
            Self::Q4_0 => std::array::from_fn(|i| nibble(rest, i) - 8),
            Self::Q4_1 => std::array::from_fn(|i| nibble(rest, i)),
            Self::Q5_0 => std::array::from_fn(|i| five_bits(rest, i) - 16),
            Self::Q5_1 => std::array::from_fn(|i| five_bits(rest, i)),
            Self::Q8_0 => std::array::from_fn(|i| rest[i].cast_signed()),
        };
        Block {
            numbers,
            scale: half(0),
            minimum,
        }
    }
}

/// Number `i` of 16 bytes that hold the first half of a block in their low nibbles and the second in their high ones.
fn nibble(bytes: &[u8], i: usize) -> i8 {
    let pair = bytes[i % 16];
    (if i < 16 { pair & 15 } else { pair >> 4 }).cast_signed()
}

/// Number `i` of nibbles that follow 32 fifth bits.
fn five_bits(bytes: &[u8], i: usize) -> i8 {
    let fifth = bytes[i / 8] >> (i % 8) & 1;
    nibble(&bytes[4..], i) | (fifth << 4).cast_signed()
}
