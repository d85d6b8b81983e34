//! Answers that were asked for elsewhere: a batch of rows in one transaction, each row once.

use sqlx::SqliteConnection;

use super::erased_imports::ErasedImports;
use super::ledger::{Entry, WrittenAttempts};
use super::traces::TraceRow;
use super::{Store, attempts};
use crate::StoreError;
use crate::record::{
    Answered, AttemptStatus, ImportCounts, ImportOutcome, Imported, ImportedAnswer,
    ImportedFailure, TraceKey, now,
};

impl Store {
    /// Keeps imported rows, all of them or none; when this returns they are on the disk.
    ///
    /// An answer has its place by what it says: it is known if the store holds more than
    /// [`repeats`](ImportedAnswer::repeats) answers of this text to this question from this teacher, and takes the
    /// next free sample number otherwise. So a file that is imported twice, or two files that share rows, double
    /// nothing, and the same answer given five times counts five times. A prompt that is there stays as it is. What was
    /// erased is left out.
    pub async fn import(&self, rows: &[Imported]) -> Result<ImportOutcome, StoreError> {
        let mut counts = ImportCounts::default();
        let mut traces = Vec::with_capacity(rows.len());
        let mut left_out = Vec::new();
        let recorded_at = now();
        let mut transaction = self.begin().await?;
        let mut entries = Vec::new();
        let erased = self.erased_imports(&mut transaction).await?;
        for (place, row) in rows.iter().enumerate() {
            if self.is_erased(&mut transaction, &erased, row).await? {
                counts.erased += 1;
                left_out.push(place);
                continue;
            }
            let then = "ON CONFLICT (id) DO NOTHING RETURNING *";
            let written = self
                .insert_prompts(&mut transaction, &[row.prompt()], then)
                .await?;
            entries.extend(self.written_prompts(&written)?);
            counts.prompts += written.len() as u64;
            match row {
                Imported::Answer(answer) => {
                    let (id, entry) = self
                        .import_answer(&mut transaction, answer, &erased, &recorded_at)
                        .await?;
                    traces.push(id);
                    counts.answers += u64::from(entry.is_some());
                    counts.known_answers += u64::from(entry.is_none());
                    entries.extend(entry);
                }
                Imported::Failure(failure) => {
                    let written = self.import_failure(&mut transaction, failure).await?;
                    counts.failures += u64::from(written.is_some());
                    counts.known_failures += u64::from(written.is_none());
                    entries.extend(written.map(|attempt| attempt.entry(false)));
                }
            }
        }
        self.append(&mut transaction, entries).await?;
        transaction.commit().await.map_err(self.explain())?;
        Ok(ImportOutcome {
            counts,
            traces,
            erased: left_out,
        })
    }

    /// Whether the row is one that was erased, and not another answer of the same row.
    async fn is_erased(
        &self,
        connection: &mut SqliteConnection,
        erased: &ErasedImports,
        row: &Imported,
    ) -> Result<bool, StoreError> {
        if erased.holds_prompt(&row.prompt().id) {
            return Ok(true);
        }
        let Imported::Answer(answer) = row else {
            return Ok(false);
        };
        match answer.receipt.import.as_deref() {
            Some(import) if erased.holds_row(import) => {
                let kept = self
                    .answer_of_the_same_row(connection, answer, import)
                    .await?;
                Ok(kept.is_none())
            }
            _ => Ok(false),
        }
    }

    /// The answer's id, and the ledger's record of it if it was new.
    async fn import_answer(
        &self,
        connection: &mut SqliteConnection,
        answer: &ImportedAnswer,
        erased: &ErasedImports,
        recorded_at: &str,
    ) -> Result<(String, Option<Entry>), StoreError> {
        let explain = self.explain();
        // Where one of several answers that say the same is gone, counting them does not tell which are there.
        if erased.touches(&answer.prompt.id)
            && let Some(import) = answer.receipt.import.as_deref()
            && let Some(id) = self
                .answer_of_the_same_row(connection, answer, import)
                .await?
        {
            return Ok((id, None));
        }
        let parameters = self.json(&answer.parameters)?;
        let there = sqlx::query!(
            r#"SELECT coalesce(max(sample) + 1, 0) AS "next!: i64",
                   coalesce(sum(text = ?4 AND reasoning IS ?5), 0) AS "same!: i64"
               FROM traces WHERE prompt_id = ?1 AND teacher = ?2 AND parameters = ?3"#,
            answer.prompt.id,
            answer.teacher,
            parameters,
            answer.trace.text,
            answer.trace.reasoning,
        )
        .fetch_one(&mut *connection)
        .await
        .map_err(explain)?;
        if there.same > i64::from(answer.repeats) {
            let id = self.known_answer(connection, answer, &parameters).await?;
            return Ok((id, None));
        }
        let answered = Answered {
            key: TraceKey {
                prompt_id: answer.prompt.id.clone(),
                sample: self.unsigned("sample", there.next)?,
                teacher: answer.teacher.clone(),
                parameters: answer.parameters.clone(),
            },
            trace: answer.trace.clone(),
            attempts: Vec::new(),
            receipt: answer.receipt.clone(),
        };
        let mut rows = vec![TraceRow::new(self, &answered)?];
        let parts = self
            .insert_answers(connection, &mut rows, recorded_at)
            .await?;
        let id = answered.key.id();
        let parts = parts.get(&id);
        let entry = parts.map(|_| self.trace_entry(&id, parts, None, false));
        Ok((id, entry.transpose()?))
    }

    /// The id of the answer that says the same, the later ones of several for the later repeats.
    async fn known_answer(
        &self,
        connection: &mut SqliteConnection,
        answer: &ImportedAnswer,
        parameters: &str,
    ) -> Result<String, StoreError> {
        sqlx::query_scalar!(
            "SELECT id FROM traces
             WHERE prompt_id = ?1 AND teacher = ?2 AND parameters = ?3 AND text = ?4 AND reasoning IS ?5
             ORDER BY sample LIMIT 1 OFFSET ?6",
            answer.prompt.id,
            answer.teacher,
            parameters,
            answer.trace.text,
            answer.trace.reasoning,
            answer.repeats,
        )
        .fetch_one(connection)
        .await
        .map_err(self.explain())
    }

    /// The failure as it was written; `None` if it was known.
    async fn import_failure(
        &self,
        connection: &mut SqliteConnection,
        failure: &ImportedFailure,
    ) -> Result<Option<WrittenAttempts>, StoreError> {
        let explain = self.explain();
        let attempt = &failure.attempt;
        let AttemptStatus::Failed { kind, message } = &attempt.status else {
            return Err(StoreError::InvalidAnswer {
                trace_id: attempt.trace_id.clone(),
                reason: "it is to be kept as a failure and is none".to_owned(),
            });
        };
        let known = sqlx::query_scalar!(
            r#"SELECT count(*) AS "known!: i64" FROM attempts
               WHERE trace_id = ?1 AND failure_kind = ?2 AND failure_message = ?3"#,
            attempt.trace_id,
            kind,
            message,
        )
        .fetch_one(&mut *connection)
        .await
        .map_err(explain)?;
        if known > 0 {
            return Ok(None);
        }
        let written = attempts::insert_all(connection, &[attempt])
            .await
            .map_err(explain)?;
        WrittenAttempts::of(&written).map_err(explain)
    }
}
