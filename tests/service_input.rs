//! What cannot be asked of a service is said before anything is sent.

use serde_json::json;

use crate::support::service::{good, with_key};
use crate::support::{Project, Service};

/// Runs the harvest of a project that `change` spoilt; the error holds each of `texts`, and nothing was sent.
fn assert_refused<const N: usize>(change: impl Fn(&Project), texts: [&str; N]) {
    let service = Service::start(good);
    let project = service.project(4);
    change(&project);
    with_key(&project, "harvest").run().fails_saying(texts);
    assert!(service.seen().is_empty(), "a request was sent: {texts:?}");
}

fn edited<'a>(from: &'a str, to: &'a str) -> impl Fn(&Project) + 'a {
    move |project| {
        project.edit(from, to);
    }
}

#[test]
fn a_recipe_that_no_service_can_be_asked_by_sends_nothing() {
    assert_refused(
        edited("\"openai\"", "\"opanai\""),
        ["unknown provider `opanai`", "did you mean `openai`?"],
    );
    assert_refused(
        edited("concurrent = 8", "concurrent = 8, requests_per_minute = 0"),
        ["`requests_per_minute` is 0"],
    );
    assert_refused(
        edited("concurrent = 8", "concurrent = 8, spend_usd = 0.00001"),
        ["`spend_usd` is 0.00001"],
    );
    assert_refused(edited("{{ text }}", "{{ text"), ["recipe.toml:"]);
    assert_refused(
        edited("{{ text }}", "{{ txt }}"),
        ["prompts.jsonl", "`txt`"],
    );
    assert_refused(
        edited(
            "max_tokens = 20",
            "max_tokens = 20, json_schema = { type = \"nonsense\" }",
        ),
        ["schema"],
    );
}

#[test]
fn a_key_that_is_missing_or_no_key_is_named_with_its_variable() {
    let service = Service::start(good);
    let project = service.project(4);
    let mut harvest = project.stage("harvest");
    harvest.command().env_remove("LIMBECK_TEST_KEY");
    harvest
        .run()
        .fails_saying(["`LIMBECK_TEST_KEY` is not set", "export LIMBECK_TEST_KEY="]);
    for broken in ["sk-first\nsecond", "sk-sécret"] {
        let harvest = project.stage("harvest").env("LIMBECK_TEST_KEY", broken);
        let failed = harvest.run();
        assert!(!failed.stderr.contains("cret") && !failed.stderr.contains("second"));
        failed.fails_saying(["`LIMBECK_TEST_KEY` holds no key", "copy the key again"]);
    }
    assert!(service.seen().is_empty());
}

#[test]
fn rows_that_are_not_asked_about_are_told() {
    let service = Service::start(good);
    let project = service.project(0);
    let texts = ["question 1", "question 2", "Question 1!", "", " "];
    let rows = texts.map(|text| json!({"text": text}));
    project.rows("prompts.jsonl", &rows);
    let harvest = with_key(&project, "harvest").run().succeeds();
    let told = "1 row of `prompts.jsonl` has the same text for the student as another, and 2 rows of `prompts.jsonl` \
                have an empty text; they are left out.";
    harvest.says([told]);
    assert_eq!(service.count(), 2);
    let report = project.report();
    assert!(
        report["notes"].to_string().contains(&told[..40]),
        "{report}"
    );
}

#[test]
fn prompts_with_an_unknown_role_send_nothing() {
    assert_refused(
        |project| {
            let turns = json!([
                {"role": "narrator", "content": "once"},
                {"role": "user", "content": "and then?"},
            ]);
            project.rows("prompts.jsonl", &[json!({"messages": turns})]);
            project.edit("template = \"{{ text }}\"\n", "");
        },
        ["narrator"],
    );
}
