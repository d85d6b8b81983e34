//! Proofs that a leaf is in a tree, and that a tree is the beginning of another (RFC 6962, sections 2.1.1 and 2.1.2).
//!
//! A proof is a list of hashes, each of a run of leaves. [`inclusion_runs`] and [`consistency_runs`] say which runs;
//! whoever keeps the tree looks up their [`subtrees`](super::subtrees) and [`fold`](super::fold)s them. Checking follows
//! RFC 9162, sections 2.1.3.2 and 2.1.4.2, and takes any input.

use std::ops::Range;

use super::tree::{Hash, node_hash};

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The leaf would lie behind the tree's end.
    #[error("there is no leaf {index} in a tree of {size}")]
    NoSuchLeaf {
        /// The leaf's place.
        index: u64,
        /// How many leaves there are.
        size: u64,
    },
    /// The tree that is to be the beginning is the larger one.
    #[error("a tree of {old} leaves is no beginning of one of {new}")]
    Larger {
        /// Leaves of the older tree.
        old: u64,
        /// Leaves of the newer one.
        new: u64,
    },
    /// There are more or fewer hashes than such a proof has.
    #[error("the proof has {found} hashes where {expected} are needed")]
    Length {
        /// How many there are.
        found: usize,
        /// How many there have to be.
        expected: usize,
    },
    /// The hashes do not lead to the root.
    #[error("the proof leads to another root")]
    OtherRoot,
}

/// The runs of leaves whose hashes prove that the leaf `index` is in a tree of `size`, in the order of the proof.
pub fn inclusion_runs(index: u64, size: u64) -> Result<Vec<Range<u64>>, ProofError> {
    if index >= size {
        return Err(ProofError::NoSuchLeaf { index, size });
    }
    let mut runs = Vec::new();
    let mut run = 0..size;
    while run.end - run.start > 1 {
        let middle = run.start + split(run.end - run.start);
        if index < middle {
            runs.push(middle..run.end);
            run.end = middle;
        } else {
            runs.push(run.start..middle);
            run.start = middle;
        }
    }
    runs.reverse();
    Ok(runs)
}

/// The runs of leaves whose hashes prove that the first `old` leaves of a tree of `new` have not changed, in the order
/// of the proof; none where the trees are one, or the old one has no leaves.
pub fn consistency_runs(old: u64, new: u64) -> Result<Vec<Range<u64>>, ProofError> {
    if old > new {
        return Err(ProofError::Larger { old, new });
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let mut runs = Vec::new();
    let mut run = 0..new;
    // While the old tree is a whole left part, its own hash is known to the one who checks.
    let mut is_known = true;
    while old != run.end {
        let middle = run.start + split(run.end - run.start);
        if old <= middle {
            runs.push(middle..run.end);
            run.end = middle;
        } else {
            runs.push(run.start..middle);
            run.start = middle;
            is_known = false;
        }
    }
    if !is_known {
        runs.push(run);
    }
    runs.reverse();
    Ok(runs)
}

/// Checks that the leaf with the hash `leaf` is the one at `index` in the tree of `size` leaves with this `root`.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    let expected = inclusion_runs(index, size)?.len();
    if proof.len() != expected {
        return Err(ProofError::Length {
            found: proof.len(),
            expected,
        });
    }
    let (mut at, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    (hash == *root).then_some(()).ok_or(ProofError::OtherRoot)
}

/// Checks that the tree of `old` leaves with `old_root` is the beginning of the tree of `new` leaves with `new_root`.
pub fn verify_consistency(
    old: u64,
    new: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), ProofError> {
    let expected = consistency_runs(old, new)?.len();
    if proof.len() != expected {
        return Err(ProofError::Length {
            found: proof.len(),
            expected,
        });
    }
    let same =
        |left: &Hash, right: &Hash| (left == right).then_some(()).ok_or(ProofError::OtherRoot);
    if old == 0 {
        return same(old_root, &super::tree::empty_root());
    }
    if old == new {
        return same(old_root, new_root);
    }
    let with_known = old.is_power_of_two().then_some(old_root);
    let mut hashes = with_known.into_iter().chain(proof);
    let Some(first) = hashes.next() else {
        return Err(ProofError::OtherRoot);
    };
    let (mut at, mut last) = (old - 1, new - 1);
    let odd = at.trailing_ones();
    at >>= odd;
    last >>= odd;
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in hashes {
        if at & 1 == 1 || at == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    same(&old_hash, old_root)?;
    same(&new_hash, new_root)
}

/// The greatest power of two below `length`, which is more than 1: how many leaves the left part of a run has.
fn split(length: u64) -> u64 {
    1 << (length - 1).ilog2()
}
