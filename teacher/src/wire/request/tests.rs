//! What is sent, word by word.

use expect_test::{Expect, expect};
use limbeck_store::{Message, Prompt, PromptBody, Reasoning, SamplingParameters};

use super::*;
use crate::wire::preset;

fn chat() -> PromptBody {
    PromptBody::Chat {
        messages: vec![
            Message::new("system", "Answer briefly."),
            Message::new("user", "1+1?"),
            Message::new("assistant", "2"),
            Message::new("user", "2+2?"),
        ],
    }
}

fn completion() -> PromptBody {
    PromptBody::Completion {
        text: "Sentiment:".to_owned(),
    }
}

fn ask(body: PromptBody, edit: impl FnOnce(&mut SamplingParameters)) -> Ask {
    let mut parameters = SamplingParameters {
        temperature: 0.7,
        max_tokens: 64,
        seed: 1,
        ..SamplingParameters::choose(Vec::new())
    };
    edit(&mut parameters);
    Ask {
        prompt: Prompt::new(body, "input", "main", "test", 1),
        sample: 0,
        parameters,
    }
}

fn build(provider: &str, model: &str, ask: &Ask) -> Result<WireRequest, RequestError> {
    WireRequest::build(preset(provider).unwrap(), model, ask, false)
}

#[track_caller]
fn check(provider: &str, model: &str, ask: &Ask, expected: &Expect) {
    let request = build(provider, model, ask).unwrap();
    let body = String::from_utf8(request.body).unwrap();
    expected.assert_eq(&format!("{} {body}", request.path));
}

#[track_caller]
fn refused(provider: &str, model: &str, ask: &Ask) -> String {
    build(provider, model, ask).unwrap_err().to_string()
}

#[test]
fn openai_is_asked_everything() {
    let whole = ask(chat(), |p| {
        p.top_p = 0.9;
        p.top_logprobs = 5;
        p.stop = vec!["\n\n".to_owned()];
        p.json_schema = Some(json!({"type": "object"}));
        p.reasoning = Some(Reasoning::Low);
    });
    check(
        "openai",
        "gpt-4o",
        &whole,
        &expect![[
            r#"/chat/completions {"model":"gpt-4o","messages":[{"role":"system","content":"Answer briefly."},{"role":"user","content":"1+1?"},{"role":"assistant","content":"2"},{"role":"user","content":"2+2?"}],"max_completion_tokens":64,"logprobs":true,"top_logprobs":5,"temperature":0.7,"top_p":0.9,"stop":["\n\n"],"seed":1866135256,"response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":{"type":"object"}}},"reasoning_effort":"low"}"#
        ]],
    );
}

#[test]
fn each_service_has_its_own_fields() {
    let plain = ask(chat(), |_| ());
    check(
        "mistral",
        "mistral-medium-2505",
        &plain,
        &expect![[
            r#"/chat/completions {"model":"mistral-medium-2505","messages":[{"role":"system","content":"Answer briefly."},{"role":"user","content":"1+1?"},{"role":"assistant","content":"2"},{"role":"user","content":"2+2?"}],"max_tokens":64,"temperature":0.7,"random_seed":1866135256}"#
        ]],
    );
    check(
        "deepseek",
        "deepseek-chat",
        &plain,
        &expect![[
            r#"/chat/completions {"model":"deepseek-chat","messages":[{"role":"system","content":"Answer briefly."},{"role":"user","content":"1+1?"},{"role":"assistant","content":"2"},{"role":"user","content":"2+2?"}],"max_tokens":64,"temperature":0.7}"#
        ]],
    );
    let off = ask(chat(), |p| p.reasoning = Some(Reasoning::Off));
    check(
        "deepseek",
        "deepseek-v4-flash",
        &off,
        &expect![[
            r#"/chat/completions {"model":"deepseek-v4-flash","messages":[{"role":"system","content":"Answer briefly."},{"role":"user","content":"1+1?"},{"role":"assistant","content":"2"},{"role":"user","content":"2+2?"}],"max_tokens":64,"temperature":0.7,"thinking":{"type":"disabled"}}"#
        ]],
    );
    let budget = ask(chat(), |p| p.reasoning = Some(Reasoning::Budget(512)));
    check(
        "openrouter",
        "a/b",
        &budget,
        &expect![[
            r#"/chat/completions {"model":"a/b","messages":[{"role":"system","content":"Answer briefly."},{"role":"user","content":"1+1?"},{"role":"assistant","content":"2"},{"role":"user","content":"2+2?"}],"max_tokens":64,"temperature":0.7,"seed":1866135256,"reasoning":{"max_tokens":512}}"#
        ]],
    );
    let choose = ask(completion(), |p| {
        *p = SamplingParameters::choose(vec!["positive".to_owned(), "negative".to_owned()]);
    });
    check(
        "llamacpp",
        "m",
        &choose,
        &expect![[
            r#"/completions {"model":"m","prompt":"Sentiment:","max_tokens":16,"logprobs":20,"temperature":0.0,"stop":["\n"],"seed":1440196737}"#
        ]],
    );
}

#[test]
fn streams_are_asked_for() {
    let plain = ask(chat(), |_| ());
    let openai = WireRequest::build(preset("openai").unwrap(), "gpt-4o", &plain, true).unwrap();
    let body: Value = serde_json::from_slice(&openai.body).unwrap();
    assert_eq!(body["stream"], true);
    assert_eq!(body["stream_options"], json!({"include_usage": true}));
    assert_eq!(openai.headers[ACCEPT], "text/event-stream");
    let mistral = WireRequest::build(preset("mistral").unwrap(), "m", &plain, true).unwrap();
    let body: Value = serde_json::from_slice(&mistral.body).unwrap();
    assert_eq!(
        body.get("stream_options"),
        None,
        "it refuses fields that it does not know"
    );
    let gemini = WireRequest::build(preset("gemini").unwrap(), "gemini-2.5-flash", &plain, true);
    let gemini = gemini.unwrap();
    assert_eq!(
        gemini.path,
        "/models/gemini-2.5-flash:streamGenerateContent"
    );
    assert_eq!(gemini.query, [("alt".to_owned(), "sse".to_owned())]);
}

#[test]
fn anthropic_has_the_system_apart_and_thinks_within_a_budget() {
    check(
        "anthropic",
        "claude-3-haiku-20240307",
        &ask(chat(), |_| ()),
        &expect![[
            r#"/messages {"model":"claude-3-haiku-20240307","max_tokens":64,"system":"Answer briefly.","messages":[{"role":"user","content":"1+1?"},{"role":"assistant","content":"2"},{"role":"user","content":"2+2?"}],"temperature":0.7}"#
        ]],
    );
    let thinking = ask(chat(), |p| {
        p.temperature = 1.0;
        p.max_tokens = 4000;
        p.stop = vec!["END".to_owned()];
        p.reasoning = Some(Reasoning::Budget(2000));
    });
    check(
        "anthropic",
        "claude-sonnet-4-5",
        &thinking,
        &expect![[
            r#"/messages {"model":"claude-sonnet-4-5","max_tokens":4000,"system":"Answer briefly.","messages":[{"role":"user","content":"1+1?"},{"role":"assistant","content":"2"},{"role":"user","content":"2+2?"}],"stop_sequences":["END"],"thinking":{"type":"enabled","budget_tokens":2000}}"#
        ]],
    );
    let adaptive = ask(chat(), |p| {
        p.temperature = 1.0;
        p.json_schema = Some(json!({"type": "object"}));
        p.reasoning = Some(Reasoning::High);
    });
    check(
        "anthropic",
        "claude-opus-4-7",
        &adaptive,
        &expect![[
            r#"/messages {"model":"claude-opus-4-7","max_tokens":64,"system":"Answer briefly.","messages":[{"role":"user","content":"1+1?"},{"role":"assistant","content":"2"},{"role":"user","content":"2+2?"}],"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}},"effort":"high"}}"#
        ]],
    );
    let request = build("anthropic", "claude-3-haiku", &ask(chat(), |_| ())).unwrap();
    assert_eq!(request.headers["anthropic-version"], "2023-06-01");
}

#[test]
fn gemini_names_the_turns_otherwise() {
    let whole = ask(chat(), |p| {
        p.json_schema = Some(json!({"type": "object"}));
        p.reasoning = Some(Reasoning::Budget(0));
    });
    check(
        "gemini",
        "gemini-2.5-flash",
        &whole,
        &expect![[
            r#"/models/gemini-2.5-flash:generateContent {"systemInstruction":{"parts":[{"text":"Answer briefly."}]},"contents":[{"role":"user","parts":[{"text":"1+1?"}]},{"role":"model","parts":[{"text":"2"}]},{"role":"user","parts":[{"text":"2+2?"}]}],"generationConfig":{"maxOutputTokens":64,"temperature":0.7,"seed":1866135256,"responseMimeType":"application/json","responseJsonSchema":{"type":"object"},"thinkingConfig":{"thinkingBudget":0}}}"#
        ]],
    );
    let told = ask(chat(), |p| p.top_logprobs = 3);
    check(
        "gemini",
        "gemini-2.0-flash",
        &told,
        &expect![[
            r#"/models/gemini-2.0-flash:generateContent {"systemInstruction":{"parts":[{"text":"Answer briefly."}]},"contents":[{"role":"user","parts":[{"text":"1+1?"}]},{"role":"model","parts":[{"text":"2"}]},{"role":"user","parts":[{"text":"2+2?"}]}],"generationConfig":{"maxOutputTokens":64,"temperature":0.7,"seed":1866135256,"responseLogprobs":true,"logprobs":3}}"#
        ]],
    );
    let level = ask(chat(), |p| p.reasoning = Some(Reasoning::Low));
    check(
        "gemini",
        "gemini-3-flash-preview",
        &level,
        &expect![[
            r#"/models/gemini-3-flash-preview:generateContent {"systemInstruction":{"parts":[{"text":"Answer briefly."}]},"contents":[{"role":"user","parts":[{"text":"1+1?"}]},{"role":"model","parts":[{"text":"2"}]},{"role":"user","parts":[{"text":"2+2?"}]}],"generationConfig":{"maxOutputTokens":64,"temperature":0.7,"seed":1866135256,"thinkingConfig":{"thinkingLevel":"low","includeThoughts":true}}}"#
        ]],
    );
}

#[test]
fn a_choice_asks_for_what_the_longest_takes_and_for_all_alternatives() {
    let choose = ask(chat(), |p| {
        *p = SamplingParameters::choose(vec!["yes".to_owned(), "it depends on the day".to_owned()]);
    });
    let body = |provider: &str, model: &str| -> Value {
        serde_json::from_slice(&build(provider, model, &choose).unwrap().body).unwrap()
    };
    let openai = body("openai", "gpt-4o");
    assert_eq!(openai["max_completion_tokens"], 29);
    assert_eq!(
        (&openai["top_logprobs"], &openai["temperature"]),
        (&json!(20), &json!(0.0))
    );
    // A model that takes no temperature is asked all the same: only certainty is lost.
    let reasoning = body("openai", "gpt-5-mini");
    assert_eq!(
        (reasoning.get("temperature"), reasoning.get("logprobs")),
        (None, None)
    );
    assert_eq!(
        body("anthropic", "claude-opus-4-7").get("temperature"),
        None
    );
}

#[test]
fn the_same_question_is_the_same_bytes_and_seeds_have_31_bits() {
    let first = build("openai", "gpt-4o", &ask(chat(), |_| ())).unwrap();
    assert_eq!(
        first,
        build("openai", "gpt-4o", &ask(chat(), |_| ())).unwrap()
    );
    let body: Value = serde_json::from_slice(&first.body).unwrap();
    assert!(body["seed"].as_u64().unwrap() < 1 << 31);
    let mut second = ask(chat(), |_| ());
    second.sample = 1;
    assert_ne!(first.body, build("openai", "gpt-4o", &second).unwrap().body);
}

#[test]
fn what_a_model_does_not_take_is_an_error_before_anything_is_sent() {
    let cases = [
        refused("anthropic", "claude-3-haiku", &ask(completion(), |_| ())),
        refused(
            "anthropic",
            "claude-3-haiku",
            &ask(chat(), |p| p.top_logprobs = 1),
        ),
        refused(
            "anthropic",
            "claude-3-haiku",
            &ask(chat(), |p| p.temperature = 1.5),
        ),
        refused(
            "anthropic",
            "claude-sonnet-4-5",
            &ask(chat(), |p| p.top_p = 0.9),
        ),
        refused("openai", "o3", &ask(chat(), |_| ())),
        refused("openai", "gpt-4o", &ask(chat(), |p| p.top_logprobs = 21)),
        refused(
            "openai",
            "gpt-4o",
            &ask(chat(), |p| p.reasoning = Some(Reasoning::Budget(9))),
        ),
        refused(
            "openai",
            "gpt-4o",
            &ask(chat(), |p| p.stop = vec!["a".to_owned(); 5]),
        ),
        refused(
            "deepseek",
            "deepseek-chat",
            &ask(chat(), |p| p.json_schema = Some(json!({"type": "object"}))),
        ),
        refused(
            "gemini",
            "gemini-2.0-flash",
            &ask(chat(), |p| p.reasoning = Some(Reasoning::Low)),
        ),
    ];
    expect![[r#"
        `form = "completion"` cannot be asked of the model `claude-3-haiku` at `anthropic`
        `top_logprobs = 1` cannot be asked of the model `claude-3-haiku` at `anthropic`
        `temperature = 1.5` cannot be asked of the model `claude-3-haiku` at `anthropic`
        `temperature` and `top_p` together cannot be asked of the model `claude-sonnet-4-5` at `anthropic`
        `temperature` or `top_p` cannot be asked of the model `o3` at `openai`
        `top_logprobs = 21` cannot be asked of the model `gpt-4o` at `openai`
        a budget of `reasoning` cannot be asked of the model `gpt-4o` at `openai`
        `stop` with 5 texts cannot be asked of the model `gpt-4o` at `openai`
        `json_schema` cannot be asked of the model `deepseek-chat` at `deepseek`
        `reasoning` cannot be asked of the model `gemini-2.0-flash` at `gemini`"#]].assert_eq(&cases.join("\n"));
}

#[test]
fn settings_that_no_service_takes_are_errors() {
    let one = |role: &str, content: &str| PromptBody::Chat {
        messages: vec![Message::new(role, content)],
    };
    let cases = [
        refused(
            "openai",
            "gpt-4o",
            &ask(chat(), |p| p.temperature = f32::NAN),
        ),
        refused("openai", "gpt-4o", &ask(chat(), |p| p.top_p = 0.0)),
        refused("openai", "gpt-4o", &ask(chat(), |p| p.max_tokens = 0)),
        refused(
            "openai",
            "gpt-4o",
            &ask(chat(), |p| p.stop = vec![String::new()]),
        ),
        refused(
            "openai",
            "gpt-4o",
            &ask(chat(), |p| p.json_schema = Some(json!({"type": "text"}))),
        ),
        refused("openai", "gpt-4o", &ask(one("tool", "a"), |_| ())),
        refused("openai", "gpt-4o", &ask(one("system", "a"), |_| ())),
        refused("openai", "gpt-4o", &ask(one("user", " "), |_| ())),
    ];
    expect![[r#"
        `temperature` is NaN, expected 0 to 2
        `top_p` is 0, expected more than 0 and at most 1
        `max_tokens` is 0, expected 1 or more
        `stop` is an empty text, expected texts
        `json_schema` is no schema (`/type` is "text", which is no type), expected a JSON schema
        the role of turn 1 is `tool`, expected `system`, `user` or `assistant`
        the prompt is empty
        the prompt is empty"#]]
    .assert_eq(&cases.join("\n"));
}
