//! Histories: untouched, forged, put back; and proofs.

use super::*;
use crate::ledger::{verify_consistency, verify_inclusion};

/// Makes a store like one from before there was a ledger.
const FORGET: &str = "DROP TABLE ledger; DROP TABLE ledger_leaves; DROP TABLE ledger_nodes;
    DROP TABLE ledger_checkpoints; DELETE FROM _sqlx_migrations WHERE version = 5";

#[tokio::test]
async fn what_was_adopted_is_signed_as_soon_as_there_is_a_key() {
    let whole = Whole::new().await;
    tamper(&whole.folder.path, FORGET).await;
    for _ in 0..2 {
        let store = Store::open(&whole.folder.path).await.unwrap();
        store
            .sign_checkpoints_with(whole.secret.clone())
            .await
            .unwrap();
        store.close().await;
        let findings = audit(&whole.folder.path, &whole.held_to_key()).await;
        assert_eq!(denied(&findings), Vec::<&Finding>::new());
    }
}

#[tokio::test]
async fn an_untouched_store_passes() {
    let whole = Whole::new().await;
    let findings = audit(&whole.folder.path, &whole.held_to_both()).await;
    assert_eq!(findings, []);
    let findings = audit(&whole.folder.path, &IntegrityOptions::default()).await;
    assert_eq!(denied(&findings), Vec::<&Finding>::new());
    let codes: Vec<_> = findings.iter().map(|finding| &finding.code[..]).collect();
    assert_eq!(codes, ["integrity::cannot-tell"; 2]);
    // Writing on changes nothing of that, under another name of the key as well.
    let store = Store::open(&whole.folder.path).await.unwrap();
    store
        .sign_checkpoints_with(whole.secret.clone())
        .await
        .unwrap();
    store.write_verdicts("curation", &[]).await.unwrap();
    store.record(&[answer(&prompt(3), 7)]).await.unwrap();
    store.close().await;
    let findings = audit(&whole.folder.path, &whole.held_to_both()).await;
    assert_eq!(findings, []);
}

#[tokio::test]
async fn a_ledger_that_was_made_anew_is_found_by_its_key() {
    let whole = Whole::new().await;
    let copy = whole.copy();
    tamper(&copy.path, FORGET).await;
    let forge = "UPDATE traces SET text = 'negative' WHERE number = 7";
    tamper(&copy.path, forge).await;
    let store = Store::open(&copy.path).await.unwrap();
    store.close().await;
    let findings = audit(&copy.path, &whole.held_to_key()).await;
    check(
        "made anew",
        &findings,
        "checkpoint-signature",
        "is not signed",
    );
    let adopted = findings.iter().find(|f| f.code == "integrity::adopted");
    assert!(
        adopted.unwrap().message.contains("264 records"),
        "{adopted:?}"
    );
    let findings = audit(&copy.path, &whole.held_to_both()).await;
    check("made anew", &findings, "not-an-ancestor", "of the log");
    // Who does not care about keys is told what was there before the ledger, and nothing else.
    let findings = audit(&copy.path, &IntegrityOptions::default()).await;
    assert_eq!(denied(&findings), Vec::<&Finding>::new());
}

#[tokio::test]
async fn with_the_key_in_wrong_hands_only_a_checkpoint_from_outside_tells() {
    let whole = Whole::new().await;
    let origin = whole.checkpoint.lines().next().unwrap();
    let forged = folder();
    let store = Store::open(&forged.path).await.unwrap();
    store.close().await;
    tamper(
        &forged.path,
        &format!("UPDATE ledger SET origin = '{origin}'"),
    )
    .await;
    let store = Store::open(&forged.path).await.unwrap();
    store
        .sign_checkpoints_with(whole.secret.clone())
        .await
        .unwrap();
    fill(&store, "negative").await;
    store.close().await;
    let findings = audit(&forged.path, &whole.held_to_key()).await;
    let codes: Vec<_> = findings.iter().map(|f| (&f.code[..], f.level)).collect();
    assert_eq!(codes, [("integrity::cannot-tell", Level::Note)]);
    let findings = audit(&forged.path, &whole.held_to_both()).await;
    check("forged", &findings, "not-an-ancestor", "made anew");
}

#[tokio::test]
async fn a_store_that_was_put_back_is_told_by_a_checkpoint_from_outside() {
    let whole = Whole::new().await;
    let earlier = whole.copy();
    let store = Store::open(&whole.folder.path).await.unwrap();
    store
        .sign_checkpoints_with(whole.secret.clone())
        .await
        .unwrap();
    store.record(&[answer(&prompt(3), 7)]).await.unwrap();
    let later = store.latest_checkpoint().await.unwrap().unwrap();
    store.close().await;
    let options = IntegrityOptions {
        checkpoint: Some(later.note),
        ..whole.held_to_key()
    };
    assert_eq!(audit(&whole.folder.path, &options).await, []);
    let findings = audit(&earlier.path, &options).await;
    check(
        "put back",
        &findings,
        "not-an-ancestor",
        "the last ones are gone",
    );
    let findings = audit(&earlier.path, &whole.held_to_key()).await;
    assert_eq!(denied(&findings), Vec::<&Finding>::new());
}

#[tokio::test]
async fn a_log_of_writes_that_was_edited_is_found() {
    let whole = Whole::new().await;
    let store = Store::open(&whole.folder.path).await.unwrap();
    store
        .sign_checkpoints_with(whole.secret.clone())
        .await
        .unwrap();
    for sample in 7..12 {
        store.record(&[answer(&prompt(3), sample)]).await.unwrap();
    }
    let checkpoint = store.latest_checkpoint().await.unwrap().unwrap().note;
    // Copied while it is open, when the last writes are in the log beside it.
    let copy = whole.copy();
    let log = |path: &Path| path.with_file_name("limbeck.db-wal");
    let mut bytes = std::fs::read(log(&whole.folder.path)).unwrap();
    store.close().await;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(log(&copy.path), bytes).unwrap();
    let options = IntegrityOptions {
        checkpoint: Some(checkpoint),
        ..whole.held_to_key()
    };
    let findings = audit(&copy.path, &options).await;
    check(
        "the log",
        &findings,
        "not-an-ancestor",
        "the last ones are gone",
    );
}

#[tokio::test]
async fn other_keys_and_checkpoints_are_not_taken() {
    let whole = Whole::new().await;
    let other = Whole::new().await;
    let path = &whole.folder.path;
    let findings = audit(path, &other.held_to_key()).await;
    check(
        "key",
        &findings,
        "checkpoint-signature",
        "not signed by a given key",
    );
    let mut options = whole.held_to_key();
    for (text, code, words) in [
        (other.checkpoint.clone(), "not-an-ancestor", "of the log"),
        (other.checkpoint, "checkpoint-signature", "given checkpoint"),
        ("nothing".to_owned(), "checkpoint", "not readable"),
    ] {
        options.checkpoint = Some(text);
        check("checkpoint", &audit(path, &options).await, code, words);
    }
}

#[tokio::test]
async fn records_and_history_are_proven() {
    let whole = Whole::new().await;
    let store = Store::open_read_only(&whole.folder.path).await.unwrap();
    for answered in &whole.answers {
        let id = answered.key.id();
        let found = store.prove_inclusion("trace", &id).await.unwrap().unwrap();
        let (index, size) = (found.index, found.size);
        verify_inclusion(&found.leaf, index, size, &found.proof, &found.root).unwrap();
    }
    assert!(store.prove_inclusion("trace", "x").await.unwrap().is_none());
    let size = store.ledger_size().await.unwrap();
    let mut connection = connect(&whole.folder.path).await;
    let checkpoints: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT size, root FROM ledger_checkpoints ORDER BY number")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(checkpoints.len(), 9);
    let newest: [u8; 32] = checkpoints[8].1.clone().try_into().unwrap();
    for (old, root) in checkpoints {
        let proof = store.prove_consistency(old as u64, size).await.unwrap();
        let root = root.try_into().unwrap();
        verify_consistency(old as u64, size, &proof, &root, &newest).unwrap();
    }
    assert!(store.prove_consistency(3, size + 1).await.is_err());
}

#[tokio::test]
async fn a_store_without_its_ledger_is_none_that_anything_is_proven_of() {
    let whole = Whole::new().await;
    let copy = whole.copy();
    let forget = "DROP TRIGGER ledger_leaves_stay; DELETE FROM ledger_leaves; DELETE FROM ledger";
    tamper(&copy.path, forget).await;
    let findings = audit(&copy.path, &whole.held_to_key()).await;
    check("no ledger", &findings, "no-ledger", "no ledger");
}
