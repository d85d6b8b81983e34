//! Mistakes in how a service is to be asked.

#![expect(
    clippy::needless_raw_string_hashes,
    reason = "the expected texts are written by expect-test"
)]

use expect_test::{Expect, expect};

use super::mistakes_tests::check_in;
use super::tests::parse;

/// A recipe that asks a service.
const SERVICE: &str = r#"
[recipe]
name = "service"

[[teacher]]
name = "big"
provider = "openai"
model = "gpt-4o-mini"
limits = { requests_per_minute = 600, spend_usd = 5.0 }

[harvest]
prompts = "prompts.jsonl"
sampling = { max_tokens = 400 }
"#;

/// What is said of [`SERVICE`] with `from` replaced by `to`.
fn check_service(from: &str, to: &str, expected: &Expect) {
    check_in(SERVICE, from, to, expected);
}

#[test]
fn a_service_without_mistakes_is_taken() {
    parse(SERVICE).expect("no mistake");
}

#[test]
fn what_a_service_cannot_be_asked_is_shown() {
    check_service(
        "\"openai\"",
        "\"opanai\"",
        &expect![[r#"
        unknown provider `opanai`
         --> recipe.toml:7:12
          |
        7 | provider = "opanai"
          |            ^^^^^^^^
          = help: did you mean `openai`?"#]],
    );
    check_service(
        "\"openai\"",
        "\"acme\"",
        &expect![[r#"
            unknown provider `acme`
             --> recipe.toml:7:12
              |
            7 | provider = "acme"
              |            ^^^^^^
              = help: known are `anthropic`, `azure`, `compatible`, `deepseek`, `fireworks`, `gemini`, `groq`, `llamacpp`, `lmstudio`, `mistral`, `ollama`, `openai`, `openrouter`, `together`, `vllm`, `xai`, `local`; `compatible` with a `base_url` is any other server of the same dialect as `openai`"#]],
    );
    check_service(
        "_minute = 600",
        "_minute = 0",
        &expect![[r#"
        `requests_per_minute` is 0, expected 1 or more
         --> recipe.toml:9:34
          |
        9 | limits = { requests_per_minute = 0, spend_usd = 5.0 }
          |                                  ^"#]],
    );
    check_service(
        "= 5.0",
        "= 0.0001",
        &expect![[r#"
        `spend_usd` is 0.0001, but one answer of 400 tokens may cost 0.000240
         --> recipe.toml:9:51
          |
        9 | limits = { requests_per_minute = 600, spend_usd = 0.0001 }
          |                                                   ^^^^^^"#]],
    );
    check_service(
        "-mini\"",
        "-unheard-of\"",
        &expect![[r#"
        no price is known for `gpt-4o-unheard-of`, so a cap would cap nothing
         --> recipe.toml:9:51
          |
        9 | limits = { requests_per_minute = 600, spend_usd = 5.0 }
          |                                                   ^^^
          = help: add `price = { input = …, output = … }`, in USD for a million tokens"#]],
    );
}

#[test]
fn what_a_service_cannot_be_asked_at_these_limits_or_settings_is_shown() {
    check_service(
        "requests_per_minute = 600",
        "tokens_per_minute = 300",
        &expect![[r#"
            `tokens_per_minute` is 300, but one answer may take 400 tokens
             --> recipe.toml:9:32
              |
            9 | limits = { tokens_per_minute = 300, spend_usd = 5.0 }
              |                                ^^^
              = help: lower `max_tokens` of `sampling`"#]],
    );
    check_service(
        "\"gpt",
        "\"gpt\"\nbase_url = \"ftp://x\" #",
        &expect![[r#"
        the `base_url` `ftp://x` is no address: it does not begin with https:// or http://
         --> recipe.toml:9:12
          |
        9 | base_url = "ftp://x" #-4o-mini"
          |            ^^^^^^^^^
          = help: write it in full, such as http://127.0.0.1:8080/v1

        no price is known for `gpt`, so a cap would cap nothing
          --> recipe.toml:10:51
           |
        10 | limits = { requests_per_minute = 600, spend_usd = 5.0 }
           |                                                   ^^^
           = help: add `price = { input = …, output = … }`, in USD for a million tokens"#]],
    );
    check_service(
        "max_tokens = 400",
        "top_logprobs = 50",
        &expect![[r#"
            `top_logprobs = 50` cannot be asked of the model `gpt-4o-mini` at `openai`
              --> recipe.toml:13:29
               |
            13 | sampling = { top_logprobs = 50 }
               |                             ^^
               = help: set `top_logprobs` to 20 or less"#]],
    );
    check_service(
        "prompts =",
        "teacher = [\"big\", \"bigg\"]\nprompts =",
        &expect![[r#"
            there is no teacher `bigg`
              --> recipe.toml:12:19
               |
            12 | teacher = ["big", "bigg"]
               |                   ^^^^^^
               = help: did you mean `big`?"#]],
    );
}

#[test]
fn a_provider_that_is_written_as_its_makers_do_is_recognised() {
    for (written, name) in [
        ("OpenAI", "openai"),
        ("LM Studio", "lmstudio"),
        ("llama.cpp", "llamacpp"),
        ("Open-Router", "openrouter"),
        ("X.AI", "xai"),
        ("grok", "xai"),
        ("Claude", "anthropic"),
    ] {
        let recipe = SERVICE.replace("\"openai\"", &format!("\"{written}\""));
        let error = parse(&recipe).expect_err("a mistake").to_string();
        let help = format!("did you mean `{name}`?");
        assert!(error.contains(&help), "{error}");
    }
}

#[test]
fn what_choices_make_void_is_an_error_and_not_dropped() {
    check_service(
        "sampling = { max_tokens = 400 }",
        "choices = [\"yes\", \"no\"]\nsampling = { temperature = 0.2, stop = [\".\"], reasoning = \"low\" }",
        &expect![[r#"
            `temperature` has no effect beside `choices`: the most likely of them is taken
              --> recipe.toml:14:28
               |
            14 | sampling = { temperature = 0.2, stop = ["."], reasoning = "low" }
               |                            ^^^
               = help: leave it out, or leave `choices` out to have a text written

            `stop` has no effect beside `choices`: the most likely of them is taken
              --> recipe.toml:14:40
               |
            14 | sampling = { temperature = 0.2, stop = ["."], reasoning = "low" }
               |                                        ^^^^^
               = help: leave it out, or leave `choices` out to have a text written"#]],
    );
    let text = "sampling = { max_tokens = 400 }";
    let alone = SERVICE.replace(text, "choices = [\"yes\", \"no\"]");
    parse(&alone).expect("no mistake");
}

#[test]
fn one_place_has_one_mistake() {
    check_service(
        "max_tokens = 400",
        "temperature = -1.0",
        &expect![[r#"
        `temperature` is -1, expected 0 to 2
          --> recipe.toml:13:28
           |
        13 | sampling = { temperature = -1.0 }
           |                            ^^^^"#]],
    );
    check_service(
        "= 5.0",
        "= 0",
        &expect![[r#"
        `spend_usd` is 0, expected more than 0
         --> recipe.toml:9:51
          |
        9 | limits = { requests_per_minute = 600, spend_usd = 0 }
          |                                                   ^"#]],
    );
}

#[test]
fn a_second_limit_that_is_no_larger_would_change_nothing_and_is_shown() {
    check_service(
        "limits =",
        "retry = { truncated_max_tokens = 400 }\nlimits =",
        &expect![[r#"
            `truncated_max_tokens` is 400, which is no more than the 400 that are asked for first
             --> recipe.toml:9:34
              |
            9 | retry = { truncated_max_tokens = 400 }
              |                                  ^^^
              = help: what is cut off is asked for again with it: raise it, or leave it out"#]],
    );
    let larger = "retry = { truncated_max_tokens = 401 }\nlimits =";
    parse(&SERVICE.replace("limits =", larger)).expect("no mistake");
}

#[test]
fn batches_are_a_switch_or_a_table() {
    for (given, size, poll_s) in [
        ("true", 5000, 60.0),
        ("{ size = 10 }", 10, 60.0),
        ("{ poll_s = 0.5, wait_hours = 1 }", 5000, 0.5),
    ] {
        let recipe = SERVICE.replace("limits =", &format!("batch = {given}\nlimits ="));
        let recipe = parse(&recipe).expect("no mistake");
        let batch = recipe.teachers()[0].batch.expect("batches");
        assert_eq!((batch.size, batch.poll_s), (size, poll_s));
        let price = recipe.teachers()[0].harvest_price().expect("a price");
        assert_eq!((price.input, price.output), (0.075, 0.3));
    }
    let recipe = SERVICE.replace("limits =", "batch = false\nlimits =");
    let recipe = parse(&recipe).expect("no mistake");
    assert_eq!(recipe.teachers()[0].batch, None);
}

#[test]
fn batches_that_cannot_be_are_shown() {
    let with = |batch: &str| format!("batch = {batch}\nlimits =");
    check_service(
        "limits =",
        &with("{ sise = 5 }"),
        &expect![[r#"
        unknown key `sise`
         --> recipe.toml:9:11
          |
        9 | batch = { sise = 5 }
          |           ^^^^
          = help: did you mean `size`?"#]],
    );
    check_service(
        "limits =",
        &with("7"),
        &expect![[r#"
        invalid type: integer `7`, expected `true`, `false`, or a table
         --> recipe.toml:9:9
          |
        9 | batch = 7
          |         ^"#]],
    );
    check_service(
        "limits =",
        &with("{ size = 60_000 }"),
        &expect![[r#"
        `size` is 60000, expected 1 to 50000
         --> recipe.toml:9:18
          |
        9 | batch = { size = 60_000 }
          |                  ^^^^^^"#]],
    );
    check_service(
        "limits =",
        &with("{ poll_s = 0 }"),
        &expect![[r#"
        `poll_s` is 0, expected more than 0 and at most 3600
         --> recipe.toml:9:20
          |
        9 | batch = { poll_s = 0 }
          |                    ^"#]],
    );
    check_service(
        "limits =",
        &with("true\nstream = true"),
        &expect![[r#"
        the answers of a batch do not come in pieces
          --> recipe.toml:10:10
           |
        10 | stream = true
           |          ^^^^
           = help: leave `stream` out"#]],
    );
    let several =
        "true\nendpoints = [{ base_url = \"http://h/v1\" }, { base_url = \"http://i/v1\" }]";
    check_service(
        "limits =",
        &with(several),
        &expect![[r#"
        a batch goes to one address, and `endpoints` names several
          --> recipe.toml:10:13
           |
        10 | endpoints = [{ base_url = "http://h/v1" }, { base_url = "http://i/v1" }]
           |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           = help: name one address, or make a teacher of each

        no price is known for `gpt-4o-mini`, so a cap would cap nothing
          --> recipe.toml:11:51
           |
        11 | limits = { requests_per_minute = 600, spend_usd = 5.0 }
           |                                                   ^^^
           = help: add `price = { input = …, output = … }`, in USD for a million tokens"#]],
    );
}

#[test]
fn batches_of_services_that_take_none_or_elsewhere_are_shown() {
    check_service(
        "provider = \"openai\"\nmodel = \"gpt-4o-mini\"\nlimits = { requests_per_minute = 600, spend_usd = 5.0 }",
        "provider = \"gemini\"\nmodel = \"gemini-2.5-flash\"\nbatch = true",
        &expect![[r#"
            the provider `gemini` is not asked in batches
             --> recipe.toml:9:9
              |
            9 | batch = true
              |         ^^^^
              = help: leave `batch` out; `anthropic`, `azure`, `groq` and `openai` take batches"#]],
    );
    check_service(
        "provider = \"openai\"\nmodel = \"gpt-4o-mini\"\nlimits = { requests_per_minute = 600, spend_usd = 5.0 }",
        "provider = \"azure\"\nmodel = \"d\"\nbatch = true\nbase_url = \"https://r.openai.azure.com/openai/deployments/d?api-version=2024-10-21\"",
        &expect![[r#"
            batches are not handed over at the address of one deployment
              --> recipe.toml:10:12
               |
            10 | base_url = "https://r.openai.azure.com/openai/deployments/d?api-version=2024-10-21"
               |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               = help: write https://RESOURCE.openai.azure.com/openai/v1, and the name of the deployment as `model`"#]],
    );
    check_service(
        "provider = \"openai\"\nmodel = \"gpt-4o-mini\"\nlimits = { requests_per_minute = 600, spend_usd = 5.0 }",
        "provider = \"local\"\nmodel = \"teacher.gguf\"\nbatch = true",
        &expect![[r#"
            `batch` is for teachers over the network, and this one is local
             --> recipe.toml:9:9
              |
            9 | batch = true
              |         ^^^^"#]],
    );
}
