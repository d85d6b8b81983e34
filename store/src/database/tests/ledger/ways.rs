//! Ways to tamper with a store, and what an audit calls each.

use super::*;

/// Ways to change a store, each with the code of a finding and with words of it.
const WAYS: [(&str, &str, &str, &str); 33] = [
    (
        "an answer",
        "UPDATE traces SET text = 'negative' WHERE number = 7",
        "trace-changed",
        "the answer",
    ),
    (
        "the reasoning",
        "UPDATE traces SET reasoning = 'another' WHERE number = 7",
        "trace-changed",
        "the reasoning",
    ),
    (
        "no reasoning",
        "UPDATE traces SET reasoning = NULL WHERE number = 7",
        "trace-changed",
        "the reasoning",
    ),
    (
        "a probability",
        "UPDATE traces SET choice_log_probabilities = x'0000000000000000' WHERE number = 7",
        "trace-changed",
        "the probabilities",
    ),
    (
        "the tokens",
        "UPDATE token_log_probabilities SET encoded = x'00' WHERE rowid = 7",
        "trace-changed",
        "the probabilities",
    ),
    (
        "a date",
        "UPDATE traces SET recorded_at = '2020-01-01T00:00:00Z' WHERE number = 7",
        "trace-changed",
        "the date",
    ),
    (
        "a parameter",
        "UPDATE traces SET parameters = json_set(parameters, '$.seed', 2) WHERE number = 7",
        "trace-changed",
        "the parameters",
    ),
    (
        "a provider",
        "UPDATE receipts SET provider = 'openai' WHERE rowid = 7",
        "trace-changed",
        "the receipt",
    ),
    (
        "a licence",
        "UPDATE receipts SET license = NULL WHERE rowid = 7",
        "trace-changed",
        "the receipt",
    ),
    (
        "an import",
        "UPDATE receipts SET import = '{}' WHERE rowid = 7",
        "trace-changed",
        "the receipt",
    ),
    (
        "a digest",
        "UPDATE receipts SET response_sha256 = 'x' WHERE rowid = 7",
        "trace-changed",
        "the digests",
    ),
    (
        "a receipt that is gone",
        "DELETE FROM receipts WHERE rowid = 7",
        "trace-changed",
        "the receipt",
    ),
    (
        "a prompt",
        "UPDATE prompts SET input = 'another' WHERE rowid = 7",
        "prompt-changed",
        "the text",
    ),
    (
        "a prompt's licence",
        "UPDATE prompts SET license = 'cc0' WHERE rowid = 7",
        "prompt-changed",
        "the licence",
    ),
    (
        "a prompt that is gone",
        "DELETE FROM prompts WHERE rowid = 7",
        "prompt-missing",
        "is gone",
    ),
    (
        "two that are swapped",
        "UPDATE traces SET number = -1 WHERE number = 7; UPDATE traces SET number = 7 WHERE number = 8; UPDATE traces SET number = 8 WHERE number = -1",
        "order",
        "was number 7 and is number 8",
    ),
    (
        "two answers that are swapped",
        "UPDATE traces SET text = CASE number WHEN 5 THEN 'x' ELSE 'positive' END WHERE number IN (5, 6)",
        "trace-changed",
        "the answer",
    ),
    (
        "the last hundred",
        "DELETE FROM traces WHERE number > 30",
        "trace-missing",
        "is gone",
    ),
    (
        "the last records",
        "DROP TRIGGER ledger_leaves_stay; DELETE FROM ledger_leaves WHERE idx > 100",
        "record-missing",
        "the last ones are gone",
    ),
    (
        "a record in the middle",
        "DROP TRIGGER ledger_leaves_stay; DELETE FROM ledger_leaves WHERE idx = 100",
        "tree",
        "record 100 should stand",
    ),
    (
        "one more",
        "INSERT INTO traces SELECT 999, 'more', prompt_id, 9, teacher, parameters, text, reasoning, choice_log_probabilities, finish_reason, prompt_tokens, completion_tokens, mean_log_probability, recorded_at, retracted FROM traces WHERE number = 1",
        "trace-added",
        "trace more",
    ),
    (
        "a prompt more",
        "INSERT INTO prompts SELECT 'more', body, input, phrasing, source, row, license, tags FROM prompts LIMIT 1",
        "prompt-added",
        "prompt more",
    ),
    (
        "an attempt",
        "UPDATE attempts SET waited_ms = 0 WHERE number = 7",
        "attempt-changed",
        "attempts 7 to 7",
    ),
    (
        "an attempt that is gone",
        "DELETE FROM attempts WHERE failure_kind IS NOT NULL",
        "attempt-missing",
        "attempts 131 to 131",
    ),
    (
        "an attempt more",
        "INSERT INTO attempts SELECT 999, prompt_id, trace_id, started_at, waited_ms, latency_ms, failure_kind, failure_message, teacher, endpoint, key_alias, http_status, headers, request_id, prompt_tokens, completion_tokens, cost_nano_usd FROM attempts LIMIT 1",
        "attempt-added",
        "attempt 999",
    ),
    (
        "a verdict",
        "UPDATE verdicts SET keep = 0 WHERE position = 7",
        "verdict-changed",
        "a verdict of curation",
    ),
    (
        "a verdict that is gone",
        "DELETE FROM verdicts WHERE position = 7",
        "verdict-changed",
        "had 130 verdicts and has 129",
    ),
    (
        "a dataset's answer",
        "UPDATE dataset_rows SET answer = '{}' WHERE position = 7",
        "dataset-changed",
        "an input or an answer",
    ),
    (
        "a dataset's trace",
        "UPDATE dataset_traces SET trace_id = (SELECT id FROM traces LIMIT 1) WHERE row = 7",
        "dataset-changed",
        "other traces",
    ),
    (
        "a run",
        "UPDATE runs SET summary = 'null'",
        "run-changed",
        "run 1",
    ),
    (
        "a trigger",
        "DROP TRIGGER ledger_nodes_stay",
        "schema",
        "trigger `ledger_nodes_stay` is missing",
    ),
    (
        "another trigger",
        "CREATE TRIGGER evil AFTER INSERT ON traces BEGIN UPDATE traces SET text = 'x' WHERE number = new.number; END",
        "schema",
        "trigger `evil` is none of limbeck's",
    ),
    (
        "an old checkpoint",
        "INSERT INTO ledger_checkpoints SELECT 999, size, root, note FROM ledger_checkpoints WHERE number = 2",
        "checkpoint",
        "an old one was put in again",
    ),
];

/// Ways to change the ledger itself.
const WAYS_OF_THE_LEDGER: [(&str, &str, &str, &str); 9] = [
    (
        "a record",
        "DROP TRIGGER ledger_leaves_do_not_change; UPDATE ledger_leaves SET record = replace(record, '\"number\":7', '\"number\":8') WHERE kind = 'trace'",
        "record-changed",
        "is not what was hashed",
    ),
    (
        "a record's subject",
        "DROP TRIGGER ledger_leaves_do_not_change; UPDATE ledger_leaves SET subject = 'x' WHERE idx = 5",
        "record-changed",
        "another kind or subject",
    ),
    (
        "a hash of a record",
        "DROP TRIGGER ledger_leaves_do_not_change; UPDATE ledger_leaves SET leaf_hash = zeroblob(32) WHERE idx = 5",
        "tree",
        "over records 4 to 5 is another",
    ),
    (
        "a hash of the tree",
        "DROP TRIGGER ledger_nodes_do_not_change; UPDATE ledger_nodes SET hash = zeroblob(32) WHERE level = 3 AND idx = 1",
        "tree",
        "over records 8 to 15 is another",
    ),
    (
        "a hash of the tree that is gone",
        "DROP TRIGGER ledger_nodes_stay; DELETE FROM ledger_nodes WHERE level = 3 AND idx = 1",
        "tree",
        "over records 8 to 15 is missing",
    ),
    (
        "a salt",
        "UPDATE ledger_leaves SET salt = NULL WHERE kind = 'trace' AND idx = 140",
        "trace-changed",
        "the answer",
    ),
    (
        "all checkpoints",
        "DROP TRIGGER ledger_checkpoints_stay; DELETE FROM ledger_checkpoints",
        "checkpoint",
        "no checkpoint",
    ),
    (
        "the newest checkpoint",
        "DROP TRIGGER ledger_checkpoints_stay; DELETE FROM ledger_checkpoints WHERE number = (SELECT max(number) FROM ledger_checkpoints)",
        "checkpoint",
        "the newest checkpoint covers",
    ),
    (
        "a signature",
        "DROP TRIGGER ledger_checkpoints_do_not_change; UPDATE ledger_checkpoints SET note = substr(note, 1, instr(note, char(10) || char(10)))",
        "checkpoint-signature",
        "is not signed",
    ),
];

#[tokio::test]
async fn every_way_to_tamper_with_it_is_named() {
    let whole = Whole::new().await;
    for (way, sql, code, words) in WAYS.into_iter().chain(WAYS_OF_THE_LEDGER) {
        let copy = whole.copy();
        tamper(&copy.path, sql).await;
        let findings = audit(&copy.path, &whole.held_to_key()).await;
        check(way, &findings, code, words);
    }
}

#[expect(clippy::print_stderr, reason = "what is not tested is to be seen")]
#[tokio::test]
async fn every_way_to_tamper_with_it_through_the_program_is_named() {
    if std::process::Command::new("sqlite3")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("skipped: the program `sqlite3` is not there");
        return;
    }
    let whole = Whole::new().await;
    for (way, sql, code, words) in WAYS.into_iter().chain(WAYS_OF_THE_LEDGER) {
        let copy = whole.copy();
        let status = std::process::Command::new("sqlite3")
            .arg(&copy.path)
            .arg(sql)
            .status()
            .unwrap();
        assert!(status.success(), "{way}");
        let findings = audit(&copy.path, &whole.held_to_key()).await;
        check(way, &findings, code, words);
    }
}
