//! What a store holds, read with plain SQL so that a test does not trust the code that it tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use limbeck_store::{Store, TokenLogProbabilities};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};

/// Everything of a store that does not tell when or how fast.
#[derive(Debug)]
pub struct Contents {
    /// Body, input, phrasing, source and row by id.
    pub prompts: BTreeMap<String, [String; 5]>,
    /// By id.
    pub traces: BTreeMap<String, Trace>,
    /// Attempts that were answered, by the trace they became.
    pub answered: BTreeMap<String, i64>,
    /// Attempts that failed.
    pub failed: i64,
    /// Rows of the newest dataset in their order: item, input, answer, ids of its traces.
    pub dataset: Vec<(String, String, Value, Vec<String>)>,
    /// Answers to prompts of the newest curation: trace, check, whether it keeps.
    pub verdicts: Vec<(String, String, i64)>,
}

/// One answer.
#[derive(Debug)]
pub struct Trace {
    /// Prompt, sample, teacher, parameters, text, finish reason, tokens read and written.
    pub exact: [String; 8],
    /// Log-probabilities of the choices.
    pub choices: Vec<f32>,
    /// Log-probabilities of the tokens and of what else was likely there.
    pub tokens: Option<Vec<TokenLogProbabilities>>,
}

/// A connection to the file, also while a run is using it.
pub struct Sql {
    runtime: tokio::runtime::Runtime,
    connection: SqliteConnection,
}

impl Sql {
    /// Opens the store at `path`.
    pub fn open(path: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let options = SqliteConnectOptions::new().filename(path);
        let connection = runtime.block_on(options.connect()).expect("a database");
        Self {
            runtime,
            connection,
        }
    }

    /// One number.
    pub fn number(&mut self, query: &'static str) -> i64 {
        let number = sqlx::query_scalar(query).fetch_one(&mut self.connection);
        self.runtime.block_on(number).expect(query)
    }

    /// Rows of texts.
    pub fn texts<const N: usize>(&mut self, query: &'static str) -> Vec<[String; N]> {
        let rows = sqlx::query(query).fetch_all(&mut self.connection);
        let rows = self.runtime.block_on(rows).expect(query);
        rows.iter()
            .map(|row| std::array::from_fn(|column| row.get(column)))
            .collect()
    }

    /// Changes something.
    pub fn execute(&mut self, query: &'static str) {
        let done = sqlx::query(query).execute(&mut self.connection);
        self.runtime.block_on(done).expect(query);
    }

    /// Closes the connection, and with it whatever is left in the write-ahead log goes into the file.
    pub fn close(self) {
        self.runtime
            .block_on(self.connection.close())
            .expect("closed");
    }
}

/// How many answers a store holds; 0 while it is not there or not readable yet.
pub fn answers(path: &Path) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        match Store::open_read_only(path).await {
            Ok(store) => store.count_traces().await.unwrap_or(0),
            Err(_) => 0,
        }
    })
}

/// Reads all of a store that no process is writing to.
pub fn contents(path: &Path) -> Contents {
    let mut sql = Sql::open(path);
    let prompts = sql
        .texts::<6>("SELECT id, body, input, phrasing, source, CAST(row AS TEXT) FROM prompts")
        .into_iter()
        .map(|[id, rest @ ..]| (id, rest))
        .collect();
    let answered = pairs(
        &mut sql,
        "SELECT trace_id, CAST(count(*) AS TEXT) FROM attempts WHERE failure_kind IS NULL GROUP BY trace_id",
    );
    let dataset = sql
        .texts::<4>(
            "SELECT item, input, answer, (SELECT json_group_array(trace_id) FROM (SELECT trace_id FROM dataset_traces
                 WHERE dataset = dataset_rows.dataset AND row = dataset_rows.position ORDER BY position))
             FROM dataset_rows WHERE dataset = (SELECT max(number) FROM datasets) ORDER BY position",
        )
        .into_iter()
        .map(|[item, input, answer, traces]| {
            let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
            let traces = serde_json::from_value(json(&traces)).expect("a list of ids");
            (item, input, json(&answer), traces)
        })
        .collect();
    let verdicts = sql
        .texts::<3>(
            "SELECT trace_id, \"check\", CAST(keep AS TEXT) FROM verdicts
             WHERE curation = (SELECT max(number) FROM curations) ORDER BY trace_id, \"check\"",
        )
        .into_iter()
        .map(|[trace, check, keep]| (trace, check, keep.parse().expect("a number")))
        .collect();
    let failed = sql.number("SELECT count(*) FROM attempts WHERE failure_kind IS NOT NULL");
    let traces = traces(&mut sql, path);
    sql.close();
    Contents {
        prompts,
        traces,
        answered,
        failed,
        dataset,
        verdicts,
    }
}

fn pairs(sql: &mut Sql, query: &'static str) -> BTreeMap<String, i64> {
    let rows = sql.texts::<2>(query).into_iter();
    rows.map(|[key, number]| (key, number.parse().expect("a number")))
        .collect()
}

fn traces(sql: &mut Sql, path: &Path) -> BTreeMap<String, Trace> {
    let rows = sql.texts::<10>(
        "SELECT id, prompt_id, CAST(sample AS TEXT), teacher, parameters, text, finish_reason,
             CAST(prompt_tokens AS TEXT), CAST(completion_tokens AS TEXT),
             coalesce(hex(choice_log_probabilities), '')
         FROM traces",
    );
    let path: PathBuf = path.to_owned();
    sql.runtime.block_on(async {
        // The compact form of token log-probabilities is not SQL's to read.
        let store = Store::open_read_only(&path).await.expect("a store");
        let mut traces = BTreeMap::new();
        for [id, exact @ .., choices] in rows {
            let tokens = store
                .token_log_probabilities(&id)
                .await
                .expect("log-probabilities");
            let choices = floats(&choices);
            traces.insert(
                id,
                Trace {
                    exact,
                    choices,
                    tokens,
                },
            );
        }
        traces
    })
}

/// Little-endian numbers in hexadecimal.
fn floats(hex: &str) -> Vec<f32> {
    let bytes = hex::decode(hex).expect("hexadecimal");
    let (words, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty(), "a number was cut off");
    words.iter().map(|word| f32::from_le_bytes(*word)).collect()
}
