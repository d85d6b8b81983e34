//! What the attempts add up to: what a teacher has used of late, what it has cost, and what it never answered.

use std::collections::{BTreeMap, HashMap};

use futures::TryStreamExt;

use super::attempts::AttemptRow;
use super::{IDS_PER_STATEMENT, Store, id_list};
use crate::StoreError;
use crate::record::{Attempt, Failure};

/// Requests of earlier runs that are held at once.
const SPENT_AT_ONCE: usize = 1000;

/// One request of an earlier run, as far as limits count it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// When it began, as RFC 3339 in UTC.
    pub started_at: String,
    /// Host and path that were asked.
    pub endpoint: String,
    /// What the user calls the key.
    pub key_alias: Option<String>,
    /// Tokens read, as far as it is known.
    pub prompt_tokens: u64,
    /// Tokens written, as far as it is known.
    pub completion_tokens: u64,
}

/// Which failures a list shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FailureFilter {
    /// Only those of this kind, such as `timeout`.
    pub kind: Option<String>,
    /// The most rows; `None` for all.
    pub limit: Option<u32>,
    /// How many to pass over first.
    pub offset: u32,
}

impl Store {
    /// Hands out the requests over the network that `teacher` (a teacher's identity) was sent since `since` (RFC 3339 in
    /// UTC), the oldest first and some at a time: a day may hold a million. What went in a batch is not among them:
    /// services count it apart.
    pub async fn spent_since(
        &self,
        teacher: &str,
        since: &str,
        mut each: impl FnMut(&[Spent]),
    ) -> Result<(), StoreError> {
        let mut rows = sqlx::query!(
            r#"SELECT started_at, endpoint AS "endpoint!", key_alias,
                   coalesce(prompt_tokens, 0) AS "prompt_tokens!: i64",
                   coalesce(completion_tokens, 0) AS "completion_tokens!: i64"
               FROM attempts
               WHERE teacher = ?1 AND started_at >= ?2 AND endpoint IS NOT NULL
                 AND endpoint NOT LIKE '%/batches'
               ORDER BY started_at"#,
            teacher,
            since,
        )
        .fetch(self.pool());
        let mut some = Vec::with_capacity(SPENT_AT_ONCE);
        while let Some(row) = rows.try_next().await.map_err(self.explain())? {
            some.push(Spent {
                started_at: row.started_at,
                endpoint: row.endpoint,
                key_alias: row.key_alias,
                prompt_tokens: self.unsigned("prompt_tokens", row.prompt_tokens)?,
                completion_tokens: self.unsigned("completion_tokens", row.completion_tokens)?,
            });
            if some.len() == SPENT_AT_ONCE {
                each(&some);
                some.clear();
            }
        }
        each(&some);
        Ok(())
    }

    /// What all requests to `teacher` have cost so far, in billionths of a US dollar.
    pub async fn cost_of(&self, teacher: &str) -> Result<u64, StoreError> {
        let cost = sqlx::query_scalar!(
            r#"SELECT coalesce(sum(cost_nano_usd), 0) AS "cost!: i64" FROM attempts
               WHERE teacher = ?1 AND endpoint IS NOT NULL"#,
            teacher,
        )
        .fetch_one(self.pool())
        .await
        .map_err(self.explain())?;
        self.unsigned("cost_nano_usd", cost)
    }

    /// Questions that were asked and never answered, each with its last attempt, in the order of these.
    pub async fn failures(&self, filter: &FailureFilter) -> Result<Vec<Failure>, StoreError> {
        // SQLite takes a negative limit for none.
        let limit = filter.limit.map_or(-1, i64::from);
        let rows = sqlx::query!(
            r#"SELECT tried.attempts AS "attempts!: i64", input AS "input!", last.prompt_id AS "prompt_id!",
                   last.trace_id AS "trace_id!", last.teacher, last.started_at AS "started_at!",
                   last.waited_ms AS "waited_ms!", last.latency_ms AS "latency_ms!", last.failure_kind,
                   last.failure_message, last.endpoint, last.key_alias, last.http_status, last.headers,
                   last.request_id, last.prompt_tokens, last.completion_tokens, last.cost_nano_usd
               FROM (SELECT trace_id, count(*) AS attempts, max(number) AS number FROM attempts
                     WHERE failure_kind IS NOT NULL GROUP BY trace_id) AS tried
               JOIN attempts AS last ON last.number = tried.number
               JOIN prompts ON prompts.id = last.prompt_id
               WHERE NOT EXISTS (SELECT 1 FROM traces WHERE traces.id = tried.trace_id)
                 AND (?1 IS NULL OR last.failure_kind = ?1)
               ORDER BY last.number LIMIT ?2 OFFSET ?3"#,
            filter.kind,
            limit,
            filter.offset,
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.explain())?;
        rows.into_iter()
            .map(|row| {
                let last = AttemptRow {
                    prompt_id: row.prompt_id,
                    trace_id: row.trace_id,
                    teacher: row.teacher,
                    started_at: row.started_at,
                    waited_ms: row.waited_ms,
                    latency_ms: row.latency_ms,
                    failure_kind: row.failure_kind,
                    failure_message: row.failure_message,
                    endpoint: row.endpoint,
                    key_alias: row.key_alias,
                    http_status: row.http_status,
                    headers: row.headers,
                    request_id: row.request_id,
                    prompt_tokens: row.prompt_tokens,
                    completion_tokens: row.completion_tokens,
                    cost_nano_usd: row.cost_nano_usd,
                };
                let last: Attempt = last.attempt(self)?;
                Ok(Failure {
                    attempts: self.unsigned("attempts", row.attempts)?,
                    input: row.input,
                    last,
                })
            })
            .collect()
    }

    /// How many questions were asked and never answered, by the kind of their last failure.
    pub async fn failure_kinds(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT last.failure_kind AS "kind!", count(*) AS "count!: i64"
               FROM (SELECT trace_id, max(number) AS number FROM attempts
                     WHERE failure_kind IS NOT NULL GROUP BY trace_id) AS tried
               JOIN attempts AS last ON last.number = tried.number
               WHERE NOT EXISTS (SELECT 1 FROM traces WHERE traces.id = tried.trace_id)
               GROUP BY last.failure_kind"#,
        )
        .fetch_all(self.pool())
        .await
        .map_err(self.explain())?;
        rows.into_iter()
            .map(|row| Ok((row.kind, self.unsigned("count", row.count)?)))
            .collect()
    }

    /// The kind of the last failure of each of the traces with these `ids` that has failed, by trace id.
    pub async fn last_failures(
        &self,
        ids: &[String],
    ) -> Result<HashMap<String, String>, StoreError> {
        let mut found = HashMap::new();
        for ids in ids.chunks(IDS_PER_STATEMENT) {
            let ids = id_list(ids);
            let rows = sqlx::query!(
                r#"SELECT tried.trace_id AS "trace_id!", failure_kind AS "failure_kind!"
                   FROM (SELECT trace_id, max(number) AS number FROM attempts
                         WHERE failure_kind IS NOT NULL
                           AND trace_id IN (SELECT value FROM json_each(?1))
                         GROUP BY trace_id) AS tried
                   JOIN attempts ON attempts.number = tried.number"#,
                ids,
            )
            .fetch_all(self.pool())
            .await
            .map_err(self.explain())?;
            found.extend(rows.into_iter().map(|row| (row.trace_id, row.failure_kind)));
        }
        Ok(found)
    }
}
