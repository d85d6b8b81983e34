//! Recording answers: everything about them in one transaction, each of them once.

use std::collections::{HashMap, HashSet};

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::ledger::{TraceParts, WrittenAttempts, trace_parts};
use super::{IDS_PER_STATEMENT, Store, attempts, bulk, id_list};
use crate::record::{Answered, FinishReason, now};
use crate::{StoreError, codec};

impl Store {
    /// Which of the traces with these `ids` are there.
    pub async fn answered(&self, ids: &[String]) -> Result<HashSet<String>, StoreError> {
        let mut found = HashSet::new();
        for ids in ids.chunks(IDS_PER_STATEMENT) {
            let ids = id_list(ids);
            let answered = sqlx::query_scalar!(
                r#"SELECT traces.id AS "id!" FROM json_each(?1) AS wanted
                   JOIN traces ON traces.id = wanted.value"#,
                ids,
            )
            .fetch_all(self.pool())
            .await
            .map_err(self.explain())?;
            found.extend(answered);
        }
        Ok(found)
    }

    /// How the answers of those traces with these `ids` that are there ended, by trace id.
    pub async fn finish_reasons(
        &self,
        ids: &[String],
    ) -> Result<HashMap<String, FinishReason>, StoreError> {
        let mut found = HashMap::new();
        for ids in ids.chunks(IDS_PER_STATEMENT) {
            let ids = id_list(ids);
            let rows = sqlx::query!(
                r#"SELECT traces.id AS "id!", finish_reason AS "finish_reason!"
                   FROM json_each(?1) AS wanted
                   JOIN traces ON traces.id = wanted.value"#,
                ids,
            )
            .fetch_all(self.pool())
            .await
            .map_err(self.explain())?;
            for row in rows {
                found.insert(row.id, self.finish_reason(&row.finish_reason)?);
            }
        }
        Ok(found)
    }

    /// Keeps answers with their attempts, token log-probabilities and receipts, all of them or none.
    ///
    /// An answer whose trace id is already there is ignored with all that belongs to it. When this returns,
    /// the answers are on the disk.
    pub async fn record(&self, batch: &[Answered]) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        self.record_in(&mut transaction, batch).await?;
        transaction.commit().await.map_err(self.explain())
    }

    /// The same as a part of a transaction.
    pub(super) async fn record_in(
        &self,
        connection: &mut SqliteConnection,
        batch: &[Answered],
    ) -> Result<(), StoreError> {
        let explain = self.explain();
        let recorded_at = now();
        let mut rows = Vec::with_capacity(batch.len());
        for answered in batch {
            rows.push(TraceRow::new(self, answered)?);
        }
        let parts = self
            .insert_answers(connection, &mut rows, &recorded_at)
            .await?;
        let attempts: Vec<_> = rows.iter().flat_map(|row| &row.answered.attempts).collect();
        let attempts = attempts::insert_all(connection, &attempts)
            .await
            .map_err(explain)?;
        let mut attempts = attempts.as_slice();
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            let (own, rest) = attempts
                .split_at_checked(row.answered.attempts.len())
                .ok_or_else(|| self.damaged("attempts are not where they were put"))?;
            attempts = rest;
            let own = WrittenAttempts::of(own).map_err(explain)?;
            entries.push(self.trace_entry(&row.id, parts.get(&row.id), own.as_ref(), false)?);
        }
        self.append(connection, entries).await
    }

    /// Writes those of `rows` that are new, with their log-probabilities and receipts, and leaves out the others. Returns
    /// what the ledger is to be told of them, by trace id.
    pub(super) async fn insert_answers(
        &self,
        connection: &mut SqliteConnection,
        rows: &mut Vec<TraceRow<'_>>,
        recorded_at: &str,
    ) -> Result<HashMap<String, TraceParts>, StoreError> {
        let explain = self.explain();
        let traces = insert_traces(connection, rows, recorded_at)
            .await
            .map_err(explain)?;
        let mut new = HashSet::with_capacity(traces.len());
        for trace in &traces {
            new.insert(trace.try_get::<String, _>("id").map_err(explain)?);
        }
        // The second of two that are the same finds the first.
        rows.retain(|row| new.remove(&row.id));
        let tokens = insert_tokens(connection, rows).await.map_err(explain)?;
        let receipts = self.insert_receipts(connection, rows, recorded_at).await?;
        trace_parts(&traces, &receipts, &tokens).map_err(explain)
    }

    async fn insert_receipts(
        &self,
        connection: &mut SqliteConnection,
        answers: &[TraceRow<'_>],
        recorded_at: &str,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        let mut rows = Vec::with_capacity(answers.len());
        for TraceRow { id, answered, .. } in answers {
            let receipt = &answered.receipt;
            let import = receipt.import.as_ref();
            let import = import.map(|import| self.json(import)).transpose()?;
            let terms = self.terms_of(receipt, recorded_at)?;
            let clarification = self.clarification_of(receipt)?;
            rows.push((id, receipt, import, terms, clarification));
        }
        let into = "INSERT INTO receipts
             (trace_id, provider, model, model_sha256, route, license, limits, limbeck_version,
              request_sha256, response_sha256, endpoint, plan, region, key_alias, request_id,
              answered_model, system_fingerprint, import, terms, retention, contracting_entity,
              clarification) ";
        let written = bulk::insert(
            connection,
            into,
            &rows,
            "RETURNING *",
            |mut columns, row| {
                let (id, receipt, import, terms, clarification) = row;
                let service = receipt.service.as_deref();
                columns
                    .push_bind(*id)
                    .push_bind(&receipt.provider)
                    .push_bind(&receipt.model)
                    .push_bind(&receipt.model_sha256)
                    .push_bind(&receipt.route)
                    .push_bind(&receipt.license)
                    .push_bind(receipt.limits.to_string())
                    .push_bind(&receipt.limbeck_version)
                    .push_bind(&receipt.request_sha256)
                    .push_bind(&receipt.response_sha256)
                    .push_bind(service.map(|service| &service.endpoint))
                    .push_bind(service.and_then(|service| service.plan.as_ref()))
                    .push_bind(service.and_then(|service| service.region.as_ref()))
                    .push_bind(service.and_then(|service| service.key_alias.as_ref()))
                    .push_bind(service.and_then(|service| service.request_id.as_ref()))
                    .push_bind(service.and_then(|service| service.answered_model.as_ref()))
                    .push_bind(service.and_then(|service| service.system_fingerprint.as_ref()))
                    .push_bind(import)
                    .push_bind(terms)
                    .push_bind(service.and_then(|service| service.retention.as_ref()))
                    .push_bind(service.and_then(|service| service.contracting_entity.as_ref()))
                    .push_bind(clarification);
            },
        );
        written.await.map_err(self.explain())
    }
}

/// An answer with the columns that have to be computed.
pub(super) struct TraceRow<'a> {
    pub(super) id: String,
    answered: &'a Answered,
    parameters: String,
    choices: Option<Vec<u8>>,
    mean: Option<f64>,
}

impl<'a> TraceRow<'a> {
    pub(super) fn new(store: &Store, answered: &'a Answered) -> Result<Self, StoreError> {
        let id = answered.key.id();
        let asked = answered.key.parameters.choices.len();
        let choices = answered.trace.choice_log_probabilities.as_deref();
        if choices.is_some_and(|given| given.len() != asked) {
            return Err(StoreError::InvalidAnswer {
                trace_id: id,
                reason: format!(
                    "it has {} log-probabilities for {asked} choices",
                    choices.map_or(0, <[f32]>::len)
                ),
            });
        }
        let mean = answered.trace.mean_log_probability().map(f64::from);
        Ok(Self {
            id,
            answered,
            parameters: store.json(&answered.key.parameters)?,
            choices: choices.map(|given| given.iter().flat_map(|l| l.to_le_bytes()).collect()),
            // An impossible token makes the mean minus infinity, which says no more than a missing one.
            mean: mean.filter(|mean| mean.is_finite()),
        })
    }
}

/// Writes traces, but none that are there; returns the rows of those that were new.
async fn insert_traces(
    connection: &mut SqliteConnection,
    rows: &[TraceRow<'_>],
    recorded_at: &str,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let into = "INSERT INTO traces
         (id, prompt_id, sample, teacher, parameters, text, reasoning, choice_log_probabilities,
          finish_reason, prompt_tokens, completion_tokens, mean_log_probability, recorded_at, retracted) ";
    let then = "ON CONFLICT (id) DO NOTHING RETURNING *";
    bulk::insert(connection, into, rows, then, |mut columns, row| {
        let (key, trace) = (&row.answered.key, &row.answered.trace);
        columns
            .push_bind(&row.id)
            .push_bind(&key.prompt_id)
            .push_bind(key.sample)
            .push_bind(&key.teacher)
            .push_bind(&row.parameters)
            .push_bind(&trace.text)
            .push_bind(&trace.reasoning)
            .push_bind(&row.choices)
            .push_bind(trace.finish_reason.name())
            .push_bind(trace.prompt_tokens)
            .push_bind(trace.completion_tokens)
            .push_bind(row.mean)
            .push_bind(recorded_at)
            .push_bind(&trace.retracted);
    })
    .await
}

/// Writes the log-probabilities of the answers that have some; returns their rows.
async fn insert_tokens(
    connection: &mut SqliteConnection,
    rows: &[TraceRow<'_>],
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let known = rows
        .iter()
        .filter(|row| !row.answered.trace.tokens.is_empty());
    let known: Vec<_> = known.collect();
    let into = "INSERT INTO token_log_probabilities (trace_id, encoded, vocabulary) ";
    bulk::insert(
        connection,
        into,
        &known,
        "RETURNING *",
        |mut columns, row| {
            let trace = &row.answered.trace;
            let vocabulary =
                (!trace.vocabulary.is_empty()).then(|| codec::encode_vocabulary(&trace.vocabulary));
            columns
                .push_bind(&row.id)
                .push_bind(codec::encode(&trace.tokens))
                .push_bind(vocabulary);
        },
    )
    .await
}
