//! What is written reads back, once and whole.

use super::*;
use crate::curate::{DatasetRow, RowAnswer, Verdict};

#[tokio::test]
async fn what_is_recorded_reads_back() {
    let folder = folder();
    let (store, answers) = filled(&folder.path, 3).await;
    let id = answers[1].key.id();
    let detail = store.trace(&id[..10]).await.unwrap();
    let record = &detail.record;
    assert_eq!(record.id, id);
    assert_eq!(record.key, answers[1].key);
    assert_eq!(record.key.id(), id);
    assert_eq!(record.prompt, prompt(2));
    assert_eq!(record.text, "positive");
    assert_eq!(record.reasoning.as_deref(), Some("it says so"));
    assert_eq!(
        record.choice_log_probabilities,
        Some(vec![-0.125, f32::NEG_INFINITY])
    );
    assert_eq!(record.finish_reason, FinishReason::Choice);
    assert_eq!((record.prompt_tokens, record.completion_tokens), (20, 2));
    // Of a choice the tokens are those of an answer as it was drawn, which may be another.
    assert_eq!(record.mean_log_probability, None);
    assert_eq!(detail.receipt, answers[1].receipt);
    assert_eq!(detail.attempts, answers[1].attempts);
    assert_eq!(detail.verdicts, []);
    // These log-probabilities are whole numbers of 1/4096, so nothing is lost.
    let tokens = store.token_log_probabilities(&id).await.unwrap();
    assert_eq!(tokens.as_ref(), Some(&answers[1].trace.tokens));
}

#[tokio::test]
async fn nothing_is_kept_twice() {
    let folder = folder();
    let (store, mut answers) = filled(&folder.path, 3).await;
    assert_eq!(store.add_prompts(&[prompt(3), prompt(4)]).await.unwrap(), 1);
    answers[0].trace.text = "negative".to_owned();
    answers.push(answer(&prompt(4), 0));
    store.record(&answers).await.unwrap();
    let records = store.traces(&ids(&answers)).await.unwrap();
    assert_eq!(records.len(), 4);
    assert_eq!(records[0].text, "positive", "the first answer stays");
    let attempts = store.attempts(&records[0].id).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!(store.count_prompts().await.unwrap(), 4);
    assert_eq!(store.count_traces().await.unwrap(), 4);
}

#[tokio::test]
async fn prompts_are_read_in_the_order_in_which_they_are_asked_for() {
    let folder = folder();
    let store = Store::open(&folder.path).await.unwrap();
    let prompts: Vec<Prompt> = (1..=1200).map(prompt).collect();
    store.add_prompts(&prompts).await.unwrap();
    let backwards: Vec<Prompt> = prompts.into_iter().rev().collect();
    let mut ids: Vec<String> = backwards.iter().map(|prompt| prompt.id.clone()).collect();
    assert_eq!(store.prompts(&ids).await.unwrap(), backwards);
    ids.push("00".repeat(32));
    let error = store.prompts(&ids).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn what_describes_a_prompt_is_brought_up_to_date() {
    let folder = folder();
    let (store, answers) = filled(&folder.path, 1).await;
    let mut renamed = prompt(1);
    renamed.phrasing = "plain".to_owned();
    renamed.row = 12;
    renamed.license = None;
    assert_eq!(
        store
            .add_prompts(std::slice::from_ref(&renamed))
            .await
            .unwrap(),
        0
    );
    let records = store.traces(&ids(&answers)).await.unwrap();
    assert_eq!(records[0].prompt, renamed);
}

#[tokio::test]
async fn traces_come_in_the_order_asked_in_any_number() {
    let folder = folder();
    let count = 2 * IDS_PER_STATEMENT as u64 + 7;
    let (store, answers) = filled(&folder.path, count).await;
    let mut wanted = ids(&answers);
    wanted.reverse();
    wanted.swap(3, 900);
    let records = store.traces(&wanted).await.unwrap();
    let found: Vec<_> = records.into_iter().map(|record| record.id).collect();
    assert_eq!(found, wanted);
    wanted.insert(1, "no such id".to_owned());
    assert_eq!(store.traces(&wanted).await.unwrap().len(), found.len());

    let mut asked = ids(&answers);
    asked.extend((1..=count).map(|n| answer(&prompt(n), 1).key.id()));
    let answered = store.answered(&asked).await.unwrap();
    assert_eq!(answered, ids(&answers).into_iter().collect());
}

#[tokio::test]
async fn a_batch_is_kept_whole_or_not_at_all() {
    let folder = folder();
    let (store, _) = filled(&folder.path, 1).await;
    // The prompt of the second was never added.
    let batch = [answer(&prompt(1), 1), answer(&prompt(9), 0)];
    let error = store.record(&batch).await.unwrap_err();
    assert!(
        matches!(error, StoreError::UnknownReference { .. }),
        "{error:?}"
    );
    assert_eq!(store.count_traces().await.unwrap(), 1);
    assert_eq!(store.attempts(&batch[0].key.id()).await.unwrap(), []);

    let mut lame = answer(&prompt(1), 1);
    lame.trace.choice_log_probabilities = Some(vec![0.0]);
    let error = store.record(&[lame]).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("1 log-probabilities for 2 choices"),
        "{error}"
    );
    store.record(&batch[..1]).await.unwrap();
    assert_eq!(store.count_traces().await.unwrap(), 2);
}

#[tokio::test]
async fn failed_tries_are_kept_beside_the_one_that_succeeded() {
    let folder = folder();
    let (store, _) = filled(&folder.path, 1).await;
    let mut answered = answer(&prompt(1), 1);
    let mut failed = answered.attempts[0].clone();
    failed.status = AttemptStatus::Failed {
        kind: "timeout".to_owned(),
        message: "no answer within 30 s".to_owned(),
    };
    store
        .record_failures(std::slice::from_ref(&failed))
        .await
        .unwrap();
    answered.attempts.insert(0, failed.clone());
    store.record(std::slice::from_ref(&answered)).await.unwrap();
    let attempts = store.attempts(&answered.key.id()).await.unwrap();
    assert_eq!(
        attempts,
        [failed.clone(), failed, answered.attempts[1].clone()]
    );
}

#[tokio::test]
async fn a_count_that_no_column_can_hold_spoils_no_attempt() {
    let folder = folder();
    let (store, _) = filled(&folder.path, 1).await;
    let mut failed = answer(&prompt(1), 1).attempts[0].clone();
    failed.trace_id = "0".repeat(64);
    failed.latency_ms = u64::MAX;
    store
        .record_failures(std::slice::from_ref(&failed))
        .await
        .unwrap();
    failed.latency_ms = i64::MAX as u64;
    assert_eq!(store.attempts(&failed.trace_id).await.unwrap(), [failed]);
}

#[tokio::test]
async fn verdicts_are_replaced_and_the_newest_curation_counts() {
    let folder = folder();
    let (store, answers) = filled(&folder.path, 3).await;
    let ids = ids(&answers);
    let verdict = |trace: usize, check: &str, keep| Verdict {
        trace_id: ids[trace].clone(),
        check: check.to_owned(),
        keep,
        value: Some(0.25),
        reason: "because".to_owned(),
    };
    let first = [verdict(0, "length", false), verdict(1, "length", true)];
    store.write_verdicts("one", &first).await.unwrap();
    let second = [
        verdict(0, "length", true),
        verdict(1, "length", true),
        verdict(1, "duplicates", false),
    ];
    store.write_verdicts("two", &second).await.unwrap();
    assert_eq!(store.verdicts("one").await.unwrap(), first);
    assert_eq!(store.verdicts("two").await.unwrap(), second);
    assert_eq!(store.verdicts("three").await.unwrap(), []);
    assert_eq!(store.trace(&ids[1]).await.unwrap().verdicts, second[1..]);

    let list = async |verdict| {
        let filter = TraceFilter {
            verdict,
            ..TraceFilter::default()
        };
        let rows = store.list_traces(&filter).await.unwrap();
        rows.into_iter()
            .map(|row| (row.id, row.verdict))
            .collect::<Vec<_>>()
    };
    let kept = (ids[0].clone(), VerdictFilter::Kept);
    let dropped = (ids[1].clone(), VerdictFilter::Dropped);
    let unjudged = (ids[2].clone(), VerdictFilter::Unjudged);
    let all = [kept, dropped, unjudged];
    assert_eq!(list(Some(VerdictFilter::Kept)).await, all[..1]);
    assert_eq!(list(Some(VerdictFilter::Dropped)).await, all[1..2]);
    assert_eq!(list(Some(VerdictFilter::Unjudged)).await, all[2..]);
    assert_eq!(list(None).await, all);

    // Written again, the first one is the newest.
    store.write_verdicts("one", &first).await.unwrap();
    assert_eq!(list(Some(VerdictFilter::Kept)).await[0].0, ids[1]);
    assert_eq!(store.verdicts("one").await.unwrap(), first);
}

#[tokio::test]
async fn lists_are_paged_and_filtered_by_teacher() {
    let folder = folder();
    let (store, answers) = filled(&folder.path, 5).await;
    let mut other = answer(&prompt(1), 0);
    other.key.teacher = "other".to_owned();
    store.record(std::slice::from_ref(&other)).await.unwrap();
    let list = async |limit, offset, teacher: Option<&str>| {
        let filter = TraceFilter {
            limit,
            offset,
            teacher: teacher.map(str::to_owned),
            verdict: None,
        };
        let rows = store.list_traces(&filter).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(list(Some(2), 1, None).await, ids(&answers)[1..3]);
    assert_eq!(list(None, 3, None).await.len(), 3);
    assert_eq!(list(None, 0, Some("other")).await, [other.key.id()]);
    assert_eq!(list(Some(9), 0, Some("nobody")).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_trace_is_found_by_the_beginning_of_its_id() {
    let folder = folder();
    let (store, answers) = filled(&folder.path, 40).await;
    let id = answers[0].key.id();
    assert_eq!(store.trace(&id.to_uppercase()).await.unwrap().record.id, id);
    // Of forty ids, two begin with the same digit.
    let error = store.trace("").await.unwrap_err();
    assert!(
        matches!(error, StoreError::AmbiguousTrace { .. }),
        "{error:?}"
    );
    for unknown in ["zz", "%", "' OR 1"] {
        let error = store.trace(unknown).await.unwrap_err();
        assert!(
            matches!(error, StoreError::UnknownTrace { .. }),
            "{error:?}"
        );
    }
    assert_eq!(store.receipt("zz").await.unwrap(), None);
    assert_eq!(store.token_log_probabilities("zz").await.unwrap(), None);
}

#[tokio::test]
async fn datasets_read_back_in_order() {
    let folder = folder();
    let (store, answers) = filled(&folder.path, 12).await;
    let ids = ids(&answers);
    let row = |traces: &[String], answer| DatasetRow {
        item: "item".to_owned(),
        input: "input".to_owned(),
        answer,
        trace_ids: traces.to_vec(),
    };
    let text = RowAnswer::Text {
        text: "Once.".to_owned(),
        repaired: true,
        redacted: false,
    };
    let labels = RowAnswer::Labels {
        choices: vec!["yes".to_owned(), "no".to_owned()],
        probabilities: vec![0.75, 0.25],
    };
    let rows = vec![row(&ids[..1], text), row(&ids[1..], labels.clone())];
    let dataset = Dataset::new("train", rows);
    store.write_dataset(&dataset).await.unwrap();
    assert_eq!(
        store.dataset(&dataset.id).await.unwrap(),
        Some(dataset.clone())
    );
    // The same traces with another answer are the same dataset, and the last word counts.
    let mut again = dataset.clone();
    again.rows[0].answer = labels;
    store.write_dataset(&again).await.unwrap();
    assert_eq!(store.dataset(&again.id).await.unwrap(), Some(again));
    assert_eq!(store.dataset("none").await.unwrap(), None);
}

#[tokio::test]
async fn runs_read_back() {
    let folder = folder();
    let store = Store::open(&folder.path).await.unwrap();
    let id = store.start_run("train", "abc", "recipe").await.unwrap();
    assert_eq!(store.runs().await.unwrap()[0].status, RunStatus::Running);
    let summary = serde_json::json!({"steps": 3});
    store
        .finish_run(id, RunStatus::Finished, &summary)
        .await
        .unwrap();
    let runs = store.runs().await.unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].status, RunStatus::Finished);
    assert_eq!(runs[0].summary, Some(summary));
    assert!(runs[0].finished_at.as_ref().unwrap() >= &runs[0].started_at);
}
