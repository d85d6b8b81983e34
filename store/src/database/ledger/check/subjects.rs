//! Rows held to the records that commit to them.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{Check, Leaf};
use crate::StoreError;
use crate::database::id_list;
use crate::database::ledger::erase::erased_trace;
use crate::database::ledger::rows::{self, TraceParts};

impl Check<'_> {
    /// Looks at the rows that a page of records commits to.
    pub(super) async fn subjects(&mut self, page: &[Leaf]) -> Result<(), StoreError> {
        self.traces(page).await?;
        self.attempts(page).await?;
        let newest = self.newest_of_subject(page).await?;
        self.prompts(page, &newest).await?;
        for leaf in page.iter().filter(|leaf| newest.contains(&leaf.index)) {
            match leaf.kind.as_str() {
                "curation" => self.curation(leaf).await?,
                "dataset" => self.dataset(leaf).await?,
                "run" => self.run(leaf).await?,
                _ => {}
            }
        }
        Ok(())
    }

    async fn traces(&mut self, page: &[Leaf]) -> Result<(), StoreError> {
        let leaves = of_kind(page, "trace");
        let ids: Vec<_> = leaves.iter().map(|leaf| &leaf.subject).collect();
        let mut parts = rows::traces(&mut self.transaction, &id_list(&ids))
            .await
            .map_err(self.store.explain())?;
        for leaf in leaves {
            let part = parts.remove(&leaf.subject).unwrap_or_default();
            self.trace(leaf, &part);
        }
        Ok(())
    }

    fn trace(&mut self, leaf: &Leaf, part: &TraceParts) {
        let id = &leaf.subject;
        let Some(number) = part.number else {
            self.findings.deny(
                "trace-missing",
                format!("trace {id} (record {}) is gone", leaf.index),
            );
            return;
        };
        if leaf.record["number"] != number {
            self.findings.deny(
                "order",
                format!(
                    "trace {id} was number {} and is number {number}",
                    leaf.record["number"]
                ),
            );
        }
        if leaf.text_of("origin") != rows::digest(part.origin.as_bytes()) {
            self.findings.deny(
                "trace-changed",
                format!(
                    "of trace {id} the receipt, the parameters, the date or the counts were changed"
                ),
            );
        }
        let is_as_it_was = self.is_as_committed(leaf, &part.content, &erased_trace());
        if !is_as_it_was {
            self.findings.deny(
                "trace-changed",
                format!(
                    "of trace {id} the answer, the reasoning, the probabilities or the digests were changed"
                ),
            );
        }
    }

    /// Whether `content` is what the record commits to, or what an erasure that the ledger tells of leaves.
    fn is_as_committed(&self, leaf: &Leaf, content: &str, erased: &str) -> bool {
        match &leaf.salt {
            Some(salt) => rows::commitment(salt, content) == leaf.text_of("content"),
            None => self.erased.contains(&leaf.subject) && content == erased,
        }
    }

    async fn attempts(&mut self, page: &[Leaf]) -> Result<(), StoreError> {
        let mut runs = Vec::new();
        for leaf in page {
            let record = match leaf.kind.as_str() {
                "attempts" => &leaf.record,
                "trace" => &leaf.record["attempts"],
                _ => continue,
            };
            if let (Some(first), Some(last)) = (record["first"].as_i64(), record["last"].as_i64()) {
                runs.push((leaf, first, last, record["digest"].as_str()));
            }
        }
        let bounds = runs.iter().map(|(_, first, last, _)| json!([first, last]));
        let bounds = Value::Array(bounds.collect()).to_string();
        let found = rows::attempts(&mut self.transaction, &bounds)
            .await
            .map_err(self.store.explain())?;
        for (place, (leaf, first, last, digest)) in runs.into_iter().enumerate() {
            self.attempts.push((first, last));
            let found = found.get(&(place as i64));
            if found.map(|(_, digest)| digest.as_str()) == digest {
                continue;
            }
            let count = found.map_or(0, |(count, _)| *count);
            let expected = last.saturating_sub(first).saturating_add(1);
            // What was adopted may have had gaps.
            let (name, what) = if count < expected && leaf.record["adopted"] != true {
                ("attempt-missing", "are not all there")
            } else {
                ("attempt-changed", "were changed")
            };
            self.findings.deny(
                name,
                format!("attempts {first} to {last} of {} {what}", leaf.name()),
            );
        }
        Ok(())
    }

    /// Which records of a page are the last of their subject, by their places.
    async fn newest_of_subject(&mut self, page: &[Leaf]) -> Result<HashSet<i64>, StoreError> {
        let again = ["prompt", "curation", "dataset", "run"];
        let asked = page
            .iter()
            .filter(|leaf| again.contains(&leaf.kind.as_str()))
            .map(|leaf| json!([leaf.kind, leaf.subject, leaf.index]));
        let asked = Value::Array(asked.collect()).to_string();
        let newest = sqlx::query_scalar!(
            r#"SELECT value ->> 2 AS "idx!: i64" FROM json_each(?1) WHERE NOT EXISTS (
                   SELECT 1 FROM ledger_leaves
                   WHERE kind = value ->> 0 AND subject = value ->> 1 AND idx > value ->> 2)"#,
            asked,
        )
        .fetch_all(&mut *self.transaction)
        .await
        .map_err(self.store.explain())?;
        Ok(newest.into_iter().collect())
    }

    async fn prompts(&mut self, page: &[Leaf], newest: &HashSet<i64>) -> Result<(), StoreError> {
        let mut leaves = of_kind(page, "prompt");
        leaves.retain(|leaf| newest.contains(&leaf.index));
        let ids: Vec<_> = leaves.iter().map(|leaf| &leaf.subject).collect();
        let contents = rows::prompts(&mut self.transaction, &id_list(&ids))
            .await
            .map_err(self.store.explain())?;
        for leaf in leaves {
            let id = &leaf.subject;
            match contents.get(id) {
                None => self
                    .findings
                    .deny("prompt-missing", format!("prompt {id} is gone")),
                Some(content) => {
                    let erased = rows::erased_prompt(content);
                    if !self.is_as_committed(leaf, content, &erased) {
                        self.findings.deny(
                            "prompt-changed",
                            format!("of prompt {id} the text, the source, the licence or the tags were changed"),
                        );
                    }
                }
            }
        }
        Ok(())
    }

    async fn curation(&mut self, leaf: &Leaf) -> Result<(), StoreError> {
        let found = rows::curation(&mut self.transaction, &leaf.subject)
            .await
            .map_err(self.store.explain())?;
        let id = &leaf.subject;
        match found {
            None => self
                .findings
                .deny("curation-missing", format!("curation {id} is gone")),
            Some((verdicts, _)) if leaf.record["verdicts"] != verdicts => self.findings.deny(
                "verdict-changed",
                format!(
                    "curation {id} had {} verdicts and has {verdicts}",
                    leaf.record["verdicts"]
                ),
            ),
            Some((_, digest)) if leaf.text_of("digest") != digest => self.findings.deny(
                "verdict-changed",
                format!("a verdict of curation {id} was changed, or its date"),
            ),
            Some(_) => {}
        }
        Ok(())
    }

    async fn dataset(&mut self, leaf: &Leaf) -> Result<(), StoreError> {
        let found = rows::dataset(&mut self.transaction, &leaf.subject)
            .await
            .map_err(self.store.explain())?;
        let id = &leaf.subject;
        let Some(parts) = found else {
            self.findings
                .deny("dataset-missing", format!("dataset {id} is gone"));
            return Ok(());
        };
        if leaf.record["rows"] != parts.rows || leaf.text_of("traces") != parts.traces {
            self.findings.deny(
                "dataset-changed",
                format!("the rows of dataset {id} are made of other traces than they were"),
            );
        }
        let is_erased = leaf.salt.is_none() && self.erased.contains(id);
        if !is_erased && !self.is_as_committed(leaf, &parts.content, "") {
            self.findings.deny(
                "dataset-changed",
                format!("an input or an answer in dataset {id} was changed"),
            );
        }
        Ok(())
    }

    async fn run(&mut self, leaf: &Leaf) -> Result<(), StoreError> {
        let id = leaf.subject.parse().unwrap_or(i64::MIN);
        let found = rows::run(&mut self.transaction, id)
            .await
            .map_err(self.store.explain())?;
        match found {
            None => self
                .findings
                .deny("run-missing", format!("run {} is gone", leaf.subject)),
            Some(digest) if leaf.text_of("digest") != digest => self
                .findings
                .deny("run-changed", format!("run {} was changed", leaf.subject)),
            Some(_) => {}
        }
        Ok(())
    }
}

fn of_kind<'a>(page: &'a [Leaf], kind: &str) -> Vec<&'a Leaf> {
    page.iter().filter(|leaf| leaf.kind == kind).collect()
}
