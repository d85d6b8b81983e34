#![expect(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::recipe::Recipe;

const EXAMPLES: &str = concat!(
    "{\"text\": \"so good\", \"answer\": \"positive\"}\n\n",
    "{\"text\": \"so bad\", \"answer\": \"negative\"}\n"
);

/// `[harvest]` with `keys`, in a folder with instructions and examples.
fn asking(keys: &str, examples: &str) -> Result<Asking, RecipeError> {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("prompts.jsonl"), "{}\n").unwrap();
    fs::write(folder.path().join("system.txt"), "Say how it sounds.\n").unwrap();
    fs::write(folder.path().join("examples.jsonl"), examples).unwrap();
    let text = format!(
        "[recipe]\nname = \"a\"\n[[teacher]]\nname = \"t\"\nprovider = \"local\"\nmodel = \"m.gguf\"\n\
         [harvest]\nprompts = \"prompts.jsonl\"\n{keys}\n"
    );
    Recipe::parse(&folder.path().join("recipe.toml"), &text)?.asking()
}

fn columns(row: &Value) -> Columns {
    row.as_object().unwrap().clone()
}

/// What each phrasing asks about a row.
fn check(keys: &str, row: &Value, expected: &Expect) {
    let asking = asking(keys, EXAMPLES).unwrap();
    let row = columns(row);
    let mut text = format!("input: {}\n", asking.input(&row).unwrap());
    for phrasing in &asking.phrasings {
        writeln!(text, "--- {}", phrasing.name).unwrap();
        match phrasing.ask(&row).unwrap() {
            PromptBody::Completion { text: asked } => writeln!(text, "{asked}|").unwrap(),
            PromptBody::Chat { messages } => {
                for message in messages {
                    writeln!(text, "{}: {}", message.role, message.content).unwrap();
                }
            }
        }
    }
    expected.assert_eq(&text);
}

#[test]
fn a_completion_has_instructions_examples_and_the_row() {
    check(
        r#"
form = "completion"
input = "{{ text }}"
template = "Message: {{ text }}\nSentiment:"
system = "system.txt"
examples = "examples.jsonl"
"#,
        &json!({"text": "meh"}),
        &expect![[r"
            input: meh
            --- main
            Say how it sounds.

            Message: so good
            Sentiment: positive

            Message: so bad
            Sentiment: negative

            Message: meh
            Sentiment:|
        "]],
    );
}

#[test]
fn a_chat_has_turns_and_every_phrasing_its_own() {
    check(
        r#"
template = "{{ text }}?"
system = "system.txt"
examples = "examples.jsonl"
[[harvest.phrasing]]
name = "bare"
form = "completion"
template = "{{ text }} ->"
"#,
        &json!({"text": "meh"}),
        &expect![[r"
            input: meh?
            --- main
            system: Say how it sounds.
            user: so good?
            assistant: positive
            user: so bad?
            assistant: negative
            user: meh?
            --- bare
            meh ->|
        "]],
    );
}

#[test]
fn rows_may_bring_their_own_question() {
    let prompt = json!({"prompt": "What is an alembic?"});
    check(
        "",
        &prompt,
        &expect![[r"
            input: What is an alembic?
            --- main
            user: What is an alembic?
        "]],
    );
    let turns = [
        json!({"role": "system", "content": "Be short."}),
        json!({"role": "user", "content": "And a retort?"}),
    ];
    check(
        "",
        &json!({"messages": turns}),
        &expect![[r"
            input: And a retort?
            --- main
            system: Be short.
            user: And a retort?
        "]],
    );
}

#[test]
fn rows_without_a_question_are_named() {
    let asking = asking("", EXAMPLES).unwrap();
    for row in [
        json!({"text": "a"}),
        json!({"prompt": 3}),
        json!({"messages": []}),
        json!({"messages": [{"role": "assistant", "content": "a"}]}),
        json!({"messages": "hello"}),
    ] {
        let row = columns(&row);
        assert!(asking.phrasings[0].ask(&row).is_err(), "{row:?}");
    }
}

#[test]
fn examples_that_cannot_be_used_are_named_by_line() {
    let keys = "template = \"{{ text }}\"\nexamples = \"examples.jsonl\"";
    for (examples, expected) in [
        (
            "{\"text\": \"a\", \"answer\": \"b\"}\n{\"text\": \"a\"}\n",
            "line 2: it has no text `answer`",
        ),
        ("{\"answer\": \"b\"}\n", "line 1: it has no column `text`"),
        ("text\n", "line 1: not a JSON object"),
    ] {
        let error = asking(keys, examples).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_is_asked_decides_the_serialised_form() {
    let keys = "template = \"{{ text }}\"\nexamples = \"examples.jsonl\"";
    let form = |examples: &str| serde_json::to_string(&asking(keys, examples).unwrap()).unwrap();
    assert_eq!(form(EXAMPLES), form(EXAMPLES));
    assert_ne!(form(EXAMPLES), form(&EXAMPLES.replace("bad", "sad")));
}
