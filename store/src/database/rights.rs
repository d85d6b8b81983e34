//! What the audits of terms and of licences read from a store.

use jiff::civil::Date;

use super::Store;
use crate::StoreError;
use crate::audit::Licensed;
use crate::terms::{Collected, Origin};

impl Store {
    /// Where all answers came from, one entry for each way and day; those that were erased are not there any more.
    pub async fn terms_origins(&self) -> Result<Vec<Origin>, StoreError> {
        self.origins_of(None).await
    }

    /// The same for the answers that a dataset is made of, those that were erased since among them: what was learned
    /// from them is not unlearned.
    pub async fn terms_origins_of(&self, dataset: &str) -> Result<Vec<Origin>, StoreError> {
        self.origins_of(Some(dataset)).await
    }

    async fn origins_of(&self, dataset: Option<&str>) -> Result<Vec<Origin>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT provider AS "provider!", route AS "route!", plan, region, endpoint, license, model AS "model!",
                   import IS NOT NULL AS "is_import!: bool", import ->> 'source' AS "import_source: String", terms,
                   substr(recorded_at, 1, 10) AS "day!: String", count(*) AS "answers!: i64"
               FROM receipts JOIN traces ON traces.id = receipts.trace_id
               WHERE CASE WHEN ?1 IS NULL
                   THEN NOT EXISTS (SELECT 1 FROM ledger_leaves WHERE kind = 'erasure' AND subject = traces.id)
                   ELSE traces.id IN (
                       SELECT trace_id FROM dataset_traces JOIN datasets ON datasets.number = dataset WHERE datasets.id = ?1)
                   END
               GROUP BY provider, route, plan, region, endpoint, license, model, import IS NOT NULL, import ->> 'source', terms,
                   substr(recorded_at, 1, 10)
               ORDER BY min(traces.number)"#,
            dataset,
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.explain())?;
        rows.into_iter()
            .map(|row| {
                let day: Date = row.day.parse().map_err(|_| {
                    self.damaged(format_args!("`recorded_at` begins with `{}`", row.day))
                })?;
                Ok(Origin {
                    provider: row.provider,
                    route: row.route,
                    plan: row.plan,
                    region: row.region,
                    endpoint: row.endpoint,
                    license: row.license,
                    clarified: None,
                    source: row.import_source,
                    model: row.model,
                    collected: if row.is_import {
                        Collected::Until(day)
                    } else {
                        Collected::On(day)
                    },
                    answers: self.unsigned("count", row.answers)?,
                    recorded: row
                        .terms
                        .map(|terms| self.parse("terms", &terms))
                        .transpose()?,
                })
            })
            .collect()
    }

    /// Where all prompts came from, with the licences that they are declared to be under.
    pub async fn prompt_licenses(&self) -> Result<Vec<Licensed>, StoreError> {
        self.prompt_licenses_in(None).await
    }

    /// The same for the prompts whose answers a dataset is made of.
    pub async fn prompt_licenses_of(&self, dataset: &str) -> Result<Vec<Licensed>, StoreError> {
        self.prompt_licenses_in(Some(dataset)).await
    }

    async fn prompt_licenses_in(&self, dataset: Option<&str>) -> Result<Vec<Licensed>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT source AS "source!", license FROM prompts
               WHERE ?1 IS NULL OR id IN (
                   SELECT prompt_id FROM traces
                   JOIN dataset_traces ON dataset_traces.trace_id = traces.id
                   JOIN datasets ON datasets.number = dataset WHERE datasets.id = ?1)
               GROUP BY source, license ORDER BY source, license"#,
            dataset,
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.explain())?;
        let licensed = rows.into_iter().map(|row| Licensed {
            name: row.source,
            license: row.license,
            clarified: None,
        });
        Ok(licensed.collect())
    }
}
