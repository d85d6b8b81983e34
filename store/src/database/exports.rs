//! Reading all traces, one at a time.

use futures::StreamExt;
use futures::stream::BoxStream;

use super::Store;
use super::reading::{ReceiptRow, TraceRow, verdict_name};
use crate::StoreError;
use crate::record::{ExportedTrace, VerdictFilter};

impl Store {
    /// All traces that the newest curation judged so, in the order in which they were recorded.
    ///
    /// One statement reads them, so what comes is the store as it was when the first was asked for, whatever is
    /// written meanwhile; and few are in memory at a time, however many there are.
    pub fn export_traces(
        &self,
        verdict: Option<VerdictFilter>,
    ) -> BoxStream<'_, Result<ExportedTrace, StoreError>> {
        let verdict = verdict.map(verdict_name);
        sqlx::query_as!(
            ExportRow,
            r#"WITH judged AS (
                   SELECT trace_id, min(keep) AS keep FROM verdicts
                   WHERE curation = (SELECT max(number) FROM curations)
                   GROUP BY trace_id
               )
               SELECT traces.id AS "id!", prompt_id AS "prompt_id!", sample AS "sample!",
                   teacher AS "teacher!", parameters AS "parameters!", text AS "text!", reasoning,
                   choice_log_probabilities, finish_reason AS "finish_reason!",
                   prompt_tokens AS "prompt_tokens!", completion_tokens AS "completion_tokens!",
                   mean_log_probability, recorded_at AS "recorded_at!", retracted, body AS "body!",
                   input AS "input!", phrasing AS "phrasing!", source AS "source!", row AS "row!",
                   prompts.license AS prompt_license, tags AS "tags!", receipts.provider AS "provider!",
                   receipts.model AS "model!", receipts.model_sha256, receipts.route AS "route!",
                   receipts.license, receipts.limits AS "limits!",
                   receipts.limbeck_version AS "limbeck_version!",
                   receipts.request_sha256 AS "request_sha256!",
                   receipts.response_sha256 AS "response_sha256!", receipts.endpoint, receipts.plan,
                   receipts.region, receipts.key_alias, receipts.request_id, receipts.answered_model,
                   receipts.system_fingerprint, receipts.import, receipts.terms,
                   receipts.retention, receipts.contracting_entity, receipts.clarification,
                   judged.keep AS "kept: bool",
                   (SELECT json_group_array(json_object('trace_id', trace_id, 'check', "check",
                        'keep', json(iif(keep, 'true', 'false')), 'value', value, 'reason', reason))
                    FROM (SELECT * FROM verdicts AS found
                          WHERE found.trace_id = traces.id
                            AND found.curation = (SELECT max(number) FROM curations)
                          ORDER BY found.position)) AS "verdicts!: String"
               FROM traces
               JOIN prompts ON prompts.id = prompt_id
               JOIN receipts ON receipts.trace_id = traces.id
               LEFT JOIN judged ON judged.trace_id = traces.id
               WHERE ?1 IS NULL
                  OR ?1 = CASE judged.keep WHEN 1 THEN 'kept' WHEN 0 THEN 'dropped' ELSE 'unjudged' END
               ORDER BY traces.number"#,
            verdict,
        )
        .fetch(self.pool())
        .map(|row| row.map_err(self.explain())?.exported(self))
        .boxed()
    }
}

struct ExportRow {
    id: String,
    prompt_id: String,
    sample: i64,
    teacher: String,
    parameters: String,
    text: String,
    reasoning: Option<String>,
    choice_log_probabilities: Option<Vec<u8>>,
    finish_reason: String,
    prompt_tokens: i64,
    completion_tokens: i64,
    mean_log_probability: Option<f64>,
    recorded_at: String,
    retracted: Option<String>,
    body: String,
    input: String,
    phrasing: String,
    source: String,
    row: i64,
    prompt_license: Option<String>,
    tags: String,
    provider: String,
    model: String,
    model_sha256: Option<String>,
    route: String,
    license: Option<String>,
    limits: String,
    limbeck_version: String,
    request_sha256: String,
    response_sha256: String,
    endpoint: Option<String>,
    plan: Option<String>,
    region: Option<String>,
    key_alias: Option<String>,
    request_id: Option<String>,
    answered_model: Option<String>,
    system_fingerprint: Option<String>,
    import: Option<String>,
    terms: Option<String>,
    retention: Option<String>,
    contracting_entity: Option<String>,
    clarification: Option<String>,
    kept: Option<bool>,
    verdicts: String,
}

impl ExportRow {
    fn exported(self, store: &Store) -> Result<ExportedTrace, StoreError> {
        let trace = TraceRow {
            id: self.id,
            prompt_id: self.prompt_id,
            sample: self.sample,
            teacher: self.teacher,
            parameters: self.parameters,
            text: self.text,
            reasoning: self.reasoning,
            choice_log_probabilities: self.choice_log_probabilities,
            finish_reason: self.finish_reason,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            mean_log_probability: self.mean_log_probability,
            recorded_at: self.recorded_at,
            retracted: self.retracted,
            body: self.body,
            input: self.input,
            phrasing: self.phrasing,
            source: self.source,
            row: self.row,
            license: self.prompt_license,
            tags: self.tags,
        };
        let receipt = ReceiptRow {
            provider: self.provider,
            model: self.model,
            model_sha256: self.model_sha256,
            route: self.route,
            license: self.license,
            limits: self.limits,
            limbeck_version: self.limbeck_version,
            request_sha256: self.request_sha256,
            response_sha256: self.response_sha256,
            endpoint: self.endpoint,
            plan: self.plan,
            region: self.region,
            key_alias: self.key_alias,
            request_id: self.request_id,
            answered_model: self.answered_model,
            system_fingerprint: self.system_fingerprint,
            import: self.import,
            terms: self.terms,
            retention: self.retention,
            contracting_entity: self.contracting_entity,
            clarification: self.clarification,
        };
        Ok(ExportedTrace {
            record: trace.record(store)?,
            receipt: receipt.receipt(store)?,
            kept: self.kept,
            verdicts: store.parse("verdicts", &self.verdicts)?,
        })
    }
}
