//! Ids that must never change: stores written by earlier versions are full of them.

use expect_test::expect;

use super::*;
use crate::curate::{DatasetRow, RowAnswer};

fn chat() -> PromptBody {
    PromptBody::Chat {
        messages: vec![
            Message::new("system", "Answer \"yes\" or \"no\"."),
            Message::new("user", "Is it raining?\n☔"),
        ],
    }
}

fn completion() -> PromptBody {
    PromptBody::Completion {
        text: "Message: it rains\nSentiment:".to_owned(),
    }
}

fn key() -> TraceKey {
    TraceKey {
        prompt_id: Prompt::new(completion(), "it rains", "main", "a.csv", 1).id,
        sample: 2,
        teacher: "local|abc|in-process".to_owned(),
        parameters: SamplingParameters {
            choices: vec!["yes".to_owned(), "no".to_owned()],
            temperature: 0.7,
            top_p: 0.95,
            max_tokens: 64,
            top_logprobs: 20,
            seed: u64::MAX,
            stop: Vec::new(),
            json_schema: None,
            reasoning: None,
        },
    }
}

#[test]
fn prompt_ids_are_pinned() {
    let prompt = Prompt::new(completion(), "it rains", "main", "a.csv", 1);
    expect!["d6ddfee77c746e58ddca3b7f607e11464ea00c91ea8ca926873f1aae9b981855"]
        .assert_eq(&prompt.id);
    let prompt = Prompt::new(chat(), "Is it raining?", "main", "a.csv", 1);
    expect!["638f76f640bcbda3287e51dcc81704fed020eb069fd6c2838e9abafb72f4cb00"]
        .assert_eq(&prompt.id);
}

#[test]
fn trace_ids_are_pinned() {
    expect!["723655bbd6b14e4057b0451e307ab04fc13ae548ebce7177d3aa97b1dc125b05"]
        .assert_eq(&key().id());
    let free = TraceKey {
        parameters: SamplingParameters::choose(Vec::new()),
        ..key()
    };
    expect!["a7e6e944f7a3b9d5a39ffbb0823800ae63e1b37a6ef6ba9158a1416223755273"]
        .assert_eq(&free.id());
}

#[test]
fn dataset_ids_are_pinned_and_cover_the_traces_alone() {
    let row = |ids: &[&str], probability: f64| DatasetRow {
        item: "item".to_owned(),
        input: "input".to_owned(),
        answer: RowAnswer::Labels {
            choices: vec!["yes".to_owned()],
            probabilities: vec![probability],
        },
        trace_ids: ids.iter().map(ToString::to_string).collect(),
    };
    let dataset = Dataset::new("train", vec![row(&["a", "b"], 0.5), row(&["c"], 0.5)]);
    expect!["a84709bacda38f098f36c108ee2a7fea758abf56db0e7af46390cebbee45887d"]
        .assert_eq(&dataset.id);
    let again = Dataset::new("other", vec![row(&["a", "b"], 0.501), row(&["c"], 0.5)]);
    assert_eq!(dataset.id, again.id);
    let regrouped = Dataset::new("train", vec![row(&["a"], 0.5), row(&["b", "c"], 0.5)]);
    assert_ne!(dataset.id, regrouped.id);
    let reordered = Dataset::new("train", vec![row(&["c"], 0.5), row(&["a", "b"], 0.5)]);
    assert_ne!(dataset.id, reordered.id);
}

#[test]
fn a_prompt_is_what_is_asked_and_what_it_is_about() {
    let prompt = Prompt::new(chat(), "rain", "main", "a.csv", 1);
    let elsewhere = Prompt::new(chat(), "rain", "second", "b.csv", 9);
    assert_eq!(prompt.id, elsewhere.id);
    assert_ne!(
        prompt.id,
        Prompt::new(chat(), "snow", "main", "a.csv", 1).id
    );
    assert_ne!(
        prompt.id,
        Prompt::new(completion(), "rain", "main", "a.csv", 1).id
    );
    // Where one turn ends and the next begins is part of the question.
    let split = |turns: &[(&str, &str)]| PromptBody::Chat {
        messages: turns
            .iter()
            .map(|(role, content)| Message::new(*role, *content))
            .collect(),
    };
    let one = Prompt::new(split(&[("user", "ab")]), "", "main", "", 1);
    let two = Prompt::new(split(&[("user", "a"), ("user", "b")]), "", "main", "", 1);
    assert_ne!(one.id, two.id);
}

#[test]
fn every_field_of_a_key_counts() {
    let mut others = Vec::new();
    let mut change = |edit: fn(&mut TraceKey)| {
        let mut other = key();
        edit(&mut other);
        others.push(other.id());
    };
    change(|_| ());
    change(|k| k.prompt_id.push('0'));
    change(|k| k.sample += 1);
    change(|k| k.teacher.push('0'));
    change(|k| k.parameters.choices.reverse());
    change(|k| k.parameters.temperature = 0.700_001);
    change(|k| k.parameters.top_p = 0.9);
    change(|k| k.parameters.max_tokens += 1);
    change(|k| k.parameters.top_logprobs += 1);
    change(|k| k.parameters.seed -= 1);
    change(|k| k.parameters.stop = vec!["\n".to_owned()]);
    change(|k| k.parameters.json_schema = Some(serde_json::json!({"type": "object"})));
    change(|k| k.parameters.reasoning = Some(Reasoning::Off));
    change(|k| k.parameters.reasoning = Some(Reasoning::Low));
    change(|k| k.parameters.reasoning = Some(Reasoning::Budget(1024)));
    let unique: std::collections::HashSet<&String> = others.iter().collect();
    assert_eq!(unique.len(), others.len());
}

#[test]
fn a_key_read_back_from_json_has_the_same_id() {
    for temperature in [0.0, -0.0, 0.1, 0.7, 1.0, 1.3, 1e-7, 16_777_217.0] {
        let mut key = key();
        key.parameters.temperature = temperature;
        key.parameters.json_schema = Some(serde_json::json!({"z": 1.5, "a": [0.1]}));
        key.parameters.reasoning = Some(Reasoning::Budget(7));
        let json = serde_json::to_string(&key).unwrap();
        let read: TraceKey = serde_json::from_str(&json).unwrap();
        assert_eq!(read.id(), key.id(), "{temperature}");
    }
}

#[test]
fn times_are_rfc_3339_in_utc() {
    let now = now();
    assert!(
        now.parse::<jiff::Timestamp>().is_ok() && now.ends_with('Z'),
        "{now}"
    );
}
