//! Imports and exports.

use std::collections::BTreeMap;

use futures::TryStreamExt;

use super::*;
use crate::audit::{IntegrityOptions, Level};
use crate::curate::Verdict;

fn imported(number: u64, text: &str, repeats: u32) -> Imported {
    let prompt = prompt(number);
    let answered = answer(&prompt, 0);
    let grounds = BTreeMap::from([("provider".to_owned(), Ground::Declared)]);
    Imported::Answer(Box::new(ImportedAnswer {
        teacher: "someone|some-model|import".to_owned(),
        parameters: SamplingParameters::choose(Vec::new()),
        trace: Trace {
            text: text.to_owned(),
            choice_log_probabilities: None,
            finish_reason: FinishReason::Stop,
            ..answered.trace
        },
        receipt: Receipt {
            route: "import".to_owned(),
            import: Some(Box::new(ImportReceipt {
                source: "elsewhere".to_owned(),
                format: "messages".to_owned(),
                file: "rows.jsonl".to_owned(),
                file_sha256: "f".to_owned(),
                row: number,
                row_id: None,
                grounds,
            })),
            ..answered.receipt
        },
        prompt,
        repeats,
    }))
}

fn failure(number: u64, message: &str) -> Imported {
    let prompt = prompt(number);
    let attempt = Attempt {
        status: AttemptStatus::Failed {
            kind: "policy".to_owned(),
            message: message.to_owned(),
        },
        ..answer(&prompt, 0).attempts.remove(0)
    };
    Imported::Failure(Box::new(ImportedFailure { prompt, attempt }))
}

async fn exported(store: &Store, verdict: Option<VerdictFilter>) -> Vec<ExportedTrace> {
    store.export_traces(verdict).try_collect().await.unwrap()
}

#[tokio::test]
async fn importing_again_doubles_nothing_and_repeats_are_kept() {
    let folder = folder();
    let store = Store::open(&folder.path).await.unwrap();
    let rows = [
        imported(1, "yes", 0),
        imported(1, "no", 0),
        imported(1, "yes", 1),
        imported(2, "yes", 0),
        failure(3, "a filter refused it"),
    ];
    let first = store.import(&rows).await.unwrap();
    let expected = ImportCounts {
        prompts: 3,
        answers: 4,
        failures: 1,
        ..ImportCounts::default()
    };
    assert_eq!(first.counts, expected);
    let again = store.import(&rows).await.unwrap();
    let expected = ImportCounts {
        known_answers: 4,
        known_failures: 1,
        ..ImportCounts::default()
    };
    assert_eq!(again.counts, expected);
    let found = exported(&store, None).await;
    let texts: Vec<_> = found
        .iter()
        .map(|trace| (trace.record.key.sample, trace.record.text.as_str()))
        .collect();
    assert_eq!(texts, [(0, "yes"), (1, "no"), (2, "yes"), (0, "yes")]);
    let failures = store.failures(&FailureFilter::default()).await.unwrap();
    assert_eq!(failures.len(), 1);

    assert_eq!(
        again.traces, first.traces,
        "a known answer is named as when it was new"
    );
    let of_rows = store.traces(&first.traces).await.unwrap();
    let texts: Vec<_> = of_rows.iter().map(|trace| trace.text.as_str()).collect();
    assert_eq!(texts, ["yes", "no", "yes", "yes"]);
    let different: std::collections::BTreeSet<_> = first.traces.iter().collect();
    assert_eq!(different.len(), 4, "the same answer twice is two");
}

#[tokio::test]
async fn a_receipt_says_what_it_rests_on() {
    let folder = folder();
    let store = Store::open(&folder.path).await.unwrap();
    let row = imported(1, "yes", 0);
    store.import(std::slice::from_ref(&row)).await.unwrap();
    let Imported::Answer(answer) = row else {
        panic!("an answer");
    };
    let found = exported(&store, None).await;
    assert_eq!(found[0].receipt, answer.receipt);
    let detail = store.trace(&found[0].record.id).await.unwrap();
    assert_eq!(detail.receipt, answer.receipt);
    assert_eq!(detail.record, found[0].record);
}

#[tokio::test]
async fn a_batch_is_imported_whole_or_not_at_all() {
    let folder = folder();
    let store = Store::open(&folder.path).await.unwrap();
    let Imported::Failure(mut broken) = failure(2, "x") else {
        panic!("a failure");
    };
    broken.attempt.status = AttemptStatus::Answered;
    let rows = [imported(1, "yes", 0), Imported::Failure(broken)];
    let error = store.import(&rows).await.unwrap_err();
    assert!(
        matches!(error, StoreError::InvalidAnswer { .. }),
        "{error:?}"
    );
    assert_eq!(store.count_traces().await.unwrap(), 0);
    assert_eq!(store.count_prompts().await.unwrap(), 0);
}

#[tokio::test]
async fn a_prompt_that_is_there_keeps_its_description() {
    let folder = folder();
    let (store, _) = filled(&folder.path, 1).await;
    let mut row = imported(1, "yes", 0);
    if let Imported::Answer(answer) = &mut row {
        answer.prompt.source = "elsewhere".to_owned();
    }
    store.import(&[row]).await.unwrap();
    let found = exported(&store, None).await;
    assert_eq!(found.len(), 2, "another teacher's answer stays beside it");
    assert!(found.iter().all(|t| t.record.prompt.source == "rows.csv"));
}

#[tokio::test]
async fn verdicts_are_exported_in_their_order_and_filter() {
    let folder = folder();
    let (store, answers) = filled(&folder.path, 3).await;
    let ids = ids(&answers);
    let verdict = |trace: usize, check: &str, keep| Verdict {
        trace_id: ids[trace].clone(),
        check: check.to_owned(),
        keep,
        value: keep.then_some(0.1),
        reason: format!("the \"{check}\" says so"),
    };
    let of_old = [verdict(2, "length", false)];
    store.write_verdicts("old", &of_old).await.unwrap();
    let verdicts = [
        verdict(0, "length", true),
        verdict(0, "confidence", true),
        verdict(1, "length", true),
        verdict(1, "confidence", false),
    ];
    store.write_verdicts("new", &verdicts).await.unwrap();
    let all = exported(&store, None).await;
    assert_eq!(all[0].verdicts, verdicts[..2]);
    assert_eq!(all[1].verdicts, verdicts[2..]);
    assert_eq!(
        [all[0].kept, all[1].kept, all[2].kept],
        [Some(true), Some(false), None]
    );
    assert_eq!(all[2].verdicts, []);
    let kept = exported(&store, Some(VerdictFilter::Kept)).await;
    let dropped = exported(&store, Some(VerdictFilter::Dropped)).await;
    assert_eq!((&kept[..], &dropped[..]), (&all[..1], &all[1..2]));
}

#[tokio::test]
async fn what_was_erased_does_not_come_back_with_its_file() {
    let folder = folder();
    let store = Store::open(&folder.path).await.unwrap();
    let rows = [
        imported(1, "one", 0),
        imported(2, "two", 0),
        imported(2, "same", 0),
        imported(2, "same", 1),
    ];
    let place = |mut row: Imported, number: u64| {
        if let Imported::Answer(answer) = &mut row {
            answer.receipt.import.as_mut().unwrap().row = number;
        }
        row
    };
    let rows: Vec<Imported> = rows
        .into_iter()
        .zip(1..)
        .map(|(row, n)| place(row, n))
        .collect();
    let ids = store.import(&rows).await.unwrap().traces;
    // The first with its question; of the others one of two that say the same.
    store.erase_trace(&ids[0], "asked").await.unwrap();
    store.erase_trace(&ids[2], "asked").await.unwrap();
    for _ in 0..2 {
        let outcome = store.import(&rows).await.unwrap();
        assert_eq!(outcome.erased, [0, 2]);
        assert_eq!(outcome.traces, [ids[1].clone(), ids[3].clone()]);
        let expected = ImportCounts {
            erased: 2,
            known_answers: 2,
            ..ImportCounts::default()
        };
        assert_eq!(outcome.counts, expected);
    }
    // Another file with the question that is gone: neither its answers nor its failures.
    let mut elsewhere = place(imported(1, "another", 0), 9);
    if let Imported::Answer(answer) = &mut elsewhere {
        answer.receipt.import.as_mut().unwrap().file_sha256 = "e".to_owned();
    }
    let outcome = store.import(&[elsewhere, failure(1, "no")]).await.unwrap();
    assert_eq!((outcome.counts.erased, outcome.traces.len()), (2, 0));
    // A file that was edited, by what its rows call themselves.
    let named = |file: &str, text: &str| {
        let mut row = place(imported(3, text, 0), 1);
        if let Imported::Answer(answer) = &mut row {
            let import = answer.receipt.import.as_mut().unwrap();
            import.file_sha256 = file.to_owned();
            import.row_id = Some("r-7".to_owned());
        }
        row
    };
    let kept = store
        .import(&[place(imported(3, "kept", 0), 30), named("g", "gone")])
        .await
        .unwrap();
    store.erase_trace(&kept.traces[1], "asked").await.unwrap();
    let outcome = store.import(&[named("h", "gone")]).await.unwrap();
    assert_eq!((outcome.counts.erased, outcome.counts.answers), (1, 0));
    assert!(
        store
            .audit_integrity(&IntegrityOptions::default())
            .await
            .unwrap()
            .iter()
            .all(|f| f.level < Level::Deny)
    );
}
