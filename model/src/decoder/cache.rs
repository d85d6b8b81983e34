//! Keys and values of positions already read.

use std::sync::Arc;

use super::DecodeError;
use crate::ModelConfig;
use crate::kernels::attention::{BLOCK, padded_head};

/// What a cache needs to know of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheShape {
    layers: usize,
    key_value_heads: usize,
    head_dim: usize,
}

impl CacheShape {
    pub(crate) fn new(config: &ModelConfig) -> Self {
        Self {
            layers: config.layers,
            key_value_heads: config.key_value_heads,
            head_dim: config.head_dim,
        }
    }

    fn key_values(self) -> usize {
        self.head_dim * BLOCK
    }

    fn head_values(self) -> usize {
        self.key_values() + BLOCK * padded_head(self.head_dim)
    }

    fn block_values(self) -> usize {
        self.layers * self.key_value_heads * self.head_values()
    }
}

/// [`BLOCK`] positions of all layers and heads: for each (layer, head) the keys, channel-major and rotated, then the
/// values, position-major. The layouts are those of [`crate::kernels::attention`].
struct Block(Box<[f32]>);

/// Keys and values of one (layer, head) for up to [`BLOCK`] positions.
pub(crate) struct BlockView<'a> {
    pub(crate) keys: &'a [f32],
    pub(crate) values: &'a [f32],
}

impl Block {
    fn view(&self, shape: CacheShape, layer: usize, head: usize) -> BlockView<'_> {
        let start = (layer * shape.key_value_heads + head) * shape.head_values();
        let (keys, values) = self.0[start..][..shape.head_values()].split_at(shape.key_values());
        BlockView { keys, values }
    }

    /// Writes one position of one layer; `keys` and `values` hold all heads.
    fn write(
        &mut self,
        shape: CacheShape,
        layer: usize,
        slot: usize,
        keys: &[f32],
        values: &[f32],
    ) {
        let heads = keys
            .chunks_exact(shape.head_dim)
            .zip(values.chunks_exact(shape.head_dim));
        for (head, (key, value)) in heads.enumerate() {
            let start = (layer * shape.key_value_heads + head) * shape.head_values();
            let (block_keys, block_values) =
                self.0[start..][..shape.head_values()].split_at_mut(shape.key_values());
            for (channels, key) in block_keys.chunks_exact_mut(BLOCK).zip(key) {
                channels[slot] = *key;
            }
            block_values[slot * padded_head(shape.head_dim)..][..shape.head_dim]
                .copy_from_slice(value);
        }
    }
}

/// The beginning that many requests share, read once.
///
/// It belongs to the decoder that computed it and can be given to any number of requests at a time.
pub struct Prefix {
    shape: CacheShape,
    tokens: Vec<u32>,
    blocks: Vec<Block>,
}

impl Prefix {
    /// The tokens it stands for.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// How many tokens it stands for.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether it stands for no tokens; [`super::Decoder::prefix`] never makes one.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    pub(crate) fn shape(&self) -> CacheShape {
        self.shape
    }
}

impl std::fmt::Debug for Prefix {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Prefix")
            .field("tokens", &self.tokens.len())
            .finish_non_exhaustive()
    }
}

/// Blocks that finished sequences left behind, for the next ones: memory stays at what the fullest batch needed.
#[derive(Default)]
pub(crate) struct BlockPool(Vec<Block>);

/// Everything one sequence has read: a shared prefix, then positions of its own.
///
/// Blocks begin at multiples of [`BLOCK`] whether or not there is a prefix: a softmax that is taken block by block
/// comes out the same to the last bit only if the blocks are the same. So the prefix's whole blocks are shared, and
/// the positions of its last, partial one are copied to the front of the sequence's own first block.
pub(crate) struct KeyValueCache {
    shape: CacheShape,
    prefix: Option<Arc<Prefix>>,
    blocks: Vec<Block>,
    own: usize,
}

impl KeyValueCache {
    /// An empty cache after `prefix`.
    pub(crate) fn new(shape: CacheShape, prefix: Option<Arc<Prefix>>) -> Result<Self, DecodeError> {
        if prefix
            .as_ref()
            .is_some_and(|prefix| prefix.shape() != shape)
        {
            return Err(DecodeError::ForeignPrefix);
        }
        Ok(Self {
            shape,
            prefix,
            blocks: Vec::new(),
            own: 0,
        })
    }

    /// Positions read, prefix included: the position of the next token.
    pub(crate) fn position(&self) -> usize {
        self.prefix_len() + self.own
    }

    /// Positions in [`Self::own_blocks`]: those copied from the prefix and those read after it.
    pub(crate) fn in_own_blocks(&self) -> usize {
        self.copied() + self.own
    }

    /// Forgets what was read after the first `own` positions that follow the prefix.
    pub(crate) fn roll_back(&mut self, own: usize) {
        debug_assert!(own <= self.own);
        self.own = own;
    }

    /// Makes room for `count` more positions.
    pub(crate) fn reserve(&mut self, count: usize, pool: &mut BlockPool) {
        while self.blocks.len() * BLOCK < self.in_own_blocks() + count {
            let fresh = || Block(vec![0.0; self.shape.block_values()].into());
            let mut block = pool.0.pop().unwrap_or_else(fresh);
            if self.blocks.is_empty()
                && self.copied() > 0
                && let Some(partial) = self.prefix.as_ref().and_then(|p| p.blocks.last())
            {
                block.0.copy_from_slice(&partial.0);
            }
            self.blocks.push(block);
        }
    }

    /// Writes one layer's keys and values of a position that `reserve` made room for and `advance` will count.
    pub(crate) fn write(&mut self, layer: usize, ahead: usize, keys: &[f32], values: &[f32]) {
        let index = self.in_own_blocks() + ahead;
        self.blocks[index / BLOCK].write(self.shape, layer, index % BLOCK, keys, values);
    }

    /// Counts positions whose keys and values have been written in every layer.
    pub(crate) fn advance(&mut self, count: usize) {
        self.own += count;
    }

    /// Whether both read the very same prefix, so that their queries can visit it together.
    pub(crate) fn shares_prefix(&self, other: &Self) -> bool {
        match (&self.prefix, &other.prefix) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        }
    }

    /// The prefix's whole blocks.
    pub(crate) fn prefix_blocks(
        &self,
        layer: usize,
        head: usize,
    ) -> impl Iterator<Item = BlockView<'_>> {
        let blocks = self.prefix.iter().flat_map(|prefix| &prefix.blocks);
        blocks
            .take(self.prefix_len() / BLOCK)
            .map(move |block| block.view(self.shape, layer, head))
    }

    /// The blocks after those.
    pub(crate) fn own_blocks(
        &self,
        layer: usize,
        head: usize,
    ) -> impl Iterator<Item = BlockView<'_>> {
        self.blocks
            .iter()
            .map(move |block| block.view(self.shape, layer, head))
    }

    /// Turns what was read without a prefix into one; `tokens` are what was read.
    pub(crate) fn into_prefix(self, tokens: Vec<u32>) -> Prefix {
        debug_assert!(self.prefix.is_none() && tokens.len() == self.own);
        Prefix {
            shape: self.shape,
            tokens,
            blocks: self.blocks,
        }
    }

    /// Gives the memory to later sequences.
    pub(crate) fn recycle(self, pool: &mut BlockPool) {
        pool.0.extend(self.blocks);
    }

    /// Positions of the prefix's last block where that is not whole.
    fn copied(&self) -> usize {
        self.prefix_len() % BLOCK
    }

    fn prefix_len(&self) -> usize {
        self.prefix.as_ref().map_or(0, |prefix| prefix.len())
    }
}
