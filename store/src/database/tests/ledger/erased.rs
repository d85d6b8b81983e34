//! A payload that was taken out leaves every proof as it was.

use super::*;
use crate::ledger::verify_inclusion;

/// Whether any file of the store holds these bytes.
fn holds(path: &Path, text: &str) -> bool {
    let folder = path.parent().unwrap();
    std::fs::read_dir(folder).unwrap().any(|file| {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        bytes.windows(text.len()).any(|w| w == text.as_bytes())
    })
}

#[tokio::test]
async fn what_was_erased_is_gone_and_everything_is_still_proven() {
    let mut whole = Whole::new().await;
    let store = Store::open(&whole.folder.path).await.unwrap();
    store
        .sign_checkpoints_with(whole.secret.clone())
        .await
        .unwrap();
    let mut said = answer(&prompt(3), 7);
    said.trace.text = "call me at 555 0100".to_owned();
    store.record(std::slice::from_ref(&said)).await.unwrap();
    whole.checkpoint = store.latest_checkpoint().await.unwrap().unwrap().note;
    let id = said.key.id();
    let before = store.prove_inclusion("trace", &id).await.unwrap().unwrap();

    let erasure = store.erase_trace(&id[..12], "asked for it").await.unwrap();
    assert_eq!(erasure.trace, id);
    assert_eq!((erasure.prompt, erasure.other_answers), (None, 1));
    let fifth = whole.answers[4].key.id();
    let erasure = store.erase_trace(&fifth, "asked for it").await.unwrap();
    assert_eq!(
        erasure.prompt.as_ref(),
        Some(&whole.answers[4].key.prompt_id)
    );
    assert_eq!(erasure.datasets.len(), 1);

    let after = store.prove_inclusion("trace", &id).await.unwrap().unwrap();
    assert_eq!(after.leaf, before.leaf);
    let (index, size) = (after.index, after.size);
    verify_inclusion(&after.leaf, index, size, &after.proof, &after.root).unwrap();
    let trace = store.trace(&fifth).await.unwrap();
    assert_eq!(trace.record.text, "[erased]");
    assert_eq!(trace.record.prompt.input, "");
    assert_eq!(store.erased_traces().await.unwrap().len(), 2);
    assert!(store.dataset(&erasure.datasets[0]).await.unwrap().is_some());
    let reason = &store.ledger_entries("erasure").await.unwrap()[0].record;
    assert_eq!(reason["reason"], "asked for it");
    assert!(reason["at"].is_string());
    assert!(!holds(&whole.folder.path, "555 0100"));
    assert!(!holds(&whole.folder.path, "text 5\\nSentiment"));
    assert!(holds(&whole.folder.path, "text 6\\nSentiment"));
    store.close().await;
    assert!(!holds(&whole.folder.path, "555 0100"));
    assert_eq!(audit(&whole.folder.path, &whole.held_to_both()).await, []);

    // Prompts that are brought up to date and questions that are asked again change nothing of that.
    let store = Store::open(&whole.folder.path).await.unwrap();
    store
        .sign_checkpoints_with(whole.secret.clone())
        .await
        .unwrap();
    store.add_prompts(&[prompt(5)]).await.unwrap();
    store.record(&whole.answers[4..5]).await.unwrap();
    assert_eq!(store.trace(&fifth).await.unwrap().record.text, "[erased]");
    store.close().await;
    assert_eq!(audit(&whole.folder.path, &whole.held_to_both()).await, []);
}

#[tokio::test]
async fn nobody_erases_without_the_ledger_and_nothing_comes_back() {
    let whole = Whole::new().await;
    let store = Store::open(&whole.folder.path).await.unwrap();
    store
        .sign_checkpoints_with(whole.secret.clone())
        .await
        .unwrap();
    let id = whole.answers[4].key.id();
    store.erase_trace(&id, "asked for it").await.unwrap();
    store.close().await;
    for (sql, code) in [
        (
            "UPDATE traces SET text = 'negative' WHERE number = 5",
            "trace-changed",
        ),
        (
            "UPDATE prompts SET input = 'back' WHERE rowid = 5",
            "prompt-changed",
        ),
        (
            "UPDATE traces SET text = '[erased]' WHERE number = 6",
            "trace-changed",
        ),
        (
            "UPDATE ledger_leaves SET salt = NULL WHERE kind = 'dataset'; DELETE FROM dataset_rows WHERE position = 9",
            "dataset-changed",
        ),
    ] {
        let copy = whole.copy();
        tamper(&copy.path, sql).await;
        check(
            sql,
            &audit(&copy.path, &whole.held_to_key()).await,
            code,
            "",
        );
    }
    let unknown = Store::open(&whole.folder.path).await.unwrap();
    let error = unknown.erase_trace("ffff", "why").await.unwrap_err();
    assert!(
        matches!(error, StoreError::UnknownTrace { .. }),
        "{error:?}"
    );
}
