//! Taking a payload out of the store: its text and salts go, the records that committed to it stay.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnection;

use super::{Entry, Store, rows};
use crate::StoreError;
use crate::curate::RowAnswer;

/// What stands where a payload was.
pub(super) const ERASED_TEXT: &str = "[erased]";

/// What an erasure took out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// The trace.
    pub trace: String,
    /// Its prompt, where no other answer to it is kept.
    pub prompt: Option<String>,
    /// Answers to the same prompt that are kept, and the prompt for them.
    pub other_answers: u64,
    /// The datasets that held it.
    pub datasets: Vec<String>,
}

impl Store {
    /// Takes the payload of a trace out: answer, reasoning, log-probabilities, digests of request and response, and
    /// what datasets hold of it; the prompt as well where no other answer to it is kept.
    ///
    /// `id_prefix` is its id or a beginning of it. The reason and the time stay in the ledger, and every proof holds.
    /// Receipt, parameters and attempts stay. Erasing again changes nothing and adds a record. The
    /// file is written anew, for which the disk needs room for another one.
    pub async fn erase_trace(&self, id_prefix: &str, reason: &str) -> Result<Erasure, StoreError> {
        let explain = self.explain();
        let id = self.full_id(id_prefix).await?;
        let mut transaction = self.begin().await?;
        self.erase_answer(&mut transaction, &id).await?;
        let (prompt, other_answers) = self.erase_prompt_of(&mut transaction, &id).await?;
        let datasets = self.erase_from_datasets(&mut transaction, &id).await?;
        let fields = json!({
            "reason": reason,
            "traces": [id],
            "prompts": Vec::from_iter(prompt.as_ref()),
            "datasets": datasets,
        });
        let entry = Entry::new("erasure", &id, fields);
        self.append(&mut transaction, vec![entry]).await?;
        transaction.commit().await.map_err(explain)?;
        // Pages keep remains of what they held, and the log of writes the whole of it: both are written anew.
        for statement in ["VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"] {
            sqlx::query(statement)
                .execute(self.pool())
                .await
                .map_err(explain)?;
        }
        Ok(Erasure {
            trace: id,
            prompt,
            other_answers,
            datasets,
        })
    }

    /// The ids of traces whose payload was erased.
    pub async fn erased_traces(&self) -> Result<HashSet<String>, StoreError> {
        let erased =
            sqlx::query_scalar!("SELECT subject FROM ledger_leaves WHERE kind = 'erasure'")
                .fetch_all(self.pool())
                .await
                .map_err(self.explain())?;
        Ok(erased.into_iter().collect())
    }

    async fn erase_answer(
        &self,
        connection: &mut SqliteConnection,
        id: &str,
    ) -> Result<(), StoreError> {
        let explain = self.explain();
        sqlx::query!(
            "UPDATE traces SET text = ?2, reasoning = NULL, retracted = NULL,
                 choice_log_probabilities = NULL, mean_log_probability = NULL
             WHERE id = ?1",
            id,
            ERASED_TEXT,
        )
        .execute(&mut *connection)
        .await
        .map_err(explain)?;
        sqlx::query!(
            "DELETE FROM token_log_probabilities WHERE trace_id = ?1",
            id
        )
        .execute(&mut *connection)
        .await
        .map_err(explain)?;
        sqlx::query!(
            "UPDATE receipts SET request_sha256 = '', response_sha256 = '' WHERE trace_id = ?1",
            id,
        )
        .execute(&mut *connection)
        .await
        .map_err(explain)?;
        self.forget_salts(connection, "trace", id).await
    }

    /// The prompt where it was erased, and how many other answers keep it.
    async fn erase_prompt_of(
        &self,
        connection: &mut SqliteConnection,
        id: &str,
    ) -> Result<(Option<String>, u64), StoreError> {
        let explain = self.explain();
        let prompt = sqlx::query_scalar!("SELECT prompt_id FROM traces WHERE id = ?1", id)
            .fetch_one(&mut *connection)
            .await
            .map_err(explain)?;
        let others = sqlx::query_scalar!(
            r#"SELECT count(*) AS "others!: i64" FROM traces
               JOIN ledger_leaves ON kind = 'trace' AND subject = traces.id
               WHERE prompt_id = ?1 AND salt IS NOT NULL"#,
            prompt,
        )
        .fetch_one(&mut *connection)
        .await
        .map_err(explain)?;
        if others > 0 {
            return Ok((None, self.unsigned("others", others)?));
        }
        sqlx::query!(
            "UPDATE prompts SET body = ?2, input = '', tags = '[]' WHERE id = ?1",
            prompt,
            rows::ERASED_BODY,
        )
        .execute(&mut *connection)
        .await
        .map_err(explain)?;
        self.forget_salts(connection, "prompt", &prompt).await?;
        Ok((Some(prompt), 0))
    }

    async fn erase_from_datasets(
        &self,
        connection: &mut SqliteConnection,
        id: &str,
    ) -> Result<Vec<String>, StoreError> {
        let explain = self.explain();
        let answer = self.json(&RowAnswer::Text {
            text: ERASED_TEXT.to_owned(),
            repaired: false,
            redacted: false,
        })?;
        sqlx::query!(
            "UPDATE dataset_rows SET input = '', answer = ?2
             WHERE (dataset, position) IN (SELECT dataset, row FROM dataset_traces WHERE trace_id = ?1)",
            id,
            answer,
        )
        .execute(&mut *connection)
        .await
        .map_err(explain)?;
        let datasets = sqlx::query_scalar!(
            "SELECT DISTINCT datasets.id FROM dataset_traces
             JOIN datasets ON datasets.number = dataset WHERE trace_id = ?1 ORDER BY datasets.id",
            id,
        )
        .fetch_all(&mut *connection)
        .await
        .map_err(explain)?;
        for dataset in &datasets {
            self.forget_salts(connection, "dataset", dataset).await?;
        }
        Ok(datasets)
    }

    /// Without its salt a commitment cannot be tried against a guess.
    async fn forget_salts(
        &self,
        connection: &mut SqliteConnection,
        kind: &str,
        subject: &str,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "UPDATE ledger_leaves SET salt = NULL WHERE kind = ?1 AND subject = ?2",
            kind,
            subject,
        )
        .execute(connection)
        .await
        .map_err(self.explain())?;
        Ok(())
    }
}

/// What is left of a trace's content, as [`rows::traces`] writes it.
pub(super) fn erased_trace() -> String {
    let text = Value::from(ERASED_TEXT);
    format!(
        r#"{{"trace":{{"text":{text}}},"receipt":{{"request_sha256":"","response_sha256":""}}}}"#
    )
}
