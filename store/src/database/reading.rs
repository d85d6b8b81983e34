//! Reading traces again.

use super::{IDS_PER_STATEMENT, Store, id_list};
use crate::record::{
    FinishReason, Prompt, Receipt, ServiceReceipt, TokenLogProbabilities, TraceDetail, TraceFilter,
    TraceKey, TraceRecord, TraceSummary, VerdictFilter,
};
use crate::{StoreError, codec};

impl Store {
    /// Traces with their prompts, in the order of `ids`. Ids that the store does not hold are left out.
    pub async fn traces(&self, ids: &[String]) -> Result<Vec<TraceRecord>, StoreError> {
        let mut records = Vec::with_capacity(ids.len());
        for ids in ids.chunks(IDS_PER_STATEMENT) {
            let ids = id_list(ids);
            let rows = sqlx::query_as!(
                TraceRow,
                r#"SELECT traces.id AS "id!", prompt_id AS "prompt_id!", sample AS "sample!",
                       teacher AS "teacher!", parameters AS "parameters!", text AS "text!", reasoning,
                       choice_log_probabilities, finish_reason AS "finish_reason!",
                       prompt_tokens AS "prompt_tokens!", completion_tokens AS "completion_tokens!",
                       mean_log_probability, recorded_at AS "recorded_at!", retracted, body AS "body!",
                       input AS "input!", phrasing AS "phrasing!", source AS "source!", row AS "row!",
                       license, tags AS "tags!"
                   FROM json_each(?1) AS wanted
                   JOIN traces ON traces.id = wanted.value
                   JOIN prompts ON prompts.id = traces.prompt_id
                   ORDER BY wanted.key"#,
                ids,
            )
            .fetch_all(self.pool())
            .await
            .map_err(self.explain())?;
            for row in rows {
                records.push(row.record(self)?);
            }
        }
        Ok(records)
    }

    /// The tokens of one trace with their alternatives; `None` where the teacher did not tell them.
    pub async fn token_log_probabilities(
        &self,
        trace_id: &str,
    ) -> Result<Option<Vec<TokenLogProbabilities>>, StoreError> {
        let encoded = sqlx::query_scalar!(
            "SELECT encoded FROM token_log_probabilities WHERE trace_id = ?1",
            trace_id,
        )
        .fetch_optional(self.pool())
        .await
        .map_err(self.explain())?;
        let decoded = encoded.map(|bytes| codec::decode(&bytes)).transpose();
        decoded.map_err(|error| self.damaged(format_args!("trace {trace_id}: {error}")))
    }

    /// The bytes of the tokens that [`Store::token_log_probabilities`] of one trace names by their place; `None` where
    /// it names the teacher's own ids.
    pub async fn token_vocabulary(
        &self,
        trace_id: &str,
    ) -> Result<Option<Vec<Vec<u8>>>, StoreError> {
        let encoded = sqlx::query_scalar!(
            "SELECT vocabulary FROM token_log_probabilities WHERE trace_id = ?1",
            trace_id,
        )
        .fetch_optional(self.pool())
        .await
        .map_err(self.explain())?
        .flatten();
        let decoded = encoded
            .map(|bytes| codec::decode_vocabulary(&bytes))
            .transpose();
        decoded.map_err(|error| self.damaged(format_args!("trace {trace_id}: {error}")))
    }

    /// Traces in the order in which they were recorded.
    pub async fn list_traces(&self, filter: &TraceFilter) -> Result<Vec<TraceSummary>, StoreError> {
        let verdict = filter.verdict.map(verdict_name);
        // SQLite takes a negative limit for none.
        let limit = filter.limit.map_or(-1, i64::from);
        let rows = sqlx::query!(
            r#"WITH judged AS (
                   SELECT trace_id, min(keep) AS keep FROM verdicts
                   WHERE curation = (SELECT max(number) FROM curations)
                   GROUP BY trace_id
               )
               SELECT traces.id AS "id!", prompt_id AS "prompt_id!", sample AS "sample!",
                   teacher AS "teacher!", phrasing AS "phrasing!", input AS "input!", text AS "text!",
                   finish_reason AS "finish_reason!", completion_tokens AS "completion_tokens!",
                   recorded_at AS "recorded_at!",
                   CASE keep WHEN 1 THEN 'kept' WHEN 0 THEN 'dropped' ELSE 'unjudged' END
                       AS "verdict!: String"
               FROM traces
               JOIN prompts ON prompts.id = prompt_id
               LEFT JOIN judged ON judged.trace_id = traces.id
               WHERE (?1 IS NULL OR teacher = ?1)
                 AND (?2 IS NULL
                      OR ?2 = CASE keep WHEN 1 THEN 'kept' WHEN 0 THEN 'dropped' ELSE 'unjudged' END)
               ORDER BY traces.number LIMIT ?3 OFFSET ?4"#,
            filter.teacher,
            verdict,
            limit,
            filter.offset,
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.explain())?;
        rows.into_iter()
            .map(|row| {
                Ok(TraceSummary {
                    sample: self.unsigned("sample", row.sample)?,
                    finish_reason: self.finish_reason(&row.finish_reason)?,
                    completion_tokens: self.unsigned("completion_tokens", row.completion_tokens)?,
                    verdict: verdict_from_name(&row.verdict),
                    id: row.id,
                    prompt_id: row.prompt_id,
                    teacher: row.teacher,
                    phrasing: row.phrasing,
                    input: row.input,
                    text: row.text,
                    recorded_at: row.recorded_at,
                })
            })
            .collect()
    }

    /// How many traces the store holds.
    pub async fn count_traces(&self) -> Result<usize, StoreError> {
        let count = sqlx::query_scalar!("SELECT count(*) FROM traces")
            .fetch_one(self.pool())
            .await
            .map_err(self.explain())?;
        self.unsigned("count", count)
    }

    /// One trace with all that belongs to it, by its id or any beginning of it that no other trace has.
    pub async fn trace(&self, id_prefix: &str) -> Result<TraceDetail, StoreError> {
        let id = self.full_id(id_prefix).await?;
        let unknown = || StoreError::UnknownTrace {
            path: self.path().to_owned(),
            id: id_prefix.to_owned(),
        };
        let mut records = self.traces(std::slice::from_ref(&id)).await?;
        Ok(TraceDetail {
            record: records.pop().ok_or_else(unknown)?,
            receipt: self.receipt(&id).await?.ok_or_else(unknown)?,
            attempts: self.attempts(&id).await?,
            verdicts: self.newest_verdicts(&id).await?,
        })
    }

    /// Where a trace came from; `None` for an unknown id.
    pub async fn receipt(&self, trace_id: &str) -> Result<Option<Receipt>, StoreError> {
        let row = sqlx::query_as!(
            ReceiptRow,
            "SELECT provider, model, model_sha256, route, license, limits, limbeck_version, request_sha256,
                 response_sha256, endpoint, plan, region, key_alias, request_id, answered_model,
                 system_fingerprint, import, terms, retention, contracting_entity, clarification
             FROM receipts WHERE trace_id = ?1",
            trace_id,
        )
        .fetch_optional(self.pool())
        .await
        .map_err(self.explain())?;
        row.map(|row| row.receipt(self)).transpose()
    }

    pub(super) async fn full_id(&self, prefix: &str) -> Result<String, StoreError> {
        let prefix = prefix.to_ascii_lowercase();
        // "g" follows every hex digit, so this is the end of the range of ids that begin with the prefix.
        let end = format!("{prefix}g");
        let mut ids = sqlx::query_scalar!(
            "SELECT id FROM traces WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 2",
            prefix,
            end,
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.explain())?;
        let path = self.path().to_owned();
        match (ids.pop(), ids.pop()) {
            (Some(id), None) => Ok(id),
            (Some(_), Some(_)) => Err(StoreError::AmbiguousTrace { path, prefix }),
            _ => Err(StoreError::UnknownTrace { path, id: prefix }),
        }
    }

    pub(super) fn finish_reason(&self, name: &str) -> Result<FinishReason, StoreError> {
        self.named("finish_reason", name, FinishReason::from_name(name))
    }
}

pub(super) fn verdict_name(verdict: VerdictFilter) -> &'static str {
    match verdict {
        VerdictFilter::Kept => "kept",
        VerdictFilter::Dropped => "dropped",
        VerdictFilter::Unjudged => "unjudged",
    }
}

fn verdict_from_name(name: &str) -> VerdictFilter {
    match name {
        "kept" => VerdictFilter::Kept,
        "dropped" => VerdictFilter::Dropped,
        _ => VerdictFilter::Unjudged,
    }
}

pub(super) struct TraceRow {
    pub(super) id: String,
    pub(super) prompt_id: String,
    pub(super) sample: i64,
    pub(super) teacher: String,
    pub(super) parameters: String,
    pub(super) text: String,
    pub(super) reasoning: Option<String>,
    pub(super) choice_log_probabilities: Option<Vec<u8>>,
    pub(super) finish_reason: String,
    pub(super) prompt_tokens: i64,
    pub(super) completion_tokens: i64,
    pub(super) mean_log_probability: Option<f64>,
    pub(super) recorded_at: String,
    pub(super) retracted: Option<String>,
    pub(super) body: String,
    pub(super) input: String,
    pub(super) phrasing: String,
    pub(super) source: String,
    pub(super) row: i64,
    pub(super) license: Option<String>,
    pub(super) tags: String,
}

impl TraceRow {
    pub(super) fn record(self, store: &Store) -> Result<TraceRecord, StoreError> {
        let prompt = Prompt {
            id: self.prompt_id.clone(),
            body: store.parse("body", &self.body)?,
            input: self.input,
            phrasing: self.phrasing,
            source: self.source,
            row: store.unsigned("row", self.row)?,
            license: self.license,
            tags: store.parse("tags", &self.tags)?,
        };
        let key = TraceKey {
            prompt_id: self.prompt_id,
            sample: store.unsigned("sample", self.sample)?,
            teacher: self.teacher,
            parameters: store.parse("parameters", &self.parameters)?,
        };
        let choices = self.choice_log_probabilities.map(|bytes| floats(&bytes));
        if choices
            .as_ref()
            .is_some_and(|c| c.len() != key.parameters.choices.len())
        {
            return Err(store.damaged(format_args!(
                "trace {} has another number of log-probabilities than of choices",
                self.id
            )));
        }
        Ok(TraceRecord {
            id: self.id,
            key,
            prompt,
            text: self.text,
            reasoning: self.reasoning,
            choice_log_probabilities: choices,
            finish_reason: store.finish_reason(&self.finish_reason)?,
            prompt_tokens: store.unsigned("prompt_tokens", self.prompt_tokens)?,
            completion_tokens: store.unsigned("completion_tokens", self.completion_tokens)?,
            mean_log_probability: self.mean_log_probability.map(|mean| mean as f32),
            recorded_at: self.recorded_at,
            retracted: self.retracted,
        })
    }
}

/// A row of `receipts` without its trace.
pub(super) struct ReceiptRow {
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) model_sha256: Option<String>,
    pub(super) route: String,
    pub(super) license: Option<String>,
    pub(super) limits: String,
    pub(super) limbeck_version: String,
    pub(super) request_sha256: String,
    pub(super) response_sha256: String,
    pub(super) endpoint: Option<String>,
    pub(super) plan: Option<String>,
    pub(super) region: Option<String>,
    pub(super) key_alias: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) answered_model: Option<String>,
    pub(super) system_fingerprint: Option<String>,
    pub(super) import: Option<String>,
    pub(super) terms: Option<String>,
    pub(super) retention: Option<String>,
    pub(super) contracting_entity: Option<String>,
    pub(super) clarification: Option<String>,
}

impl ReceiptRow {
    pub(super) fn receipt(self, store: &Store) -> Result<Receipt, StoreError> {
        let service = self.endpoint.map(|endpoint| {
            Box::new(ServiceReceipt {
                endpoint,
                plan: self.plan,
                region: self.region,
                retention: self.retention,
                contracting_entity: self.contracting_entity,
                key_alias: self.key_alias,
                request_id: self.request_id,
                answered_model: self.answered_model,
                system_fingerprint: self.system_fingerprint,
            })
        });
        let import = self.import.map(|json| store.parse("import", &json));
        let terms = self.terms.map(|json| store.parse("terms", &json));
        let clarification = self.clarification;
        let clarification = clarification.map(|json| store.parse("clarification", &json));
        Ok(Receipt {
            provider: self.provider,
            model: self.model,
            model_sha256: self.model_sha256,
            route: self.route,
            license: self.license,
            limits: store.parse("limits", &self.limits)?,
            limbeck_version: self.limbeck_version,
            request_sha256: self.request_sha256,
            response_sha256: self.response_sha256,
            service,
            import: import.transpose()?,
            terms: terms.transpose()?,
            clarification: clarification.transpose()?,
        })
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|four| f32::from_le_bytes(*four))
        .collect()
}
