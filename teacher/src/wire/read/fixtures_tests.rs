//! What each response in `fixtures/` is read as.

use std::fmt::Write as _;

use expect_test::{Expect, expect};

use super::fixtures::{FOLDERS, Fixture, folder, now};
use super::*;
use crate::wire::preset_names;

/// One line for each response of a folder.
#[track_caller]
fn check(name: &str, expected: &Expect) {
    let mut out = String::new();
    for fixture in folder(name) {
        let _ = writeln!(out, "{}: {}", fixture.name, describe(&fixture));
    }
    expected.assert_eq(&out);
}

fn describe(fixture: &Fixture) -> String {
    let Fixture {
        preset,
        status,
        headers,
        body,
        ..
    } = fixture;
    match read_answer(preset, *status, headers, body, now()) {
        Ok(answer) => describe_answer(&answer),
        Err(failure) => describe_failure(&failure),
    }
}

fn describe_answer(answer: &WireAnswer) -> String {
    let mut out = format!("{:?} {}", answer.text, answer.finish.name());
    if let Some(reasoning) = &answer.reasoning {
        let _ = write!(out, ", after {reasoning:?}");
    }
    if let Some(retraction) = &answer.retraction {
        let message = retraction.message.as_deref().unwrap_or("nothing");
        let _ = write!(out, ", retracted ({}) for {message:?}", retraction.reason);
    }
    let usage = answer.usage;
    for (name, count) in [
        ("in", usage.input),
        ("cached", usage.cached),
        ("written", usage.cache_written),
        ("out", usage.output),
        ("reasoning", usage.reasoning),
    ] {
        if let Some(count) = count {
            let _ = write!(out, " {name}={count}");
        }
    }
    for token in &answer.tokens {
        let bytes = token.bytes.escape_ascii();
        let _ = write!(
            out,
            " {bytes}={}/{}",
            token.log_probability,
            token.top.len()
        );
    }
    for id in [&answer.request_id, &answer.model].into_iter().flatten() {
        let _ = write!(out, " {id}");
    }
    for oddity in &answer.oddities {
        let _ = write!(out, " [{oddity}]");
    }
    out
}

fn describe_failure(failure: &Failure) -> String {
    let mut out = failure.kind.name().to_uppercase();
    if failure.kind.is_fatal() {
        out.push_str(" fatal");
    } else if failure.worth_retrying {
        out.push_str(" retry");
    }
    if let Some(wait) = failure.retry_after {
        let _ = write!(out, " after {wait:?}");
    }
    if let Some(usage) = &failure.usage {
        let _ = write!(out, " paid {:?}", usage.output);
    }
    let message: String = failure.message.chars().take(70).collect();
    let _ = write!(
        out,
        " ({}) {message}",
        failure.code.as_deref().unwrap_or("-")
    );
    out
}

#[test]
fn every_service_has_responses() {
    // The dialect of no service in particular has none of its own.
    for name in preset_names().filter(|name| *name != "compatible") {
        assert!(
            FOLDERS.contains(&name) && !folder(name).is_empty(),
            "{name}"
        );
    }
}

#[test]
fn openai() {
    check(
        "openai",
        &expect![[r#"
        chat-length: "Once upon a" length in=19 cached=4 out=10 reasoning=0 req_4a7d0fd2c1a94bd7 gpt-4o-mini-2024-07-18
        chat-logprobs: "Hi ☃" stop in=19 cached=4 out=10 reasoning=0 Hi=-0.31725305/2  \xe2\x98=-0.25/0 \x83=-0.0001/0 req_4a7d0fd2c1a94bd7 gpt-4o-mini-2024-07-18
        chat-reasoning: "4" stop in=12 cached=0 out=75 reasoning=64 req_4a7d0fd2c1a94bd7 o4-mini-2025-04-16
        chat-stream: "Hello wörld" stop in=9 out=3 req_4a7d0fd2c1a94bd7 gpt-4o-mini
        chat: "Hello! How can I assist you today?" stop in=19 cached=4 out=10 reasoning=0 req_4a7d0fd2c1a94bd7 gpt-4o-mini-2024-07-18
        completion: " positive" length in=5 out=1  positive=-0.2/3 req_4a7d0fd2c1a94bd7 gpt-3.5-turbo-instruct
        content-filter: "The first step is" content-filter, retracted (content_filter) for "nothing" in=19 cached=4 out=10 reasoning=0 req_4a7d0fd2c1a94bd7 gpt-4o-mini-2024-07-18
        error-400-context: TOO-LONG (context_length_exceeded) This model's maximum context length is 128000 tokens. However, your me
        error-400-parameter: INVALID-REQUEST (unsupported_value) Unsupported value: 'temperature' does not support 0.7 with this model.
        error-401: AUTHENTICATION fatal (invalid_api_key) Incorrect API key provided: [hidden] You can find your API key at http
        error-404-model: NOT-FOUND fatal (model_not_found) The model `gpt-9` does not exist or you do not have access to it.
        error-429-no-header: RATE-LIMITED retry after 61.5s (rate_limit_exceeded) Rate limit reached for gpt-4o-mini in organization org-abc on tokens p
        error-429-quota: QUOTA fatal (insufficient_quota) You exceeded your current quota, please check your plan and billing de
        error-429-rate: RATE-LIMITED retry after 8.64s (rate_limit_exceeded) Rate limit reached for gpt-4o-mini in organization org-abc on requests
        error-500: SERVER retry (server_error) The server had an error while processing your request. Sorry about tha
        error-503: OVERLOADED retry (server_error) The engine is currently overloaded, please try again later
        refusal: REFUSED paid Some(10) (refusal) I'm sorry, I can't assist with that request.
        stream-refusal: "Sure, first you" refusal, retracted (refusal) for "I'm sorry, I can't help with that." req_4a7d0fd2c1a94bd7 gpt-4o-mini
    "#]],
    );
}

#[test]
fn azure() {
    check(
        "azure",
        &expect![[r#"
        chat-stream-filtered: "He drew the" content-filter, retracted (content_filter) for "nothing" 2a0b1c7e gpt-4o-2024-08-06
        error-400-filter: POLICY (content_filter) The response was filtered due to the prompt triggering Azure OpenAI's 
        error-404-deployment: NOT-FOUND fatal (DeploymentNotFound) The API deployment for this resource does not exist. If you created th
        error-429: RATE-LIMITED retry after 25.83s (-) Requests to the ChatCompletions_Create Operation under Azure OpenAI AP
    "#]],
    );
}

#[test]
fn deepseek() {
    check(
        "deepseek",
        &expect![[r#"
        error-400-risk: POLICY (invalid_request_error) Content Exists Risk
        error-401: AUTHENTICATION fatal (invalid_request_error) Authentication Fails, Your api key: [hidden] is invalid
        error-402: QUOTA fatal (invalid_request_error) Insufficient Balance
        error-503: OVERLOADED retry (service_unavailable_error) Service is too busy. We advise users to temporarily switch to alternat
        reasoner-keep-alive: "9.8 is greater." stop, after "Compare 9.11 with 9.80." in=16 cached=10 out=60 reasoning=50 deepseek-reasoner
        reasoner-stream: "9.8 is greater." stop, after "Compare 9.11 with 9.80." in=16 cached=10 out=60 reasoning=50 deepseek-reasoner
        stream-dropped: OVERLOADED retry (-) the service broke the answer off (`insufficient_system_resource`)
    "#]],
    );
}

#[test]
fn mistral() {
    check(
        "mistral",
        &expect![[r#"
        chat-length: "Bonjour" length in=16 out=34 mistral-small-latest
        chat: "Bonjour." stop in=16 out=34 mistral-small-latest
        error-401: AUTHENTICATION fatal (-) Unauthorized
        error-422: INVALID-REQUEST (-) [{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extr
        error-429-no-plan: QUOTA fatal (rate_limited) Rate limit exceeded
        error-429: RATE-LIMITED retry (rate_limited) Requests rate limit exceeded
        error-503: SERVER retry (internal_server_error) Service unavailable.
        magistral: "4" stop, after "Two and two make four." in=16 out=34 magistral-medium-latest
    "#]],
    );
}

#[test]
fn xai() {
    check(
        "xai",
        &expect![[r#"
        chat-reasoning: "101*3 is 303." stop, after "First, 100*3." in=32 cached=6 out=103 reasoning=94 b5d0 grok-3-mini
        error-400-key: AUTHENTICATION fatal (Client specified an invalid argument) Incorrect API key provided: [hidden] You can obtain an API key from ht
        error-403-credits: QUOTA fatal (The caller does not have permission to execute the specified operation) Your newly created team doesn't have any credits or has reached its mo
        error-429: RATE-LIMITED retry (Some resource has been exhausted) Too many requests for team 0b1c and model grok-3. Please slow down.
    "#]],
    );
}

#[test]
fn together() {
    check(
        "together",
        &expect![[r#"
        chat-logprobs: "Yes" stop in=9 out=2 Yes=-0.11/0 meta-llama/Llama-3.3-70B-Instruct-Turbo
        chat-think: "4" stop, after "Two and two." in=9 cached=0 out=12 nrVgS5c deepseek-ai/DeepSeek-R1
        error-429: RATE-LIMITED retry after 2s (model_rate_limit) You have reached the rate limit specific to this model meta-llama/Llam
        error-503: OVERLOADED retry (service_unavailable) The server is overloaded or not ready yet.
    "#]],
    );
}

#[test]
fn openrouter() {
    check(
        "openrouter",
        &expect![[r#"
        chat-stream: "4" stop, after "Two and two." in=8 cached=0 out=11 reasoning=7 deepseek/deepseek-r1
        error-402: QUOTA fatal (-) This request requires more credits, or fewer max_tokens. You requested
        error-403: POLICY (-) openai/gpt-4o requires moderation on OpenAI. Your input was flagged fo
        error-429: RATE-LIMITED retry (-) Rate limit exceeded: free-models-per-min.
        error-in-choice: RATE-LIMITED retry (-) Provider returned error
        stream-error: SERVER retry (-) Provider disconnected
        stream-moderated: "First you" content-filter, retracted (policy) for "Output was flagged by the provider" deepseek/deepseek-r1
    "#]],
    );
}

#[test]
fn groq() {
    check(
        "groq",
        &expect![[r#"
            chat-reasoning: "3" stop, after "Count the r." in=20 out=30 req_01jtk qwen/qwen3-32b
            chat-stream: "Fast." stop in=18 out=4 req_01jtk llama-3.3-70b-versatile
            error-413: TOO-LONG (rate_limit_exceeded) Request too large for model `llama-3.1-8b-instant` in organization `or
            error-429: RATE-LIMITED retry after 2s (rate_limit_exceeded) Rate limit reached for model `llama-3.3-70b-versatile` in organization
            error-498: OVERLOADED retry (capacity_exceeded) Flex tier capacity exceeded
            stream-error: SERVER retry (-) over_capacity
        "#]],
    );
}

#[test]
fn fireworks() {
    check(
        "fireworks",
        &expect![[r#"
        chat: "4" stop, after "2+2" in=31 cached=7 out=9 accounts/fireworks/models/deepseek-r1
        error-404: NOT-FOUND fatal (NOT_FOUND) Model not found, inaccessible, and/or not deployed
        error-429: RATE-LIMITED retry (rate_limit_exceeded) Too many requests
    "#]],
    );
}

#[test]
fn anthropic() {
    check(
        "anthropic",
        &expect![[r#"
        error-400-context: TOO-LONG (invalid_request_error) prompt is too long: 204521 tokens > 200000 maximum
        error-400-credit: QUOTA fatal (invalid_request_error) Your credit balance is too low to access the Anthropic API. Please go 
        error-401: AUTHENTICATION fatal (authentication_error) invalid x-api-key
        error-403: AUTHENTICATION fatal (permission_error) Your API key does not have permission to use the specified resource.
        error-404: NOT-FOUND fatal (not_found_error) model: claude-9
        error-413: TOO-LONG (request_too_large) Request exceeds the maximum size
        error-429: RATE-LIMITED retry after 13s (rate_limit_error) This request would exceed your organization's rate limit of 50,000 inp
        error-500: SERVER retry (api_error) Internal server error
        error-529: OVERLOADED retry (overloaded_error) Overloaded
        message-length: "Hello" length in=25 cached=0 written=0 out=15 req_011CQFa8 claude-sonnet-4-20250514
        message: "Hello!" stop in=425 cached=300 written=100 out=15 req_011CQFa8 claude-sonnet-4-20250514
        refusal: REFUSED paid Some(15) (refusal) nothing was said
        stream-overloaded: OVERLOADED retry paid Some(1) (overloaded_error) Overloaded
        stream-refusal: "To begin, take" refusal, retracted (refusal) for "nothing" in=30 cached=5 written=0 out=15 req_011CQFa8 claude-sonnet-4-20250514
        stream: "Hello!" stop, after "Let me think." in=30 cached=5 written=0 out=15 req_011CQFa8 claude-sonnet-4-20250514
        thinking: "42" stop, after "Let me think." in=25 cached=0 written=0 out=15 req_011CQFa8 claude-sonnet-4-20250514
    "#]],
    );
}

#[test]
fn gemini() {
    check(
        "gemini",
        &expect![[r#"
        answer: "Hello there." stop in=8 cached=4 out=25 reasoning=20 gemini-2.5-flash
        blocked: POLICY paid None (PROHIBITED_CONTENT) the prompt was blocked (`PROHIBITED_CONTENT`)
        error-400-context: TOO-LONG (INVALID_ARGUMENT) The input token count (1100000) exceeds the maximum number of tokens a
        error-400-key: AUTHENTICATION fatal (INVALID_ARGUMENT) API key not valid. Please pass a valid API key.
        error-403: AUTHENTICATION fatal (PERMISSION_DENIED) Generative Language API has not been used in project 1 before or it is
        error-404: NOT-FOUND fatal (NOT_FOUND) models/gemini-9 is not found for API version v1beta, or is not support
        error-429-day: QUOTA fatal after 34s (RESOURCE_EXHAUSTED) You exceeded your current quota, please check your plan and billing de
        error-429-minute: RATE-LIMITED retry after 34s (RESOURCE_EXHAUSTED) You exceeded your current quota, please check your plan and billing de
        error-429-no-plan: QUOTA fatal after 34s (RESOURCE_EXHAUSTED) You exceeded your current quota, please check your plan and billing de
        error-503: OVERLOADED retry (UNAVAILABLE) The model is overloaded. Please try again later.
        error-504: TIMEOUT retry (DEADLINE_EXCEEDED) The request timed out. Please try again.
        logprobs: "positive" stop in=8 out=5 positive=-0.1/2 gemini-2.5-flash
        max-tokens-thinking: "" length in=8 out=32 reasoning=32 gemini-2.5-flash
        recitation: POLICY paid None (RECITATION) nothing was said
        stream-list: "Four." stop in=8 out=5 gemini-2.5-flash
        stream-safety: "Step one:" content-filter, retracted (SAFETY) for "nothing" in=8 out=3 gemini-2.5-flash
        stream: "Four." stop, after "I add them." in=8 out=24 reasoning=21 gemini-2.5-flash
    "#]],
    );
}

#[test]
fn local_servers() {
    check(
        "llamacpp",
        &expect![[r#"
            chat-logprobs: "Yes" stop in=10 out=2 Yes=-0.25/2 default
            chat-think-open-in-prompt: "4" stop, after "Two and two." in=10 out=9 default
            error-400-context: TOO-LONG (exceed_context_size_error) the request exceeds the available context size, try increasing it
            error-503-loading: OVERLOADED retry (unavailable_error) Loading model
            recorded-chat-logprobs: "☐☐" length in=26 cached=0 out=6 SmolLM2-135M-Instruct.Q4_1.gguf [log-probabilities left out: those of the parts of a character are lost]
            recorded-chat-stream: "The answer to this classic question" length in=26 cached=25 out=6 The=-2.2691991/3  answer=-1.1258433/3  to=-0.738155/3  this=-0.70576644/3  classic=-1.385428/3  question=-1.5390879/3 SmolLM2-135M-Instruct.Q4_1.gguf
            recorded-completion: " I love it" stop in=9 cached=0 out=4  I=-1.6651628/5  love=-0.66217244/5  it=-0.13600549/5 SmolLM2-135M-Instruct.Q4_1.gguf
            recorded-emoji: "🦀☃\n\n🦀🦀\n\n🦀" length in=40 cached=24 out=20 SmolLM2-135M-Instruct.Q4_1.gguf [log-probabilities left out: those of the parts of a character are lost]
            recorded-error-400-context: TOO-LONG (exceed_context_size_error) request (6031 tokens) exceeds the available context size (1024 tokens)
            recorded-error-400-json: INVALID-REQUEST (invalid_request_error) [json.exception.parse_error.101] parse error at line 1, column 10: syn
            recorded-error-404: NOT-FOUND fatal (not_found_error) File Not Found
            recorded-schema: "{\n    \"colour\": \"blue\"\n}" stop in=36 cached=3 out=16 SmolLM2-135M-Instruct.Q4_1.gguf
        "#]],
    );
    check(
        "vllm",
        &expect![[r#"
            chat-stream: "4" stop, after "Two and two." in=14 out=10 Qwen/Qwen3-8B
            completion-logprobs: " no" length in=4 out=1  no=-0.7/3 m [numbers that JSON does not know, such as NaN]
            error-400: TOO-LONG (BadRequestError) This model's maximum context length is 4096 tokens. However, you reque
            error-404: NOT-FOUND fatal (NotFoundError) The model `x` does not exist.
        "#]],
    );
    check(
        "ollama",
        &expect![[r#"
        chat: "4" stop, after "Two and two." in=18 out=25 qwen3:8b
        error-404: NOT-FOUND fatal (not_found_error) model 'qwen9' not found
    "#]],
    );
    check(
        "lmstudio",
        &expect![[r#"
            chat: "4" stop in=11 out=3 qwen3-4b
            error-400: TOO-LONG (-) Trying to keep the first 5000 tokens when context the overflows. Howev
        "#]],
    );
}

#[test]
fn what_no_service_says() {
    check(
        "proxy",
        &expect![[r#"
        empty: MALFORMED retry (-) the response is empty
        html-200: MALFORMED retry (-) the response is an HTML page: Sign in to Wi-Fi
        html-502: SERVER retry (-) the response is an HTML page: 502 Bad Gateway
        redirect: REDIRECTED retry (-) redirected to `https://login.example.com/start`, which is not followed
        stream-as-json: "Hello" stop in=19 cached=4 out=10 reasoning=0 gpt-4o-mini-2024-07-18
        stream-cut: CONNECTION retry (-) the stream was cut after 5 characters
        stream-without-done: "Hello" stop gpt-4o-mini
        text-429: RATE-LIMITED retry after 5s (-) Too many requests
        truncated: MALFORMED retry (-) the response is JSON cut short after 112 bytes
        two-choices: "One" stop in=19 cached=4 out=10 reasoning=0 gpt-4o-mini-2024-07-18 [more answers than the one asked for]
        wrong-usage: "Hi" stop [the count `prompt_tokens` is -3] [the count `total_tokens` is "many"] [the count `output tokens` is 0]
    "#]],
    );
}
