//! What rows of each format come to.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::path::PathBuf;

use expect_test::{Expect, expect};
use limbeck_store::Reasoning;

use super::*;

fn sample(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "src/import/samples", name]
        .iter()
        .collect()
}

pub(super) fn importer(format: Format, requests: Option<&str>) -> Importer {
    let declared = Declared {
        source: "a friend".to_owned(),
        license: "cc-by-4.0".to_owned(),
        model: None,
        provider: Some("somebody".to_owned()),
    };
    let requests = requests.map(|name| Requests::open(&sample(name)).unwrap());
    Importer::new(format, declared, &sample("x"), "f".to_owned(), requests)
}

fn read(importer: &mut Importer, name: &str) -> Vec<(u64, Result<Vec<Imported>, String>)> {
    let path = sample(name);
    let mut found = Vec::new();
    let mut each = |number, row: Result<_, String>| {
        found.push((number, row.and_then(|row| importer.row(number, &row))));
        Ok(())
    };
    if rows::is_list(&path).unwrap() {
        rows::read_list(&path, &mut each).unwrap();
    } else {
        rows::read_lines(&path, &mut each).unwrap();
    }
    found
}

fn shown(record: &Imported) -> String {
    let (prompt, answer) = match record {
        Imported::Answer(answer) => {
            let trace = &answer.trace;
            let said = format!(
                "{:?} thought {:?} {} {}+{} tokens, repeats {}",
                trace.text,
                trace.reasoning,
                trace.finish_reason.name(),
                trace.prompt_tokens,
                trace.completion_tokens,
                answer.repeats
            );
            (&answer.prompt, said)
        }
        Imported::Failure(failure) => (
            &failure.prompt,
            format!("failed: {:?}", failure.attempt.status),
        ),
    };
    format!("input {:?}\n    {answer}", prompt.input)
}

fn check(format: Format, name: &str, requests: Option<&str>, expected: &Expect) {
    let mut text = String::new();
    for (number, row) in read(&mut importer(format, requests), name) {
        match row {
            Ok(records) => {
                for record in &records {
                    writeln!(text, "{number}: {}", shown(record)).unwrap();
                }
            }
            Err(why) => writeln!(text, "{number}: {why}").unwrap(),
        }
    }
    let text = text.replace(&*sample("").to_string_lossy(), "");
    expected.assert_eq(&text);
}

#[test]
fn the_messages_format() {
    check(
        Format::Messages,
        "messages.jsonl",
        None,
        &expect![[r#"
            1: input "What is a limbeck?"
                "An old word for an alembic." thought Some("It is the vessel that distils.") stop 21+9 tokens, repeats 0
            2: input "user: Name a colour.\n\nassistant: Red.\n\nuser: Another."
                "Blue." thought None stop 0+0 tokens, repeats 0
            4: turn 2: `content` is no text
            5: turn 1: a part of `content` is no text but `image_url`
            6: nothing is asked before the answer
            7: no turn is an answer
            8: turn 1: the role `tool` is not known
            9: it has no `messages`
            10: a list instead of an object
            11: not valid JSON at column 14: EOF while parsing a list
        "#]],
    );
}

#[test]
fn sharegpt_in_a_list() {
    check(
        Format::Sharegpt,
        "sharegpt.json",
        None,
        &expect![[r#"
        1: input "user: How long does an egg boil?\n\nassistant: Seven minutes.\n\nuser: And a soft one?"
            "Five." thought None stop 0+0 tokens, repeats 0
        2: input "Hi"
            "Hello, how can I help?" thought None stop 0+0 tokens, repeats 0
        3: turn 1: `from` is `ghost`, which is not known
        4: the answer is empty
        5: a text instead of an object
    "#]],
    );
}

#[test]
fn alpaca_in_a_list() {
    check(
        Format::Alpaca,
        "alpaca.json",
        None,
        &expect![[r#"
        1: input "Name a prime number."
            "Seven." thought None stop 0+0 tokens, repeats 0
        2: input "Translate to German.\n\ngood morning"
            "guten Morgen" thought None stop 0+0 tokens, repeats 0
        3: input "user: Translate to German: hello\n\nassistant: hallo\n\nuser: And to French?"
            "bonjour" thought None stop 0+0 tokens, repeats 0
        4: it has no `output`
        5: `output` is no text
        6: `history` is not a list of pairs of texts
    "#]],
    );
}

#[test]
fn the_output_of_a_batch() {
    let requests = Some("batch-input.jsonl");
    check(
        Format::OpenaiBatch,
        "batch-output.jsonl",
        requests,
        &expect![[r#"
            1: input "Say hi."
                "Hi!" thought None stop 10+2 tokens, repeats 0
            2: input "A number?"
                "Seven" thought None stop 9+0 tokens, repeats 0
            2: input "A number?"
                "Seven" thought None length 9+0 tokens, repeats 1
            3: input "Something forbidden."
                failed: Failed { kind: "policy", message: "The prompt was flagged by our content policy." }
            4: input "Too late."
                failed: Failed { kind: "batch-expired", message: "This request could not be executed before the completion window expired." }
            5: the request `r-5`: `temperature` is no number from 0 to 100
            6: `batch-input.jsonl` has no request `r-6`
            7: `response.status_code` is no HTTP status
        "#]],
    );
}

#[test]
fn the_output_of_a_batch_of_responses() {
    check(
        Format::OpenaiBatch,
        "batch-responses-output.jsonl",
        Some("batch-responses-input.jsonl"),
        &expect![[r#"
            1: input "The capital of France?"
                "Paris" thought None stop 19+2 tokens, repeats 0
            2: input "What is 2+2?"
                "{\"sum\": 4}" thought Some("Two and two are four.") stop 41+75 tokens, repeats 0
            3: input "Count to a hundred."
                "1, 2, 3, 4, 5" thought None length 12+16 tokens, repeats 0
            4: input "Something forbidden."
                failed: Failed { kind: "refused", message: "I cannot help with that." }
            5: input "Anything."
                failed: Failed { kind: "server", message: "The model failed to generate a response." }
            6: the request `q-6`: `previous_response_id` names what was asked before, which is not in the file
            7: the request `q-7`: turn 2 of the question is no text but `function_call_output`
            8: input "The capital of France?"
                failed: Failed { kind: "invalid-request", message: "Unsupported parameter: 'top_logprobs' is not supported with this model." }
        "#]],
    );
}

#[test]
fn a_response_is_asked_for_with_instructions_reasoning_and_a_schema() {
    let mut importer = importer(Format::OpenaiBatch, Some("batch-responses-input.jsonl"));
    let rows = read(&mut importer, "batch-responses-output.jsonl");
    let answer = |index: usize| match rows[index].1.as_ref().unwrap().first() {
        Some(Imported::Answer(answer)) => answer,
        other => panic!("no answer: {other:?}"),
    };
    let turns = |answer: &ImportedAnswer| match &answer.prompt.body {
        PromptBody::Chat { messages } => messages.clone(),
        PromptBody::Completion { text } => panic!("no chat: {text}"),
    };
    let first = answer(0);
    let expected = [
        Message::new("system", "Answer in one word."),
        Message::new("user", "The capital of France?"),
    ];
    assert_eq!(turns(first), expected);
    assert_eq!(
        (first.parameters.max_tokens, first.parameters.top_logprobs),
        (20, 2)
    );
    assert_eq!(first.trace.vocabulary, [&b"Paris"[..], b"The"]);
    let service = first.receipt.service.as_ref().unwrap();
    assert_eq!(service.endpoint, "/v1/responses");
    assert_eq!(
        service.answered_model.as_deref(),
        Some("gpt-4.1-mini-2025-04-14")
    );
    let second = answer(1);
    let expected = [
        Message::new("system", "Be brief."),
        Message::new("user", "What is 2+2?"),
    ];
    assert_eq!(turns(second), expected);
    assert_eq!(second.parameters.reasoning, Some(Reasoning::Low));
    let schema = second.parameters.json_schema.as_ref().unwrap();
    assert_eq!(schema["required"][0], "sum");
}

#[test]
fn a_batch_tells_how_it_was_asked_and_what_answered() {
    let mut importer = importer(Format::OpenaiBatch, Some("batch-input.jsonl"));
    let (_, records) = read(&mut importer, "batch-output.jsonl").remove(0);
    let Imported::Answer(answer) = records.unwrap().remove(0) else {
        panic!("an answer");
    };
    assert_eq!(answer.teacher, "somebody|gpt-4.1-mini|import");
    let parameters = &answer.parameters;
    assert_eq!((parameters.max_tokens, parameters.seed), (20, 7));
    assert_eq!(parameters.temperature.to_string(), "0.5");
    assert_eq!(answer.trace.vocabulary, [&b"Hi"[..], b"Hello", b"!"]);
    assert_eq!(answer.trace.tokens.len(), 2);
    let receipt = serde_json::to_string_pretty(&answer.receipt).unwrap();
    let receipt = receipt.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    expect![[r#"
        {
          "provider": "somebody",
          "model": "gpt-4.1-mini",
          "model_sha256": null,
          "route": "import",
          "license": "cc-by-4.0",
          "limits": null,
          "limbeck_version": "VERSION",
          "request_sha256": "bf6e1ae2ed1531f11475531dad7099373aff3321f78195fc57cb604177d4f586",
          "response_sha256": "06d210140186123d876b82ff931f89b85d233d4581882b4132c1016cfc1851ff",
          "service": {
            "endpoint": "/v1/chat/completions",
            "plan": null,
            "region": null,
            "key_alias": null,
            "request_id": "req_a",
            "answered_model": "gpt-4.1-mini-2025-04-14",
            "system_fingerprint": "fp_1"
          },
          "import": {
            "source": "a friend",
            "format": "openai-batch",
            "file": "x",
            "file_sha256": "f",
            "row": 1,
            "row_id": "r-1",
            "grounds": {
              "finish_reason": "stated",
              "license": "declared",
              "limits": "unknown",
              "model": "stated",
              "model_sha256": "unknown",
              "provider": "declared",
              "request_sha256": "computed",
              "response_sha256": "computed",
              "sampling": "stated",
              "service": "stated",
              "source": "declared",
              "usage": "stated"
            }
          }
        }"#]]
    .assert_eq(&receipt);
}

#[test]
fn turns_are_kept_and_the_last_answer_is_the_answer() {
    let (_, records) = read(&mut importer(Format::Sharegpt, None), "sharegpt.json").remove(0);
    let Imported::Answer(answer) = records.unwrap().remove(0) else {
        panic!("an answer");
    };
    let PromptBody::Chat { messages } = &answer.prompt.body else {
        panic!("a chat");
    };
    let turns: Vec<_> = messages
        .iter()
        .map(|turn| (turn.role.as_str(), turn.content.as_str()))
        .collect();
    assert_eq!(
        turns,
        [
            ("system", "You are a cook."),
            ("user", "How long does an egg boil?"),
            ("assistant", "Seven minutes."),
            ("user", "And a soft one?"),
        ]
    );
    assert_eq!(answer.trace.text, "Five.");
}

#[test]
fn a_broken_list_is_an_error_that_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.json");
    for (text, row) in [
        (r#"[{"a": 1}, {"b": "#, "row 2"),
        (r#"[{"a": 1}, oops]"#, "row 2"),
        (r#"[{"a": 1}] trailing"#, "row 2"),
        ("[", "row 1"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = rows::read_list(&path, &mut |_, _| Ok(())).unwrap_err();
        assert!(error.to_string().contains(row), "{text}: {error:#}");
    }
}

#[test]
fn what_the_reader_stops_at_is_told() {
    let error = rows::read_list(&sample("alpaca.json"), &mut |number, _| match number {
        3 => anyhow::bail!("enough"),
        _ => Ok(()),
    });
    assert_eq!(error.unwrap_err().to_string(), "enough");
}

#[test]
fn marks_and_odd_line_ends_are_no_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    std::fs::write(&path, b"\xef\xbb\xbf{\"a\": 1}\r\n\r\n{\"a\": 2}").unwrap();
    let mut seen = Vec::new();
    let mut each = |number, row: Result<Map<String, Value>, String>| {
        seen.push((number, row.unwrap()["a"].clone()));
        Ok(())
    };
    rows::read_lines(&path, &mut each).unwrap();
    assert_eq!(seen, [(1, json!(1)), (3, json!(2))]);
}

#[test]
fn a_batch_input_names_each_request_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input.jsonl");
    for (text, expected) in [
        (
            "{\"custom_id\": \"a\"}\n{\"custom_id\": \"a\"}",
            "row 2: `custom_id` `a` is there twice",
        ),
        ("{\"custom_id\": \"a\"}\n{}", "row 2: it has no `custom_id`"),
        ("{\"custom_id\": \"a\"}\n{\"custom", "row 2: not valid JSON"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = Requests::open(&path).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
