//! Where answers and prompts came from, as the audits read it.

use jiff::civil::Date;

use super::*;
use crate::audit::Licensed;
use crate::terms::{Collected, Registry};

#[tokio::test]
async fn answers_are_counted_by_the_way_they_came_and_the_day() {
    let folder = folder();
    let (store, answers) = filled(&folder.path, 3).await;
    let mut elsewhere = answer(&prompt(1), 1);
    elsewhere.receipt.provider = "openai".to_owned();
    elsewhere.receipt.route = "api".to_owned();
    elsewhere.receipt.license = None;
    elsewhere.receipt.service = Some(Box::new(ServiceReceipt {
        endpoint: "api.openai.com/v1/chat/completions".to_owned(),
        plan: Some("tier-1".to_owned()),
        region: Some("eu".to_owned()),
        ..ServiceReceipt::default()
    }));
    store
        .record(std::slice::from_ref(&elsewhere))
        .await
        .unwrap();
    let today: Date = now()[..10].parse().unwrap();

    let origins = store.terms_origins().await.unwrap();
    assert_eq!(origins.len(), 2);
    assert_eq!(origins[0].answers, answers.len() as u64);
    assert_eq!(origins[0].license.as_deref(), Some("apache-2.0"));
    assert_eq!(origins[0].collected, Collected::On(today));
    assert_eq!(origins[1].answers, 1);
    assert_eq!(origins[1].plan.as_deref(), Some("tier-1"));
    assert_eq!(origins[1].region.as_deref(), Some("eu"));
    let prompts = store.prompt_licenses().await.unwrap();
    let rows = Licensed {
        name: "rows.csv".to_owned(),
        license: Some("mit".to_owned()),
        clarified: None,
    };
    assert_eq!(prompts, [rows]);
}

#[tokio::test]
async fn receipts_tell_the_terms_of_their_day_once_somebody_says_which_there_are() {
    let folder = folder();
    let (store, before) = filled(&folder.path, 1).await;
    store.tell_terms(Registry::embedded().unwrap(), Vec::new());
    let mut known = answer(&prompt(1), 1);
    known.receipt.provider = "openai".to_owned();
    known.receipt.route = "api".to_owned();
    let mut unknown = answer(&prompt(1), 2);
    unknown.receipt.provider = "nobody".to_owned();
    unknown.receipt.route = "api".to_owned();
    store
        .record(&[known.clone(), unknown.clone()])
        .await
        .unwrap();

    let told = |answered: &Answered| {
        let (store, id) = (store.clone(), answered.key.id());
        async move { store.receipt(&id).await.unwrap().unwrap().terms }
    };
    assert_eq!(told(&before[0]).await, None, "as it was");
    let terms = told(&known).await.unwrap();
    let registry = Registry::embedded().unwrap();
    assert_eq!(terms.len(), 1);
    assert_eq!(
        registry.record(&terms[0].id).unwrap().digest(),
        terms[0].sha256
    );
    assert!(terms[0].id.starts_with("openai-api-"), "{terms:?}");
    assert_eq!(told(&unknown).await, Some(Vec::new()), "there is no record");

    let origins = store.terms_origins().await.unwrap();
    let recorded: Vec<_> = origins
        .iter()
        .map(|origin| origin.recorded.clone())
        .collect();
    assert_eq!(recorded, [None, Some(terms), Some(Vec::new())]);
}

#[tokio::test]
async fn each_field_of_a_receipt_says_what_it_rests_on() {
    let mut answered = answer(&prompt(1), 0);
    let ground = |answered: &Answered, field: &str| {
        let fields = answered.receipt.fields();
        let found = fields.iter().find(|(name, ..)| *name == field);
        found.map(|(_, _, ground)| *ground)
    };
    assert_eq!(ground(&answered, "route"), Some(Ground::Observed));
    assert_eq!(ground(&answered, "plan"), None);
    answered.receipt.service = Some(Box::new(ServiceReceipt {
        endpoint: "api.example.com/v1".to_owned(),
        retention: Some("30 days".to_owned()),
        answered_model: Some("m-2026".to_owned()),
        ..ServiceReceipt::default()
    }));
    for (field, expected) in [
        ("model", Ground::Declared),
        ("route", Ground::Declared),
        ("retention", Ground::Declared),
        ("answered_model", Ground::Observed),
        ("endpoint", Ground::Observed),
        ("request_sha256", Ground::Computed),
    ] {
        assert_eq!(ground(&answered, field), Some(expected), "{field}");
    }
    // Of an answer from elsewhere nothing was seen here.
    answered.receipt.import = Some(Box::new(ImportReceipt {
        source: "elsewhere".to_owned(),
        format: "openai-batch".to_owned(),
        file: "rows.jsonl".to_owned(),
        file_sha256: "f".to_owned(),
        row: 1,
        row_id: None,
        grounds: [("model", Ground::Stated), ("service", Ground::Stated)]
            .map(|(field, ground)| (field.to_owned(), ground))
            .into(),
    }));
    assert_eq!(ground(&answered, "model"), Some(Ground::Stated));
    assert_eq!(ground(&answered, "answered_model"), Some(Ground::Stated));
    assert_eq!(ground(&answered, "license"), Some(Ground::Unknown));
}
