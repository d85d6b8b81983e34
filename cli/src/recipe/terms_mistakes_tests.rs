//! How mistakes in `[[terms]]` and `[[declaration]]` are shown.

#![expect(
    clippy::needless_raw_string_hashes,
    reason = "the expected texts are written by expect-test"
)]

use expect_test::expect;

use super::mistakes_tests::check_in;
use super::tests::WHOLE;

const DECLARATION: &str = r#"[[declaration]]
terms = "openai-api-2026-01-01"
says = []
expires = "2027-01-01"
terms_sha256 = "abc"

[harvest]"#;

const RECORD: &str = r#"[[terms]]
kind = "route"
id = "mine"
title = "Mine"
providers = ["openai"]
plan = "api"
class = "any"
effective = "2026-01-01"
basis = "secondary"
summary = "Mine."

[harvest]"#;

#[test]
fn a_declaration_that_says_nothing_and_a_record_that_cannot_be_are_mistakes() {
    check_in(
        WHOLE,
        "[harvest]",
        DECLARATION,
        &expect![[r#"
        a declaration that says nothing
          --> recipe.toml:18:8
           |
        18 | says = []
           |        ^^
           = help: it says one or more of `not-competing`, `authorised`, `research` and `reviewed`

        not a SHA-256, expected 64 hexadecimal digits
          --> recipe.toml:20:16
           |
        20 | terms_sha256 = "abc"
           |                ^^^^^"#]],
    );
    check_in(
        WHOLE,
        "[harvest]",
        &DECLARATION
            .replace("[]", "[\"reviewd\"]")
            .replace("abc", &"0".repeat(64)),
        &expect![[r#"
            unknown value `reviewd`
              --> recipe.toml:18:9
               |
            18 | says = ["reviewd"]
               |         ^^^^^^^^^
               = help: did you mean `reviewed`?"#]],
    );
    check_in(
        WHOLE,
        "[harvest]",
        RECORD,
        &expect![[r#"
        two records of terms are for the same route `openai`, plan `api`, of 2026-01-01: `openai-api-2026-01-01.toml` and `mine`
          --> recipe.toml:16:1
           |
        16 | [[terms]]
           | ^^^^^^^^^
           = help: of two records for one route or licence, each needs an `effective` date of its own"#]],
    );
    let primary = RECORD
        .replace("secondary", "primary")
        .replace("openai", "acme");
    check_in(
        WHOLE,
        "[harvest]",
        &primary,
        &expect![[r#"
        the record of terms `mine` cannot be used: `basis` is `primary`, but no clause has a digest; without one it is `secondary`
          --> recipe.toml:16:1
           |
        16 | [[terms]]
           | ^^^^^^^^^"#]],
    );
}
