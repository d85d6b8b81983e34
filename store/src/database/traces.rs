//! Recording answers: everything about them in one transaction, each of them once.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::ledger::{AttemptRun, TraceEntry};
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

    /// The ids of those traces with these `ids` that are in the store.
    pub(super) async fn known_traces(
        &self,
        connection: &mut SqliteConnection,
        ids: &[&str],
    ) -> Result<HashSet<String>, StoreError> {
        let wanted = id_list(ids);
        let known = sqlx::query_scalar!(
            r#"SELECT traces.id AS "id!" FROM json_each(?1) AS wanted
               JOIN traces ON traces.id = wanted.value"#,
            wanted,
        )
        .fetch_all(connection)
        .await
        .map_err(self.explain())?;
        Ok(known.into_iter().collect())
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
        let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let mut known = self.known_traces(connection, &ids).await?;
        // The second of two that are the same in `batch` finds the first.
        rows.retain(|row| known.insert(row.id.clone()));
        insert_traces(connection, &rows, &recorded_at)
            .await
            .map_err(explain)?;
        let new: Vec<_> = rows.into_iter().map(|row| (row.id, row.answered)).collect();
        insert_receipts(self, connection, &new, &recorded_at).await?;
        let before = self.last_attempt(connection).await?;
        let attempts = new.iter().flat_map(|(_, answered)| &answered.attempts);
        attempts::insert_all(connection, attempts)
            .await
            .map_err(explain)?;
        let traces = with_attempts(&new, before);
        let entries = self.trace_entries(connection, &traces, false).await?;
        self.append(connection, entries).await
    }
}

/// What the ledger is told of answers whose attempts were numbered on from `before`.
fn with_attempts(answers: &[(String, &Answered)], mut before: i64) -> Vec<TraceEntry> {
    let entries = answers.iter().map(|(id, answered)| {
        let count = answered.attempts.len();
        let attempts = AttemptRun::after(before, count);
        before += count as i64;
        TraceEntry {
            id: id.clone(),
            attempts,
        }
    });
    entries.collect()
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

/// Writes traces, which must be new, with their token log-probabilities.
pub(super) async fn insert_traces(
    connection: &mut SqliteConnection,
    rows: &[TraceRow<'_>],
    recorded_at: &str,
) -> Result<(), sqlx::Error> {
    for piece in bulk::pieces(rows) {
        let mut statement = QueryBuilder::<Sqlite>::new(
            "INSERT INTO traces
                 (id, prompt_id, sample, teacher, parameters, text, reasoning, choice_log_probabilities,
                  finish_reason, prompt_tokens, completion_tokens, mean_log_probability, recorded_at, retracted) ",
        );
        statement.push_values(piece, |mut columns, row| {
            let (key, trace) = (&row.answered.key, &row.answered.trace);
            columns
                .push_bind(row.id.clone())
                .push_bind(key.prompt_id.clone())
                .push_bind(key.sample)
                .push_bind(key.teacher.clone())
                .push_bind(row.parameters.clone())
                .push_bind(trace.text.clone())
                .push_bind(trace.reasoning.clone())
                .push_bind(row.choices.clone())
                .push_bind(trace.finish_reason.name())
                .push_bind(trace.prompt_tokens)
                .push_bind(trace.completion_tokens)
                .push_bind(row.mean)
                .push_bind(recorded_at.to_owned())
                .push_bind(trace.retracted.clone());
        });
        statement.build().execute(&mut *connection).await?;
    }
    for row in rows {
        let trace = &row.answered.trace;
        if trace.tokens.is_empty() {
            continue;
        }
        let encoded = codec::encode(&trace.tokens);
        let vocabulary =
            (!trace.vocabulary.is_empty()).then(|| codec::encode_vocabulary(&trace.vocabulary));
        sqlx::query!(
            "INSERT INTO token_log_probabilities (trace_id, encoded, vocabulary) VALUES (?1, ?2, ?3)",
            row.id,
            encoded,
            vocabulary,
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The receipts of answers with these trace ids, all with one statement; see [`attempts::insert_all`].
pub(super) async fn insert_receipts(
    store: &Store,
    connection: &mut SqliteConnection,
    answers: &[(String, &Answered)],
    recorded_at: &str,
) -> Result<(), StoreError> {
    if answers.is_empty() {
        return Ok(());
    }
    let rows = answers.iter().map(|(id, answered)| {
        let receipt = &answered.receipt;
        let service = receipt.service.as_deref();
        let terms = store.terms_of(receipt, recorded_at)?;
        let clarification = store.clarification_of(receipt)?;
        Ok(json!([
            id,
            receipt.provider,
            receipt.model,
            receipt.model_sha256,
            receipt.route,
            receipt.license,
            receipt.limits.to_string(),
            receipt.limbeck_version,
            receipt.request_sha256,
            receipt.response_sha256,
            service.map(|service| &service.endpoint),
            service.and_then(|service| service.plan.as_ref()),
            service.and_then(|service| service.region.as_ref()),
            service.and_then(|service| service.key_alias.as_ref()),
            service.and_then(|service| service.request_id.as_ref()),
            service.and_then(|service| service.answered_model.as_ref()),
            service.and_then(|service| service.system_fingerprint.as_ref()),
            // As text, like the limits: the column holds JSON.
            receipt
                .import
                .as_ref()
                .map(|import| json!(import).to_string()),
            terms,
            service.and_then(|service| service.retention.as_ref()),
            service.and_then(|service| service.contracting_entity.as_ref()),
            clarification,
        ]))
    });
    let rows = Value::Array(rows.collect::<Result<_, StoreError>>()?).to_string();
    sqlx::query!(
        "INSERT INTO receipts
             (trace_id, provider, model, model_sha256, route, license, limits, limbeck_version,
              request_sha256, response_sha256, endpoint, plan, region, key_alias, request_id,
              answered_model, system_fingerprint, import, terms, retention, contracting_entity,
              clarification)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
             value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13,
             value ->> 14, value ->> 15, value ->> 16, value ->> 17, value ->> 18, value ->> 19, value ->> 20,
             value ->> 21
         FROM json_each(?1)",
        rows,
    )
    .execute(connection)
    .await
    .map_err(store.explain())?;
    Ok(())
}
