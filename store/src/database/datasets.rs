//! Datasets in the database.

use super::Store;
use crate::StoreError;
use crate::curate::DatasetRow;
use crate::record::{Dataset, now};

impl Store {
    /// Keeps a dataset, in place of one with the same id.
    pub async fn write_dataset(&self, dataset: &Dataset) -> Result<(), StoreError> {
        let explain = self.explain();
        let written_at = now();
        let redaction = (!dataset.redaction.is_empty())
            .then(|| self.json(&dataset.redaction))
            .transpose()?;
        let mut transaction = self.begin().await?;
        sqlx::query!("DELETE FROM datasets WHERE id = ?1", dataset.id)
            .execute(&mut *transaction)
            .await
            .map_err(explain)?;
        let number = sqlx::query_scalar!(
            r#"INSERT INTO datasets (id, name, written_at, redaction) VALUES (?1, ?2, ?3, ?4)
               RETURNING number AS "number!""#,
            dataset.id,
            dataset.name,
            written_at,
            redaction,
        )
        .fetch_one(&mut *transaction)
        .await
        .map_err(explain)?;
        for (position, row) in dataset.rows.iter().enumerate() {
            let answer = self.json(&row.answer)?;
            let position = position as i64;
            sqlx::query!(
                "INSERT INTO dataset_rows (dataset, position, item, input, answer)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                number,
                position,
                row.item,
                row.input,
                answer,
            )
            .execute(&mut *transaction)
            .await
            .map_err(explain)?;
            for (index, trace_id) in row.trace_ids.iter().enumerate() {
                let index = index as i64;
                sqlx::query!(
                    "INSERT INTO dataset_traces (dataset, row, position, trace_id)
                     VALUES (?1, ?2, ?3, ?4)",
                    number,
                    position,
                    index,
                    trace_id,
                )
                .execute(&mut *transaction)
                .await
                .map_err(explain)?;
            }
        }
        let entry = self
            .dataset_entry(&mut transaction, &dataset.id, false)
            .await?;
        self.append(&mut transaction, Vec::from_iter(entry)).await?;
        transaction.commit().await.map_err(explain)
    }

    /// A dataset by its id; `None` for an unknown one.
    pub async fn dataset(&self, id: &str) -> Result<Option<Dataset>, StoreError> {
        let explain = self.explain();
        let found = sqlx::query!(
            "SELECT number, name, redaction FROM datasets WHERE id = ?1",
            id
        )
        .fetch_optional(self.pool())
        .await
        .map_err(explain)?;
        let Some(found) = found else {
            return Ok(None);
        };
        let traces = sqlx::query!(
            "SELECT row, trace_id FROM dataset_traces WHERE dataset = ?1 ORDER BY row, position",
            found.number,
        )
        .fetch_all(self.pool())
        .await
        .map_err(explain)?;
        let mut traces = traces.into_iter().peekable();
        let rows = sqlx::query!(
            "SELECT position, item, input, answer FROM dataset_rows
             WHERE dataset = ?1 ORDER BY position",
            found.number,
        )
        .fetch_all(self.pool())
        .await
        .map_err(explain)?;
        let mut dataset = Dataset {
            id: id.to_owned(),
            name: found.name,
            rows: Vec::with_capacity(rows.len()),
            redaction: match found.redaction {
                Some(redaction) => self.parse("redaction", &redaction)?,
                None => Vec::new(),
            },
        };
        for row in rows {
            let mut trace_ids = Vec::new();
            while let Some(trace) = traces.next_if(|trace| trace.row == row.position) {
                trace_ids.push(trace.trace_id);
            }
            dataset.rows.push(DatasetRow {
                item: row.item,
                input: row.input,
                answer: self.parse("answer", &row.answer)?,
                trace_ids,
            });
        }
        Ok(Some(dataset))
    }
}
