//! How much thinking is asked for, of each service in its own words; what it does not tell apart is an error.
//!
//! The references, as read on 2026-11-26 through a copy of the public pages: platform.openai.com/docs/api-reference/chat
//! (`reasoning_effort`), docs.aws.amazon.com/bedrock "Adaptive thinking" and platform.claude.com "Adaptive thinking" and
//! "Effort", docs.cloud.google.com "Gemini 3.5 Flash" and "Gemini 3 Flash" (levels), api-docs.deepseek.com "Thinking
//! Mode", openrouter.ai/docs "Reasoning Tokens", docs.mistral.ai "Adjustable", docs.together.ai "Reasoning",
//! docs.fireworks.ai "Reasoning" and what Fireworks' own client says of `reasoning_effort` (github.com/fw-ai-external/
//! python-sdk, `types/chat/completion_create_params.py`).

use expect_test::expect;
use limbeck_store::{Message, Prompt, PromptBody, Reasoning, SamplingParameters};
use serde_json::{Value, json};

use super::{RequestError, WireRequest};
use crate::Ask;
use crate::wire::preset;

const EVERY: [Reasoning; 8] = [
    Reasoning::Off,
    Reasoning::Minimal,
    Reasoning::Low,
    Reasoning::Medium,
    Reasoning::High,
    Reasoning::Xhigh,
    Reasoning::Max,
    Reasoning::Budget(2048),
];

fn ask(reasoning: Option<Reasoning>, temperature: f32) -> Ask {
    let body = PromptBody::Chat {
        messages: vec![Message::new("user", "2+2?")],
    };
    Ask {
        prompt: Prompt::new(body, "2+2?", "main", "test", 1),
        sample: 0,
        parameters: SamplingParameters {
            temperature,
            max_tokens: 4000,
            reasoning,
            ..SamplingParameters::choose(Vec::new())
        },
    }
}

fn build(provider: &str, model: &str, ask: &Ask) -> Result<Value, RequestError> {
    let preset = preset(provider).unwrap();
    let request = WireRequest::build(preset, model, ask, false)?;
    Ok(serde_json::from_slice(&request.body).unwrap())
}

/// All that the body says of thinking.
fn said(body: &Value) -> Value {
    let mut said = json!({});
    for field in ["reasoning_effort", "reasoning", "thinking", "output_config"] {
        if let Some(value) = body.get(field) {
            said[field] = value.clone();
        }
    }
    if let Some(value) = body["generationConfig"].get("thinkingConfig") {
        said["thinkingConfig"] = value.clone();
    }
    said
}

/// What is said for each of [`EVERY`], a line each.
fn every(provider: &str, model: &str) -> String {
    let lines = EVERY.map(
        |reasoning| match build(provider, model, &ask(Some(reasoning), 1.0)) {
            Ok(body) => said(&body).to_string(),
            Err(error) => error.hint().unwrap_or("no hint").to_owned(),
        },
    );
    lines.join("\n")
}

#[test]
fn openai_takes_the_efforts_of_each_model() {
    expect![[r#"
        set it to minimal, low, medium or high
        {"reasoning_effort":"minimal"}
        {"reasoning_effort":"low"}
        {"reasoning_effort":"medium"}
        {"reasoning_effort":"high"}
        set it to minimal, low, medium or high
        set it to minimal, low, medium or high
        set `reasoning` to minimal, low, medium or high"#]]
    .assert_eq(&every("openai", "gpt-5-mini"));
    expect![[r#"
        {"reasoning_effort":"none"}
        set it to off, low, medium, high or xhigh
        {"reasoning_effort":"low"}
        {"reasoning_effort":"medium"}
        {"reasoning_effort":"high"}
        {"reasoning_effort":"xhigh"}
        set it to off, low, medium, high or xhigh
        set `reasoning` to off, low, medium, high or xhigh"#]]
    .assert_eq(&every("openai", "gpt-5.2"));
}

#[test]
fn anthropic_takes_a_budget_of_older_models_and_an_effort_of_newer_ones() {
    expect![[r#"
        {}
        give a budget: `reasoning = { budget = 2048 }`
        give a budget: `reasoning = { budget = 2048 }`
        give a budget: `reasoning = { budget = 2048 }`
        give a budget: `reasoning = { budget = 2048 }`
        give a budget: `reasoning = { budget = 2048 }`
        give a budget: `reasoning = { budget = 2048 }`
        {"thinking":{"type":"enabled","budget_tokens":2048}}"#]]
    .assert_eq(&every("anthropic", "claude-sonnet-4-5"));
    expect![[r#"
        {"thinking":{"type":"disabled"}}
        set it to off, low, medium, high, xhigh or max
        {"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"low"}}
        {"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"medium"}}
        {"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"high"}}
        {"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"xhigh"}}
        {"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"max"}}
        set `reasoning` to off, low, medium, high, xhigh or max"#]]
    .assert_eq(&every("anthropic", "claude-opus-4-7"));
    let off = build(
        "anthropic",
        "claude-fable-5",
        &ask(Some(Reasoning::Off), 1.0),
    );
    expect!["`reasoning` off cannot be asked of the model `claude-fable-5` at `anthropic`"]
        .assert_eq(&off.unwrap_err().to_string());
}

#[test]
fn gemini_takes_a_budget_of_older_models_and_a_level_of_newer_ones() {
    expect![[r#"
        {"thinkingConfig":{"thinkingBudget":0}}
        give a budget: `reasoning = { budget = 2048 }`
        give a budget: `reasoning = { budget = 2048 }`
        give a budget: `reasoning = { budget = 2048 }`
        give a budget: `reasoning = { budget = 2048 }`
        give a budget: `reasoning = { budget = 2048 }`
        give a budget: `reasoning = { budget = 2048 }`
        {"thinkingConfig":{"thinkingBudget":2048,"includeThoughts":true}}"#]]
    .assert_eq(&every("gemini", "gemini-2.5-flash"));
    expect![[r#"
        set it to low, medium or high
        set it to low, medium or high
        {"thinkingConfig":{"thinkingLevel":"low","includeThoughts":true}}
        {"thinkingConfig":{"thinkingLevel":"medium","includeThoughts":true}}
        {"thinkingConfig":{"thinkingLevel":"high","includeThoughts":true}}
        set it to low, medium or high
        set it to low, medium or high
        set `reasoning` to low, medium or high"#]]
    .assert_eq(&every("gemini", "gemini-3.1-pro-preview"));
}

#[test]
fn deepseek_openrouter_mistral_and_together_have_words_of_their_own() {
    expect![[r#"
        {"thinking":{"type":"disabled"}}
        set it to off, low, high or max
        {"reasoning_effort":"low","thinking":{"type":"enabled"}}
        set it to off, low, high or max
        {"reasoning_effort":"high","thinking":{"type":"enabled"}}
        set it to off, low, high or max
        {"reasoning_effort":"max","thinking":{"type":"enabled"}}
        set `reasoning` to off, low, high or max"#]]
    .assert_eq(&every("deepseek", "deepseek-v4-flash"));
    expect![[r#"
        {"reasoning":{"effort":"none"}}
        {"reasoning":{"effort":"minimal"}}
        {"reasoning":{"effort":"low"}}
        {"reasoning":{"effort":"medium"}}
        {"reasoning":{"effort":"high"}}
        {"reasoning":{"effort":"xhigh"}}
        {"reasoning":{"effort":"max"}}
        {"reasoning":{"max_tokens":2048}}"#]]
    .assert_eq(&every("openrouter", "a/b"));
    expect![[r#"
        {"reasoning_effort":"none"}
        set it to off or high
        set it to off or high
        set it to off or high
        {"reasoning_effort":"high"}
        set it to off or high
        set it to off or high
        set `reasoning` to off or high"#]]
    .assert_eq(&every("mistral", "mistral-small-latest"));
    let together =
        |model, reasoning| said(&build("together", model, &ask(Some(reasoning), 1.0)).unwrap());
    assert_eq!(
        together("zai-org/GLM-5.1", Reasoning::Off),
        json!({"reasoning": {"enabled": false}})
    );
    assert_eq!(
        together("zai-org/GLM-5.1", Reasoning::High),
        json!({"reasoning": {"enabled": true}, "reasoning_effort": "high"})
    );
    assert_eq!(
        together("openai/gpt-oss-20b", Reasoning::High),
        json!({"reasoning_effort": "high"})
    );
}

#[test]
fn fireworks_takes_an_effort_or_a_budget_but_of_gpt_oss_an_effort() {
    expect![[r#"
        {"reasoning_effort":"none"}
        {"reasoning_effort":"minimal"}
        {"reasoning_effort":"low"}
        {"reasoning_effort":"medium"}
        {"reasoning_effort":"high"}
        {"reasoning_effort":"xhigh"}
        {"reasoning_effort":"max"}
        {"reasoning_effort":2048}"#]]
    .assert_eq(&every(
        "fireworks",
        "accounts/fireworks/models/deepseek-v4-pro",
    ));
    expect![[r#"
        set it to low, medium or high
        set it to low, medium or high
        {"reasoning_effort":"low"}
        {"reasoning_effort":"medium"}
        {"reasoning_effort":"high"}
        set it to low, medium or high
        set it to low, medium or high
        set `reasoning` to low, medium or high"#]]
    .assert_eq(&every(
        "fireworks",
        "accounts/fireworks/models/gpt-oss-120b",
    ));
}

#[test]
fn a_temperature_that_thinking_would_make_void_is_an_error() {
    let asked = |model, reasoning| build("deepseek", model, &ask(reasoning, 0.7));
    let thinking = asked("deepseek-v4-flash", None).unwrap_err();
    expect!["set `reasoning = \"off\"`, or `temperature = 1` and `top_p = 1`"]
        .assert_eq(thinking.hint().unwrap());
    assert!(asked("deepseek-v4-flash", Some(Reasoning::High)).is_err());
    for free in [
        asked("deepseek-v4-flash", Some(Reasoning::Off)),
        asked("deepseek-chat", None),
    ] {
        assert_eq!(free.unwrap()["temperature"], 0.7);
    }
}

#[test]
fn a_choice_leaves_room_for_the_thinking_that_comes_by_itself() {
    let room = |provider, model, reasoning, field: &str| {
        let mut choose = ask(reasoning, 0.0);
        choose.parameters = SamplingParameters {
            reasoning,
            ..SamplingParameters::choose(vec!["yes".to_owned(), "no".to_owned()])
        };
        let body = build(provider, model, &choose).unwrap();
        let room = body
            .get(field)
            .or_else(|| body["generationConfig"].get(field));
        room.and_then(Value::as_u64).unwrap()
    };
    let field = "max_completion_tokens";
    assert_eq!(room("openai", "gpt-4o", None, field), 16);
    assert_eq!(room("openai", "gpt-5-mini", None, field), 16 + 4096);
    assert_eq!(room("openai", "gpt-5.1", None, field), 16);
    let field = "maxOutputTokens";
    assert_eq!(room("gemini", "gemini-2.5-flash", None, field), 16 + 4096);
    let off = Some(Reasoning::Off);
    assert_eq!(room("gemini", "gemini-2.5-flash", off, field), 16);
}
