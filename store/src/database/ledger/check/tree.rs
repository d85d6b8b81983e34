//! The tree and its checkpoints, made anew from the hashes of the records.

use std::collections::HashMap;

use super::{Check, Leaf};
use crate::StoreError;
use crate::audit::integrity::StoredCheckpoint;
use crate::ledger::{Frontier, Hash, Subtree, empty_root};

/// The tree as far as it has been made anew.
pub(super) struct TreeCheck {
    frontier: Frontier,
    /// Subtrees of more than one record that are complete so far.
    nodes: i64,
    /// A record is missing or no hash, and no root after it means anything.
    is_broken: bool,
    /// The number of records at which the root is to be remembered.
    watch: Option<u64>,
    watched: Option<Hash>,
}

impl TreeCheck {
    pub(super) fn new(watch: Option<u64>) -> Self {
        Self {
            frontier: Frontier::default(),
            nodes: 0,
            is_broken: false,
            watch,
            watched: (watch == Some(0)).then(empty_root),
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root of the first records, as many as were to be watched; `None` where there are fewer.
    pub(super) fn watched(&self) -> Option<&Hash> {
        self.watched.as_ref()
    }
}

impl Check<'_> {
    /// Goes on with a page of records: their places, the subtrees that they complete, the checkpoints over them.
    pub(super) async fn tree_page(
        &mut self,
        tree: &mut TreeCheck,
        page: &[Leaf],
    ) -> Result<(), StoreError> {
        let before = tree.size();
        let mut nodes: Vec<(Subtree, Hash)> = Vec::new();
        let mut roots = HashMap::new();
        let checkpoints = self
            .checkpoints(before as i64, before as i64 + page.len() as i64)
            .await?;
        for checkpoint in &checkpoints {
            roots.insert(checkpoint.size, None);
        }
        for leaf in page {
            let expected = tree.size() as i64;
            let hash = Hash::try_from(leaf.hash.as_slice()).ok();
            if !tree.is_broken && (leaf.index != expected || hash.is_none()) {
                tree.is_broken = true;
                self.findings.deny(
                    "tree",
                    format!(
                        "record {expected} should stand where {} does: one was taken out or put in",
                        leaf.name()
                    ),
                );
            }
            nodes.extend(tree.frontier.append(hash.unwrap_or_default()));
            if let Some(root) = roots.get_mut(&(tree.size() as i64)) {
                *root = Some(tree.frontier.root());
            }
            if tree.watch == Some(tree.size()) {
                tree.watched = Some(tree.frontier.root());
            }
        }
        tree.nodes += nodes.len() as i64;
        if !tree.is_broken {
            self.compare_nodes(&nodes).await?;
        }
        for checkpoint in &checkpoints {
            if let Some(Some(root)) = roots.get(&checkpoint.size) {
                let origin = self.origin.as_deref();
                checkpoint.judge(origin, root, self.keys, &mut self.findings);
            }
        }
        Ok(())
    }

    /// Checkpoints over more records than there are, and hashes that belong to no subtree.
    pub(super) async fn tree_end(&mut self, tree: &mut TreeCheck) -> Result<(), StoreError> {
        let size = tree.size() as i64;
        let outside = sqlx::query!(
            "SELECT number, size FROM ledger_checkpoints WHERE size > ?1 OR size <= 0 ORDER BY number",
            size,
        )
        .fetch_all(&mut *self.transaction)
        .await
        .map_err(self.store.explain())?;
        for row in outside {
            self.findings.deny(
                "record-missing",
                format!(
                    "checkpoint {} is over {} records and the ledger has {size}: the last ones are gone",
                    row.number, row.size
                ),
            );
        }
        let nodes = sqlx::query_scalar!("SELECT count(*) FROM ledger_nodes")
            .fetch_one(&mut *self.transaction)
            .await
            .map_err(self.store.explain())?;
        if nodes != tree.nodes && !tree.is_broken {
            self.findings.deny(
                "tree",
                format!(
                    "the tree over {size} records has {} inner hashes, and {nodes} are kept",
                    tree.nodes
                ),
            );
        }
        self.checkpoint_order().await
    }

    /// A checkpoint over fewer records than the one before it was written again.
    async fn checkpoint_order(&mut self) -> Result<(), StoreError> {
        let back = sqlx::query_scalar!(
            r#"SELECT number AS "number!" FROM (
                   SELECT number, size, max(size) OVER (ORDER BY number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                       AS most
                   FROM ledger_checkpoints)
               WHERE size < most ORDER BY number"#
        )
        .fetch_all(&mut *self.transaction)
        .await
        .map_err(self.store.explain())?;
        for number in back {
            self.findings.deny(
                "checkpoint",
                format!("checkpoint {number} is over fewer records than one before it: an old one was put in again"),
            );
        }
        Ok(())
    }

    /// Holds the hashes of subtrees to those that are kept.
    async fn compare_nodes(&mut self, nodes: &[(Subtree, Hash)]) -> Result<(), StoreError> {
        let mut levels: HashMap<u32, (u64, u64)> = HashMap::new();
        for (Subtree { level, index }, _) in nodes {
            let range = levels.entry(*level).or_insert((*index, *index));
            range.1 = *index;
        }
        let mut kept: HashMap<(i64, i64), Vec<u8>> = HashMap::with_capacity(nodes.len());
        for (level, (first, last)) in levels {
            let (level, first, last) = (i64::from(level), first as i64, last as i64);
            let rows = sqlx::query!(
                "SELECT idx, hash FROM ledger_nodes WHERE level = ?1 AND idx BETWEEN ?2 AND ?3",
                level,
                first,
                last,
            )
            .fetch_all(&mut *self.transaction)
            .await
            .map_err(self.store.explain())?;
            kept.extend(rows.into_iter().map(|row| ((level, row.idx), row.hash)));
        }
        for (Subtree { level, index }, hash) in nodes {
            let found = kept.get(&(i64::from(*level), *index as i64));
            let leaves = (index << level, ((index + 1) << level) - 1);
            match found {
                Some(found) if found[..] == hash[..] => {}
                Some(_) => self.findings.deny(
                    "tree",
                    format!(
                        "the hash over records {} to {} is another than they give",
                        leaves.0, leaves.1
                    ),
                ),
                None => self.findings.deny(
                    "tree",
                    format!(
                        "the hash over records {} to {} is missing",
                        leaves.0, leaves.1
                    ),
                ),
            }
        }
        Ok(())
    }

    /// The checkpoints over more than `after` records and at most `until`.
    async fn checkpoints(
        &mut self,
        after: i64,
        until: i64,
    ) -> Result<Vec<StoredCheckpoint>, StoreError> {
        sqlx::query_as!(
            StoredCheckpoint,
            "SELECT number, size, root, note FROM ledger_checkpoints
             WHERE size > ?1 AND size <= ?2 ORDER BY number",
            after,
            until,
        )
        .fetch_all(&mut *self.transaction)
        .await
        .map_err(self.store.explain())
    }

    pub(super) async fn newest_checkpoint(
        &mut self,
    ) -> Result<Option<StoredCheckpoint>, StoreError> {
        sqlx::query_as!(
            StoredCheckpoint,
            "SELECT number, size, root, note FROM ledger_checkpoints ORDER BY number DESC LIMIT 1"
        )
        .fetch_optional(&mut *self.transaction)
        .await
        .map_err(self.store.explain())
    }
}
