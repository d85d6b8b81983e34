//! What a record of the ledger commits to: rows as canonical JSON, and their digests.
//!
//! Rows are read whole, whatever columns a table has, and NULLs are left out. So a column that a later version adds
//! is covered from then on, and as long as it is NULL no commitment to an older row changes.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::sqlite::{SqliteConnection, SqliteRow, SqliteValueRef};
use sqlx::{Column, Decode, Row, TypeInfo, ValueRef};

use crate::identity::{canonical_json, write_string};

/// Columns of `traces` that an erasure takes out.
const PAYLOAD: [&str; 5] = [
    "text",
    "reasoning",
    "retracted",
    "choice_log_probabilities",
    "mean_log_probability",
];
/// Columns of `receipts` that an erasure takes out: a digest of a payload tells whether a guess is right.
const PAYLOAD_DIGESTS: [&str; 2] = ["request_sha256", "response_sha256"];

/// The body of a prompt that was erased.
pub(super) const ERASED_BODY: &str = r#"{"kind":"completion","text":""}"#;

/// What a record says of a trace, before it is hashed.
#[derive(Debug, Default)]
pub(in crate::database) struct TraceParts {
    /// Its place among the traces; none where the row is gone.
    pub(super) number: Option<i64>,
    /// Its payload with digests of it, as canonical JSON.
    pub(super) content: String,
    /// All else that is known of it, as canonical JSON.
    pub(super) origin: String,
}

/// The parts of the traces with these ids (a JSON list), by id.
pub(super) async fn traces(
    connection: &mut SqliteConnection,
    ids: &str,
) -> Result<HashMap<String, TraceParts>, sqlx::Error> {
    let mut found = Vec::with_capacity(3);
    for statement in [
        "SELECT traces.* FROM json_each(?1) AS wanted JOIN traces ON traces.id = wanted.value",
        "SELECT receipts.* FROM json_each(?1) AS wanted JOIN receipts ON receipts.trace_id = wanted.value",
        "SELECT tokens.* FROM json_each(?1) AS wanted
         JOIN token_log_probabilities AS tokens ON tokens.trace_id = wanted.value",
    ] {
        found.push(
            sqlx::query(statement)
                .bind(ids)
                .fetch_all(&mut *connection)
                .await?,
        );
    }
    trace_parts(&found[0], &found[1], &found[2])
}

/// The parts of `traces`, by id; `receipts` and `tokens` are the rows of other tables that belong to them.
pub(in crate::database) fn trace_parts(
    traces: &[SqliteRow],
    receipts: &[SqliteRow],
    tokens: &[SqliteRow],
) -> Result<HashMap<String, TraceParts>, sqlx::Error> {
    let is_payload = |name: &str| PAYLOAD.contains(&name);
    let said = Columns::of(traces, is_payload);
    let told = Columns::of(traces, |name| name != "number" && !is_payload(name));
    let mut parts = HashMap::with_capacity(traces.len());
    for row in traces {
        let mut part = TraceParts {
            number: Some(row.try_get("number")?),
            ..TraceParts::default()
        };
        part.content.push_str("{\"trace\":");
        said.write(row, &mut part.content)?;
        part.origin.push_str("{\"trace\":");
        told.write(row, &mut part.origin)?;
        parts.insert(row.try_get("id")?, part);
    }
    let is_digest = |name: &str| PAYLOAD_DIGESTS.contains(&name);
    let digests = Columns::of(receipts, is_digest);
    let other = Columns::of(receipts, |name| !is_digest(name));
    for row in receipts {
        if let Some(part) = parts.get_mut(row.try_get::<&str, _>("trace_id")?) {
            part.content.push_str(",\"receipt\":");
            digests.write(row, &mut part.content)?;
            part.origin.push_str(",\"receipt\":");
            other.write(row, &mut part.origin)?;
        }
    }
    let all = Columns::of(tokens, |_| true);
    for row in tokens {
        if let Some(part) = parts.get_mut(row.try_get::<&str, _>("trace_id")?) {
            part.content.push_str(",\"tokens\":");
            all.write(row, &mut part.content)?;
        }
    }
    for part in parts.values_mut() {
        part.content.push('}');
        part.origin.push('}');
    }
    Ok(parts)
}

/// The prompts with these ids (a JSON list) as canonical JSON, by id.
pub(super) async fn prompts(
    connection: &mut SqliteConnection,
    ids: &str,
) -> Result<HashMap<String, String>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT prompts.* FROM json_each(?1) AS wanted JOIN prompts ON prompts.id = wanted.value",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?;
    Ok(prompt_contents(&rows)?.into_iter().collect())
}

/// The ids of prompts and their rows as canonical JSON.
pub(super) fn prompt_contents(rows: &[SqliteRow]) -> Result<Vec<(String, String)>, sqlx::Error> {
    let all = Columns::of(rows, |_| true);
    let written = rows
        .iter()
        .map(|row| Ok((row.try_get("id")?, all.text(row)?)));
    written.collect()
}

/// What an erasure leaves of a prompt whose row is `content`: body and input are empty, and tags are none.
pub(super) fn erased_prompt(content: &str) -> String {
    let Ok(Value::Object(mut row)) = serde_json::from_str(content) else {
        return String::new();
    };
    row.insert("body".to_owned(), ERASED_BODY.into());
    row.insert("input".to_owned(), "".into());
    row.insert("tags".to_owned(), "[]".into());
    canonical_json(&Value::Object(row))
}

/// The digests of runs of attempts, each from a first number to a last (a JSON list of pairs), by the place of the run
/// in the list; how many rows each has stands beside it.
pub(super) async fn attempts(
    connection: &mut SqliteConnection,
    runs: &str,
) -> Result<HashMap<i64, (i64, String)>, sqlx::Error> {
    let rows = sqlx::query(
        r#"SELECT wanted.key AS "ledger place", attempts.* FROM json_each(?1) AS wanted
           JOIN attempts ON attempts.number BETWEEN wanted.value ->> 0 AND wanted.value ->> 1
           ORDER BY wanted.key, attempts.number"#,
    )
    .bind(runs)
    .fetch_all(connection)
    .await?;
    let all = Columns::of(&rows, |name| name != "ledger place");
    let mut found: HashMap<i64, (i64, Lines)> = HashMap::new();
    for row in &rows {
        let run = found.entry(row.try_get("ledger place")?).or_default();
        run.0 += 1;
        run.1.add(&all.text(row)?);
    }
    let digests = found.into_iter();
    Ok(digests
        .map(|(place, (count, lines))| (place, (count, lines.digest())))
        .collect())
}

/// The digest of whole rows.
pub(super) fn digest_of_rows(rows: &[SqliteRow]) -> Result<String, sqlx::Error> {
    let all = Columns::of(rows, |_| true);
    let mut lines = Lines::default();
    for row in rows {
        lines.add(&all.text(row)?);
    }
    Ok(lines.digest())
}

/// How many verdicts a curation has, and the digest of its row and theirs; `None` where it is gone.
pub(super) async fn curation(
    connection: &mut SqliteConnection,
    id: &str,
) -> Result<Option<(i64, String)>, sqlx::Error> {
    let head = sqlx::query("SELECT * FROM curations WHERE id = ?1").bind(id);
    let head = head.fetch_all(&mut *connection).await?;
    let Some(row) = head.first() else {
        return Ok(None);
    };
    let number: i64 = row.try_get("number")?;
    let rows = sqlx::query("SELECT * FROM verdicts WHERE curation = ?1 ORDER BY position")
        .bind(number)
        .fetch_all(connection)
        .await?;
    let mut lines = Lines::default();
    lines.add(&Columns::of(&head, |_| true).text(row)?);
    let all = Columns::of(&rows, |_| true);
    for row in &rows {
        lines.add(&all.text(row)?);
    }
    Ok(Some((rows.len() as i64, lines.digest())))
}

/// What a record says of a dataset, before its content is salted.
pub(super) struct DatasetParts {
    /// How many rows it has.
    pub(super) rows: i64,
    /// The digest of which traces make up which of its rows.
    pub(super) traces: String,
    /// The digest of what the student is told; to be salted.
    pub(super) content: String,
}

/// The parts of a dataset; `None` where it is gone.
pub(super) async fn dataset(
    connection: &mut SqliteConnection,
    id: &str,
) -> Result<Option<DatasetParts>, sqlx::Error> {
    let head = sqlx::query("SELECT * FROM datasets WHERE id = ?1").bind(id);
    let head = head.fetch_all(&mut *connection).await?;
    let Some(row) = head.first() else {
        return Ok(None);
    };
    let number: i64 = row.try_get("number")?;
    let (mut skeleton, mut content) = (Lines::default(), Lines::default());
    skeleton.add(&Columns::of(&head, |_| true).text(row)?);
    let rows =
        sqlx::query("SELECT * FROM dataset_traces WHERE dataset = ?1 ORDER BY row, position")
            .bind(number)
            .fetch_all(&mut *connection)
            .await?;
    let all = Columns::of(&rows, |_| true);
    for row in &rows {
        skeleton.add(&all.text(row)?);
    }
    let rows = sqlx::query("SELECT * FROM dataset_rows WHERE dataset = ?1 ORDER BY position")
        .bind(number)
        .fetch_all(connection)
        .await?;
    let is_told = |name: &str| ["input", "answer"].contains(&name);
    let (told, rest) = (
        Columns::of(&rows, is_told),
        Columns::of(&rows, |name| !is_told(name)),
    );
    for row in &rows {
        skeleton.add(&rest.text(row)?);
        content.add(&told.text(row)?);
    }
    Ok(Some(DatasetParts {
        rows: rows.len() as i64,
        traces: skeleton.digest(),
        content: content.digest(),
    }))
}

/// The digest of a run's row; `None` where it is gone.
pub(super) async fn run(
    connection: &mut SqliteConnection,
    id: i64,
) -> Result<Option<String>, sqlx::Error> {
    let rows = sqlx::query("SELECT * FROM runs WHERE id = ?1").bind(id);
    let rows = rows.fetch_all(connection).await?;
    let all = Columns::of(&rows, |_| true);
    let text = rows.first().map(|row| all.text(row)).transpose()?;
    Ok(text.map(|text| digest(text.as_bytes())))
}

/// The lower-case hex SHA-256.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A commitment that tells nothing of `content` to who does not know the salt.
pub(super) fn commitment(salt: &[u8], content: &str) -> String {
    let hash = Sha256::new().chain_update(salt).chain_update(content);
    hex::encode(hash.finalize())
}

/// Rows hashed one after the other, each ended by a newline, which canonical JSON has none of.
#[derive(Default)]
struct Lines(Sha256);

impl Lines {
    fn add(&mut self, line: &str) {
        self.0.update(line);
        self.0.update("\n");
    }

    fn digest(self) -> String {
        hex::encode(self.0.finalize())
    }
}

/// Some columns of a statement's rows, in the order of their names.
struct Columns(Vec<(usize, String)>);

impl Columns {
    /// Those that `keep` wants. All rows are of one statement.
    fn of(rows: &[SqliteRow], keep: impl Fn(&str) -> bool) -> Self {
        let columns = rows.first().map(Row::columns).unwrap_or_default();
        let wanted = columns.iter().filter(|column| keep(column.name()));
        let mut columns: Vec<_> = wanted
            .map(|column| (column.ordinal(), column.name().to_owned()))
            .collect();
        columns.sort_unstable_by(|a, b| a.1.cmp(&b.1));
        Self(columns)
    }

    fn text(&self, row: &SqliteRow) -> Result<String, sqlx::Error> {
        let mut out = String::new();
        self.write(row, &mut out)?;
        Ok(out)
    }

    /// Writes the columns of `row` that are not NULL as a JSON object. Fractions stand there with their bits and bytes
    /// by their digest, each marked so that no text looks the same.
    fn write(&self, row: &SqliteRow, out: &mut String) -> Result<(), sqlx::Error> {
        let mut separator = '{';
        for (ordinal, name) in &self.0 {
            let value = row.try_get_raw(*ordinal)?;
            if value.is_null() {
                continue;
            }
            out.push(separator);
            separator = ',';
            write_string(name, out);
            out.push(':');
            write_value(value, out).map_err(|source| sqlx::Error::ColumnDecode {
                index: name.clone(),
                source,
            })?;
        }
        if separator == '{' {
            out.push('{');
        }
        out.push('}');
        Ok(())
    }
}

fn write_value(
    value: SqliteValueRef<'_>,
    out: &mut String,
) -> Result<(), sqlx::error::BoxDynError> {
    let kind = value.type_info();
    // Writing to a string cannot fail.
    let _ = match kind.name() {
        "INTEGER" => write!(out, "{}", i64::decode(value)?),
        "REAL" => write!(
            out,
            "{{\"real\":\"{:016x}\"}}",
            f64::decode(value)?.to_bits()
        ),
        "TEXT" => {
            write_string(<&str>::decode(value)?, out);
            Ok(())
        }
        _ => write!(
            out,
            "{{\"sha256\":\"{}\"}}",
            digest(<&[u8]>::decode(value)?)
        ),
    };
    Ok(())
}
