//! Trees and proofs, held to `ct-merkle` and to the definitions of RFC 6962 written out.

use std::collections::HashMap;
use std::ops::Range;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;

use crate::ledger::*;

/// What a log keeps: leaves and complete subtrees by where they lie.
#[derive(Default)]
struct Log {
    frontier: Frontier,
    nodes: HashMap<Subtree, Hash>,
}

impl Log {
    fn of(size: u64) -> (Self, MemoryBackedTree<Sha256, Vec<u8>>) {
        let (mut log, mut other) = (Self::default(), MemoryBackedTree::new());
        for index in 0..size {
            log.push(&leaf(index));
            other.push(leaf(index));
        }
        (log, other)
    }

    fn push(&mut self, leaf: &[u8]) {
        let (index, hash) = (self.frontier.size(), leaf_hash(leaf));
        self.nodes.insert(Subtree { level: 0, index }, hash);
        self.nodes.extend(self.frontier.append(hash));
    }

    fn hash(&self, run: Range<u64>) -> Hash {
        let hashes: Vec<_> = subtrees(run).iter().map(|node| self.nodes[node]).collect();
        fold(&hashes)
    }

    fn hashes(&self, runs: Vec<Range<u64>>) -> Vec<Hash> {
        runs.into_iter().map(|run| self.hash(run)).collect()
    }
}

fn leaf(index: u64) -> Vec<u8> {
    format!("leaf {index}").into_bytes()
}

/// The hash of a list as section 2.1 of RFC 6962 defines it.
fn defined(leaves: &[Vec<u8>]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => leaf_hash(leaf),
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&defined(left), &defined(right))
        }
    }
}

#[test]
fn roots_are_those_of_the_definition_and_of_another_implementation() {
    let leaves: Vec<_> = (0..130).map(leaf).collect();
    for size in 0..=leaves.len() {
        let (log, other) = Log::of(size as u64);
        assert_eq!(log.frontier.root(), defined(&leaves[..size]), "{size}");
        assert_eq!(log.hash(0..size as u64), log.frontier.root(), "{size}");
        if size > 0 {
            assert_eq!(log.frontier.root()[..], other.root().as_bytes()[..]);
        }
    }
    assert_eq!(
        hex::encode(empty_root()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}

#[test]
fn inclusion_proofs_are_those_of_another_implementation() {
    for size in (1..=33).chain([64, 100, 129]) {
        let (log, other) = Log::of(size);
        let root = log.frontier.root();
        for index in 0..size {
            let proof = log.hashes(inclusion_runs(index, size).unwrap());
            let theirs = other.prove_inclusion(index as usize);
            assert_eq!(proof.concat(), theirs.as_bytes(), "{index} of {size}");
            let hash = leaf_hash(&leaf(index));
            verify_inclusion(&hash, index, size, &proof, &root).unwrap();
            let ours = ct_merkle::InclusionProof::from_bytes(proof.concat());
            let accepted = other.root().verify_inclusion(&leaf(index), index, &ours);
            assert!(accepted.is_ok(), "{index} of {size}");
        }
    }
}

#[test]
fn consistency_proofs_are_those_of_another_implementation() {
    for new in (1..=33).chain([64, 100, 129]) {
        let (log, other) = Log::of(new);
        for old in 1..=new {
            let before = Log::of(old).0.frontier.root();
            let proof = log.hashes(consistency_runs(old, new).unwrap());
            verify_consistency(old, new, &proof, &before, &log.frontier.root()).unwrap();
            if old < new {
                let theirs = other.prove_consistency((new - old) as usize);
                assert_eq!(proof.concat(), theirs.as_bytes(), "{old} of {new}");
            }
        }
    }
}

#[test]
fn what_cannot_be_is_said() {
    assert_eq!(
        inclusion_runs(3, 3),
        Err(ProofError::NoSuchLeaf { index: 3, size: 3 })
    );
    assert_eq!(
        consistency_runs(4, 3),
        Err(ProofError::Larger { old: 4, new: 3 })
    );
    assert_eq!(Frontier::new(3, vec![[0; 32]]), None);
    let root = [1; 32];
    verify_consistency(0, 5, &[], &empty_root(), &root).unwrap();
    assert!(verify_consistency(0, 5, &[], &[2; 32], &root).is_err());
    assert!(verify_consistency(5, 5, &[], &[2; 32], &root).is_err());
}

proptest! {
    #[test]
    fn a_frontier_goes_on_where_it_was(size in 0u64..300, more in 0u64..70) {
        let (mut whole, _) = Log::of(size);
        let edge = subtrees(0..size).iter().map(|node| whole.nodes[node]).collect();
        let mut later = Log { frontier: Frontier::new(size, edge).unwrap(), nodes: HashMap::new() };
        for index in size..size + more {
            whole.push(&leaf(index));
            later.push(&leaf(index));
        }
        prop_assert_eq!(whole.frontier, later.frontier);
    }

    #[test]
    fn a_proof_with_anything_changed_does_not_hold(
        size in 2u64..200, at in any::<prop::sample::Index>(), bit in 0usize..256, which in any::<prop::sample::Index>(),
    ) {
        let (log, _) = Log::of(size);
        let root = log.frontier.root();
        let index = at.index(size as usize) as u64;
        let hash = leaf_hash(&leaf(index));
        let proof = log.hashes(inclusion_runs(index, size).unwrap());
        let flip = |hash: &Hash| { let mut other = *hash; other[bit / 8] ^= 1 << (bit % 8); other };
        let mut changed = proof.clone();
        let place = which.index(changed.len());
        changed[place] = flip(&changed[place]);
        prop_assert!(verify_inclusion(&hash, index, size, &changed, &root).is_err());
        prop_assert!(verify_inclusion(&flip(&hash), index, size, &proof, &root).is_err());
        prop_assert!(verify_inclusion(&hash, index, size, &proof, &flip(&root)).is_err());
        prop_assert!(verify_inclusion(&hash, index, size, &proof[1..], &root).is_err());
        let other = (index + 1) % size;
        prop_assert!(verify_inclusion(&hash, other, size, &proof, &root).is_err());
    }

    #[test]
    fn a_tree_with_another_past_is_not_consistent(new in 2u64..200, at in any::<prop::sample::Index>()) {
        let (log, _) = Log::of(new);
        let old = 1 + at.index(new as usize - 1) as u64;
        let mut before = Log::of(old - 1).0;
        before.push(b"another last leaf");
        let proof = log.hashes(consistency_runs(old, new).unwrap());
        let root = log.frontier.root();
        prop_assert!(verify_consistency(old, new, &proof, &before.frontier.root(), &root).is_err());
    }

    #[test]
    fn any_proof_can_be_checked(
        old in any::<u64>(), new in any::<u64>(), proof in prop::collection::vec(any::<[u8; 32]>(), 0..130),
    ) {
        let root = [0; 32];
        prop_assert!(verify_inclusion(&root, old, new, &proof, &root).is_err());
        prop_assert!(old == new || verify_consistency(old, new, &proof, &root, &root).is_err());
    }
}
