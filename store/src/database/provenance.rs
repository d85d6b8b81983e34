//! What the audit of provenance reads from a store.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;

use super::Store;
use crate::audit::provenance::{FileDigest, Held, HeldDataset, Noted, OnDisk, Several, provenance};
use crate::audit::{Finding, Lineage};
use crate::{Candidate, StoreError};

impl Store {
    /// Everything in which the chain from files back to requests is broken, with what lies on the disk: of all that the
    /// store holds, or of one model.
    pub async fn audit_provenance(
        &self,
        disk: &OnDisk,
        lineage: Option<&Lineage>,
    ) -> Result<Vec<Finding>, StoreError> {
        let held = self.held(lineage).await?;
        Ok(provenance(held, disk, lineage))
    }

    /// What a folder with these files came from; `None` where the ledger tells of none of them, or the store does not
    /// hold what the model learned from.
    pub async fn lineage_of(&self, files: &[FileDigest]) -> Result<Option<Lineage>, StoreError> {
        let (models, exports) = (self.noted("model").await?, self.noted("export").await?);
        let Some(lineage) = Lineage::of_files(files, &models, &exports) else {
            return Ok(None);
        };
        let is_held = self.dataset_ids().await?.contains(&lineage.dataset);
        Ok(is_held.then_some(lineage))
    }

    async fn held(&self, lineage: Option<&Lineage>) -> Result<Held, StoreError> {
        let models = self.noted("model").await?;
        let of_models = models
            .values()
            .filter_map(|model| Some((model.text("curation")?, model.text("dataset")?)));
        let chosen: BTreeSet<(&str, &str)> = match lineage {
            Some(lineage) => BTreeSet::from([(&lineage.curation[..], &lineage.dataset[..])]),
            None => of_models.collect(),
        };
        let mut dropped = BTreeMap::new();
        for (curation, dataset) in chosen {
            let several = self.dropped_in(curation, dataset).await?;
            if several.count > 0 {
                dropped.insert((curation.to_owned(), dataset.to_owned()), several);
            }
        }
        let recorded: HashSet<String> = self.subjects("dataset").await?;
        let dataset = lineage.map(|lineage| lineage.dataset.as_str());
        let mut datasets = BTreeMap::new();
        for id in self.dataset_ids().await? {
            if dataset.is_some_and(|dataset| dataset != id) {
                continue;
            }
            let held = self.held_dataset(&id, recorded.contains(&id)).await?;
            datasets.extend(held.map(|held| (id, held)));
        }
        let recipes = self.ledger_entries("recipe").await?;
        Ok(Held {
            traces: self.count_traces().await? as u64,
            unrecorded: self.unrecorded_traces(dataset).await?,
            unreceipted: self.unreceipted_traces(dataset).await?,
            unasked: self.unasked_traces(dataset).await?,
            datasets,
            erased: self.erased().await?,
            curations: self.subjects("curation").await?.into_iter().collect(),
            dropped,
            models,
            exports: self.noted("export").await?,
            recipe: recipes.last().map(|recipe| recipe.subject.clone()),
            runs: self.runs().await?,
        })
    }

    /// The newest record of each subject.
    async fn noted(&self, kind: &str) -> Result<BTreeMap<String, Noted>, StoreError> {
        let entries = self.ledger_entries(kind).await?.into_iter();
        let noted = entries.map(|entry| Noted {
            hash: entry.subject,
            record: entry.record,
        });
        Ok(noted.map(|noted| (noted.hash.clone(), noted)).collect())
    }

    async fn subjects(&self, kind: &str) -> Result<HashSet<String>, StoreError> {
        let subjects = sqlx::query_scalar!(
            "SELECT DISTINCT subject FROM ledger_leaves WHERE kind = ?1",
            kind
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.explain())?;
        Ok(subjects.into_iter().collect())
    }

    /// The ids of all that an erasure took something out of.
    async fn erased(&self) -> Result<BTreeSet<String>, StoreError> {
        let mut erased = BTreeSet::new();
        for entry in self.ledger_entries("erasure").await? {
            let named = [&entry.record["traces"], &entry.record["datasets"]];
            let ids = named.into_iter().filter_map(Value::as_array).flatten();
            erased.extend(ids.filter_map(Value::as_str).map(str::to_owned));
        }
        Ok(erased)
    }

    async fn unrecorded_traces(&self, dataset: Option<&str>) -> Result<Several, StoreError> {
        let found = sqlx::query!(
            r#"SELECT count(*) AS "count!: i64", min(id) AS "example: String" FROM traces WHERE NOT EXISTS (
                   SELECT 1 FROM ledger_leaves WHERE kind = 'trace' AND subject = traces.id)
               AND (?1 IS NULL OR id IN (
                   SELECT trace_id FROM dataset_traces JOIN datasets ON datasets.number = dataset WHERE datasets.id = ?1))"#,
            dataset,
        )
        .fetch_one(self.pool())
        .await
        .map_err(self.explain())?;
        self.several(found.count, found.example)
    }

    async fn unreceipted_traces(&self, dataset: Option<&str>) -> Result<Several, StoreError> {
        let found = sqlx::query!(
            r#"SELECT count(*) AS "count!: i64", min(id) AS "example: String" FROM traces
               WHERE id NOT IN (SELECT trace_id FROM receipts)
               AND (?1 IS NULL OR id IN (
                   SELECT trace_id FROM dataset_traces JOIN datasets ON datasets.number = dataset WHERE datasets.id = ?1))"#,
            dataset,
        )
        .fetch_one(self.pool())
        .await
        .map_err(self.explain())?;
        self.several(found.count, found.example)
    }

    /// Imported answers were asked for elsewhere, and their receipts say where.
    async fn unasked_traces(&self, dataset: Option<&str>) -> Result<Several, StoreError> {
        let found = sqlx::query!(
            r#"SELECT count(*) AS "count!: i64", min(trace_id) AS "example: String" FROM receipts
               WHERE import IS NULL AND NOT EXISTS (
                   SELECT 1 FROM attempts WHERE attempts.trace_id = receipts.trace_id AND failure_kind IS NULL)
               AND (?1 IS NULL OR trace_id IN (
                   SELECT trace_id FROM dataset_traces JOIN datasets ON datasets.number = dataset WHERE datasets.id = ?1))"#,
            dataset,
        )
        .fetch_one(self.pool())
        .await
        .map_err(self.explain())?;
        self.several(found.count, found.example)
    }

    /// Traces that `dataset` has although `curation` dropped them.
    async fn dropped_in(&self, curation: &str, dataset: &str) -> Result<Several, StoreError> {
        let found = sqlx::query!(
            r#"SELECT count(DISTINCT dataset_traces.trace_id) AS "count!: i64", min(dataset_traces.trace_id) AS "example: String"
               FROM dataset_traces
               JOIN datasets ON datasets.number = dataset_traces.dataset
               JOIN verdicts ON verdicts.trace_id = dataset_traces.trace_id
               JOIN curations ON curations.number = verdicts.curation
               WHERE datasets.id = ?2 AND curations.id = ?1 AND keep = 0"#,
            curation,
            dataset,
        )
        .fetch_one(self.pool())
        .await
        .map_err(self.explain())?;
        self.several(found.count, found.example)
    }

    async fn dataset_ids(&self) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar!("SELECT id FROM datasets ORDER BY number")
            .fetch_all(self.pool())
            .await
            .map_err(self.explain())
    }

    async fn held_dataset(
        &self,
        id: &str,
        is_recorded: bool,
    ) -> Result<Option<HeldDataset>, StoreError> {
        let Some(dataset) = self.dataset(id).await? else {
            return Ok(None);
        };
        let rows = sqlx::query!(
            r#"SELECT DISTINCT trace_id, prompts.input AS "input?" FROM dataset_traces
               JOIN datasets ON datasets.number = dataset_traces.dataset
               LEFT JOIN traces ON traces.id = trace_id LEFT JOIN prompts ON prompts.id = traces.prompt_id
               WHERE datasets.id = ?1"#,
            id,
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.explain())?;
        let mut items = HashMap::new();
        let mut missing = Vec::new();
        for row in rows {
            match row.input {
                Some(input) => {
                    items.insert(row.trace_id, Candidate::item_of(&input));
                }
                None => missing.push(row.trace_id),
            }
        }
        let is_foreign = |row: &crate::DatasetRow| {
            let mut asked = row.trace_ids.iter().filter_map(|trace| items.get(trace));
            asked.any(|item| *item != row.item) || Candidate::item_of(&row.input) != row.item
        };
        let foreign = dataset.rows.iter().enumerate();
        let foreign = foreign
            .filter(|(_, row)| is_foreign(row))
            .map(|(position, _)| position)
            .collect();
        Ok(Some(HeldDataset {
            dataset,
            is_recorded,
            missing,
            foreign,
        }))
    }

    fn several(&self, count: i64, example: Option<String>) -> Result<Several, StoreError> {
        Ok(Several {
            count: self.unsigned("count", count)?,
            example,
        })
    }
}
