//! How mistakes are shown.

#![expect(
    clippy::needless_raw_string_hashes,
    reason = "the expected texts are written by expect-test"
)]

use std::path::PathBuf;

use expect_test::{Expect, expect};

use super::tests::{WHOLE, parse};
use crate::recipe::RecipeError;

/// What is said of the whole recipe with `from` replaced by `to`.
fn check(from: &str, to: &str, expected: &Expect) {
    check_in(WHOLE, from, to, expected);
}

pub(super) fn check_in(recipe: &str, from: &str, to: &str, expected: &Expect) {
    assert!(recipe.contains(from), "{from}");
    let error = parse(&recipe.replacen(from, to, 1)).expect_err("a mistake");
    let RecipeError::Invalid { diagnostics } = error else {
        panic!("{error:?}");
    };
    let texts: Vec<String> = diagnostics
        .into_iter()
        .map(|mut diagnostic| {
            diagnostic.path = PathBuf::from("recipe.toml");
            diagnostic.to_string()
        })
        .collect();
    expected.assert_eq(&texts.join("\n\n"));
}

#[test]
fn parts_that_cannot_be_frozen_are_shown() {
    for (freeze, said) in [
        (
            r#"["embeddings", "layer.0"]"#,
            "`layer.0` is no part of a student",
        ),
        (r#"["layers.2"]"#, "the last of 2 is `layers.1`"),
        (r#"["head"]"#, "`embeddings` freezes both"),
        (r#"["layers", "embeddings"]"#, "leaves nothing to train"),
    ] {
        let train = format!("epochs = 4\nfreeze = {freeze}");
        let error = parse(&WHOLE.replacen("epochs = 4", &train, 1)).expect_err("a mistake");
        let RecipeError::Invalid { diagnostics } = error else {
            panic!("{error:?}");
        };
        let text = diagnostics[0].to_string();
        assert!(text.contains(said) && text.contains(":43:"), "{text}");
    }
}

#[test]
fn an_unknown_key_is_shown_with_the_nearest() {
    check(
        "template = \"Message",
        "templat = \"Message",
        &expect![[r#"
            unknown key `templat`
              --> recipe.toml:20:1
               |
            20 | templat = "Message: {{ text }}\nSentiment:"
               | ^^^^^^^
               = help: did you mean `template`?"#]],
    );
    check(
        "limits = { concurrent",
        "limits = { concurent",
        &expect![[r#"
            unknown key `concurent`
              --> recipe.toml:14:12
               |
            14 | limits = { concurent = 64 }
               |            ^^^^^^^^^
               = help: did you mean `concurrent`?"#]],
    );
    check(
        "at_least = 0.6",
        "colour = 3",
        &expect![[r#"
        unknown key `colour`
          --> recipe.toml:33:1
           |
        33 | colour = 3
           | ^^^^^^
           = help: known here: `at_least`"#]],
    );
    check(
        "sample = 1000, seed",
        "smaple = 1000, seed",
        &expect![[r#"
        unknown key `smaple`
          --> recipe.toml:46:35
           |
        46 | …uite = { source = "suite.jsonl", smaple = 1000, seed = 7, balance = "label", expected = "{{ label }}…
           |                                   ^^^^^^
           = help: did you mean `sample`?"#]],
    );
    check(
        "gate = { at_least_teacher",
        "gate = { at_leest_teacher",
        &expect![[r#"
            unknown key `at_leest_teacher`
              --> recipe.toml:48:10
               |
            48 | gate = { at_leest_teacher = 0.97, above_floors = true }
               |          ^^^^^^^^^^^^^^^^
               = help: did you mean `at_least_teacher`?"#]],
    );
    check(
        "[student]",
        "[studnet]",
        &expect![[r#"
        unknown key `studnet`
          --> recipe.toml:35:2
           |
        35 | [studnet]
           |  ^^^^^^^
           = help: did you mean `student`?"#]],
    );
}

#[test]
fn an_unknown_value_is_shown_with_the_nearest() {
    check(
        "metric = \"accuracy\"",
        "metric = \"acuracy\"",
        &expect![[r#"
            unknown value `acuracy`
              --> recipe.toml:47:10
               |
            47 | metric = "acuracy"
               |          ^^^^^^^^^
               = help: did you mean `accuracy`?"#]],
    );
    check(
        "\"gguf:q8_0\"",
        "\"gguf:q8\"",
        &expect![[r#"
        unknown value `gguf:q8`
          --> recipe.toml:51:27
           |
        51 | formats = ["safetensors", "gguf:q8"]
           |                           ^^^^^^^^^
           = help: did you mean `gguf:q8_0`?"#]],
    );
    check(
        "kind = \"confidence\"",
        "kind = \"confidense\"",
        &expect![[r#"
            unknown value `confidense`
              --> recipe.toml:32:8
               |
            32 | kind = "confidense"
               |        ^^^^^^^^^^^^
               = help: did you mean `confidence`?"#]],
    );
    check(
        "{ embeddings = \"smollm2\" }",
        "\"scrach\"",
        &expect![[r#"
        unknown value `scrach`
          --> recipe.toml:36:8
           |
        36 | init = "scrach"
           |        ^^^^^^^^
           = help: did you mean `scratch`?"#]],
    );
    check(
        "{ trim = \"smollm2\" }",
        "{ trimm = \"smollm2\" }",
        &expect![[r#"
            unknown value `trimm`
              --> recipe.toml:37:15
               |
            37 | tokenizer = { trimm = "smollm2" }
               |               ^^^^^
               = help: did you mean `trim`?"#]],
    );
}

#[test]
fn wrong_types_missing_keys_and_broken_toml_are_shown() {
    check(
        "sample = 3000",
        "sample = \"many\"",
        &expect![[r#"
        invalid type: string "many", expected a whole number of 0 or more
          --> recipe.toml:17:82
           |
        17 | prompts = { source = "prompts.jsonl", where = "confidence|float > 0.5", sample = "many", seed = 1 }
           |                                                                                  ^^^^^^"#]],
    );
    check(
        "layers = 2, ",
        "",
        &expect![[r#"
        missing key `layers`
          --> recipe.toml:38:9
           |
        38 | shape = { width = 128, heads = 4, ffn = 256, context = 128 }
           |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"#]],
    );
    check(
        "name = \"smollm2\"\n",
        "",
        &expect![[r#"
        missing key `name`
         --> recipe.toml:9:1
          |
        9 | [[teacher]]
          | ^^^^^^^^^^^"#]],
    );
    check(
        "sample = 300\n",
        "sample = -3\n",
        &expect![[r#"
        invalid value: integer `-3`, expected a whole number of 0 or more
          --> recipe.toml:26:10
           |
        26 | sample = -3
           |          ^^"#]],
    );
    check(
        "name = \"support-sentiment\"",
        "name = \"support",
        &expect![[r#"
            invalid basic string, expected `"`
             --> recipe.toml:2:16
              |
            2 | name = "support
              |                ^"#]],
    );
    check(
        "prompts = {",
        "prompts = 3 #",
        &expect![[r#"
        invalid type: integer `3`, expected a source as a string, or a table with `source`
          --> recipe.toml:17:11
           |
        17 | prompts = 3 # source = "prompts.jsonl", where = "confidence|float > 0.5", sample = 3000, seed = 1 }
           |           ^"#]],
    );
}

#[test]
fn what_only_one_kind_of_teacher_has_is_told_apart() {
    check(
        "provider = \"local\"\n",
        "provider = \"openai\"\nbase_url = \"https://example.org\"\n",
        &expect![[r#"
            `sha256` is for the file of a local teacher
              --> recipe.toml:14:10
               |
            14 | sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
               |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

            the teacher `smollm2` is asked over the network, so its tokenizer and weights are not here
              --> recipe.toml:37:23
               |
            37 | init = { embeddings = "smollm2" }
               |                       ^^^^^^^^^
               = help: use `tokenizer = { train_bpe = … }` and `init = "scratch"`, or name a local teacher

            the teacher `smollm2` is asked over the network, so its tokenizer and weights are not here
              --> recipe.toml:38:22
               |
            38 | tokenizer = { trim = "smollm2" }
               |                      ^^^^^^^^^
               = help: use `tokenizer = { train_bpe = … }` and `init = "scratch"`, or name a local teacher"#]],
    );
}

#[test]
fn names_and_templates_that_lead_nowhere_are_shown() {
    check(
        "embeddings = \"smollm2\"",
        "embeddings = \"smolm2\"",
        &expect![[r#"
            there is no teacher `smolm2`
              --> recipe.toml:36:23
               |
            36 | init = { embeddings = "smolm2" }
               |                       ^^^^^^^^
               = help: did you mean `smollm2`?"#]],
    );
    check(
        "width = 128, heads = 4",
        "width = 130, heads = 4",
        &expect![[r#"
            `width` is 130, expected a multiple of the 4 `heads`
              --> recipe.toml:38:31
               |
            38 | shape = { layers = 2, width = 130, heads = 4, ffn = 256, context = 128 }
               |                               ^^^"#]],
    );
    check(
        "width = 128, heads = 4",
        "width = 100, heads = 4",
        &expect![[r#"
            `width` over `heads` is 25, expected an even number: rotary positions turn pairs
              --> recipe.toml:38:31
               |
            38 | shape = { layers = 2, width = 100, heads = 4, ffn = 256, context = 128 }
               |                               ^^^"#]],
    );
    check(
        "source = \"prompts.jsonl\"",
        "source = \"promts.jsonl\"",
        &expect![[r#"
            there is no file `promts.jsonl`
              --> recipe.toml:17:22
               |
            17 | prompts = { source = "promts.jsonl", where = "confidence|float > 0.5", sample = 3000, seed = 1 }
               |                      ^^^^^^^^^^^^^^
               = help: paths are relative to the recipe's folder"#]],
    );
    check(
        "where = \"confidence|float > 0.5\"",
        "where = \"confidence|flat > 0.5\"",
        &expect![[r#"
            not a valid expression: filter flat is unknown
              --> recipe.toml:17:47
               |
            17 | prompts = { source = "prompts.jsonl", where = "confidence|flat > 0.5", sample = 3000, seed = 1 }
               |                                               ^^^^^^^^^^^^^^^^^^^^^^^"#]],
    );
    check(
        "{ text | squeeze }}",
        "{ text | squeeze }",
        &expect![[r#"
        not a valid template: unexpected `}`, expected end of variable block
          --> recipe.toml:18:9
           |
        18 | input = "{{ text | squeeze }"
           |         ^^^^^^^^^^^^^^^^^^^^^"#]],
    );
}

#[test]
fn values_that_do_not_fit_are_shown() {
    check(
        "sha256 = \"b179",
        "sha256 = \"x179",
        &expect![[r#"
        not a SHA-256, expected 64 hexadecimal digits
          --> recipe.toml:13:10
           |
        13 | sha256 = "x179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
           |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"#]],
    );
    check(
        "\"negative\"]",
        "\"positive\"]",
        &expect![[r#"
        the choice `positive` is there twice
          --> recipe.toml:21:24
           |
        21 | choices = ["positive", "positive"]
           |                        ^^^^^^^^^^"#]],
    );
    check(
        "name = \"plain\"",
        "name = \"main\"",
        &expect![[r#"
        another phrasing is called `main` too
          --> recipe.toml:24:8
           |
        24 | name = "main"
           |        ^^^^^^"#]],
    );
    check(
        "at_least = 0.6",
        "at_least = 60",
        &expect![[r#"
        `at_least` of the check `confidence` is 60, expected a number from 0 to 1
          --> recipe.toml:33:12
           |
        33 | at_least = 60
           |            ^^"#]],
    );
    check(
        "metric = \"accuracy\"",
        "metric = \"ends\"",
        &expect![[r#"
        `ends` is measured on free text, and `[harvest]` has `choices`
          --> recipe.toml:47:10
           |
        47 | metric = "ends"
           |          ^^^^^^
           = help: measure `accuracy`, or leave `choices` out"#]],
    );
    check(
        "concurrent = 64",
        "concurrent = 0",
        &expect![[r#"
        `concurrent` is 0, expected 1 to 4096
          --> recipe.toml:14:25
           |
        14 | limits = { concurrent = 0 }
           |                         ^"#]],
    );
}
