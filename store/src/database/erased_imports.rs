//! What was erased does not come back with the file that it came from.
//!
//! Nothing of a payload is kept to know it by: a row is known by its file's digest and its place there, or by what the
//! row calls itself, both of which stand in the receipt; and a question that was erased by its id.

use std::collections::HashSet;

use sqlx::SqliteConnection;

use super::Store;
use crate::StoreError;
use crate::record::{ImportReceipt, ImportedAnswer};

/// Everything that erasures took out of imports.
#[derive(Debug, Default)]
pub(super) struct ErasedImports {
    /// By file and row.
    places: HashSet<(String, u64)>,
    /// By where the data come from, and the row's own name.
    names: HashSet<(String, String)>,
    /// Questions that were erased with their last answer.
    prompts: HashSet<String>,
    /// Questions of which some answer was erased.
    touched: HashSet<String>,
}

impl ErasedImports {
    /// Whether the question was erased.
    pub(super) fn holds_prompt(&self, prompt: &str) -> bool {
        self.prompts.contains(prompt)
    }

    /// Whether some answer to the question was erased.
    pub(super) fn touches(&self, prompt: &str) -> bool {
        self.touched.contains(prompt)
    }

    /// Whether the row was erased.
    pub(super) fn holds_row(&self, import: &ImportReceipt) -> bool {
        let name = import.row_id.clone();
        self.places
            .contains(&(import.file_sha256.clone(), import.row))
            || name.is_some_and(|name| self.names.contains(&(import.source.clone(), name)))
    }
}

impl Store {
    /// Reads them from the ledger's records of erasures and the receipts that stay.
    pub(super) async fn erased_imports(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<ErasedImports, StoreError> {
        let explain = self.explain();
        let mut erased = ErasedImports::default();
        let rows = sqlx::query!(
            r#"SELECT prompt_id AS "prompt_id!", import FROM ledger_leaves
               JOIN traces ON traces.id = subject JOIN receipts ON trace_id = subject
               WHERE kind = 'erasure'"#
        )
        .fetch_all(&mut *connection)
        .await
        .map_err(explain)?;
        for row in rows {
            erased.touched.insert(row.prompt_id);
            let Some(import) = row.import else { continue };
            let import: ImportReceipt = self.parse("import", &import)?;
            erased.places.insert((import.file_sha256, import.row));
            if let Some(name) = import.row_id {
                erased.names.insert((import.source, name));
            }
        }
        let prompts = sqlx::query_scalar!(
            r#"SELECT prompt.value || '' AS "id!: String" FROM ledger_leaves, json_each(record, '$.prompts') AS prompt
               WHERE kind = 'erasure'"#
        )
        .fetch_all(connection)
        .await
        .map_err(explain)?;
        erased.prompts.extend(prompts);
        Ok(erased)
    }

    /// The answer that came from this very row before, if it says what it said then.
    pub(super) async fn answer_of_the_same_row(
        &self,
        connection: &mut SqliteConnection,
        answer: &ImportedAnswer,
        import: &ImportReceipt,
    ) -> Result<Option<String>, StoreError> {
        let row = import.row as i64;
        sqlx::query_scalar!(
            "SELECT traces.id FROM traces JOIN receipts ON trace_id = traces.id
             WHERE prompt_id = ?1 AND teacher = ?2 AND text = ?3 AND reasoning IS ?4
                 AND import ->> '$.file_sha256' = ?5 AND import ->> '$.row' = ?6
             ORDER BY sample LIMIT 1",
            answer.prompt.id,
            answer.teacher,
            answer.trace.text,
            answer.trace.reasoning,
            import.file_sha256,
            row,
        )
        .fetch_optional(connection)
        .await
        .map_err(self.explain())
    }
}
