//! Batches in the database.
//!
//! A batch and its requests are here before anything is sent, so that no kill leaves a paid batch behind of which
//! nobody knows. Results and what becomes of their requests are written in one transaction, so that a collection that
//! is killed goes on where it was.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::{IDS_PER_STATEMENT, Store, id_list};
use crate::StoreError;
use crate::record::{Batch, BatchOutcome, BatchRequest, BatchResults, BatchState, NewBatch, now};

/// Which batches are read.
#[derive(Clone, Copy)]
enum Which<'a> {
    All,
    OpenOf(&'a str),
    Number(i64),
}

impl Store {
    /// Keeps a batch that is about to be sent; returns its number. Its prompts must be in the store.
    pub async fn begin_batch(&self, batch: &NewBatch) -> Result<i64, StoreError> {
        let explain = self.explain();
        let (parameters, created_at) = (self.json(&batch.parameters)?, now());
        let mut transaction = self.begin().await?;
        let number = sqlx::query_scalar!(
            r#"INSERT INTO batches (marker, teacher, endpoint, key_alias, parameters, state, created_at)
               VALUES (?1, ?2, ?3, ?4, ?5, 'submitting', ?6) RETURNING number AS "number!: i64""#,
            batch.marker,
            batch.teacher,
            batch.endpoint,
            batch.key_alias,
            parameters,
            created_at,
        )
        .fetch_one(&mut *transaction)
        .await
        .map_err(explain)?;
        let requests = batch.requests.iter().map(|request| {
            json!([
                request.trace_id,
                request.prompt_id,
                request.sample,
                request.request_sha256,
                request.most_nano_usd,
            ])
        });
        let requests = Value::Array(requests.collect()).to_string();
        sqlx::query!(
            "INSERT INTO batch_requests (batch, trace_id, prompt_id, sample, request_sha256, most_nano_usd)
             SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?2)",
            number,
            requests,
        )
        .execute(&mut *transaction)
        .await
        .map_err(explain)?;
        transaction.commit().await.map_err(explain)?;
        Ok(number)
    }

    /// The batch is sent from now on: after this it may be at the service.
    pub async fn batch_is_sent(&self, number: i64) -> Result<(), StoreError> {
        let now = now();
        sqlx::query!(
            "UPDATE batches SET sent_at = ?2 WHERE number = ?1",
            number,
            now
        )
        .execute(self.pool())
        .await
        .map_err(self.explain())?;
        Ok(())
    }

    /// The service has the batch, and calls it `remote_id`.
    pub async fn batch_is_submitted(&self, number: i64, remote_id: &str) -> Result<(), StoreError> {
        let now = now();
        sqlx::query!(
            "UPDATE batches SET state = 'submitted', remote_id = ?2, submitted_at = ?3
             WHERE number = ?1 AND state = 'submitting'",
            number,
            remote_id,
            now,
        )
        .execute(self.pool())
        .await
        .map_err(self.explain())?;
        Ok(())
    }

    /// What the service says of a batch: its state in the service's words, and how many requests it is done with.
    /// `ended`: the results are there, and are collected from now on.
    pub async fn batch_is_at(
        &self,
        number: i64,
        remote_state: &str,
        done: Option<u64>,
        ended: bool,
    ) -> Result<(), StoreError> {
        let (now, done) = (now(), done.map(|done| done as i64));
        sqlx::query!(
            "UPDATE batches SET polled_at = ?2, remote_state = ?3, remote_done = coalesce(?4, remote_done),
                 state = CASE WHEN ?5 AND state = 'submitted' THEN 'collecting' ELSE state END
             WHERE number = ?1",
            number,
            now,
            remote_state,
            done,
            ended,
        )
        .execute(self.pool())
        .await
        .map_err(self.explain())?;
        Ok(())
    }

    /// Keeps results of a batch, and that their requests are done with. A request that was done with before stays as
    /// it was, and what is said of it here is left out. When this returns, all of it is on the disk.
    pub async fn record_batch(
        &self,
        number: i64,
        mut results: BatchResults,
    ) -> Result<BatchResults, StoreError> {
        let explain = self.explain();
        let mut transaction = self.begin().await?;
        let told = results.outcomes().into_iter().map(|(id, _)| id);
        let told = id_list(&told.collect::<Vec<_>>());
        let open = sqlx::query_scalar!(
            "SELECT trace_id FROM batch_requests
             WHERE batch = ?1 AND outcome IS NULL AND trace_id IN (SELECT value FROM json_each(?2))",
            number,
            told,
        )
        .fetch_all(&mut *transaction)
        .await
        .map_err(explain)?;
        let open: HashSet<String> = open.into_iter().collect();
        results
            .answered
            .retain(|answered| open.contains(&answered.key.id()));
        results
            .failed
            .retain(|attempt| open.contains(&attempt.trace_id));
        results
            .unanswered
            .retain(|attempt| open.contains(&attempt.trace_id));
        self.record_in(&mut transaction, &results.answered).await?;
        let failures = [results.failed.as_slice(), &results.unanswered].concat();
        self.record_failures_in(&mut transaction, &failures).await?;
        let outcomes = results.outcomes();
        for outcome in [
            BatchOutcome::Answered,
            BatchOutcome::Failed,
            BatchOutcome::Unanswered,
        ] {
            let ids = outcomes.iter().filter(|(_, found)| *found == outcome);
            let ids = id_list(&ids.map(|(id, _)| id).collect::<Vec<_>>());
            let name = outcome.name();
            // Found by the primary key; a join with the list would walk through the whole batch each time.
            sqlx::query!(
                "UPDATE batch_requests SET outcome = ?3
                 WHERE batch = ?1 AND trace_id IN (SELECT value FROM json_each(?2)) AND outcome IS NULL",
                number,
                ids,
                name,
            )
            .execute(&mut *transaction)
            .await
            .map_err(explain)?;
        }
        transaction.commit().await.map_err(explain)?;
        Ok(results)
    }

    /// Nothing more will be known of a batch. Requests of which nothing is known count as not worked on.
    pub async fn end_batch(&self, number: i64, odd_lines: u64) -> Result<(), StoreError> {
        let explain = self.explain();
        let (now, odd_lines) = (now(), odd_lines as i64);
        let mut transaction = self.begin().await?;
        sqlx::query!(
            "UPDATE batches SET state = 'ended', ended_at = ?2, odd_lines = ?3 WHERE number = ?1",
            number,
            now,
            odd_lines,
        )
        .execute(&mut *transaction)
        .await
        .map_err(explain)?;
        sqlx::query!(
            "UPDATE batch_requests SET outcome = 'unanswered' WHERE batch = ?1 AND outcome IS NULL",
            number,
        )
        .execute(&mut *transaction)
        .await
        .map_err(explain)?;
        transaction.commit().await.map_err(explain)
    }

    /// All batches, in the order in which they were made.
    pub async fn batches(&self) -> Result<Vec<Batch>, StoreError> {
        self.read_batches(Which::All).await
    }

    /// The batches of `teacher` (a teacher's identity) that have not ended.
    pub async fn open_batches(&self, teacher: &str) -> Result<Vec<Batch>, StoreError> {
        self.read_batches(Which::OpenOf(teacher)).await
    }

    /// One batch.
    pub async fn batch(&self, number: i64) -> Result<Option<Batch>, StoreError> {
        Ok(self.read_batches(Which::Number(number)).await?.pop())
    }

    /// What the requests of `teacher` that are still in batches may cost at most, in billionths of a US dollar.
    pub async fn reserved_in_batches(&self, teacher: &str) -> Result<u64, StoreError> {
        let most = sqlx::query_scalar!(
            r#"SELECT coalesce(sum(most_nano_usd), 0) AS "most!: i64" FROM batches
               JOIN batch_requests ON batch = number
               WHERE teacher = ?1 AND state <> 'ended' AND outcome IS NULL"#,
            teacher,
        )
        .fetch_one(self.pool())
        .await
        .map_err(self.explain())?;
        self.unsigned("most_nano_usd", most)
    }

    /// The requests of a batch, by their traces' ids.
    pub async fn batch_requests(&self, number: i64) -> Result<Vec<BatchRequest>, StoreError> {
        let rows = sqlx::query!(
            "SELECT trace_id, prompt_id, sample, request_sha256, most_nano_usd, outcome FROM batch_requests
             WHERE batch = ?1 ORDER BY trace_id",
            number,
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.explain())?;
        let requests = rows.into_iter().map(|row| {
            Ok(BatchRequest {
                trace_id: row.trace_id,
                prompt_id: row.prompt_id,
                sample: self.unsigned("sample", row.sample)?,
                request_sha256: row.request_sha256,
                most_nano_usd: self.unsigned("most_nano_usd", row.most_nano_usd)?,
                outcome: match row.outcome {
                    None => None,
                    Some(name) => {
                        Some(self.named("outcome", &name, BatchOutcome::from_name(&name))?)
                    }
                },
            })
        });
        requests.collect()
    }

    /// What became of those traces with these `ids` that were in a batch, in the last one that they were in, by trace
    /// id. `None`: it is in a batch that has not ended.
    pub async fn batch_outcomes(
        &self,
        ids: &[String],
    ) -> Result<HashMap<String, Option<BatchOutcome>>, StoreError> {
        let mut found = HashMap::new();
        for ids in ids.chunks(IDS_PER_STATEMENT) {
            let ids = id_list(ids);
            let rows = sqlx::query!(
                r#"SELECT trace_id AS "trace_id!", outcome FROM batch_requests
                   WHERE trace_id IN (SELECT value FROM json_each(?1)) ORDER BY batch"#,
                ids,
            )
            .fetch_all(self.pool())
            .await
            .map_err(self.explain())?;
            for row in rows {
                let outcome = match row.outcome {
                    None => None,
                    Some(name) => {
                        Some(self.named("outcome", &name, BatchOutcome::from_name(&name))?)
                    }
                };
                found.insert(row.trace_id, outcome);
            }
        }
        Ok(found)
    }

    async fn read_batches(&self, which: Which<'_>) -> Result<Vec<Batch>, StoreError> {
        let (number, teacher) = match which {
            Which::All => (None, None),
            Which::Number(number) => (Some(number), None),
            Which::OpenOf(teacher) => (None, Some(teacher)),
        };
        let rows = sqlx::query!(
            r#"SELECT number, marker, teacher, endpoint, key_alias, parameters, state, remote_id, created_at, sent_at,
                   submitted_at, polled_at, remote_state, remote_done, ended_at, odd_lines,
                   (SELECT count(*) FROM batch_requests WHERE batch = number) AS "requests!: i64",
                   (SELECT count(*) FROM batch_requests WHERE batch = number AND outcome = 'answered')
                       AS "answered!: i64",
                   (SELECT count(*) FROM batch_requests WHERE batch = number AND outcome = 'failed')
                       AS "failed!: i64",
                   (SELECT count(*) FROM batch_requests WHERE batch = number AND outcome = 'unanswered')
                       AS "unanswered!: i64"
               FROM batches
               WHERE (?1 IS NULL OR number = ?1) AND (?2 IS NULL OR (teacher = ?2 AND state <> 'ended'))
               ORDER BY number"#,
            number,
            teacher,
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.explain())?;
        let batches = rows.into_iter().map(|row| {
            let remote_done = row.remote_done;
            Ok(Batch {
                number: row.number,
                marker: row.marker,
                state: self.named("state", &row.state, BatchState::from_name(&row.state))?,
                teacher: row.teacher,
                endpoint: row.endpoint,
                key_alias: row.key_alias,
                parameters: self.parse("parameters", &row.parameters)?,
                remote_id: row.remote_id,
                created_at: row.created_at,
                sent_at: row.sent_at,
                submitted_at: row.submitted_at,
                polled_at: row.polled_at,
                remote_state: row.remote_state,
                remote_done: remote_done
                    .map(|done| self.unsigned("remote_done", done))
                    .transpose()?,
                ended_at: row.ended_at,
                odd_lines: self.unsigned("odd_lines", row.odd_lines)?,
                requests: self.unsigned("requests", row.requests)?,
                answered: self.unsigned("answered", row.answered)?,
                failed: self.unsigned("failed", row.failed)?,
                unanswered: self.unsigned("unanswered", row.unanswered)?,
            })
        });
        batches.collect()
    }
}
