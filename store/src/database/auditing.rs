//! What an audit reads.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};

use super::Store;
use crate::StoreError;
use crate::audit::Finding;
use crate::audit::conduct::{self, ConductPolicy, Origin, Request};
use crate::audit::privacy::{Detector, PrivacyCounts};
use crate::curate::RowAnswer;
use crate::record::PromptBody;

impl Store {
    /// Everything that the kept attempts and receipts show against `policy`, the declared limits and the waits that
    /// services asked for. Bans are held to all answers, or to those that `dataset` is made of; limits and waits to all
    /// requests in any case, since a service counts them together, whatever became of the answers.
    pub async fn audit_conduct(
        &self,
        policy: &ConductPolicy,
        dataset: Option<&str>,
    ) -> Result<Vec<Finding>, StoreError> {
        let requests = self.requests().await?;
        let origins = self.origins(dataset).await?;
        Ok(conduct::conduct(&requests, &origins, policy))
    }

    /// What `detectors` count in the rows of a dataset: in what is learned from, after everything was replaced that was
    /// to be.
    pub async fn audit_privacy_of(
        &self,
        dataset: &str,
        detectors: Vec<Box<dyn Detector>>,
    ) -> Result<Vec<Finding>, StoreError> {
        let mut counts = PrivacyCounts::new(detectors);
        let mut rows = sqlx::query!(
            "SELECT input, answer FROM dataset_rows JOIN datasets ON datasets.number = dataset WHERE datasets.id = ?1",
            dataset,
        )
        .fetch(self.pool());
        while let Some(row) = rows.try_next().await.map_err(self.explain())? {
            counts.add("inputs of the dataset", [row.input.as_str()]);
            match self.parse("answer", &row.answer)? {
                RowAnswer::Text { text, .. } => {
                    counts.add("answers of the dataset", [text.as_str()]);
                }
                // The choices are the recipe's own words.
                RowAnswer::Labels { .. } => {}
            }
        }
        drop(rows);
        Ok(counts.findings())
    }

    /// What `detectors` count in all prompts as they are asked and in all answers, with what the teacher thought aloud
    /// and what it took back.
    pub async fn audit_privacy(
        &self,
        detectors: Vec<Box<dyn Detector>>,
    ) -> Result<Vec<Finding>, StoreError> {
        let mut counts = PrivacyCounts::new(detectors);
        let mut rows = sqlx::query!("SELECT body, input FROM prompts").fetch(self.pool());
        while let Some(row) = rows.try_next().await.map_err(self.explain())? {
            match self.parse("body", &row.body)? {
                PromptBody::Completion { text } => counts.add("prompts", [text.as_str()]),
                PromptBody::Chat { messages } => {
                    counts.add("prompts", messages.iter().map(|turn| turn.content.as_str()));
                }
            }
            counts.add("inputs", [row.input.as_str()]);
        }
        drop(rows);
        let mut rows =
            sqlx::query!("SELECT text, reasoning, retracted FROM traces").fetch(self.pool());
        while let Some(row) = rows.try_next().await.map_err(self.explain())? {
            let parts = [Some(row.text), row.reasoning, row.retracted];
            counts.add("answers", parts.iter().flatten().map(String::as_str));
        }
        drop(rows);
        Ok(counts.findings())
    }

    /// Every request over the network. One in a batch is none: it began when its batch was handed over, with thousands
    /// of others, and services count it apart.
    async fn requests(&self) -> Result<Vec<Request>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT attempts.number AS "number!", coalesce(attempts.teacher, '') AS "teacher!: String",
                   started_at AS "started_at!", latency_ms AS "latency_ms!", attempts.endpoint AS "endpoint!",
                   attempts.key_alias, http_status, headers, coalesce(prompt_tokens, 0) AS "prompt_tokens!: i64",
                   coalesce(completion_tokens, 0) AS "completion_tokens!: i64", limits AS "limits?"
               FROM attempts
               LEFT JOIN receipts ON receipts.trace_id = attempts.trace_id AND receipts.import IS NULL
               WHERE attempts.endpoint IS NOT NULL AND attempts.endpoint NOT LIKE '%/batches'
               ORDER BY attempts.number"#,
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.explain())?;
        let mut requests = Vec::with_capacity(rows.len());
        for row in rows {
            let out_of_range = || {
                self.damaged(format_args!(
                    "attempt {} began at `{}` and took {} ms",
                    row.number, row.started_at, row.latency_ms
                ))
            };
            let started: Timestamp = row.started_at.parse().map_err(|_| out_of_range())?;
            let answered = started
                .checked_add(SignedDuration::from_millis(row.latency_ms))
                .map_err(|_| out_of_range())?;
            let status = row
                .http_status
                .map(|status| self.unsigned("http_status", status));
            requests.push(Request {
                teacher: row.teacher,
                endpoint: row.endpoint,
                key_alias: row.key_alias,
                started,
                answered,
                http_status: status.transpose()?,
                headers: match row.headers {
                    Some(headers) => self.parse("headers", &headers)?,
                    None => BTreeMap::new(),
                },
                prompt_tokens: self.unsigned("prompt_tokens", row.prompt_tokens)?,
                completion_tokens: self.unsigned("completion_tokens", row.completion_tokens)?,
                limits: row
                    .limits
                    .map(|limits| self.parse("limits", &limits))
                    .transpose()?,
            });
        }
        Ok(requests)
    }

    /// Where the answers came from.
    async fn origins(&self, dataset: Option<&str>) -> Result<Vec<Origin>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT provider, model, region, import IS NOT NULL AS "is_import!: bool", count(*) AS "answers!: i64"
               FROM receipts
               WHERE ?1 IS NULL OR trace_id IN (
                   SELECT trace_id FROM dataset_traces JOIN datasets ON datasets.number = dataset WHERE datasets.id = ?1)
               GROUP BY provider, model, region, import IS NOT NULL ORDER BY provider, model, region"#,
            dataset,
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.explain())?;
        rows.into_iter()
            .map(|row| {
                Ok(Origin {
                    provider: row.provider,
                    model: row.model,
                    region: row.region,
                    is_import: row.is_import,
                    answers: self.unsigned("answers", row.answers)?,
                })
            })
            .collect()
    }
}
