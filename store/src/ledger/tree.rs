//! The tree of RFC 6962 (section 2.1): what is hashed, and which complete subtrees a root or a proof is made of.
//!
//! The hash of any run of leaves that a root or a proof needs is a fold over complete subtrees, and those never change
//! once they are full. So a log keeps the hash of each complete subtree, and everything else here is arithmetic on
//! where they lie: appending, a root and a proof each touch a number of them that grows with the logarithm of the size.

use std::ops::Range;

use sha2::{Digest, Sha256};

/// A SHA-256.
pub type Hash = [u8; 32];

/// The hash of a leaf: the SHA-256 of a zero byte and the leaf's bytes.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(leaf)
        .finalize()
        .into()
}

/// The hash of a node: the SHA-256 of a one byte and the hashes of its two children.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The root of a tree without leaves: the SHA-256 of nothing.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// A complete subtree: the `index`-th run of 2^`level` leaves. Level 0 is a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtree {
    /// The logarithm of how many leaves it has.
    pub level: u32,
    /// How many subtrees of this level come before it.
    pub index: u64,
}

/// The complete subtrees that a run of leaves is made of, from left to right.
///
/// The run must be one that RFC 6962 hashes: its beginning is a multiple of the next power of two of its length. Such
/// a run is made of subtrees that shrink from left to right.
pub fn subtrees(leaves: Range<u64>) -> Vec<Subtree> {
    let mut found = Vec::new();
    let mut at = leaves.start;
    while at < leaves.end {
        let level = (leaves.end - at).ilog2();
        found.push(Subtree {
            level,
            index: at >> level,
        });
        at += 1 << level;
    }
    found
}

/// The hash of a run of leaves from those of its [`subtrees`], in their order; the [`empty_root`] for none.
pub fn fold(hashes: &[Hash]) -> Hash {
    let mut from_right = hashes.iter().rev();
    let Some(last) = from_right.next() else {
        return empty_root();
    };
    from_right.fold(*last, |right, left| node_hash(left, &right))
}

/// The right edge of a growing tree: the hashes of the complete subtrees that it is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    hashes: Vec<Hash>,
}

impl Frontier {
    /// The edge of a tree of `size` leaves, from the hashes of the [`subtrees`] of `0..size`; `None` where there is
    /// another number of them.
    pub fn new(size: u64, hashes: Vec<Hash>) -> Option<Self> {
        (hashes.len() == size.count_ones() as usize).then_some(Self { size, hashes })
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The tree's root.
    pub fn root(&self) -> Hash {
        fold(&self.hashes)
    }

    /// Adds a leaf by its hash, and says which subtrees of more than one leaf became complete by it.
    pub fn append(&mut self, leaf: Hash) -> Vec<(Subtree, Hash)> {
        let mut index = self.size;
        let mut hash = leaf;
        let mut complete = Vec::new();
        // Each one at the end of the size is a subtree that waits for a right sibling.
        for level in 1..=self.size.trailing_ones() {
            let Some(left) = self.hashes.pop() else { break };
            index >>= 1;
            hash = node_hash(&left, &hash);
            complete.push((Subtree { level, index }, hash));
        }
        self.hashes.push(hash);
        self.size += 1;
        complete
    }
}
