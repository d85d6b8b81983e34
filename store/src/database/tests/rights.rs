//! Where answers and prompts came from, as the audits read it.

use jiff::civil::Date;

use super::*;
use crate::audit::Licensed;
use crate::terms::Collected;

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
    };
    assert_eq!(prompts, [rows]);
}
